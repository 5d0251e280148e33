//! Gives back what was heard, a second later: the echo peer, and trying microphone and speaker alone.

use std::collections::VecDeque;

use crate::base::{FRAME_SAMPLES, SAMPLE_RATE_HZ};

/// What was heard, on its way back.
pub struct EchoLine {
    samples: VecDeque<f32>,
    began: bool,
}

const DELAY_SAMPLES: usize = SAMPLE_RATE_HZ as usize;
/// The two clocks may differ; what is more than this too much is thrown away.
const MAX_SAMPLES: usize = DELAY_SAMPLES + SAMPLE_RATE_HZ as usize / 10;

impl EchoLine {
    pub fn new() -> Self {
        Self { samples: VecDeque::with_capacity(MAX_SAMPLES + FRAME_SAMPLES), began: false }
    }

    pub fn hear(&mut self, samples: &[f32]) {
        self.samples.extend(samples);
        let excess = self.samples.len().saturating_sub(MAX_SAMPLES);
        self.samples.drain(..excess);
    }

    /// Fills `samples` with what was heard a second ago, silence while nothing was.
    pub fn say(&mut self, samples: &mut [f32]) {
        self.began |= self.samples.len() >= DELAY_SAMPLES;
        for sample in samples {
            let heard = if self.began { self.samples.pop_front() } else { None };
            *sample = heard.unwrap_or(0.0);
        }
        self.began &= !self.samples.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_comes_back_after_a_second() {
        let (mut line, mut heard_at) = (EchoLine::new(), Vec::new());
        for tick in 0..300 {
            line.hear(&[if tick == 50 { 1.0 } else { 0.0 }; 480]);
            let mut said = [9.0; 480];
            line.say(&mut said);
            if said[0] == 1.0 {
                heard_at.push(tick);
            }
        }
        assert!(matches!(heard_at[..], [149..=150]), "{heard_at:?}");
    }

    #[test]
    fn a_listener_that_is_slow_gets_the_newest() {
        let mut line = EchoLine::new();
        for _ in 0..1000 {
            line.hear(&[0.5; 480]);
        }
        assert!(line.samples.len() <= MAX_SAMPLES);
    }
}
