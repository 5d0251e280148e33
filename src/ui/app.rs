//! The client's own state, which is little: what the engine knows is read from its snapshot in every frame.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eframe::egui::{
    self, CentralPanel, Color32, ColorImage, Context, Frame, Id, Key, Margin, Modifiers, Panel, TextureFilter,
    TextureHandle, TextureOptions, Theme, Ui, Visuals, WidgetInfo, WidgetType,
};
use qrcode::{Color, QrCode};

use super::After;
use super::desktop::{self, Desktop};
use super::groups::Groups;
use super::meters::MeterWatch;
use super::picture::{PasteWatch, Reading, Source};
use super::restore::Opening;
use super::screens::{self, BackupForm, Drafts, InviteForm, Welcome};
use super::theme::{self, QR_GROUND, QR_INK, palette};
use super::view::{Clock, Entry, Examination, Notes, Past, People, Row, Talk, TalkId, Talks};
use super::words::{self, Language};
use crate::base::{GroupId, Person};
use crate::engine::name_of_nameless;
use crate::engine::{
    CommandId, CommandKind, CommandResult, DeviceInfo, EndReason, Engine, Event, Events, Failure, FailureKind,
    GroupCommand, HistoryEntry, Levels, NetworkChoice, Passphrase, Reply, Snapshot, Stamped, TransmitMode,
};
use crate::identity::Link;

/// Below this width there is one column beside the rail: the list, or what was chosen in it.
const WIDE: f32 = 820.0;
/// How long we let it ring at the other side.
const RING_TIMEOUT: Duration = Duration::from_secs(45);
/// "Copied" is shown so long.
const COPIED: f64 = 1.6;
/// Somebody who is looked at again after this time may have come or gone.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The preference that names the theme, and its values.
const THEME: &str = "ui.theme";
const DARK: &str = "dark";
const LIGHT: &str = "light";
/// The preference that says that the first steps were taken.
const WELCOMED: &str = "ui.welcomed";
/// Past calls that are listed.
const HISTORY: u32 = 10_000;

/// What the rail leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    People,
    Network,
    Settings,
    You,
}

/// A question in front of everything else.
#[derive(Debug)]
pub enum Sheet {
    Add { link: Link, name: String },
    Rename { person: Person, name: String },
    Remove { person: Person, name: String },
    Invite(InviteForm),
    RemoveFromCall { group: GroupId, person: Person, name: String },
    Backup(BackupForm),
    Restore(BackupForm),
}

/// How the last call ended or what went wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub text: String,
    /// What a program says of it, in English, for who knows what to make of it.
    pub detail: Option<String>,
    /// Something went wrong.
    pub worry: bool,
    pub offer: Option<Offer>,
}

/// What can be done about a notice with one button.
#[derive(Debug, Clone, PartialEq)]
pub enum Offer {
    CallAgain(Link),
    InviteAgain(GroupId, Link),
    Unmute,
    OpenSettings,
}

impl Notice {
    fn trouble(text: String) -> Self {
        Self { text, detail: None, worry: true, offer: None }
    }

    /// Something to know, and nothing to do.
    pub fn calm(text: String) -> Self {
        Self { text, detail: None, worry: false, offer: None }
    }

    /// What the engine says of a failure.
    fn failure(failure: &Failure) -> Self {
        let offer = (failure.kind == FailureKind::Device).then_some(Offer::OpenSettings);
        let (text, detail) = words::failure(failure);
        Self { detail, offer, ..Self::trouble(text) }
    }
}

/// What the DHT said of whom we look at; `None` while it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookedUp {
    pub person: Person,
    pub online: Option<bool>,
    pub asked: Option<CommandId>,
    pub at: Instant,
}

