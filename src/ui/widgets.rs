//! The pieces screens are made of. Each has an accessible name and a visible focus.

use std::collections::VecDeque;
use std::sync::Arc;

use eframe::egui::text::{LayoutJob, TextWrapping};
use eframe::egui::{
    Align, Align2, Color32, Context, Frame, Galley, Id, Label, Layout, Mesh, Modal, Painter, Pos2, Rect, Response,
    RichText, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, WidgetType, pos2, vec2,
};

use lucide_icons::Icon;

use super::script::shown;
use super::theme::{Palette, Type, avatar_colour, icon_font, initials_font, palette, radius, space};

pub fn label(ui: &mut Ui, text: impl Into<String>, font: Type, colour: Color32) -> Response {
    let text = text.into();
    let shown = shown(ui.ctx(), &text);
    let label = Label::new(RichText::new(&*shown).font(font.font()).color(colour)).selectable(false);
    let response = ui.add(label);
    if *shown != text {
        response.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, &text));
    }
    response
}

/// One line, cut with an ellipsis where the room ends.
pub fn line(ui: &mut Ui, text: &str, font: Type, colour: Color32) -> Response {
    let galley = cut(ui, text, font, colour, ui.available_width());
    let (rect, response) = ui.allocate_exact_size(galley.size(), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, text));
    ui.painter().galley(rect.min, galley, colour);
    response
}

pub fn paint_icon(painter: &Painter, centre: Pos2, icon: Icon, size: f32, ink: Color32) {
    painter.text(centre, Align2::CENTER_CENTER, icon.unicode(), icon_font(size), ink);
}

/// Gives a text field its name for assistive programs.
pub fn named(edit: Response, name: impl AsRef<str>) -> Response {
    edit.widget_info(|| WidgetInfo::labeled(WidgetType::TextEdit, true, name.as_ref()));
    edit
}

/// What a button is for, which decides its colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No ground until the pointer is over it.
    Ghost,
    Soft,
    Accent,
    Success,
    Danger,
    /// A switch that is on.
    On,
}

impl Kind {
    /// Ground, ground under the pointer, ink.
    fn colours(self, palette: &Palette) -> (Color32, Color32, Color32) {
        let lighter = |fill: Color32| fill.lerp_to_gamma(palette.on_fill, 0.12);
        match self {
            Self::Ghost => (Color32::TRANSPARENT, palette.hover, palette.text2),
            Self::Soft => (palette.chip, palette.hover, palette.text),
            Self::Accent => (palette.accent_fill, lighter(palette.accent_fill), palette.on_fill),
            Self::Success => (palette.success_fill, lighter(palette.success_fill), palette.on_fill),
            Self::Danger => (palette.danger_fill, lighter(palette.danger_fill), palette.on_fill),
            Self::On => (palette.text, palette.text2, palette.canvas),
        }
    }
}

fn ground(ui: &Ui, rect: Rect, response: &Response, kind: Kind, rounding: f32) -> Color32 {
    let palette = palette(ui.ctx());
    let (fill, hovered, ink) = kind.colours(palette);
    let t = ui.ctx().animate_bool_responsive(response.id, response.hovered() && response.enabled());
    let mut fill = fill.lerp_to_gamma(hovered, t);
    if response.is_pointer_button_down_on() {
        fill = fill.lerp_to_gamma(palette.pressed, 0.25);
    }
    let fade = if response.enabled() { 1.0 } else { 0.45 };
    ui.painter().rect_filled(rect, rounding, fill.gamma_multiply(fade));
    if kind == Kind::Soft {
        ui.painter().rect_stroke(rect, rounding, Stroke::new(1.0, palette.border), StrokeKind::Inside);
    }
    if response.has_focus() {
        let ring = Stroke::new(2.0, palette.accent);
        ui.painter().rect_stroke(rect.expand(2.0), rounding + 2.0, ring, StrokeKind::Outside);
    }
    ink.gamma_multiply(fade)
}

/// A button with words and, if given, an icon before them.
pub fn button(ui: &mut Ui, icon: Option<Icon>, name: impl AsRef<str>, kind: Kind) -> Response {
    let name = name.as_ref();
    let shown = shown(ui.ctx(), name).into_owned();
    let words = ui.painter().layout_no_wrap(shown, Type::Strong.font(), Color32::PLACEHOLDER);
    let indent = if icon.is_some() { 24.0 } else { 0.0 };
    let (rect, response) = ui.allocate_exact_size(vec2(words.size().x + 28.0 + indent, 36.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, ui.is_enabled(), name));
    let ink = ground(ui, rect, &response, kind, f32::from(radius::CONTROL));
    if let Some(icon) = icon {
        paint_icon(ui.painter(), pos2(rect.left() + 22.0, rect.center().y), icon, 16.0, ink);
    }
    let at = pos2(rect.left() + 14.0 + indent, rect.center().y - words.size().y / 2.0);
    ui.painter().galley_with_override_text_color(at, words, ink);
    response
}

