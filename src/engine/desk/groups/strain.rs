//! Whether our uplink serves everybody, and what it has to spare.
//!
//! Nobody knows the width of an uplink before it is full. So what flows now without trouble is offered once more, and it
//! counts as too narrow when several links at a time report that packets wait or are lost: one alone has a bad path. Who
//! is carried then sends a single stream and sees no trouble, so another attempt is made later, and after each that
//! fails, later still.

use std::time::{Duration, Instant};

use crate::call::group::{Resources, STREAM_KBPS};

/// How one link fares, as its other end says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// 0..1.
    pub fraction_lost: f32,
    /// Packets wait on the way.
    pub queue_ms: f32,
    /// Over the link and back; 0 while not known.
    pub rtt_ms: f32,
    /// What we send on it.
    pub sent_kbps: f32,
}

/// A link in trouble.
const LOSS: f32 = 0.08;
const QUEUE_MS: f32 = 80.0;
/// A queue that was full from the beginning is seen by nothing but this: hardly two places are so far apart.
const RTT_MS: f32 = 400.0;
/// With fewer others nothing is won by being carried.
const LEAST_OTHERS: usize = 3;
/// Trouble lasts so long before it is believed: a burst passes.
const PATIENCE: Duration = Duration::from_millis(1500);
/// First time for which we let ourselves be carried; doubled each time that it was too short.
const FIRST_REST: Duration = Duration::from_secs(60);
const LONGEST_REST: Duration = Duration::from_secs(960);
/// Streams of others that are carried at most, and those that are offered at any rate while there is no trouble: what one
/// weak member of a full group needs.
const SLOTS: u8 = 12;
const LEAST_OFFER: u16 = 10;

impl Path {
    fn is_troubled(&self) -> bool {
        self.fraction_lost > LOSS || self.queue_ms > QUEUE_MS || self.rtt_ms > RTT_MS
    }
}

#[derive(Debug, Default)]
pub struct Strain {
    trouble_since: Option<Instant>,
    weak_until: Option<Instant>,
    rest: Option<Duration>,
}

impl Strain {
    /// What we have to spare. `paths`: of the links that are up, to some of `others`: where the uplink is full, further
    /// ones do not even come about. `cpu`: of this process, % of a core.
    pub fn judge(&mut self, paths: &[Path], others: usize, cpu: Option<f32>, now: Instant) -> Resources {
        let troubled = paths.iter().filter(|path| path.is_troubled()).count();
        let uplink = others >= LEAST_OTHERS && troubled * 2 > paths.len();
        self.trouble_since = uplink.then(|| self.trouble_since.unwrap_or(now));
        let lasts = self.trouble_since.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE);
        let is_weak = self.weak_until.is_some_and(|until| now < until);
        if lasts && !is_weak {
            let rest = self.rest.map_or(FIRST_REST, |rest| (rest * 2).min(LONGEST_REST));
            (self.rest, self.weak_until, self.trouble_since) = (Some(rest), Some(now + rest), None);
        }
        let weak = self.weak_until.is_some_and(|until| now < until);
        let flows: f32 = paths.iter().map(|path| path.sent_kbps).sum();
        let offer = (flows as u16).max(LEAST_OFFER * STREAM_KBPS);
        Resources {
            // One troubled path is its other end's affair, who may need help.
            spare_kbps: if troubled * 2 > paths.len() || weak { 0 } else { offer },
            cpu_free: (100.0 - cpu.unwrap_or(0.0)).clamp(0.0, 100.0) as u8,
            slots: SLOTS,
            weak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Path = Path { fraction_lost: 0.0, queue_ms: 5.0, rtt_ms: 50.0, sent_kbps: 50.0 };
    const BAD: Path = Path { fraction_lost: 0.3, queue_ms: 300.0, rtt_ms: 350.0, sent_kbps: 50.0 };

    #[test]
    fn one_bad_path_is_no_narrow_uplink_and_most_of_them_are() {
        let (mut strain, start) = (Strain::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for ms in (0..4000).step_by(400) {
            let resources = strain.judge(&[BAD, GOOD, GOOD, GOOD], 4, Some(30.0), at(ms));
            assert_eq!((resources.weak, resources.spare_kbps, resources.cpu_free), (false, 640, 70));
        }
        let weak: Vec<bool> =
            (4000..7000).step_by(400).map(|ms| strain.judge(&[BAD, BAD, BAD, GOOD], 4, None, at(ms)).weak).collect();
        assert_eq!(weak, [false, false, false, false, true, true, true, true]);
    }

    #[test]
    fn who_was_carried_tries_again_and_rests_longer_each_time() {
        let (mut strain, start) = (Strain::default(), Instant::now());
        let mut weak_seconds = Vec::new();
        let mut since = None;
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            let carried = since.is_some();
            let weak = strain.judge(&[if carried { GOOD } else { BAD }; 5], 5, None, now).weak;
            if weak != carried {
                weak_seconds.extend(since.map(|then| second - then));
                since = weak.then_some(second);
            }
        }
        assert_eq!(weak_seconds, [60, 120, 240]);
    }

    #[test]
    fn what_flows_without_trouble_is_offered_once_more() {
        let mut strain = Strain::default();
        assert_eq!(strain.judge(&[], 0, None, Instant::now()).spare_kbps, 640);
        assert_eq!(strain.judge(&[GOOD; 14], 14, None, Instant::now()).spare_kbps, 700);
    }
}