pub struct App {
    engine: Engine,
    events: Events,
    pub desktop: Desktop,
    pub icon: TextureHandle,
    qr: Option<(String, TextureHandle)>,
    copied_at: Option<f64>,
    pub section: Section,
    /// Whose conversation is open.
    pub chosen: Option<Person>,
    /// The running call is on screen, rather than what was chosen.
    pub at_call: bool,
    pub search: String,
    pub focus_search: bool,
    pub sheet: Option<Sheet>,
    pub looked_up: Option<LookedUp>,
    /// Newest first.
    pub history: Arc<Vec<HistoryEntry>>,
    /// Whom the search finds, and all of them.
    found: People,
    everybody: People,
    past: Past,
    /// What the time is; tests set it.
    pub clock: fn() -> Clock,
    pub examination: Examination,
    /// As last listed.
    pub devices: Vec<DeviceInfo>,
    pub notice: Option<Notice>,
    pub notes: Notes,
    pub groups: Groups,
    talk_key_down: bool,
    /// While there is something to measure.
    meters: Option<MeterWatch>,
    /// What the profile remembers of the window has been looked at.
    is_dressed: bool,
    /// What is being typed into the settings.
    pub drafts: Drafts,
    /// Something was chosen that holds from the next start on.
    pub needs_restart: bool,
    after: Rc<Cell<After>>,
    /// The first steps of a new profile, while they are taken.
    pub welcome: Option<Welcome>,
    /// Opens a backup to see whether it is sound.
    opening: Option<Opening>,
    /// A picture in which a link may be.
    reading: Option<Reading>,
    pastes: PasteWatch,
    /// A backup that is being written.
    exporting: Option<CommandId>,
}

impl App {
    pub fn new(
        ctx: &Context,
        engine: Engine,
        events: Events,
        icon: &egui::IconData,
        desktop: Desktop,
        after: Rc<Cell<After>>,
    ) -> Self {
        theme::install(ctx);
        let mut app = Self {
            engine,
            events,
            icon: icon_texture(ctx, icon),
            qr: None,
            copied_at: None,
            section: desktop.section(),
            desktop,
            chosen: None,
            at_call: false,
            search: String::new(),
            focus_search: false,
            sheet: None,
            looked_up: None,
            history: Arc::default(),
            found: People::default(),
            everybody: People::default(),
            past: Past::default(),
            clock: Clock::now,
            examination: Examination::default(),
            devices: Vec::new(),
            notice: None,
            notes: Notes::default(),
            groups: Groups::default(),
            talk_key_down: false,
            meters: None,
            is_dressed: false,
            drafts: Drafts::default(),
            needs_restart: false,
            after,
            welcome: None,
            opening: None,
            reading: None,
            pastes: PasteWatch::default(),
            exporting: None,
        };
        app.list_history();
        app
    }

    pub fn list_history(&mut self) {
        self.send(CommandKind::ListHistory { limit: HISTORY });
    }

    /// Never blocks; a wish that the engine cannot take now is told.
    pub fn send(&mut self, kind: CommandKind) -> Option<CommandId> {
        match self.engine.send(kind) {
            Ok(id) => Some(id),
            Err(why) => {
                self.trouble(&why.to_string());
                None
            }
        }
    }

    /// Keeps a choice of the window's in the profile; `None` forgets it.
    pub fn prefer(&mut self, key: &str, value: Option<String>) {
        self.send(CommandKind::SetPreference { key: key.to_owned(), value });
    }

    pub fn open(&mut self, section: Section) {
        if self.section != section {
            self.notice = None;
            // Nobody wants to be listened to by a screen that is gone.
            if self.section == Section::Settings {
                self.send(CommandKind::TrySound(None));
            }
        }
        (self.section, self.at_call) = (section, false);
        if section == Section::Settings {
            self.send(CommandKind::ListDevices);
        }
    }

    /// Shows everything in `theme` from now on.
    pub fn wear(&mut self, ctx: &Context, theme: Theme) {
        ctx.set_theme(theme);
        let value = if theme == Theme::Dark { DARK } else { LIGHT };
        self.prefer(THEME, Some(value.to_owned()));
    }

    /// Says everything in `language` from now on.
    pub fn speak(&mut self, language: Language) {
        words::speak(language);
        self.prefer(words::CHOSEN_LANGUAGE, Some(language.tag().to_owned()));
    }

