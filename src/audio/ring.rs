//! Ring tones: what the callee hears before answering, and what the caller hears meanwhile.

use std::f32::consts::TAU;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::stream::open_output_as;
use super::{AudioError, AudioRole, Output, SinkSpec, Wake};
use crate::base::SAMPLE_RATE_HZ;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ringing {
    /// Somebody calls us: two soft bells, a fourth apart, twice, then a pause.
    Incoming,
    /// We call somebody, and it rings there: 425 Hz, one second of five (ITU-T E.180).
    Ringback,
}

/// Rings until it is dropped.
#[derive(Debug)]
pub struct RingTone {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RingTone {
    /// Opens an output of its own and rings there.
    pub fn start(ringing: Ringing, sink: &SinkSpec) -> Result<Self, AudioError> {
        // No hurry here: long periods cost less.
        let output = open_output_as(AudioRole::Ring, sink, 2 * (SAMPLE_RATE_HZ / 100), Wake::nobody())?;
        output.stream.gate().open(Instant::now());
        let cycle = ringing.cycle(output.rate_hz);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("ring-tone".into())
            .spawn(move || play(output, &cycle, &stopped))
            .map_err(AudioError::NoThread)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for RingTone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Between two refills; the ring holds twice as much.
const REFILL_EVERY: Duration = Duration::from_millis(80);

fn play(mut output: Output, cycle: &[f32], stopped: &AtomicBool) {
    let mut rest = cycle;
    while !stopped.load(Ordering::Acquire) {
        while output.samples.slots() > 0 {
            if rest.is_empty() {
                rest = cycle;
            }
            (_, rest) = output.samples.push_partial_slice(rest);
        }
        thread::park_timeout(REFILL_EVERY);
    }
}

impl Ringing {
    /// One repetition, mono.
    fn cycle(self, rate_hz: u32) -> Vec<f32> {
        let (seconds, sound): (f32, fn(f32) -> f32) = match self {
            Self::Incoming => (3.0, bells),
            Self::Ringback => (5.0, ringback),
        };
        (0..(seconds * rate_hz as f32) as u32).map(|n| sound(n as f32 / rate_hz as f32)).collect()
    }
}

/// E5 and A5, twice.
fn bells(t: f32) -> f32 {
    const STROKES: [(f32, f32); 4] = [(0.0, 659.26), (0.22, 880.0), (0.7, 659.26), (0.92, 880.0)];
    STROKES.iter().map(|(start, hz)| bell(t - start, *hz)).sum()
}

/// One stroke: partials that die away, the higher the faster, after an attack of 4 ms so that it does not click.
fn bell(t: f32, hz: f32) -> f32 {
    const PARTIALS: [(f32, f32, f32); 3] = [(1.0, 0.20, 4.0), (2.0, 0.06, 7.0), (4.0, 0.025, 12.0)];
    if t < 0.0 {
        return 0.0;
    }
    let attack = (t / 0.004).min(1.0);
    attack
        * PARTIALS
            .iter()
            .map(|(ratio, level, decay)| level * (-decay * t).exp() * (TAU * hz * ratio * t).sin())
            .sum::<f32>()
}

fn ringback(t: f32) -> f32 {
    const HZ: f32 = 425.0;
    const LEVEL: f32 = 0.1;
    const FADE_S: f32 = 0.02;
    let fade = (t / FADE_S).min((1.0 - t) / FADE_S).clamp(0.0, 1.0);
    LEVEL * fade * (TAU * HZ * t).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_tones_are_audible_never_clip_and_join_without_a_click() {
        for ringing in [Ringing::Incoming, Ringing::Ringback] {
            for rate_hz in [44_100, 48_000] {
                let cycle = ringing.cycle(rate_hz);
                let peak = cycle.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
                assert!((0.05..0.6).contains(&peak), "{ringing:?}: {peak}");
                let seam = (cycle[0] - cycle[cycle.len() - 1]).abs();
                assert!(seam < 1e-3, "{ringing:?}: {seam}");
            }
        }
    }

    #[test]
    fn it_rings_into_a_file_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring.wav");
        let ring = RingTone::start(Ringing::Incoming, &SinkSpec::File(path.clone())).unwrap();
        thread::sleep(Duration::from_millis(400));
        drop(ring);
        let heard: Vec<i16> = hound::WavReader::open(&path).unwrap().samples().map(Result::unwrap).collect();
        assert!(heard.len() > 14_400, "{} samples", heard.len());
        assert!(heard.iter().any(|sample| sample.unsigned_abs() > 2_000));
    }
}
