//! NAT behaviour discovery (RFC 5780) over one address family, without sockets and clocks.
//!
//! ```text
//!   Asking ── somebody answered, and the others had their chance ──▶ Probing ── every test has ended ──▶ Done
//!      └───────────────────────── nobody answered ─────────────────────────────────────────────────────▶┘
//! ```
//! All tests of the second stage run at once, each on a socket that is fresh for it (RFC 5780 §4.1, §4.5):
//!
//! | socket | talks to | tells |
//! |---|---|---|
//! | [`MAPPING`] | every server, and the other addresses of one | mapping (§4.3) |
//! | [`FILTERING`] | one server's first address only | filtering (§4.4): who else gets in? |
//! | [`HAIRPIN`] | that server, then [`MAPPING`] at its public address, which sends too | hairpinning (§3.4) |
//! | [`LIFETIMES`] and on | that server, once; then they wait | mapping lifetime (§4.6) |
//!
//! A server with one address still tells how it sees us; then two servers together tell the mapping, and the filtering
//! stays unknown.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::client::{Client, Outcome, Question, Retransmission, Transmit};
use super::report::{Filtering, Mapping, MappingLifetime, Seen, classify_mapping};
use super::stun::{self, Binding, Wishes};

/// Index of the socket for each test.
pub const MAPPING: usize = 0;
pub const FILTERING: usize = 1;
pub const HAIRPIN: usize = 2;
pub const LIFETIMES: usize = 3;

/// Servers that are asked; more would tell nothing new.
pub const MAX_SERVERS: usize = 4;
/// Idle times that are tried.
pub const MAX_LIFETIMES: usize = 8;

/// What a discovery starts with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// At most [`MAX_SERVERS`] are asked, all of one address family.
    pub servers: Vec<SocketAddr>,
    /// Our own addresses, socket by socket: three, and one for each of `lifetimes`.
    pub sockets: Vec<SocketAddr>,
    /// Idle times after which a mapping is looked for, ascending; at most [`MAX_LIFETIMES`]. Empty: not tried.
    pub lifetimes: Vec<Duration>,
    pub timing: Timing,
    /// Unpredictable: transaction ids are made from it.
    pub seed: [u8; 32],
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Of the first question to every server.
    pub first: Retransmission,
    /// Of tests whose silence is an answer: fewer repetitions, since they are always waited for.
    pub test: Retransmission,
    /// For the other servers, after the first has answered.
    pub stragglers: Duration,
}

impl Default for Timing {
    /// Servers have 4.5 s, tests 2.5 s: three packets, of which a line with 10 % loss each way loses all in 1 of 150.
    fn default() -> Self {
        let rto = Duration::from_millis(500);
        Self {
            first: Retransmission { rto, sends: 4, patience: 2 },
            test: Retransmission { rto, sends: 3, patience: 2 },
            stragglers: Duration::from_millis(500),
        }
    }
}

/// A running discovery.
#[derive(Debug)]
pub struct Discovery {
    setup: Setup,
    client: Client,
    made_ids: u64,
    purposes: BTreeMap<[u8; 12], Purpose>,
    /// Responses to our own requests; as few as those.
    replies: VecDeque<Transmit>,
    stage: Stage,
    answers: Answers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `until`: when the others have had their chance; `None` before the first answer.
    Asking {
        until: Option<Instant>,
    },
    Probing {
        server: SocketAddr,
    },
    Done,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// How does this server see us?
    Look,
    /// How does another address of the server see the same socket?
    LookElsewhere,
    /// The way of the filtering tests is clear at all.
    FilteringWay,
    /// Does another IP address and port get in?
    OtherAddress,
    /// Does another port of the same IP address get in?
    OtherPort,
    /// How the hairpin socket is seen.
    HairpinLook,
    /// From one of our public addresses to another.
    Hairpin,
    /// Makes the mapping of this lifetime socket.
    LifetimeOpen(usize),
    /// Is it still there?
    LifetimeProbe(usize),
}

#[derive(Debug, Default)]
struct Answers {
    /// Servers that answered: whom we asked, how we were seen, where else it answers.
    servers: Vec<(SocketAddr, Binding)>,
    /// All that was seen of [`MAPPING`]: asked whom, seen where.
    seen: Vec<(SocketAddr, SocketAddr)>,
    filtering_way: Option<bool>,
    other_address: Option<bool>,
    other_port: Option<bool>,
    hairpin: Option<bool>,
    lifetimes: BTreeMap<usize, Idle>,
}

