//! How loud it is right now, for meters that move.

use std::sync::atomic::{AtomicI32, Ordering};

/// Written by the voice thread, read by whoever draws; neither waits for the other.
#[derive(Debug)]
pub struct Levels {
    mic: AtomicI32,
    speaker: AtomicI32,
}

/// What digital silence reads, dBFS.
const SILENCE: i32 = -100;

impl Default for Levels {
    fn default() -> Self {
        Self { mic: AtomicI32::new(SILENCE), speaker: AtomicI32::new(SILENCE) }
    }
}

impl Levels {
    /// Of what the microphone picks up, muted or not: dB relative to full scale, −100 in silence and between calls.
    pub fn mic_dbfs(&self) -> f32 {
        self.mic.load(Ordering::Relaxed) as f32
    }

    /// Of what is played.
    pub fn speaker_dbfs(&self) -> f32 {
        self.speaker.load(Ordering::Relaxed) as f32
    }

    pub(super) fn set(&self, mic_dbfs: f32, speaker_dbfs: f32) {
        self.mic.store(mic_dbfs.round() as i32, Ordering::Relaxed);
        self.speaker.store(speaker_dbfs.round() as i32, Ordering::Relaxed);
    }

    /// Nobody listens and nobody speaks any more.
    pub(super) fn fall_silent(&self) {
        self.set(SILENCE as f32, SILENCE as f32);
    }
}