    pub fn choose_network(&mut self, choice: NetworkChoice) {
        self.needs_restart |= matches!(choice, NetworkChoice::SuperPeer(_) | NetworkChoice::Bootstrap(_));
        self.send(CommandKind::ChooseNetwork(choice));
    }

    /// The first steps were taken or skipped.
    pub fn end_welcome(&mut self) {
        self.welcome = None;
        self.send(CommandKind::TrySound(None));
        self.prefer(WELCOMED, Some("yes".to_owned()));
    }

    /// Writes a backup; the notice tells how it went.
    pub fn export(&mut self, file: PathBuf, passphrase: Passphrase) {
        self.exporting = self.send(CommandKind::ExportIdentity { file, passphrase });
    }

    /// What went wrong here rather than in the engine.
    pub fn trouble(&mut self, why: &str) {
        self.notice = Some(Notice::trouble(words::sentence(why)));
    }

    /// Becomes who a backup holds, if it can be opened: the window closes and opens again.
    pub fn restore(&mut self, ctx: &Context, home: &Path, form: &BackupForm) {
        match Opening::start(ctx.clone(), home, form.file(), form.passphrase.clone()) {
            Ok(opening) => self.opening = Some(opening),
            Err(why) => self.trouble(&why),
        }
    }

    /// A backup is being opened.
    pub fn is_restoring(&self) -> bool {
        self.opening.is_some()
    }

    fn look_at_backup(&mut self, ctx: &Context) {
        let Some(outcome) = self.opening.as_ref().and_then(Opening::outcome) else { return };
        self.opening = None;
        match outcome {
            Ok((file, passphrase)) => {
                self.prefer(WELCOMED, Some("yes".to_owned()));
                self.after.set(After::Restore { file, passphrase });
                desktop::quit(ctx);
            }
            Err(failure) => self.notice = Some(Notice::failure(&failure)),
        }
    }

    /// A picture that is dropped onto the window or pasted into it is searched for a link, which then stands in the search
    /// field.
    fn look_at_pictures(&mut self, ctx: &Context) {
        let dropped = ctx.input(|input| input.raw.dropped_files.iter().find_map(|file| file.path.clone()));
        let pasted = ctx.input(|input| self.pastes.is_pasted(&input.events));
        let source = dropped.map(Source::File).or(pasted.then_some(Source::Clipboard));
        // A question in front of everything may want the file itself.
        if let Some(source) = source.filter(|_| self.sheet.is_none()) {
            self.reading = Some(Reading::start(ctx.clone(), source));
        }
        let Some(outcome) = self.reading.as_ref().and_then(Reading::outcome) else { return };
        self.reading = None;
        match outcome {
            Ok(link) => {
                self.choose(None);
                self.notice = None;
                self.search = link;
            }
            Err(why) => self.trouble(why.text()),
        }
    }

    /// Keeps the meters alive while there is something to measure.
    fn watch_levels(&mut self, ctx: &Context, now: &Snapshot) {
        let wanted = now.trial.is_some() || now.calls.iter().any(|call| call.connected_at.is_some());
        match (wanted, self.meters.is_some()) {
            (true, false) => self.meters = Some(MeterWatch::start(ctx.clone(), self.engine.clone())),
            (false, true) => self.meters = None,
            (true, true) | (false, false) => {}
        }
    }

    /// Closes the window and opens it again, with what was chosen.
    pub fn restart(&mut self, ctx: &Context) {
        self.after.set(After::StartAgain);
        desktop::quit(ctx);
    }

    /// As it was left; as the desktop is, until somebody chose.
    fn dress(&mut self, ctx: &Context, now: &Snapshot) {
        if self.is_dressed || now.me.is_none() {
            return;
        }
        self.is_dressed = true;
        match now.preferences.get(THEME).map(String::as_str) {
            Some(DARK) => ctx.set_theme(Theme::Dark),
            Some(LIGHT) => ctx.set_theme(Theme::Light),
            Some(_) | None => {}
        }
        if !now.preferences.contains_key(WELCOMED) && now.contacts.is_empty() {
            self.welcome = Some(Welcome::default());
        }
        words::speak_as_chosen(&now.preferences);
    }

