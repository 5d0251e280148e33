//! Paints only what changed, where the processor has to do it: without a graphics card, painting all of the window for
//! each step of a meter takes half a core.
//!
//! egui lays everything out and hands over all shapes in every frame, and eframe clears the window before. In between,
//! [`Canvas`] compares the shapes with those of the frame before ([`damage`]). When little has changed, it has the last
//! picture copied back from a [`cache`], paints only the areas that changed, and copies these to the cache. Layout, input
//! and what a screen reader is told do not know of it.
//!
//! A picture is taken as known only when its last step, copying it to the cache, has run: frames that egui discards or the
//! window does not show leave no trace. In doubt everything is painted.

mod cache;
mod check;
mod damage;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eframe::egui::epaint::{ClippedShape, PaintCallback, PaintCallbackInfo};
use eframe::egui::{Color32, Context, FullOutput, InputState, Plugin, RawInput, Shape, ViewportId};
use eframe::egui_glow::{CallbackFn, Painter};
use eframe::glow;

use cache::Cache;
use damage::{Change, Picture};

/// Part of egui while it paints the main window; other windows are left alone.
#[derive(Default)]
pub struct Canvas {
    cache: Arc<Mutex<Cache>>,
    /// What the cache shows, as far as is known.
    painted: Option<Drawing>,
    /// What was handed over last to be painted.
    handed_over: Option<Drawing>,
    /// How many were handed over.
    drawings: u64,
    /// How often textures were changed.
    textures: u64,
    /// Windows of which a pass is running, and what they are cleared to.
    passes: Vec<(ViewportId, Color32)>,
    /// Each part is compared with the whole.
    checks: bool,
}

/// A picture and what else decides how it looks.
struct Drawing {
    number: u64,
    picture: Picture,
    ground: Color32,
    textures: u64,
}

/// Paints with what changed only, if that is of use with this driver.
pub fn install(ctx: &Context, gl: Option<&Arc<glow::Context>>) {
    if gl.is_some_and(|gl| cache::is_worth_it(gl)) {
        ctx.add_plugin(Canvas { checks: check::is_wanted(), ..Canvas::default() });
    }
}

impl Plugin for Canvas {
    fn debug_name(&self) -> &'static str {
        "canvas"
    }

    fn setup(&mut self, ctx: &Context) {
        // It would leave out soft edges of shapes that reach into an area with nothing else; here nothing is handed over
        // that is out of sight.
        ctx.tessellation_options_mut(|options| options.coarse_tessellation_culling = false);
    }

    fn input_hook(&mut self, ctx: &Context, input: &mut RawInput) {
        self.passes.push((input.viewport_id, ctx.global_style().visuals.panel_fill));
    }

    fn output_hook(&mut self, ctx: &Context, output: &mut FullOutput) {
        let pass = self.passes.pop();
        if !output.textures_delta.set.is_empty() || !output.textures_delta.free.is_empty() {
            self.textures += 1;
        }
        if let Some((ViewportId::ROOT, ground)) = pass {
            self.hand_over(ctx, ground, output);
        }
    }
}

impl Canvas {
    fn hand_over(&mut self, ctx: &Context, ground: Color32, output: &mut FullOutput) {
        let held = lock(&self.cache).holds();
        if self.handed_over.as_ref().is_some_and(|drawing| held == Some(drawing.number)) {
            self.painted = self.handed_over.take();
        }
        let scale = output.pixels_per_point;
        let window = ctx.input(InputState::viewport_rect);
        let size = [window.width(), window.height()].map(|side| (side * scale).round() as u32);
        let picture = Picture::new(std::mem::take(&mut output.shapes), size, scale);
        let is_known = |drawing: &&Drawing| {
            held == Some(drawing.number) && drawing.ground == ground && drawing.textures == self.textures
        };
        let change =
            self.painted.as_ref().filter(is_known).map_or(Change::Whole, |old| picture.change_from(&old.picture));
        self.drawings += 1;
        output.shapes = self.steps(ctx, ground, &picture, change);
        self.handed_over = Some(Drawing { number: self.drawings, picture, ground, textures: self.textures });
    }

    /// All that is to be painted one after the other.
    fn steps(&self, ctx: &Context, ground: Color32, picture: &Picture, change: Change) -> Vec<ClippedShape> {
        let number = self.drawings;
        let is_checked = self.checks && change != Change::Whole;
        let (areas, shapes) = match change {
            Change::Whole => (None, picture.shapes()),
            Change::Part { areas, shapes } => (Some(areas), shapes),
        };
        let (cache, ctx, changed) = (self.cache.clone(), ctx.clone(), areas.clone());
        // The window has got another size since it was laid out: what was to stay is nowhere, and the next frame brings it.
        let lost = Arc::new(AtomicBool::new(false));
        let is_lost = lost.clone();
        let begin = move |gl: &glow::Context, size: [u32; 2]| match &changed {
            None => Cache::begin_whole(gl, size, ground),
            Some(areas) => {
                if !lock(&cache).begin_part(gl, size, ground, areas) {
                    lost.store(true, Ordering::Relaxed);
                    ctx.request_repaint();
                }
            }
        };
        let cache = self.cache.clone();
        let end = move |gl: &glow::Context, size: [u32; 2]| lock(&cache).end(gl, size, areas.as_deref(), number);
        let mut steps = vec![step(picture, begin)];
        steps.extend(shapes);
        steps.push(step(picture, end));
        if is_checked {
            steps.extend(check::steps(picture, ground, is_lost));
        }
        steps
    }
}

/// Something to do between the shapes, for which it gets the window's size in physical pixels.
fn step(picture: &Picture, step: impl Fn(&glow::Context, [u32; 2]) + Send + Sync + 'static) -> ClippedShape {
    let rect = picture.window();
    let call = move |info: PaintCallbackInfo, painter: &Painter| step(painter.gl(), info.screen_size_px);
    let callback = Arc::new(CallbackFn::new(call));
    ClippedShape { clip_rect: rect, shape: Shape::Callback(PaintCallback { rect, callback }) }
}

/// Nothing breaks half way through.
fn lock(cache: &Mutex<Cache>) -> MutexGuard<'_, Cache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}