/// A square button that is only an icon; its name shows under the pointer.
pub fn icon_button(ui: &mut Ui, icon: Icon, name: impl AsRef<str>, size: f32) -> Response {
    let name = name.as_ref();
    let (rect, response) = ui.allocate_exact_size(vec2(size, size), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, ui.is_enabled(), name));
    let ink = ground(ui, rect, &response, Kind::Ghost, f32::from(radius::CONTROL));
    let ink = if response.hovered() { palette(ui.ctx()).text } else { ink };
    paint_icon(ui.painter(), rect.center(), icon, (size * 0.46).clamp(15.0, 24.0), ink);
    response.on_hover_text(name)
}

/// A row of `count` controls in the middle, as wide as there is room for each. The last is set `apart` from the others
/// where there is room for that, too: `add` gets the width of each, and the room before the last.
pub fn control_row(ui: &mut Ui, count: usize, apart: bool, add: impl FnOnce(&mut Ui, f32, f32)) {
    ui.horizontal(|ui| {
        let (count, room) = (count as f32, ui.available_width());
        let roomy = room >= count * 80.0 + count * space::S + space::XL;
        let apart = if apart && roomy { space::XL } else { 0.0 };
        ui.spacing_mut().item_spacing.x = if roomy { space::S } else { 0.0 };
        let control = if roomy { 80.0 } else { (room / count).min(80.0) };
        let gaps = if apart > 0.0 { count } else { count - 1.0 };
        let width = count * control + gaps * ui.spacing().item_spacing.x + apart;
        ui.add_space(((room - width) / 2.0).max(0.0));
        add(ui, control, apart);
    });
}

/// A round control of a call with its name below, in so much width.
pub fn call_control(ui: &mut Ui, icon: Icon, name: impl AsRef<str>, kind: Kind, width: f32) -> Response {
    const SIZE: f32 = 52.0;
    let name = name.as_ref();
    let column = Layout::top_down(Align::Center);
    ui.allocate_ui_with_layout(vec2(width, 78.0), column, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        let (rect, response) = ui.allocate_exact_size(vec2(SIZE, SIZE), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, ui.is_enabled(), name));
        let ink = ground(ui, rect, &response, kind, SIZE / 2.0);
        paint_icon(ui.painter(), rect.center(), icon, 23.0, ink);
        // Painted rather than a label: assistive programs would read the name twice.
        let (below, _) = ui.allocate_exact_size(vec2(width, 16.0), Sense::hover());
        let colour = palette(ui.ctx()).text2;
        let name = cut(ui, name, Type::Caption, colour, width);
        ui.painter().galley(below.center() - name.size() / 2.0, name, colour);
        response
    })
    .inner
}

/// A short fact on a coloured ground.
pub fn pill(ui: &mut Ui, icon: Option<Icon>, text: impl AsRef<str>, ink: Color32, fill: Color32) -> Response {
    pill_within(ui, icon, text, ink, fill, f32::INFINITY)
}

/// A pill that is no wider: its text is cut.
pub fn pill_within(
    ui: &mut Ui,
    icon: Option<Icon>,
    text: impl AsRef<str>,
    ink: Color32,
    fill: Color32,
    width: f32,
) -> Response {
    let text = text.as_ref();
    let indent = if icon.is_some() { 17.0 } else { 0.0 };
    let words = cut(ui, text, Type::Caption, ink, width - 18.0 - indent);
    let (rect, response) = ui.allocate_exact_size(vec2(words.size().x + 18.0 + indent, 24.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, text));
    ui.painter().rect_filled(rect, 12.0, fill);
    if let Some(icon) = icon {
        paint_icon(ui.painter(), pos2(rect.left() + 15.0, rect.center().y), icon, 12.0, ink);
    }
    ui.painter().galley(pos2(rect.left() + 9.0 + indent, rect.center().y - words.size().y / 2.0), words, ink);
    response
}

/// A disc with initials, its colour taken from the person's key.
pub fn paint_avatar(painter: &Painter, centre: Pos2, diameter: f32, name: &str, seed: &[u8], ink: Color32) {
    painter.circle_filled(centre, diameter / 2.0, avatar_colour(seed));
    let initials = initials(name);
    let initials = shown(painter.ctx(), &initials);
    painter.text(centre, Align2::CENTER_CENTER, initials, initials_font(diameter), ink);
}

fn initials(name: &str) -> String {
    let letters = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let initials: String = letters.take(2).flat_map(char::to_uppercase).collect();
    if initials.is_empty() { "?".into() } else { initials }
}

