//! The desktop around the window: the tray, the talk key, notifications.

use eframe::egui::{Id, TextEdit, Ui};

use super::{FIELD, hint, row, warning};
use crate::engine::Snapshot;
use crate::ui::app::App;
use crate::ui::desktop::{CLOSE_TO_TRAY, Combination, Service, TALK_KEY, YES, can_hide};
use crate::ui::widgets::named;
use crate::ui::words;

pub fn desktop(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let status = app.desktop.status();
    row(ui, words::CLOSING, |ui| {
        let mut on = now.preferences.get(CLOSE_TO_TRAY).map(String::as_str) == Some(YES);
        let possible = can_hide() && status.tray == Service::Works;
        let tick = ui.add_enabled_ui(possible || on, |ui| ui.checkbox(&mut on, words::KEEP_RUNNING.text())).inner;
        if tick.changed() {
            app.prefer(CLOSE_TO_TRAY, on.then(|| YES.to_owned()));
        }
    });
    match &status.tray {
        _ if !can_hide() => row(ui, "", |ui| hint(ui, words::CANNOT_HIDE)),
        Service::Fails(why) => row(ui, "", |ui| warning(ui, why)),
        Service::Off | Service::Works => {}
    }
    talk_key(app, ui, now);
    match &status.talk_key {
        Service::Fails(why) => row(ui, "", |ui| warning(ui, why)),
        Service::Off | Service::Works => row(ui, "", |ui| hint(ui, words::TALK_KEY_BODY)),
    }
    row(ui, words::NOTIFICATIONS, |ui| match &status.notifications {
        Service::Fails(why) => warning(ui, why),
        Service::Off | Service::Works => hint(ui, words::NOTIFICATIONS_WORK),
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
        row(ui, "", |ui| warning(ui, words::sentence(&why.to_string())));
    }
    if edit.lost_focus()
        && let Ok(key) = named
    {
        ui.data_mut(|data| data.remove_temp::<String>(id));
        if key.as_deref().unwrap_or_default() != kept {
            app.prefer(TALK_KEY, key);
        }
    } else if edit.changed() {
        ui.data_mut(|data| data.insert_temp(id, typed));
    }
}
