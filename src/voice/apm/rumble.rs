//! Takes out what is no sound: a microphone's offset, steps on the floor, wind.

use crate::base::{Frame, SAMPLE_RATE_HZ};

/// Second-order Butterworth high-pass at [`CUTOFF_HZ`] (R. Bristow-Johnson, "Cookbook formulae for audio EQ biquads").
///
/// WebRTC's own begins at 100 Hz and takes the fundamental of deep voices with it: PESQ-WB of clean speech behind it
/// is 4.09.
pub(super) struct RumbleFilter {
    feed_forward: [f64; 3],
    feedback: [f64; 2],
    /// Transposed direct form II.
    state: [f64; 2],
}

const CUTOFF_HZ: f64 = 40.0;

impl RumbleFilter {
    pub fn new() -> Self {
        let angle = std::f64::consts::TAU * CUTOFF_HZ / f64::from(SAMPLE_RATE_HZ);
        let (cos, alpha) = (angle.cos(), angle.sin() / std::f64::consts::SQRT_2);
        let a0 = 1.0 + alpha;
        let side = (1.0 + cos) / 2.0 / a0;
        Self {
            feed_forward: [side, -2.0 * side, side],
            feedback: [-2.0 * cos / a0, (1.0 - alpha) / a0],
            state: [0.0; 2],
        }
    }

    pub fn process(&mut self, frame: &mut Frame) {
        let ([b0, b1, b2], [a1, a2]) = (self.feed_forward, self.feedback);
        for sample in frame {
            let x = f64::from(*sample);
            let y = b0 * x + self.state[0];
            self.state = [b1 * x - a1 * y + self.state[1], b2 * x - a2 * y];
            *sample = y as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::FRAME_SAMPLES;

    /// Gain at a frequency after a second, dB.
    fn gain_db(hz: f64) -> f64 {
        let mut filter = RumbleFilter::new();
        let (mut before, mut after) = (0.0, 0.0);
        for number in 0..200 {
            let tone = |i| {
                let t = (number * FRAME_SAMPLES + i) as f64 / f64::from(SAMPLE_RATE_HZ);
                (t * hz * std::f64::consts::TAU + 0.3).cos() as f32
            };
            let mut frame: Frame = std::array::from_fn(tone);
            let energy = |frame: &Frame| frame.iter().map(|s| f64::from(s * s)).sum::<f64>();
            before += if number >= 100 { energy(&frame) } else { 0.0 };
            filter.process(&mut frame);
            after += if number >= 100 { energy(&frame) } else { 0.0 };
        }
        10.0 * (after / before + 1e-12).log10()
    }

    #[test]
    fn offset_and_rumble_go_and_the_deepest_voice_stays() {
        assert!(gain_db(0.0) < -100.0, "{}", gain_db(0.0));
        assert!(gain_db(10.0) < -20.0, "{}", gain_db(10.0));
        assert!((gain_db(40.0) + 3.0).abs() < 0.1, "{}", gain_db(40.0));
        assert!(gain_db(85.0) > -0.3, "{}", gain_db(85.0));
    }
}
