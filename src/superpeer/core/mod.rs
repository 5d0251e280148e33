//! The media relay without its sockets: packets and time in, packets and wishes for sockets out.
//!
//! Contract: call a `handle_*` method or [`Core::bound`], then take all of [`Core::poll_output`]; call
//! [`Core::handle_timeout`] when [`Core::poll_timeout`] says so. The queue of outputs holds what one input makes: a few.
//!
//! What passes where:
//!
//! ```text
//!   a client's packet ─┬─ Binding request ──────────────────────────────▶ answered (nat)
//!                      ├─ other request ── rate ── policy ── quota ──┐
//!                      └─ data ── bandwidth ─────────────────────────┤
//!                                                                    ▼
//!                                   the client's own server state (session) ── policy ──▶ its peer
//!   a peer's packet ── bandwidth ────────────────────────────────────┴──────────────────▶ the client
//! ```

mod request;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_server_proto::stun::types::attribute::ErrorCode;
use turn_server_proto::types as turn;

use self::request::{Kind, Request};
use self::session::{Session, Wish};
use super::credentials::{Secret, requester_of};
use super::limits::{Bucket, MAX_PACKET};
use super::policy::Verdict;
use super::{AddressPolicy, Limits};
use crate::base::{RateTable, source_of};
use crate::nat;

pub(super) use self::session::Unbound;

/// RFC 8489 §9.2: what a password is good for.
pub(super) const REALM: &str = "twocans";
/// Expiries need no more precision than this.
const SWEEP: Duration = Duration::from_secs(1);
/// A call whose packets stopped this long ago is not being relayed.
const IN_USE: Duration = Duration::from_secs(5);
/// So much of a second's worth may leave at once: calls send in bursts when their senders' machines were busy.
const LINE_BURST_S: f64 = 0.25;
/// First two bytes of a Send indication (RFC 8656 §18).
const SEND_INDICATION: [u8; 2] = [0, 0x16];

/// A client's transport address, and ours that it talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Client {
    pub transport: Transport,
    pub remote: SocketAddr,
    pub local: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What the shell is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    ToClient {
        client: Client,
        packet: Vec<u8>,
    },
    /// From the allocation's socket.
    ToPeer {
        relayed: SocketAddr,
        peer: SocketAddr,
        payload: Vec<u8>,
    },
    /// Open a UDP socket at this address of ours for an allocation, then call [`Core::bound`].
    Bind {
        client: Client,
        at: IpAddr,
        ipv4: bool,
    },
    Unbind {
        relayed: SocketAddr,
    },
}

/// Counters since the start, and what is held now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    pub allocations: u32,
    /// Calls whose media passes through here at this moment. Two people who both have an allocation here are one call.
    pub calls: u32,
    /// Payload, both directions.
    pub relayed_bytes: u64,
    /// Packets over the bandwidth of their allocation.
    pub dropped_packets: u64,
    /// Packets and requests towards or from an address that the policy refuses.
    pub refused_peers: u64,
    /// Requests over a rate or a quota.
    pub refused_requests: u64,
    /// Packets that were nothing.
    pub junk: u64,
}

pub(super) struct Core {
    policy: AddressPolicy,
    limits: Limits,
    secret: Secret,
    /// Where we serve, best first; allocations are made at the same addresses.
    addresses: Vec<IpAddr>,
    epoch: Instant,
    sessions: BTreeMap<Client, Session>,
    relayed: BTreeMap<SocketAddr, Client>,
    /// Sessions by birth while they have no allocation; entries of those that have moved on are skipped.
    half_open: VecDeque<(Instant, Client)>,
    strangers: RateTable<IpAddr>,
    /// What leaves for all together, bytes.
    line: Bucket,
    sweep_at: Instant,
    totals: Totals,
    outputs: VecDeque<Output>,
}

impl Core {
    pub fn new(policy: AddressPolicy, limits: Limits, secret: Secret, addresses: Vec<IpAddr>, now: Instant) -> Self {
        Self {
            strangers: RateTable::new(limits.strangers_per_address),
            line: Bucket::new(
                f64::from(limits.bits_per_second_in_all) / 8.0 * LINE_BURST_S,
                f64::from(limits.bits_per_second_in_all) / 8.0,
                now,
            ),
            policy,
            limits,
            secret,
            addresses,
            epoch: now,
            sessions: BTreeMap::new(),
            relayed: BTreeMap::new(),
            half_open: VecDeque::new(),
            sweep_at: now,
            totals: Totals::default(),
            outputs: VecDeque::new(),
        }
    }

