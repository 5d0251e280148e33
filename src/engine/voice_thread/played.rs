//! What the loudspeaker has really played: the echo canceller's reference.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::audio::StreamHealth;
use crate::base::{FRAME_SAMPLES, SAMPLE_RATE_HZ};

/// Sound on its way from the mixer to the device, and how much of it the device has taken.
///
/// The echo canceller finds out how much later the microphone hears what it is told. That must not change: where the delay
/// moves by a millisecond, it lets the echo through for a second (`tests/sim_apm.rs`). What waits in the speaker's
/// ring comes and goes, and where the ring is dry the device plays silence. So the canceller is told of sound when the device takes
/// it, and of the silence too: then the clocks of the two devices are all that is between.
pub(super) struct Played {
    health: Arc<StreamHealth>,
    /// Hertz.
    rate_hz: u64,
    /// Mixed, and not taken yet; at 48 kHz.
    waiting: VecDeque<f32>,
    /// Told so far, at 48 kHz: sound, and silence.
    sound: u64,
    silence: u64,
}

/// Far more than the ring ever holds.
const MAX_WAITING: usize = SAMPLE_RATE_HZ as usize / 2;

impl Played {
    pub fn new(rate_hz: u32, health: Arc<StreamHealth>) -> Self {
        Self {
            health,
            rate_hz: rate_hz.max(1).into(),
            waiting: VecDeque::with_capacity(MAX_WAITING),
            sound: 0,
            silence: 0,
        }
    }

    /// This goes into the speaker's ring.
    pub fn push(&mut self, samples: &[f32]) {
        let fitting = samples.len().min(MAX_WAITING - self.waiting.len());
        self.waiting.extend(&samples[..fitting]);
    }

    /// Tells what the device has played since the last time, at 48 kHz and in pieces of any length.
    pub fn tell(&mut self, mut listener: impl FnMut(&[f32])) {
        let (taken, missing) = self.health.taken_and_missing();
        let at_48k = |frames: u64| frames.saturating_mul(SAMPLE_RATE_HZ.into()) / self.rate_hz;
        let (sound, silence) = (at_48k(taken), at_48k(missing));
        let due = (sound.saturating_sub(self.sound) as usize).min(self.waiting.len());
        self.sound += due as u64;
        let (front, back) = self.waiting.as_slices();
        listener(&front[..due.min(front.len())]);
        listener(&back[..due.saturating_sub(front.len())]);
        self.waiting.drain(..due);
        while self.silence < silence {
            let piece = (silence - self.silence).min(FRAME_SAMPLES as u64);
            listener(&[0.0; FRAME_SAMPLES][..piece as usize]);
            self.silence += piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::time::Duration;

    use super::*;
    use crate::audio::{PlaybackCallback, Wake};

    /// A device that takes what it likes when it likes hears exactly what is told.
    #[test]
    fn what_is_told_is_what_the_device_played() {
        let health = Arc::new(StreamHealth::new(SAMPLE_RATE_HZ));
        let (mut ring, consumer) = rtrb::RingBuffer::new(4800);
        let mut device = PlaybackCallback::new(consumer, NonZeroU16::MIN, health.clone(), Wake::nobody());
        let mut played = Played::new(SAMPLE_RATE_HZ, health);
        let (mut heard, mut told, mut next) = (Vec::new(), Vec::new(), 0.0);
        for turn in 0..200 {
            let mut out = vec![9.0_f32; [240, 100, 480, 7][turn % 4]];
            device.run(&mut out, Duration::ZERO);
            heard.extend(out);
            played.tell(|samples| told.extend_from_slice(samples));
            // Now and then the thread is late.
            if turn % 7 != 0 {
                let step: Vec<f32> = (0..240).map(|i| next + i as f32).collect();
                next += 240.0;
                ring.push_entire_slice(&step).unwrap();
                played.push(&step);
            }
        }
        assert!(heard.contains(&0.0) && heard.contains(&4000.0));
        assert_eq!(told, heard);
    }

    #[test]
    fn a_device_with_another_rate_is_told_of_in_ours() {
        let health = Arc::new(StreamHealth::new(16_000));
        let (mut ring, consumer) = rtrb::RingBuffer::new(4800);
        let mut device = PlaybackCallback::new(consumer, NonZeroU16::MIN, health.clone(), Wake::nobody());
        let mut played = Played::new(16_000, health);
        ring.push_entire_slice(&[0.5; 160]).unwrap();
        played.push(&[0.5; 480]);
        let (mut sound, mut silence) = (0, 0);
        for _ in 0..30 {
            device.run(&mut [0.0_f32; 7], Duration::ZERO);
            played.tell(|samples| {
                let loud = samples.iter().filter(|sample| **sample > 0.0).count();
                sound += loud;
                silence += samples.len() - loud;
            });
        }
        assert_eq!((sound, silence), (480, 150));
    }
}
