//! Everybody: the address book and whoever called. The field above also takes a link.

use std::time::Instant;

use eframe::egui::{
    Align, Frame, Key, Label, Layout, Margin, Response, RichText, ScrollArea, Sense, Stroke, StrokeKind, TextEdit, Ui,
    WidgetInfo, WidgetType, pos2, vec2,
};
use lucide_icons::Icon;

use super::group::InviteForm;
use super::sheet::suggested_name;
use crate::engine::{JoinLink, Snapshot, SnapshotCall};
use crate::identity::Link;
use crate::ui::app::{App, Section, Sheet};
use crate::ui::theme::{Type, palette, radius, space};
use crate::ui::view::{Clock, Line, Outcome, Row, Talk, Talks};
use crate::ui::widgets::{Kind, button, card, cut, emptiness, icon_button, label, line, paint_avatar, paint_icon};
use crate::ui::words;

const ROW: f32 = 62.0;

pub fn people(app: &mut App, ui: &mut Ui, now: &Snapshot, talks: &Talks<'_>, at: Instant) {
    let palette = palette(ui.ctx());
    let link = pasted(&app.search, now);
    let mut entered = false;
    Frame::new().inner_margin(Margin { left: 16, right: 12, top: 14, bottom: 8 }).show(ui, |ui| {
        let row = vec2(ui.available_width(), 32.0);
        ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
            if talks.current.is_none() && icon_button(ui, Icon::UsersRound, words::NEW_GROUP, 32.0).clicked() {
                app.sheet = Some(Sheet::Invite(InviteForm::new_call()));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                label(ui, words::PEOPLE, Type::Title, palette.text);
            });
        });
        let focus = std::mem::take(&mut app.focus_search);
        entered = search_field(ui, &mut app.search, focus);
        match &link {
            Pasted::Person(link) => stranger(app, ui, now, link),
            Pasted::Group(link) => door(app, ui, link),
            Pasted::Wrong(why) => {
                ui.add(Label::new(RichText::new(why).font(Type::Small.font()).color(palette.danger)).wrap());
            }
            Pasted::Nothing => {}
        }
    });
    let search = if link == Pasted::Nothing { app.search.clone() } else { String::new() };
    let rows = app.find(now, &search);
    match (&link, rows.first()) {
        (Pasted::Person(link), _) if entered => return app.dial(link.clone()),
        (Pasted::Group(link), _) if entered => return app.join(link.to_string()),
        (Pasted::Nothing, Some(first)) if entered => app.choose(Some(first.person)),
        _ => {}
    }
    if rows.is_empty() {
        ui.add_space(space::XXL);
        let (title, body) = match search.as_str() {
            "" => (words::NOBODY_YET, words::NOBODY_YET_BODY),
            _ => (words::NOBODY_FOUND, words::NOBODY_FOUND_BODY),
        };
        return emptiness(ui, Icon::UsersRound, title, body);
    }
    let clock = (app.clock)();
    ui.spacing_mut().item_spacing.y = 2.0;
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW, rows.len(), |ui, shown| {
        for person in rows.get(shown).unwrap_or_default() {
            let all = talks.current.iter().chain(&talks.aside).chain(&talks.rings);
            let talk = all.filter_map(Talk::call).find(|call| call.peer == Some(person.person));
            if row(app, ui, person, talk, &clock, at).clicked() {
                app.choose(Some(person.person));
                app.at_call = talks.current.and_then(|talk| talk.peer()) == Some(person.person);
            }
        }
    });
}

/// What was typed, if it is to be a link: the link, or what is wrong with it.
pub fn pasted(text: &str, now: &Snapshot) -> Pasted {
    let text = text.trim();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(with));
    if begins("twocans:join/") || begins("twocans://join/") {
        return match text.parse::<JoinLink>() {
            Ok(link) => Pasted::Group(Box::new(link)),
            Err(why) => Pasted::Wrong(words::sentence(&why.to_string())),
        };
    }
    match text.parse::<Link>() {
        Ok(link) if Some(link.person) == now.me => Pasted::Wrong(words::OWN_LINK.into()),
        Ok(link) => Pasted::Person(link),
        Err(why) if begins("twocans:") => Pasted::Wrong(words::sentence(&why.to_string())),
        Err(_) => Pasted::Nothing,
    }
}

