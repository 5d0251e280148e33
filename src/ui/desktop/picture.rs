//! The tray's picture: the client's icon with a dot for the state.

use eframe::egui::{Color32, IconData};
use ksni::Icon;

/// Sides of the pictures that a tray can choose from, pixels.
const SIDES: [usize; 3] = [22, 32, 48];
/// Radius of the dot and of the gap around it, of the picture's side.
const DOT: f32 = 0.2;
const GAP: f32 = 0.26;

/// `dot`: its colour; `None`: no dot.
pub fn pictures(icon: &IconData, dot: Option<Color32>) -> Vec<Icon> {
    SIDES.into_iter().filter_map(|side| picture(icon, side, dot)).collect()
}

/// ARGB, as trays read it.
fn picture(icon: &IconData, side: usize, dot: Option<Color32>) -> Option<Icon> {
    let (width, height) = (icon.width as usize, icon.height as usize);
    if width < side || height < side || icon.rgba.len() != width * height * 4 {
        return None;
    }
    let mut data = Vec::with_capacity(side * side * 4);
    for y in 0..side {
        for x in 0..side {
            let (columns, rows) =
                (x * width / side..(x + 1) * width / side, y * height / side..(y + 1) * height / side);
            let mut colour = mean(icon, columns, rows);
            if let Some(dot) = dot {
                let to_centre = |at: usize| at as f32 + 0.5 - side as f32 * (1.0 - DOT);
                let distance = to_centre(x).hypot(to_centre(y)) / side as f32;
                if distance <= DOT {
                    colour = [dot.r(), dot.g(), dot.b(), 255];
                } else if distance <= GAP {
                    colour = [0; 4];
                }
            }
            let [r, g, b, a] = colour;
            data.extend([a, r, g, b]);
        }
    }
    let side = i32::try_from(side).ok()?;
    Some(Icon { width: side, height: side, data })
}

/// Of all pixels that become one; transparent ones have no colour to add.
fn mean(icon: &IconData, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> [u8; 4] {
    let (mut sums, mut alpha, mut count) = ([0_u64; 3], 0_u64, 0_u64);
    for y in rows {
        for x in columns.clone() {
            let at = (y * icon.width as usize + x) * 4;
            let Some(&[r, g, b, a]) = icon.rgba.get(at..at + 4) else { continue };
            for (sum, part) in sums.iter_mut().zip([r, g, b]) {
                *sum += u64::from(part) * u64::from(a);
            }
            alpha += u64::from(a);
            count += 1;
        }
    }
    let part = |sum: u64| u8::try_from(sum / alpha.max(1)).unwrap_or(u8::MAX);
    let [r, g, b] = sums.map(part);
    [r, g, b, u8::try_from(alpha / count.max(1)).unwrap_or(u8::MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dot_is_in_the_corner_and_the_rest_is_the_icon() {
        let (width, height) = (64, 64);
        let icon = IconData { rgba: [10, 20, 30, 255].repeat(64 * 64), width, height };
        let all = pictures(&icon, Some(Color32::from_rgb(1, 2, 3)));
        assert_eq!(all.iter().map(|icon| icon.width).collect::<Vec<_>>(), [22, 32, 48]);
        let pixel = |icon: &Icon, x: usize, y: usize| {
            let at = (y * icon.width as usize + x) * 4;
            icon.data[at..at + 4].to_vec()
        };
        assert_eq!(pixel(&all[1], 2, 2), [255, 10, 20, 30], "ARGB");
        assert_eq!(pixel(&all[1], 26, 26), [255, 1, 2, 3]);
        assert_eq!(pixel(&all[1], 18, 25), [0, 0, 0, 0], "a gap between the two");
        assert!(pictures(&icon, None)[0].data.chunks(4).all(|pixel| pixel == [255, 10, 20, 30]));
        assert!(pictures(&IconData { width: 9, ..icon }, None).is_empty(), "an icon that lies about its size");
    }
}
