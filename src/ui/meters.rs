//! Has the window painted when a meter on screen moves, and at no other time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eframe::egui::Context;

use super::view::loudness_class;
use crate::engine::{Engine, Levels, Snapshot};

/// Meters move so often at most.
const EVERY: Duration = Duration::from_millis(50);
/// Louder or quieter by less than this many decibels is not seen: about a segment of a meter.
const STEP_DB: f32 = 2.0;

/// Looks at the levels of a call until it is dropped.
pub struct MeterWatch {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Meters have been painted since they last moved.
    painted: AtomicBool,
    over: AtomicBool,
}

impl MeterWatch {
    /// Without its thread the meters move when something else has the window painted.
    pub fn start(ctx: Context, engine: Engine) -> Self {
        let shared = Arc::new(Shared::default());
        let watch = Self { shared: shared.clone() };
        let _ = std::thread::Builder::new().name("meters".into()).spawn(move || look(&shared, &ctx, &engine));
        watch
    }

    /// To be told in each frame that shows meters.
    pub fn painted(&self) {
        self.shared.painted.store(true, Ordering::Relaxed);
    }
}

impl Drop for MeterWatch {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

fn look(shared: &Shared, ctx: &Context, engine: &Engine) {
    let mut shown = Vec::new();
    while !shared.over.load(Ordering::Relaxed) {
        std::thread::park_timeout(EVERY);
        let now = what_moves(&engine.snapshot(), engine.levels());
        if now != shown && shared.painted.swap(false, Ordering::Relaxed) {
            shown = now;
            ctx.request_repaint();
        }
    }
}

/// What meters and borders are painted from; as long as it is the same, they are.
fn what_moves(now: &Snapshot, levels: &Levels) -> Vec<i16> {
    let groups = now.groups.iter().filter(|group| group.connected_at.is_some() && !group.held);
    let voices = groups.flat_map(|group| group.members.iter().filter_map(|member| member.meter));
    let mut seen: Vec<i16> = voices.map(|meter| loudness_class(levels.voice_dbfs(meter))).collect();
    let alone = now.calls.iter().any(|call| call.group.is_none() && call.connected_at.is_some() && !call.held);
    if alone || now.trial.is_some() {
        seen.extend([steps(levels.mic_dbfs()), steps(levels.speaker_dbfs())]);
    } else {
        seen.push(loudness_class(levels.mic_dbfs()));
    }
    seen
}

fn steps(dbfs: f32) -> i16 {
    (dbfs.max(-60.0) / STEP_DB).round() as i16
}