/// Level of a sound in segments, `dbfs` of −60..0 over the whole width; unknown is dark.
pub fn meter(ui: &mut Ui, name: impl AsRef<str>, dbfs: Option<f32>, width: f32) {
    const SEGMENTS: usize = 28;
    let name = name.as_ref();
    let palette = palette(ui.ctx());
    let level = dbfs.map_or(0.0, |db| ((db + 60.0) / 60.0).clamp(0.0, 1.0));
    let (rect, response) = ui.allocate_exact_size(vec2(width, 8.0), Sense::hover());
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(WidgetType::ProgressIndicator, true, name);
        info.value = Some(f64::from((level * 100.0).round()));
        info
    });
    let step = width / SEGMENTS as f32;
    for segment in 0..SEGMENTS {
        let share = (segment as f32 + 0.5) / SEGMENTS as f32;
        let colour = match share {
            share if share > level => palette.meter_off,
            share if share > 0.92 => palette.danger,
            share if share > 0.78 => palette.warn,
            _ => palette.success,
        };
        let corner = pos2(rect.left() + segment as f32 * step, rect.top());
        ui.painter().rect_filled(Rect::from_min_size(corner, vec2(step - 2.0, 8.0)), 2.0, colour);
    }
}

/// A line through figures, its ground filled; the tallest touches the top.
pub fn sparkline(ui: &mut Ui, figures: &VecDeque<f32>, least_full_scale: f32, height: f32, ink: Color32) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    if figures.len() < 2 {
        let middle = Stroke::new(1.0, palette(ui.ctx()).border_strong);
        ui.painter().hline(rect.x_range(), rect.bottom() - 1.0, middle);
        return;
    }
    let most = figures.iter().copied().fold(least_full_scale, f32::max) * 1.1;
    let step = rect.width() / (figures.len() - 1) as f32;
    let place = |(at, figure): (usize, &f32)| {
        pos2(rect.left() + at as f32 * step, rect.bottom() - 1.0 - (rect.height() - 2.0) * figure / most)
    };
    let points: Vec<Pos2> = figures.iter().enumerate().map(place).collect();
    let mut below = Mesh::default();
    for (at, point) in (0_u32..).step_by(2).zip(&points) {
        below.colored_vertex(*point, ink.gamma_multiply(0.28));
        below.colored_vertex(pos2(point.x, rect.bottom()), Color32::TRANSPARENT);
        if at > 0 {
            below.add_triangle(at - 2, at - 1, at);
            below.add_triangle(at - 1, at, at + 1);
        }
    }
    ui.painter().add(Shape::mesh(below));
    ui.painter().add(Shape::line(points, Stroke::new(1.5, ink)));
}

/// Text on one line, cut with an ellipsis at `width`.
pub fn cut(ui: &Ui, text: &str, font: Type, ink: Color32, width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(shown(ui.ctx(), text).into_owned(), font.font(), ink);
    job.wrap = TextWrapping::truncate_at_width(width.max(0.0));
    ui.painter().layout_job(job)
}

/// What a screen says that has nothing to show.
pub fn emptiness(ui: &mut Ui, icon: Icon, title: impl Into<String>, body: impl Into<String>) {
    let palette = palette(ui.ctx());
    ui.vertical_centered(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(56.0, 56.0), Sense::hover());
        ui.painter().circle_filled(rect.center(), 28.0, palette.chip);
        paint_icon(ui.painter(), rect.center(), icon, 24.0, palette.text3);
        label(ui, title, Type::Heading, palette.text);
        ui.add(
            Label::new(RichText::new(body).font(Type::Small.font()).color(palette.text2)).wrap().halign(Align::Center),
        );
    });
}

/// Digits on a fixed pitch, so that a running timer does not wobble; centred in the width there is.
pub fn timer(ui: &mut Ui, text: &str, font: Type, colour: Color32) {
    let digit = ui.painter().layout_no_wrap("0".into(), font.font(), colour).size();
    let letters: Vec<_> = text
        .chars()
        .map(|letter| {
            let galley = ui.painter().layout_no_wrap(letter.to_string(), font.font(), colour);
            let pitch = if letter.is_ascii_digit() { digit.x } else { galley.size().x };
            (galley, pitch)
        })
        .collect();
    let width: f32 = letters.iter().map(|(_, pitch)| pitch).sum();
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width().max(width), digit.y), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Label, true, text));
    let mut x = rect.center().x - width / 2.0;
    for (galley, pitch) in letters {
        ui.painter().galley(pos2(x + (pitch - galley.size().x) / 2.0, rect.top()), galley, colour);
        x += pitch;
    }
}

/// What stands in front of everything else, with so much room inside.
pub fn modal(ctx: &Context, id: &str, margin: i8) -> Modal {
    let palette = palette(ctx);
    let frame = Frame::new()
        .fill(palette.raised)
        .stroke(Stroke::new(1.0, palette.border_strong))
        .corner_radius(radius::SHEET)
        .shadow(ctx.global_style().visuals.window_shadow)
        .inner_margin(margin);
    Modal::new(Id::new(id)).backdrop_color(palette.scrim).frame(frame)
}

pub fn card(ui: &Ui) -> Frame {
    let palette = palette(ui.ctx());
    Frame::new()
        .fill(palette.surface)
        .stroke(Stroke::new(1.0, palette.border))
        .corner_radius(radius::CARD)
        .inner_margin(space::L as i8)
}
