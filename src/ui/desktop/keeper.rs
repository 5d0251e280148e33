//! Where the window was left: its place, size, open section and the width of the list, kept as one preference.

use std::fmt;
use std::time::{Duration, Instant};

use eframe::egui::containers::panel::PanelState;
use eframe::egui::{Context, Id, Pos2, Rect, ViewportBuilder, pos2};

use crate::ui::app::Section;

/// After the last change; a window that is being dragged is not written in each frame.
const SETTLED: Duration = Duration::from_secs(2);
/// The panel whose width is kept, and its limits in points.
const LIST: &str = "people";
const LIST_WIDTH: std::ops::RangeInclusive<f32> = 240.0..=380.0;
const WIDTH: std::ops::RangeInclusive<f32> = 420.0..=16_384.0;
const HEIGHT: std::ops::RangeInclusive<f32> = 560.0..=16_384.0;
const PLACE: std::ops::RangeInclusive<f32> = -32_768.0..=32_767.0;
/// Longest preference that is read, bytes.
const MAX_BYTES: usize = 200;
/// So much of a window's top edge has to be on a screen, points: else nobody could take hold of it.
const HANDLE: (f32, f32) = (80.0, 24.0);

/// All sizes in points, the place that of the outer corner.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Kept {
    /// Unknown on systems that tell no window where it is.
    place: Option<(f32, f32)>,
    size: (f32, f32),
    maximized: bool,
    section: Section,
    list: f32,
}

/// One screen in the desktop's coordinates, points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Screen {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

/// When the state is to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    Never,
    In(Duration),
    Now(String),
}

/// Looks at the window in each pass and knows what of it the profile does not know yet.
#[derive(Debug)]
pub struct Keeper {
    now: Kept,
    stored: Option<Kept>,
    changed_at: Option<Instant>,
}

impl Keeper {
    /// With the preference as it was last written. Nonsense counts as none.
    pub fn new(preference: Option<&str>) -> Self {
        let stored = preference.and_then(Kept::parse);
        Self { now: stored.unwrap_or_default(), stored, changed_at: None }
    }

    /// The window's outer corner, as last seen.
    pub fn place(&self) -> Option<Pos2> {
        self.now.place.map(|(x, y)| pos2(x, y))
    }

    /// The window as it was left.
    pub fn arrange(&self, viewport: ViewportBuilder) -> ViewportBuilder {
        let (width, height) = self.now.size;
        let sized = viewport.with_inner_size([width, height]).with_maximized(self.now.maximized);
        match self.now.place {
            Some((x, y)) => sized.with_position([x, y]),
            None => sized,
        }
    }

    /// Where the window has to go because the screen on which it was is not there any more.
    pub fn back_on_screen(&self, screens: &[Screen]) -> Option<Pos2> {
        let (x, y) = self.now.place?;
        let (width, height) = self.now.size;
        let top = Rect::from_min_size(pos2(x, y), (width, HANDLE.1).into());
        let is_on = |screen: &Screen| {
            let seen = top.intersect(screen.rect());
            seen.width() >= HANDLE.0 && seen.height() >= HANDLE.1 / 2.0
        };
        let first = screens.first()?;
        if screens.iter().any(is_on) {
            return None;
        }
        let room = |screen: f32, window: f32| ((screen - window) / 2.0).max(0.0);
        Some(pos2(first.x + room(first.width, width), first.y + room(first.height, height)))
    }

    pub fn section(&self) -> Section {
        self.now.section
    }

    pub fn list_width(&self) -> f32 {
        self.now.list
    }

    /// True when something changed or waits to be written.
    pub fn look(&mut self, ctx: &Context, section: Section, hidden: bool) -> bool {
        let mut now = Kept { section, ..self.now };
        if let Some(panel) = PanelState::load(ctx, Id::new(LIST)) {
            now.list = panel.size().x.clamp(*LIST_WIDTH.start(), *LIST_WIDTH.end()).round();
        }
        let (inner, outer, maximized, minimized) = ctx.input(|input| {
            let window = input.viewport();
            (window.inner_rect, window.outer_rect, window.maximized, window.minimized)
        });
        if !hidden && minimized != Some(true) {
            now.maximized = maximized == Some(true);
            if let Some(inner) = inner.filter(|_| !now.maximized) {
                now.size = (inner.width().round(), inner.height().round());
                now.place = outer.map(|outer| (outer.left().round(), outer.top().round()));
            }
        }
        self.seen(now, crate::ui::now());
        self.changed_at.is_some()
    }

    fn seen(&mut self, seen: Kept, at: Instant) {
        if seen != self.now {
            self.now = seen;
            self.changed_at = Some(at);
        }
    }

    /// What is to be written, if anything; `closing`: at once.
    pub fn due(&mut self, at: Instant, closing: bool) -> Due {
        let Some(changed_at) = self.changed_at else { return Due::Never };
        let wait = (changed_at + SETTLED).saturating_duration_since(at);
        if !closing && !wait.is_zero() {
            return Due::In(wait);
        }
        self.changed_at = None;
        if self.stored == Some(self.now) {
            return Due::Never;
        }
        self.stored = Some(self.now);
        Due::Now(self.now.to_string())
    }
}

