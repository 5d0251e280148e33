//! The BitTorrent DHT (Mainline, BEP 5) as the last way into our own network: when to look there, when to be found there,
//! and what to believe of it.
//!
//! Super-peers announce themselves under [`TOPIC`], and who has no other node at all looks there. Anybody can announce
//! anything, so what is found is a rumour: an address that is dialled if it leads into the internet, a few at a time,
//! and that counts only once a node of ours has answered there.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::rate::backoff;

/// SHA-1 of "twocans-bootstrap-v1".
pub(super) const TOPIC: [u8; 20] = [
    0xed, 0xee, 0x0e, 0x1d, 0xd5, 0x02, 0x57, 0x27, 0x36, 0x69, 0xe3, 0x88, 0xed, 0x73, 0x0b, 0x19, 0x76, 0x25, 0x33,
    0x11,
];
/// How long everything else (remembered nodes, the LAN, hints) has its chance.
const PATIENCE: Duration = Duration::from_secs(4);
/// The same while somebody is being looked for, and how often that may shorten the wait.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);
const SEEK_AT_MOST: Duration = Duration::from_secs(10);
const SEEK_AGAIN: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);
/// Nodes of the DHT forget an announcement after half an hour.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(15 * 60);
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(60);
/// Rumours that are dialled at a time, and how long these have before the next ones.
const DIALS: usize = 8;
const BETWEEN_DIALS: Duration = Duration::from_secs(4);
/// Rumours of one search that are kept; later ones are dropped.
const MAX_RUMOURS: usize = 64;

/// What is to be done in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Who has announced themselves under [`TOPIC`]?
    Seek,
    /// Announce us: our QUIC port.
    Announce { port: u16 },
}

pub(super) struct LastResort {
    enabled: bool,
    /// `None` while a node of ours is connected.
    seek_at: Option<Instant>,
    seeks: u32,
    sought_at: Option<Instant>,
    rumours: VecDeque<SocketAddrV4>,
    /// Those of this search, dialled or not.
    heard: BTreeSet<SocketAddrV4>,
    dial_at: Option<Instant>,
    /// What we announce, and when next.
    port: Option<u16>,
    announce_at: Option<Instant>,
    failures: u32,
}

