//! A group call: everybody in a grid, who does not hear whom, and the controls.

mod invite;
mod tile;

use std::time::Instant;

use eframe::egui::{
    Align, Frame, Label, Layout, Margin, Panel, Rect, RichText, ScrollArea, Sense, Ui, WidgetInfo, WidgetType, pos2,
    vec2,
};
use lucide_icons::Icon;

use super::call::{hold, mute_and_deafen};
use super::conversation::notice;
use crate::engine::{GroupCommand, GroupPhase, Snapshot, SnapshotGroup};
use crate::ui::app::{App, Sheet};
use crate::ui::theme::{Type, palette, radius, space};
use crate::ui::view::{GAP, Gaps, Grid, Tile, group_name};
use crate::ui::widgets::{Kind, call_control, control_row, cut, emptiness, icon_button, paint_icon, pill, timer};
use crate::ui::words;

pub use invite::{InviteForm, invite};

/// Sentences about who does not hear whom that are shown; the others are counted.
const MOST_GAPS: usize = 3;
/// Narrower, and there is less room around everything.
const ROOMY: f32 = 560.0;
/// The header has room for that word from this width on.
const ENCRYPTED: f32 = 400.0;

pub fn group(app: &mut App, ui: &mut Ui, now: &Snapshot, group: &SnapshotGroup, at: Instant) {
    let side = if ui.available_width() >= ROOMY { 20 } else { 12 };
    let clear = || Frame::new().inner_margin(Margin::symmetric(side, 0));
    let header = Panel::top("group header").resizable(false).show_separator_line(false).frame(clear());
    header.show(ui, |ui| facts(app, ui, group, at));
    let footer = Panel::bottom("group controls").resizable(false).show_separator_line(false).frame(clear());
    footer.show(ui, |ui| controls(app, ui, now, group));
    notice(app, ui);
    let (tiles, gaps) = app.grid(ui.ctx(), now, group, at);
    if group.phase == GroupPhase::Asking {
        ui.add_space(ui.available_height() * 0.3);
        return emptiness(ui, Icon::LogIn, words::ASKING, words::ASKING_BODY);
    }
    Frame::new().inner_margin(Margin { left: side, right: side, top: 12, bottom: 0 }).show(ui, |ui| {
        tell_gaps(ui, &gaps);
        if group.members.is_empty() {
            ui.add_space(ui.available_height() * 0.3);
            return emptiness(ui, Icon::UsersRound, words::NOBODY_ELSE, words::NOBODY_ELSE_BODY);
        }
        grid(app, ui, now, group, &tiles);
    });
}

fn facts(app: &mut App, ui: &mut Ui, group: &SnapshotGroup, at: Instant) {
    let palette = palette(ui.ctx());
    ui.add_space(space::M);
    let row = vec2(ui.available_width(), 28.0);
    // Else the lock alone says it.
    let roomy = row.x >= ENCRYPTED;
    ui.allocate_ui_with_layout(row, Layout::right_to_left(Align::Center), |ui| {
        if let Some(since) = group.connected_at {
            let column = Layout::left_to_right(Align::Center);
            ui.allocate_ui_with_layout(vec2(56.0, 24.0), column, |ui| {
                timer(ui, &words::timer(at.saturating_duration_since(since)), Type::Heading, palette.text2);
            });
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            if icon_button(ui, Icon::ArrowLeft, words::BACK, 24.0).clicked() {
                app.at_call = false;
            }
            // What follows the name has its room first.
            let encrypted = if roomy { words::ENCRYPTED_SHORT.text() } else { "" };
            let lock = if group.connected_at.is_some() { text_width(ui, encrypted) + 35.0 + space::S } else { 0.0 };
            let chips = 46.0 + space::S + lock;
            let name = group_name(group);
            let galley = cut(ui, &name, Type::Heading, palette.text, ui.available_width() - chips);
            let (rect, response) = ui.allocate_exact_size(galley.size(), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, &name));
            ui.painter().galley(rect.min, galley, palette.text);
            if group.phase != GroupPhase::Asking {
                let size = group.size();
                let count = pill(ui, Some(Icon::UsersRound), size.to_string(), palette.text2, palette.chip);
                count.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, words::people_count(size)));
            }
            if group.connected_at.is_some() {
                let lock = pill(ui, Some(Icon::Lock), encrypted, palette.success, palette.success_weak);
                lock.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, words::ENCRYPTED.text()));
                lock.on_hover_text(words::ENCRYPTED.text());
            }
        });
    });
}

