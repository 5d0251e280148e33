//! How often a connectivity check goes out.
//!
//! The core asks on every pair of candidates every [`Timings::check_interval`](super::super::config::Timings), until one
//! answers: 25 kb/s and more for each pair, of which there are up to a dozen. On a narrow line the checks then wait behind
//! each other, their answers come late, and still more are sent. So they are retransmitted as RFC 8445 §14.3 wants it,
//! less and less often, but for the first few, which open the way through two firewalls at the same moment. Whatever comes
//! on a pair (a check that asks for ours, an answer that allows a nomination) has the next one go out at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between the first check and the second; twice as long each time.
const FIRST: Duration = Duration::from_millis(50);
/// RFC 8445 §14.3: at least half a second between retransmissions.
const LONGEST: Duration = Duration::from_millis(500);

/// Local and remote address.
pub(super) type Pair = (SocketAddr, SocketAddr);

#[derive(Debug, Default)]
pub(super) struct CheckPace {
    /// When the next check may go out, and how long after it the one after.
    pairs: BTreeMap<Pair, (Instant, Duration)>,
}

impl CheckPace {
    /// Whether a check on this pair may go out now. If so, it counts as sent.
    pub fn admits(&mut self, pair: Pair, now: Instant) -> bool {
        let (due, wait) = self.pairs.get(&pair).copied().unwrap_or((now, FIRST));
        if due > now {
            return false;
        }
        self.pairs.insert(pair, (now + wait, (wait * 2).min(LONGEST)));
        true
    }

    /// Something has come on this pair.
    pub fn heard(&mut self, pair: Pair) {
        self.pairs.remove(&pair);
    }

    /// ICE begins anew.
    pub fn restart(&mut self) {
        self.pairs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(port: u16) -> Pair {
        (SocketAddr::from(([192, 0, 2, 1], 4000)), SocketAddr::from(([192, 0, 2, 2], port)))
    }

    /// When checks go out that the core would send every 50 ms, ms.
    fn sent(pace: &mut CheckPace, start: Instant, from_ms: u64, until_ms: u64) -> Vec<u64> {
        let at = |ms: &u64| start + Duration::from_millis(*ms);
        (from_ms..until_ms).step_by(50).filter(|ms| pace.admits(pair(1), at(ms))).collect()
    }

    #[test]
    fn checks_become_rarer_until_something_comes() {
        let (mut pace, start) = (CheckPace::default(), Instant::now());
        assert_eq!(sent(&mut pace, start, 0, 2000), [0, 50, 150, 350, 750, 1250, 1750]);
        assert!(pace.admits(pair(2), start), "another pair has its own");
        pace.heard(pair(1));
        assert_eq!(sent(&mut pace, start, 2000, 2200), [2000, 2050, 2150]);
        pace.restart();
        assert_eq!(sent(&mut pace, start, 2200, 2300), [2200, 2250]);
    }
}
