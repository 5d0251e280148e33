//! Quiet and loud people, heard evenly.

use crate::base::{FRAME_SAMPLES, dbfs_from_mean_square};

/// Brings one person's voice towards a common loudness, after decoding and before mixing.
///
/// It measures the level of speech only (pauses and noise say nothing of how loud somebody speaks), leaves everybody
/// within [`TOLERANCE_DB`] of [`TARGET_DBFS`] as they are, and moves slowly: what it does cannot be heard as a change
/// of loudness within a sentence. Digital only, and no limiter: that is the mixer's.
#[derive(Debug, Clone)]
pub struct Leveller {
    /// Mean square of what came so far of the present 10 ms.
    energy: f32,
    counted: usize,
    /// The quietest level lately: noise, or what is left of it.
    floor_dbfs: f32,
    /// How loud the person speaks; `None` before they did.
    speech_dbfs: Option<f32>,
    /// Of speech heard so far, 10 ms each, as long as it matters.
    speech_frames: u32,
    gain_db: f32,
}

/// Loudness of a voice from an ordinary headset, active speech level (ITU-T P.56).
const TARGET_DBFS: f32 = -25.0;
/// Nearer voices stay as they are.
const TOLERANCE_DB: f32 = 5.0;
/// Most that a quiet person is raised, and a loud one lowered.
const MAX_GAIN_DB: f32 = 15.0;
/// Fastest change, per 10 ms: 4 dB a second, and a hundred times that while nobody speaks would still be inaudible.
const STEP_DB: f32 = 0.04;
/// Speech is louder than the floor by so much, and than the quietest whisper.
const SPEECH_OVER_FLOOR_DB: f32 = 12.0;
const WHISPER_DBFS: f32 = -58.0;
/// What a person's loudness is averaged over, 10 ms each: 3 s of speech; shorter while less has been heard.
const MEMORY_FRAMES: u32 = 300;
/// Speech that must have been heard before anything is done: half a second.
const FIRST_FRAMES: u32 = 50;
/// The floor rises so much per 10 ms: 1 dB a second.
const FLOOR_RISE_DB: f32 = 0.01;

impl Default for Leveller {
    fn default() -> Self {
        Self { energy: 0.0, counted: 0, floor_dbfs: 0.0, speech_dbfs: None, speech_frames: 0, gain_db: 0.0 }
    }
}

impl Leveller {
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies the gain to the next samples of 48 kHz, 10 ms or less.
    pub fn process(&mut self, samples: &mut [f32]) {
        let from = self.gain_db;
        self.listen(samples);
        if from == 0.0 && self.gain_db == 0.0 {
            return;
        }
        let (first, last) = (amplitude(from), amplitude(self.gain_db));
        let step = (last - first) / samples.len().max(1) as f32;
        for (i, sample) in samples.iter_mut().enumerate() {
            *sample *= first + step * i as f32;
        }
    }

    /// What is added to this person's voice now, dB.
    pub fn gain_db(&self) -> f32 {
        self.gain_db
    }

    fn listen(&mut self, samples: &[f32]) {
        self.energy += samples.iter().map(|sample| sample * sample).sum::<f32>();
        self.counted += samples.len();
        if self.counted < FRAME_SAMPLES {
            return;
        }
        let level = dbfs_from_mean_square(self.energy / self.counted as f32);
        (self.energy, self.counted) = (0.0, 0);
        self.floor_dbfs = level.min(self.floor_dbfs + FLOOR_RISE_DB);
        if level > WHISPER_DBFS.max(self.floor_dbfs + SPEECH_OVER_FLOOR_DB) {
            self.hear_speech(level);
        }
    }

    fn hear_speech(&mut self, level_dbfs: f32) {
        self.speech_frames = (self.speech_frames + 1).min(MEMORY_FRAMES);
        // Power is averaged, as P.56 does: syllables' ends must not count as much as their middles.
        let power = 10.0_f32.powf(level_dbfs / 10.0);
        let known = self.speech_dbfs.map_or(power, |known| 10.0_f32.powf(known / 10.0));
        let speech_dbfs = 10.0 * (known + (power - known) / self.speech_frames as f32).log10();
        self.speech_dbfs = Some(speech_dbfs);
        if self.speech_frames >= FIRST_FRAMES {
            let change = wanted_db(speech_dbfs) - self.gain_db;
            self.gain_db += change.clamp(-STEP_DB, STEP_DB);
        }
    }
}

