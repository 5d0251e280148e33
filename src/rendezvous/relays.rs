//! Which super-peers to hold a reservation at, and what to do when one goes away. Decisions only; the shell dials.
//!
//! ```text
//!            chosen             accepted
//!   Idle ─────────────▶ Asking ───────────▶ Held
//!    ▲  ◀── refused, ────┘                   │
//!    │      timed out: back off              │
//!    └────────────── lost: soon again ───────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::address::{endpoint, neighbourhood};
use super::limits::{HTTPS, MAX_ADDRESSES_PER_NODE};
use super::rate::backoff;
use super::record::NodeAddresses;

/// Reservations to hold. Rings go through all of them at once, so one that is slow or dead costs nothing.
pub(super) const WANTED: usize = 3;
/// Candidates remembered; the one that failed most often makes room.
const MAX_CANDIDATES: usize = 64;
/// Dialling, the request and the answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_BACKOFF: Duration = Duration::from_secs(30);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15 * 60);
/// A super-peer that held us and vanished may be back in a moment.
const AFTER_LOSS: Duration = Duration::from_secs(2);
/// So long after a change of network, what fails was meant for the old one.
const HURRY: Duration = Duration::from_secs(5);
const AFTER_CHANGE: Duration = Duration::from_millis(200);

/// Why a reservation is not, or no longer, there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The super-peer could not be reached, or the connection to it ended.
    Unreachable,
    /// It answered, and said no.
    Refused,
}

/// Ask this super-peer for a reservation: connect first if need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) relay: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
}

pub(super) struct RelayManager {
    candidates: BTreeMap<PeerId, Candidate>,
    /// The network changed a moment ago: what is lost until then is asked again at once.
    hurry_until: Option<Instant>,
    random: u64,
}

#[derive(Debug)]
struct Candidate {
    addresses: Vec<Multiaddr>,
    state: State,
    /// It said of itself that it relays.
    known: bool,
    failures: u32,
    last_loss: Option<Loss>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle { not_before: Instant },
    Asking { until: Instant },
    Held,
}

impl RelayManager {
    /// `seed` spreads the retries of different nodes.
    pub(super) fn new(seed: u64) -> Self {
        Self { candidates: BTreeMap::new(), hurry_until: None, random: seed }
    }

    /// A node that may relay. `known`: it said so itself, just now, so it is alive.
    pub(super) fn offer(&mut self, relay: PeerId, mut addresses: Vec<Multiaddr>, known: bool, now: Instant) {
        addresses.retain(|address| endpoint(address).is_some());
        // QUIC is best; of TCP's ports the one that gets out of every network must not be cut off below.
        addresses.sort_by_key(|address| {
            endpoint(address).map_or(2, |at| if at.quic { 0 } else { 1 + u8::from(at.port != HTTPS) })
        });
        addresses.truncate(MAX_ADDRESSES_PER_NODE);
        if addresses.is_empty() {
            return;
        }
        if let Some(candidate) = self.candidates.get_mut(&relay) {
            candidate.known |= known;
            candidate.addresses = addresses;
            if let State::Idle { not_before } = &mut candidate.state
                && known
                && candidate.last_loss == Some(Loss::Unreachable)
            {
                *not_before = now.min(*not_before);
            }
            return;
        }
        if self.candidates.len() >= MAX_CANDIDATES && !self.forget_the_worst() {
            return;
        }
        let state = State::Idle { not_before: now };
        self.candidates.insert(relay, Candidate { addresses, state, known, failures: 0, last_loss: None });
    }

    /// The node does not relay: it is of another kind.
    pub(super) fn withdraw_offer(&mut self, relay: &PeerId) {
        if self.candidates.get(relay).is_some_and(|candidate| matches!(candidate.state, State::Idle { .. })) {
            self.candidates.remove(relay);
        }
    }

    /// It reserved a place for us. True when that is news.
    pub(super) fn accepted(&mut self, relay: &PeerId) -> bool {
        let Some(candidate) = self.candidates.get_mut(relay) else { return false };
        let news = candidate.state != State::Held;
        (candidate.state, candidate.failures, candidate.last_loss) = (State::Held, 0, None);
        news
    }

    /// The reservation, or the attempt to get one, failed. True when a held reservation was lost.
    pub(super) fn lost(&mut self, relay: &PeerId, loss: Loss, now: Instant) -> bool {
        let random = self.draw();
        let hurry = self.hurry_until.is_some_and(|until| now < until);
        let Some(candidate) = self.candidates.get_mut(relay) else { return false };
        let delay = match candidate.state {
            State::Idle { .. } => return false,
            State::Held if hurry => Duration::ZERO,
            State::Asking { .. } if hurry => AFTER_CHANGE,
            State::Held => AFTER_LOSS - AFTER_LOSS.mul_f64((random % 256) as f64 / 512.0),
            State::Asking { .. } => {
                candidate.failures += 1;
                backoff(candidate.failures, FIRST_BACKOFF, LONGEST_BACKOFF, random)
            }
        };
        let was_held = candidate.state == State::Held;
        (candidate.state, candidate.last_loss) = (State::Idle { not_before: now + delay }, Some(loss));
        was_held
    }

