//! What of a picture has to be painted anew when its shapes change. Pure: no window, no OpenGL.
//!
//! A pixel's colour is decided by the shapes that reach it, one over the other. So wherever the same shapes come in the
//! same order as before, the old pixels are right; all others are inside of what was damaged.

use std::sync::Arc;

use eframe::egui::emath::Rot2;
use eframe::egui::epaint::{ClippedShape, TextShape};
use eframe::egui::{Pos2, Rect, Shape, Vec2};

/// Shapes are painted softly at their edges and moved to whole pixels, so they reach this much farther than they say,
/// physical pixels.
const SOFT_EDGE: f32 = 2.0;
/// Of a shape that came or went, it is looked for so many shapes ahead.
const AHEAD: usize = 32;
/// More areas than this are not worth the trouble of telling them apart.
const MOST_AREAS: usize = 6;
/// Areas are joined when that costs no more than painting this many pixels that need not be.
const WASTE: i64 = 4096;
/// From this share of the window on, all of it is painted.
const MOST_DAMAGE: f64 = 0.5;

/// A rectangle of physical pixels; `y` grows downwards, `right` and `bottom` are outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Pixels {
    /// From the upper left corner.
    pub fn of_size([width, height]: [u32; 2]) -> Self {
        let side = |length: u32| i32::try_from(length).unwrap_or(i32::MAX);
        Self { left: 0, top: 0, right: side(width), bottom: side(height) }
    }

    fn is_empty(self) -> bool {
        self.left >= self.right || self.top >= self.bottom
    }

    /// Number of pixels.
    fn area(self) -> i64 {
        if self.is_empty() { 0 } else { i64::from(self.right - self.left) * i64::from(self.bottom - self.top) }
    }

    fn and(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// The smallest one around both.
    fn around(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// All pixels that a rectangle of points touches. One that is no number is taken to be everywhere.
    fn touched(rect: Rect, scale: f32) -> Self {
        let [left, top, right, bottom] =
            [rect.min.x, rect.min.y, rect.max.x, rect.max.y].map(|coordinate| coordinate * scale);
        if [left, top, right, bottom].iter().any(|edge| edge.is_nan()) {
            return Self { left: i32::MIN, top: i32::MIN, right: i32::MAX, bottom: i32::MAX };
        }
        Self {
            left: (left - SOFT_EDGE).floor() as i32,
            top: (top - SOFT_EDGE).floor() as i32,
            right: (right + SOFT_EDGE).ceil() as i32,
            bottom: (bottom + SOFT_EDGE).ceil() as i32,
        }
    }

    /// What egui's painter makes of a clip rectangle in points.
    fn clip(rect: Rect, scale: f32) -> Self {
        Self {
            left: (rect.min.x * scale).round() as i32,
            top: (rect.min.y * scale).round() as i32,
            right: (rect.max.x * scale).round() as i32,
            bottom: (rect.max.y * scale).round() as i32,
        }
    }

    /// In points, as a clip rectangle that egui's painter makes these pixels of.
    fn to_points(self, scale: f32) -> Rect {
        let point = |x: i32, y: i32| Pos2::new(x as f32 / scale, y as f32 / scale);
        Rect::from_min_max(point(self.left, self.top), point(self.right, self.bottom))
    }
}

/// All that is in a window.
#[derive(Debug)]
pub struct Picture {
    /// From the bottom to the top. None of them is all out of sight.
    shapes: Vec<Placed>,
    /// Of the window, physical pixels.
    size: [u32; 2],
    /// Physical pixels per point.
    scale: f32,
}

/// A shape, and the pixels that it may colour.
#[derive(Debug)]
struct Placed {
    shape: ClippedShape,
    reach: Pixels,
}

/// How to get from one picture to another.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Whole,
    /// In these areas, which do not overlap, the ground and these shapes are to be painted; all other pixels stay.
    Part {
        areas: Vec<Pixels>,
        shapes: Vec<ClippedShape>,
    },
}