/// A mapping that is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Idle {
    Since { opened: Instant, public: SocketAddr },
    Probed,
    Alive(bool),
}

impl Discovery {
    /// Begins to ask.
    pub fn new(mut setup: Setup, now: Instant) -> Self {
        setup.servers.truncate(MAX_SERVERS);
        setup.lifetimes.truncate(MAX_LIFETIMES.min(setup.sockets.len().saturating_sub(LIFETIMES)));
        let mut discovery = Self {
            client: Client::new(),
            made_ids: 0,
            purposes: BTreeMap::new(),
            replies: VecDeque::new(),
            stage: Stage::Asking { until: None },
            answers: Answers::default(),
            setup,
        };
        for server in discovery.setup.servers.clone() {
            discovery.ask(Purpose::Look, to(MAPPING, server), now);
        }
        discovery.advance(now);
        discovery
    }

    /// Takes a datagram that came to the socket of this index.
    pub fn handle_input(&mut self, socket: usize, from: SocketAddr, datagram: &[u8], now: Instant) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if stun::is_request(datagram) {
            self.answer_ourselves(socket, from, datagram);
        } else if self.client.handle_input(socket, from, datagram) {
            self.advance(now);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        self.advance(now);
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.replies.pop_front().or_else(|| self.client.poll_transmit())
    }

    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let stage = match self.stage {
            Stage::Asking { until } => until.map(|until| (until, "the other servers had their chance")),
            Stage::Probing { .. } => self.next_lifetime().map(|(at, _)| (at, "look for an idle mapping")),
            Stage::Done => None,
        };
        [self.client.poll_timeout(), stage].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// What is known so far; `None` when no server has answered.
    pub fn seen(&self) -> Option<Seen> {
        let (_, first) = self.answers.servers.first()?;
        let local = *self.setup.sockets.get(MAPPING)?;
        // A machine whose own address is seen has no NAT to do any mapping.
        let is_untranslated = self.answers.seen.iter().all(|(_, seen)| *seen == local);
        let mapping =
            if is_untranslated { Some(Mapping::EndpointIndependent) } else { classify_mapping(&self.answers.seen) };
        Some(Seen {
            local,
            public: first.mapped,
            mapping,
            filtering: self.filtering(),
            hairpin: self.answers.hairpin,
            mapping_lifetime: self.mapping_lifetime(),
        })
    }

    /// RFC 5780 §4.4. Silence tells something only where an ordinary response does come through.
    fn filtering(&self) -> Option<Filtering> {
        if self.answers.filtering_way != Some(true) {
            return None;
        }
        match (self.answers.other_address, self.answers.other_port) {
            (Some(true), _) => Some(Filtering::EndpointIndependent),
            (_, Some(true)) => Some(Filtering::AddressDependent),
            (_, Some(false)) => Some(Filtering::AddressAndPortDependent),
            (_, None) => None,
        }
    }

    fn mapping_lifetime(&self) -> Option<MappingLifetime> {
        let tried = || {
            self.setup.lifetimes.iter().enumerate().filter_map(|(index, idle)| {
                match self.answers.lifetimes.get(&index) {
                    Some(Idle::Alive(alive)) => Some((*idle, *alive)),
                    Some(Idle::Since { .. } | Idle::Probed) | None => None,
                }
            })
        };
        let gone_after = tried().find(|(_, alive)| !alive).map(|(idle, _)| idle);
        let survived = tried().filter(|(idle, alive)| *alive && gone_after.is_none_or(|gone| *idle < gone));
        let at_least = survived.map(|(idle, _)| idle).max();
        (at_least.is_some() || gone_after.is_some())
            .then(|| MappingLifetime { at_least: at_least.unwrap_or_default(), gone_after })
    }
}

