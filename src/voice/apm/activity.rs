//! Does somebody speak?

use sonora_agc2::vad_wrapper::VoiceActivityDetectorWrapper;

use super::FULL_SCALE;
use crate::base::{FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ, dbfs_from_mean_square};

/// Voice activity of one microphone, frame by frame: WebRTC's recurrent network (AGC2's detector), with a level below
/// which nobody speaks and a hangover that spans the gaps between words.
pub struct VoiceActivity {
    detector: VoiceActivityDetectorWrapper,
    /// In the range of 16-bit samples, as the detector wants it.
    scaled: Box<Frame>,
    /// Frames for which speech is still taken to go on.
    hangover: u32,
}

/// From here on the detector is believed: it knows 0.9 for clear speech and 0.1 for keyboards.
const SPEECH_FROM: f32 = 0.6;
const QUIETEST_SPEECH_DBFS: f32 = -55.0;
/// 200 ms: stops within words and most pauses between them.
const HANGOVER_FRAMES: u32 = 20;

impl Default for VoiceActivity {
    fn default() -> Self {
        Self::new()
    }
}

impl VoiceActivity {
    pub fn new() -> Self {
        Self {
            detector: VoiceActivityDetectorWrapper::new(sonora_simd::detect_backend(), SAMPLE_RATE_HZ as i32),
            scaled: Box::new([0.0; FRAME_SAMPLES]),
            hangover: 0,
        }
    }

    /// Whether somebody speaks in these 10 ms, or did a moment ago.
    pub fn is_speech(&mut self, frame: &Frame) -> bool {
        for (scaled, sample) in self.scaled.iter_mut().zip(frame) {
            *scaled = sample * FULL_SCALE;
        }
        let probability = self.detector.analyze(&self.scaled[..]);
        let level =
            dbfs_from_mean_square(frame.iter().map(|sample| sample * sample).sum::<f32>() / FRAME_SAMPLES as f32);
        if probability >= SPEECH_FROM && level >= QUIETEST_SPEECH_DBFS {
            self.hangover = HANGOVER_FRAMES;
            return true;
        }
        self.hangover = self.hangover.saturating_sub(1);
        self.hangover > 0
    }
}

/// Notices that somebody talks although nobody hears it.
#[derive(Debug, Default)]
pub struct MutedTalk {
    /// Frames of speech, less a part of those without.
    speech: u32,
    /// Frames until it may be said again.
    quiet: u32,
}

/// Half a second of speech is no cough.
const TALK_FRAMES: u32 = 50;
/// Said at most every 15 s.
const QUIET_FRAMES: u32 = 1500;

impl MutedTalk {
    /// The next 10 ms while muted; true when the person should be told.
    pub fn follow(&mut self, speech: bool) -> bool {
        self.quiet = self.quiet.saturating_sub(1);
        self.speech = if speech { self.speech + 1 } else { self.speech.saturating_sub(2) };
        let tell = self.speech >= TALK_FRAMES && self.quiet == 0;
        if tell {
            (self.speech, self.quiet) = (0, QUIET_FRAMES);
        }
        self.speech = self.speech.min(TALK_FRAMES);
        tell
    }

    /// No longer muted.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::recorded::recording;

    #[test]
    fn speech_is_told_from_noise_and_silence() {
        let speech = recording(1000).concat();
        let mut activity = VoiceActivity::new();
        let active = |activity: &mut VoiceActivity, sound: &[f32]| {
            let frames: Vec<&Frame> = sound.chunks_exact(FRAME_SAMPLES).map(|part| part.try_into().unwrap()).collect();
            frames.iter().filter(|frame| activity.is_speech(frame)).count() as f32 / frames.len() as f32
        };
        let while_speaking = active(&mut activity, &speech);
        assert!(while_speaking > 0.6, "{while_speaking}");
        let mut random = 1_u32;
        let mut noise = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((random >> 16) as f32 / 32_768.0 - 1.0) * 0.02
        };
        let hiss: Vec<f32> = (0..480 * 500).map(|_| noise()).collect();
        let in_noise = active(&mut activity, &hiss);
        assert!(in_noise < 0.1, "{in_noise}");
        assert_eq!(active(&mut activity, &[0.0; 480 * 100]), 0.0);
    }

    #[test]
    fn a_cough_is_no_talk_and_talk_is_told_once() {
        let mut muted = MutedTalk::default();
        assert!(!(0..300).any(|frame| muted.follow(frame % 100 < 30)), "coughs");
        let told = (0..1000).filter(|_| muted.follow(true)).count();
        assert_eq!(told, 1);
        assert_eq!((0..1000).filter(|_| muted.follow(true)).count(), 1, "and again after a while");
    }
}
