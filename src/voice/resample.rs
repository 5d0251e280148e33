//! Between the rate of a device and ours.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, ResamplerConstructionError, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

/// A device's rate is not one that can be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// Choose another rate for the device.
    #[error("cannot convert between {from_hz} Hz and {to_hz} Hz")]
    Rate { from_hz: u32, to_hz: u32 },
    /// Choose another rate for the device.
    #[error("cannot make a resampler: {0}")]
    Construction(#[from] ResamplerConstructionError),
}

/// Converts a mono stream from one rate to another, in pieces of any size on both sides: device callbacks on one,
/// frames on the other.
///
/// Its delay is half its filter, 1.3 ms at 44.1 kHz, and none when the rates are equal. Output waits in a queue of
/// [`QUEUE_MS`]; when nobody takes it, the oldest goes.
pub struct Resampler {
    converter: Option<Converter>,
    ready: Fifo,
}

struct Converter {
    sinc: Async<f32>,
    input: Fifo,
    /// One chunk, in and out.
    chunk_in: Vec<f32>,
    chunk_out: Vec<f32>,
}

impl Resampler {
    /// Of equal rates, this is a mere queue.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, ResampleError> {
        check(from_hz, to_hz)?;
        let converter = if from_hz == to_hz { None } else { Some(Converter::new(from_hz, to_hz)?) };
        Ok(Self { converter, ready: Fifo::new((to_hz * QUEUE_MS / 1000) as usize) })
    }

    /// As [`Resampler::new`], but [`Resampler::set_drift_ppm`] works on equal rates too.
    pub fn adjustable(from_hz: u32, to_hz: u32) -> Result<Self, ResampleError> {
        check(from_hz, to_hz)?;
        let converter = Some(Converter::new(from_hz, to_hz)?);
        Ok(Self { converter, ready: Fifo::new((to_hz * QUEUE_MS / 1000) as usize) })
    }

    /// Makes the output longer (positive) or shorter by so many parts per million, to follow another clock; at most
    /// 1 %. Glides there within the next chunk. False if this resampler cannot.
    pub fn set_drift_ppm(&mut self, ppm: f64) -> bool {
        let ratio = 1.0 + ppm.clamp(-9_000.0, 9_000.0) / 1e6;
        self.converter
            .as_mut()
            .and_then(|converter| converter.sinc.as_adjustable())
            .is_some_and(|sinc| sinc.set_resample_ratio_relative(ratio, true).is_ok())
    }

    /// Takes samples of the first rate. Returns how many output samples were lost because nobody took them.
    pub fn push(&mut self, mut samples: &[f32]) -> usize {
        let Some(converter) = &mut self.converter else { return self.ready.push(samples) };
        let mut lost = 0;
        while !samples.is_empty() {
            let missing = converter.sinc.input_frames_next().saturating_sub(converter.input.len());
            let (now, later) = samples.split_at(missing.min(samples.len()));
            converter.input.push(now);
            samples = later;
            lost += converter.convert(&mut self.ready);
        }
        lost
    }

    /// Fills `out` with samples of the second rate, or leaves it alone and returns false when there are not enough.
    pub fn pull(&mut self, out: &mut [f32]) -> bool {
        self.ready.pop(out)
    }

    /// Samples that can be pulled.
    pub fn available(&self) -> usize {
        self.ready.len()
    }

    /// Forgets what is in it.
    pub fn reset(&mut self) {
        self.ready.clear();
        if let Some(converter) = &mut self.converter {
            converter.sinc.reset();
            converter.input.clear();
        }
    }
}

