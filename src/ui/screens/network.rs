//! "Can I be called?": what the doctor found.

use eframe::egui::{Align, Frame, Label, Layout, Margin, RichText, ScrollArea, Sense, Ui, vec2};
use lucide_icons::Icon;

use super::conversation::notice;
use crate::engine::{Check, CheckKind, Verdict};
use crate::ui::app::App;
use crate::ui::theme::{Type, palette, radius, space};
use crate::ui::widgets::{Kind, button, card, emptiness, label, paint_icon, pill};
use crate::ui::words;

/// Width of the widest verdict.
const ROOM_FOR_VERDICT: f32 = 116.0;

pub fn network(app: &mut App, ui: &mut Ui) {
    let palette = palette(ui.ctx());
    notice(app, ui);
    let inside = Frame::new().inner_margin(Margin::symmetric(24, 18));
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        inside.show(ui, |ui| {
            title(app, ui);
            let answer = app.examination.answer.unwrap_or(words::NETWORK_BODY);
            ui.add(Label::new(RichText::new(answer).font(Type::Body.font()).color(palette.text2)).wrap());
            ui.add_space(space::S);
            if app.examination.checks.is_empty() && app.examination.running.is_none() {
                ui.add_space(space::XXL);
                emptiness(ui, Icon::Activity, words::NOT_TESTED, words::NOT_TESTED_BODY);
            }
            for check in &app.examination.checks {
                finding(ui, check);
            }
        });
    });
}

fn title(app: &mut App, ui: &mut Ui) {
    let palette = palette(ui.ctx());
    let row = vec2(ui.available_width(), 40.0);
    ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
        let running = app.examination.running.is_some();
        let name = if running { words::TESTING } else { words::RUN_TEST };
        if ui.add_enabled_ui(!running, |ui| button(ui, Some(Icon::RefreshCw), name, Kind::Accent)).inner.clicked() {
            app.examine();
        }
        if !app.examination.checks.is_empty() && !running {
            let copied = app.was_copied(ui.ctx());
            let (icon, name) = if copied { (Icon::Check, words::COPIED) } else { (Icon::Copy, words::COPY_REPORT) };
            if button(ui, Some(icon), name, Kind::Soft).clicked() {
                app.copy(ui.ctx(), app.examination.report());
            }
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            label(ui, words::NETWORK, Type::Title, palette.text);
        });
    });
}

fn finding(ui: &mut Ui, check: &Check) {
    let palette = palette(ui.ctx());
    let word = words::verdict(check.verdict);
    let (icon, ink, fill) = match check.verdict {
        Verdict::Fine => (Icon::Check, palette.success, palette.success_weak),
        Verdict::Warning => (Icon::TriangleAlert, palette.warn, palette.warn_weak),
        Verdict::Problem => (Icon::X, palette.danger, palette.danger_weak),
        Verdict::Unknown => (Icon::CircleQuestionMark, palette.text2, palette.chip),
    };
    card(ui).inner_margin(Margin::symmetric(16, 12)).show(ui, |ui| {
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(36.0, 36.0), Sense::hover());
            ui.painter().rect_filled(rect, f32::from(radius::CONTROL), palette.raised);
            paint_icon(ui.painter(), rect.center(), icon_of(check.what), 17.0, palette.text2);
            ui.add_space(space::XS);
            ui.vertical(|ui| {
                ui.set_width((ui.available_width() - ROOM_FOR_VERDICT).max(0.0));
                ui.spacing_mut().item_spacing.y = 2.0;
                label(ui, words::check(check.what), Type::Strong, palette.text);
                let said =
                    |text: String, ink| Label::new(RichText::new(text).font(Type::Small.font()).color(ink)).wrap();
                ui.add(said(words::finding(check), palette.text2)).on_hover_text(words::sentence(&check.finding));
                if let Some(remedy) = words::remedy(check.code) {
                    ui.add(said(remedy.into(), palette.text));
                }
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| pill(ui, Some(icon), word, ink, fill));
        });
    });
}

const fn icon_of(what: CheckKind) -> Icon {
    match what {
        CheckKind::Dht => Icon::Waypoints,
        CheckKind::SuperPeers => Icon::RadioTower,
        CheckKind::Udp => Icon::Network,
        CheckKind::PublicAddress => Icon::Globe,
        CheckKind::Nat => Icon::Router,
        CheckKind::Ipv6 => Icon::Wifi,
        CheckKind::PortMapping => Icon::Shuffle,
        CheckKind::Devices => Icon::Headphones,
        CheckKind::MicrophoneLevel => Icon::Mic,
    }
}
