//! Design tokens. Nothing outside this file names a raw colour, size or font.

use std::sync::Arc;

use eframe::egui::{
    self, Color32, Context, CornerRadius, CursorIcon, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow,
    Stroke, Style, TextStyle, Theme, Vec2,
};
use lucide_icons::LUCIDE_FONT_BYTES;

/// The colours of one theme. Text on its intended ground has a contrast of at least 4.5:1 (WCAG 2.2, 1.4.3).
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    pub rail: Color32,
    pub canvas: Color32,
    pub surface: Color32,
    pub raised: Color32,
    pub hover: Color32,
    pub pressed: Color32,
    pub chip: Color32,
    pub border: Color32,
    pub border_strong: Color32,
    pub text: Color32,
    pub text2: Color32,
    pub text3: Color32,
    pub accent: Color32,
    pub accent_fill: Color32,
    pub accent_weak: Color32,
    pub on_fill: Color32,
    pub success: Color32,
    pub success_fill: Color32,
    pub success_weak: Color32,
    pub danger: Color32,
    pub danger_fill: Color32,
    pub danger_weak: Color32,
    pub warn: Color32,
    pub warn_weak: Color32,
    pub meter_off: Color32,
    pub scrim: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

pub const DARK: Palette = Palette {
    rail: rgb(0x0B0E13),
    canvas: rgb(0x11151B),
    surface: rgb(0x171C24),
    raised: rgb(0x1E2530),
    hover: rgb(0x222A36),
    pressed: rgb(0x2B3543),
    chip: rgb(0x262F3C),
    border: rgb(0x242C37),
    border_strong: rgb(0x3A4554),
    text: rgb(0xE9EDF3),
    text2: rgb(0xAAB4C2),
    text3: rgb(0x8894A4),
    accent: rgb(0x7AA2FF),
    accent_fill: rgb(0x3F6FE6),
    accent_weak: rgb(0x1C2945),
    on_fill: rgb(0xFFFFFF),
    success: rgb(0x43CF86),
    success_fill: rgb(0x16844A),
    success_weak: rgb(0x132D22),
    danger: rgb(0xFF7076),
    danger_fill: rgb(0xD4363D),
    danger_weak: rgb(0x3A1A1E),
    warn: rgb(0xF4BD55),
    warn_weak: rgb(0x35290F),
    meter_off: rgb(0x2A323E),
    scrim: Color32::from_rgba_premultiplied(0, 0, 0, 150),
};

pub const LIGHT: Palette = Palette {
    rail: rgb(0xE9ECF1),
    canvas: rgb(0xFFFFFF),
    surface: rgb(0xF5F6F9),
    raised: rgb(0xFFFFFF),
    hover: rgb(0xE9ECF2),
    pressed: rgb(0xDDE2EA),
    chip: rgb(0xECEFF4),
    border: rgb(0xE0E4EA),
    border_strong: rgb(0xC3CAD5),
    text: rgb(0x141A22),
    text2: rgb(0x465162),
    text3: rgb(0x5E6978),
    accent: rgb(0x2857CF),
    accent_fill: rgb(0x3565E0),
    accent_weak: rgb(0xE5ECFF),
    on_fill: rgb(0xFFFFFF),
    success: rgb(0x117A43),
    success_fill: rgb(0x17804A),
    success_weak: rgb(0xE0F5E9),
    danger: rgb(0xBF2229),
    danger_fill: rgb(0xCF3037),
    danger_weak: rgb(0xFDE7E8),
    warn: rgb(0x8A5A00),
    warn_weak: rgb(0xFDF1D8),
    meter_off: rgb(0xDCE1E8),
    scrim: Color32::from_rgba_premultiplied(8, 10, 14, 90),
};

/// A QR code is dark on light in both themes: not every reader takes an inverted one.
pub const QR_GROUND: Color32 = Color32::WHITE;
pub const QR_INK: Color32 = rgb(0x141A22);

/// The palette in use.
pub fn palette(ctx: &Context) -> &'static Palette {
    if ctx.theme() == Theme::Dark { &DARK } else { &LIGHT }
}

pub mod space {
    pub const XS: f32 = 4.0;
    pub const S: f32 = 8.0;
    pub const M: f32 = 12.0;
    pub const L: f32 = 16.0;
    pub const XL: f32 = 24.0;
    pub const XXL: f32 = 32.0;
}

pub mod radius {
    pub const CONTROL: u8 = 8;
    pub const CARD: u8 = 12;
    pub const SHEET: u8 = 18;
}

/// Widgets fade between states in this time, seconds.
const ANIMATION_S: f32 = 0.12;

/// The type scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Display,
    Title,
    Heading,
    Strong,
    Body,
    Small,
    Caption,
    Mono,
}

impl Type {
    pub fn font(self) -> FontId {
        let (size, family) = match self {
            Self::Display => (26.0, semibold()),
            Self::Title => (19.0, semibold()),
            Self::Heading => (15.0, semibold()),
            Self::Strong => (14.0, medium()),
            Self::Body => (14.0, FontFamily::Proportional),
            Self::Small => (12.5, FontFamily::Proportional),
            Self::Caption => (11.0, medium()),
            Self::Mono => (12.5, FontFamily::Monospace),
        };
        FontId::new(size, family)
    }
}

/// Initials in an avatar of this diameter.
pub fn initials_font(diameter: f32) -> FontId {
    FontId::new(diameter * 0.37, semibold())
}

/// Icons of this height.
pub fn icon_font(size: f32) -> FontId {
    FontId::new(size, icons())
}

fn icons() -> FontFamily {
    FontFamily::Name("icons".into())
}

