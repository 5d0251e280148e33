//! Token buckets, one per source.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A token bucket: `burst` at once, then one every `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub burst: u32,
    pub interval: Duration,
}

impl Rate {
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval }
    }
}

/// Sources remembered at a time. A full bucket says nothing and is forgotten first; if none is full, the oldest one
/// goes, which gives its owner a fresh burst: an attacker with that many sources has that many bursts anyway.
const MAX_SOURCES: usize = 16 * 1024;

/// How much each source has used lately.
#[derive(Debug)]
pub struct RateTable<K> {
    rate: Rate,
    /// When each source's bucket will be full again (the "theoretical arrival time" of GCRA, ITU-T I.371).
    full_at: BTreeMap<K, Instant>,
}

impl<K: Ord + Clone> RateTable<K> {
    pub fn new(rate: Rate) -> Self {
        Self { rate, full_at: BTreeMap::new() }
    }

    /// Takes a token of `source`; false when there is none.
    pub fn take(&mut self, source: &K, now: Instant) -> bool {
        let full_at = self.full_at.get(source).copied().unwrap_or(now).max(now) + self.rate.interval;
        if full_at.duration_since(now) > self.rate.interval * self.rate.burst {
            return false;
        }
        if !self.full_at.contains_key(source) && self.full_at.len() >= MAX_SOURCES {
            self.forget_some(now);
        }
        self.full_at.insert(source.clone(), full_at);
        true
    }

    fn forget_some(&mut self, now: Instant) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() < MAX_SOURCES {
            return;
        }
        let fullest = self.full_at.iter().min_by_key(|(_, full_at)| **full_at).map(|(source, _)| source.clone());
        if let Some(source) = fullest {
            self.full_at.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_per_interval() {
        let mut table = RateTable::new(Rate::new(3, Duration::from_secs(10)));
        let start = Instant::now();
        assert_eq!((0..5).map(|_| table.take(&1, start)).collect::<Vec<_>>(), [true, true, true, false, false]);
        assert!(table.take(&2, start), "another source has a bucket of its own");
        let later = start + Duration::from_secs(10);
        assert!(table.take(&1, later) && !table.take(&1, later));
        let much_later = start + Duration::from_secs(1000);
        assert_eq!((0..4).filter(|_| table.take(&1, much_later)).count(), 3, "tokens do not pile up");
    }

    #[test]
    fn the_table_stays_in_bound() {
        let mut table = RateTable::new(Rate::new(2, Duration::from_secs(10)));
        let now = Instant::now();
        for source in 0..MAX_SOURCES + 100 {
            assert!(table.take(&source, now));
        }
        assert!(table.full_at.len() <= MAX_SOURCES);
    }
}