    /// Other interfaces, other luck: everybody may be asked again at once.
    pub(super) fn network_changed(&mut self, now: Instant) {
        self.hurry_until = Some(now + HURRY);
        for candidate in self.candidates.values_mut() {
            if let State::Idle { not_before } = &mut candidate.state {
                *not_before = now.min(*not_before);
                candidate.failures = 0;
            }
        }
    }

    /// Asks that took too long have failed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let overdue = |candidate: &Candidate| matches!(candidate.state, State::Asking { until } if until <= now);
        let overdue: Vec<PeerId> =
            self.candidates.iter().filter(|(_, candidate)| overdue(candidate)).map(|(relay, _)| *relay).collect();
        for relay in overdue {
            self.lost(&relay, Loss::Unreachable, now);
        }
    }

    /// When [`RelayManager::handle_timeout`] or [`RelayManager::poll_ask`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let missing = self.busy() < WANTED;
        let due = |candidate: &Candidate| match candidate.state {
            State::Idle { not_before } => missing.then_some((not_before, "ask a relay")),
            State::Asking { until } => Some((until, "relay does not answer")),
            State::Held => None,
        };
        self.candidates.values().filter_map(due).min_by_key(|(at, _)| *at)
    }

    /// The next super-peer to ask, while fewer than [`WANTED`] are held or being asked. One in another network than
    /// those is preferred, so that one provider's failure does not take all.
    pub(super) fn poll_ask(&mut self, now: Instant) -> Option<Ask> {
        if self.busy() >= WANTED {
            return None;
        }
        let taken: BTreeSet<(bool, u32)> =
            self.candidates.values().filter(|candidate| candidate.is_busy()).filter_map(Candidate::site).collect();
        let (relay, candidate) = self
            .candidates
            .iter_mut()
            .filter(|(_, candidate)| matches!(candidate.state, State::Idle { not_before } if not_before <= now))
            .min_by_key(|(_, candidate)| {
                let crowded = candidate.site().is_none_or(|site| taken.contains(&site));
                (candidate.failures, !candidate.known, crowded)
            })?;
        candidate.state = State::Asking { until: now + ASK_TIMEOUT };
        Some(Ask { relay: *relay, addresses: candidate.addresses.clone() })
    }

    /// Whether we wait for this super-peer's answer.
    pub(super) fn is_asking(&self, relay: &PeerId) -> bool {
        self.candidates.get(relay).is_some_and(|candidate| matches!(candidate.state, State::Asking { .. }))
    }

    /// The address to reserve at.
    pub(super) fn address(&self, relay: &PeerId) -> Option<Multiaddr> {
        self.candidates.get(relay)?.addresses.first().cloned()
    }

    pub(super) fn is_held(&self, relay: &PeerId) -> bool {
        self.candidates.get(relay).is_some_and(|candidate| candidate.state == State::Held)
    }

    /// Where we can be rung.
    pub(super) fn held(&self) -> Vec<NodeAddresses> {
        let held = self.candidates.iter().filter(|(_, candidate)| candidate.state == State::Held);
        held.map(|(relay, candidate)| NodeAddresses { node: *relay, addresses: candidate.addresses.clone() }).collect()
    }

    /// All super-peers that are known, wherever we hold a place.
    pub(super) fn all(&self) -> Vec<NodeAddresses> {
        let known = self.candidates.iter();
        known.map(|(relay, known)| NodeAddresses { node: *relay, addresses: known.addresses.clone() }).collect()
    }

    fn busy(&self) -> usize {
        self.candidates.values().filter(|candidate| candidate.is_busy()).count()
    }

    fn forget_the_worst(&mut self) -> bool {
        let idle = self.candidates.iter().filter(|(_, candidate)| !candidate.is_busy());
        let worst = idle.max_by_key(|(_, candidate)| (candidate.failures, !candidate.known)).map(|(relay, _)| *relay);
        worst.is_some_and(|worst| self.candidates.remove(&worst).is_some())
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Candidate {
    fn is_busy(&self) -> bool {
        matches!(self.state, State::Asking { .. } | State::Held)
    }

    fn site(&self) -> Option<(bool, u32)> {
        self.addresses.first().and_then(endpoint).map(|endpoint| neighbourhood(endpoint.ip))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(ip: &str) -> Vec<Multiaddr> {
        vec![format!("/ip4/{ip}/udp/4001/quic-v1").parse().unwrap()]
    }

    fn asks(manager: &mut RelayManager, now: Instant) -> Vec<PeerId> {
        std::iter::from_fn(|| manager.poll_ask(now)).map(|ask| ask.relay).collect()
    }

    #[test]
    fn different_networks_are_preferred_but_no_condition() {
        let mut manager = RelayManager::new(1);
        let now = Instant::now();
        let peers: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
        for (peer, ip) in peers.iter().zip(["192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1"]) {
            manager.offer(*peer, address(ip), true, now);
        }
        let chosen = asks(&mut manager, now);
        assert_eq!(chosen.len(), WANTED);
        assert!(chosen.contains(&peers[2]) && chosen.contains(&peers[3]));

        let mut alone = RelayManager::new(1);
        for (peer, last) in peers.iter().zip(1..) {
            alone.offer(*peer, address(&format!("127.0.0.{last}")), true, now);
        }
        assert_eq!(asks(&mut alone, now).len(), WANTED, "in a laboratory all share one network");
    }

    #[test]
    fn a_lost_relay_is_replaced_at_once_and_asked_again_soon() {
        let mut manager = RelayManager::new(7);
        let now = Instant::now();
        let peers: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
        for (peer, last) in peers.iter().zip(1..) {
            manager.offer(*peer, address(&format!("10.{last}.0.1")), true, now);
        }
        let held = asks(&mut manager, now);
        assert!(held.iter().all(|peer| manager.accepted(peer) && !manager.accepted(peer)));
        assert_eq!(manager.poll_timeout(), None);
        assert!(manager.lost(&held[0], Loss::Unreachable, now));
        assert_eq!(manager.held().len(), 2);
        let spare = peers.iter().find(|peer| !held.contains(peer)).unwrap();
        assert_eq!(asks(&mut manager, now), [*spare]);
        manager.lost(spare, Loss::Refused, now);
        let (due, _) = manager.poll_timeout().unwrap();
        assert!(due > now && due <= now + AFTER_LOSS);
        assert_eq!(asks(&mut manager, due), [held[0]]);
    }

    #[test]
    fn refusals_back_off_from_half_a_minute_to_a_quarter_of_an_hour() {
        let mut manager = RelayManager::new(3);
        let mut now = Instant::now();
        let peer = PeerId::random();
        manager.offer(peer, address("10.0.0.1"), true, now);
        let mut gaps = vec![];
        for _ in 0..8 {
            assert_eq!(asks(&mut manager, now), [peer]);
            manager.lost(&peer, Loss::Refused, now);
            manager.offer(peer, address("10.0.0.1"), true, now);
            let (due, _) = manager.poll_timeout().unwrap();
            gaps.push(due.duration_since(now));
            now = due;
        }
        assert!(gaps[0] >= FIRST_BACKOFF * 3 / 4 && gaps[0] <= FIRST_BACKOFF, "{gaps:?}");
        assert!(gaps[7] >= LONGEST_BACKOFF * 3 / 4 && gaps[7] <= LONGEST_BACKOFF, "{gaps:?}");
        manager.network_changed(now - Duration::from_secs(1));
        assert_eq!(asks(&mut manager, now).len(), 1);
    }

    #[test]
    fn one_that_was_unreachable_is_asked_when_it_shows_itself() {
        let mut manager = RelayManager::new(3);
        let now = Instant::now();
        let peer = PeerId::random();
        manager.offer(peer, address("10.0.0.1"), false, now);
        assert_eq!(asks(&mut manager, now), [peer]);
        manager.handle_timeout(now + ASK_TIMEOUT);
        let later = now + ASK_TIMEOUT + Duration::from_secs(1);
        assert_eq!(asks(&mut manager, later), []);
        manager.offer(peer, address("10.0.0.1"), true, later);
        assert_eq!(asks(&mut manager, later), [peer]);
        manager.lost(&peer, Loss::Refused, later);
        manager.withdraw_offer(&peer);
        assert_eq!(manager.poll_timeout(), None);
    }

    proptest! {
        #[test]
        fn never_more_than_wanted_and_never_unbounded(steps in proptest::collection::vec((0u8..6, 0u8..100), 0..300)) {
            let mut manager = RelayManager::new(5);
            let mut now = Instant::now();
            let peers: Vec<PeerId> = (0..100).map(|_| PeerId::random()).collect();
            for (step, index) in steps {
                let peer = peers[usize::from(index)];
                match step {
                    0 => manager.offer(peer, address(&format!("10.{index}.0.1")), index % 2 == 0, now),
                    1 => { manager.accepted(&peer); }
                    2 => { manager.lost(&peer, Loss::Unreachable, now); }
                    3 => { manager.poll_ask(now); }
                    4 => manager.withdraw_offer(&peer),
                    _ => { now += Duration::from_secs(u64::from(index)); manager.handle_timeout(now); }
                }
                prop_assert!(manager.candidates.len() <= MAX_CANDIDATES);
            }
        }
    }
}
