//! One person: whether they are there, a way to call them, and the calls there were.

use eframe::egui::{
    Align, Direction, Frame, Label, Layout, Margin, Panel, Popup, RichText, ScrollArea, Sense, Ui, vec2,
};
use lucide_icons::Icon;

use super::people::icon_of;
use super::sheet::suggested_name;
use crate::base::Person;
use crate::engine::{CommandKind, Route, Snapshot};
use crate::ui::app::{App, Notice, Offer, Sheet};
use crate::ui::groups::link_of;
use crate::ui::theme::{Type, palette, radius, space};
use crate::ui::view::{Clock, Entry, Line, Row};
use crate::ui::widgets::{Kind, button, cut, emptiness, icon_button, label, line, paint_avatar, pill, pill_within};
use crate::ui::words;

/// Height of a row.
const ROW: f32 = 32.0;

pub fn conversation(app: &mut App, ui: &mut Ui, now: &Snapshot, person: Person, back: bool) {
    let palette = palette(ui.ctx());
    let Some(row) = app.row_of(now, person) else {
        // Just added: the address book follows in a moment, or what is wrong with it.
        return notice(app, ui);
    };
    app.look_at(person);
    let frame = Frame::new().inner_margin(Margin::symmetric(20, 0));
    let panel = Panel::top("conversation header").exact_size(64.0).resizable(false).frame(frame);
    panel.show(ui, |ui| ui.horizontal_centered(|ui| header(app, ui, now, &row, back)));
    notice(app, ui);
    let clock = (app.clock)();
    let entries = app.past(person, &clock);
    Frame::new().inner_margin(Margin::symmetric(20, 0)).show(ui, |ui| {
        if entries.is_empty() {
            ui.add_space(ui.available_height() * 0.3);
            return emptiness(ui, Icon::Phone, words::NO_CALLS, words::NO_CALLS_BODY);
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        let area = ScrollArea::vertical().auto_shrink(false).stick_to_bottom(true);
        area.show_rows(ui, ROW, entries.len(), |ui, shown| {
            for entry in entries.get(shown).unwrap_or_default() {
                let row = vec2(ui.available_width(), ROW);
                ui.allocate_ui_with_layout(row, Layout::centered_and_justified(Direction::LeftToRight), |ui| {
                    ui.set_min_size(row);
                    match entry {
                        Entry::Day(day) => drop(label(ui, day, Type::Caption, palette.text3)),
                        Entry::Call(line) => past_call(app, ui, now, line, &clock),
                    }
                });
            }
        });
    });
}

fn header(app: &mut App, ui: &mut Ui, now: &Snapshot, row: &Row, back: bool) {
    let palette = palette(ui.ctx());
    if back && icon_button(ui, Icon::ArrowLeft, words::BACK, 36.0).clicked() {
        app.choose(None);
    }
    let (rect, _) = ui.allocate_exact_size(vec2(38.0, 38.0), Sense::hover());
    paint_avatar(ui.painter(), rect.center(), 38.0, &row.name, row.person.as_bytes(), palette.on_fill);
    ui.add_space(space::XS);
    let known = app.looked_up.filter(|known| known.person == row.person).and_then(|known| known.online);
    let (state, ink) = match known {
        _ if row.in_group => (words::IN_GROUP, palette.success),
        _ if row.in_call => (words::IN_CALL, palette.success),
        _ if row.blocked => (words::BLOCKED, palette.danger),
        Some(true) => (words::ONLINE, palette.success),
        Some(false) => (words::OFFLINE, palette.text2),
        None => (words::LOOKING, palette.text2),
    };
    let verified = now.person(row.person).verified_unix_s.is_some();
    let state = if verified { format!("{} · {state}", words::VERIFIED) } else { state.to_string() };
    let state = if row.is_contact { state } else { format!("{} · {state}", words::NOT_A_CONTACT) };
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        more(app, ui, now, row);
        if !row.is_contact && icon_button(ui, Icon::UserRoundPlus, words::ADD_CONTACT, 36.0).clicked() {
            app.sheet = Some(Sheet::Add { link: row.link.clone(), name: suggested_name(&row.link) });
        }
        if !row.in_call && !row.blocked && button(ui, Some(Icon::Phone), words::CALL, Kind::Success).clicked() {
            app.dial(row.link.clone());
        }
        ui.with_layout(Layout::top_down(Align::Min), |ui| {
            ui.spacing_mut().item_spacing.y = 1.0;
            ui.add_space((ui.available_height() - 36.0).max(0.0) / 2.0);
            line(ui, &row.name, Type::Heading, palette.text);
            line(ui, &state, Type::Small, ink);
        });
    });
}

