//! Token buckets, one per source.

use std::collections::BTreeMap;
use std::net::IpAddr;
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

/// Sources remembered at a time. A full bucket says nothing and is forgotten first; if too few are full, those that miss
/// least are forgotten as well, a quarter of all at once, which gives their owners a fresh burst: an attacker with that
/// many sources has that many bursts anyway, and must not have the whole table searched for every packet.
const MAX_SOURCES: usize = 16 * 1024;
const KEPT_SOURCES: usize = MAX_SOURCES * 3 / 4;

/// Whom a limit per address counts together: one IPv4 address, or one IPv6 network (/64), in which everybody can have
/// as many addresses as they like.
pub fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
    }
}

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
        if self.full_at.len() <= KEPT_SOURCES {
            return;
        }
        let mut moments: Vec<Instant> = self.full_at.values().copied().collect();
        let surplus = moments.len() - KEPT_SOURCES;
        let (_, last_to_go, _) = moments.select_nth_unstable(surplus - 1);
        let last_to_go = *last_to_go;
        // Of those that are full at the same moment no more go than must.
        let mut left = surplus;
        self.full_at.retain(|_, full_at| {
            let goes = left > 0 && *full_at <= last_to_go;
            left -= usize::from(goes);
            !goes
        });
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

    #[test]
    fn a_flood_of_sources_does_not_free_the_one_that_floods() {
        let mut table = RateTable::new(Rate::new(10, Duration::from_secs(10)));
        let now = Instant::now();
        while table.take(&0, now) {}
        for source in 1..MAX_SOURCES * 3 {
            table.take(&source, now);
            assert!(table.full_at.len() <= MAX_SOURCES);
        }
        assert!(!table.take(&0, now), "it misses most, so it is remembered longest");
        assert!(table.full_at.len() >= KEPT_SOURCES);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let at = |text: &str| source_of(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::7"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