/// Outside the tolerance, to its edge and no further: there is no jump between those who are helped and those who are not.
fn wanted_db(speech_dbfs: f32) -> f32 {
    let short = TARGET_DBFS - speech_dbfs;
    (short - short.clamp(-TOLERANCE_DB, TOLERANCE_DB)).clamp(-MAX_GAIN_DB, MAX_GAIN_DB)
}

fn amplitude(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `seconds` of syllables at `dbfs` over noise at `noise_dbfs`, as it comes out, in steps of 5 ms.
    fn through(leveller: &mut Leveller, seconds: usize, dbfs: f32, noise_dbfs: f32) -> Vec<f32> {
        let (speech, noise) = (amplitude(dbfs) * 2.0_f32.sqrt(), amplitude(noise_dbfs));
        let mut random = 1_u32;
        let mut out = Vec::new();
        for step in 0..seconds * 200 {
            // 300 ms of voice, 200 ms of pause.
            let speaking = step % 100 < 60;
            let mut samples: Vec<f32> = (0..240)
                .map(|i| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let hiss = ((random >> 16) as f32 / 32_768.0 - 1.0) * noise * 3.0_f32.sqrt();
                    let t = (step * 240 + i) as f32 / 48_000.0;
                    hiss + if speaking { (t * 200.0 * std::f32::consts::TAU).sin() * speech } else { 0.0 }
                })
                .collect();
            leveller.process(&mut samples);
            out.extend(samples);
        }
        out
    }

    /// Of the last syllable.
    fn spoken_dbfs(out: &[f32]) -> f32 {
        let syllable = &out[out.len() - 100 * 240..][..60 * 240];
        dbfs_from_mean_square(syllable.iter().map(|s| s * s).sum::<f32>() / syllable.len() as f32)
    }

    #[test]
    fn an_ordinary_voice_passes_untouched() {
        for dbfs in [-29.0, -25.0, -21.0] {
            let mut leveller = Leveller::new();
            through(&mut leveller, 20, dbfs, -70.0);
            assert_eq!(leveller.gain_db(), 0.0, "{dbfs}");
        }
    }

    #[test]
    fn quiet_and_loud_people_come_out_even() {
        let levels = [-42.0, -35.0, -25.0, -12.0].map(|dbfs| {
            let mut leveller = Leveller::new();
            spoken_dbfs(&through(&mut leveller, 20, dbfs, -75.0))
        });
        let spread = levels.iter().copied().fold(f32::MIN, f32::max) - levels.iter().copied().fold(f32::MAX, f32::min);
        assert!(spread <= 2.0 * TOLERANCE_DB + 0.5, "30 dB apart, then {levels:?}");
    }

    #[test]
    fn noise_and_silence_are_not_raised() {
        let mut leveller = Leveller::new();
        through(&mut leveller, 30, -100.0, -45.0);
        assert_eq!(leveller.gain_db(), 0.0, "steady noise is no speech");
        let mut silent = Leveller::new();
        silent.process(&mut [0.0; 480]);
        assert_eq!(silent.gain_db(), 0.0);
    }

    #[test]
    fn the_gain_keeps_through_a_pause_and_never_jumps() {
        let mut leveller = Leveller::new();
        through(&mut leveller, 10, -40.0, -80.0);
        let raised = leveller.gain_db();
        assert!((9.0..=10.5).contains(&raised), "{raised}");
        through(&mut leveller, 20, -100.0, -80.0);
        assert_eq!(leveller.gain_db(), raised);
        let out = through(&mut leveller, 2, -15.0, -80.0);
        assert!(out.iter().all(|sample| sample.is_finite()));
        assert!(leveller.gain_db() < raised && leveller.gain_db() > raised - 2.0 * 100.0 * STEP_DB);
    }
}