fn medium() -> FontFamily {
    FontFamily::Name("medium".into())
}

fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// All families that names are written in.
pub fn text_families() -> [FontFamily; 4] {
    [FontFamily::Proportional, FontFamily::Monospace, medium(), semibold()]
}

/// The ground of an avatar, the same for a person every time.
pub fn avatar_colour(seed: &[u8]) -> Color32 {
    const GROUNDS: [u32; 8] = [0x4C6FE0, 0x0B8A9C, 0xB5477F, 0xB8641C, 0x2F7FB8, 0x7A55C7, 0x2A8463, 0xC04F5C];
    let sum = seed.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    rgb(GROUNDS[sum % GROUNDS.len()])
}

/// Gives a context our fonts and styles, for both themes.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    ctx.style_mut_of(Theme::Dark, |style| apply(style, &DARK));
    ctx.style_mut_of(Theme::Light, |style| apply(style, &LIGHT));
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let ours: [(&str, FontFamily, &[u8]); 3] = [
        ("inter", FontFamily::Proportional, include_bytes!("../../assets/fonts/Inter-Regular.otf")),
        ("inter-medium", medium(), include_bytes!("../../assets/fonts/Inter-Medium.otf")),
        ("inter-semibold", semibold(), include_bytes!("../../assets/fonts/Inter-SemiBold.otf")),
    ];
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    for (name, family, bytes) in ours {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
        let mut chain = vec![name.to_owned()];
        chain.extend(fallback.iter().cloned());
        fonts.families.insert(family, chain);
    }
    fonts.font_data.insert("lucide".to_owned(), Arc::new(FontData::from_static(LUCIDE_FONT_BYTES)));
    fonts.families.insert(icons(), vec!["lucide".to_owned()]);
    fonts
}

fn apply(style: &mut Style, palette: &Palette) {
    style.text_styles = [
        (TextStyle::Small, Type::Small.font()),
        (TextStyle::Body, Type::Body.font()),
        (TextStyle::Button, Type::Strong.font()),
        (TextStyle::Heading, Type::Title.font()),
        (TextStyle::Monospace, Type::Mono.font()),
    ]
    .into();
    style.animation_time = ANIMATION_S;

    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::splat(space::S);
    spacing.button_padding = Vec2::new(14.0, space::S);
    spacing.interact_size = Vec2::new(40.0, 32.0);
    spacing.window_margin = Margin::same(20);
    spacing.scroll = egui::style::ScrollStyle::thin();

    let visuals = &mut style.visuals;
    visuals.panel_fill = palette.canvas;
    visuals.window_fill = palette.raised;
    visuals.extreme_bg_color = palette.surface;
    visuals.text_edit_bg_color = Some(palette.surface);
    visuals.window_stroke = Stroke::new(1.0, palette.border_strong);
    visuals.window_corner_radius = CornerRadius::same(radius::CARD);
    visuals.window_shadow = Shadow {
        offset: [0, 12],
        blur: 40,
        spread: 0,
        color: Color32::from_black_alpha(if visuals.dark_mode { 130 } else { 40 }),
    };
    visuals.weak_text_color = Some(palette.text3);
    visuals.selection.bg_fill = palette.accent_fill.gamma_multiply(0.45);
    visuals.selection.stroke = Stroke::new(1.0, palette.accent);
    // Nothing is painted while nothing changes, not even while somebody thinks about what to type.
    visuals.text_cursor.blink = false;
    visuals.interact_cursor = Some(CursorIcon::PointingHand);

    let widgets = &mut visuals.widgets;
    for (state, fill, border, text) in [
        (&mut widgets.noninteractive, palette.surface, palette.border, palette.text2),
        (&mut widgets.inactive, palette.raised, palette.border_strong, palette.text),
        (&mut widgets.hovered, palette.hover, palette.border_strong, palette.text),
        (&mut widgets.active, palette.pressed, palette.border_strong, palette.text),
        (&mut widgets.open, palette.pressed, palette.border_strong, palette.text),
    ] {
        // The ground of boxes to tick and of sliders' rails, which must be seen on every card.
        state.bg_fill = palette.chip;
        state.weak_bg_fill = fill;
        state.bg_stroke = Stroke::new(1.0, border);
        state.fg_stroke = Stroke::new(1.0, text);
        state.corner_radius = CornerRadius::same(radius::CONTROL);
        state.expansion = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.2.
    fn luminance(colour: Color32) -> f32 {
        let linear = |byte: u8| {
            let value = f32::from(byte) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(colour.r()) + 0.7152 * linear(colour.g()) + 0.0722 * linear(colour.b())
    }

    fn contrast(a: Color32, b: Color32) -> f32 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_can_be_read() {
        for palette in [&DARK, &LIGHT] {
            for ground in [palette.canvas, palette.surface] {
                for text in [palette.text, palette.text2, palette.text3, palette.accent] {
                    assert!(contrast(text, ground) >= 4.5, "{text:?} on {ground:?}");
                }
            }
            for (text, ground) in [
                (palette.on_fill, palette.accent_fill),
                (palette.on_fill, palette.success_fill),
                (palette.on_fill, palette.danger_fill),
                (palette.success, palette.success_weak),
                (palette.warn, palette.warn_weak),
                (palette.danger, palette.danger_weak),
                (palette.accent, palette.accent_weak),
                (palette.text2, palette.accent_weak),
                (palette.text, palette.chip),
                (palette.text2, palette.chip),
            ] {
                assert!(contrast(text, ground) >= 4.5, "{text:?} on {ground:?}");
            }
        }
    }
}
