//! When to publish what: keeps a person's presence in the network in step with where they can be reached.
//!
//! ```text
//!             reachable                  due                     acknowledged
//!   Silent ───────────────▶ Waiting ───────────────▶ Publishing ───────────────▶ Waiting (25 min ± jitter)
//!                              ▲                          │ nobody stored it
//!                              └──────── back off ────────┘
//! ```
//! A change of relays while publishing makes the next publication due at once when this one ends. Losing every relay
//! publishes nothing: the old record is wrong for a moment, and an empty one would be wrong as well.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::limits::{CLOCK_SKEW, RECORD_TTL};
use super::rate::backoff;
use super::record::{self, NONCE, NodeAddresses, Presence, record_key};
use super::search::periods;
use crate::identity::{BlindedKey, BlindedPerson, Period, PersonKey};

/// The refresh comes early or late by up to 12 %: people whose machines start together must not publish together.
const JITTER_STEPS: u32 = 1024;
/// Relays come one after the other at the start; no more than one publication per second.
const SHORTEST_GAP: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(5);
/// A record on fewer nodes than these (Kademlia's k is 20, and some may fail) is published again when more nodes show
/// up, ever more slowly: in a network that grows from nothing, the nodes that took it soon are not the closest ones any
/// more.
pub(super) const ENOUGH_ACKS: u32 = 15;
const LONGEST_RETRY: Duration = Duration::from_secs(5 * 60);

/// A record to store: its key and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// One round of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) entries: Vec<Entry>,
    pub(super) relays: Vec<PeerId>,
}

/// What is drawn at random for one publication.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub(super) nonces: [[u8; NONCE]; 2],
    pub(super) jitter: u64,
}

pub(super) struct Publisher {
    me: PersonKey,
    node: PeerId,
    refresh: Duration,
    reach: Reachability,
    state: State,
    last_seq: u64,
    failures: u32,
    /// Rounds in a row that reached fewer than [`ENOUGH_ACKS`] nodes.
    thin_rounds: u32,
    last_started: Option<Instant>,
    /// Periods under which a record of ours may lie, each with the Unix second at which the last of them expires.
    outstanding: BTreeMap<Period, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Silent,
    Waiting { until: Instant },
    Publishing { again: bool },
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Reachability {
    relays: Vec<NodeAddresses>,
    addresses: Vec<Multiaddr>,
}

impl Publisher {
    /// `refresh`: between two publications that say the same.
    pub(super) fn new(me: PersonKey, node: PeerId, refresh: Duration) -> Self {
        Self {
            me,
            node,
            refresh,
            reach: Reachability::default(),
            state: State::Silent,
            last_seq: 0,
            failures: 0,
            thin_rounds: 0,
            last_started: None,
            outstanding: BTreeMap::new(),
        }
    }

    /// Where we can be rung now: through these relays, and at our own addresses if we are public.
    pub(super) fn set_reachability(&mut self, relays: Vec<NodeAddresses>, addresses: Vec<Multiaddr>, now: Instant) {
        let reach = Reachability { relays, addresses };
        if reach == self.reach {
            return;
        }
        self.reach = reach;
        self.thin_rounds = 0;
        if self.reach == Reachability::default() {
            return;
        }
        self.state = match self.state {
            State::Publishing { .. } => State::Publishing { again: true },
            State::Silent | State::Waiting { .. } => State::Waiting { until: self.earliest(now) },
        };
    }

    /// The network around us is another one: what lies in it may be out of date, or gone.
    pub(super) fn publish_again(&mut self, now: Instant) {
        match &mut self.state {
            State::Silent => {}
            State::Publishing { again } => *again = true,
            State::Waiting { .. } => self.state = State::Waiting { until: self.earliest(now) },
        }
    }

