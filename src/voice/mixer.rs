//! Many voices into one signal that never clips.

use crate::base::FRAME_SAMPLES;

/// Adds voices, then limits.
#[derive(Debug, Default)]
pub struct Mixer {
    limiter: Limiter,
}

/// Keeps a signal within ±1, without a delay.
///
/// It needs no look-ahead beyond the frame it holds anyway: it measures the peak of each millisecond, takes
/// the gain that each of them allows, and glides between those gains. It gives way within a millisecond and comes back
/// over a quarter of a second, so loudness does not pump. What the glide cannot catch, a peak right at the beginning of
/// a frame, a soft knee rounds off; no sample leaves ±1.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// Gain at the end of the last frame, as a reduction: 0 leaves the signal alone.
    reduction: f32,
}

impl Mixer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Mixes the inputs, each with its gain (1.0 leaves it alone), into `out`: whole milliseconds, at most a frame.
    /// Without inputs, silence.
    pub fn mix<'a>(&mut self, inputs: impl Iterator<Item = (&'a [f32], f32)>, out: &mut [f32]) {
        out.fill(0.0);
        for (samples, gain) in inputs {
            for (mixed, sample) in out.iter_mut().zip(samples) {
                *mixed += sample * gain;
            }
        }
        self.limiter.limit(out);
    }
}

impl Limiter {
    /// `samples`: whole milliseconds, at most a frame.
    pub fn limit(&mut self, samples: &mut [f32]) {
        debug_assert!(samples.len().is_multiple_of(PART_SAMPLES) && samples.len() <= FRAME_SAMPLES);
        let mut needed = [0.0; PARTS + 1];
        let parts = samples.chunks_exact(PART_SAMPLES).len().min(PARTS);
        for (need, part) in needed.iter_mut().zip(samples.chunks_exact(PART_SAMPLES)) {
            let peak = part.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
            // NaN and infinity from a broken source end here.
            *need = if peak.is_finite() { (1.0 - CEILING / peak.max(CEILING)).max(0.0) } else { 1.0 };
        }
        needed[parts] = needed[parts.saturating_sub(1)];
        let mut from = self.reduction;
        for (index, part) in samples.chunks_exact_mut(PART_SAMPLES).enumerate() {
            // The end of this part must suit the peaks on both of its sides.
            let release = from * RELEASE;
            let to = needed[index].max(needed[index + 1]).max(release);
            let start = from.max(if index == 0 { 0.0 } else { needed[index] });
            let step = (to - start) / PART_SAMPLES as f32;
            for (i, sample) in part.iter_mut().enumerate() {
                let limited = *sample * (1.0 - start - step * i as f32);
                *sample = soft_clip(if limited.is_finite() { limited } else { 0.0 });
            }
            from = to;
        }
        self.reduction = if from < 1e-4 { 0.0 } else { from };
    }
}

/// Leaves ±[`KNEE`] alone and bends everything beyond towards ±1.
fn soft_clip(sample: f32) -> f32 {
    let beyond = sample.abs() - KNEE;
    if beyond <= 0.0 {
        return sample;
    }
    let room = 1.0 - KNEE;
    (KNEE + room * beyond / (beyond + room)).copysign(sample)
}

const PART_SAMPLES: usize = 48;
const PARTS: usize = FRAME_SAMPLES / PART_SAMPLES;
/// Peaks that the limiter lets pass: −1 dBFS.
const CEILING: f32 = 0.891;
/// Where the last-resort rounding begins.
const KNEE: f32 = 0.92;
/// Of the gain reduction, so much is left after a millisecond: it falls to a third in 250 ms.
const RELEASE: f32 = 0.996;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Frame;

    fn tone(hz: f32, peak: f32, frame: usize) -> Frame {
        std::array::from_fn(|i| {
            let t = (frame * FRAME_SAMPLES + i) as f32 / 48_000.0;
            (t * hz * std::f32::consts::TAU).sin() * peak
        })
    }

    #[test]
    fn one_voice_passes_unchanged() {
        let (mut mixer, mut out) = (Mixer::new(), [0.0; FRAME_SAMPLES]);
        let frame = tone(300.0, 0.85, 3);
        mixer.mix([(&frame[..], 1.0)].into_iter(), &mut out);
        assert_eq!(out, frame);
        mixer.mix([(&frame[..240], 1.0)].into_iter(), &mut out[..240]);
        assert_eq!(out, frame, "half a frame as a whole one");
        mixer.mix(std::iter::empty(), &mut out);
        assert_eq!(out, [0.0; FRAME_SAMPLES]);
    }

    #[test]
    fn three_loud_voices_stay_below_full_scale_without_distortion_or_pumping() {
        let mut mixer = Mixer::new();
        let (mut error, mut energy) = (0.0_f64, 0.0_f64);
        let mut gains = Vec::new();
        for frame in 0..100 {
            let voice = tone(220.0, 0.8, frame);
            let mut out = [0.0; FRAME_SAMPLES];
            mixer.mix([(&voice[..], 1.0); 3].into_iter(), &mut out);
            assert!(out.iter().all(|sample| sample.abs() <= 1.0));
            if frame >= 50 {
                // What is left after the best gain for the whole frame is distortion.
                let dot = |a: &Frame, b: &Frame| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
                let gain = dot(&out, &voice) / dot(&voice, &voice);
                gains.push(gain);
                error +=
                    out.iter().zip(&voice).map(|(o, v)| (f64::from(*o) - gain * f64::from(*v)).powi(2)).sum::<f64>();
                energy += dot(&out, &out);
            }
        }
        let distortion_db = 10.0 * (error / energy).log10();
        assert!(distortion_db < -40.0, "{distortion_db} dB");
        let spread = gains.iter().copied().fold(0.0, f64::max) / gains.iter().copied().fold(f64::MAX, f64::min);
        assert!(spread < 1.02, "pumps by {spread}");
    }

    proptest! {
        #[test]
        fn no_input_leaves_the_range(
            peaks in proptest::collection::vec(prop_oneof![-1e6_f32..1e6, Just(f32::NAN), Just(f32::INFINITY)], 1..20)
        ) {
            let mut mixer = Mixer::new();
            for (i, peak) in peaks.iter().enumerate() {
                let mut out = [0.0; FRAME_SAMPLES];
                mixer.mix([(&tone(97.0, *peak, i)[..], 1.0)].into_iter(), &mut out);
                prop_assert!(out.iter().all(|sample| sample.abs() <= 1.0));
            }
        }
    }
}