    /// For meters in this frame; it is painted anew when they move.
    pub fn levels(&self) -> &Levels {
        if let Some(meters) = &self.meters {
            meters.painted();
        }
        self.engine.levels()
    }

    /// Opens somebody's conversation; `None`: nobody's.
    pub fn choose(&mut self, person: Option<Person>) {
        self.open(Section::People);
        if self.chosen != person {
            self.notice = None;
        }
        self.chosen = person;
    }

    /// They may be called next: the engine prepares for it, and says whether they are there.
    pub fn look_at(&mut self, person: Person) {
        let is_fresh = |known: LookedUp| known.person == person && super::now() < known.at + LOOK_AGAIN;
        if !self.looked_up.is_some_and(is_fresh) {
            let known = self.looked_up.filter(|known| known.person == person);
            self.send(CommandKind::LookAt { person: Some(person) });
            let asked = self.send(CommandKind::Lookup { person });
            let online = known.and_then(|known| known.online);
            self.looked_up = Some(LookedUp { person, online, asked, at: super::now() });
        }
    }

    /// Everybody whose name has `search` in it, in the order of the list.
    pub fn find(&mut self, now: &Snapshot, search: &str) -> Arc<[Row]> {
        self.found.rows(now, &self.history, search)
    }

    /// What the list says of one person.
    pub fn row_of(&mut self, now: &Snapshot, person: Person) -> Option<Row> {
        self.everybody.rows(now, &self.history, "").iter().find(|row| row.person == person).cloned()
    }

    /// The calls with one person.
    pub fn past(&mut self, person: Person, clock: &Clock) -> Arc<[Entry]> {
        self.past.entries(&self.history, person, clock)
    }

    pub fn dial(&mut self, to: Link) {
        self.notice = None;
        self.search.clear();
        self.choose(Some(to.person));
        self.at_call = true;
        self.send(CommandKind::Dial { to, ring_timeout: RING_TIMEOUT });
    }

    pub fn examine(&mut self) {
        if self.examination.running.is_none()
            && let Some(id) = self.send(CommandKind::Diagnose { mapping_lifetime: None })
        {
            self.examination.begin(id);
        }
    }

    pub fn copy(&mut self, ctx: &Context, text: String) {
        ctx.copy_text(text);
        self.copied_at = Some(ctx.input(|input| input.time));
        ctx.request_repaint_after(Duration::from_secs_f64(COPIED));
    }

    pub fn was_copied(&self, ctx: &Context) -> bool {
        self.copied_at.is_some_and(|at| ctx.input(|input| input.time) - at < COPIED)
    }

    /// The link as a picture, made once per link.
    pub fn qr_code(&mut self, ctx: &Context, link: &Link) -> Option<TextureHandle> {
        let text = link.to_string();
        if self.qr.as_ref().is_none_or(|(of, _)| *of != text) {
            let texture = ctx.load_texture("qr", qr_image(link)?, TextureOptions::NEAREST);
            self.qr = Some((text, texture));
        }
        self.qr.as_ref().map(|(_, texture)| texture.clone())
    }

