//! Choosing people: for a call that is to be, for a group call, or to make one of a call between two.

use std::sync::Arc;

use eframe::egui::{
    Align, Context, Id, Label, Layout, Response, RichText, ScrollArea, Sense, Stroke, StrokeKind, Ui, WidgetInfo,
    WidgetType, pos2, vec2,
};
use lucide_icons::Icon;

use crate::base::{CallId, GroupId, Person};
use crate::engine::{GroupCommand, Snapshot, SnapshotGroup};
use crate::identity::Link;
use crate::ui::app::App;
use crate::ui::screens::people::{Pasted, pasted, search_field};
use crate::ui::theme::{Type, palette, radius, space};
use crate::ui::view::{Row, Talk};
use crate::ui::widgets::{Kind, button, cut, label, modal, paint_avatar, paint_icon};
use crate::ui::words;

const WIDTH: f32 = 344.0;
const ROW: f32 = 46.0;
/// Of the list: so many rows and a half, so that it is seen to go on.
const LIST: f32 = 4.5 * ROW;

/// Into what people are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Into {
    NewCall,
    Group(GroupId),
    /// A call between two, which becomes a group call.
    Call(CallId, Option<Person>),
}

/// What is being chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct InviteForm {
    into: Into,
    pub search: String,
    /// In the order in which they were chosen.
    pub chosen: Vec<Link>,
    is_new: bool,
}

impl InviteForm {
    pub fn new_call() -> Self {
        Self { into: Into::NewCall, search: String::new(), chosen: Vec::new(), is_new: true }
    }

    pub fn group(group: GroupId) -> Self {
        Self { into: Into::Group(group), ..Self::new_call() }
    }

    pub fn call(call: CallId, peer: Option<Person>) -> Self {
        Self { into: Into::Call(call, peer), ..Self::new_call() }
    }

    /// For the running call; `None`: it is with an endpoint that knows no group calls.
    pub fn to(talk: &Talk<'_>) -> Option<Self> {
        match talk {
            Talk::Call(call) => call.peer.map(|peer| Self::call(call.call, Some(peer))),
            Talk::Group(group) => Some(Self::group(group.group)),
        }
    }

    fn is_chosen(&self, person: Person) -> bool {
        self.chosen.iter().any(|link| link.person == person)
    }

    fn toggle(&mut self, link: &Link, room: usize) {
        match self.chosen.iter().position(|chosen| chosen.person == link.person) {
            Some(at) => drop(self.chosen.remove(at)),
            None if room > 0 => self.chosen.push(link.clone()),
            None => {}
        }
    }
}

/// Whether it is to stay open.
pub fn invite(app: &mut App, ctx: &Context, now: &Snapshot, form: &mut InviteForm) -> bool {
    if std::mem::take(&mut form.is_new) {
        app.groups.about_links = None;
        app.groups.focus_choice = true;
    }
    let group = match form.into {
        Into::Group(id) => match now.groups.iter().find(|group| group.group == id) {
            Some(group) => Some(group),
            // It has ended, and the notice says how.
            None => return false,
        },
        // It has ended, or somebody else has made a group call of it.
        Into::Call(id, _) if !now.calls.iter().any(|call| call.call == id && call.group.is_none()) => return false,
        Into::Call(..) | Into::NewCall => None,
    };
    let mut done = false;
    let shown = modal(ctx, "invite", 24).show(ctx, |ui| {
        ui.set_width(WIDTH.min(ctx.content_rect().width() - 72.0));
        done = panel(app, ui, now, form, group);
    });
    !done && !shown.should_close()
}