fn text_width(ui: &Ui, text: &str) -> f32 {
    cut(ui, text, Type::Caption, palette(ui.ctx()).text, f32::INFINITY).size().x
}

/// Who does not hear whom, and how they are helped.
fn tell_gaps(ui: &mut Ui, gaps: &Gaps) {
    let palette = palette(ui.ctx());
    for (lines, advice, icon, ink, fill) in [
        (&gaps.missing, Some(words::GAP_ADVICE), Icon::EarOff, palette.warn, palette.warn_weak),
        (&gaps.helped, None, Icon::Route, palette.text2, palette.chip),
    ] {
        if lines.is_empty() {
            continue;
        }
        let frame = Frame::new().fill(fill).corner_radius(radius::CARD).inner_margin(Margin::symmetric(14, 8));
        frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal_top(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(20.0, 18.0), Sense::hover());
                paint_icon(ui.painter(), rect.center(), icon, 15.0, ink);
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    let mut say = |text: &str, font: Type, ink| {
                        ui.add(Label::new(RichText::new(text).font(font.font()).color(ink)).wrap());
                    };
                    lines.iter().take(MOST_GAPS).for_each(|line| say(line, Type::Small, ink));
                    if lines.len() > MOST_GAPS {
                        say(&words::and_more_lines(lines.len() - MOST_GAPS), Type::Small, ink);
                    }
                    if let Some(advice) = advice {
                        say(&advice, Type::Small, palette.text2);
                    }
                });
            });
        });
    }
}

fn grid(app: &mut App, ui: &mut Ui, now: &Snapshot, group: &SnapshotGroup, tiles: &[Tile]) {
    let room = vec2(ui.available_width(), (ui.available_height() - space::S).max(0.0));
    let grid = Grid::of(tiles.len(), room.x, room.y);
    let total = grid.total_height(tiles.len());
    ScrollArea::vertical().id_salt("tiles").auto_shrink(false).show(ui, |ui| {
        // In the middle, where there is more room than tiles need.
        ui.add_space(((room.y - total) / 2.0).max(0.0));
        let (all, _) = ui.allocate_exact_size(vec2(room.x, total), Sense::hover());
        for (place, tile) in tiles.iter().enumerate() {
            let (row, column) = (place / grid.columns, place % grid.columns);
            let in_row = (tiles.len() - row * grid.columns).min(grid.columns) as f32;
            let indent = (room.x - in_row * grid.width - (in_row - 1.0) * GAP) / 2.0;
            let left = all.left() + indent + column as f32 * (grid.width + GAP);
            let corner = pos2(left, all.top() + row as f32 * (grid.height + GAP));
            let rect = Rect::from_min_size(corner, vec2(grid.width, grid.height));
            let member = group.members.iter().find(|member| Some(member.person) == tile.who);
            tile::tile(app, ui, now, group, tile, member, rect);
        }
    });
}

fn controls(app: &mut App, ui: &mut Ui, now: &Snapshot, group: &SnapshotGroup) {
    let asking = group.phase == GroupPhase::Asking;
    ui.add_space(space::M);
    control_row(ui, if asking { 1 } else { 5 }, !asking, |ui, width, apart| {
        if !asking {
            mute_and_deafen(app, ui, now, width);
            if call_control(ui, Icon::UserRoundPlus, words::INVITE, Kind::Soft, width).clicked() {
                app.sheet = Some(Sheet::Invite(InviteForm::group(group.group)));
            }
            if hold(ui, group.held, width) {
                app.group(GroupCommand::SetHeld { group: group.group, held: !group.held });
            }
            ui.add_space(apart);
        }
        let word = if asking { words::CANCEL } else { words::LEAVE };
        if call_control(ui, Icon::PhoneOff, word, Kind::Danger, width).clicked() {
            app.group(GroupCommand::Leave { group: group.group });
        }
    });
    ui.add_space(space::L);
}
