//! Sums up a call while it runs.

use super::{PeerStats, Summary};
use crate::voice::quality;

/// Delay estimates kept for the percentiles: one per second, four hours; later ones replace nothing and are not kept.
const MAX_DELAYS: usize = 4 * 3600;

/// Collects one peer's seconds into a [`Summary`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    seconds: u32,
    loss: f32,
    concealed: f32,
    delays_ms: Vec<f32>,
}

impl Tally {
    pub fn add(&mut self, stats: &PeerStats) {
        let (Some(loss), Some(concealed)) = (stats.loss, stats.concealed) else { return };
        self.seconds += 1;
        self.loss += loss;
        self.concealed += concealed;
        if let Some(delay_ms) = stats.delay_ms.filter(|_| self.delays_ms.len() < MAX_DELAYS) {
            self.delays_ms.push(delay_ms);
        }
    }

    pub fn summary(&self) -> Summary {
        if self.seconds == 0 {
            return Summary::default();
        }
        let loss = self.loss / self.seconds as f32;
        let concealed = self.concealed / self.seconds as f32;
        let mut delays_ms = self.delays_ms.clone();
        delays_ms.sort_by(f32::total_cmp);
        let delay_ms_p50 = percentile(&delays_ms, 50);
        Summary {
            loss: Some(loss),
            concealed: Some(concealed),
            delay_ms_p50,
            delay_ms_p95: percentile(&delays_ms, 95),
            quality: delay_ms_p50.map(|delay_ms| quality::e_model(loss, concealed, delay_ms)),
        }
    }
}

/// Nearest-rank percentile of sorted values.
fn percentile(sorted: &[f32], percent: usize) -> Option<f32> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<f32> = (1..=100).map(|v| v as f32).collect();
        assert_eq!(percentile(&values, 50), Some(50.0));
        assert_eq!(percentile(&values, 95), Some(95.0));
        assert_eq!(percentile(&[7.0], 95), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn a_call_in_which_nothing_was_heard_has_no_figures() {
        assert_eq!(Tally::default().summary(), Summary::default());
    }
}