// The course of events.
impl Discovery {
    /// Takes what the transactions brought, and enters the next stage when it is time.
    fn advance(&mut self, now: Instant) {
        while let Some((transaction, outcome)) = self.client.poll_finished() {
            if let Some(purpose) = self.purposes.remove(&transaction) {
                self.learn(purpose, outcome, now);
            }
        }
        self.probe_lifetimes(now);
        match self.stage {
            Stage::Asking { until } => {
                let all_heard = self.purposes.is_empty();
                let late = until.is_some_and(|until| until <= now);
                if self.answers.servers.is_empty() {
                    if all_heard {
                        self.stage = Stage::Done;
                    }
                } else if all_heard || late {
                    self.begin_tests(now);
                } else if until.is_none() {
                    self.stage = Stage::Asking { until: Some(now + self.setup.timing.stragglers) };
                }
            }
            Stage::Probing { .. } => {
                let late_servers = |purpose: &Purpose| *purpose == Purpose::Look;
                if self.next_lifetime().is_none() && self.purposes.values().all(late_servers) {
                    self.stage = Stage::Done;
                }
            }
            Stage::Done => {}
        }
    }

    fn learn(&mut self, purpose: Purpose, outcome: Outcome, now: Instant) {
        let (answered, socket, refused) = match outcome {
            Outcome::Answered { socket, from, binding } => (Some((from, binding)), Some(socket), false),
            Outcome::Refused(_) => (None, None, true),
            Outcome::Silence => (None, None, false),
        };
        let from = answered.map(|(from, _)| from);
        match purpose {
            Purpose::Look => {
                if let Some((server, binding)) = answered {
                    self.answers.servers.push((server, binding));
                    self.answers.seen.push((server, binding.mapped));
                }
            }
            Purpose::LookElsewhere => {
                self.answers.seen.extend(answered.map(|(asked, binding)| (asked, binding.mapped)));
            }
            Purpose::FilteringWay => self.answers.filtering_way = Some(answered.is_some()),
            Purpose::OtherAddress => {
                let is_other = |from: SocketAddr, server: SocketAddr| from.ip() != server.ip();
                self.answers.other_address = self.got_in(from, refused, is_other);
            }
            Purpose::OtherPort => {
                let is_other = |from: SocketAddr, server: SocketAddr| from.port() != server.port();
                self.answers.other_port = self.got_in(from, refused, is_other);
            }
            Purpose::HairpinLook => {
                if let Some((_, binding)) = answered {
                    self.begin_hairpin(binding.mapped, now);
                }
            }
            Purpose::Hairpin => {
                let known = self.answers.hairpin.unwrap_or(false);
                self.answers.hairpin = Some(known || answered.is_some());
            }
            Purpose::LifetimeOpen(index) => {
                if let Some((_, binding)) = answered {
                    self.answers.lifetimes.insert(index, Idle::Since { opened: now, public: binding.mapped });
                }
            }
            Purpose::LifetimeProbe(index) => {
                // A server that answers where it was asked does not know the wish, and tells nothing.
                if !refused && socket != Some(HAIRPIN) {
                    self.answers.lifetimes.insert(index, Idle::Alive(answered.is_some()));
                }
            }
        }
    }

    /// Whether a response from another address got in. `None`: the server refuses to change its address, or answers from
    /// the same one as ever, and so tells nothing about the filter.
    fn got_in(
        &self,
        from: Option<SocketAddr>,
        refused: bool,
        is_elsewhere: impl Fn(SocketAddr, SocketAddr) -> bool,
    ) -> Option<bool> {
        let Stage::Probing { server } = self.stage else { return None };
        match from {
            Some(from) => is_elsewhere(from, server).then_some(true),
            None => (!refused).then_some(false),
        }
    }

