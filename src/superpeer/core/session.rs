//! One client: a server state of the crate with nobody else in it, and what the client has used up.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_server_proto::api::{SocketAllocateError, Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::types::TransportType;
use turn_server_proto::types::{self as turn, AddressFamily};

use super::{Client, REALM};
use crate::superpeer::Limits;
use crate::superpeer::limits::Bucket;

/// RFC 8656 §9 and §12: how long a permission and a channel last.
const PERMISSION: Duration = Duration::from_secs(300);
const CHANNEL: Duration = Duration::from_secs(600);
/// Names that may be tried on one client's address: whose it is, and some wrong ones.
const MAX_USERS: usize = 4;
/// The crate takes no less.
const MIN_NONCE_AGE: Duration = Duration::from_secs(60);
/// Rounds of one poll; a sound state is quiet after two.
const MAX_ROUNDS: usize = 16;

pub(super) struct Session {
    server: TurnServer,
    client: Client,
    users: Vec<String>,
    /// Our address for it; `None` while it has only been challenged.
    pub relayed: Option<SocketAddr>,
    /// Who made the allocation.
    pub owner: String,
    pub born: Instant,
    pub heard_at: Instant,
    pub requests: Bucket,
    pub up: Bucket,
    pub down: Bucket,
    /// Last payload to and from a peer, and whether the peer is another client of ours.
    pub up_at: Option<Instant>,
    pub down_at: Option<Instant>,
    pub is_internal: bool,
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, (SocketAddr, Instant)>,
    /// The transaction that asked for the allocation, and what we said to it.
    asked: Option<[u8; 12]>,
    granted: Option<Vec<u8>>,
}

/// What the server state wants done.
pub(super) enum Wish {
    Send {
        from: SocketAddr,
        to: SocketAddr,
        packet: Vec<u8>,
    },
    Bind {
        ipv4: bool,
    },
    /// The allocation has ended.
    Unbind,
}

impl Session {
    pub fn new(client: Client, limits: &Limits, now: Instant) -> Self {
        // Clients on TCP too: their stream is cut into messages before it gets here.
        let mut server = TurnServer::new(TransportType::Udp, client.local, REALM.to_owned());
        // The nonce is this client's alone, so it may live as long as the client; a stale one (438) costs a call a gap.
        server.set_nonce_expiry_duration(limits.allocation_age.max(MIN_NONCE_AGE));
        let bytes = || Bucket::new(f64::from(limits.burst_bytes), f64::from(limits.bits_per_second) / 8.0, now);
        Self {
            server,
            client,
            users: Vec::new(),
            relayed: None,
            owner: String::new(),
            born: now,
            heard_at: now,
            requests: Bucket::of_rate(limits.requests, now),
            up: bytes(),
            down: bytes(),
            up_at: None,
            down_at: None,
            is_internal: false,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
            asked: None,
            granted: None,
        }
    }

    /// Lets this name in. The server state then tells a wrong owner (441) from a wrong password (401).
    pub fn know(&mut self, username: &str, password: String) {
        if self.users.iter().any(|known| known == username) || self.users.len() >= MAX_USERS {
            return;
        }
        self.users.push(username.to_owned());
        self.server.add_user(username.to_owned(), password);
    }

    /// Remembers which transaction asks for the allocation.
    pub fn asks(&mut self, transaction: [u8; 12]) {
        if self.relayed.is_none() {
            self.asked = Some(transaction);
        }
    }

    /// Our answer to the Allocate request that this one repeats because the answer was lost (RFC 8656 §7.2).
    pub fn repeated(&self, transaction: [u8; 12]) -> Option<Vec<u8>> {
        self.granted.clone().filter(|_| self.asked == Some(transaction))
    }

    /// Notes that permission for these peers is asked for; false when that would be too many.
    pub fn takes_permissions(&mut self, peers: &[SocketAddr], most: usize, now: Instant) -> bool {
        self.permissions.retain(|_, until| *until > now);
        for peer in peers {
            self.permissions.insert(peer.ip(), now + PERMISSION);
        }
        let fits = self.permissions.len() <= most;
        if !fits {
            for peer in peers {
                self.permissions.remove(&peer.ip());
            }
        }
        fits
    }

    /// Notes that a channel is asked for; false when its number means another peer already, or there are too many.
    pub fn takes_channel(&mut self, number: u16, peer: SocketAddr, most: usize, now: Instant) -> bool {
        self.channels.retain(|_, (_, until)| *until > now);
        let free = self.channels.get(&number).is_none_or(|(known, _)| *known == peer);
        let fits = free && (self.channels.contains_key(&number) || self.channels.len() < most);
        if fits {
            self.channels.insert(number, (peer, now + CHANNEL));
        }
        fits
    }

    /// Hands a packet to the server state, from the client or from a peer; what goes on at once comes back.
    pub fn receive(&mut self, packet: &[u8], from: SocketAddr, to: SocketAddr, now: turn::Instant) -> Option<Wish> {
        let transmit = Transmit::new(packet, TransportType::Udp, from, to);
        let answer = self.server.recv(transmit, now)?.build();
        Some(Wish::Send { from: answer.from, to: answer.to, packet: answer.data })
    }

    /// The socket that [`Wish::Bind`] asked for.
    pub fn bound(&mut self, ipv4: bool, outcome: Result<SocketAddr, Unbound>, now: turn::Instant) {
        let family = if ipv4 { AddressFamily::IPV4 } else { AddressFamily::IPV6 };
        let outcome = outcome.map_err(|why| match why {
            Unbound::NoSuchFamily => SocketAllocateError::AddressFamilyNotSupported,
            Unbound::NoRoom => SocketAllocateError::InsufficientCapacity,
        });
        self.relayed = outcome.ok();
        let Client { local, remote, .. } = self.client;
        self.server.allocated_socket(TransportType::Udp, local, remote, TransportType::Udp, family, outcome, now);
        if self.relayed.is_some()
            && let Some(granted) = self.server.poll_transmit(now)
        {
            self.granted = Some(granted.data);
        }
    }

    /// The answer that [`Session::bound`] made.
    pub fn granted(&self) -> Option<Vec<u8>> {
        self.granted.clone()
    }

    /// Everything that is due.
    pub fn poll(&mut self, now: turn::Instant) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for _ in 0..MAX_ROUNDS {
            match self.server.poll(now) {
                TurnServerPollRet::WaitUntil(_) => break,
                TurnServerPollRet::AllocateSocket { family, .. } => {
                    wishes.push(Wish::Bind { ipv4: family == AddressFamily::IPV4 });
                }
                TurnServerPollRet::SocketClose { .. } => wishes.push(Wish::Unbind),
                // Requests for TCP towards peers do not get as far as here.
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
            }
        }
        while let Some(transmit) = self.server.poll_transmit(now) {
            wishes.push(Wish::Send { from: transmit.from, to: transmit.to, packet: transmit.data });
        }
        wishes
    }

    pub fn permits(&self, ip: IpAddr, now: Instant) -> bool {
        self.permissions.get(&ip).is_some_and(|until| *until > now)
    }
}

/// Why there is no socket for an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Unbound {
    /// 440.
    NoSuchFamily,
    /// 508.
    NoRoom,
}