impl Screen {
    fn rect(&self) -> Rect {
        Rect::from_min_size(pos2(self.x, self.y), (self.width, self.height).into())
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self { place: None, size: (1120.0, 720.0), maximized: false, section: Section::People, list: 300.0 }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((x, y)) = self.place {
            write!(f, "x={x} y={y} ")?;
        }
        let (width, height) = self.size;
        let maximized = if self.maximized { "yes" } else { "no" };
        let (section, list) = (name_of(self.section), self.list);
        write!(f, "width={width} height={height} maximized={maximized} section={section} list={list}")
    }
}

impl Kept {
    /// What is missing or beyond its limits is as in a new profile; `None` when nothing can be read at all.
    fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let value = |key: &str| {
            let words = text.split_ascii_whitespace();
            words.filter_map(|word| word.split_once('=')).find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let number = |key: &str, limits: &std::ops::RangeInclusive<f32>| {
            value(key).and_then(|value| value.parse::<f32>().ok()).filter(|number| limits.contains(number))
        };
        let default = Self::default();
        let size = number("width", &WIDTH).zip(number("height", &HEIGHT))?;
        Some(Self {
            place: number("x", &PLACE).zip(number("y", &PLACE)),
            size,
            maximized: value("maximized") == Some("yes"),
            section: value("section").and_then(section_of).unwrap_or(default.section),
            list: number("list", &LIST_WIDTH).unwrap_or(default.list),
        })
    }
}

fn name_of(section: Section) -> &'static str {
    match section {
        Section::People => "people",
        Section::Network => "network",
        Section::Settings => "settings",
        Section::You => "you",
    }
}

fn section_of(name: &str) -> Option<Section> {
    let all = [Section::People, Section::Network, Section::Settings, Section::You];
    all.into_iter().find(|section| name_of(*section) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: &str = "x=-300 y=40 width=900 height=640 maximized=no section=network list=260";

    #[test]
    fn what_was_kept_is_found_again() {
        let kept = Kept::parse(LEFT).unwrap();
        assert_eq!((kept.place, kept.size), (Some((-300.0, 40.0)), (900.0, 640.0)));
        assert_eq!((kept.section, kept.list), (Section::Network, 260.0));
        assert_eq!(kept.to_string(), LEFT);
    }

    #[test]
    fn nonsense_is_as_nothing() {
        for text in ["", "width=nan height=700", "width=1e9 height=700", "width=5 height=5", "\u{0}", "width height"] {
            assert_eq!(Kept::parse(text), None, "{text:?}");
        }
        assert_eq!(Kept::parse(&format!("{LEFT} {}", " ".repeat(200))), None, "too long");
        let odd = Kept::parse("x=1e30 y=3 width=900 height=640 section=cellar list=9000").unwrap();
        assert_eq!((odd.place, odd.section, odd.list), (None, Section::People, 300.0));
    }

    #[test]
    fn a_window_comes_back_from_a_screen_that_is_gone() {
        let screen = Screen { x: 0.0, y: 0.0, width: 1920.0, height: 1080.0 };
        let second = Screen { x: 1920.0, ..screen };
        let at = |x: f32, y: f32| Keeper::new(Some(&format!("x={x} y={y} width=1000 height=600")));
        assert_eq!(at(2000.0, 100.0).back_on_screen(&[screen, second]), None);
        assert_eq!(at(2000.0, 100.0).back_on_screen(&[screen]), Some(pos2(460.0, 240.0)));
        assert_eq!(at(-900.0, 100.0).back_on_screen(&[screen]), None, "its corner can be taken hold of");
        assert_eq!(at(-980.0, 100.0).back_on_screen(&[screen]), Some(pos2(460.0, 240.0)));
        assert_eq!(at(100.0, -300.0).back_on_screen(&[screen]), Some(pos2(460.0, 240.0)), "its bar is out of reach");
        assert_eq!(at(9000.0, 0.0).back_on_screen(&[]), None, "where no screen is known nothing is moved");
    }

    #[test]
    fn it_is_written_when_it_has_settled_or_closes() {
        let start = crate::ui::now();
        let mut keeper = Keeper::new(Some(LEFT));
        assert_eq!(keeper.due(start, true), Due::Never, "nothing has changed");
        let wider = Kept { size: (950.0, 640.0), ..keeper.now };
        keeper.seen(wider, start);
        assert_eq!(keeper.due(start + SETTLED / 2, false), Due::In(SETTLED / 2));
        let value = wider.to_string();
        assert_eq!(keeper.due(start + SETTLED, false), Due::Now(value));
        assert_eq!(keeper.due(start + SETTLED, true), Due::Never, "it is written already");
        keeper.seen(Kept { size: (960.0, 640.0), ..wider }, start);
        keeper.seen(wider, start);
        assert_eq!(keeper.due(start, true), Due::Never, "it is as it was");
    }
}