    /// All tests at once, with the server that can do most.
    fn begin_tests(&mut self, now: Instant) {
        let other_of =
            |(server, binding): &(SocketAddr, Binding)| binding.other.filter(|other| is_credible(*server, *other));
        let skill = |entry: &(SocketAddr, Binding)| match other_of(entry) {
            Some(other) if other.ip() != entry.0.ip() && other.port() != entry.0.port() => 2,
            Some(other) if other.ip() == entry.0.ip() && other.port() != entry.0.port() => 1,
            Some(_) | None => 0,
        };
        let ranked = self.answers.servers.iter().copied().map(|entry| (skill(&entry), entry));
        // Of equals the first that answered.
        let Some((skill, entry)) = ranked.rev().max_by_key(|(skill, _)| *skill) else { return };
        let (server, Binding { mapped, .. }) = entry;
        self.stage = Stage::Probing { server };

        self.ask(Purpose::FilteringWay, to(FILTERING, server), now);
        if let Some(other) = other_of(&entry).filter(|_| skill > 0) {
            let change_port = Wishes { change_port: true, ..Wishes::default() };
            self.ask(Purpose::OtherPort, Question { wishes: change_port, ..to(FILTERING, server) }, now);
            self.ask(Purpose::LookElsewhere, to(MAPPING, other), now);
            if skill > 1 {
                let change_both = Wishes { change_ip: true, change_port: true, response_port: None };
                self.ask(Purpose::OtherAddress, Question { wishes: change_both, ..to(FILTERING, server) }, now);
                let other_ip_only = SocketAddr::new(other.ip(), server.port());
                self.ask(Purpose::LookElsewhere, to(MAPPING, other_ip_only), now);
            }
        }
        if self.setup.sockets.get(MAPPING).is_some_and(|local| local.ip() != mapped.ip()) {
            self.ask(Purpose::HairpinLook, to(HAIRPIN, server), now);
        }
        for index in 0..self.setup.lifetimes.len() {
            self.ask(Purpose::LifetimeOpen(index), to(LIFETIMES + index, server), now);
        }
    }

    /// Both sockets send to the other's public address, as two peers behind one NAT would.
    fn begin_hairpin(&mut self, hairpin: SocketAddr, now: Instant) {
        let Some((_, Binding { mapped, .. })) = self.answers.servers.first().copied() else { return };
        self.ask(Purpose::Hairpin, to(MAPPING, hairpin), now);
        self.ask(Purpose::Hairpin, to(HAIRPIN, mapped), now);
    }

    /// Our own request came back to another of our sockets: a peer would answer it. Nobody else is served here.
    fn answer_ourselves(&mut self, socket: usize, from: SocketAddr, request: &[u8]) {
        let ours = stun::transaction_id(request).filter(|id| self.purposes.get(&id.0) == Some(&Purpose::Hairpin));
        if let Some(payload) = ours.and_then(|_| stun::answer(request, from)) {
            self.replies.push_back(Transmit { socket, to: from, payload });
        }
    }

    /// The next idle mapping to look for, and when.
    fn next_lifetime(&self) -> Option<(Instant, usize)> {
        let due = self.setup.lifetimes.iter().enumerate().filter_map(|(index, idle)| {
            match self.answers.lifetimes.get(&index) {
                Some(Idle::Since { opened, .. }) => Some((*opened + *idle, index)),
                Some(Idle::Probed | Idle::Alive(_)) | None => None,
            }
        });
        due.min()
    }

    /// Another socket asks the server to answer to the port of the idle one (RFC 5780 §4.6).
    fn probe_lifetimes(&mut self, now: Instant) {
        let Stage::Probing { server } = self.stage else { return };
        while let Some((due, index)) = self.next_lifetime() {
            if due > now {
                return;
            }
            let Some(Idle::Since { public, .. }) = self.answers.lifetimes.insert(index, Idle::Probed) else { return };
            let wishes = Wishes { response_port: Some(public.port()), ..Wishes::default() };
            let question = Question { wishes, answered_on: LIFETIMES + index, ..to(HAIRPIN, server) };
            self.ask(Purpose::LifetimeProbe(index), question, now);
        }
    }

    fn ask(&mut self, purpose: Purpose, question: Question, now: Instant) {
        let Timing { first, test, .. } = self.setup.timing;
        let retransmission = if purpose == Purpose::Look { first } else { test };
        let mut hash = Sha256::new();
        hash.update(self.setup.seed);
        hash.update(self.made_ids.to_be_bytes());
        self.made_ids += 1;
        let hash = hash.finalize();
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&hash[..12]);
        if self.client.ask(transaction, Question { retransmission, ..question }, now).is_ok() {
            self.purposes.insert(transaction, purpose);
        }
    }
}

/// An ordinary question.
fn to(socket: usize, server: SocketAddr) -> Question {
    let retransmission = Retransmission::default();
    Question { socket, to: server, wishes: Wishes::default(), answered_on: socket, retransmission }
}

/// A server names its other address as it likes; we do not let one in the internet point us into our own network.
fn is_credible(server: SocketAddr, other: SocketAddr) -> bool {
    server.is_ipv4() == other.is_ipv4() && is_internal(server.ip()) == is_internal(other.ip())
}

/// Loopback, private, carrier-NAT and link-local ranges (RFC 6890).
fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
