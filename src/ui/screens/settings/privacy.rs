//! Who learns what of us.

use eframe::egui::Ui;

use super::{hint, row, switch};
use crate::engine::{CommandKind, NetworkChoice, Snapshot};
use crate::ui::app::App;
use crate::ui::theme::{Type, palette};
use crate::ui::widgets::{Kind, button, label};
use crate::ui::words;

pub fn privacy(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    if let Some(on) = switch(ui, now.network_options.relay_only, words::RELAY_ONLY) {
        app.choose_network(NetworkChoice::RelayOnly(on));
    }
    row(ui, "", |ui| hint(ui, words::RELAY_ONLY_BODY));
    let blocked: Vec<_> = now.blocked.iter().copied().collect();
    if blocked.is_empty() {
        return row(ui, words::BLOCKED_PEOPLE, |ui| hint(ui, words::NOBODY_BLOCKED));
    }
    for (at, person) in blocked.into_iter().enumerate() {
        let name = app.row_of(now, person).map_or_else(|| person.abbreviated(), |row| row.name);
        row(ui, if at == 0 { words::BLOCKED_PEOPLE.text() } else { "" }, |ui| {
            label(ui, name, Type::Body, palette(ui.ctx()).text);
            if button(ui, None, words::UNBLOCK, Kind::Soft).clicked() {
                app.send(CommandKind::SetBlocked { person, blocked: false });
            }
        });
    }
}
