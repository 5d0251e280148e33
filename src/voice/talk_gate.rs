//! Lets the microphone through while somebody speaks, or holds a key, and loses no beginning of a word.

use crate::base::{FRAME_SAMPLES, Frame};

/// A gate for the microphone's frames.
///
/// ```text
///            open                        closed, the last word is over
///   Shut ───────────▶ Open { behind: 6 } ─────────────────────────────▶ Shut
/// ```
///
/// When it opens it begins with what was said just before ([`PRE_ROLL`]): detectors need a moment to be sure, and people
/// begin to speak before the key is down. From then on it is so much behind; each pause in the speech makes up for 10 ms
/// of it, so that the delay is gone after the first words. When it shuts, the end of the last word still goes out
/// ([`AFTER_ROLL`]).
pub struct TalkGate {
    /// The last frames, the newest last.
    recent: [Frame; KEPT],
    kept: usize,
    /// How many frames what goes out lags behind what comes in; `None` while shut.
    behind: Option<usize>,
    /// Frames that still go out although it was shut.
    after: usize,
}

/// Frames from before the opening.
const PRE_ROLL: usize = 6;
const KEPT: usize = PRE_ROLL + 2;
/// Frames that go out after the shutting.
const AFTER_ROLL: usize = 20;

impl Default for TalkGate {
    fn default() -> Self {
        Self { recent: [[0.0; FRAME_SAMPLES]; KEPT], kept: 0, behind: None, after: 0 }
    }
}

impl TalkGate {
    /// The next 10 ms come in; what goes out takes their place: silence while shut. `pause`: nobody speaks in them.
    pub fn process(&mut self, frame: &mut Frame, open: bool, pause: bool) {
        self.recent.rotate_left(1);
        self.recent[KEPT - 1] = *frame;
        self.kept = (self.kept + 1).min(KEPT);
        if open {
            self.after = AFTER_ROLL;
        }
        match self.behind {
            None if open => {
                let behind = PRE_ROLL.min(self.kept - 1);
                self.behind = Some(behind);
                *frame = self.frame_at(behind);
                fade(frame, |part| part);
            }
            None => frame.fill(0.0),
            Some(behind) if !open && self.after == 0 => {
                *frame = self.frame_at(behind);
                fade(frame, |part| 1.0 - part);
                self.behind = None;
            }
            Some(behind) => {
                self.after -= usize::from(!open);
                if pause && behind > 0 {
                    self.catch_up(frame, behind);
                } else {
                    *frame = self.frame_at(behind);
                }
            }
        }
    }

    /// One frame melts into the next: both take the time of one.
    fn catch_up(&mut self, frame: &mut Frame, behind: usize) {
        let (older, newer) = (self.frame_at(behind), self.frame_at(behind - 1));
        for (i, out) in frame.iter_mut().enumerate() {
            let part = i as f32 / FRAME_SAMPLES as f32;
            *out = older[i] * (1.0 - part) + newer[i] * part;
        }
        self.behind = Some(behind - 1);
    }

    /// What came in so many frames ago.
    fn frame_at(&self, ago: usize) -> Frame {
        self.recent[KEPT - 1 - ago]
    }
}

fn fade(frame: &mut Frame, gain: impl Fn(f32) -> f32) {
    for (i, sample) in frame.iter_mut().enumerate() {
        *sample *= gain(i as f32 / FRAME_SAMPLES as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame `n` holds n everywhere: so one sees what went out.
    fn out(gate: &mut TalkGate, n: usize, open: bool, pause: bool) -> Frame {
        let mut frame = [n as f32; FRAME_SAMPLES];
        gate.process(&mut frame, open, pause);
        frame
    }

    #[test]
    fn the_beginning_of_the_word_goes_out_and_pauses_make_up_for_it() {
        let mut gate = TalkGate::default();
        assert!((1..=20).all(|n| out(&mut gate, n, false, true) == [0.0; FRAME_SAMPLES]));
        let first = out(&mut gate, 21, true, false);
        assert_eq!((first[0], first[479].round()), (0.0, 15.0), "60 ms earlier, faded in");
        assert_eq!(out(&mut gate, 22, true, false), [16.0; FRAME_SAMPLES]);
        let melted = out(&mut gate, 23, true, true);
        assert_eq!((melted[0], melted[479].round()), (17.0, 18.0));
        (24..30).for_each(|n| _ = out(&mut gate, n, true, true));
        assert_eq!(out(&mut gate, 30, true, false), [30.0; FRAME_SAMPLES], "nothing is late any more");
    }

    #[test]
    fn the_end_of_the_word_goes_out_and_then_nothing() {
        let mut gate = TalkGate::default();
        out(&mut gate, 1, true, false);
        let sounding = (2..100).take_while(|n| out(&mut gate, *n, false, false)[0] != 0.0).count();
        assert_eq!(sounding, AFTER_ROLL + 1);
        assert_eq!(out(&mut gate, 200, false, false), [0.0; FRAME_SAMPLES]);
    }

    #[test]
    fn a_gate_that_opens_at_once_has_nothing_to_make_up_for() {
        let mut gate = TalkGate::default();
        out(&mut gate, 1, true, false);
        assert_eq!(out(&mut gate, 2, true, false), [2.0; FRAME_SAMPLES]);
    }
}
