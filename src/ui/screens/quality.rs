//! How the running call is, for those who want to know.

use eframe::egui::{Align, Label, Layout, RichText, Stroke, Ui};

use crate::engine::SnapshotCall;
use crate::ui::app::App;
use crate::ui::theme::{Type, palette, space};
use crate::ui::view::Trends;
use crate::ui::widgets::{card, label, sparkline};
use crate::ui::words::{self, Word};

pub fn quality(app: &App, ui: &mut Ui, call: &SnapshotCall) {
    let palette = palette(ui.ctx());
    let stats = call.stats.as_ref();
    card(ui).show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.spacing_mut().interact_size.y = 18.0;
        label(ui, words::QUALITY, Type::Strong, palette.text);
        let none = Trends::default();
        let trends = app.notes.get(call.call).map_or(&none, |note| &note.trends);
        for (name, value, figures, scale, ink) in [
            (
                words::ROUND_TRIP,
                words::milliseconds(stats.and_then(|s| s.rtt_ms)),
                &trends.rtt_ms,
                20.0,
                palette.accent,
            ),
            (
                words::JITTER,
                words::milliseconds(stats.and_then(|s| s.jitter_ms)),
                &trends.jitter_ms,
                5.0,
                palette.accent,
            ),
            (words::LOSS, words::percent(stats.and_then(|s| s.loss)), &trends.loss_percent, 2.0, palette.success),
        ] {
            ui.add_space(space::XS);
            fact(ui, name, &value, true);
            sparkline(ui, figures, scale, 28.0, ink);
        }
        ui.add_space(space::XS);
        ui.painter().hline(ui.max_rect().x_range(), ui.cursor().top(), Stroke::new(1.0, palette.border));
        ui.add_space(space::S);
        fact(ui, words::MOUTH_TO_EAR, &words::milliseconds(stats.and_then(|s| s.delay_ms)), false);
        fact(ui, words::BUFFER, &words::milliseconds(stats.and_then(|s| s.buffer_ms)), false);
        fact(ui, words::SENT_RECEIVED, &words::kbps(stats.and_then(|s| s.tx_bps), stats.and_then(|s| s.rx_bps)), false);
        fact(ui, words::CODEC, &words::OPUS, false);
    });
}

fn fact(ui: &mut Ui, name: Word, value: &str, strong: bool) {
    let palette = palette(ui.ctx());
    let ink = if strong { palette.text } else { palette.text2 };
    ui.horizontal(|ui| {
        label(ui, name, Type::Small, if strong { palette.text2 } else { palette.text3 });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.add(Label::new(RichText::new(value).font(Type::Small.font()).color(ink)).truncate());
        });
    });
}