    /// A whole message of a client: a datagram, or a piece of its TCP stream.
    pub fn handle_client(&mut self, client: Client, packet: &[u8], now: Instant) {
        match packet {
            [..] if packet.len() > MAX_PACKET => self.totals.junk += 1,
            [first, second, ..] if [*first, *second] == SEND_INDICATION => self.handle_data(client, packet, now),
            [0..=3, ..] => self.handle_request(client, packet, now),
            // A channel's number (RFC 5766 §11; RFC 8656 §12 leaves less of them).
            [0x40..=0x7f, ..] => self.handle_data(client, packet, now),
            _ => self.totals.junk += 1,
        }
    }

    /// A datagram at the socket of an allocation.
    pub fn handle_peer(&mut self, relayed: SocketAddr, peer: SocketAddr, payload: &[u8], now: Instant) {
        if self.policy.judge(peer.ip()) != Verdict::Peer {
            self.totals.refused_peers += 1;
            return;
        }
        self.deliver(relayed, peer, payload, now);
    }

    /// The socket that [`Output::Bind`] asked for, or why there is none.
    pub fn bound(&mut self, client: Client, ipv4: bool, outcome: Result<SocketAddr, Unbound>, now: Instant) {
        let server_now = self.server_time(now);
        let Some(session) = self.sessions.get_mut(&client) else {
            // It went while the socket was being made.
            self.outputs.extend(outcome.ok().map(|relayed| Output::Unbind { relayed }));
            return;
        };
        session.bound(ipv4, outcome, server_now);
        if let Some(packet) = session.granted() {
            self.outputs.push_back(Output::ToClient { client, packet });
        }
        if let Ok(relayed) = outcome {
            self.relayed.insert(relayed, client);
        }
        self.collect(client, now);
    }

    /// The client's TCP connection is closed.
    pub fn client_left(&mut self, client: Client) {
        self.forget(client);
    }

    pub fn has_allocation(&self, client: Client) -> bool {
        self.sessions.get(&client).is_some_and(|session| session.relayed.is_some())
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + SWEEP;
        let Limits { half_open_age, allocation_age, silence, .. } = self.limits;
        let is_over = |session: &Session| {
            let age = now.saturating_duration_since(session.born);
            let silent = now.saturating_duration_since(session.heard_at);
            if session.relayed.is_some() { age > allocation_age || silent > silence } else { age > half_open_age }
        };
        let over: Vec<Client> =
            self.sessions.iter().filter(|(_, session)| is_over(session)).map(|(client, _)| *client).collect();
        over.into_iter().for_each(|client| self.forget(client));
        let rest: Vec<Client> = self.relayed.values().copied().collect();
        rest.into_iter().for_each(|client| self.collect(client, now));
        while self.half_open.front().is_some_and(|(born, _)| now.saturating_duration_since(*born) > half_open_age) {
            self.half_open.pop_front();
        }
    }

