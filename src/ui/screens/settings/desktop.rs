//! The desktop around the window: the tray, the talk key, notifications.

use eframe::egui::{Id, Label, RichText, TextEdit, Ui};

use super::{FIELD, row};
use crate::engine::{CommandKind, Snapshot};
use crate::ui::app::App;
use crate::ui::desktop::{CLOSE_TO_TRAY, Combination, Service, TALK_KEY, YES, can_hide};
use crate::ui::theme::{Type, palette};
use crate::ui::widgets::named;
use crate::ui::words;

pub fn desktop(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let status = app.desktop.status();
    row(ui, words::CLOSING, |ui| {
        let mut on = now.preferences.get(CLOSE_TO_TRAY).map(String::as_str) == Some(YES);
        let possible = can_hide() && status.tray == Service::Works;
        let tick = ui.add_enabled_ui(possible || on, |ui| ui.checkbox(&mut on, words::KEEP_RUNNING.text())).inner;
        if tick.changed() {
            prefer(app, CLOSE_TO_TRAY, on.then(|| YES.to_owned()));
        }
    });
    match &status.tray {
        _ if !can_hide() => hint(ui, words::CANNOT_HIDE, false),
        Service::Fails(why) => hint(ui, why, true),
        Service::Off | Service::Works => {}
    }
    talk_key(app, ui, now);
    match &status.talk_key {
        Service::Fails(why) => hint(ui, why, true),
        Service::Off | Service::Works => hint(ui, words::TALK_KEY_BODY, false),
    }
    row(ui, words::NOTIFICATIONS, |ui| match &status.notifications {
        Service::Fails(why) => said(ui, why, true),
        Service::Off | Service::Works => said(ui, words::NOTIFICATIONS_WORK, false),
    });
}

/// Taken over when Enter is pressed or the field is left, if it names a key.
fn talk_key(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let id = Id::new("talk key");
    let kept = now.preferences.get(TALK_KEY).cloned().unwrap_or_default();
    let mut typed = ui.data(|data| data.get_temp::<String>(id)).unwrap_or_else(|| kept.clone());
    let edit = row(ui, words::TALK_KEY, |ui| {
        let edit = TextEdit::singleline(&mut typed)
            .hint_text(words::TALK_KEY_EXAMPLE.text())
            .char_limit(40)
            .margin(FIELD)
            .desired_width(260.0);
        named(ui.add(edit), words::TALK_KEY)
    });
    let named = match typed.trim() {
        "" => Ok(None),
        text => text.parse::<Combination>().map(|key| Some(key.to_string())),
    };
    if let (Err(why), false) = (&named, edit.has_focus() && typed.ends_with('+')) {
        hint(ui, words::sentence(&why.to_string()), true);
    }
    if edit.lost_focus()
        && let Ok(key) = named
    {
        ui.data_mut(|data| data.remove_temp::<String>(id));
        if key.as_deref().unwrap_or_default() != kept {
            prefer(app, TALK_KEY, key);
        }
    } else if edit.changed() {
        ui.data_mut(|data| data.insert_temp(id, typed));
    }
}

fn prefer(app: &mut App, key: &str, value: Option<String>) {
    app.send(CommandKind::SetPreference { key: key.to_owned(), value });
}

fn hint(ui: &mut Ui, text: impl Into<String>, worry: bool) {
    row(ui, "", |ui| said(ui, text, worry));
}

fn said(ui: &mut Ui, text: impl Into<String>, worry: bool) {
    let palette = palette(ui.ctx());
    let ink = if worry { palette.warn } else { palette.text2 };
    ui.add(Label::new(RichText::new(text).font(Type::Small.font()).color(ink)).wrap());
}
