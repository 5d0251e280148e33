//! Every figure that bounds what a node does, in one table. Tests run what ships.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::base::Rate;

/// Largest presence record, bytes: it fits one packet with everything around it.
pub(super) const MAX_RECORD_BYTES: usize = 1200;
/// How long a presence record is believed.
pub(super) const RECORD_TTL: Duration = Duration::from_secs(60 * 60);
/// How far clocks may be apart before two nodes disagree about what is current.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(3 * 60 * 60);
/// Record stores and relay lists hold at most this many addresses of one node.
pub(super) const MAX_ADDRESSES_PER_NODE: usize = 4;

/// The TCP port that the most restrictive networks leave open. Super-peers listen there, too, when they may.
pub(super) const HTTPS: u16 = 443;

/// Largest frame of a signalling stream, bytes.
pub(super) const MAX_FRAME_BYTES: usize = 16 * 1024;
/// What one signalling stream may carry each way, and how old it may become. A super-peer enforces the same on its
/// pipes and circuits; a ring of 45 s and the exchange after the answer fit in.
pub(super) const STREAM_BYTES: u64 = 64 * 1024;
pub(super) const STREAM_LIFETIME: Duration = Duration::from_secs(120);
/// For each single step of the protocol: opening a stream, writing, the first answer.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(8);

/// Dialling one address, security handshake included. A black-holed address costs this much, not 10 s.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// One Kademlia request on an open connection; a frozen node costs this much.
pub(super) const KAD_REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// A whole Kademlia query. Nobody waits for its end on the way to a ring.
pub(super) const KAD_QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one query in flight (Kademlia's alpha). With half of the nodes that are known gone or frozen, all of the
/// first sixteen are so in one query of 65 000; of the first ten it would be one of 1000, and each of those costs
/// [`KAD_REQUEST_TIMEOUT`].
pub(super) const KAD_ALPHA: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// A lookup that has found nothing ends when so many of the closest nodes have answered: twice as many as a record is
/// laid on, because those next to the key may be somebody's who hides it.
pub(super) const LOOKUP_WIDTH: NonZeroUsize = NonZeroUsize::new(40).unwrap();

/// QUIC keep-alives: the client's hold NAT mappings open (30 s is the shortest common one), the super-peer's only find
/// dead clients. The idle timeout must be the same on both sides, because the lower one applies.
pub(super) const CLIENT_KEEP_ALIVE: Duration = Duration::from_secs(20);
pub(super) const SERVER_KEEP_ALIVE: Duration = Duration::from_secs(55);
pub(super) const QUIC_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Who ceases to be a super-peer takes nobody in any more at once; rings that are on their way through it have so long to
/// be answered before those who had a place here are shown the door, and look for another.
pub(super) const DISMISS_CLIENTS: Duration = Duration::from_secs(5);
/// A connection that nothing uses is closed after this.
pub(super) const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// Shares of this node that others may use. Rates are token buckets: a burst, then one token per interval.
/// Per-address figures are wide because a carrier NAT puts thousands of people behind one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all, and to one node.
    pub connections: u32,
    pub connections_per_node: u32,

    /// Places that clients can reserve here.
    pub reservations: usize,
    /// How long a place is held before the client renews it.
    pub reservation_lifetime: Duration,
    pub reservations_per_node: Rate,
    pub reservations_per_address: Rate,

    /// Circuits (relay v2) open at a time, in all and from one node.
    pub circuits: usize,
    pub circuits_per_node: usize,
    pub circuit_bytes: u64,
    pub circuit_lifetime: Duration,
    pub circuit_rate_per_node: Rate,
    pub circuit_rate_per_address: Rate,

    /// Ring pipes open at a time: in all (none: no pipe is offered, callers take circuits), from one node, from one
    /// address, towards one client.
    pub pipes: usize,
    pub pipes_per_node: usize,
    pub pipes_per_address: usize,
    pub pipes_per_client: usize,
    pub pipe_bytes: u64,
    pub pipe_lifetime: Duration,
    pub pipe_rate_per_node: Rate,
    pub pipe_rate_per_address: Rate,

    /// Presence records kept for others; new ones are refused beyond, until some expire.
    pub records: usize,
    pub record_rate_per_node: Rate,
    pub record_rate_per_address: Rate,

    /// Streams from strangers whose first frame is awaited at a time; more are reset.
    pub incoming_streams: usize,

    /// Nodes that are dialled at a time because they want to know whether they can be, and how often one of them, or one
    /// address, may ask: four addresses each time, a few times after a change and then every 20 minutes.
    pub dial_backs: usize,
    pub dial_back_rate_per_node: Rate,
    pub dial_back_rate_per_address: Rate,
}

impl Limits {
    /// What a node gives that serves without having been told to: somebody's home line, on which they talk.
    ///
    /// A client with a place costs 31 B/s each way (measured, see `tests/rendezvous_lab.rs`), so that 128 of them cost
    /// 32 kb/s: nothing that is noticed beside a call of 50 kb/s, on the slowest line still sold (1 Mb/s upwards). A ring
    /// is 2 kB. The rest follows: four connections for every place, memory for records and connections below 10 MB.
    pub fn volunteer() -> Self {
        Self {
            connections: 512,
            reservations: 128,
            circuits: 32,
            circuits_per_node: 8,
            pipes: 64,
            pipes_per_node: 8,
            pipes_per_address: 32,
            records: 4 * 1024,
            dial_backs: 8,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_node: 4,

            reservations: 2048,
            reservation_lifetime: Duration::from_secs(60 * 60),
            reservations_per_node: Rate::new(30, Duration::from_secs(60)),
            reservations_per_address: Rate::new(1200, Duration::from_secs(1)),

            circuits: 512,
            circuits_per_node: 32,
            circuit_bytes: 2 * STREAM_BYTES,
            circuit_lifetime: STREAM_LIFETIME,
            circuit_rate_per_node: Rate::new(120, Duration::from_secs(1)),
            circuit_rate_per_address: Rate::new(1200, Duration::from_millis(100)),

            pipes: 1024,
            pipes_per_node: 32,
            pipes_per_address: 256,
            pipes_per_client: 32,
            pipe_bytes: STREAM_BYTES,
            pipe_lifetime: STREAM_LIFETIME,
            pipe_rate_per_node: Rate::new(120, Duration::from_secs(1)),
            pipe_rate_per_address: Rate::new(1200, Duration::from_millis(100)),

            records: 16 * 1024,
            record_rate_per_node: Rate::new(30, Duration::from_secs(30)),
            record_rate_per_address: Rate::new(3000, Duration::from_millis(100)),

            incoming_streams: 32,

            dial_backs: 64,
            dial_back_rate_per_node: Rate::new(32, Duration::from_secs(10)),
            dial_back_rate_per_address: Rate::new(600, Duration::from_millis(200)),
        }
    }
}