    fn heard(&mut self, ctx: &Context, stamped: &Stamped) {
        let event = &stamped.event;
        if stamped.group.is_some() && !matches!(event, Event::Group { .. }) {
            return self.heard_of_part(event);
        }
        match event {
            Event::Incoming { .. } => {
                self.notice = None;
            }
            Event::RingFailed { why, .. } => self.desktop.is_silent(why),
            Event::LinkOpened { link } => desktop::open_link(self, ctx, link),
            Event::ShowRequested => self.desktop.show(ctx),
            Event::Connected { call, .. } => self.connected(*call),
            Event::Stats(stats) => self.notes.of(stats.call).trends.add(stats),
            Event::SafetyWords { call, words } => self.notes.of(*call).safety_words = words.join("  "),
            Event::Replaced { call, .. } => drop(self.notes.end(*call)),
            Event::Ended { call, peer, reason, cause, talked, .. } => {
                self.call_is_over(*call);
                self.list_history();
                let now = self.engine.snapshot();
                // Another call goes on.
                self.at_call &= Talks::of(&now).current.is_some_and(|talk| talk.id() != TalkId::Call(*call));
                let partner = self.notes.end(*call).map(|note| note.name).filter(|name| !name.is_empty());
                let row = peer.and_then(|peer| self.row_of(&now, peer));
                let name = partner.or_else(|| row.as_ref().map(|row| row.name.clone()));
                let name = name.unwrap_or_else(|| name_of_nameless(peer.as_ref()));
                let (text, worry) = words::end(*reason, &name, *talked);
                let cause = cause.map(|cause| format!(" {}", words::cause(cause))).unwrap_or_default();
                let again = row.filter(|_| worry).map(|row| Offer::CallAgain(row.link));
                let offer = if *reason == EndReason::Device { Some(Offer::OpenSettings) } else { again };
                self.notice = Some(Notice { text: text + &cause, detail: None, worry, offer });
            }
            Event::Group { group, event } => {
                let now = self.engine.snapshot();
                self.heard_of_group(&now, *group, event);
            }
            Event::Checked(check) => self.examination.found(check),
            Event::CommandFinished { id, result } => self.finished(ctx, *id, result),
            Event::TalkingWhileMuted { .. } => {
                let text = words::TALKING_WHILE_MUTED.into();
                self.notice = Some(Notice { text, detail: None, worry: true, offer: Some(Offer::Unmute) });
            }
            Event::Muted { by_peer: false, .. } => {
                self.notice.take_if(|notice| notice.offer == Some(Offer::Unmute));
            }
            Event::Failed(failure) => self.notice = Some(Notice::failure(failure)),
            Event::Lagged { .. } => {
                let now = self.engine.snapshot();
                self.notes.tidy(&now);
            }
            Event::Stopped => desktop::quit(ctx),
            _ => {}
        }
    }

    /// Of a call that is a part of a group call, of which it is the group that ends, rings and fails.
    fn heard_of_part(&mut self, event: &Event) {
        match event {
            Event::SafetyWords { call, words } => self.notes.of(*call).safety_words = words.join("  "),
            Event::Replaced { call, .. } | Event::Ended { call, .. } => drop(self.notes.end(*call)),
            Event::TalkingWhileMuted { .. } => {
                let text = words::TALKING_WHILE_MUTED.into();
                self.notice = Some(Notice { text, detail: None, worry: true, offer: Some(Offer::Unmute) });
            }
            Event::Muted { by_peer: false, .. } => {
                self.notice.take_if(|notice| notice.offer == Some(Offer::Unmute));
            }
            _ => {}
        }
    }

    fn finished(&mut self, ctx: &Context, id: CommandId, result: &CommandResult) {
        if self.examination.running == Some(id) {
            let diagnosis = match result {
                Ok(Reply::Diagnosis(diagnosis)) => Some(&**diagnosis),
                _ => None,
            };
            self.examination.end(diagnosis);
        }
        match result {
            Ok(Reply::History(history)) => self.history = Arc::new(history.clone()),
            Ok(Reply::Devices(devices)) => self.devices.clone_from(devices),
            Ok(Reply::Lookup(found)) => {
                if let Some(known) = self.looked_up.as_mut().filter(|known| known.asked == Some(id)) {
                    known.online = Some(found.found);
                }
            }
            Ok(_) if self.exporting == Some(id) => self.notice = Some(Notice::calm(words::BACKUP_MADE.into())),
            Ok(reply) => self.link_made(ctx, id, reply),
            Err(failure) => {
                self.at_call &= Talks::of(&self.engine.snapshot()).current.is_some();
                self.notice = Some(Notice::failure(failure));
            }
        }
    }

