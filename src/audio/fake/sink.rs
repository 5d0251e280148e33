//! A speaker that is a file or nothing.

use std::time::Duration;

use rtrb::Producer;

use super::super::gate::Position;
use super::super::{Gate, PlaybackCallback};

pub struct FakeSink {
    tape: Option<Tape>,
    callback: PlaybackCallback,
    block: Vec<f32>,
}

impl FakeSink {
    pub fn new(tape: Option<Tape>, callback: PlaybackCallback) -> Self {
        Self { tape, callback, block: Vec::new() }
    }

    /// Takes what will be "played" in the `frames` from `now` on, as a sound card does.
    pub fn tick(&mut self, now: Position, frames: usize) {
        self.block.resize(frames, 0.0);
        self.callback.run(&mut self.block, Duration::ZERO);
        if let Some(tape) = &mut self.tape {
            tape.record(now, &self.block);
        }
    }
}

/// Cuts the recording out of what is played: sample 0 is the moment of the gate, and a sample's place in the file is
/// its time, whatever was lost in between.
pub struct Tape {
    ring: Producer<i16>,
    gate: Gate,
    session: u32,
    /// Samples of this session pushed so far.
    recorded: i64,
}

impl Tape {
    pub fn new(ring: Producer<i16>, gate: Gate) -> Self {
        Self { ring, gate, session: 0, recorded: 0 }
    }

    fn record(&mut self, now: Position, block: &[f32]) {
        let Some(start) = self.gate.start() else { return };
        if self.gate.session() != self.session {
            (self.session, self.recorded) = (self.gate.session(), 0);
        }
        // Where the block belongs in the file. Missing before it: the rest of the block that was already playing when
        // the gate opened, ticks that were missed, samples that a stalled disk refused.
        let place = now.0 - start.0;
        let gap = usize::try_from(place - self.recorded).unwrap_or(0);
        self.push(gap, std::iter::repeat_n(0, gap));
        let skipped = usize::try_from(self.recorded - place).unwrap_or(0);
        if skipped <= block.len() && self.recorded >= place {
            let rest = &block[skipped..];
            self.push(rest.len(), rest.iter().map(|sample| (sample * 32_768.0).round() as i16));
        }
    }

    fn push(&mut self, wanted: usize, samples: impl Iterator<Item = i16>) {
        let fitting = wanted.min(self.ring.slots());
        if let Ok(chunk) = self.ring.write_chunk_uninit(fitting) {
            self.recorded += chunk.fill_from_iter(samples) as i64;
        }
    }
}
