//! No call: the way to start one, and how the last one ended.

use eframe::egui::{Align, Frame, Label, Layout, Margin, RichText, Sense, Stroke, TextEdit, Ui, vec2};

use crate::engine::{Contact, Snapshot};
use crate::identity::Link;
use crate::ui::app::App;
use crate::ui::icons::Icon;
use crate::ui::theme::{Type, palette, radius, space};
use crate::ui::widgets::{Kind, button, card, label, paint_avatar};
use crate::ui::words;

/// The column is no wider than this; longer lines read badly.
const COLUMN: f32 = 460.0;

pub fn dial(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let margin = ((ui.available_width() - COLUMN) / 2.0).max(0.0);
    Frame::new().inner_margin(Margin::symmetric(margin as i8, 0)).show(ui, |ui| {
        ui.add_space(space::XL);
        notice(app, ui);
        card(ui).inner_margin(Margin::same(20)).show(ui, |ui| field(app, ui, now));
        let people: Vec<&Contact> = now.contacts.iter().filter(|contact| !contact.blocked).collect();
        if !people.is_empty() {
            ui.add_space(space::L);
            label(ui, words::CONTACTS, Type::Heading, palette(ui.ctx()).text);
            for contact in people {
                row(app, ui, contact);
            }
        }
    });
}

fn notice(app: &App, ui: &mut Ui) {
    let Some((text, worry)) = &app.notice else { return };
    let palette = palette(ui.ctx());
    let (ink, fill) = if *worry { (palette.warn, palette.warn_weak) } else { (palette.text2, palette.chip) };
    let inside = Frame::new().fill(fill).corner_radius(radius::CARD).inner_margin(Margin::symmetric(16, 12));
    inside.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.add(Label::new(RichText::new(text).font(Type::Small.font()).color(ink)).wrap());
    });
    ui.add_space(space::M);
}

fn field(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let palette = palette(ui.ctx());
    ui.set_width(ui.available_width());
    label(ui, words::DIAL_TITLE, Type::Title, palette.text);
    label(ui, words::DIAL_BODY, Type::Small, palette.text2);
    ui.add_space(space::S);
    let typed = app.dial_text.trim();
    let link: Option<Result<Link, String>> = (!typed.is_empty())
        .then(|| typed.parse::<Link>().map_err(|why| words::sentence(&why.to_string())))
        .map(|parsed| match parsed {
            Ok(link) if Some(link.person) == now.me => Err(words::OWN_LINK.to_owned()),
            parsed => parsed,
        });
    let ready = matches!(link, Some(Ok(_)));
    let mut called = false;
    let row = vec2(ui.available_width(), 36.0);
    ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
        let pressed = ui.add_enabled_ui(ready, |ui| button(ui, Some(Icon::Phone), words::CALL, Kind::Success)).inner;
        let edit = TextEdit::singleline(&mut app.dial_text)
            .hint_text(words::DIAL_FIELD)
            .font(Type::Mono.font())
            .margin(Margin::symmetric(12, 9))
            .desired_width(f32::INFINITY);
        let edit = ui.add(edit);
        if std::mem::take(&mut app.focus_dial) {
            edit.request_focus();
        }
        let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(eframe::egui::Key::Enter));
        called = ready && (entered || pressed.clicked());
    });
    match link {
        Some(Ok(link)) if called => app.dial(link),
        Some(Ok(link)) => {
            app.look_at(link.person);
            let who = link.name.clone().unwrap_or_else(|| link.person.abbreviated());
            label(ui, who, Type::Small, palette.success);
        }
        Some(Err(why)) => {
            ui.add(Label::new(RichText::new(why).font(Type::Small.font()).color(palette.danger)).wrap());
        }
        None => {}
    }
}

fn row(app: &mut App, ui: &mut Ui, contact: &Contact) {
    let palette = palette(ui.ctx());
    let name = contact.name.clone().unwrap_or_else(|| contact.person.abbreviated());
    let frame = Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.border))
        .corner_radius(radius::CARD)
        .inner_margin(Margin::symmetric(14, 10));
    let shown = frame.show(ui, |ui| {
        let row = vec2(ui.available_width(), 40.0);
        ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
            if button(ui, Some(Icon::Phone), words::CALL, Kind::Soft).clicked() {
                app.dial(contact.link.clone());
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(40.0, 40.0), Sense::hover());
                paint_avatar(ui.painter(), rect.center(), 40.0, &name, contact.person.as_bytes(), palette.on_fill);
                ui.add(Label::new(RichText::new(&name).font(Type::Strong.font()).color(palette.text)).truncate());
            });
        });
    });
    if shown.response.contains_pointer() {
        app.look_at(contact.person);
    }
}
