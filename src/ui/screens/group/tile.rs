//! One person in a group call, with a menu of what can be done about them.

use eframe::egui::{
    Align, Color32, Frame, Id, Label, Layout, Popup, PopupCloseBehavior, Rect, RichText, Sense, Slider, Stroke,
    StrokeKind, TextWrapMode, Ui, WidgetInfo, WidgetType, pos2, vec2,
};
use lucide_icons::Icon;

use crate::engine::{CommandKind, GroupCommand, Snapshot, SnapshotGroup, SnapshotMember, Volume};
use crate::ui::app::{App, Sheet};
use crate::ui::groups::link_of;
use crate::ui::screens::sheet::suggested_name;
use crate::ui::theme::{Type, palette, radius, space};
use crate::ui::view::{Mark, Tile};
use crate::ui::widgets::{Kind, button, cut, label, line, paint_avatar, paint_icon, pill};
use crate::ui::words;

/// Of a menu.
const MENU: f32 = 248.0;

pub fn tile(
    app: &mut App,
    ui: &mut Ui,
    now: &Snapshot,
    group: &SnapshotGroup,
    tile: &Tile,
    member: Option<&SnapshotMember>,
    rect: Rect,
) {
    let sense = if member.is_some() { Sense::click() } else { Sense::hover() };
    let response = ui.interact(rect, Id::new(("tile", tile.who)), sense);
    let role = if member.is_some() { WidgetType::Button } else { WidgetType::Label };
    response.widget_info(|| WidgetInfo::labeled(role, true, tile.spoken()));
    if response.gained_focus() {
        ui.scroll_to_rect(rect, None);
    }
    if ui.is_rect_visible(rect) {
        paint(ui, tile, rect, response.hovered(), response.has_focus());
    }
    let Some(member) = member else { return };
    let menu = Popup::menu(&response).close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    let frame = Frame::menu(ui.style()).inner_margin(space::M as i8);
    let menu = menu.layout(Layout::top_down(Align::Min)).frame(frame);
    menu.at_position(rect.center()).width(MENU).show(|ui| {
        ui.set_width(MENU);
        // Menus leave out the outline, without which an empty box cannot be seen.
        let outline = Stroke::new(1.0, palette(ui.ctx()).border_strong);
        let widgets = &mut ui.visuals_mut().widgets;
        for state in [&mut widgets.inactive, &mut widgets.hovered, &mut widgets.active] {
            state.bg_stroke = outline;
        }
        about(app, ui, now, group, member);
    });
}

fn paint(ui: &Ui, tile: &Tile, rect: Rect, hovered: bool, focused: bool) {
    let palette = palette(ui.ctx());
    let painter = ui.painter();
    let rounding = f32::from(radius::CARD);
    let (border, ink) = match tile.mark {
        Mark::Quiet | Mark::Ringing | Mark::Connecting | Mark::Held | Mark::Gone => {
            (Stroke::new(1.0, palette.border), palette.text2)
        }
        Mark::Speaking => (Stroke::new(2.0, palette.success), palette.success),
        Mark::Broken => (Stroke::new(1.5, palette.warn), palette.warn),
    };
    let fill = if hovered { palette.hover } else { palette.surface };
    painter.rect(rect, rounding, fill, border, StrokeKind::Inside);
    if focused {
        painter.rect_stroke(rect.shrink(4.0), rounding - 3.0, Stroke::new(2.0, palette.accent), StrokeKind::Inside);
    }

    // From below: why, what, who; the portrait has the rest.
    let mut bottom = rect.bottom() - 8.0;
    let detail_ink = if tile.worry { palette.warn } else { palette.text2 };
    for (text, font, ink, height) in [
        (tile.detail.as_str(), Type::Caption, detail_ink, 15.0),
        (tile.caption.as_str(), Type::Caption, ink, 16.0),
        (tile.name.as_str(), Type::Strong, palette.text, 22.0),
    ] {
        if !text.is_empty() {
            let text = cut(ui, text, font, ink, rect.width() - 20.0);
            let at = pos2(rect.center().x - text.size().x / 2.0, bottom - (height + text.size().y) / 2.0);
            painter.galley(at, text, ink);
            bottom -= height;
        }
    }
    let centre = pos2(rect.center().x, (rect.top() + bottom) / 2.0 + 2.0);
    let diameter = (rect.width() * 0.31).min((bottom - rect.top()) * 0.62).clamp(44.0, 96.0);
    if tile.mark == Mark::Speaking {
        painter.circle_filled(centre, diameter / 2.0 + 6.0, palette.success.gamma_multiply(0.22));
    }
    portrait(ui, tile, centre, diameter, fill);
    badges(ui, tile, rect);
}

