//! Our candidates (RFC 8445 §5.1.1): host addresses at once, then what the STUN and TURN servers say; and the relays
//! that stand behind the relayed ones.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::api::{CandidateKind, LinkError};
use super::candidate::LocalCandidate;
use super::config::{LinkConfig, TurnServer};
use super::relay::{Relay, RelayEvent};

/// Most of our own candidates; every one multiplies the peer's checks.
const MAX_CANDIDATES: usize = 24;
/// Of those, kept for relayed ones, which come last and are the only sure ones.
const MIN_RELAYED: usize = 8;
/// Servers of each kind that are asked; more would only delay the end of gathering.
const MAX_SERVERS: usize = 4;
/// Relays are asked over TCP when none has answered over UDP for this long: a few round trips.
const UDP_PATIENCE: Duration = Duration::from_millis(600);
/// The same for a super-peer that was reached over TCP alone.
const SHORT_UDP_PATIENCE: Duration = Duration::from_millis(150);
/// TCP streams to relays, for each start of ICE.
const MAX_STREAMS: usize = 2;

#[derive(Debug)]
pub(super) enum GatherEvent {
    Candidate(LocalCandidate),
    /// A peer's datagram that came through the allocation `relayed`.
    Data {
        relayed: SocketAddr,
        peer: SocketAddr,
        payload: BytesMut,
    },
    Unusable {
        server: SocketAddr,
        why: String,
    },
}

/// A datagram for the socket of this index, or a message for the stream of it: streams are opened by their first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transmit {
    pub socket: usize,
    pub to: SocketAddr,
    pub payload: BytesMut,
}

pub(super) struct Gatherer {
    /// Local addresses of our sockets, best first.
    bases: Vec<SocketAddr>,
    relays: Vec<Relay>,
    candidates: Vec<LocalCandidate>,
    /// STUN servers and relays that are ours whatever super-peers offer.
    stun: Vec<SocketAddr>,
    turn: Vec<TurnServer>,
    relay_only: bool,
    /// More servers will be added.
    expects_relays: bool,
    /// Relays that also listen on TCP, and when to try that; by time.
    fallbacks: VecDeque<(Instant, TurnServer)>,
    streams: usize,
    /// So many may be opened.
    most_streams: usize,
    events: VecDeque<GatherEvent>,
}

impl Gatherer {
    /// Host candidates are known at once; every server is asked from every socket that can reach it.
    pub fn new(config: &LinkConfig, bases: Vec<SocketAddr>, now: Instant) -> Result<Self, LinkError> {
        let (relay_only, expects_relays) = (config.relay_only, config.expects_relays);
        let (relays, candidates) = (Vec::new(), Vec::new());
        let mut gatherer = Self {
            bases,
            relays,
            candidates,
            stun: config.stun.clone(),
            turn: config.turn.clone(),
            relay_only,
            expects_relays,
            fallbacks: VecDeque::new(),
            streams: 0,
            most_streams: MAX_STREAMS,
            events: VecDeque::new(),
        };
        gatherer.ask_all(now)?;
        Ok(gatherer)
    }

    /// Finds all candidates anew on the same sockets, for a path that failed although this machine is where it was.
    /// Allocations that stand by serve again, but for the one of this address, through which nothing came any more.
    pub fn restart(
        &mut self,
        dead: Option<SocketAddr>,
        expects_relays: bool,
        now: Instant,
    ) -> Result<Vec<Transmit>, LinkError> {
        let mut last_words = Vec::new();
        self.relays.retain_mut(|relay| {
            let kept = relay.relayed.is_some() && relay.relayed != dead;
            if !kept {
                relay.release(now);
                last_words.extend(transmits_of(relay));
            }
            kept
        });
        self.candidates.clear();
        self.fallbacks.clear();
        self.expects_relays = expects_relays;
        self.most_streams = self.streams + MAX_STREAMS;
        let standing_by: Vec<_> = self.relays.iter().map(|relay| (relay.server, relay.relayed, relay.base)).collect();
        for (server, relayed, base) in standing_by {
            self.ask_stun(server, now)?;
            if let Some(relayed) = relayed {
                self.found(CandidateKind::Relayed, relayed, base);
            }
        }
        self.ask_all(now)?;
        Ok(last_words)
    }

    /// Asks the servers that we know from the start, and announces what needs no server.
    fn ask_all(&mut self, now: Instant) -> Result<(), LinkError> {
        for server in self.stun.clone() {
            self.ask_stun(server, now)?;
        }
        for server in self.turn.clone() {
            self.ask_turn(&server, now)?;
        }
        for base in self.bases.clone() {
            self.found(CandidateKind::Host, base, base);
        }
        Ok(())
    }

