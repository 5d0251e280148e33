//! A call in whatever state it is, with its controls.

use std::time::{Duration, Instant};

use eframe::egui::{
    Align, Frame, Label, Layout, Margin, Panel, RichText, ScrollArea, Sense, Slider, Stroke, Ui, WidgetInfo, vec2,
};
use lucide_icons::Icon;

use super::conversation::notice;
use super::group::InviteForm;
use super::quality::quality;

use crate::base::Person;
use crate::engine::{CallPhase, CommandKind, EndReason, Levels, Snapshot, SnapshotCall, Volume};
use crate::ui::app::{App, Sheet};
use crate::ui::theme::{Type, palette, space};
use crate::ui::view::Talk;
use crate::ui::widgets::{
    Kind, button, call_control, control_row, icon_button, label, meter, paint_avatar, paint_icon, pill, timer,
};
use crate::ui::words;

/// The quality card has room beside the portrait from this width on.
const ROOM_FOR_QUALITY: f32 = 640.0;
/// Width of a meter with its name.
const METERS: f32 = 290.0;

pub fn call(app: &mut App, ui: &mut Ui, now: &Snapshot, call: &SnapshotCall, at: Instant) {
    let clear = || Frame::new().inner_margin(Margin::symmetric(20, 0));
    let header = Panel::top("call header").resizable(false).show_separator_line(false).frame(clear());
    header.show(ui, |ui| facts(app, ui, call));
    let footer = Panel::bottom("call controls").resizable(false).show_separator_line(false).frame(clear());
    footer.show(ui, |ui| controls(app, ui, now, call));
    if call.connected_at.is_some() && ui.available_width() >= ROOM_FOR_QUALITY {
        let frame = Frame::new().inner_margin(Margin { left: 0, right: 20, top: 8, bottom: 0 });
        let aside =
            Panel::right("call quality").exact_size(236.0).resizable(false).show_separator_line(false).frame(frame);
        aside.show(ui, |ui| quality(app, ui, call));
    }
    notice(app, ui);
    ScrollArea::vertical().id_salt("portrait").auto_shrink(false).show(ui, |ui| {
        ui.with_layout(Layout::top_down(Align::Center), |ui| portrait(app, ui, now, call, at));
    });
}

fn facts(app: &mut App, ui: &mut Ui, call: &SnapshotCall) {
    let palette = palette(ui.ctx());
    ui.add_space(space::M);
    ui.horizontal_wrapped(|ui| {
        if icon_button(ui, Icon::ArrowLeft, words::BACK, 24.0).clicked() {
            app.at_call = false;
        }
        let Some(path) = &call.path else { return };
        pill(ui, Some(Icon::Lock), words::ENCRYPTED, palette.success, palette.success_weak);
        let route = pill(ui, Some(Icon::Route), words::path(path), palette.text2, palette.chip);
        route.on_hover_text(if path.is_relayed() { words::SEEN_BY_RELAY } else { words::SEEN_BY_THEM }.text());
        if let Some((text, worry)) = call.stats.as_ref().and_then(words::quality) {
            let (ink, fill) =
                if worry { (palette.warn, palette.warn_weak) } else { (palette.success, palette.success_weak) };
            pill(ui, Some(Icon::Signal), &text, ink, fill);
        }
        if call.peer_held {
            pill(ui, Some(Icon::Pause), words::THEY_HOLD, palette.warn, palette.warn_weak);
        }
        if call.peer_muted {
            pill(ui, Some(Icon::MicOff), words::THEY_ARE_MUTED, palette.text2, palette.chip);
        }
    });
}

