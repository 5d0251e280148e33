//! What goes on beside that which is looked at: somebody rings during a call, another call waits, the running call is not
//! on screen, a group call was left unfinished.

use std::time::Instant;

use eframe::egui::{Align, Color32, Frame, Label, Layout, Margin, Panel, RichText, Sense, Ui, vec2};
use lucide_icons::Icon;

use crate::base::Person;
use crate::engine::{GroupCommand, GroupPhase, Snapshot, SnapshotGroup, SnapshotMember};
use crate::ui::app::App;
use crate::ui::theme::{Type, palette, space};
use crate::ui::view::{Talk, Talks, name_in};
use crate::ui::widgets::{Kind, button, cut, line, paint_avatar, paint_icon};
use crate::ui::words;

/// From this width on, words and buttons stand side by side.
const ONE_ROW: f32 = 640.0;

pub fn beside(app: &mut App, ui: &mut Ui, now: &Snapshot, talks: &Talks<'_>, at: Instant) {
    if let (Some(current), Some(talk)) = (talks.current, talks.rings) {
        rings(app, ui, now, current, talk);
    }
    if let Some(current) = talks.current.filter(|_| !app.at_call) {
        return_to_call(app, ui, current, at);
    }
    for other in &talks.aside {
        waits(app, ui, talks.current, *other);
    }
    let in_group = matches!(talks.current, Some(Talk::Group(_)));
    if !in_group && app.welcome.is_none() {
        unfinished(app, ui, now);
    }
}

/// Somebody rings while we are in a call.
fn rings(app: &mut App, ui: &mut Ui, now: &Snapshot, current: Talk<'_>, talk: Talk<'_>) {
    let palette = palette(ui.ctx());
    let connected = current.connected_at().is_some();
    let (name, key, title, body) = match talk {
        Talk::Call(call) => {
            let known = now.contacts.iter().any(|contact| Some(contact.person) == call.peer);
            let title = if known { words::calls_you } else { words::stranger_calls_you }(&call.peer_name());
            (call.peer_name(), call.peer, title, String::new())
        }
        Talk::Group(group) => {
            let by = inviter(group);
            let name = name_in(group, by);
            let others = others(group, by);
            let title = if current.peer() == Some(by) {
                words::wants_group(&name, &others)
            } else {
                let known = now.contacts.iter().any(|contact| contact.person == by);
                let asks = if known { words::invites_you } else { words::stranger_invites_you }(&name);
                if others.is_empty() { asks } else { format!("{asks}. {}", words::also_there(&others)) }
            };
            let body = if group.shows_address { words::SHOWS_ADDRESS.into() } else { String::new() };
            (name, Some(by), title, body)
        }
    };
    let says = Says { title, body, ink: palette.text, fill: palette.accent_weak };
    let avatar = |ui: &mut Ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(36.0, 36.0), Sense::hover());
        let seed = key.as_ref().map_or(&[][..], |key| key.as_bytes());
        paint_avatar(ui.painter(), rect.center(), 36.0, &name, seed, palette.on_fill);
    };
    bar(ui, "somebody rings", says, avatar, |ui| {
        let joins = matches!(talk, Talk::Group(group) if current.peer() == Some(inviter(group)));
        let word = match talk {
            Talk::Call(_) if connected => words::HOLD_AND_ANSWER,
            Talk::Call(_) => words::ANSWER,
            Talk::Group(_) if joins || !connected => words::JOIN,
            Talk::Group(_) => words::HOLD_AND_JOIN,
        };
        if button(ui, Some(Icon::Phone), word, Kind::Success).clicked() {
            app.take(talk);
        }
        if let (Some(call), true) = (talk.call(), connected)
            && button(ui, Some(Icon::UserRoundPlus), words::ADD_TO_CALL, Kind::Soft).clicked()
        {
            app.take_in(call.call, current.id());
        }
        if button(ui, Some(Icon::PhoneOff), words::DECLINE, Kind::Danger).clicked() {
            app.send(talk.id().refuse());
        }
    });
}

/// Who asks us to come.
pub fn inviter(group: &SnapshotGroup) -> Person {
    match group.phase {
        GroupPhase::Invited { by } => by,
        GroupPhase::Asking | GroupPhase::Joining | GroupPhase::In => group.creator,
    }
}

/// Everybody in it but the inviter, in words.
pub fn others(group: &SnapshotGroup, by: Person) -> String {
    let others = group.members.iter().filter(|member| member.person != by);
    words::names(&others.map(SnapshotMember::display_name).collect::<Vec<_>>())
}