    /// One more server, for both its services; it listens on TCP, too. One that is known to be reached that way already
    /// was probably not reached over UDP, so it is not waited for long.
    pub fn add_relay(&mut self, server: &TurnServer, now: Instant) -> Result<(), LinkError> {
        if self.fallbacks.len() < MAX_SERVERS {
            let patience = if server.tcp.is_some() { SHORT_UDP_PATIENCE } else { UDP_PATIENCE };
            let due = now + patience;
            let later = self.fallbacks.partition_point(|(other, _)| *other <= due);
            let address = server.tcp.unwrap_or(server.address);
            self.fallbacks.insert(later, (due, TurnServer { address, ..server.clone() }));
        }
        self.ask_stun(server.address, now)?;
        self.ask_turn(server, now)
    }

    /// No server will be added any more.
    pub fn no_more_relays(&mut self) {
        self.expects_relays = false;
    }

    /// What the server sees of us would be a candidate that `relay_only` forbids.
    pub fn ask_stun(&mut self, server: SocketAddr, now: Instant) -> Result<(), LinkError> {
        if self.relay_only {
            return Ok(());
        }
        for (socket, base) in self.bases_for(server, false) {
            self.relays.push(Relay::stun(socket, base, server, now)?);
        }
        Ok(())
    }

    fn ask_turn(&mut self, server: &TurnServer, now: Instant) -> Result<(), LinkError> {
        for (socket, base) in self.bases_for(server.address, true) {
            self.relays.push(Relay::turn(socket, base, server, now)?);
        }
        Ok(())
    }

    /// Turns to TCP where UDP gets no answer. The indices of streams follow those of the sockets.
    fn fall_back(&mut self, now: Instant) {
        while let Some((_, server)) = self.fallbacks.pop_front_if(|(due, _)| *due <= now) {
            let base = self.bases.iter().copied().find(|base| can_reach(base.ip(), server.address.ip()));
            let Some(base) =
                base.filter(|_| self.streams < self.most_streams && !self.relays.iter().any(|relay| relay.heard))
            else {
                continue;
            };
            if let Ok(relay) = Relay::turn(self.bases.len() + self.streams, base, &server, now) {
                self.streams += 1;
                self.relays.push(relay);
            }
        }
    }

    /// The sockets from which this server is to be asked: those that can reach it, have not asked it yet, and have not
    /// asked too many.
    fn bases_for(&self, server: SocketAddr, turn: bool) -> Vec<(usize, SocketAddr)> {
        let asks = |socket: usize| {
            let mut asked = self.relays.iter().filter(|relay| relay.socket == socket && relay.is_turn == turn);
            let count = asked.clone().count();
            count < MAX_SERVERS && asked.all(|relay| relay.server != server)
        };
        let bases = self.bases.iter().copied().enumerate();
        bases.filter(|(socket, base)| can_reach(base.ip(), server.ip()) && asks(*socket)).collect()
    }

    /// Index of the socket with this local address.
    pub fn socket_of(&self, base: SocketAddr) -> Option<usize> {
        self.bases.iter().position(|candidate| *candidate == base)
    }

    pub fn base(&self, socket: usize) -> Option<SocketAddr> {
        self.bases.get(socket).copied()
    }

    /// Indices of the sockets that can reach this address.
    pub fn sockets_towards(&self, to: SocketAddr) -> impl Iterator<Item = usize> {
        let bases = self.bases.iter().enumerate();
        bases.filter(move |(_, base)| can_reach(base.ip(), to.ip())).map(|(socket, _)| socket)
    }

    /// Whether a loopback address of a peer could be reached at all.
    pub fn on_loopback(&self) -> bool {
        self.bases.iter().any(|base| base.ip().is_loopback())
    }

    /// Takes a datagram that belongs to a server conversation; gives back one that does not.
    pub fn handle_datagram(
        &mut self,
        socket: usize,
        from: SocketAddr,
        datagram: BytesMut,
        now: Instant,
    ) -> Option<BytesMut> {
        match self.relays.iter_mut().find(|relay| relay.claims(socket, from, &datagram)) {
            Some(relay) => relay.handle_datagram(datagram, now),
            None => return Some(datagram),
        }
        self.collect();
        None
    }

    /// Sends to a peer through the allocation `relayed`; false when we hold none of that address.
    pub fn send_relayed(&mut self, relayed: SocketAddr, peer: SocketAddr, payload: &[u8], now: Instant) -> bool {
        let Some(relay) = self.relays.iter_mut().find(|relay| relay.relayed == Some(relayed)) else { return false };
        relay.send_to(peer, payload, now);
        true
    }