fn portrait(app: &mut App, ui: &mut Ui, now: &Snapshot, call: &SnapshotCall, at: Instant) {
    let palette = palette(ui.ctx());
    let name = call.peer_name();
    let connected = call.phase == CallPhase::Connected;
    ui.add_space(((ui.available_height() - 380.0) / 2.0).max(space::S));

    let (rect, _) = ui.allocate_exact_size(vec2(176.0, 160.0), Sense::hover());
    if connected {
        let glow = ((app.levels().speaker_dbfs() + 60.0) / 60.0).clamp(0.0, 1.0);
        ui.painter().circle_filled(rect.center(), 66.0 + 14.0 * glow, palette.success.gamma_multiply(0.16));
    }
    paint_avatar(ui.painter(), rect.center(), 124.0, &name, call.peer_seed(), palette.on_fill);
    let ring = match call.phase {
        CallPhase::Connected => palette.success,
        CallPhase::Reconnecting => palette.warn,
        CallPhase::Dialing | CallPhase::Ringing | CallPhase::Connecting | CallPhase::Ended => palette.border_strong,
    };
    ui.painter().circle_stroke(rect.center(), 65.5, Stroke::new(2.5, ring));

    ui.add_space(space::S);
    label(ui, name, Type::Display, palette.text);
    if let Some(since) = call.connected_at {
        timer(ui, &words::timer(at.saturating_duration_since(since)), Type::Heading, palette.text2);
    }
    if let Some(state) = words::phase(call.phase, call.side) {
        label(ui, state, Type::Body, if call.phase == CallPhase::Reconnecting { palette.warn } else { palette.text2 });
    }
    if call.held && connected {
        label(ui, words::ON_HOLD, Type::Body, palette.warn);
    }
    if let Some((since, why)) = call.interrupted {
        let reason = words::interrupted(why, at.saturating_duration_since(since));
        label(ui, reason, Type::Small, palette.text2);
        ui.ctx().request_repaint_after(Duration::from_secs(1));
    }
    if connected {
        ui.add_space(space::L);
        meters(ui, now.muted || now.deafened || call.held, app.levels());
        if let Some(person) = call.peer {
            volume(app, ui, now, person);
        }
    }
    let safety_words = app.notes.get(call.call).map(|note| note.safety_words.clone()).unwrap_or_default();
    if !safety_words.is_empty() {
        ui.add_space(space::L);
        label(ui, words::SAFETY_WORDS, Type::Caption, palette.text3);
        let words = RichText::new(&safety_words).font(Type::Small.font()).color(palette.text2);
        ui.add(Label::new(words).wrap().halign(Align::Center));
        if let Some(person) = call.peer {
            verification(app, ui, now, person);
        }
    }
}

/// How loud this person is played.
fn volume(app: &mut App, ui: &mut Ui, now: &Snapshot, person: Person) {
    let palette = palette(ui.ctx());
    let mut percent = now.person(person).volume.percent();
    ui.allocate_ui_with_layout(vec2(METERS, 24.0), Layout::left_to_right(Align::Center), |ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(18.0, 18.0), Sense::hover());
        paint_icon(ui.painter(), rect.center(), Icon::SlidersHorizontal, 15.0, palette.text2);
        let (rect, _) = ui.allocate_exact_size(vec2(44.0, 18.0), Sense::hover());
        let left = eframe::egui::Align2::LEFT_CENTER;
        ui.painter().text(rect.left_center(), left, words::VOLUME, Type::Small.font(), palette.text2);
        ui.spacing_mut().slider_width = 152.0;
        let slider = Slider::new(&mut percent, 0..=Volume::MAX.percent()).show_value(false).step_by(5.0);
        let slider = ui.add(slider);
        slider.widget_info(|| WidgetInfo::slider(true, f64::from(percent), words::VOLUME.text()));
        if slider.changed() {
            app.send(CommandKind::SetVolume { person, volume: Volume::from_percent(percent) });
        }
        label(ui, format!("{percent} %"), Type::Small, palette.text2);
    });
}