fn more(app: &mut App, ui: &mut Ui, now: &Snapshot, row: &Row) {
    let button = icon_button(ui, Icon::EllipsisVertical, words::MORE, 36.0);
    Popup::menu(&button).show(|ui| {
        if row.is_contact && ui.button(words::RENAME).clicked() {
            app.sheet = Some(Sheet::Rename { person: row.person, name: row.name.clone() });
        }
        let set = now.person(row.person);
        let mut verified = set.verified_unix_s.is_some();
        if ui.checkbox(&mut verified, words::VERIFIED).on_hover_text(words::VERIFIED_BODY.text()).changed() {
            app.send(CommandKind::SetVerified { person: row.person, verified });
        }
        let mut detour = set.route == Route::RelayOnly;
        if ui.checkbox(&mut detour, words::DETOUR).on_hover_text(words::DETOUR_BODY.text()).changed() {
            let route = if detour { Route::RelayOnly } else { Route::Any };
            app.send(CommandKind::SetRoute { person: row.person, route });
        }
        if ui.button(if row.blocked { words::UNBLOCK } else { words::BLOCK }).clicked() {
            app.send(CommandKind::SetBlocked { person: row.person, blocked: !row.blocked });
        }
        if row.is_contact && ui.button(words::REMOVE).clicked() {
            app.sheet = Some(Sheet::Remove { person: row.person, name: row.name.clone() });
        }
    });
}

/// How the last call ended or what went wrong, until it is put away.
pub fn notice(app: &mut App, ui: &mut Ui) {
    let Some(Notice { text, detail, worry, offer }) = app.notice.clone() else { return };
    let palette = palette(ui.ctx());
    let (ink, fill) = if worry { (palette.warn, palette.warn_weak) } else { (palette.text2, palette.chip) };
    Frame::new().inner_margin(Margin { left: 20, right: 20, top: 12, bottom: 0 }).show(ui, |ui| {
        let inside = Frame::new().fill(fill).corner_radius(radius::CARD).inner_margin(Margin::symmetric(16, 6));
        inside.show(ui, |ui| {
            let row = vec2(ui.available_width(), 32.0);
            ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
                if icon_button(ui, Icon::X, words::DISMISS, 28.0).clicked() {
                    app.notice = None;
                }
                if let Some(offer) = offer {
                    let (icon, name) = match offer {
                        Offer::CallAgain(_) => (Icon::Phone, words::CALL_AGAIN),
                        Offer::InviteAgain(..) => (Icon::UserRoundPlus, words::INVITE_AGAIN),
                        Offer::Unmute => (Icon::Mic, words::UNMUTE_NOW),
                        Offer::OpenSettings => (Icon::Settings, words::OPEN_SETTINGS),
                    };
                    if button(ui, Some(icon), name, Kind::Soft).clicked() {
                        app.notice = None;
                        app.accept(offer);
                    }
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let said = |text: String, ink| Label::new(RichText::new(text).font(Type::Small.font()).color(ink));
                    let Some(detail) = detail else {
                        ui.add(said(text, ink).wrap());
                        return;
                    };
                    ui.vertical(|ui| {
                        ui.spacing_mut().item_spacing.y = 2.0;
                        ui.add(said(text, ink).wrap());
                        ui.add(said(detail, palette.text2).wrap());
                    });
                });
            });
        });
    });
}

fn past_call(app: &mut App, ui: &mut Ui, now: &Snapshot, line: &Line, clock: &Clock) {
    let palette = palette(ui.ctx());
    let (icon, worry) = icon_of(line);
    let (ink, fill) = if worry { (palette.danger, palette.danger_weak) } else { (palette.text2, palette.surface) };
    let text = format!("{} · {}", line.text, clock.time(line.started_unix_s));
    if line.members.is_empty() {
        ui.vertical_centered(|ui| pill(ui, Some(icon), text, ink, fill));
        return;
    }
    ui.horizontal(|ui| {
        // A long one is cut, for the button behind it is wanted.
        let room = ui.available_width() - 36.0;
        let width = cut(ui, &text, Type::Caption, ink, f32::INFINITY).size().x + 35.0;
        ui.add_space(((room - width) / 2.0).max(0.0));
        pill_within(ui, Some(icon), text, ink, fill, room);
        if icon_button(ui, Icon::Phone, words::CALL_THEM_AGAIN, 26.0).clicked() {
            app.call_all(line.members.iter().map(|person| link_of(now, *person)).collect());
        }
    });
}
