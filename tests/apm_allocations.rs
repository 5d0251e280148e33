//! How often the audio processing asks for memory once it runs: a count, since AEC3 does so by design of its port.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use twocans::base::{FRAME_SAMPLES, Frame};
use twocans::voice::{Apm, ApmSettings};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Everything but the echo canceller is in `tests/realtime_safety.rs`, where nothing may be allocated.
#[test]
fn the_echo_canceller_asks_for_a_known_number_of_small_pieces_and_returns_them() {
    let mut apm = Apm::new(ApmSettings::default());
    let frame = |n: usize| -> Frame { std::array::from_fn(|i| ((n * FRAME_SAMPLES + i) as f32 * 0.05).sin() * 0.2) };
    let frames = 2000;
    let (before, mut most) = (Region::new(ALLOCATOR), 0);
    for n in 0..frames {
        let one = Region::new(ALLOCATOR);
        apm.process_render(&frame(n));
        apm.process_capture(&mut frame(n + 3));
        most = most.max(one.change().allocations);
    }
    let change = before.change();
    println!(
        "per 10 ms: {:.1} allocations, at most {most}; {:.0} bytes; left over {} bytes",
        change.allocations as f64 / frames as f64,
        change.bytes_allocated as f64 / frames as f64,
        change.bytes_allocated as i64 - change.bytes_deallocated as i64,
    );
    assert!(most <= 40, "{most} in one frame");
    // The test harness may allocate or free a little beside us.
    assert!(change.allocations.abs_diff(change.deallocations) < 10, "memory is kept: {change:?}");
}
