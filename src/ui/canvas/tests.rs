//! What is painted of a picture that changed, by a painter that is as simple as can be: the triangles that egui makes of
//! shapes, blended pixel by pixel as OpenGL does.

use std::sync::Arc;

use eframe::egui::emath::Rot2;
use eframe::egui::epaint::{
    CircleShape, ClippedPrimitive, ClippedShape, CubicBezierShape, EllipseShape, Mesh, PathShape, Primitive, RectShape,
    TessellationOptions, Tessellator, TextShape,
};
use eframe::egui::text::{CCursor, CharIndex};
use eframe::egui::text_selection::{CCursorRange, visuals::paint_text_selection};
use eframe::egui::{
    Color32, Context, FontId, Galley, Pos2, RawInput, Rect, Shape, Stroke, StrokeKind, Vec2, Visuals, pos2, vec2,
};
use proptest::prelude::*;

use super::damage::{Change, Picture, Pixels};

/// Physical pixels.
const SIZE: [u32; 2] = [180, 140];
const GROUND: [f32; 4] = [0.1, 0.2, 0.3, 1.0];

/// All colours of a window, line by line.
type Screen = Vec<[f32; 4]>;

fn empty() -> Screen {
    vec![GROUND; (SIZE[0] * SIZE[1]) as usize]
}

fn paint(screen: &mut Screen, shapes: Vec<ClippedShape>, scale: f32) {
    let options = TessellationOptions { coarse_tessellation_culling: false, ..TessellationOptions::default() };
    let primitives = Tessellator::new(scale, options, [1024, 1024], Vec::new()).tessellate_shapes(shapes);
    for ClippedPrimitive { clip_rect, primitive } in primitives {
        let Primitive::Mesh(mesh) = primitive else { panic!("nothing but triangles") };
        // As egui's painter rounds it.
        let edge = |at: f32, most: u32| ((at * scale).round() as i32).clamp(0, most as i32);
        let (left, right) = (edge(clip_rect.min.x, SIZE[0]), edge(clip_rect.max.x, SIZE[0]));
        let (top, bottom) = (edge(clip_rect.min.y, SIZE[1]), edge(clip_rect.max.y, SIZE[1]));
        for corners in mesh.triangles() {
            let corners = corners.map(|at| mesh.vertices[at as usize]);
            let at = corners.map(|corner| corner.pos * scale);
            let around = Rect::from_points(&at);
            for y in top.max(around.min.y.floor() as i32)..bottom.min(around.max.y.ceil() as i32) {
                for x in left.max(around.min.x.floor() as i32)..right.min(around.max.x.ceil() as i32) {
                    let Some(weights) = within(at, pos2(x as f32 + 0.5, y as f32 + 0.5)) else { continue };
                    let mut colour = [0.0_f32; 4];
                    for (corner, weight) in corners.iter().zip(weights) {
                        // No texture is looked at, but where it would be counts.
                        let texel = 0.5 + 0.5 * (corner.uv.x * 97.0 + corner.uv.y * 31.0).fract();
                        for (sum, part) in colour.iter_mut().zip(corner.color.to_normalized_gamma_f32()) {
                            *sum += weight * part * texel;
                        }
                    }
                    let pixel = &mut screen[(y * SIZE[0] as i32 + x) as usize];
                    for (old, part) in pixel.iter_mut().zip(colour) {
                        *old = part + *old * (1.0 - colour[3]);
                    }
                }
            }
        }
    }
}

