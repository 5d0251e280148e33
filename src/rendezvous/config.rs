//! What a node is told at its start.

use std::path::PathBuf;
use std::time::Duration;

use super::Limits;
use crate::identity::PersonKey;

/// How to take part in the network.
#[derive(Debug, Clone)]
pub struct RendezvousConfig {
    /// Whose calls this node takes; `None` for a bare node, which serves others and can look people up.
    pub person: Option<PersonKey>,
    pub node_key: NodeKey,
    /// Multiaddresses to listen on; empty: QUIC and TCP on every interface (loopback when isolated), any port, and a
    /// super-peer on TCP port 443 where the system lets it.
    /// A super-peer's external addresses are taken from what comes of these.
    pub listen: Vec<String>,
    /// Multiaddresses of first nodes, each with `/p2p/ID`.
    pub bootstrap: Vec<String>,
    /// Find nodes on the local network (RFC 6762, IPv4). Never when isolated.
    pub mdns: bool,
    /// Look for a first node in the BitTorrent DHT when there is no other, and be found there as a super-peer; its first
    /// nodes as `HOST:PORT`, none for those that everybody uses. `None`, and when isolated: never.
    pub mainline: Option<Vec<String>>,
    /// Loopback only: nothing else is listened on, dialled or believed.
    pub isolated: bool,
    /// Be a super-peer: store records for others, and relay rings to nodes that reserve a place here.
    pub server: bool,
    /// Become a super-peer by itself when strangers have got through to this node for so long, and cease to be one when
    /// they do not any more; `None`: never. Means nothing with `server`. Isolated, only at a loopback address that
    /// `treat_as_public` names.
    pub volunteer: Option<Duration>,
    /// Laboratory: these ranges (CIDR) count as public addresses.
    pub treat_as_public: Vec<String>,
    /// Between two renewals of the presence record, give or take an eighth. Well below the hour for which a record is
    /// believed: one failed renewal must not make anybody vanish.
    pub presence_refresh: Duration,
    /// Where nodes are remembered from one start to the next; `None`: nowhere.
    pub peer_cache: Option<PathBuf>,
    pub limits: Limits,
}

impl RendezvousConfig {
    /// What a client does unless told otherwise.
    pub const PRESENCE_REFRESH: Duration = Duration::from_secs(25 * 60);
    /// For so long strangers must have got through before a node serves unasked: who is here for two minutes is of no use
    /// to the network, which would have to find out that it is gone.
    pub const VOLUNTEER_AFTER: Duration = Duration::from_secs(10 * 60);
}

impl Default for RendezvousConfig {
    /// A bare client with a fresh node key, no first node, mDNS on.
    fn default() -> Self {
        Self {
            person: None,
            node_key: NodeKey::Fresh,
            listen: Vec::new(),
            bootstrap: Vec::new(),
            mdns: true,
            mainline: None,
            isolated: false,
            server: false,
            volunteer: None,
            treat_as_public: Vec::new(),
            presence_refresh: Self::PRESENCE_REFRESH,
            peer_cache: None,
            limits: Limits::default(),
        }
    }
}

/// Where the node's own key comes from. It says where somebody is, so a client's changes with every start; a
/// super-peer's stays, because others write its address down.
#[derive(Clone, PartialEq, Eq)]
pub enum NodeKey {
    /// A new one for this start.
    Fresh,
    /// The one in this file, made on first use (mode 0600). A damaged file is reported, never overwritten.
    Kept(PathBuf),
    /// Ed25519 seed, for tests that need to know an id beforehand.
    Seed([u8; 32]),
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fresh => f.write_str("Fresh"),
            Self::Kept(path) => f.debug_tuple("Kept").field(path).finish(),
            Self::Seed(_) => f.write_str("Seed(…)"),
        }
    }
}