    /// When [`Publisher::poll_publication`] will have something.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match self.state {
            State::Waiting { until } => Some((until, "publish presence")),
            State::Silent | State::Publishing { .. } => None,
        }
    }

    /// What is to be published now, if anything. Report its end with [`Publisher::finished`].
    pub(super) fn poll_publication(&mut self, now: Instant, unix_ms: u64, draw: &Draw) -> Option<Publication> {
        let State::Waiting { until } = self.state else { return None };
        if now < until {
            return None;
        }
        self.state = State::Publishing { again: false };
        self.last_started = Some(now);
        let presence = self.presence(unix_ms, false);
        let wanted = periods(unix_ms / 1000);
        let entries = self.entries(&wanted, &presence, unix_ms, &draw.nonces);
        for period in wanted {
            self.outstanding.insert(period, presence.expires_unix_s + CLOCK_SKEW.as_secs());
        }
        Some(Publication { entries, relays: self.reach.relays.iter().map(|relay| relay.node).collect() })
    }

    /// A publication ended with that many nodes having stored a record.
    pub(super) fn finished(&mut self, acks: u32, now: Instant, draw: &Draw) {
        let State::Publishing { again } = self.state else { return };
        self.failures = if acks > 0 { 0 } else { self.failures + 1 };
        self.thin_rounds = if acks < ENOUGH_ACKS { self.thin_rounds + 1 } else { 0 };
        let until = if again {
            self.earliest(now)
        } else if acks > 0 {
            let jitter = self.refresh * 6 / 25 * (draw.jitter % u64::from(JITTER_STEPS)) as u32 / JITTER_STEPS;
            now + self.refresh * 22 / 25 + jitter
        } else {
            now + backoff(self.failures, RETRY, LONGEST_RETRY, draw.jitter)
        };
        self.state = State::Waiting { until };
    }

    /// A node showed itself: worth another round if the last one found nobody, or too few.
    pub(super) fn somebody_came(&mut self, now: Instant) {
        if let (State::Waiting { until }, Some(last)) = (self.state, self.last_started)
            && self.thin_rounds > 0
        {
            let soon = last + backoff(self.thin_rounds, RETRY, LONGEST_RETRY, 0);
            self.state = State::Waiting { until: until.min(now.max(soon)) };
        }
    }

    /// Records that take back all that may still lie around. Nothing is published after it.
    pub(super) fn withdraw(&mut self, unix_ms: u64, draw: &Draw) -> Vec<Entry> {
        self.state = State::Silent;
        let unix_s = unix_ms / 1000;
        let wanted: Vec<Period> =
            self.outstanding.iter().filter(|(_, until)| **until > unix_s).map(|(p, _)| *p).collect();
        self.outstanding.clear();
        let presence = self.presence(unix_ms, true);
        self.entries(&wanted, &presence, unix_ms, &draw.nonces)
    }

    /// Answers somebody on our LAN who asks whether one of `keys` is us. The record names our node and, if we have
    /// any, our relays; the asker sees our address anyway.
    pub(super) fn answer(&mut self, keys: &[BlindedPerson], unix_ms: u64, draw: &Draw) -> Option<Vec<u8>> {
        let period = periods(unix_ms / 1000)
            .into_iter()
            .find(|period| keys.contains(&BlindedKey::derive(&self.me, *period).public()))?;
        let presence = self.presence(unix_ms, false);
        self.entries(&[period], &presence, unix_ms, &draw.nonces).pop().map(|entry| entry.value)
    }

    fn presence(&self, unix_ms: u64, withdrawn: bool) -> Presence {
        let reach = if withdrawn { Reachability::default() } else { self.reach.clone() };
        Presence {
            expires_unix_s: unix_ms / 1000 + RECORD_TTL.as_secs(),
            node: self.node,
            relays: reach.relays,
            addresses: reach.addresses,
            withdrawn,
        }
    }

    fn entries(
        &mut self,
        periods: &[Period],
        presence: &Presence,
        unix_ms: u64,
        nonces: &[[u8; NONCE]; 2],
    ) -> Vec<Entry> {
        let seq = unix_ms.max(self.last_seq + 1);
        self.last_seq = seq;
        let periods = periods.iter().zip(nonces);
        let entry = |(period, nonce): (&Period, &[u8; NONCE])| {
            let key = record_key(&BlindedKey::derive(&self.me, *period).public());
            record::seal(&self.me, *period, seq, presence, *nonce).ok().map(|value| Entry { key, value })
        };
        periods.filter_map(entry).collect()
    }

    fn earliest(&self, now: Instant) -> Instant {
        self.last_started.map_or(now, |started| now.max(started + SHORTEST_GAP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendezvous::record::open;

    const REFRESH: Duration = Duration::from_secs(25 * 60);
    const DRAW: Draw = Draw { nonces: [[1; NONCE], [2; NONCE]], jitter: 512 };
    const NOON_MS: u64 = (20_000 * 86_400 + 43_200) * 1000;

    fn relay(last: u8) -> NodeAddresses {
        let node = PeerId::random();
        NodeAddresses { node, addresses: vec![format!("/ip4/192.0.2.{last}/udp/4001/quic-v1").parse().unwrap()] }
    }

    fn read(me: &PersonKey, entry: &Entry, unix_ms: u64) -> (u64, Presence) {
        let found = periods(unix_ms / 1000).into_iter().find_map(|period| {
            let blinded = BlindedKey::derive(me, period).public();
            (record_key(&blinded) == entry.key).then(|| open(me.person(), &blinded, &entry.value).unwrap())
        });
        found.unwrap()
    }

    #[test]
    fn nothing_is_said_before_somebody_can_ring() {
        let mut publisher = Publisher::new(PersonKey::from_seed(&[1; 32]), PeerId::random(), REFRESH);
        assert_eq!(publisher.poll_timeout(), None);
        assert_eq!(publisher.poll_publication(Instant::now(), NOON_MS, &DRAW), None);
        assert_eq!(publisher.withdraw(NOON_MS, &DRAW), vec![]);
    }

    #[test]
    fn published_refreshed_and_withdrawn_with_rising_numbers() {
        let me = PersonKey::from_seed(&[1; 32]);
        let node = PeerId::random();
        let mut publisher = Publisher::new(me.clone(), node, REFRESH);
        let start = Instant::now();
        let relays = vec![relay(1), relay(2)];
        publisher.set_reachability(relays.clone(), vec![], start);
        let first = publisher.poll_publication(start, NOON_MS, &DRAW).unwrap();
        let (seq, presence) = read(&me, &first.entries[0], NOON_MS);
        assert_eq!((seq, presence.node, &presence.relays, presence.withdrawn), (NOON_MS, node, &relays, false));
        assert!(presence.addresses.is_empty(), "a client's own address is nobody's business");
        publisher.finished(5, start, &DRAW);
        let (due, _) = publisher.poll_timeout().unwrap();
        assert_eq!(due, start + REFRESH);
        assert_eq!(publisher.poll_publication(due - Duration::from_millis(1), NOON_MS, &DRAW), None);
        // The wall clock has not moved, yet the number rises.
        let second = publisher.poll_publication(due, NOON_MS, &DRAW).unwrap();
        assert_eq!(read(&me, &second.entries[0], NOON_MS).0, NOON_MS + 1);
        publisher.finished(5, due, &DRAW);
        let withdrawn = publisher.withdraw(NOON_MS, &DRAW);
        let (seq, presence) = read(&me, &withdrawn[0], NOON_MS);
        assert_eq!((seq, presence.withdrawn, presence.relays), (NOON_MS + 2, true, vec![]));
        assert_eq!(publisher.poll_timeout(), None);
    }

    #[test]
    fn a_change_is_published_at_once_but_one_at_a_time() {
        let mut publisher = Publisher::new(PersonKey::from_seed(&[1; 32]), PeerId::random(), REFRESH);
        let start = Instant::now();
        publisher.set_reachability(vec![relay(1)], vec![], start);
        publisher.poll_publication(start, NOON_MS, &DRAW).unwrap();
        publisher.set_reachability(vec![relay(1), relay(2)], vec![], start);
        assert_eq!(publisher.poll_timeout(), None, "one is under way");
        publisher.finished(1, start, &DRAW);
        assert_eq!(publisher.poll_timeout().unwrap().0, start + SHORTEST_GAP);
        let again = publisher.poll_publication(start + SHORTEST_GAP, NOON_MS + 1000, &DRAW).unwrap();
        assert_eq!(again.relays.len(), 2);
        publisher.finished(1, start + SHORTEST_GAP, &DRAW);
        let later = start + Duration::from_secs(100);
        publisher.set_reachability(vec![], vec![], later);
        assert!(publisher.poll_timeout().unwrap().0 > later, "having lost every relay, nothing is said");
        publisher.set_reachability(vec![relay(3)], vec![], later);
        assert_eq!(publisher.poll_timeout().unwrap().0, later);
    }

    #[test]
    fn a_publication_that_nobody_stored_is_tried_again_ever_more_slowly() {
        let mut publisher = Publisher::new(PersonKey::from_seed(&[1; 32]), PeerId::random(), REFRESH);
        let mut now = Instant::now();
        publisher.set_reachability(vec![relay(1)], vec![], now);
        let mut gaps = vec![];
        for _ in 0..10 {
            publisher.poll_publication(now, NOON_MS, &DRAW).unwrap();
            publisher.finished(0, now, &Draw { jitter: 0, ..DRAW });
            let due = publisher.poll_timeout().unwrap().0;
            gaps.push(due.duration_since(now));
            now = due;
        }
        assert_eq!(gaps[0], RETRY);
        assert!(gaps.windows(2).all(|pair| pair[0] <= pair[1]) && gaps[9] == LONGEST_RETRY);
    }

    #[test]
    fn a_record_on_too_few_nodes_is_published_again_when_more_come() {
        let mut publisher = Publisher::new(PersonKey::from_seed(&[1; 32]), PeerId::random(), REFRESH);
        let start = Instant::now();
        publisher.somebody_came(start);
        assert_eq!(publisher.poll_timeout(), None);
        publisher.set_reachability(vec![relay(1)], vec![], start);
        for (round, acks) in [1, ENOUGH_ACKS].into_iter().enumerate() {
            let now = start + RETRY * u32::try_from(round).unwrap();
            publisher.poll_publication(now, NOON_MS, &DRAW).unwrap();
            publisher.finished(acks, now, &DRAW);
            publisher.somebody_came(now);
            let due = publisher.poll_timeout().unwrap().0;
            assert_eq!(due, now + if acks < ENOUGH_ACKS { RETRY } else { REFRESH });
        }
    }

    #[test]
    fn near_midnight_both_days_are_published_and_withdrawn() {
        let me = PersonKey::from_seed(&[1; 32]);
        let mut publisher = Publisher::new(me.clone(), PeerId::random(), REFRESH);
        let (start, midnight_ms) = (Instant::now(), 20_000 * 86_400_000);
        publisher.set_reachability(vec![relay(1)], vec![], start);
        let before = publisher.poll_publication(start, midnight_ms - 60_000, &DRAW).unwrap();
        assert_eq!(before.entries.len(), 2);
        assert_ne!(before.entries[0].key, before.entries[1].key);
        publisher.finished(1, start, &DRAW);
        assert_eq!(publisher.withdraw(midnight_ms + 60_000, &DRAW).len(), 2);
    }

    #[test]
    fn on_the_lan_only_the_owner_answers() {
        let (me, other) = (PersonKey::from_seed(&[1; 32]), PersonKey::from_seed(&[2; 32]));
        let mut publisher = Publisher::new(me.clone(), PeerId::random(), REFRESH);
        let key = |who: &PersonKey| BlindedKey::derive(who, Period::of(NOON_MS / 1000)).public();
        assert_eq!(publisher.answer(&[key(&other)], NOON_MS, &DRAW), None);
        let value = publisher.answer(&[key(&other), key(&me)], NOON_MS, &DRAW).unwrap();
        assert_eq!(open(me.person(), &key(&me), &value).unwrap().1.node, publisher.node);
    }
}