/// True when there is nothing more to choose.
fn panel(app: &mut App, ui: &mut Ui, now: &Snapshot, form: &mut InviteForm, group: Option<&SnapshotGroup>) -> bool {
    let palette = palette(ui.ctx());
    let title = match form.into {
        Into::NewCall => words::NEW_GROUP,
        Into::Group(_) => words::INVITE_TITLE,
        Into::Call(..) => words::ADD_PEOPLE_TITLE,
    };
    label(ui, title, Type::Title, palette.text);
    if let Into::Call(..) = form.into {
        ui.add(Label::new(RichText::new(words::ADD_PEOPLE_BODY).font(Type::Small.font()).color(palette.text2)).wrap());
    }
    let most = group.map_or_else(GroupCommand::most_people, |group| group.limit);
    let there = match (form.into, group) {
        (Into::Group(_), Some(group)) => 1 + group.members.len(),
        (Into::Call(..), _) => 2,
        (Into::NewCall | Into::Group(_), _) => 1,
    };
    let places = most.saturating_sub(there);
    let room = places.saturating_sub(form.chosen.len());
    ui.add_space(space::XS);
    let focus = std::mem::take(&mut app.groups.focus_choice);
    let entered = search_field(ui, &mut form.search, focus);
    candidates(app, ui, now, form, group, room, entered);
    let (text, ink) = if places == 0 {
        (words::group_full(most), palette.warn)
    } else {
        (words::chosen(form.chosen.len(), room, most), palette.text2)
    };
    ui.add(Label::new(RichText::new(text).font(Type::Small.font()).color(ink)).wrap());
    if let Some(group) = group {
        links(app, ui, group);
    }
    ui.add_space(space::M);
    let mut done = false;
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 36.0), Layout::right_to_left(Align::Center), |ui| {
        let count = form.chosen.len();
        let word = match form.into {
            Into::NewCall => words::call_people(count.max(1)),
            Into::Group(_) | Into::Call(..) => words::INVITE.into(),
        };
        let yes = ui.add_enabled_ui(count > 0, |ui| button(ui, Some(Icon::Phone), word, Kind::Success)).inner;
        if yes.clicked() {
            carry_out(app, form);
            done = true;
        }
        done |= button(ui, None, words::CANCEL, Kind::Soft).clicked();
    });
    done
}

/// The people who can be chosen, or the one whose link was pasted.
fn candidates(
    app: &mut App,
    ui: &mut Ui,
    now: &Snapshot,
    form: &mut InviteForm,
    group: Option<&SnapshotGroup>,
    room: usize,
    entered: bool,
) {
    let palette = palette(ui.ctx());
    let peer = match form.into {
        Into::Call(_, peer) => peer,
        Into::NewCall | Into::Group(_) => None,
    };
    let is_there = |person: Person| {
        let member = group.is_some_and(|group| group.members.iter().any(|member| member.person == person));
        member || peer == Some(person) || now.me == Some(person)
    };
    match pasted(&form.search, now) {
        Pasted::Person(link) if !is_there(link.person) => {
            if !form.is_chosen(link.person) {
                form.toggle(&link, room);
            }
            form.search.clear();
        }
        Pasted::Person(_) => form.search.clear(),
        Pasted::Wrong(why) => {
            ui.add(Label::new(RichText::new(why).font(Type::Small.font()).color(palette.danger)).wrap());
        }
        Pasted::Group(_) | Pasted::Nothing => {}
    }
    let found: Arc<[Row]> = app.groups.choice.rows(now, &app.history, &form.search);
    let strangers = form.chosen.iter().filter(|link| !found.iter().any(|row| row.person == link.person));
    // Whose link was pasted stands on top, to be taken back.
    let mut shown: Vec<(Link, String)> = strangers.map(|link| (link.clone(), name_of(link))).collect();
    let free = found.iter().filter(|row| !row.blocked && !is_there(row.person));
    shown.extend(free.map(|row| (row.link.clone(), row.name.clone())));
    if let (true, Some((first, _))) = (entered, shown.first()) {
        form.toggle(first, room);
        form.search.clear();
    }
    // The next name can be typed at once.
    app.groups.focus_choice |= entered;
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        let area = ScrollArea::vertical().id_salt("candidates").auto_shrink(false).min_scrolled_height(ROW);
        area.max_height(LIST.min(shown.len().max(1) as f32 * (ROW + 2.0))).show_rows(
            ui,
            ROW,
            shown.len(),
            |ui, rows| {
                for (link, name) in shown.get(rows).unwrap_or_default() {
                    let chosen = form.is_chosen(link.person);
                    if candidate(ui, link.person, name, chosen, chosen || room > 0).clicked() {
                        form.toggle(link, room);
                    }
                }
            },
        );
    });
    if shown.is_empty() {
        let none = RichText::new(words::NOBODY_TO_INVITE).font(Type::Small.font()).color(palette.text2);
        ui.add(Label::new(none).wrap());
    }
}

