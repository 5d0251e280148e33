//! Loudness meter.

use crate::base::{FRAME_SAMPLES, dbfs_from_mean_square};

/// Level of a signal as a person sees it on a meter: rises at once, falls by 20 dB in about half a second.
#[derive(Debug, Clone, Default)]
pub struct LevelMeter {
    mean_square: f32,
    peak: f32,
}

impl LevelMeter {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next samples, of 48 kHz.
    pub fn push(&mut self, samples: &[f32]) {
        let energy: f32 = samples.iter().map(|sample| sample * sample).sum();
        let mean_square = energy / samples.len().max(1) as f32;
        let fall = FALL.powf(samples.len() as f32 / FRAME_SAMPLES as f32);
        let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        self.mean_square = mean_square.max(self.mean_square * fall);
        self.peak = peak.max(self.peak * fall.sqrt());
    }

    /// RMS level in dB relative to full scale, −100 in silence.
    pub fn dbfs(&self) -> f32 {
        dbfs_from_mean_square(self.mean_square)
    }

    /// Highest recent sample value, 1.0 at full scale.
    pub fn peak(&self) -> f32 {
        self.peak
    }
}

/// Decay of the mean square per 10 ms.
const FALL: f32 = 0.91;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_scale_square_wave_reads_zero_and_falls_in_half_a_second() {
        let mut meter = LevelMeter::new();
        assert_eq!(meter.dbfs(), -100.0);
        meter.push(&[1.0; 480]);
        assert_eq!(meter.dbfs(), 0.0);
        assert_eq!(meter.peak(), 1.0);
        for _ in 0..50 {
            meter.push(&[0.0; 480]);
        }
        assert!((-22.0..-18.0).contains(&meter.dbfs()), "{}", meter.dbfs());
        meter.push(&[]);
    }
}