impl LastResort {
    pub(super) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            seek_at: None,
            seeks: 0,
            sought_at: None,
            rumours: VecDeque::new(),
            heard: BTreeSet::new(),
            dial_at: None,
            port: None,
            announce_at: None,
            failures: 0,
        }
    }

    /// Whether no node of our network is connected.
    pub(super) fn set_alone(&mut self, alone: bool, now: Instant) {
        match (alone && self.enabled, self.seek_at) {
            (true, None) => self.seek_at = Some(now + PATIENCE),
            (false, Some(_)) => {
                self.seek_at = None;
                self.seeks = 0;
                self.rumours.clear();
                self.heard.clear();
                self.dial_at = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Somebody is being looked for; whether that may help them.
    pub(super) fn hurry(&mut self, now: Instant) -> bool {
        let Some(at) = self.seek_at else { return false };
        let earliest = self.sought_at.map_or(now, |sought| sought + SEEK_AT_MOST);
        self.seek_at = Some(at.min(earliest.max(now + SHORT_PATIENCE)));
        true
    }

    /// We serve strangers at this port from now on; `None`: no longer.
    pub(super) fn serve(&mut self, port: Option<u16>, now: Instant) {
        if port != self.port {
            self.port = port;
            self.failures = 0;
            self.announce_at = port.filter(|_| self.enabled).map(|_| now);
        }
    }

    /// How an announcement went. `random` is any number.
    pub(super) fn announced(&mut self, stored: bool, random: u64, now: Instant) {
        self.failures = if stored { 0 } else { self.failures.saturating_add(1) };
        let wait = if stored { ANNOUNCE_EVERY } else { backoff(self.failures, ANNOUNCE_AGAIN, ANNOUNCE_EVERY, random) };
        self.announce_at = self.port.map(|_| now + wait);
    }

    /// Somebody is said to be at these addresses, which lead into the internet.
    pub(super) fn rumoured(&mut self, found: impl IntoIterator<Item = SocketAddrV4>, now: Instant) {
        if self.seek_at.is_none() {
            return;
        }
        for address in found {
            if self.heard.len() < MAX_RUMOURS && self.heard.insert(address) {
                self.rumours.push_back(address);
                self.dial_at.get_or_insert(now);
            }
        }
    }

    /// The next addresses to dial.
    pub(super) fn poll_dials(&mut self, now: Instant) -> Vec<SocketAddrV4> {
        if self.dial_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let dials: Vec<_> = self.rumours.drain(..self.rumours.len().min(DIALS)).collect();
        // Until these have had their time, later ones wait.
        self.dial_at = (!dials.is_empty()).then(|| now + BETWEEN_DIALS);
        dials
    }

    /// The next thing to do in the DHT. `random` is any number.
    pub(super) fn poll_wish(&mut self, random: u64, now: Instant) -> Option<Wish> {
        if self.seek_at.is_some_and(|at| at <= now) {
            self.seeks = self.seeks.saturating_add(1);
            self.sought_at = Some(now);
            self.seek_at = Some(now + backoff(self.seeks, SEEK_AGAIN, LONGEST_WAIT, random));
            self.heard.clear();
            return Some(Wish::Seek);
        }
        if let Some(port) = self.port.filter(|_| self.announce_at.is_some_and(|at| at <= now)) {
            // Until it is known how that went.
            self.announce_at = Some(now + ANNOUNCE_EVERY);
            return Some(Wish::Announce { port });
        }
        None
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.seek_at, self.dial_at, self.announce_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> SocketAddrV4 {
        SocketAddrV4::new((0x0808_0000 + number).into(), 4001)
    }

    #[test]
    fn who_has_a_node_never_looks_there() {
        let (mut last_resort, now) = (LastResort::new(true), Instant::now());
        last_resort.set_alone(true, now);
        last_resort.set_alone(false, now + PATIENCE / 2);
        assert_eq!(last_resort.poll_timeout(), None);
        last_resort.rumoured([address(1)], now);
        assert!(last_resort.poll_dials(now).is_empty(), "nobody asked");
    }

    #[test]
    fn who_is_alone_looks_ever_more_rarely() {
        let (mut last_resort, mut now) = (LastResort::new(true), Instant::now());
        last_resort.set_alone(true, now);
        assert_eq!(last_resort.poll_wish(0, now), None, "everything else comes first");
        let mut waits = Vec::new();
        for _ in 0..20 {
            let at = last_resort.poll_timeout().unwrap();
            waits.push(at.duration_since(now));
            now = at;
            assert_eq!(last_resort.poll_wish(0, now), Some(Wish::Seek));
            assert_eq!(last_resort.poll_wish(0, now), None);
            last_resort.set_alone(true, now);
        }
        assert_eq!(waits[..3], [PATIENCE, SEEK_AGAIN, SEEK_AGAIN * 2]);
        assert_eq!(waits.last(), Some(&LONGEST_WAIT));
    }

    #[test]
    fn who_looks_for_somebody_does_not_wait_long() {
        let (mut last_resort, now) = (LastResort::new(true), Instant::now());
        assert!(!last_resort.hurry(now), "there are nodes");
        last_resort.set_alone(true, now);
        assert!(last_resort.hurry(now));
        let at = now + SHORT_PATIENCE;
        assert_eq!(last_resort.poll_timeout(), Some(at));
        assert_eq!(last_resort.poll_wish(0, at), Some(Wish::Seek));
        for _ in 0..3 {
            assert!(last_resort.hurry(at));
        }
        assert_eq!(last_resort.poll_timeout(), Some(at + SEEK_AT_MOST), "however often");
    }

    #[test]
    fn rumours_are_few_and_dialled_a_few_at_a_time() {
        let (mut last_resort, now) = (LastResort::new(true), Instant::now());
        last_resort.set_alone(true, now);
        let now = now + PATIENCE;
        last_resort.poll_wish(0, now);
        last_resort.rumoured((0..1000).chain(0..1000).map(address), now);
        let (mut dialled, mut at) = (BTreeSet::new(), now);
        for _ in 0..20 {
            let dials = last_resort.poll_dials(at);
            assert!(dials.len() <= DIALS && last_resort.poll_dials(at).is_empty());
            dialled.extend(dials);
            at += BETWEEN_DIALS;
        }
        assert_eq!(dialled.len(), MAX_RUMOURS);
        assert!(last_resort.poll_timeout().unwrap() > now, "it does not spin");
    }

    #[test]
    fn only_who_serves_announces_and_goes_on_doing_so() {
        let (mut last_resort, now) = (LastResort::new(true), Instant::now());
        assert_eq!(last_resort.poll_wish(0, now), None);
        last_resort.serve(Some(4001), now);
        assert_eq!(last_resort.poll_wish(0, now), Some(Wish::Announce { port: 4001 }));
        assert_eq!(last_resort.poll_wish(0, now), None);
        last_resort.announced(false, 0, now);
        assert_eq!(last_resort.poll_timeout(), Some(now + ANNOUNCE_AGAIN));
        last_resort.announced(true, 0, now);
        assert_eq!(last_resort.poll_timeout(), Some(now + ANNOUNCE_EVERY));
        last_resort.serve(None, now);
        assert_eq!(last_resort.poll_timeout(), None);
    }

    #[test]
    fn switched_off_it_does_nothing() {
        let (mut last_resort, now) = (LastResort::new(false), Instant::now());
        last_resort.set_alone(true, now);
        last_resort.serve(Some(4001), now);
        assert_eq!(last_resort.poll_timeout(), None);
    }
}