/// Whether the words were compared, once and for all calls with this person.
fn verification(app: &mut App, ui: &mut Ui, now: &Snapshot, person: Person) {
    let palette = palette(ui.ctx());
    if now.person(person).verified_unix_s.is_some() {
        pill(ui, Some(Icon::ShieldCheck), words::VERIFIED, palette.success, palette.success_weak);
    } else if button(ui, Some(Icon::ShieldCheck), words::WORDS_MATCH, Kind::Ghost).clicked() {
        app.send(CommandKind::SetVerified { person, verified: true });
    }
}

fn meters(ui: &mut Ui, muted: bool, levels: &Levels) {
    let palette = palette(ui.ctx());
    let own = if muted { (Icon::MicOff, palette.danger) } else { (Icon::Mic, palette.text2) };
    let rows = [
        (words::THEY, (Icon::Volume2, palette.text2), Some(levels.speaker_dbfs())),
        (words::YOU, own, Some(levels.mic_dbfs()).filter(|_| !muted)),
    ];
    for (name, (icon, ink), level) in rows {
        ui.allocate_ui_with_layout(vec2(METERS, 20.0), Layout::left_to_right(Align::Center), |ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(18.0, 18.0), Sense::hover());
            paint_icon(ui.painter(), rect.center(), icon, 15.0, ink);
            let (rect, _) = ui.allocate_exact_size(vec2(44.0, 18.0), Sense::hover());
            let left = eframe::egui::Align2::LEFT_CENTER;
            ui.painter().text(rect.left_center(), left, name, Type::Small.font(), palette.text2);
            meter(ui, name, level, 200.0);
        });
    }
}

fn controls(app: &mut App, ui: &mut Ui, now: &Snapshot, call: &SnapshotCall) {
    let talking = call.connected_at.is_some();
    // An endpoint that is not ours knows no group calls.
    let to_group = InviteForm::to(&Talk::Call(call)).filter(|_| talking);
    let count = if talking { 4 + usize::from(to_group.is_some()) } else { 1 };
    ui.add_space(space::M);
    control_row(ui, count, talking, |ui, width, apart| {
        if talking {
            mute_and_deafen(app, ui, now, width);
            if hold(ui, call.held, width) {
                app.send(CommandKind::SetHeld { call: call.call, held: !call.held });
            }
            if let Some(form) = to_group
                && call_control(ui, Icon::UserRoundPlus, words::ADD_PEOPLE, Kind::Soft, width).clicked()
            {
                app.sheet = Some(Sheet::Invite(form));
            }
            ui.add_space(apart);
        }
        let name = if talking { words::HANG_UP } else { words::CANCEL };
        if call_control(ui, Icon::PhoneOff, name, Kind::Danger, width).clicked() {
            app.send(CommandKind::HangUp { call: call.call, reason: EndReason::HangUp });
        }
    });
    ui.add_space(space::L);
}

/// The controls of microphone and speaker, each so wide.
pub fn mute_and_deafen(app: &mut App, ui: &mut Ui, now: &Snapshot, width: f32) {
    let (icon, name, kind) =
        if now.muted { (Icon::MicOff, words::UNMUTE, Kind::On) } else { (Icon::Mic, words::MUTE, Kind::Soft) };
    if call_control(ui, icon, name, kind, width).clicked() {
        app.send(CommandKind::SetMuted { muted: !now.muted });
    }
    let (name, kind) = if now.deafened { (words::UNDEAFEN, Kind::On) } else { (words::DEAFEN, Kind::Soft) };
    if call_control(ui, Icon::Volume2, name, kind, width).clicked() {
        app.send(CommandKind::SetDeafened { deafened: !now.deafened });
    }
}

/// True when it is to be changed.
pub fn hold(ui: &mut Ui, held: bool, width: f32) -> bool {
    let (icon, name, kind) =
        if held { (Icon::Play, words::UNHOLD, Kind::On) } else { (Icon::Pause, words::HOLD, Kind::Soft) };
    call_control(ui, icon, name, kind, width).clicked()
}
