//! The thread's ends of the rings to and from the devices.

use std::sync::Arc;

use super::played::Played;
use crate::audio::StreamHealth;
use crate::voice::Resampler;

/// A microphone's ring, and what turns its sound into 48 kHz.
pub struct Microphone {
    samples: rtrb::Consumer<f32>,
    resampler: Resampler,
}

/// A speaker's ring, and what turns 48 kHz into its rate.
pub struct Speaker {
    samples: rtrb::Producer<f32>,
    /// Hertz.
    rate_hz: u32,
    health: Arc<StreamHealth>,
    resampler: Resampler,
    margin: Margin,
    played: Played,
}

impl Microphone {
    pub fn new(samples: rtrb::Consumer<f32>, resampler: Resampler) -> Self {
        Self { samples, resampler }
    }

    /// Fills `samples` when so many have been captured.
    pub fn next_samples(&mut self, samples: &mut [f32]) -> bool {
        if let Ok(chunk) = self.samples.read_chunk(self.samples.slots()) {
            let (first, second) = chunk.as_slices();
            self.resampler.push(first);
            self.resampler.push(second);
            chunk.commit_all();
        }
        self.resampler.pull(samples)
    }
}

impl Speaker {
    pub fn new(samples: rtrb::Producer<f32>, rate_hz: u32, health: Arc<StreamHealth>, resampler: Resampler) -> Self {
        let (margin, played) = (Margin::new(rate_hz), Played::new(rate_hz, health.clone()));
        Self { samples, rate_hz, health, resampler, margin, played }
    }

    /// Once per wake-up: learns how regularly the device calls.
    pub fn follow_callbacks(&mut self) {
        self.margin.follow(self.health.callbacks(), self.health.xruns(), self.health.least_left());
    }

    /// The ring must hold what the next callback takes, and a little more where callbacks come irregularly.
    pub fn wants_more(&self) -> bool {
        self.waiting() < (self.health.callback_frames() + self.margin.frames) as usize
    }

    /// Tells what the device has played since the last time, at 48 kHz and in pieces of any length.
    pub fn tell_played(&mut self, listener: impl FnMut(&[f32])) {
        self.played.tell(listener);
    }

    pub fn push(&mut self, samples: &[f32]) {
        self.played.push(samples);
        self.resampler.push(samples);
        let ready = self.resampler.available().min(self.samples.slots());
        if let Ok(mut chunk) = self.samples.write_chunk(ready) {
            let (first, second) = chunk.as_mut_slices();
            self.resampler.pull(first);
            self.resampler.pull(second);
            chunk.commit_all();
        }
    }

    /// Sound waiting between the mixer and the loudspeaker.
    pub fn delay_ms(&self) -> f32 {
        let ring = self.waiting() as f32 * 1000.0 / self.rate_hz as f32;
        ring + self.health.device_latency().as_secs_f32() * 1e3
    }

    /// Samples in the ring.
    fn waiting(&self) -> usize {
        self.samples.buffer().capacity() - self.samples.slots()
    }
}

/// What the ring holds beyond one callback.
///
/// The callback wakes this thread, which then has a whole period to fill the ring again: where callbacks come
/// regularly and the thread in time, nothing beyond one callback is needed. So what is never used is given up, and
/// where the ring ran dry once, more is kept.
struct Margin {
    frames: u32,
    /// Of one millisecond.
    frames_per_ms: u32,
    /// Callbacks until the next decision, what had been counted at the last one, and the fewest frames left since.
    decide_at: u64,
    xruns: u64,
    least_left: u32,
}

impl Margin {
    fn new(rate_hz: u32) -> Self {
        let frames_per_ms = rate_hz / 1000;
        Self {
            frames: FIRST_MARGIN_MS * frames_per_ms,
            frames_per_ms,
            decide_at: FIRST_DECISION,
            xruns: 0,
            least_left: u32::MAX,
        }
    }

    fn follow(&mut self, callbacks: u64, xruns: u64, least_left: u32) {
        // While a device starts, its callbacks come as they like: only what was left lately counts then.
        self.least_left = if callbacks <= FIRST_DECISION { least_left } else { self.least_left.min(least_left) };
        if xruns > self.xruns {
            self.xruns = xruns;
            if callbacks >= FIRST_DECISION {
                self.frames = (self.frames + MORE_MS * self.frames_per_ms).min(MAX_MARGIN_MS * self.frames_per_ms);
                self.decide_at = callbacks + PER_DECISION;
            }
        }
        if callbacks >= self.decide_at {
            self.decide_at = callbacks + PER_DECISION;
            let unused = self.least_left.saturating_sub(SPARE_MS * self.frames_per_ms);
            self.frames -= unused.min(self.frames);
            self.least_left = u32::MAX;
        }
    }
}

/// Until the device's habits are known.
const FIRST_MARGIN_MS: u32 = 5;
const MAX_MARGIN_MS: u32 = 40;
/// What one dry ring adds.
const MORE_MS: u32 = 3;
/// What shall always be left when a callback has taken its part: the thread may be late by so much.
const SPARE_MS: u32 = 1;
/// Callbacks before the first decision, and between two, of a dry ring or of an unused margin: half a second, and two
/// minutes of callbacks of 5 ms.
const FIRST_DECISION: u64 = 100;
const PER_DECISION: u64 = 24_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_that_is_never_used_goes_and_one_that_was_missed_comes() {
        let mut margin = Margin::new(48_000);
        assert_eq!(margin.frames, 240);
        // The device takes the ring down to the margin each time.
        for callbacks in (0..8000).step_by(40) {
            margin.follow(callbacks, 0, margin.frames);
        }
        assert_eq!(margin.frames, 48, "a millisecond remains");
        margin.follow(8000, 1, 0);
        assert_eq!(margin.frames, 48 + 144);
        margin.follow(9000, 1, 144);
        assert_eq!(margin.frames, 48 + 144, "kept for a while");
        for xruns in 2..100 {
            margin.follow(9000, xruns, 0);
        }
        assert_eq!(margin.frames, 40 * 48, "but not without end");
    }

    #[test]
    fn what_happens_while_a_device_starts_teaches_nothing() {
        let mut margin = Margin::new(16_000);
        margin.follow(3, 2, 0);
        assert_eq!(margin.frames, 80);
        margin.follow(FIRST_DECISION, 2, 80);
        assert_eq!(margin.frames, 16, "a millisecond");
    }
}