/// How much of each corner is at this place, if it is in the triangle.
fn within([a, b, c]: [Pos2; 3], at: Pos2) -> Option<[f32; 3]> {
    let cross = |a: Pos2, b: Pos2, c: Pos2| (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
    let all = cross(a, b, c);
    let weights = [cross(b, c, at) / all, cross(c, a, at) / all, cross(a, b, at) / all];
    (all != 0.0 && weights.iter().all(|weight| *weight >= 0.0)).then_some(weights)
}

fn colour() -> impl Strategy<Value = Color32> {
    (any::<[u8; 3]>(), prop_oneof![Just(255), 20_u8..255])
        .prop_map(|([red, green, blue], alpha)| Color32::from_rgba_unmultiplied(red, green, blue, alpha))
}

fn place() -> impl Strategy<Value = Pos2> {
    (-10.0..150.0_f32, -10.0..110.0_f32).prop_map(|(x, y)| pos2(x, y))
}

fn rect() -> impl Strategy<Value = Rect> {
    (place(), 0.3..30.0_f32, 0.3..30.0_f32).prop_map(|(at, width, height)| Rect::from_min_size(at, vec2(width, height)))
}

fn stroke() -> impl Strategy<Value = Stroke> {
    (0.3..5.0_f32, colour()).prop_map(|(width, colour)| Stroke::new(width, colour))
}

fn kind() -> impl Strategy<Value = StrokeKind> {
    prop_oneof![Just(StrokeKind::Inside), Just(StrokeKind::Middle), Just(StrokeKind::Outside)]
}

fn corners(at: Pos2, offsets: &[(f32, f32)]) -> Vec<Pos2> {
    offsets.iter().map(|(x, y)| at + vec2(*x, *y)).collect()
}

fn outline() -> impl Strategy<Value = Vec<Pos2>> {
    let offsets = proptest::collection::vec((0.0..30.0_f32, 0.0..30.0_f32), 3..7);
    (place(), offsets).prop_map(|(at, offsets)| corners(at, &offsets))
}

/// Two lines of text, the second one or a part of both selected.
fn galley(scale: f32, marked: Option<(usize, usize)>) -> Arc<Galley> {
    let ctx = Context::default();
    ctx.set_pixels_per_point(scale);
    let mut galley = None;
    let input =
        RawInput { screen_rect: Some(Rect::from_min_size(Pos2::ZERO, Vec2::splat(200.0))), ..RawInput::default() };
    // The scale holds from the second frame on.
    for _ in 0..2 {
        let _ = ctx.run_ui(input.clone(), |ui| {
            let text = "Tin, jg\nÅ".to_owned();
            galley = Some(ui.painter().layout_no_wrap(text, FontId::proportional(11.0), Color32::PLACEHOLDER));
        });
    }
    let mut galley = galley.expect("it was laid out");
    if let Some((from, to)) = marked {
        let range = CCursorRange::two(CCursor::new(CharIndex(from)), CCursor::new(CharIndex(to)));
        paint_text_selection(&mut galley, &Visuals::dark(), &range, None);
    }
    galley
}

fn shape(scale: f32) -> impl Strategy<Value = Shape> {
    let galleys = [None, Some((0, 3)), Some((4, 9))].map(|marked| galley(scale, marked));
    let text = (proptest::sample::select(galleys.to_vec()), place(), colour(), prop_oneof![Just(0.0), 0.0..6.0_f32]);
    prop_oneof![
        (rect(), 0_u8..9, colour()).prop_map(|(rect, radius, fill)| Shape::rect_filled(rect, radius, fill)),
        (rect(), 0_u8..9, stroke(), kind())
            .prop_map(|(rect, radius, stroke, kind)| Shape::rect_stroke(rect, radius, stroke, kind)),
        (rect(), 0_u8..9, colour(), 0.5..20.0_f32).prop_map(|(rect, radius, fill, blur)| RectShape::filled(
            rect, radius, fill
        )
        .with_blur_width(blur)
        .into()),
        (place(), 0.3..15.0_f32, colour(), stroke()).prop_map(|(center, radius, fill, stroke)| CircleShape {
            center,
            radius,
            fill,
            stroke
        }
        .into()),
        (place(), 1.0..15.0_f32, 1.0..15.0_f32, stroke(), 0.0..6.0_f32).prop_map(|(center, x, y, stroke, angle)| {
            let fill = stroke.color.gamma_multiply(0.5);
            EllipseShape { center, radius: vec2(x, y), fill, stroke, angle }.into()
        }),
        (place(), place(), stroke()).prop_map(|(from, to, stroke)| {
            Shape::line_segment([from, from + Rot2::from_angle(to.x) * vec2(to.y.abs() / 3.0, 0.0)], stroke)
        }),
        (outline(), stroke()).prop_map(|(points, stroke)| PathShape::line(points, stroke).into()),
        (outline(), stroke()).prop_map(|(points, stroke)| PathShape::closed_line(points, stroke).into()),
        (outline(), stroke()).prop_map(|(points, stroke)| {
            let points = [points[0], points[1], points[2], points[0] + vec2(9.0, 9.0)];
            CubicBezierShape::from_points_stroke(points, false, Color32::TRANSPARENT, stroke).into()
        }),
        (outline(), colour()).prop_map(|(points, colour)| {
            let mut mesh = Mesh::default();
            points.iter().for_each(|point| mesh.colored_vertex(*point, colour));
            mesh.add_triangle(0, 1, 2);
            Shape::mesh(mesh)
        }),
        text.prop_map(|(galley, at, colour, angle)| TextShape::new(at, galley, colour).with_angle(angle).into()),
        Just(Shape::Noop),
    ]
}

/// Shapes, which of them were there before, and which are there now.
fn scene() -> impl Strategy<Value = (f32, Vec<(ClippedShape, bool, bool)>)> {
    prop_oneof![Just(1.0_f32), Just(1.25), Just(1.5), Just(2.0)].prop_flat_map(|scale| {
        let clip_rect = prop_oneof![Just(Rect::EVERYTHING), rect().prop_map(|rect| rect.expand(20.0))];
        let shape = (clip_rect, shape(scale)).prop_map(|(clip_rect, shape)| ClippedShape { clip_rect, shape });
        let seen = prop_oneof![6 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, true))];
        let shapes = proptest::collection::vec((shape, seen).prop_map(|(shape, (old, new))| (shape, old, new)), 1..25);
        (Just(scale), shapes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn painting_what_changed_over_the_old_picture_is_painting_all((scale, shapes) in scene()) {
        let seen = |is_seen: fn(&(ClippedShape, bool, bool)) -> bool| {
            shapes.iter().filter(|shape| is_seen(shape)).map(|(shape, ..)| shape.clone()).collect::<Vec<_>>()
        };
        let (old, new) = (seen(|shape| shape.1), seen(|shape| shape.2));
        let mut all = empty();
        paint(&mut all, new.clone(), scale);
        let mut screen = empty();
        paint(&mut screen, old.clone(), scale);
        match Picture::new(new, SIZE, scale).change_from(&Picture::new(old, SIZE, scale)) {
            Change::Whole => {}
            Change::Part { areas, shapes } => {
                for area in &areas {
                    for y in area.top..area.bottom {
                        screen[(y * SIZE[0] as i32 + area.left) as usize..][..(area.right - area.left) as usize].fill(GROUND);
                    }
                }
                paint(&mut screen, shapes, scale);
                let wrong = (0..all.len()).find(|at| screen[*at] != all[*at]);
                let place = wrong.map(|at| (at % SIZE[0] as usize, at / SIZE[0] as usize));
                prop_assert_eq!(place, None, "areas {:?}", areas);
            }
        }
    }
}

fn square(x: f32, y: f32, colour: Color32) -> ClippedShape {
    let rect = Rect::from_min_size(pos2(x, y), Vec2::splat(4.0));
    ClippedShape { clip_rect: Rect::EVERYTHING, shape: Shape::rect_filled(rect, 0.0, colour) }
}

/// Twenty squares in each of twenty rows, on a panel.
fn board() -> Vec<ClippedShape> {
    let panel = Rect::from_min_size(Pos2::ZERO, Vec2::splat(1000.0));
    let panel = ClippedShape { clip_rect: Rect::EVERYTHING, shape: Shape::rect_filled(panel, 0.0, Color32::DARK_GRAY) };
    let squares = (0..400).map(|at| square((at % 20) as f32 * 40.0, (at / 20) as f32 * 40.0, Color32::GREEN));
    [panel].into_iter().chain(squares).collect()
}

const BOARD: [u32; 2] = [800, 800];

fn change(old: Vec<ClippedShape>, new: Vec<ClippedShape>) -> Change {
    Picture::new(new, BOARD, 1.0).change_from(&Picture::new(old, BOARD, 1.0))
}

fn part(change: Change) -> (Vec<Pixels>, Vec<ClippedShape>) {
    match change {
        Change::Part { areas, shapes } => (areas, shapes),
        Change::Whole => panic!("little has changed"),
    }
}

#[test]
fn what_stays_is_not_painted() {
    assert_eq!(part(change(board(), board())), (Vec::new(), Vec::new()));
}

#[test]
fn a_square_that_changes_is_painted_with_what_is_below_it() {
    let mut new = board();
    new[43] = square(80.0, 80.0, Color32::RED);
    let (areas, shapes) = part(change(board(), new.clone()));
    assert_eq!(areas, [Pixels { left: 78, top: 78, right: 86, bottom: 86 }]);
    assert_eq!(
        shapes.iter().map(|shape| shape.shape.clone()).collect::<Vec<_>>(),
        [new[0].shape.clone(), new[43].shape.clone()]
    );
    assert!(shapes.iter().all(|shape| shape.clip_rect == Rect::from_min_max(pos2(78.0, 78.0), pos2(86.0, 86.0))));
}

#[test]
fn shapes_that_come_and_go_do_not_damage_those_after_them() {
    let mut new = board();
    new.insert(7, square(700.0, 20.0, Color32::RED));
    new.insert(90, square(700.0, 740.0, Color32::RED));
    new.remove(50);
    let (areas, _) = part(change(board(), new));
    assert_eq!(areas.len(), 3, "{areas:?}");
    assert!(areas.iter().all(|area| area.right - area.left == 8 && area.bottom - area.top == 8), "{areas:?}");
}

#[test]
fn areas_are_few_and_do_not_overlap() {
    let mut new = board();
    for at in (1..400).step_by(37) {
        new[at] = square((at % 20) as f32 * 40.0 + 3.0, (at / 20) as f32 * 40.0 + 3.0, Color32::RED);
    }
    let (areas, _) = part(change(board(), new));
    assert!((2..=6).contains(&areas.len()), "{areas:?}");
    for (at, a) in areas.iter().enumerate() {
        for b in &areas[..at] {
            let apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
            assert!(apart, "{a:?} and {b:?}");
        }
    }
}

#[test]
fn much_damage_another_size_and_another_scale_have_all_painted() {
    let mut other = board();
    other[0] = square(0.0, 0.0, Color32::RED);
    assert_eq!(change(board(), other), Change::Whole);
    let old = Picture::new(board(), BOARD, 1.0);
    assert_eq!(Picture::new(board(), [800, 801], 1.0).change_from(&old), Change::Whole);
    assert_eq!(Picture::new(board(), BOARD, 1.25).change_from(&old), Change::Whole);
}

#[test]
fn what_is_no_number_is_everywhere() {
    let mut new = board();
    new.push(square(f32::NAN, 3.0, Color32::RED));
    assert_eq!(change(board(), new), Change::Whole);
}
