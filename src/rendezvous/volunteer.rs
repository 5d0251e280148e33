//! Whether to serve others unasked: a node that strangers can reach becomes a super-peer by itself, and ceases to be one
//! when they cannot any more. Decisions only; the shell asks.
//!
//! ```text
//!         an address             strangers got through        and again, `steady` later
//!   Idle ───────────▶ Trying ──────────────────────▶ Settling ─────────────────────────▶ Serving
//!    ▲                 │ ▲                              │                                  │
//!    └─── no address ──┘ └── they do not: back off ─────┘                                  │
//!    ▲                   ▲                                                                 │
//!    └─ address gone ────┴──── they do not, three times in a row, or another network ──────┘
//! ```
//! Super-peers are asked to dial us (AutoNAT v2). One that is told to us by strangers may lie, so where two are known two
//! must agree, and more must say yes than no; two nodes at one address are one voice. Who is not well known yet has to
//! believe the only one there is: what it wins by a lie is a super-peer that nobody reaches, and the next round has more
//! voices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::address::endpoint;
use super::rate::backoff;
use super::record::NodeAddresses;
use crate::base::source_of;

/// Super-peers that are asked in one round.
const ASKED: usize = 3;
/// As many must get through, where as many are known.
const ENOUGH: usize = 2;
/// A super-peer that did not answer so often in a row is asked only when no other is there.
const SILENT: u32 = 2;
/// Rounds in a row in which strangers did not get through before a super-peer gives up.
const PATIENCE: u32 = 3;
/// Addresses of ours that are asked about.
pub(super) const MAX_CANDIDATES: usize = 4;
/// Dialling the super-peer, its dialling us, and the answers, for each of our addresses.
const ROUND: Duration = Duration::from_secs(60);
/// Every demotion doubles how long an address must hold the next time, up to so many times.
const MAX_DOUBLINGS: u32 = 4;

/// How fast things go. All of it follows from one time, so that a laboratory can be quick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// So long strangers must have got through before we serve. Ten minutes: whoever is here shorter than that would be
    /// gone again before the network knew of them.
    pub(super) steady: Duration,
}

impl Pace {
    /// From a start or a change to the first question: addresses and connections come in bursts. 30 s.
    fn first(self) -> Duration {
        self.steady / 20
    }

    /// From a bad or unclear answer to the next question, while we serve. A minute.
    fn recheck(self) -> Duration {
        self.steady / 10
    }

    /// A home or office network does not open from one minute to the next. 20 minutes, doubled up to 4 hours.
    fn retry(self) -> Duration {
        self.steady * 2
    }

    fn longest_retry(self) -> Duration {
        self.steady * 24
    }

    /// Between two questions while all is well. 25 minutes.
    fn renew(self) -> Duration {
        self.steady * 5 / 2
    }

    /// What must have lasted so long is no accident of a start or a change. 5 minutes.
    pub(super) fn settled(self) -> Duration {
        self.steady / 2
    }
}

/// What a super-peer says about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It got through, and we have seen it.
    Reachable,
    /// It tried and did not.
    Unreachable,
    /// It could not be reached, did not try, or says what we know to be wrong.
    NoAnswer,
}

/// Have this super-peer dial these addresses of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) server: NodeAddresses,
    pub(super) addresses: Vec<Multiaddr>,
}

pub(super) struct Volunteer {
    pace: Pace,
    candidates: Vec<Multiaddr>,
    /// Those that strangers got through to when they last tried.
    confirmed: Vec<Multiaddr>,
    state: State,
    due: Option<Instant>,
    round: Option<Round>,
    /// Rounds in a row that came to nothing.
    failures: u32,
    unclear: u32,
    /// How often we had to give up lately.
    demotions: u32,
    silent: BTreeMap<PeerId, u32>,
    reason: String,
    random: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No address that strangers could reach.
    Idle,
    Trying,
    Settling {
        since: Instant,
    },
    Serving {
        since: Instant,
        /// Rounds in a row in which nobody got through.
        refuted: u32,
    },
}

