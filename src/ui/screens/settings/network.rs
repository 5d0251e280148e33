//! How we are reached, and what we do for others.

use eframe::egui::{TextEdit, Ui};
use lucide_icons::Icon;

use super::{FIELD, hint, row, switch};
use crate::engine::{NetworkChoice, Snapshot, SuperPeerMode};
use crate::ui::app::App;
use crate::ui::widgets::{Kind, button, named};
use crate::ui::words;

pub fn network(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    let options = &now.network_options;
    if let Some(on) = switch(ui, options.super_peer != SuperPeerMode::Never, words::HELP_OTHERS) {
        let mode = if on { SuperPeerMode::Auto } else { SuperPeerMode::Never };
        app.choose_network(NetworkChoice::SuperPeer(mode));
    }
    row(ui, "", |ui| hint(ui, words::HELP_OTHERS_BODY));
    if let Some(on) = switch(ui, !options.no_public_stun, words::ASK_PUBLIC_STUN) {
        app.choose_network(NetworkChoice::PublicStun(on));
    }
    row(ui, "", |ui| hint(ui, words::ASK_PUBLIC_STUN_BODY));
    first_nodes(app, ui, &options.bootstrap);
    if app.needs_restart {
        row(ui, "", |ui| {
            if button(ui, Some(Icon::RefreshCw), words::RESTART, Kind::Accent).clicked() {
                app.restart(ui.ctx());
            }
        });
        row(ui, "", |ui| hint(ui, words::RESTART_BODY));
    }
}

/// One address on each line.
fn first_nodes(app: &mut App, ui: &mut Ui, known: &[String]) {
    let mut text = app.drafts.nodes.clone().unwrap_or_else(|| known.join("\n"));
    row(ui, words::FIRST_NODES, |ui| {
        let edit = TextEdit::multiline(&mut text).margin(FIELD).desired_rows(2).desired_width(f32::INFINITY);
        let edit = named(ui.add(edit.hint_text(words::FIRST_NODES_HINT.text())), words::FIRST_NODES);
        if edit.changed() {
            app.drafts.nodes = Some(text.clone());
        }
    });
    if app.drafts.nodes.is_some() {
        row(ui, "", |ui| {
            if button(ui, Some(Icon::Check), words::SAVE, Kind::Soft).clicked() {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                app.choose_network(NetworkChoice::Bootstrap(lines.map(str::to_owned).collect()));
                app.drafts.nodes = None;
            }
        });
    }
}
