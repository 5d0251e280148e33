//! What the engine sees: events, outcomes, errors.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use super::{RelayClient, RelayOffer, RelayReply, SignalStream};
use crate::base::NodeId;

/// Something that happened to this node. The queue holds 256; when its reader falls behind, the newest are dropped
/// (an incoming stream is then reset, and the caller tries another path).
#[derive(Debug)]
pub enum RendezvousEvent {
    /// Sockets are open. Addresses carry `/p2p/ID`.
    Ready { node: NodeId, listen: Vec<String>, super_peer: bool },
    /// Our presence record lies on `acks` nodes: we can be rung when that is 1 or more. Sent with the first
    /// acknowledgement of a publication and again when it is complete, if the number grew.
    PresencePublished { relays: Vec<NodeId>, acks: u32, took: Duration },
    /// Somebody rings: a stream whose first frame is already there (`recv` returns at once) and not yet looked at.
    Incoming { stream: SignalStream, via: Via },
    /// This node began or ceased to serve others. `reason`: a sentence without its capital letter.
    SuperPeer { on: bool, reason: String },
    /// Where this node serves others as a super-peer: its addresses by preference, one for each IP, with the port of
    /// QUIC where it has one. Sent when that changes; nothing left: it does not serve.
    Serving { addresses: Vec<SocketAddr> },
    /// A node that would serve others is inside a home network, and strangers would reach it if the router led them to
    /// this address, over UDP: see [`Rendezvous::set_mapped`](super::Rendezvous::set_mapped). `None`: no longer.
    Inside { address: Option<SocketAddrV4> },
    /// A client asks for the use of our media relay. `address`: where its connection comes from. A dropped reply is a
    /// refusal.
    RelayAsked { from: NodeId, address: Option<IpAddr>, reply: RelayReply },
    /// The machine woke up; relays are being checked.
    Woke,
    /// A client of the media relay came to one of this node's TCP ports.
    RelayVisited { client: RelayClient },
}

/// The way a stream takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// The ring pipe of this super-peer.
    Pipe(NodeId),
    /// A circuit (circuit relay v2) through this super-peer.
    Circuit(NodeId),
    /// A connection from node to node.
    Direct,
}

/// A super-peer lets us use its media relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayGrant {
    pub relay: NodeId,
    /// Its servers are ones that the address rules let us talk to.
    pub offer: RelayOffer,
    /// Where we have reached it over TCP: its relay takes clients there, too. `None`: it is reached over UDP.
    pub tcp: Option<SocketAddr>,
}

/// One way that was tried to reach a person.
pub type RingAttempt = Result<Reached, RingFailure>;

/// Their node answered the first flight.
#[derive(Debug)]
pub struct Reached {
    /// `recv` returns their answer at once.
    pub stream: SignalStream,
    /// Index of the flight that was used; nobody has seen the others.
    pub flight: usize,
    pub via: Via,
}

/// Why one way did not lead to the person. More ways may follow on the same ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingFailure {
    /// The network was asked and knows no presence of this person: they are offline. Try later.
    #[error("they are not online")]
    NotFound,
    /// No node could be reached at all, or none of the person's super-peers. Check your own connection.
    #[error("the network cannot be reached")]
    Unreachable,
    /// The super-peer answers, but the person's node is no longer connected there. Try later.
    #[error("they were here but have left")]
    NotHere,
    /// A super-peer or the person's node closed the stream without an answer: it is overloaded. Try later.
    #[error("the ring was refused")]
    Refused,
}

/// What the network says of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupReport {
    /// They published a presence that is valid now.
    pub found: bool,
    /// Sequence number of the newest valid record, withdrawn ones included.
    pub seq: Option<u64>,
    /// Until the first valid record, or until the search was given up.
    pub took: Duration,
    /// Kademlia requests sent by then.
    pub requests: u32,
}

/// Counters since the start, and what is held now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Bytes in streams, before encryption and framing, both kinds of transport together.
    pub tx_bytes: u64,
    pub rx_bytes: u64,
    /// Connections opened by this node, and by others to it.
    pub dialled: u32,
    pub visited: u32,
    /// Requests of the DHT that this node has answered.
    pub answered: u32,
    /// Connections that are open.
    pub connections: u32,
    /// Nodes with a place reserved here (super-peer).
    pub reservations: u32,
    /// Presence records of others that lie here (super-peer).
    pub records: u32,
    /// Rings being piped through here (super-peer).
    pub pipes: u32,
    /// Our own reservations at super-peers.
    pub relays: u32,
}

/// The node could not start, or has stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RendezvousError {
    /// A `listen` entry is not `/ip4|ip6/ADDR/udp/PORT/quic-v1` or `/ip4|ip6/ADDR/tcp/PORT`. Correct it.
    #[error("cannot listen on \"{0}\": expected /ip4/ADDRESS/udp/PORT/quic-v1 or /ip4/ADDRESS/tcp/PORT")]
    BadListenAddress(String),
    /// A `bootstrap` entry is not such an address with `/p2p/ID` at its end. Correct it.
    #[error("\"{0}\" is no node address: expected /ip4/ADDRESS/udp/PORT/quic-v1/p2p/ID")]
    BadNodeAddress(String),
    /// A `treat_as_public` entry is not `ADDRESS/BITS`. Correct it.
    #[error("\"{0}\" is no address range: expected ADDRESS/BITS")]
    BadRange(String),
    /// With `isolated`, a configured address is not on loopback. Leave one of the two out.
    #[error("\"{0}\" is not on loopback, but only loopback is allowed when isolated")]
    NotIsolated(String),
    /// None of the addresses could be opened; another program may hold the port. Choose another.
    #[error("cannot open a socket to listen on: {0}")]
    Listen(String),
    /// The node key's file cannot be read or written. Check its owner and mode.
    #[error("the node key {path} cannot be used: {source}")]
    NodeKeyFile { path: PathBuf, source: std::io::Error },
    /// The node key's file does not hold a key. Restore it, or remove it to become a new node.
    #[error("the node key {0} is damaged; restore it, or remove it to get a new one")]
    NodeKeyDamaged(PathBuf),
    /// The system refused something that the node needs (random numbers, the interface list).
    #[error("the system refused: {0}")]
    System(String),
    /// The node has been shut down. Start it again.
    #[error("the node has stopped")]
    Stopped,
}

/// A signalling stream ended or was misused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The other side closed it in an orderly way.
    #[error("the other side closed the stream")]
    Closed,
    /// It broke: reset, or the connection below it was lost. Ring again.
    #[error("the stream broke")]
    Broken,
    /// An empty frame: a super-peer saying that the person's node is not connected to it.
    #[error("the node is not here")]
    NotHere,
    /// Nothing moved for too long, or the stream is older than any ring may be.
    #[error("the stream timed out")]
    TimedOut,
    /// A frame is empty or longer than [`SignalStream::MAX_FRAME_BYTES`], or the stream carried all that one may.
    #[error("a message is too long for the stream")]
    TooLong,
}