    /// The server that holds the allocation `relayed`, and how it is talked to.
    pub fn server_of(&self, relayed: SocketAddr) -> Option<(SocketAddr, &'static str)> {
        let relay = self.relays.iter().find(|relay| relay.relayed == Some(relayed))?;
        Some((relay.server, if relay.socket < self.bases.len() { "udp" } else { "tcp" }))
    }

    /// Every server has answered or was given up.
    pub fn is_complete(&self) -> bool {
        !self.expects_relays && self.relays.iter().all(Relay::is_settled)
    }

    /// The path is chosen and will not change: nothing needs to be kept fresh any more.
    pub fn stop_keepalives(&mut self) {
        self.relays.iter_mut().for_each(Relay::stop_keepalive);
        self.fallbacks.clear();
    }

    /// Gives back every allocation but those of these addresses (RFC 8445 §8.3: candidates not selected are freed).
    pub fn release_all_but(&mut self, keep: &[SocketAddr], now: Instant) -> Vec<Transmit> {
        let mut last_words = Vec::new();
        self.relays.retain_mut(|relay| {
            let kept = relay.relayed.is_some_and(|relayed| keep.contains(&relayed));
            if !kept {
                relay.release(now);
                last_words.extend(transmits_of(relay));
            }
            kept
        });
        last_words
    }

    /// An allocation on none of these machines: what a relayed path falls back to when its relay dies.
    pub fn standby(&self, in_use: &[IpAddr]) -> Option<SocketAddr> {
        let elsewhere = |relay: &&Relay| !in_use.contains(&relay.server.ip());
        self.relays.iter().filter(elsewhere).find_map(|relay| relay.relayed)
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.relays.iter_mut().for_each(|relay| relay.handle_timeout(now));
        self.fall_back(now);
        self.collect();
    }

    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let fallback = self.fallbacks.front().map(|(due, _)| *due);
        self.relays.iter_mut().filter_map(Relay::poll_timeout).chain(fallback).min()
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.relays.iter_mut().find_map(|relay| transmits_of(relay).next())
    }

    pub fn poll_event(&mut self) -> Option<GatherEvent> {
        self.events.pop_front()
    }

    fn collect(&mut self) {
        for index in 0..self.relays.len() {
            while let Some(event) = self.relays[index].poll_event() {
                let relay = &self.relays[index];
                let (base, server, relayed) = (relay.base, relay.server, relay.relayed);
                match (event, relayed) {
                    (RelayEvent::Mapped(mapped), _) => self.found(CandidateKind::ServerReflexive, mapped, base),
                    (RelayEvent::Allocated(relayed), _) => self.found(CandidateKind::Relayed, relayed, base),
                    (RelayEvent::Data { peer, payload }, Some(relayed)) => {
                        self.events.push_back(GatherEvent::Data { relayed, peer, payload });
                    }
                    (RelayEvent::Data { .. }, None) => {}
                    (RelayEvent::Unusable(why), _) => self.events.push_back(GatherEvent::Unusable { server, why }),
                }
            }
        }
    }

    /// Announces a candidate unless it says nothing new.
    fn found(&mut self, kind: CandidateKind, address: SocketAddr, base: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let is_known = self.candidates.iter().any(|known| known.address == address && known.base == base);
        let is_secret = self.relay_only && kind != CandidateKind::Relayed;
        let most = if kind == CandidateKind::Relayed { MAX_CANDIDATES } else { MAX_CANDIDATES - MIN_RELAYED };
        if is_known || is_secret || self.candidates.len() >= most {
            return;
        }
        let rank = self.socket_of(base).and_then(|socket| u8::try_from(socket).ok()).unwrap_or(u8::MAX);
        let candidate = LocalCandidate { kind, address, base, rank };
        self.candidates.push(candidate);
        self.events.push_back(GatherEvent::Candidate(candidate));
    }
}

fn transmits_of(relay: &mut Relay) -> impl Iterator<Item = Transmit> {
    std::iter::from_fn(|| {
        let payload = relay.poll_transmit()?;
        Some(Transmit { socket: relay.socket, to: relay.server, payload })
    })
}

/// Loopback sockets reach loopback only: that is what keeps an isolated process isolated.
fn can_reach(base: IpAddr, server: IpAddr) -> bool {
    base.is_ipv4() == server.is_ipv4() && (!base.is_loopback() || server.is_loopback())
}