impl Picture {
    pub fn new(shapes: Vec<ClippedShape>, size: [u32; 2], scale: f32) -> Self {
        let window = Pixels::of_size(size);
        let placed = shapes.into_iter().map(|shape| Placed { reach: reach(&shape, scale).and(window), shape });
        Self { shapes: placed.filter(|placed| !placed.reach.is_empty()).collect(), size, scale }
    }

    /// All of the window, points.
    pub fn window(&self) -> Rect {
        Pixels::of_size(self.size).to_points(self.scale)
    }

    /// To be painted where nothing is known.
    pub fn shapes(&self) -> Vec<ClippedShape> {
        self.shapes.iter().map(|placed| placed.shape.clone()).collect()
    }

    /// What to paint over `old` for it to become this picture.
    pub fn change_from(&self, old: &Self) -> Change {
        if self.size != old.size || self.scale.to_bits() != old.scale.to_bits() {
            return Change::Whole;
        }
        let mut areas = Areas::default();
        differing(&old.shapes, &self.shapes, |placed| areas.add(placed.reach));
        let areas = areas.0;
        let damage: i64 = areas.iter().map(|area| area.area()).sum();
        if damage as f64 > Pixels::of_size(self.size).area() as f64 * MOST_DAMAGE {
            return Change::Whole;
        }
        let shapes =
            areas.iter().flat_map(|area| self.shapes.iter().filter_map(|placed| placed.within(*area, self.scale)));
        Change::Part { shapes: shapes.collect(), areas: areas.clone() }
    }
}

impl Placed {
    /// What of it is seen in this area.
    fn within(&self, area: Pixels, scale: f32) -> Option<ClippedShape> {
        let is_in_sight = !self.reach.and(area).is_empty();
        let clip_rect = Pixels::clip(self.shape.clip_rect, scale).and(area).to_points(scale);
        is_in_sight.then(|| ClippedShape { clip_rect, shape: self.shape.shape.clone() })
    }
}

fn reach(shape: &ClippedShape, scale: f32) -> Pixels {
    Pixels::touched(bounds(&shape.shape, scale), scale).and(Pixels::clip(shape.clip_rect, scale))
}

/// Of a shape without its soft edge, points. Some stand out of what egui says; one of which it is hard to tell is taken to
/// be everywhere.
fn bounds(shape: &Shape, scale: f32) -> Rect {
    let bounds = shape.visual_bounding_rect();
    match shape {
        Shape::Vec(shapes) => shapes.iter().map(|shape| self::bounds(shape, scale)).fold(Rect::NOTHING, Rect::union),
        Shape::Circle(circle) => bounds.expand(circle.stroke.width),
        Shape::Ellipse(_) => Rect::EVERYTHING,
        Shape::LineSegment { stroke, .. } => bounds.expand(stroke.width),
        Shape::Path(path) if path.closed => {
            bounds.expand(spike(&path.points) * (path.stroke.width + SOFT_EDGE / scale))
        }
        Shape::QuadraticBezier(curve) if curve.closed => Rect::EVERYTHING,
        Shape::CubicBezier(curve) if curve.closed => Rect::EVERYTHING,
        // Corners of open lines are cut off before they stand out farther.
        Shape::Path(path) => bounds.expand(path.stroke.width),
        Shape::QuadraticBezier(curve) => bounds.expand(curve.stroke.width),
        Shape::CubicBezier(curve) => bounds.expand(curve.stroke.width),
        Shape::Text(text) => text_bounds(text),
        Shape::Noop | Shape::Rect(_) | Shape::Mesh(_) | Shape::Callback(_) => bounds,
    }
}

/// How far the sharpest corner of an outline stands out, in widths of its line. There is no limit to it.
fn spike(points: &[Pos2]) -> f32 {
    let ends = points.iter().skip(1).chain(points.first());
    let directions = points.iter().zip(ends).map(|(from, to)| (*to - *from).normalized());
    // A point that is there twice has no direction.
    let directions: Vec<Vec2> = directions.filter(|direction| *direction != Vec2::ZERO).collect();
    let next = directions.iter().skip(1).chain(directions.first());
    directions.iter().zip(next).map(|(before, after)| 2.0 / (*before + *after).length()).fold(1.0, f32::max)
}