    /// Nothing is due while nobody is here.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.sessions.is_empty()).then_some(self.sweep_at)
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn totals(&self, now: Instant) -> Totals {
        let recently = |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) < IN_USE);
        let in_use = self.sessions.values().filter(|session| recently(session.up_at) && recently(session.down_at));
        let (internal, through): (Vec<_>, Vec<_>) = in_use.partition(|session| session.is_internal);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Totals {
            allocations: count(self.relayed.len()),
            calls: count(through.len() + internal.len().div_ceil(2)),
            ..self.totals
        }
    }

    fn handle_request(&mut self, client: Client, packet: &[u8], now: Instant) {
        let admitted = match self.sessions.get_mut(&client).filter(|session| session.relayed.is_some()) {
            Some(session) => session.requests.take(1.0, now),
            None => self.strangers.take(&source_of(client.remote.ip()), now),
        };
        if !admitted {
            self.totals.refused_requests += 1;
            return;
        }
        if let Some(packet) = nat::answer(packet, client.remote) {
            self.outputs.push_back(Output::ToClient { client, packet });
            return;
        }
        let (Some(request), Some(transaction)) = (Request::read(packet), nat::transaction_id(packet)) else {
            self.totals.junk += 1;
            return;
        };
        if let Some(packet) = self.sessions.get(&client).and_then(|session| session.repeated(transaction.0)) {
            self.outputs.push_back(Output::ToClient { client, packet });
            return;
        }
        let name = request.username.clone().unwrap_or_default();
        let password = self.secret.password_of(&name);
        let signature = password.as_ref().and_then(|password| request.verify(password));
        if let Some(code) = self.objection(client, &request, signature.is_some(), now) {
            self.totals.refused_requests += 1;
            let answer = request.error(code, signature.as_ref());
            self.outputs.extend(answer.map(|packet| Output::ToClient { client, packet }));
            return;
        }
        let (may_allocate, server_now) = (self.secret.is_current(&name, now), self.server_time(now));
        let session = self.session(client, now);
        if let Some(password) = password.filter(|_| signature.is_some() && (may_allocate || session.owner == name)) {
            session.know(&name, password);
            session.heard_at = now;
            if request.kind == Kind::Allocate && session.relayed.is_none() {
                session.owner = name;
                session.asks(transaction.0);
            }
        }
        let answer = session.receive(packet, client.remote, client.local, server_now);
        if let Some(wish) = answer {
            self.grant(client, wish, now);
        }
        self.collect(client, now);
    }

    /// The error code for what we do not want, whatever the server state would say. `authentic`: the password is right.
    fn objection(&mut self, client: Client, request: &Request<'_>, authentic: bool, now: Instant) -> Option<u16> {
        if !request.peers.iter().all(|peer| self.may_be_peer(client, peer.ip())) {
            self.totals.refused_peers += 1;
            return Some(ErrorCode::FORBIDDEN);
        }
        if !authentic {
            // The server state challenges or refuses it.
            return None;
        }
        let most = self.limits.peers;
        match request.kind {
            Kind::Allocate if request.wants_two_families => Some(ErrorCode::INSUFFICIENT_CAPACITY),
            Kind::Allocate => self.full(client, request.username.as_deref().unwrap_or_default()),
            Kind::Refresh => None,
            Kind::CreatePermission => {
                let session = self.sessions.get_mut(&client)?;
                (!session.takes_permissions(&request.peers, most, now)).then_some(ErrorCode::INSUFFICIENT_CAPACITY)
            }
            Kind::ChannelBind => {
                let session = self.sessions.get_mut(&client)?;
                let peer = request.peers.first()?;
                if !session.takes_permissions(&request.peers, most, now) {
                    return Some(ErrorCode::INSUFFICIENT_CAPACITY);
                }
                (!session.takes_channel(request.channel?, *peer, most, now)).then_some(ErrorCode::BAD_REQUEST)
            }
        }
    }

    /// Which quota a new allocation would exceed.
    fn full(&self, client: Client, username: &str) -> Option<u16> {
        if self.has_allocation(client) {
            // The server state knows the right answer.
            return None;
        }
        let (requester, address) = (requester_of(username), source_of(client.remote.ip()));
        let (mut of_requester, mut of_address) = (0, 0);
        for (other, session) in self.relayed.values().filter_map(|other| Some((other, self.sessions.get(other)?))) {
            of_requester += usize::from(requester_of(&session.owner) == requester);
            of_address += usize::from(source_of(other.remote.ip()) == address);
        }
        let quota_reached =
            of_requester >= self.limits.allocations_per_requester || of_address >= self.limits.allocations_per_address;
        if self.relayed.len() >= self.limits.allocations {
            Some(ErrorCode::INSUFFICIENT_CAPACITY)
        } else {
            quota_reached.then_some(ErrorCode::ALLOCATION_QUOTA_REACHED)
        }
    }

    /// Our own addresses are peers only as far as other allocations stand there.
    fn may_be_peer(&self, client: Client, ip: IpAddr) -> bool {
        match self.policy.judge(ip) {
            Verdict::Peer => true,
            Verdict::Own => {
                let mut others = self.relayed.iter().filter(|(_, other)| **other != client);
                others.any(|(relayed, _)| relayed.ip() == ip.to_canonical())
            }
            Verdict::Refused => false,
        }
    }

    /// Payload for a peer, in a Send indication or on a channel.
    fn handle_data(&mut self, client: Client, packet: &[u8], now: Instant) {
        let server_now = self.server_time(now);
        let Some(session) = self.sessions.get_mut(&client).filter(|session| session.relayed.is_some()) else {
            self.totals.junk += 1;
            return;
        };
        if !session.up.take(packet.len() as f64, now) {
            self.totals.dropped_packets += 1;
            return;
        }
        session.heard_at = now;
        if let Some(wish) = session.receive(packet, client.remote, client.local, server_now) {
            self.grant(client, wish, now);
        }
    }

    /// Payload for a client, if the peer has its permission.
    fn deliver(&mut self, relayed: SocketAddr, peer: SocketAddr, payload: &[u8], now: Instant) {
        let server_now = self.server_time(now);
        let Some(client) = self.relayed.get(&relayed).copied() else { return };
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if payload.len() > MAX_PACKET || !session.permits(peer.ip(), now) {
            self.totals.junk += 1;
            return;
        }
        if !session.down.take(payload.len() as f64, now) || !self.line.take(payload.len() as f64, now) {
            self.totals.dropped_packets += 1;
            return;
        }
        if let Some(Wish::Send { packet, .. }) = session.receive(payload, peer, relayed, server_now) {
            session.down_at = Some(now);
            self.totals.relayed_bytes += payload.len() as u64;
            self.outputs.push_back(Output::ToClient { client, packet });
        }
    }

    /// Whatever waits in a client's server state.
    fn collect(&mut self, client: Client, now: Instant) {
        let server_now = self.server_time(now);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        for wish in session.poll(server_now) {
            self.grant(client, wish, now);
        }
    }

    fn grant(&mut self, client: Client, wish: Wish, now: Instant) {
        match wish {
            Wish::Send { from, packet, .. } if from == client.local => {
                self.outputs.push_back(Output::ToClient { client, packet });
            }
            Wish::Send { from, to, packet } => self.send_to_peer(client, from, to, packet, now),
            Wish::Bind { ipv4 } => match self.address_for(client, ipv4) {
                Some(at) => self.outputs.push_back(Output::Bind { client, at, ipv4 }),
                None => self.bound(client, ipv4, Err(Unbound::NoSuchFamily), now),
            },
            // The allocation is over; the last word to the client is in the queue already.
            Wish::Unbind => self.forget(client),
        }
    }

    /// The last look at where a packet goes, whatever the server state permits. What is for another allocation of ours
    /// never leaves this process.
    fn send_to_peer(&mut self, client: Client, relayed: SocketAddr, peer: SocketAddr, payload: Vec<u8>, now: Instant) {
        let is_internal = self.relayed.contains_key(&peer);
        if !is_internal && (self.policy.judge(peer.ip()) != Verdict::Peer || peer.port() == 0) {
            self.totals.refused_peers += 1;
            return;
        }
        if let Some(session) = self.sessions.get_mut(&client) {
            session.up_at = Some(now);
            session.is_internal = is_internal;
        }
        if is_internal {
            self.totals.relayed_bytes += payload.len() as u64;
            self.deliver(peer, relayed, &payload, now);
        } else if !self.line.take(payload.len() as f64, now) {
            self.totals.dropped_packets += 1;
        } else {
            self.totals.relayed_bytes += payload.len() as u64;
            self.outputs.push_back(Output::ToPeer { relayed, peer, payload });
        }
    }

    /// Where an allocation is made. A request names IPv6 or means IPv4 (RFC 8656 §7.1); a client that came by IPv6 to a
    /// super-peer without IPv4 gets what there is.
    fn address_for(&self, client: Client, ipv4: bool) -> Option<IpAddr> {
        let local = client.local.ip();
        let of_family = |ipv4: bool| {
            let own = Some(local).filter(|ip| ip.is_ipv4() == ipv4);
            own.or_else(|| self.addresses.iter().copied().find(|ip| ip.is_ipv4() == ipv4))
        };
        of_family(ipv4).or_else(|| of_family(false).filter(|_| local.is_ipv6()))
    }

    fn session(&mut self, client: Client, now: Instant) -> &mut Session {
        if !self.sessions.contains_key(&client) {
            if self.sessions.is_empty() {
                self.sweep_at = now + SWEEP;
            }
            self.half_open.push_back((now, client));
            self.make_room();
        }
        let limits = &self.limits;
        self.sessions.entry(client).or_insert_with(|| Session::new(client, limits, now))
    }

    /// The oldest of those that have shown no password goes first.
    fn make_room(&mut self) {
        while self.half_open.len() > self.limits.half_open {
            let Some((born, oldest)) = self.half_open.pop_front() else { return };
            if self.sessions.get(&oldest).is_some_and(|session| session.born == born && session.relayed.is_none()) {
                self.sessions.remove(&oldest);
            }
        }
    }

    fn forget(&mut self, client: Client) {
        let Some(session) = self.sessions.remove(&client) else { return };
        if let Some(relayed) = session.relayed {
            self.relayed.remove(&relayed);
            self.outputs.push_back(Output::Unbind { relayed });
        }
    }

    fn server_time(&self, now: Instant) -> turn::Instant {
        let since = now.saturating_duration_since(self.epoch);
        turn::Instant::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}
