//! Icons, drawn as strokes on a grid of 24 × 24 in the manner of Lucide.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use eframe::egui::{Color32, Painter, Pos2, Shape, Stroke, Vec2, pos2, vec2};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Check,
    Copy,
    Lock,
    Microphone,
    MicrophoneOff,
    Phone,
    PhoneDown,
    Route,
    Speaker,
}

/// Draws `icon`, `size` high, around `centre`.
pub fn paint(painter: &Painter, centre: Pos2, icon: Icon, size: f32, colour: Color32) {
    let scale = size / 24.0;
    let stroke = Stroke::new((2.0 * scale).max(1.4), colour);
    let place = |point: Pos2| centre + (point - pos2(12.0, 12.0)) * scale;
    for (points, closed) in strokes(icon) {
        let points: Vec<Pos2> = points.into_iter().map(place).collect();
        painter.add(if closed { Shape::closed_line(points, stroke) } else { Shape::line(points, stroke) });
    }
}

/// Lines on the grid, and whether each returns to its start.
type Strokes = Vec<(Vec<Pos2>, bool)>;

fn strokes(icon: Icon) -> Strokes {
    match icon {
        Icon::Check => vec![(vec![pos2(4.5, 12.5), pos2(9.5, 17.5), pos2(20.0, 6.5)], false)],
        Icon::Copy => vec![
            (rounded(pos2(9.0, 9.0), vec2(12.0, 12.0), 2.0), true),
            (
                [
                    vec![pos2(5.0, 15.0)],
                    arc(pos2(5.0, 13.0), 2.0, FRAC_PI_2, PI),
                    arc(pos2(5.0, 5.0), 2.0, PI, PI * 1.5),
                ]
                .concat()
                .into_iter()
                .chain(arc(pos2(13.0, 5.0), 2.0, PI * 1.5, TAU))
                .collect(),
                false,
            ),
        ],
        Icon::Lock => vec![
            (rounded(pos2(4.0, 11.0), vec2(16.0, 10.0), 2.0), true),
            ([vec![pos2(7.5, 11.0)], arc(pos2(12.0, 7.0), 4.5, PI, TAU), vec![pos2(16.5, 11.0)]].concat(), false),
        ],
        Icon::Microphone => microphone(),
        Icon::MicrophoneOff => {
            let mut strokes = microphone();
            strokes.push((vec![pos2(3.0, 3.0), pos2(21.0, 21.0)], false));
            strokes
        }
        Icon::Phone => vec![(handset(), true)],
        Icon::PhoneDown => {
            let centre = pos2(12.0, 12.0);
            let turned = handset().into_iter().map(|point| centre + rotate(point - centre, PI * 0.75)).collect();
            vec![(turned, true)]
        }
        Icon::Route => vec![
            (arc(pos2(6.0, 19.0), 3.0, 0.0, TAU), true),
            (arc(pos2(18.0, 5.0), 3.0, 0.0, TAU), true),
            (
                [
                    vec![pos2(9.0, 19.0)],
                    arc(pos2(16.5, 15.5), 3.5, FRAC_PI_2, -FRAC_PI_2),
                    arc(pos2(7.5, 8.5), 3.5, FRAC_PI_2, PI * 1.5),
                    vec![pos2(15.0, 5.0)],
                ]
                .concat(),
                false,
            ),
        ],
        Icon::Speaker => vec![
            (
                [(11.0, 5.0), (6.5, 9.0), (3.0, 9.0), (3.0, 15.0), (6.5, 15.0), (11.0, 19.0)]
                    .map(|(x, y)| pos2(x, y))
                    .to_vec(),
                true,
            ),
            (arc(pos2(12.0, 12.0), 4.5, -0.8, 0.8), false),
            (arc(pos2(12.0, 12.0), 8.5, -0.85, 0.85), false),
        ],
    }
}

fn microphone() -> Strokes {
    let bowl = [vec![pos2(5.0, 10.0)], arc(pos2(12.0, 12.0), 7.0, PI, 0.0), vec![pos2(19.0, 10.0)]].concat();
    vec![
        (rounded(pos2(9.0, 2.0), vec2(6.0, 13.0), 3.0), true),
        (bowl, false),
        (vec![pos2(12.0, 19.0), pos2(12.0, 22.0)], false),
    ]
}

/// Outline of a handset, from the lower end of the inner bow.
fn handset() -> Vec<Pos2> {
    [
        vec![pos2(13.8, 16.6), pos2(14.6, 16.7), pos2(15.4, 15.8)],
        arc(pos2(17.0, 17.0), 2.0, PI * 1.25, PI * 1.5),
        arc(pos2(20.0, 17.0), 2.0, PI * 1.5, TAU),
        arc(pos2(20.0, 20.0), 2.0, 0.0, FRAC_PI_2),
        arc(pos2(20.0, 4.0), 18.0, FRAC_PI_2, PI),
        arc(pos2(4.0, 4.0), 2.0, PI, PI * 1.5),
        arc(pos2(7.0, 4.0), 2.0, PI * 1.5, TAU),
        arc(pos2(7.0, 7.0), 2.0, 0.0, 0.9),
        vec![pos2(7.4, 9.3), pos2(7.4, 10.2)],
        arc(pos2(20.0, 4.0), 14.0, PI * 0.855, PI * 0.645),
    ]
    .concat()
}

fn rotate(vector: Vec2, angle: f32) -> Vec2 {
    let (sin, cos) = angle.sin_cos();
    vec2(vector.x * cos - vector.y * sin, vector.x * sin + vector.y * cos)
}

/// Angles as on the screen: 0 to the right, growing clockwise.
fn arc(centre: Pos2, radius: f32, from: f32, to: f32) -> Vec<Pos2> {
    let steps = ((to - from).abs() / 0.2).ceil().max(2.0) as usize;
    (0..=steps).map(|step| centre + Vec2::angled(from + (to - from) * step as f32 / steps as f32) * radius).collect()
}

fn rounded(corner: Pos2, size: Vec2, radius: f32) -> Vec<Pos2> {
    let (left, top) = (corner.x + radius, corner.y + radius);
    let (right, bottom) = (corner.x + size.x - radius, corner.y + size.y - radius);
    [
        arc(pos2(right, top), radius, -FRAC_PI_2, 0.0),
        arc(pos2(right, bottom), radius, 0.0, FRAC_PI_2),
        arc(pos2(left, bottom), radius, FRAC_PI_2, PI),
        arc(pos2(left, top), radius, PI, PI * 1.5),
    ]
    .concat()
}