impl Converter {
    fn new(from_hz: u32, to_hz: u32) -> Result<Self, ResampleError> {
        let parameters = SincInterpolationParameters {
            // Below 16 kHz a long filter would cost many milliseconds.
            sinc_len: if from_hz.min(to_hz) < 16_000 { 64 } else { 128 },
            f_cutoff: None,
            oversampling_factor: 128,
            interpolation: SincInterpolationType::Quadratic,
            window: WindowFunction::BlackmanHarris2,
        };
        let ratio = f64::from(to_hz) / f64::from(from_hz);
        let chunk = (from_hz / CHUNKS_PER_SECOND).max(8) as usize;
        let sinc = Async::new_sinc(ratio, MAX_ADJUSTMENT, &parameters, chunk, 1, FixedAsync::Input)?;
        let (chunk_in, chunk_out) = (vec![0.0; sinc.input_frames_max()], vec![0.0; sinc.output_frames_max()]);
        Ok(Self { input: Fifo::new(chunk_in.len()), sinc, chunk_in, chunk_out })
    }

    /// Converts a chunk if there is one; returns how many samples did not fit `ready`.
    fn convert(&mut self, ready: &mut Fifo) -> usize {
        let needed = self.sinc.input_frames_next();
        let Some(chunk) = self.chunk_in.get_mut(..needed) else { return 0 };
        if !self.input.pop(chunk) {
            return 0;
        }
        let frames_out = self.chunk_out.len();
        let (Ok(input), Ok(mut output)) =
            (SequentialSlice::new(&*chunk, 1, needed), SequentialSlice::new_mut(&mut self.chunk_out, 1, frames_out))
        else {
            return 0;
        };
        match self.sinc.process_into_buffer(&input, &mut output, None) {
            Ok((_, written)) => ready.push(&self.chunk_out[..written]),
            Err(_) => 0,
        }
    }
}

fn check(from_hz: u32, to_hz: u32) -> Result<(), ResampleError> {
    let valid = |hz| (4_000..=384_000).contains(&hz);
    if valid(from_hz) && valid(to_hz) { Ok(()) } else { Err(ResampleError::Rate { from_hz, to_hz }) }
}

/// A ring of fixed capacity; full, it gives up the oldest samples.
struct Fifo {
    samples: Box<[f32]>,
    start: usize,
    len: usize,
}

impl Fifo {
    fn new(capacity: usize) -> Self {
        Self { samples: vec![0.0; capacity.max(1)].into_boxed_slice(), start: 0, len: 0 }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// Returns how many old samples were given up.
    fn push(&mut self, samples: &[f32]) -> usize {
        let capacity = self.samples.len();
        let kept = &samples[samples.len().saturating_sub(capacity)..];
        let lost = (self.len + samples.len()).saturating_sub(capacity);
        let dropped = (self.len + kept.len()).saturating_sub(capacity);
        self.start = (self.start + dropped) % capacity;
        self.len -= dropped;
        let at = (self.start + self.len) % capacity;
        let (first, second) = kept.split_at(kept.len().min(capacity - at));
        self.samples[at..at + first.len()].copy_from_slice(first);
        self.samples[..second.len()].copy_from_slice(second);
        self.len += kept.len();
        lost
    }

    fn pop(&mut self, out: &mut [f32]) -> bool {
        if self.len < out.len() {
            return false;
        }
        let capacity = self.samples.len();
        let first = out.len().min(capacity - self.start);
        let (head, tail) = out.split_at_mut(first);
        head.copy_from_slice(&self.samples[self.start..self.start + first]);
        tail.copy_from_slice(&self.samples[..tail.len()]);
        self.start = (self.start + out.len()) % capacity;
        self.len -= out.len();
        true
    }
}

/// Output that waits at most: 200 ms.
const QUEUE_MS: u32 = 200;
/// Small chunks, 2.5 ms, so that collecting them costs little delay.
const CHUNKS_PER_SECOND: u32 = 400;
const MAX_ADJUSTMENT: f64 = 1.01;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::FRAME_SAMPLES;

