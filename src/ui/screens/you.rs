//! Your link, as text and QR code, and whether it works just now.

use eframe::egui::text::LayoutJob;
use eframe::egui::{Align, Image, Label, Layout, Sense, Ui, vec2};

use crate::engine::Snapshot;
use crate::ui::app::App;
use crate::ui::icons::Icon;
use crate::ui::theme::{QR_GROUND, Type, palette, radius, space};
use crate::ui::widgets::{Kind, button, label, pill};
use crate::ui::words;

pub fn you(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let palette = palette(ui.ctx());
    ui.horizontal(|ui| {
        ui.add(Image::new(&app.icon).fit_to_exact_size(vec2(36.0, 36.0)));
        label(ui, words::TITLE, Type::Title, palette.text);
    });
    ui.add_space(space::S);
    let (text, ink, fill) = match (&now.link, now.presence_acks) {
        (None, _) => (words::STARTING.to_owned(), palette.text2, palette.chip),
        (Some(_), 0) => (words::NOT_CALLABLE.to_owned(), palette.warn, palette.warn_weak),
        (Some(_), nodes) => (words::callable(nodes), palette.success, palette.success_weak),
    };
    pill(ui, None, &text, ink, fill);
    ui.add_space(space::L);

    label(ui, words::YOUR_LINK, Type::Heading, palette.text);
    let Some(link) = &now.link else { return };
    let side = ui.available_width().min(248.0);
    ui.with_layout(Layout::top_down(Align::Center), |ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(side, side), Sense::hover());
        ui.painter().rect_filled(rect, f32::from(radius::CARD), QR_GROUND);
        if let Some(code) = app.qr_code(ui.ctx(), link) {
            Image::new(&code).alt_text(words::YOUR_LINK).paint_at(ui, rect.shrink(space::M));
        }
    });
    ui.add_space(space::XS);
    let mut text = LayoutJob::simple(link.to_string(), Type::Mono.font(), palette.text2, ui.available_width());
    text.wrap.break_anywhere = true;
    ui.add(Label::new(text).selectable(true));
    ui.add_space(space::XS);
    let copied = app.was_copied(ui.ctx());
    let (icon, name) = if copied { (Icon::Check, words::COPIED) } else { (Icon::Copy, words::COPY) };
    if button(ui, Some(icon), name, if copied { Kind::Success } else { Kind::Accent }).clicked() {
        app.copy(ui.ctx(), link);
    }
    label(ui, words::LINK_HINT, Type::Small, palette.text3);
}
