//! A microphone that is a file, a tone or silence.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use super::super::gate::Position;
use super::super::{CaptureCallback, Gate};
use crate::base::SAMPLE_RATE_HZ;

/// What is heard.
pub enum Signal {
    /// Mono, 48 kHz.
    File {
        samples: Arc<[i16]>,
        looped: bool,
    },
    Tone {
        hz: f32,
    },
    Silence,
}

/// −12 dBFS: a clear voice's peak.
const TONE_AMPLITUDE: f64 = 0.25;

pub struct FakeSource {
    signal: Signal,
    gate: Gate,
    callback: CaptureCallback,
    block: Vec<f32>,
}

impl FakeSource {
    pub fn new(signal: Signal, gate: Gate, callback: CaptureCallback) -> Self {
        Self { signal, gate, callback, block: Vec::new() }
    }

    /// Delivers what was "captured" in the `frames` before `now`, as a sound card does.
    pub fn tick(&mut self, now: Position, frames: usize) {
        let first = now.0 - frames as i64;
        self.block.clear();
        match &self.signal {
            Signal::File { samples, looped } => match self.gate.start() {
                Some(start) => {
                    self.block.extend((0..frames as i64).map(|i| sample_of(samples, *looped, first + i - start.0)));
                }
                None => self.block.resize(frames, 0.0),
            },
            Signal::Tone { hz } => {
                let cycles = f64::from(*hz) / f64::from(SAMPLE_RATE_HZ);
                let sample = |at: i64| TONE_AMPLITUDE * (TAU * (at as f64 * cycles).fract()).sin();
                self.block.extend((0..frames as i64).map(|i| sample(first + i) as f32));
            }
            Signal::Silence => self.block.resize(frames, 0.0),
        }
        self.callback.run(&self.block, Duration::ZERO);
    }
}

fn sample_of(samples: &[i16], looped: bool, at: i64) -> f32 {
    let sample = match usize::try_from(at) {
        Ok(at) if looped => samples.get(at % samples.len().max(1)),
        Ok(at) => samples.get(at),
        Err(_) => None,
    };
    sample.map_or(0.0, |sample| f32::from(*sample) / 32_768.0)
}
