//! A call in whatever state it is, with its controls.

use std::time::Instant;

use eframe::egui::{Align, Label, Layout, Panel, RichText, Sense, Stroke, Ui, vec2};

use crate::engine::{CallPhase, CommandKind, EndReason, PeerStats, Snapshot, SnapshotCall};
use crate::ui::app::App;
use crate::ui::icons::{self, Icon};
use crate::ui::theme::{Type, palette, space};
use crate::ui::widgets::{Kind, call_control, label, meter, paint_avatar, pill, timer};
use crate::ui::words;

pub fn call(app: &mut App, ui: &mut Ui, now: &Snapshot, call: &SnapshotCall, at: Instant) {
    let header = Panel::top("call header").resizable(false).show_separator_line(false);
    header.show(ui, |ui| facts(ui, call));
    let footer = Panel::bottom("call controls").resizable(false).show_separator_line(false);
    footer.show(ui, |ui| controls(app, ui, now, call));
    ui.with_layout(Layout::top_down(Align::Center), |ui| portrait(app, ui, now, call, at));
}

fn facts(ui: &mut Ui, call: &SnapshotCall) {
    let palette = palette(ui.ctx());
    ui.add_space(space::M);
    ui.horizontal_wrapped(|ui| {
        let Some(path) = &call.path else { return };
        pill(ui, Some(Icon::Lock), words::ENCRYPTED, palette.success, palette.success_weak);
        pill(ui, Some(Icon::Route), &words::path(path), palette.text2, palette.chip);
        if let Some((text, worry)) = call.stats.as_ref().and_then(words::quality) {
            let (ink, fill) =
                if worry { (palette.warn, palette.warn_weak) } else { (palette.success, palette.success_weak) };
            pill(ui, None, &text, ink, fill);
        }
        if call.peer_muted {
            pill(ui, Some(Icon::MicrophoneOff), words::THEY_ARE_MUTED, palette.text2, palette.chip);
        }
    });
}

fn portrait(app: &App, ui: &mut Ui, now: &Snapshot, call: &SnapshotCall, at: Instant) {
    let palette = palette(ui.ctx());
    let name = call.peer_name();
    let connected = call.phase == CallPhase::Connected;
    ui.add_space(((ui.available_height() - 380.0) / 2.0).max(space::S));

    let (rect, _) = ui.allocate_exact_size(vec2(176.0, 160.0), Sense::hover());
    let heard = call.stats.as_ref().and_then(|stats| stats.speaker_dbfs);
    if let Some(level) = heard.filter(|_| connected) {
        let glow = ((level + 60.0) / 60.0).clamp(0.0, 1.0);
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
    let state = words::phase(call.phase, call.side);
    if !state.is_empty() {
        label(ui, state, Type::Body, if call.phase == CallPhase::Reconnecting { palette.warn } else { palette.text2 });
    }
    if connected {
        ui.add_space(space::L);
        meters(ui, now.muted, call.stats.as_ref());
    }
    if !app.safety_words.is_empty() {
        ui.add_space(space::L);
        label(ui, words::SAFETY_WORDS, Type::Caption, palette.text3);
        let words = RichText::new(&app.safety_words).font(Type::Small.font()).color(palette.text2);
        ui.add(Label::new(words).wrap().halign(Align::Center));
    }
}

fn meters(ui: &mut Ui, muted: bool, stats: Option<&PeerStats>) {
    const WIDTH: f32 = 290.0;
    let palette = palette(ui.ctx());
    let own = if muted { (Icon::MicrophoneOff, palette.danger) } else { (Icon::Microphone, palette.text2) };
    let rows = [
        (words::THEY, (Icon::Speaker, palette.text2), stats.and_then(|stats| stats.speaker_dbfs)),
        (words::YOU, own, stats.and_then(|stats| stats.mic_dbfs).filter(|_| !muted)),
    ];
    for (name, (icon, ink), level) in rows {
        ui.allocate_ui_with_layout(vec2(WIDTH, 20.0), Layout::left_to_right(Align::Center), |ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(18.0, 18.0), Sense::hover());
            icons::paint(ui.painter(), rect.center(), icon, 15.0, ink);
            let (rect, _) = ui.allocate_exact_size(vec2(44.0, 18.0), Sense::hover());
            let left = eframe::egui::Align2::LEFT_CENTER;
            ui.painter().text(rect.left_center(), left, name, Type::Small.font(), palette.text2);
            meter(ui, name, level, 200.0);
        });
    }
}

fn controls(app: &mut App, ui: &mut Ui, now: &Snapshot, call: &SnapshotCall) {
    let talking = call.connected_at.is_some();
    let count = if talking { 3.0 } else { 1.0 };
    ui.add_space(space::M);
    ui.horizontal(|ui| {
        let gap = if talking { space::XL } else { 0.0 };
        let width = count * 80.0 + (count - 1.0) * space::S + gap;
        ui.add_space(((ui.available_width() - width) / 2.0).max(0.0));
        if talking {
            let (icon, name, kind) = if now.muted {
                (Icon::MicrophoneOff, words::UNMUTE, Kind::On)
            } else {
                (Icon::Microphone, words::MUTE, Kind::Soft)
            };
            if call_control(ui, icon, name, kind).clicked() {
                app.send(CommandKind::SetMuted { muted: !now.muted });
            }
            let (name, kind) = if now.deafened { (words::UNDEAFEN, Kind::On) } else { (words::DEAFEN, Kind::Soft) };
            if call_control(ui, Icon::Speaker, name, kind).clicked() {
                app.send(CommandKind::SetDeafened { deafened: !now.deafened });
            }
            ui.add_space(space::XL);
        }
        let name = if talking { words::HANG_UP } else { words::CANCEL };
        if call_control(ui, Icon::PhoneDown, name, Kind::Danger).clicked() {
            app.send(CommandKind::HangUp { call: call.call, reason: EndReason::HangUp });
        }
    });
    ui.add_space(space::L);
}
