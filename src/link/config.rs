//! What a link needs to know before it starts.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How to reach one peer and be reached by it.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    pub role: Role,
    pub interfaces: Interfaces,
    /// STUN servers (RFC 8489) that tell us our server-reflexive address.
    pub stun: Vec<SocketAddr>,
    pub turn: Vec<TurnServer>,
    /// More servers will come by [`Link::add_relay`](super::Link::add_relay), until
    /// [`Link::no_more_relays`](super::Link::no_more_relays).
    pub expects_relays: bool,
    /// Only relayed candidates: the peer and the network between us never see an address of this machine.
    pub relay_only: bool,
    /// Whether there is a data channel for messages. Endpoints that are not ours have no use for it.
    pub channel: bool,
    /// UDP ports to bind; `None`: any.
    pub media_ports: Option<RangeInclusive<u16>>,
    /// Synchronisation source (RFC 3550 §3) of our voice; `None`: a random one. Links that carry the same packets say the
    /// same.
    pub ssrc: Option<u32>,
    pub timings: Timings,
}

impl LinkConfig {
    /// A link over every interface, without servers.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            interfaces: Interfaces::All,
            stun: Vec::new(),
            turn: Vec::new(),
            expects_relays: false,
            relay_only: false,
            channel: true,
            media_ports: None,
            ssrc: None,
            timings: Timings::default(),
        }
    }
}

/// Which description we make (RFC 9429): in a call the callee offers, and so controls ICE and is the DTLS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Offerer,
    Answerer,
}

/// Which of this machine's addresses become host candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interfaces {
    /// Every usable unicast address of the machine, or loopback on a machine that has no other. Link-local IPv6
    /// addresses are left out: they mean nothing without the interface they belong to.
    All,
    /// No packet leaves the machine.
    Loopback,
    /// Exactly these.
    Only(Vec<IpAddr>),
}

/// A relay of our own choosing (RFC 8656), for us to allocate on.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnServer {
    pub address: SocketAddr,
    /// Where it is known to be reached over TCP; `None`: at the same port, if at all.
    pub tcp: Option<SocketAddr>,
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// How long a link waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// Between consent checks on the selected pair (RFC 7675 §5.1); each also measures the round trip.
    pub consent_interval: Duration,
    /// Silence after which the peer counts as [`Disconnected`](super::LinkEvent::Disconnected).
    pub disconnected_after: Duration,
    /// Silence after which the peer counts as `Disconnected` at once, because it would say that it is there: both sides
    /// send a Binding indication (RFC 8445 §11) when they have sent nothing for a third of this. `None`: the peer may be
    /// a program that keeps quiet while it has nothing to say.
    pub silence_after: Option<Duration>,
    /// Silence, or fruitless attempts to connect, after which the link has [`Failed`](super::LinkEvent::Failed).
    /// Longer than `disconnected_after`.
    pub failed_after: Duration,
    /// Between rounds of connectivity checks (RFC 8445 §14.2 paces them by 50 ms).
    pub check_interval: Duration,
    /// How long a working relayed pair waits for a direct one before it is nominated; the choice is final. Not
    /// waited for when `relay_only`.
    pub relay_patience: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            consent_interval: Duration::from_secs(1),
            disconnected_after: Duration::from_secs(5),
            silence_after: None,
            failed_after: Duration::from_secs(17),
            check_interval: Duration::from_millis(50),
            relay_patience: Duration::from_millis(400),
        }
    }
}