fn name_of(link: &Link) -> String {
    link.name.clone().unwrap_or_else(|| link.person.abbreviated())
}

fn candidate(ui: &mut Ui, person: Person, name: &str, chosen: bool, free: bool) -> Response {
    let palette = palette(ui.ctx());
    let sense = if free { Sense::click() } else { Sense::hover() };
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let response = ui.interact(rect, Id::new(("candidate", person)), sense);
    response.widget_info(|| WidgetInfo::selected(WidgetType::Checkbox, free, chosen, name));
    let t = ui.ctx().animate_bool_responsive(response.id, response.hovered() && free);
    let fill = if chosen { palette.accent_weak } else { palette.raised.lerp_to_gamma(palette.hover, t) };
    let rounding = f32::from(radius::CONTROL);
    ui.painter().rect_filled(rect, rounding, fill);
    if response.has_focus() {
        ui.painter().rect_stroke(rect, rounding, Stroke::new(2.0, palette.accent), StrokeKind::Inside);
    }
    let fade = if free { 1.0 } else { 0.45 };
    let avatar = pos2(rect.left() + 26.0, rect.center().y);
    paint_avatar(ui.painter(), avatar, 32.0, name, person.as_bytes(), palette.on_fill);
    let text = cut(ui, name, Type::Strong, palette.text.gamma_multiply(fade), rect.width() - 96.0);
    ui.painter().galley(pos2(rect.left() + 52.0, rect.center().y - text.size().y / 2.0), text, palette.text);
    let tick = pos2(rect.right() - 24.0, rect.center().y);
    if chosen {
        ui.painter().circle_filled(tick, 10.0, palette.accent_fill);
        paint_icon(ui.painter(), tick, Icon::Check, 13.0, palette.on_fill);
    } else {
        ui.painter().circle_stroke(tick, 9.5, Stroke::new(1.5, palette.border_strong));
    }
    response
}

/// Links with which anybody can join.
fn links(app: &mut App, ui: &mut Ui, group: &SnapshotGroup) {
    let palette = palette(ui.ctx());
    ui.add_space(space::S);
    ui.separator();
    let (text, ink) = match &app.groups.about_links {
        Some(told) => (told.clone(), palette.success),
        None => (words::COPY_JOIN_LINK_BODY.into(), palette.text2),
    };
    if button(ui, Some(Icon::Link2), words::COPY_JOIN_LINK, Kind::Soft).clicked() {
        app.make_link(group.group);
    }
    ui.add(Label::new(RichText::new(text).font(Type::Small.font()).color(ink)).wrap());
    if button(ui, Some(Icon::Unlink), words::REVOKE_LINKS, Kind::Ghost).clicked() {
        app.revoke_links(group.group);
    }
}

fn carry_out(app: &mut App, form: &mut InviteForm) {
    let chosen = std::mem::take(&mut form.chosen);
    match form.into {
        Into::NewCall => app.call_all(chosen),
        Into::Call(call, _) => app.start_group(chosen, vec![call]),
        Into::Group(group) => {
            for person in chosen {
                app.group(GroupCommand::Invite { group, person });
            }
        }
    }
}
