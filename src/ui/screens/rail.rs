//! The strip at the left: where to go.

use eframe::egui::{
    Align, Color32, Image, Layout, Rect, Sense, Stroke, StrokeKind, Theme, Ui, WidgetInfo, WidgetType, pos2, vec2,
};
use lucide_icons::Icon;

use crate::engine::Snapshot;
use crate::ui::app::{App, Section};
use crate::ui::theme::{palette, radius, space};
use crate::ui::widgets::{icon_button, paint_icon};
use crate::ui::words::{self, Word};

pub fn rail(app: &mut App, ui: &mut Ui, now: &Snapshot) {
    ui.spacing_mut().item_spacing.y = 6.0;
    ui.add(Image::new(&app.icon).alt_text(words::TITLE).fit_to_exact_size(vec2(44.0, 44.0)));
    ui.add_space(space::M);
    for (icon, name, section) in
        [(Icon::UsersRound, words::PEOPLE, Section::People), (Icon::Activity, words::NETWORK, Section::Network)]
    {
        place(app, ui, icon, name, section, None);
    }
    ui.with_layout(Layout::bottom_up(Align::Center), |ui| {
        let palette = palette(ui.ctx());
        let dot = match (&now.link, now.presence_acks) {
            (None, _) => palette.text3,
            (Some(_), 0) => palette.warn,
            (Some(_), _) => palette.success,
        };
        place(app, ui, Icon::QrCode, words::YOU_SECTION, Section::You, Some(dot));
        place(app, ui, Icon::Settings, words::SETTINGS, Section::Settings, None);
        let (icon, name, other) = match ui.ctx().theme() {
            Theme::Dark => (Icon::Sun, words::LIGHT_THEME, Theme::Light),
            Theme::Light => (Icon::Moon, words::DARK_THEME, Theme::Dark),
        };
        if icon_button(ui, icon, name, 44.0).clicked() {
            app.wear(ui.ctx(), other);
        }
    });
}

fn place(app: &mut App, ui: &mut Ui, icon: Icon, name: Word, section: Section, dot: Option<Color32>) {
    let palette = palette(ui.ctx());
    let on = app.section == section;
    let (rect, response) = ui.allocate_exact_size(vec2(44.0, 44.0), Sense::click());
    response.widget_info(|| WidgetInfo::selected(WidgetType::SelectableLabel, true, on, name.text()));
    let t = ui.ctx().animate_bool_responsive(response.id, response.hovered() || on);
    let ground = if on { palette.accent_weak } else { palette.hover };
    ui.painter().rect_filled(rect, f32::from(radius::CARD), Color32::TRANSPARENT.lerp_to_gamma(ground, t));
    paint_icon(ui.painter(), rect.center(), icon, 20.0, if on { palette.accent } else { palette.text2 });
    if on {
        let mark = Rect::from_center_size(pos2(rect.left() - 8.0, rect.center().y), vec2(3.0, 20.0));
        ui.painter().rect_filled(mark, 1.5, palette.accent);
    }
    if let Some(dot) = dot {
        let at = rect.center() + vec2(11.0, 11.0);
        ui.painter().circle_filled(at, 6.5, palette.rail);
        ui.painter().circle_filled(at, 4.5, dot);
    }
    if response.has_focus() {
        let ring = Stroke::new(2.0, palette.accent);
        ui.painter().rect_stroke(rect, f32::from(radius::CARD), ring, StrokeKind::Inside);
    }
    if response.on_hover_text(name).clicked() {
        app.open(section);
    }
}