    fn tone(hz: f64, rate: u32, count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f64 * hz / f64::from(rate) * std::f64::consts::TAU).sin() as f32 * 0.5).collect()
    }

    /// Power of the best-fitting tone against the power of the rest, dB.
    fn purity_db(signal: &[f32], hz: f64, rate: u32) -> f64 {
        let (mut c, mut s, mut total) = (0.0, 0.0, 0.0);
        for (i, sample) in signal.iter().enumerate() {
            let (sin, cos) = (i as f64 * hz / f64::from(rate) * std::f64::consts::TAU).sin_cos();
            (c, s, total) =
                (c + f64::from(*sample) * cos, s + f64::from(*sample) * sin, total + f64::from(*sample).powi(2));
        }
        let tone = 2.0 * (c * c + s * s) / signal.len() as f64;
        10.0 * (tone / (total - tone).max(1e-12)).log10()
    }

    #[test]
    fn tones_survive_every_common_device_rate_in_both_directions() {
        for rate in [8_000, 16_000, 44_100, 48_000, 96_000] {
            for (from, to) in [(rate, 48_000), (48_000, rate)] {
                let mut resampler = Resampler::new(from, to).unwrap();
                let (mut out, mut frame) = (Vec::new(), vec![0.0; to as usize / 100]);
                for block in tone(1000.0, from, from as usize).chunks(137) {
                    assert_eq!(resampler.push(block), 0);
                    while resampler.pull(&mut frame) {
                        out.extend_from_slice(&frame);
                    }
                }
                assert!((to as usize - out.len()) < to as usize / 40, "{from} → {to}: {}", out.len());
                let settled = &out[to as usize / 10..to as usize / 10 * 9];
                assert!(purity_db(settled, 1000.0, to) > 60.0, "{from} → {to}: {}", purity_db(settled, 1000.0, to));
            }
        }
    }

    #[test]
    fn drift_correction_changes_the_length_by_its_ppm() {
        let mut resampler = Resampler::adjustable(48_000, 48_000).unwrap();
        assert!(resampler.set_drift_ppm(500.0));
        assert!(!Resampler::new(48_000, 48_000).unwrap().set_drift_ppm(1.0));
        let (mut pulled, mut frame) = (0, [0.0; FRAME_SAMPLES]);
        for _ in 0..1000 {
            resampler.push(&[0.1; 480]);
            while resampler.pull(&mut frame) {
                pulled += FRAME_SAMPLES;
            }
        }
        let length = (pulled + resampler.available()) as f64 / 480_000.0;
        assert!((length - 1.0005).abs() < 0.0003, "{length}");
    }

    #[test]
    fn impossible_rates_are_refused_and_a_full_queue_gives_up_the_oldest() {
        assert!(Resampler::new(0, 48_000).is_err() && Resampler::new(48_000, 1_000_000).is_err());
        let mut queue = Resampler::new(48_000, 48_000).unwrap();
        let ramp: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
        assert_eq!(queue.push(&ramp), 400);
        let mut first = [0.0; 1];
        assert!(queue.pull(&mut first) && first == [400.0]);
        queue.reset();
        assert_eq!(queue.available(), 0);
    }

    proptest! {
        #[test]
        fn a_fifo_keeps_the_newest_in_order(pieces in proptest::collection::vec((0usize..30, 0usize..20), 1..50)) {
            let (mut fifo, mut pushed, mut expected) = (Fifo::new(20), 0.0, std::collections::VecDeque::<f32>::new());
            for (push, pop) in pieces {
                let piece: Vec<f32> = (0..push).map(|i| pushed + i as f32).collect();
                pushed += push as f32;
                expected.extend(&piece);
                let lost = expected.len().saturating_sub(20);
                expected.drain(..lost);
                prop_assert_eq!(fifo.push(&piece), lost);
                let mut out = vec![0.0; pop];
                if fifo.pop(&mut out) {
                    prop_assert_eq!(out, expected.drain(..pop).collect::<Vec<_>>());
                } else {
                    prop_assert!(expected.len() < pop);
                }
                prop_assert_eq!(fifo.len(), expected.len());
            }
        }
    }
}