    /// Does what a notice offers.
    pub fn accept(&mut self, offer: Offer) {
        match offer {
            Offer::CallAgain(link) => self.dial(link),
            Offer::InviteAgain(group, person) => drop(self.group(GroupCommand::Invite { group, person })),
            Offer::Unmute => drop(self.send(CommandKind::SetMuted { muted: false })),
            Offer::OpenSettings => self.open(Section::Settings),
        }
    }

    fn keys(&mut self, ctx: &Context, now: &Snapshot, talks: &Talks<'_>) {
        let pressed = |modifiers: Modifiers, key: Key| ctx.input_mut(|input| input.consume_key(modifiers, key));
        // The longer combinations first: a shorter one would take them.
        if pressed(Modifiers::COMMAND | Modifiers::SHIFT, Key::M) {
            self.send(CommandKind::SetDeafened { deafened: !now.deafened });
        }
        if pressed(Modifiers::COMMAND, Key::M) {
            self.send(CommandKind::SetMuted { muted: !now.muted });
        }
        if pressed(Modifiers::COMMAND, Key::K) || pressed(Modifiers::COMMAND, Key::D) {
            self.choose(None);
            self.focus_search = true;
        }
        for (key, section) in [
            (Key::Num1, Section::People),
            (Key::Num2, Section::Network),
            (Key::Comma, Section::Settings),
            (Key::Num3, Section::You),
        ] {
            if pressed(Modifiers::COMMAND, key) {
                self.open(section);
            }
        }
        self.talk_key(ctx, now, talks.current.is_some());
        if let Some(talk) = talks.rings
            && pressed(Modifiers::COMMAND, Key::Enter)
        {
            self.take(talk);
        }
        // Whoever rings is refused by the same keys as whoever talks is left.
        let Some(talk) = talks.current.or(talks.rings) else { return };
        if talk.connected_at().is_some() {
            if pressed(Modifiers::COMMAND, Key::H) {
                self.send(talk.id().set_held(!talk.is_held()));
            }
            if pressed(Modifiers::COMMAND, Key::I) {
                self.sheet = InviteForm::to(&talk).map(Sheet::Invite);
            }
        }
        if pressed(Modifiers::COMMAND | Modifiers::SHIFT, Key::E) {
            self.send(talk.id().leave());
        }
    }

    /// Space, unless somebody types.
    fn talk_key(&mut self, ctx: &Context, now: &Snapshot, talking: bool) {
        let waits = talking && now.audio.transmit == TransmitMode::OnKey && !ctx.egui_wants_keyboard_input();
        let down = waits && ctx.input(|input| input.focused && input.key_down(Key::Space));
        if down != self.talk_key_down {
            self.talk_key_down = down;
            self.send(CommandKind::HoldTalkKey { down });
        }
    }

    fn panels(&mut self, ui: &mut Ui, now: &Snapshot, talks: &Talks<'_>) {
        let palette = palette(ui.ctx());
        let at = super::now();
        let wide = ui.available_width() >= WIDE;
        let rail = Frame::new().fill(palette.rail).inner_margin(Margin::symmetric(10, 14));
        let panel = Panel::left("rail").exact_size(64.0).resizable(false).show_separator_line(false).frame(rail);
        panel.show(ui, |ui| screens::rail(self, ui, now));
        let at_call = talks.current.filter(|_| self.at_call);
        let list_alone = !wide && at_call.is_none() && self.section == Section::People && self.chosen.is_none();
        if wide {
            let frame = Frame::new().fill(palette.surface);
            let panel =
                Panel::left("people").default_size(self.desktop.list_width()).size_range(240.0..=380.0).frame(frame);
            panel.show(ui, |ui| screens::people(self, ui, now, talks, at));
            // egui lets the keyboard go to the panel's edge, and has no name for it.
            if let Some(edge) = ui.ctx().read_response(Id::new("people").with("__resize")) {
                edge.widget_info(|| WidgetInfo::labeled(WidgetType::ResizeHandle, true, words::LIST_WIDTH.text()));
            }
        }
        // The window is cleared to the canvas: software renderers need not paint it twice.
        let fill = if list_alone { palette.surface } else { Color32::TRANSPARENT };
        CentralPanel::default().frame(Frame::new().fill(fill)).show(ui, |ui| {
            screens::beside(self, ui, now, talks, at);
            match at_call {
                Some(Talk::Call(call)) => return screens::call(self, ui, now, call, at),
                Some(Talk::Group(group)) => return screens::group(self, ui, now, group, at),
                None => {}
            }
            match (self.section, self.chosen) {
                (Section::People, _) if list_alone => screens::people(self, ui, now, talks, at),
                (Section::People, Some(person)) => screens::conversation(self, ui, now, person, !wide),
                (Section::People, None) | (Section::You, _) => screens::you(self, ui, now),
                (Section::Network, _) => screens::network(self, ui),
                (Section::Settings, _) => screens::settings(self, ui, now),
            }
        });
    }
}

