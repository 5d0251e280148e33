//! Your link, as text and QR code, and whether it works just now.

use eframe::egui::text::LayoutJob;
use eframe::egui::{Align, Frame, Image, Label, Layout, Margin, RichText, ScrollArea, Sense, Ui, vec2};
use lucide_icons::Icon;

use super::conversation::notice;
use crate::engine::Snapshot;
use crate::ui::app::App;
use crate::ui::theme::{QR_GROUND, Type, palette, radius, space};
use crate::ui::widgets::{Kind, button, card, label, pill};
use crate::ui::words;

/// Side of the QR code with its quiet zone.
const CODE: f32 = 220.0;
/// Of the card.
const WIDTH: f32 = 360.0;

pub fn you(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    notice(app, ui);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        Frame::new().inner_margin(Margin::same(20)).show(ui, |ui| {
            ui.add_space(((ui.available_height() - 470.0) / 2.0).max(0.0));
            ui.with_layout(Layout::top_down(Align::Center), |ui| {
                card(ui).inner_margin(Margin::same(24)).show(ui, |ui| {
                    ui.set_width(ui.available_width().min(WIDTH));
                    ui.with_layout(Layout::top_down(Align::Center), |ui| {
                        label(ui, words::YOUR_LINK, Type::Title, palette(ui.ctx()).text);
                        link_card(app, ui, now);
                    });
                });
            });
        });
    });
}

/// The state of our presence, the link as QR code and text, and a way to copy it.
pub fn link_card(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let palette = palette(ui.ctx());
    let (text, ink, fill) = match (&now.link, now.presence_acks) {
        (None, _) => (words::STARTING, palette.text2, palette.chip),
        (Some(_), 0) => (words::NOT_CALLABLE, palette.warn, palette.warn_weak),
        (Some(_), _) => (words::CALLABLE, palette.success, palette.success_weak),
    };
    pill(ui, None, text, ink, fill);
    ui.add_space(space::S);
    let (rect, _) = ui.allocate_exact_size(vec2(CODE, CODE), Sense::hover());
    let Some(link) = &now.link else {
        ui.painter().rect_filled(rect, f32::from(radius::CARD), palette.chip);
        return;
    };
    ui.painter().rect_filled(rect, f32::from(radius::CARD), QR_GROUND);
    if let Some(code) = app.qr_code(ui.ctx(), link) {
        Image::new(&code).alt_text(words::YOUR_LINK).paint_at(ui, rect.shrink(space::M));
    }
    ui.add_space(space::XS);
    let mut text = LayoutJob::simple(link.to_string(), Type::Mono.font(), palette.text2, ui.available_width());
    text.wrap.break_anywhere = true;
    text.halign = Align::Center;
    ui.add(Label::new(text).selectable(true));
    ui.add_space(space::XS);
    let copied = app.was_copied(ui.ctx());
    let (icon, name) = if copied { (Icon::Check, words::COPIED) } else { (Icon::Copy, words::COPY) };
    if button(ui, Some(icon), name, if copied { Kind::Success } else { Kind::Accent }).clicked() {
        app.copy(ui.ctx(), link.to_string());
    }
    let hint = RichText::new(words::LINK_HINT).font(Type::Small.font()).color(palette.text3);
    ui.add(Label::new(hint).wrap().halign(Align::Center));
}