/// What was typed into a search field besides names.
#[derive(Debug, Clone, PartialEq)]
pub enum Pasted {
    Nothing,
    Person(Link),
    /// A link to join a group call.
    Group(Box<JoinLink>),
    /// It was to be a link: what is wrong with it.
    Wrong(String),
}

/// True when Enter was pressed in it.
pub fn search_field(ui: &mut Ui, text: &mut String, focus: bool) -> bool {
    let palette = palette(ui.ctx());
    let frame = Frame::new()
        .fill(palette.canvas)
        .stroke(Stroke::new(1.0, palette.border))
        .corner_radius(radius::CONTROL)
        .inner_margin(Margin::symmetric(10, 0));
    let edit = frame.show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.set_height(34.0);
            let (rect, _) = ui.allocate_exact_size(vec2(16.0, 34.0), Sense::hover());
            paint_icon(ui.painter(), rect.center(), Icon::Search, 15.0, palette.text3);
            let hint = RichText::new(words::SEARCH).font(Type::Small.font()).color(palette.text3);
            let edit = TextEdit::singleline(text)
                .frame(Frame::NONE)
                .margin(Margin::ZERO)
                .min_size(vec2(0.0, 34.0))
                .vertical_align(Align::Center)
                .hint_text(hint)
                .font(Type::Body.font())
                .desired_width(f32::INFINITY);
            ui.add(edit)
        })
        .inner
    });
    let (rect, edit) = (edit.response.rect, edit.inner);
    edit.widget_info(|| WidgetInfo::labeled(WidgetType::TextEdit, true, words::SEARCH));
    if edit.has_focus() {
        let ring = Stroke::new(2.0, palette.accent);
        ui.painter().rect_stroke(rect, f32::from(radius::CONTROL), ring, StrokeKind::Inside);
    }
    if focus {
        edit.request_focus();
    }
    edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}

/// A link to a group call was pasted.
fn door(app: &mut App, ui: &mut Ui, link: &JoinLink) {
    let palette = palette(ui.ctx());
    card(ui).fill(palette.raised).show(ui, |ui| {
        ui.set_width(ui.available_width());
        let name = link.name.clone().unwrap_or_else(|| link.author.abbreviated());
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(32.0, 32.0), Sense::hover());
            paint_avatar(ui.painter(), rect.center(), 32.0, &name, link.author.as_bytes(), palette.on_fill);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 1.0;
                line(ui, &words::JOIN_LINK, Type::Strong, palette.text);
                line(ui, &words::join_link_of(&name), Type::Small, palette.text2);
            });
        });
        if button(ui, Some(Icon::LogIn), words::ASK_TO_JOIN, Kind::Success).clicked() {
            app.join(link.to_string());
        }
    });
}

/// Somebody whose link was pasted.
fn stranger(app: &mut App, ui: &mut Ui, now: &Snapshot, link: &Link) {
    let palette = palette(ui.ctx());
    let contact = now.contacts.iter().find(|contact| contact.person == link.person);
    let name = contact.and_then(|contact| contact.name.clone()).unwrap_or_else(|| suggested_name(link));
    app.look_at(link.person);
    card(ui).fill(palette.raised).show(ui, |ui| {
        ui.set_width(ui.available_width());
        let shown = if name.is_empty() { link.person.abbreviated() } else { name.clone() };
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(32.0, 32.0), Sense::hover());
            paint_avatar(ui.painter(), rect.center(), 32.0, &shown, link.person.as_bytes(), palette.on_fill);
            line(ui, &shown, Type::Strong, palette.text);
        });
        ui.horizontal(|ui| {
            if button(ui, Some(Icon::Phone), words::CALL, Kind::Success).clicked() {
                app.dial(link.clone());
            }
            if contact.is_none() && button(ui, Some(Icon::UserRoundPlus), words::ADD_CONTACT, Kind::Soft).clicked() {
                app.sheet = Some(Sheet::Add { link: link.clone(), name });
            }
        });
    });
}