impl eframe::App for App {
    /// Runs also while the window is hidden, so that a call is noticed then.
    fn logic(&mut self, ctx: &Context, _: &mut eframe::Frame) {
        let now = self.engine.snapshot();
        self.notes.look(&now);
        self.look_at_groups(&now);
        while let Some(stamped) = self.events.try_recv() {
            self.heard(ctx, &stamped);
        }
        desktop::attend(self, ctx);
    }

    fn on_exit(&mut self, _: Option<&eframe::glow::Context>) {
        self.desktop.leave();
    }

    fn clear_color(&self, visuals: &Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        if self.desktop.is_hidden() {
            return;
        }
        let now: Arc<Snapshot> = self.engine.snapshot();
        self.dress(ui.ctx(), &now);
        self.watch_levels(ui.ctx(), &now);
        self.look_at_backup(ui.ctx());
        self.frame(ui, &now);
    }
}

impl App {
    /// All that is on screen.
    pub fn frame(&mut self, ui: &mut Ui, now: &Snapshot) {
        let talks = Talks::of(now);
        let ctx = ui.ctx().clone();
        // What a screen reader calls the window.
        ctx.accesskit_node_builder(egui::accesskit_root_id(), |window| window.set_label(words::TITLE.text()));
        self.keys(&ctx, now, &talks);
        self.look_at_pictures(&ctx);
        if self.welcome.is_some() && talks.current.is_none() {
            screens::welcome(self, ui, now);
        } else {
            self.panels(ui, now, &talks);
        }
        screens::sheet(self, &ctx, now);
        // Who rings during a call is announced beside it.
        if let Some(talk) = talks.rings.filter(|_| talks.current.is_none()) {
            screens::incoming(self, &ctx, now, talk);
        }
        if let Some(second) = talks.next_second(super::now()) {
            ctx.request_repaint_after(second);
        }
    }
}

/// The picture of the program, smooth in every size.
pub fn icon_texture(ctx: &Context, icon: &egui::IconData) -> TextureHandle {
    let size = [icon.width as usize, icon.height as usize];
    let image = ColorImage::from_rgba_unmultiplied(size, &icon.rgba);
    ctx.load_texture("icon", image, TextureOptions::LINEAR.with_mipmap_mode(Some(TextureFilter::Linear)))
}

/// One pixel per module. A bare link in upper case fits the compact alphanumeric mode (ISO/IEC 18004 §7.4.4), and
/// links are read without regard to case.
fn qr_image(link: &Link) -> Option<ColorImage> {
    let bare = link.name.is_none() && link.hints.is_empty();
    let text = if bare { link.to_string().to_uppercase() } else { link.to_string() };
    let code = QrCode::new(text).ok()?;
    let ink = |colour: Color| if colour == Color::Dark { QR_INK } else { QR_GROUND };
    let pixels = code.to_colors().into_iter().map(ink).collect();
    Some(ColorImage::new([code.width(), code.width()], pixels))
}
