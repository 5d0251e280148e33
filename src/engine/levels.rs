//! How loud it is right now, for meters that move.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::MeterId;

/// Written by the voice thread, read by whoever draws; neither waits for the other.
#[derive(Debug)]
pub struct Levels {
    mic: AtomicI32,
    speaker: AtomicI32,
    voices: [Voice; MAX_VOICES],
}

/// Whose voice, by its [`MeterId`], and how loud.
#[derive(Debug, Default)]
struct Voice {
    whose: AtomicU64,
    dbfs: AtomicI32,
}

/// Members of the largest group, and some to spare.
const MAX_VOICES: usize = 24;
/// A place that nobody has.
const NOBODY: u64 = 0;

/// What digital silence reads, dBFS.
const SILENCE: i32 = -100;

impl Default for Levels {
    fn default() -> Self {
        Self { mic: AtomicI32::new(SILENCE), speaker: AtomicI32::new(SILENCE), voices: Default::default() }
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

    /// Of one person, before the volume that is set for them; −100 for who is not heard.
    pub fn voice_dbfs(&self, whose: MeterId) -> f32 {
        let place = self.voices.iter().find(|place| place.whose.load(Ordering::Relaxed) == whose.0);
        place.map_or(SILENCE as f32, |place| place.dbfs.load(Ordering::Relaxed) as f32)
    }

    /// All that are heard: whose, and how loud.
    pub(super) fn set_voices(&self, voices: impl Iterator<Item = (MeterId, f32)>) {
        let nobody = std::iter::repeat((MeterId(NOBODY), SILENCE as f32));
        for (place, (whose, dbfs)) in self.voices.iter().zip(voices.chain(nobody)) {
            // Who looks in between reads one's level for another's, for one frame, when people come and go.
            place.whose.store(whose.0, Ordering::Relaxed);
            place.dbfs.store(dbfs.round() as i32, Ordering::Relaxed);
        }
    }

    pub(super) fn set(&self, mic_dbfs: f32, speaker_dbfs: f32) {
        self.mic.store(mic_dbfs.round() as i32, Ordering::Relaxed);
        self.speaker.store(speaker_dbfs.round() as i32, Ordering::Relaxed);
    }

    /// Nobody listens and nobody speaks any more.
    pub(super) fn fall_silent(&self) {
        self.set(SILENCE as f32, SILENCE as f32);
        self.set_voices(std::iter::empty());
    }
}