fn row(app: &App, ui: &mut Ui, row: &Row, talk: Option<&SnapshotCall>, clock: &Clock, at: Instant) -> Response {
    let palette = palette(ui.ctx());
    let on = app.chosen == Some(row.person) && app.section == Section::People;
    let (full, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    let rect = full.shrink2(vec2(8.0, 1.0));
    let t = ui.ctx().animate_bool_responsive(response.id, response.hovered());
    let ground = if on { palette.accent_weak } else { palette.surface.lerp_to_gamma(palette.hover, t) };
    ui.painter().rect_filled(rect, f32::from(radius::CONTROL), ground);
    if response.has_focus() {
        let ring = Stroke::new(2.0, palette.accent);
        ui.painter().rect_stroke(rect, f32::from(radius::CONTROL), ring, StrokeKind::Inside);
    }
    let avatar = pos2(rect.left() + 30.0, rect.center().y);
    paint_avatar(ui.painter(), avatar, 40.0, &row.name, row.person.as_bytes(), palette.on_fill);

    let left = rect.left() + 62.0;
    let when = row.last.as_ref().map_or_else(String::new, |line| clock.brief(line.started_unix_s));
    let when = ui.painter().layout_no_wrap(when, Type::Small.font(), palette.text3);
    let until = rect.right() - 10.0 - when.size().x;
    ui.painter().galley(pos2(until, rect.top() + 12.0), when, palette.text3);
    let name = cut(ui, &row.name, Type::Strong, palette.text, until - left - 10.0);
    ui.painter().galley(pos2(left, rect.top() + 10.0), name, palette.text);

    let (icon, text, ink) = match (talk, &row.last) {
        (Some(talk), _) => (Some(Icon::PhoneCall), words::in_call(talk, at), palette.success),
        (None, _) if row.in_group => (Some(Icon::UsersRound), words::IN_GROUP.into(), palette.success),
        (None, _) if row.blocked => (Some(Icon::Ban), words::BLOCKED.into(), palette.text3),
        (None, Some(line)) => {
            let (icon, worry) = icon_of(line);
            (Some(icon), line.text.clone(), if worry { palette.danger } else { palette.text2 })
        }
        (None, None) => (None, words::NO_CALLS.into(), palette.text3),
    };
    let indent = if let Some(icon) = icon {
        paint_icon(ui.painter(), pos2(left + 7.0, rect.top() + 41.0), icon, 13.0, ink);
        20.0
    } else {
        0.0
    };
    let line = cut(ui, &text, Type::Small, ink, rect.right() - left - indent - 10.0);
    ui.painter().galley(pos2(left + indent, rect.top() + 33.0), line, ink);
    response
        .widget_info(|| WidgetInfo::selected(WidgetType::SelectableLabel, true, on, format!("{}, {text}", row.name)));
    response
}

/// The picture of a past call, and whether it is one to notice.
pub fn icon_of(line: &Line) -> (Icon, bool) {
    match line.outcome {
        Outcome::Outgoing | Outcome::Incoming | Outcome::Failed if !line.members.is_empty() => {
            (Icon::UsersRound, false)
        }
        Outcome::Outgoing => (Icon::PhoneOutgoing, false),
        Outcome::Incoming => (Icon::PhoneIncoming, false),
        Outcome::Missed => (Icon::PhoneMissed, true),
        Outcome::Failed => (Icon::PhoneOff, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::PersonKey;

    #[test]
    fn the_search_field_tells_links_from_names() {
        let [us, bob] = [1, 2].map(|seed| PersonKey::from_seed(&[seed; 32]).person());
        let now = Snapshot { me: Some(us), ..Snapshot::default() };
        let link = |person| Link { person, name: None, hints: Vec::new() };
        assert_eq!(pasted("Bob", &now), Pasted::Nothing);
        assert_eq!(pasted(&format!(" {} ", link(bob)), &now), Pasted::Person(link(bob)));
        assert_eq!(pasted(&link(us).to_string(), &now), Pasted::Wrong(words::OWN_LINK.into()));
        assert!(matches!(pasted("twocans:nonsense", &now), Pasted::Wrong(_)));
        // What is wrong with a link to a group is said of such a link, not of a person's.
        for damaged in ["twocans:join/yyyy", "TWOCANS:JOIN/", "twocans://join/ö"] {
            let Pasted::Wrong(why) = pasted(damaged, &now) else { panic!("{damaged} is no link") };
            assert!(why.contains("damaged"), "{damaged}: {why}");
        }
        // A letter that is cut in two is no reason to stop.
        assert_eq!(pasted("twocansöjoin/ö", &now), Pasted::Nothing);
    }
}
