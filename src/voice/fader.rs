//! A gain that changes without a click.

use crate::base::SAMPLE_RATE_HZ;

/// Brings a voice from one loudness to another within 10 ms, in a straight line: a jump would be heard as a click.
#[derive(Debug, Clone, Copy)]
pub struct Fader {
    /// Of the next sample; 1.0 leaves it alone.
    gain: f32,
    target: f32,
    /// Per sample, while on the way.
    step: f32,
    /// Samples until the target is reached.
    left: u32,
}

const FADE_SAMPLES: u32 = SAMPLE_RATE_HZ / 100;

impl Fader {
    /// Begins at `gain`, without a fade.
    pub fn new(gain: f32) -> Self {
        Self { gain, target: gain, step: 0.0, left: 0 }
    }

    /// From now on towards `gain`: 1.0 leaves the voice alone, 0.0 is silence.
    pub fn fade_to(&mut self, gain: f32) {
        if gain != self.target {
            self.target = gain;
            self.left = FADE_SAMPLES;
            self.step = (gain - self.gain) / FADE_SAMPLES as f32;
        }
    }

    /// The next samples of the voice, however many.
    pub fn process(&mut self, samples: &mut [f32]) {
        let fading = samples.len().min(self.left as usize);
        let (fading, steady) = samples.split_at_mut(fading);
        for sample in fading.iter_mut() {
            *sample *= self.gain;
            self.gain += self.step;
        }
        self.left -= fading.len() as u32;
        if self.left == 0 {
            // What many small steps add up to is not quite the target.
            self.gain = self.target;
        }
        if self.gain != 1.0 {
            steady.iter_mut().for_each(|sample| *sample *= self.gain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_is_loud_enough_for_a_click() {
        let mut fader = Fader::new(1.0);
        let mut heard = Vec::new();
        for (tick, gain) in [1.0, 0.0, 0.0, 4.0, 0.25, 0.25].into_iter().enumerate() {
            fader.fade_to(gain);
            // Now and then it changes its mind on the way.
            let samples = if tick == 3 { 100 } else { 960 };
            let mut voice = vec![0.5; samples];
            voice.chunks_mut(96).for_each(|step| fader.process(step));
            heard.extend(voice);
        }
        assert_eq!((heard[0], heard[1500], heard[2800], heard[3900]), (0.5, 0.0, 0.0, 0.125));
        let jump = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(jump <= 0.5 * 4.0 / FADE_SAMPLES as f32 + 1e-6, "{jump}");
        assert!(heard.iter().all(|sample| sample.is_finite() && *sample >= 0.0));
    }

    #[test]
    fn a_voice_that_is_left_alone_stays_bit_for_bit() {
        let mut fader = Fader::new(1.0);
        let mut voice = [0.1, -0.7, 0.3];
        fader.process(&mut voice);
        assert_eq!(voice, [0.1, -0.7, 0.3]);
    }
}
