//! Who we are, and how not to lose it.

use eframe::egui::{Key, Label, RichText, TextEdit, Ui, WidgetInfo, WidgetType};
use lucide_icons::Icon;

use super::row;
use crate::engine::{CommandKind, Snapshot};
use crate::ui::app::App;
use crate::ui::theme::{Type, palette};
use crate::ui::widgets::{Kind, button};
use crate::ui::words;

pub fn profile(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    your_name(app, ui, now);
    row(ui, words::FOLDER, |ui| {
        let ink = palette(ui.ctx()).text2;
        let folder = RichText::new(now.home.display().to_string()).font(Type::Mono.font()).color(ink);
        ui.add(Label::new(folder).wrap().selectable(true));
    });
}

fn your_name(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let known = now.link.as_ref().and_then(|link| link.name.clone()).unwrap_or_default();
    let mut text = app.drafts.name.clone().unwrap_or_else(|| known.clone());
    row(ui, words::YOUR_NAME, |ui| {
        let edit = TextEdit::singleline(&mut text).hint_text(words::YOUR_NAME_HINT.text()).desired_width(240.0);
        let edit = ui.add(edit);
        edit.widget_info(|| WidgetInfo::labeled(WidgetType::TextEdit, true, words::YOUR_NAME.text()));
        if edit.changed() {
            app.drafts.name = Some(text.clone());
        }
        let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        let changed = app.drafts.name.is_some() && text.trim() != known;
        if changed && (button(ui, Some(Icon::Check), words::SAVE, Kind::Soft).clicked() || entered) {
            app.drafts.name = None;
            app.send(CommandKind::SetDisplayName { name: Some(text) });
        }
    });
}
