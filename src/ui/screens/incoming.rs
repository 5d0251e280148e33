//! Somebody rings, and there is no other call: one person, or a group that we are asked to join.

use std::time::Duration;

use eframe::egui::{Align, Context, Label, Layout, RichText, Sense, Stroke, Ui, vec2};
use lucide_icons::Icon;

use super::beside::{inviter, others};
use crate::base::Person;
use crate::engine::{Snapshot, SnapshotGroup, name_of_nameless};
use crate::ui::app::App;
use crate::ui::theme::{Type, palette, space};
use crate::ui::view::{Talk, name_in};
use crate::ui::widgets::{Kind, call_control, label, modal, paint_avatar, pill};
use crate::ui::words::{self, Word};

/// The rings around the avatar move this often; nothing else does.
const FRAME: Duration = Duration::from_millis(50);
/// Of a control.
const CONTROL: f32 = 80.0;

pub fn incoming(app: &mut App, ctx: &Context, now: &Snapshot, talk: Talk<'_>) {
    let palette = palette(ctx);
    let (icon, pill_word, name, yes) = match talk {
        Talk::Call(call) => (Icon::PhoneIncoming, words::INCOMING, call.peer_name(), words::ANSWER),
        Talk::Group(group) => (Icon::UsersRound, words::GROUP_CALL, name_in(group, inviter(group)), words::JOIN),
    };
    modal(ctx, "incoming", 28).show(ctx, |ui| {
        ui.set_width(300.0);
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            pill(ui, Some(icon), pill_word, palette.success, palette.success_weak);
            match talk {
                Talk::Call(call) => {
                    ringing_avatar(ui, &name, call.peer_seed());
                    label(ui, name, Type::Title, palette.text);
                    label(ui, name_of_nameless(call.peer.as_ref()), Type::Small, palette.text2);
                }
                Talk::Group(group) => invitation(ui, now, group, &name),
            }
            if let Some(why) = app.desktop.silence() {
                wrapped(ui, &words::rings_silently(why), Type::Small, palette.warn);
            }
            ui.add_space(space::L);
            choice(app, ui, talk, yes);
        });
    });
    ctx.request_repaint_after(FRAME);
}

/// Who asks, who else is there, and what they learn of us.
fn invitation(ui: &mut Ui, now: &Snapshot, group: &SnapshotGroup, name: &str) {
    let palette = palette(ui.ctx());
    let by = inviter(group);
    ringing_avatar(ui, name, by.as_bytes());
    let known = now.contacts.iter().any(|contact| contact.person == by);
    wrapped(ui, &words::invites_you(name), Type::Title, palette.text);
    if !known {
        label(ui, words::NOT_A_CONTACT, Type::Small, palette.warn);
    }
    let others = others(group, by);
    if !others.is_empty() {
        faces(ui, group, by);
        wrapped(ui, &words::also_there(&others), Type::Body, palette.text2);
    }
    if group.shows_address {
        ui.add_space(space::XS);
        wrapped(ui, &words::SHOWS_ADDRESS, Type::Small, palette.text2);
    }
}

/// Those who are in it already, as far as there is room.
fn faces(ui: &mut Ui, group: &SnapshotGroup, by: Person) {
    const SIZE: f32 = 34.0;
    const STEP: f32 = 28.0;
    const MOST: usize = 8;
    let palette = palette(ui.ctx());
    let members: Vec<_> = group.members.iter().filter(|member| member.person != by).take(MOST).collect();
    let width = SIZE + STEP * members.len().saturating_sub(1) as f32;
    let (rect, _) = ui.allocate_exact_size(vec2(width, SIZE + 6.0), Sense::hover());
    for (place, member) in members.into_iter().enumerate() {
        let centre = rect.left_center() + vec2(SIZE / 2.0 + STEP * place as f32, 0.0);
        ui.painter().circle_filled(centre, SIZE / 2.0 + 2.0, palette.raised);
        paint_avatar(ui.painter(), centre, SIZE, &member.display_name(), member.person.as_bytes(), palette.on_fill);
    }
}

fn ringing_avatar(ui: &mut Ui, name: &str, seed: &[u8]) {
    let palette = palette(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(vec2(200.0, 168.0), Sense::hover());
    let time = ui.input(|input| input.time) as f32;
    for ring in 0..3_u8 {
        let phase = (time * 0.6 + f32::from(ring) / 3.0).fract();
        let colour = palette.success.gamma_multiply((1.0 - phase) * 0.7);
        ui.painter().circle_stroke(rect.center(), 46.0 + 34.0 * phase, Stroke::new(2.0, colour));
    }
    paint_avatar(ui.painter(), rect.center(), 92.0, name, seed, palette.on_fill);
}

fn choice(app: &mut App, ui: &mut Ui, talk: Talk<'_>, yes: Word) {
    ui.horizontal(|ui| {
        ui.add_space((ui.available_width() - 2.0 * CONTROL - space::XXL) / 2.0);
        ui.spacing_mut().item_spacing.x = space::XXL;
        if call_control(ui, Icon::PhoneOff, words::DECLINE, Kind::Danger, CONTROL).clicked() {
            app.send(talk.id().refuse());
        }
        if call_control(ui, Icon::Phone, yes, Kind::Success, CONTROL).clicked() {
            app.take(talk);
        }
    });
}

fn wrapped(ui: &mut Ui, text: &str, font: Type, ink: eframe::egui::Color32) {
    let text = RichText::new(text).font(font.font()).color(ink);
    ui.add(Label::new(text).wrap().halign(Align::Center));
}
