//! How the running call fared in the last minute.

use std::collections::VecDeque;

use crate::engine::PeerStats;

/// Seconds that are kept.
const KEPT: usize = 60;

/// One figure per second, oldest first; seconds in which a figure was unknown are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trends {
    pub rtt_ms: VecDeque<f32>,
    pub jitter_ms: VecDeque<f32>,
    pub loss_percent: VecDeque<f32>,
}

impl Trends {
    pub fn add(&mut self, stats: &PeerStats) {
        push(&mut self.rtt_ms, stats.rtt_ms);
        push(&mut self.jitter_ms, stats.jitter_ms);
        push(&mut self.loss_percent, stats.loss.map(|loss| loss * 100.0));
    }
}

fn push(figures: &mut VecDeque<f32>, figure: Option<f32>) {
    let Some(figure) = figure.filter(|figure| figure.is_finite()) else { return };
    figures.push_back(figure.max(0.0));
    while figures.len() > KEPT {
        figures.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_kept_and_nonsense_is_not() {
        let mut figures = VecDeque::new();
        (0..70).for_each(|second| push(&mut figures, Some(second as f32)));
        [None, Some(f32::NAN), Some(-1.0)].into_iter().for_each(|figure| push(&mut figures, figure));
        assert_eq!((figures.len(), figures.front(), figures.back()), (KEPT, Some(&11.0), Some(&0.0)));
    }
}