/// Another call is on hold.
fn waits(app: &mut App, ui: &mut Ui, current: Option<Talk<'_>>, other: Talk<'_>) {
    let palette = palette(ui.ctx());
    let title = words::on_hold_with(&other.name());
    let says = Says { title, body: String::new(), ink: palette.warn, fill: palette.warn_weak };
    bar(ui, ("waits", format!("{:?}", other.id())), says, icon(Icon::Pause, palette.warn), |ui| {
        let present = current.filter(|talk| !talk.is_held() && talk.connected_at().is_some());
        let (sign, word) =
            if present.is_some() { (Icon::ArrowLeftRight, words::SWAP) } else { (Icon::Play, words::UNHOLD) };
        if button(ui, Some(sign), word, Kind::Soft).clicked() {
            app.swap(present.map(|talk| talk.id()), other.id());
            app.at_call = true;
        }
        if button(ui, Some(Icon::PhoneOff), words::HANG_UP, Kind::Soft).clicked() {
            app.send(other.id().leave());
        }
    });
}

/// A call goes on behind what is looked at.
fn return_to_call(app: &mut App, ui: &mut Ui, current: Talk<'_>, at: Instant) {
    let palette = palette(ui.ctx());
    let frame = Frame::new().fill(palette.success_weak).inner_margin(Margin::symmetric(20, 6));
    Panel::top("running call").resizable(false).show_separator_line(false).frame(frame).show(ui, |ui| {
        let row = vec2(ui.available_width(), 36.0);
        ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
            if button(ui, Some(Icon::PhoneCall), words::RETURN, Kind::Success).clicked() {
                app.choose(current.peer());
                app.at_call = true;
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let text = format!("{} · {}", current.name(), current.state(at));
                ui.add(Label::new(RichText::new(text).font(Type::Strong.font()).color(palette.success)).truncate());
            });
        });
    });
}

/// The program had ended in the middle of a group call.
fn unfinished(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let Some(left) = &now.unfinished else { return };
    let palette = palette(ui.ctx());
    let name = |(person, name): &(Person, Option<String>)| name.clone().unwrap_or_else(|| person.abbreviated());
    let names: Vec<String> = left.members.iter().map(name).collect();
    let title = words::unfinished(&words::names(&names));
    let says = Says { title, body: String::new(), ink: palette.text, fill: palette.accent_weak };
    bar(ui, "unfinished", says, icon(Icon::UsersRound, palette.accent), |ui| {
        if button(ui, Some(Icon::LogIn), words::REJOIN, Kind::Accent).clicked() {
            app.resume_group();
        }
        if button(ui, None, words::FORGET, Kind::Soft).clicked() {
            app.group(GroupCommand::Forget);
        }
    });
}

struct Says {
    title: String,
    /// It may be empty.
    body: String,
    ink: Color32,
    fill: Color32,
}

fn icon(icon: Icon, ink: Color32) -> impl Fn(&mut Ui) {
    move |ui: &mut Ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(20.0, 36.0), Sense::hover());
        paint_icon(ui.painter(), rect.center(), icon, 17.0, ink);
    }
}

/// A strip at the top: a picture, what there is to say, and what can be done, below it where there is no room.
fn bar(
    ui: &mut Ui,
    id: impl std::hash::Hash + std::fmt::Debug,
    says: Says,
    picture: impl Fn(&mut Ui),
    buttons: impl FnOnce(&mut Ui),
) {
    let frame = Frame::new().fill(says.fill).inner_margin(Margin::symmetric(20, 8));
    let id = eframe::egui::Id::new(id);
    Panel::top(id).resizable(false).show_separator_line(false).frame(frame).show(ui, |ui| {
        let one_row = ui.available_width() >= ONE_ROW;
        let told = |ui: &mut Ui| {
            picture(ui);
            ui.add_space(space::XS);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                let width = cut(ui, &says.title, Type::Strong, says.ink, f32::INFINITY).size().x;
                if says.body.is_empty() && (one_row || width <= ui.available_width()) {
                    // In the middle of the picture's height.
                    ui.add_space(9.0);
                    line(ui, &says.title, Type::Strong, says.ink);
                } else {
                    wrapped(ui, &says.title, Type::Strong, says.ink);
                }
                if !says.body.is_empty() {
                    wrapped(ui, &says.body, Type::Small, palette(ui.ctx()).text2);
                }
            });
        };
        if one_row {
            ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
                buttons(ui);
                ui.with_layout(Layout::left_to_right(Align::TOP), told);
            });
        } else {
            ui.horizontal_top(told);
            ui.add_space(space::XS);
            ui.horizontal_wrapped(buttons);
        }
    });
}

fn wrapped(ui: &mut Ui, text: &str, font: Type, ink: Color32) {
    ui.add(Label::new(RichText::new(text).font(font.font()).color(ink)).wrap());
}