fn portrait(ui: &Ui, tile: &Tile, centre: eframe::egui::Pos2, diameter: f32, ground: Color32) {
    let palette = palette(ui.ctx());
    let painter = ui.painter();
    let seed = tile.key.as_ref().map_or(&[][..], |key| key.as_bytes());
    let sign = match tile.mark {
        Mark::Quiet | Mark::Speaking => None,
        Mark::Ringing => Some((Icon::BellRing, palette.text2)),
        Mark::Connecting => Some((Icon::Ellipsis, palette.text2)),
        Mark::Broken => Some((Icon::RefreshCw, palette.warn)),
        Mark::Held => Some((Icon::Pause, palette.text2)),
        Mark::Gone => Some((Icon::UserRoundX, palette.text2)),
    };
    let name = if sign.is_some() { "" } else { tile.called.as_str() };
    let Some((sign, ink)) = sign else {
        return paint_avatar(painter, centre, diameter, name, seed, palette.on_fill);
    };
    // A sign takes the place of the initials, on what is left of the colour.
    let faded = crate::ui::theme::avatar_colour(seed).lerp_to_gamma(ground, 0.68);
    painter.circle_filled(centre, diameter / 2.0, faded);
    paint_icon(painter, centre, sign, diameter * 0.36, ink);
}

/// In the corner: their microphone is off, we do not play them.
fn badges(ui: &Ui, tile: &Tile, rect: Rect) {
    let palette = palette(ui.ctx());
    let mut at = pos2(rect.right() - 20.0, rect.top() + 20.0);
    for (shown, icon) in [(tile.muted, Icon::MicOff), (tile.silenced, Icon::VolumeX)] {
        if shown {
            ui.painter().circle_filled(at, 12.0, palette.danger_weak);
            paint_icon(ui.painter(), at, icon, 13.0, palette.danger);
            at.x -= 28.0;
        }
    }
}

/// All that is known of a member and can be done about them.
fn about(app: &mut App, ui: &mut Ui, now: &Snapshot, group: &SnapshotGroup, member: &SnapshotMember) {
    let palette = palette(ui.ctx());
    let person = member.person;
    let name = member.display_name();
    ui.style_mut().wrap_mode = Some(TextWrapMode::Wrap);
    line(ui, &name, Type::Heading, palette.text);
    let contact = now.contacts.iter().any(|contact| contact.person == person);
    if !contact {
        label(ui, words::NOT_A_CONTACT, Type::Small, palette.text2);
    }
    if let Some((text, worry)) = member.stats.as_ref().and_then(words::quality) {
        let (ink, fill) =
            if worry { (palette.warn, palette.warn_weak) } else { (palette.success, palette.success_weak) };
        pill(ui, Some(Icon::Signal), &text, ink, fill);
    }
    volume(app, ui, now, member);
    let mut silenced = member.silenced;
    if ui.checkbox(&mut silenced, words::MUTE_FOR_ME).changed() {
        app.group(GroupCommand::SetSilenced { group: group.group, person, silenced });
    }
    safety(app, ui, now, member);
    if !contact && button(ui, Some(Icon::UserRoundPlus), words::ADD_CONTACT, Kind::Ghost).clicked() {
        let mut link = link_of(now, person);
        link.name.clone_from(&member.name);
        app.sheet = Some(Sheet::Add { name: suggested_name(&link), link });
        ui.close();
    }
    if member.removable && button(ui, Some(Icon::UserRoundMinus), words::REMOVE_FROM_CALL, Kind::Ghost).clicked() {
        app.sheet = Some(Sheet::RemoveFromCall { group: group.group, person, name });
        ui.close();
    }
}

fn volume(app: &mut App, ui: &mut Ui, now: &Snapshot, member: &SnapshotMember) {
    let palette = palette(ui.ctx());
    let mut percent = now.person(member.person).volume.percent();
    label(ui, words::VOLUME, Type::Small, palette.text2);
    ui.allocate_ui_with_layout(vec2(MENU, 24.0), Layout::left_to_right(Align::Center), |ui| {
        ui.spacing_mut().slider_width = MENU - 64.0;
        let slider = ui.add(Slider::new(&mut percent, 0..=Volume::MAX.percent()).show_value(false).step_by(5.0));
        slider.widget_info(|| WidgetInfo::slider(true, f64::from(percent), words::VOLUME.text()));
        if slider.changed() {
            let volume = Volume::from_percent(percent);
            app.send(CommandKind::SetVolume { person: member.person, volume });
        }
        label(ui, format!("{percent} %"), Type::Small, palette.text2);
    });
}

/// The words to compare with them, once and for all calls.
fn safety(app: &mut App, ui: &mut Ui, now: &Snapshot, member: &SnapshotMember) {
    let palette = palette(ui.ctx());
    if now.person(member.person).verified_unix_s.is_some() {
        pill(ui, Some(Icon::ShieldCheck), words::VERIFIED, palette.success, palette.success_weak);
        return;
    }
    let note = member.call.and_then(|call| app.notes.get(call)).filter(|note| !note.safety_words.is_empty());
    let Some(safety_words) = note.map(|note| note.safety_words.clone()) else { return };
    ui.add_space(space::XS);
    ui.add(Label::new(RichText::new(words::SAFETY_WORDS).font(Type::Caption.font()).color(palette.text3)).wrap());
    ui.add(Label::new(RichText::new(safety_words).font(Type::Small.font()).color(palette.text)).wrap());
    if button(ui, Some(Icon::ShieldCheck), words::WORDS_MATCH, Kind::Ghost).clicked() {
        app.send(CommandKind::SetVerified { person: member.person, verified: true });
    }
}