struct Round {
    until: Instant,
    /// How many must say yes.
    need: usize,
    open: BTreeSet<(PeerId, Multiaddr)>,
    asked: BTreeSet<PeerId>,
    /// Those that have said yes or no.
    spoke: BTreeSet<PeerId>,
    counts: BTreeMap<Multiaddr, Count>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    yes: usize,
    no: usize,
}

impl Round {
    fn outcome(&self, address: &Multiaddr) -> Outcome {
        let Count { yes, no } = self.counts.get(address).copied().unwrap_or_default();
        if yes >= self.need && yes > no {
            Outcome::Confirmed
        } else if no > 0 && no >= yes {
            Outcome::Refuted
        } else {
            Outcome::Unclear
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Confirmed,
    Refuted,
    Unclear,
}

impl Volunteer {
    /// `random` spreads nodes that start together, and chooses whom to ask.
    pub(super) fn new(pace: Pace, random: u64) -> Self {
        Self {
            pace,
            candidates: Vec::new(),
            confirmed: Vec::new(),
            state: State::Idle,
            due: None,
            round: None,
            failures: 0,
            unclear: 0,
            demotions: 0,
            silent: BTreeMap::new(),
            reason: String::new(),
            random,
        }
    }

    /// Addresses of ours that strangers might reach: of a public range, none through a relay.
    pub(super) fn set_candidates(&mut self, mut candidates: Vec<Multiaddr>, now: Instant) {
        // QUIC is what makes a super-peer; what is known by IPv4 can be announced everywhere.
        candidates.sort_by_key(|address| endpoint(address).map(|at| (!at.quic, at.ip.is_ipv6())));
        candidates.dedup();
        candidates.truncate(MAX_CANDIDATES);
        if candidates == self.candidates {
            return;
        }
        let is_new = candidates.iter().any(|address| !self.candidates.contains(address));
        self.candidates = candidates;
        self.confirmed.retain(|address| self.candidates.contains(address));
        let lost = !self.is_reachable() && self.lose("the address at which others reached this machine is gone", now);
        if self.candidates.is_empty() {
            (self.state, self.due, self.round) = (State::Idle, None, None);
        } else if is_new || lost {
            if self.state == State::Idle {
                self.state = State::Trying;
            }
            self.failures = 0;
            self.hurry(now);
        }
    }

    /// This machine got into another network. `lost_way`: it sends from other addresses than before.
    pub(super) fn network_changed(&mut self, lost_way: bool, now: Instant) {
        if lost_way {
            self.confirmed.clear();
            self.lose("this machine has changed networks", now);
        }
        self.failures = 0;
        if self.state != State::Idle {
            self.hurry(now);
        }
    }

    /// When [`Volunteer::handle_timeout`] or [`Volunteer::poll_asks`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match &self.round {
            Some(round) => Some((round.until, "super-peers do not answer")),
            None => self.due.map(|due| (due, "ask whether strangers reach us")),
        }
    }

