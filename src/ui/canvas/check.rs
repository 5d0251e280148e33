//! Whether what is painted in parts is what painting everything gives, pixel by pixel. This costs several times what is
//! saved, and is done only while somebody asks for [`LOG`] at the level of traces.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui::Color32;
use eframe::egui::epaint::ClippedShape;
use tracing::Level;

use super::cache::{Cache, pixels};
use super::damage::Picture;
use super::step;

/// Where the result is logged: each check as a trace, a wrong one as an error.
const LOG: &str = "twocans::painting";
/// Red, green, blue and how opaque, a byte each.
const BYTES_PER_PIXEL: usize = 4;

pub fn is_wanted() -> bool {
    tracing::enabled!(target: LOG, Level::TRACE)
}

/// What is to be done after a part of the picture was painted: paint all of it, and compare. Where the rest is `lost`,
/// there is nothing to compare with.
pub fn steps(picture: &Picture, ground: Color32, lost: Arc<AtomicBool>) -> Vec<ClippedShape> {
    let in_part: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = in_part.clone();
    let keep = step(picture, move |gl, size| {
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = pixels(gl, size);
        Cache::begin_whole(gl, size, ground);
    });
    let compare = step(picture, move |gl, size| {
        let in_part = in_part.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = pixels(gl, size);
        let pixels_of = |bytes: &[u8]| bytes.chunks(BYTES_PER_PIXEL).map(<[u8]>::to_vec).collect::<Vec<_>>();
        if lost.load(Ordering::Relaxed) {
            tracing::debug!(target: LOG, "the rest of a picture is lost");
            return;
        }
        if *in_part == whole {
            tracing::trace!(target: LOG, "a part is painted right");
            return;
        }
        let (in_part, whole) = (pixels_of(&in_part), pixels_of(&whole));
        let wrong: Vec<usize> = (0..whole.len()).filter(|at| in_part.get(*at) != whole.get(*at)).collect();
        let width = usize::try_from(size[0]).unwrap_or(1).max(1);
        let first = wrong.first().copied().unwrap_or_default();
        tracing::error!(
            target: LOG,
            pixels = wrong.len(),
            x = first % width,
            from_below = first / width,
            is = ?in_part.get(first),
            should_be = ?whole.get(first),
            "a part is painted wrong"
        );
    });
    let mut steps = vec![keep];
    steps.extend(picture.shapes());
    steps.push(compare);
    steps
}
