//! Who we are, and how not to lose it.

use eframe::egui::{Key, Label, RichText, TextEdit, Ui};
use lucide_icons::Icon;

use super::{FIELD, hint, row};
use crate::engine::{BACKUP_EXPORTED, CommandKind, Snapshot};
use crate::ui::app::{App, Sheet};
use crate::ui::screens::BackupForm;
use crate::ui::theme::{Type, palette};
use crate::ui::widgets::{Kind, button, named};
use crate::ui::words;

pub fn profile(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    your_name(app, ui, now);
    backups(app, ui, now);
    row(ui, words::FOLDER, |ui| {
        let ink = palette(ui.ctx()).text2;
        let folder = RichText::new(now.home.display().to_string()).font(Type::Mono.font()).color(ink);
        ui.add(Label::new(folder).wrap().selectable(true));
    });
}

/// Whether there is a backup, and how to make one or come back from one.
fn backups(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let made = now.preferences.get(BACKUP_EXPORTED).and_then(|unix_s| unix_s.parse().ok());
    let said = made.map_or_else(|| words::NO_BACKUP.into(), |unix_s| words::backup_of(&(app.clock)().brief(unix_s)));
    row(ui, words::BACKUP, |ui| hint(ui, said));
    row(ui, "", |ui| {
        if button(ui, Some(Icon::Save), words::MAKE_BACKUP, Kind::Soft).clicked() {
            app.sheet = Some(Sheet::Backup(BackupForm::new()));
        }
        let restoring = app.is_restoring();
        let name = if restoring { words::RESTORING } else { words::RESTORE_OFFER };
        let restore = |ui: &mut Ui| button(ui, Some(Icon::RotateCcw), name, Kind::Ghost);
        if ui.add_enabled_ui(!restoring, restore).inner.clicked() {
            app.sheet = Some(Sheet::Restore(BackupForm::default()));
        }
    });
}

fn your_name(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let known = now.link.as_ref().and_then(|link| link.name.clone()).unwrap_or_default();
    let mut text = app.drafts.name.clone().unwrap_or_else(|| known.clone());
    row(ui, words::YOUR_NAME, |ui| {
        let edit =
            TextEdit::singleline(&mut text).hint_text(words::YOUR_NAME_HINT.text()).margin(FIELD).desired_width(240.0);
        let edit = named(ui.add(edit), words::YOUR_NAME);
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
