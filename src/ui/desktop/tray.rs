//! The icon in the tray (StatusNotifierItem): whether we can be called, and a menu with what is wanted without the window.

use eframe::egui::{Color32, IconData};
use ksni::menu::StandardItem;
use ksni::{Category, MenuItem, OfflineReason, ToolTip, Tray, TrayMethods};
use tokio::sync::watch;

use super::picture::pictures;
use super::scene::{Caller, Scene};
use super::services::{Outbox, Service, Window, Wish};
use crate::engine::{CommandKind, Engine};
use crate::ui::view::TalkId;
use crate::ui::words;

/// The dot on the icon. It has to be seen on dark and light panels.
const CALLABLE: Color32 = Color32::from_rgb(0x2f, 0xb3, 0x6e);
const IN_CALL: Color32 = Color32::from_rgb(0x5b, 0x87, 0xf0);
const RINGING: Color32 = Color32::from_rgb(0xe6, 0x4b, 0x52);

/// Runs until the client ends.
pub async fn serve(mut engine: Engine, mut window: watch::Receiver<Window>, outbox: Outbox, icon: IconData) {
    let scene = Scene::of(&engine.snapshot());
    let item = Item { scene, engine: engine.clone(), outbox: outbox.clone(), pictures: Pictures::of(&icon) };
    // Whoever shows tray icons is told of ours when they come.
    outbox.say("tray", |status| &mut status.tray, Service::Works);
    let tray = match item.assume_sni_available(true).spawn().await {
        Ok(tray) => tray,
        Err(why) => {
            let why = Service::Fails(words::no_tray(&why.to_string()));
            return outbox.say("tray", |status| &mut status.tray, why);
        }
    };
    let mut shown = Scene::default();
    loop {
        let now = engine.snapshot();
        words::speak_as_chosen(&now.preferences);
        let scene = Scene::of(&now);
        if scene != shown {
            shown = scene.clone();
            if tray.update(|item| item.scene = scene).await.is_none() {
                return;
            }
        }
        tokio::select! {
            alive = engine.changed() => if !alive { break },
            changed = window.changed() => if changed.is_err() || window.borrow().leaving { break },
        }
    }
    tray.shutdown().await;
}

struct Item {
    scene: Scene,
    engine: Engine,
    outbox: Outbox,
    pictures: Pictures,
}

/// Drawn once.
struct Pictures {
    not_yet: Vec<ksni::Icon>,
    callable: Vec<ksni::Icon>,
    in_call: Vec<ksni::Icon>,
    ringing: Vec<ksni::Icon>,
}

impl Pictures {
    fn of(icon: &IconData) -> Self {
        let dot = |colour| pictures(icon, colour);
        Self {
            not_yet: dot(None),
            callable: dot(Some(CALLABLE)),
            in_call: dot(Some(IN_CALL)),
            ringing: dot(Some(RINGING)),
        }
    }
}

impl Item {
    /// In words, for whoever cannot tell the dots apart.
    fn state(&self) -> String {
        match &self.scene {
            Scene { rings: Some(Caller { talk: TalkId::Call(_), name, .. }), .. } => words::calls_you(name),
            Scene { rings: Some(Caller { talk: TalkId::Group(_), name, .. }), .. } => words::invites_you(name),
            Scene { talks: Some(_), muted: true, .. } => words::TRAY_MUTED.into(),
            Scene { talks: Some(_), .. } => words::TRAY_IN_CALL.into(),
            Scene { callable: true, .. } => words::TRAY_CALLABLE.into(),
            Scene { .. } => words::NOT_CALLABLE.into(),
        }
    }

    fn tell(&self, kind: CommandKind) {
        // What the engine refuses now is not there any more, or it is busy and the user clicks again.
        let _ = self.engine.send(kind);
    }
}

impl Tray for Item {
    fn id(&self) -> String {
        "twocans".into()
    }

    fn title(&self) -> String {
        words::TITLE.into()
    }

    fn category(&self) -> Category {
        Category::Communications
    }

    fn status(&self) -> ksni::Status {
        if self.scene.rings.is_some() { ksni::Status::NeedsAttention } else { ksni::Status::Active }
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        let pictures = &self.pictures;
        match self.scene {
            Scene { rings: Some(_), .. } => pictures.ringing.clone(),
            Scene { talks: Some(_), .. } => pictures.in_call.clone(),
            Scene { callable: true, .. } => pictures.callable.clone(),
            Scene { .. } => pictures.not_yet.clone(),
        }
    }

    fn attention_icon_pixmap(&self) -> Vec<ksni::Icon> {
        self.pictures.ringing.clone()
    }

    fn tool_tip(&self) -> ToolTip {
        // Some trays read the description as markup; the state names nobody but the caller, whom the menu names too.
        let description = if self.scene.rings.is_some() { words::INCOMING.into() } else { self.state() };
        ToolTip { title: words::TITLE.into(), description, ..ToolTip::default() }
    }

    fn activate(&mut self, _: i32, _: i32) {
        self.outbox.wish(Wish::Show);
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let state = StandardItem { label: label(&self.state()), enabled: false, ..StandardItem::default() };
        let mut menu = vec![state.into(), item(words::OPEN, |tray| tray.outbox.wish(Wish::Show)), MenuItem::Separator];
        if let Some(caller) = &self.scene.rings {
            let talk = caller.talk;
            let (yes, person) = match talk {
                TalkId::Call(_) => (words::ANSWER, caller.person),
                TalkId::Group(_) => (words::JOIN, None),
            };
            menu.push(item(yes, move |tray| {
                tray.tell(talk.take());
                tray.outbox.wish(Wish::ShowCall(person));
            }));
            menu.push(item(words::DECLINE, move |tray| tray.tell(talk.refuse())));
        }
        let muted = self.scene.muted;
        let mute = if muted { words::UNMUTE } else { words::MUTE };
        menu.push(item(mute, move |tray| tray.tell(CommandKind::SetMuted { muted: !muted })));
        if let Some(talk) = self.scene.talks {
            let word = match talk {
                TalkId::Call(_) => words::HANG_UP,
                TalkId::Group(_) => words::LEAVE,
            };
            menu.push(item(word, move |tray| tray.tell(talk.leave())));
        }
        menu.push(MenuItem::Separator);
        menu.push(item(words::QUIT, |tray| tray.outbox.wish(Wish::Quit)));
        menu
    }

    fn watcher_online(&self) {
        self.outbox.say("tray", |status| &mut status.tray, Service::Works);
    }

    fn watcher_offline(&self, reason: OfflineReason) -> bool {
        let why = match reason {
            OfflineReason::Error(ksni::Error::Dbus(why)) => words::no_tray(&why.to_string()),
            _ => words::NO_TRAY.into(),
        };
        self.outbox.say("tray", |status| &mut status.tray, Service::Fails(why));
        true
    }
}

fn item(name: impl AsRef<str>, act: impl Fn(&mut Item) + Send + 'static) -> MenuItem<Item> {
    StandardItem { label: label(name.as_ref()), activate: Box::new(act), ..StandardItem::default() }.into()
}

/// An underscore marks a menu's access key; two are one that is read.
fn label(text: &str) -> String {
    text.replace('_', "__")
}