    /// Whoever has not answered by now has not.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.round.as_ref().is_some_and(|round| round.until <= now) {
            self.conclude(now);
        }
    }

    /// Whether [`Volunteer::poll_asks`] will ask.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.round.is_none() && self.due.is_some_and(|due| due <= now)
    }

    /// Whom to ask now, of the super-peers that are known. Report each answer with [`Volunteer::heard`].
    pub(super) fn poll_asks(&mut self, servers: &[NodeAddresses], now: Instant) -> Vec<Ask> {
        if !self.is_due(now) {
            return Vec::new();
        }
        self.silent.retain(|node, _| servers.iter().any(|server| server.node == *node));
        let mut voices = self.voices(servers, false);
        if voices.is_empty() {
            voices = self.voices(servers, true);
        }
        let need = voices.len().min(ENOUGH);
        let mut chosen = Vec::new();
        while chosen.len() < ASKED && !voices.is_empty() {
            let at = (self.draw() % voices.len() as u64) as usize;
            chosen.push(voices.swap_remove(at));
        }
        if chosen.is_empty() {
            // Nobody is known yet; looking again costs nothing.
            self.due = Some(now + self.pace.recheck());
            return Vec::new();
        }
        let pair = |server: &NodeAddresses| {
            let node = server.node;
            self.candidates.iter().map(move |address| (node, address.clone()))
        };
        self.due = None;
        self.round = Some(Round {
            until: now + ROUND,
            need,
            open: chosen.iter().flat_map(pair).collect(),
            asked: chosen.iter().map(|server| server.node).collect(),
            spoke: BTreeSet::new(),
            counts: BTreeMap::new(),
        });
        chosen.into_iter().map(|server| Ask { server, addresses: self.candidates.clone() }).collect()
    }

    /// What a super-peer said. Anything that was not asked for is ignored.
    pub(super) fn heard(&mut self, server: PeerId, address: &Multiaddr, verdict: Verdict, now: Instant) {
        let Some(round) = &mut self.round else { return };
        if !round.open.remove(&(server, address.clone())) {
            return;
        }
        let count = round.counts.entry(address.clone()).or_default();
        match verdict {
            Verdict::Reachable => count.yes += 1,
            Verdict::Unreachable => count.no += 1,
            Verdict::NoAnswer => {}
        }
        if verdict != Verdict::NoAnswer {
            round.spoke.insert(server);
        }
        if round.open.is_empty() {
            self.conclude(now);
        }
    }

    /// Where we serve strangers; nothing while we do not.
    pub(super) fn serving(&self) -> &[Multiaddr] {
        match self.state {
            State::Serving { .. } => &self.confirmed,
            State::Idle | State::Trying | State::Settling { .. } => &[],
        }
    }

    /// Why we serve, or no longer do: a sentence for the user, without its capital letter.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// One super-peer for each address at which there are any. `all`: also those that have been silent.
    fn voices(&self, servers: &[NodeAddresses], all: bool) -> Vec<NodeAddresses> {
        let mut voices: BTreeMap<IpAddr, NodeAddresses> = BTreeMap::new();
        for server in servers {
            let is_silent = self.silent.get(&server.node).is_some_and(|times| *times >= SILENT);
            let ip = server.addresses.iter().find_map(endpoint).map(|at| source_of(at.ip));
            if let Some(ip) = ip.filter(|_| all || !is_silent) {
                voices.entry(ip).or_insert_with(|| server.clone());
            }
        }
        voices.into_values().collect()
    }

    fn conclude(&mut self, now: Instant) {
        let Some(round) = self.round.take() else { return };
        for server in round.asked.difference(&round.spoke) {
            *self.silent.entry(*server).or_default() += 1;
        }
        self.silent.retain(|server, _| !round.spoke.contains(server));
        let of_quic =
            |outcome| self.candidates.iter().any(|address| is_quic(address) && round.outcome(address) == outcome);
        let (well, badly) = (of_quic(Outcome::Confirmed), of_quic(Outcome::Refuted));
        // An unclear answer changes nothing.
        let holds = |address: &&Multiaddr| match round.outcome(address) {
            Outcome::Confirmed => true,
            Outcome::Unclear => self.confirmed.contains(address),
            Outcome::Refuted => false,
        };
        let still: Vec<Multiaddr> = self.candidates.iter().filter(holds).cloned().collect();
        if well {
            self.confirmed = still;
            self.got_through(now);
        } else if badly {
            self.got_stuck(still, now);
        } else {
            self.unclear += 1;
            let random = self.draw();
            self.due = Some(now + backoff(self.unclear, self.pace.recheck(), self.pace.retry(), random));
        }
    }

    fn got_through(&mut self, now: Instant) {
        (self.failures, self.unclear) = (0, 0);
        match self.state {
            State::Idle | State::Trying => {
                self.state = State::Settling { since: now };
                self.due = Some(now + self.required());
            }
            State::Settling { since } if now >= since + self.required() => {
                self.state = State::Serving { since: now, refuted: 0 };
                self.reason = self.welcome();
                self.due = Some(now + self.pace.renew());
            }
            State::Settling { since } => self.due = Some(since + self.required()),
            State::Serving { since, .. } => {
                self.state = State::Serving { since, refuted: 0 };
                self.due = Some(now + self.pace.renew());
            }
        }
    }

    /// Nobody got through. `still`: what remains confirmed of the addresses at which that is not known for sure.
    fn got_stuck(&mut self, still: Vec<Multiaddr>, now: Instant) {
        self.unclear = 0;
        match self.state {
            State::Idle => {}
            State::Trying | State::Settling { .. } => {
                self.confirmed = still;
                self.state = State::Trying;
                self.failures += 1;
                self.due = Some(now + self.pause(self.failures));
            }
            State::Serving { since, refuted } if refuted + 1 < PATIENCE => {
                self.state = State::Serving { since, refuted: refuted + 1 };
                self.due = Some(now + self.pace.recheck());
            }
            State::Serving { .. } => {
                self.confirmed.clear();
                self.lose("others cannot reach this machine any more", now);
                self.demotions = (self.demotions + 1).min(MAX_DOUBLINGS);
                self.due = Some(now + self.pause(self.demotions));
            }
        }
    }

    /// Whatever was confirmed is not any more; whether that is news. A long service wipes out the memory of earlier ones.
    fn lose(&mut self, why: &str, now: Instant) -> bool {
        let had = match self.state {
            State::Idle | State::Trying => false,
            State::Settling { .. } => true,
            State::Serving { since, .. } => {
                if now.saturating_duration_since(since) >= self.pace.longest_retry() {
                    self.demotions = 0;
                }
                why.clone_into(&mut self.reason);
                true
            }
        };
        if had {
            (self.state, self.round) = (State::Trying, None);
        }
        had
    }

    /// What was found out, and is being found out, is about what was before.
    fn hurry(&mut self, now: Instant) {
        let soon = now + self.pace.first();
        self.round = None;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    fn is_reachable(&self) -> bool {
        self.confirmed.iter().any(is_quic)
    }

    /// How long an address must have held.
    fn required(&self) -> Duration {
        self.pace.steady * (1 << self.demotions.min(MAX_DOUBLINGS))
    }

    fn pause(&mut self, failures: u32) -> Duration {
        let random = self.draw();
        backoff(failures, self.pace.retry(), self.pace.longest_retry(), random)
    }

    fn welcome(&self) -> String {
        let ip = self.confirmed.iter().filter(|address| is_quic(address)).find_map(endpoint).map(|at| at.ip);
        let at = ip.map(|ip| format!(" at {ip}")).unwrap_or_default();
        format!("others can reach this machine{at}")
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn is_quic(address: &Multiaddr) -> bool {
    endpoint(address).is_some_and(|at| at.quic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { steady: Duration::from_secs(600) };

    /// A volunteer and what it asks, in virtual time.
    struct World {
        core: Volunteer,
        now: Instant,
        start: Instant,
        servers: Vec<NodeAddresses>,
    }

    impl World {
        /// With that many super-peers, each in a network of its own.
        fn new(servers: u8) -> Self {
            let server = |number: u8| NodeAddresses {
                node: PeerId::random(),
                addresses: vec![address(&format!("/ip4/8.{number}.0.1/udp/4001/quic-v1"))],
            };
            let now = Instant::now();
            Self { core: Volunteer::new(PACE, 7), now, start: now, servers: (1..=servers).map(server).collect() }
        }

        fn candidates(&mut self, texts: &[&str]) {
            self.core.set_candidates(texts.iter().map(|text| address(text)).collect(), self.now);
        }

        /// Goes to the next round and answers it by the number of the super-peer; whom it asked.
        fn round(&mut self, verdict: impl Fn(usize, &Multiaddr) -> Verdict) -> Vec<usize> {
            let (due, _) = self.core.poll_timeout().expect("something is due");
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
            let asks = self.core.poll_asks(&self.servers, self.now);
            let mut asked = Vec::new();
            for Ask { server, addresses } in asks {
                let number = self.servers.iter().position(|known| *known == server).expect("one of ours");
                asked.push(number);
                for address in addresses {
                    self.core.heard(server.node, &address, verdict(number, &address), self.now);
                }
            }
            asked
        }

        fn all(&mut self, verdict: Verdict) {
            self.round(|_, _| verdict);
        }

        fn is_serving(&self) -> bool {
            !self.core.serving().is_empty()
        }

        fn minutes(&self) -> u64 {
            self.now.duration_since(self.start).as_secs() / 60
        }

        fn promoted(servers: u8) -> Self {
            let mut world = Self::new(servers);
            world.candidates(&[QUIC, TCP]);
            world.all(Verdict::Reachable);
            world.all(Verdict::Reachable);
            assert!(world.is_serving());
            world
        }
    }

    const QUIC: &str = "/ip4/9.1.1.1/udp/5000/quic-v1";
    const TCP: &str = "/ip4/9.1.1.1/tcp/5000";

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_is_reachable_for_ten_minutes_serves_and_not_earlier() {
        let mut world = World::new(3);
        assert_eq!(world.core.poll_timeout(), None, "nothing to ask about");
        world.candidates(&[TCP, QUIC]);
        world.all(Verdict::Reachable);
        assert!(!world.is_serving() && world.minutes() == 0);
        world.all(Verdict::Reachable);
        assert_eq!(world.minutes(), 10);
        assert_eq!(world.core.serving(), [address(QUIC), address(TCP)]);
        assert_eq!(world.core.reason(), "others can reach this machine at 9.1.1.1");
        let before = world.now;
        world.all(Verdict::Reachable);
        assert_eq!(world.now - before, Duration::from_secs(25 * 60), "asked rarely");
        assert!(world.is_serving());
    }

    #[test]
    fn only_what_was_confirmed_is_served_and_tcp_alone_is_not_enough() {
        let mut world = World::new(3);
        world.candidates(&[QUIC, TCP]);
        let half = |yes: &'static str| {
            move |_: usize, asked: &Multiaddr| match *asked == address(yes) {
                true => Verdict::Reachable,
                false => Verdict::Unreachable,
            }
        };
        world.round(half(TCP));
        world.round(half(TCP));
        world.round(half(TCP));
        assert!(!world.is_serving());
        world.round(half(QUIC));
        world.round(half(QUIC));
        assert_eq!(world.core.serving(), [address(QUIC)]);
    }

    #[test]
    fn who_is_not_reachable_asks_ever_more_rarely() {
        let mut world = World::new(3);
        world.candidates(&[QUIC]);
        let mut gaps = vec![];
        for _ in 0..8 {
            let before = world.now;
            world.all(Verdict::Unreachable);
            gaps.push((world.now - before).as_secs() / 60);
        }
        assert_eq!(gaps[0], 0, "the first comes after half a minute");
        assert!(gaps[1] >= 15 && gaps[1] <= 20, "{gaps:?}");
        assert!(gaps[7] >= 180 && gaps[7] <= 240, "{gaps:?}");
        assert!(!world.is_serving());
    }

    #[test]
    fn one_liar_among_others_does_not_make_a_super_peer() {
        for servers in 2..6 {
            let mut world = World::new(servers);
            world.candidates(&[QUIC]);
            let liar =
                |number: usize, _: &Multiaddr| if number == 0 { Verdict::Reachable } else { Verdict::Unreachable };
            for _ in 0..50 {
                world.round(liar);
                assert!(!world.is_serving(), "{servers} super-peers");
            }
            // Nor when the others only keep silent.
            let mute = |number: usize, _: &Multiaddr| if number == 0 { Verdict::Reachable } else { Verdict::NoAnswer };
            let mut world = World::new(servers);
            world.candidates(&[QUIC]);
            world.round(mute);
            assert!(!world.is_serving(), "{servers} super-peers");
        }
    }

    #[test]
    fn one_liar_among_three_does_not_keep_anybody_from_serving() {
        let mut world = World::new(3);
        world.candidates(&[QUIC]);
        let liar = |number: usize, _: &Multiaddr| if number == 0 { Verdict::Unreachable } else { Verdict::Reachable };
        world.round(liar);
        world.round(liar);
        assert!(world.is_serving());
        world.round(liar);
        assert!(world.is_serving());
    }

    #[test]
    fn the_only_super_peer_is_believed_and_two_at_one_address_are_one() {
        let mut world = World::new(1);
        let twin = NodeAddresses { node: PeerId::random(), ..world.servers[0].clone() };
        world.servers.push(twin);
        world.candidates(&[QUIC]);
        assert_eq!(world.round(|_, _| Verdict::Reachable).len(), 1);
        world.all(Verdict::Reachable);
        assert!(world.is_serving());
    }

    #[test]
    fn the_dead_are_not_waited_for_for_ever() {
        let mut world = World::new(2);
        world.candidates(&[QUIC]);
        let one_dead = |number: usize, _: &Multiaddr| if number == 0 { Verdict::NoAnswer } else { Verdict::Reachable };
        let mut rounds = 0;
        while !world.is_serving() {
            world.round(one_dead);
            rounds += 1;
            assert!(rounds < 6, "two rounds to give one up, two to be sure");
        }
        assert!(rounds >= 4 && world.minutes() >= 10);
    }

    #[test]
    fn who_never_answers_ends_the_round_by_its_deadline() {
        let mut world = World::new(2);
        world.candidates(&[QUIC]);
        let (due, _) = world.core.poll_timeout().unwrap();
        world.now = due;
        assert_eq!(world.core.poll_asks(&world.servers, due).len(), 2);
        assert_eq!(world.core.poll_timeout().unwrap().0, due + ROUND);
        world.core.handle_timeout(due + ROUND);
        assert!(world.core.poll_timeout().unwrap().0 > due + ROUND);
        world.core.heard(world.servers[0].node, &address(QUIC), Verdict::Reachable, due + ROUND);
        assert!(!world.is_serving(), "too late");
    }

    #[test]
    fn three_rounds_without_anybody_end_the_service_within_minutes() {
        let mut world = World::promoted(3);
        world.all(Verdict::Unreachable);
        let first = world.now;
        assert!(world.is_serving(), "once may be an accident");
        world.all(Verdict::Unreachable);
        assert!(world.is_serving());
        world.all(Verdict::Unreachable);
        assert!(!world.is_serving());
        assert_eq!(world.now - first, Duration::from_secs(2 * 60));
        assert_eq!(world.core.reason(), "others cannot reach this machine any more");
        let (due, _) = world.core.poll_timeout().unwrap();
        assert!(due - world.now >= Duration::from_secs(15 * 60));
    }

    #[test]
    fn silence_of_super_peers_is_no_reason_to_stop() {
        let mut world = World::promoted(3);
        for _ in 0..20 {
            world.all(Verdict::NoAnswer);
        }
        assert!(world.is_serving());
    }

    #[test]
    fn who_flaps_must_hold_ever_longer() {
        let mut world = World::new(3);
        world.candidates(&[QUIC]);
        let mut held = vec![];
        for _ in 0..6 {
            world.all(Verdict::Reachable);
            let since = world.now;
            while !world.is_serving() {
                world.all(Verdict::Reachable);
            }
            held.push((world.now - since).as_secs() / 60);
            while world.is_serving() {
                world.all(Verdict::Unreachable);
            }
        }
        assert_eq!(held, [10, 20, 40, 80, 160, 160]);
    }

    #[test]
    fn a_long_service_forgives() {
        let mut world = World::promoted(3);
        let serve = |world: &mut World| {
            while !world.is_serving() {
                world.all(Verdict::Reachable);
            }
        };
        let fail = |world: &mut World| {
            while world.is_serving() {
                world.all(Verdict::Unreachable);
            }
        };
        fail(&mut world);
        serve(&mut world);
        for _ in 0..12 {
            world.all(Verdict::Reachable);
        }
        fail(&mut world);
        world.all(Verdict::Reachable);
        let since = world.now;
        serve(&mut world);
        assert_eq!(world.now - since, PACE.steady * 2, "the second failure counts as the first");
    }

    #[test]
    fn a_lost_address_ends_the_service_at_once_and_a_new_one_is_asked_about_soon() {
        let mut world = World::promoted(3);
        world.candidates(&[TCP]);
        assert!(!world.is_serving());
        assert_eq!(world.core.reason(), "the address at which others reached this machine is gone");
        world.candidates(&[]);
        assert_eq!(world.core.poll_timeout(), None);
        world.candidates(&["/ip4/9.2.2.2/udp/5000/quic-v1"]);
        assert_eq!(world.core.poll_timeout().unwrap().0 - world.now, Duration::from_secs(30));
        let before = world.now;
        world.all(Verdict::Reachable);
        world.all(Verdict::Reachable);
        assert!(world.is_serving());
        assert!(world.now - before >= PACE.steady);
    }

    #[test]
    fn another_network_ends_the_service_and_a_mere_change_asks_again() {
        let mut world = World::promoted(3);
        world.core.network_changed(false, world.now);
        assert!(world.is_serving());
        assert_eq!(world.core.poll_timeout().unwrap().0 - world.now, Duration::from_secs(30));
        world.core.network_changed(true, world.now);
        assert!(!world.is_serving());
        assert_eq!(world.core.reason(), "this machine has changed networks");
        world.all(Verdict::Reachable);
        assert!(!world.is_serving(), "ten minutes again");
        world.all(Verdict::Reachable);
        assert!(world.is_serving());
    }

    #[test]
    fn answers_that_nobody_asked_for_count_nothing() {
        let mut world = World::new(3);
        world.candidates(&[QUIC]);
        let stranger = PeerId::random();
        world.core.heard(stranger, &address(QUIC), Verdict::Reachable, world.now);
        let (due, _) = world.core.poll_timeout().unwrap();
        let asks = world.core.poll_asks(&world.servers, due);
        for _ in 0..5 {
            world.core.heard(stranger, &address(QUIC), Verdict::Reachable, due);
            world.core.heard(asks[0].server.node, &address(QUIC), Verdict::Reachable, due);
            world.core.heard(asks[0].server.node, &address(TCP), Verdict::Reachable, due);
        }
        assert!(matches!(world.core.state, State::Trying), "{:?}", world.core.state);
    }

    proptest::proptest! {
        /// Whatever happens: what is served was a candidate, one round is open at a time, and nothing is forgotten.
        #[test]
        fn any_history_keeps_to_the_rules(steps in proptest::collection::vec((0u8..6, 0u8..4, 0u64..2000), 0..200)) {
            let mut world = World::new(4);
            let pool = [QUIC, TCP, "/ip6/2a00::1/udp/1/quic-v1", "/ip4/9.3.3.3/udp/1/quic-v1"];
            for (step, which, wait_s) in steps {
                match step {
                    0 => world.candidates(&pool[..usize::from(which)]),
                    1 => world.core.network_changed(which == 0, world.now),
                    2 => { world.now += Duration::from_secs(wait_s); world.core.handle_timeout(world.now); }
                    _ => {
                        let verdict = [Verdict::Reachable, Verdict::Unreachable, Verdict::NoAnswer][usize::from(step) - 3];
                        if world.core.poll_timeout().is_some() {
                            world.round(|number, _| if number == usize::from(which) { Verdict::NoAnswer } else { verdict });
                        }
                    }
                }
                proptest::prop_assert!(world.core.serving().iter().all(|address| world.core.candidates.contains(address)));
                proptest::prop_assert!(!world.is_serving() || world.core.is_reachable());
                proptest::prop_assert_eq!(world.core.candidates.is_empty(), world.core.poll_timeout().is_none());
            }
        }
    }
}