/// Selected text has a ground, of which only its rows know.
fn text_bounds(text: &TextShape) -> Rect {
    let rows = text.galley.rows.iter().map(|row| row.visuals.mesh_bounds.translate(row.pos.to_vec2()));
    let bounds = rows.fold(text.galley.mesh_bounds, Rect::union);
    let bounds = if text.angle == 0.0 { bounds } else { bounds.rotate_bb(Rot2::from_angle(text.angle)) };
    bounds.translate(text.pos.to_vec2()).expand(text.underline.width)
}

/// Calls `differs` with the shapes that are in one of the lists only, or out of order. Where lists are compared in order,
/// a shape too many costs time, but never a wrong picture.
fn differing<'a>(old: &'a [Placed], new: &'a [Placed], mut differs: impl FnMut(&'a Placed)) {
    let (mut at, mut to) = (0, 0);
    while let (Some(gone), Some(come)) = (old.get(at), new.get(to)) {
        if is_same(gone, come) {
            (at, to) = (at + 1, to + 1);
            continue;
        }
        // Replaced, unless what comes next on one side has come up on the other.
        let (went, came) = (1..=AHEAD)
            .find_map(|skip| {
                let in_old = old.get(at + skip).is_some_and(|later| is_same(later, come));
                let in_new = new.get(to + skip).is_some_and(|later| is_same(gone, later));
                if in_old { Some((skip, 0)) } else { in_new.then_some((0, skip)) }
            })
            .unwrap_or((1, 1));
        old[at..at + went].iter().for_each(&mut differs);
        new[to..to + came].iter().for_each(&mut differs);
        (at, to) = (at + went, to + came);
    }
    old[at..].iter().chain(&new[to..]).for_each(differs);
}

fn is_same(a: &Placed, b: &Placed) -> bool {
    a.reach == b.reach && a.shape.clip_rect == b.shape.clip_rect && looks_same(&a.shape.shape, &b.shape.shape)
}

fn looks_same(a: &Shape, b: &Shape) -> bool {
    match (a, b) {
        (Shape::Text(a), Shape::Text(b)) => reads_same(a, b),
        (Shape::Mesh(a), Shape::Mesh(b)) => Arc::ptr_eq(a, b) || a == b,
        (Shape::Vec(a), Shape::Vec(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| looks_same(a, b)),
        // Nobody knows what it paints.
        (Shape::Callback(_), _) => false,
        (a, b) => a == b,
    }
}

/// Laid out text is kept as long as it is shown, and is long to compare.
fn reads_same(a: &TextShape, b: &TextShape) -> bool {
    let TextShape { pos, galley, underline, fallback_color, override_text_color, opacity_factor, angle } = a;
    *pos == b.pos
        && *fallback_color == b.fallback_color
        && *override_text_color == b.override_text_color
        && *opacity_factor == b.opacity_factor
        && *angle == b.angle
        && *underline == b.underline
        && (Arc::ptr_eq(galley, &b.galley) || galley == &b.galley)
}

/// Rectangles that do not overlap.
#[derive(Default)]
struct Areas(Vec<Pixels>);

impl Areas {
    fn add(&mut self, area: Pixels) {
        if area.is_empty() {
            return;
        }
        self.join(area);
        while self.0.len() > MOST_AREAS {
            let pairs = (0..self.0.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
            let Some((a, b)) = pairs.min_by_key(|&(a, b)| waste(self.0[a], self.0[b])) else { return };
            let (a, b) = (self.0.swap_remove(a), self.0[b]);
            self.join(a.around(b));
        }
    }

    fn join(&mut self, mut area: Pixels) {
        let joins = |area: Pixels, other: Pixels| !area.and(other).is_empty() || waste(area, other) <= WASTE;
        while let Some(at) = self.0.iter().position(|other| joins(area, *other)) {
            area = area.around(self.0.swap_remove(at));
        }
        self.0.push(area);
    }
}

/// Pixels that are in neither, but in the rectangle around both.
fn waste(a: Pixels, b: Pixels) -> i64 {
    a.around(b).area() - a.area() - b.area()
}
