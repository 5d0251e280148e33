//! The libp2p protocols of a node, put together and configured.

use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{Config, NetworkBehaviour, Swarm};
use libp2p::{PeerId, StreamProtocol, connection_limits, identify, kad, mdns, relay};
use tokio::sync::mpsc;

use super::super::limits::{
    IDLE_CONNECTION, KAD_ALPHA, KAD_QUERY_TIMEOUT, KAD_REQUEST_TIMEOUT, LOOKUP_WIDTH, Limits, MAX_RECORD_BYTES,
    RECORD_TTL,
};
use super::super::{RendezvousConfig, RendezvousError, RendezvousEvent};
use super::streams;
use super::transport::{self, SharedRules, Traffic};
use crate::base::Rate;

/// Our own Kademlia network; nodes of others do not speak it.
pub(super) const KAD: StreamProtocol = StreamProtocol::new("/twocans/kad/1");
/// Circuit relay v2, the part that a relay answers.
pub(super) const HOP: StreamProtocol = relay::HOP_PROTOCOL_NAME;
/// Caller to super-peer: a node id, then bytes for that node.
pub(super) const PIPE: StreamProtocol = StreamProtocol::new("/twocans/pipe/1");
/// Super-peer to client: the bytes of a pipe.
pub(super) const PIPE_IN: StreamProtocol = StreamProtocol::new("/twocans/pipe-in/1");
/// Node to node, directly or through a circuit: the same bytes without anything before them.
pub(super) const CALL: StreamProtocol = StreamProtocol::new("/twocans/call/1");
/// On the LAN: blinded keys, answered by their owner with the sealed record.
pub(super) const HERE: StreamProtocol = StreamProtocol::new("/twocans/here/1");
/// Anybody to super-peer: may we use your media relay?
pub(super) const RELAY: StreamProtocol = StreamProtocol::new("/twocans/relay/1");
/// Anybody to super-peer: a node id, answered with whether that node has a place reserved.
pub(super) const RESERVED: StreamProtocol = StreamProtocol::new("/twocans/reserved/1");

/// AutoNAT v2: a node asks a super-peer to dial it, and is dialled.
pub(super) const DIAL_REQUEST: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-request");
pub(super) const DIAL_BACK: StreamProtocol = StreamProtocol::new("/libp2p/autonat/2/dial-back");

/// What a node is to others at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    /// A super-peer. `media`: it may be asked to relay calls.
    Server {
        media: bool,
    },
}

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) kad: kad::Behaviour<MemoryStore>,
    pub(super) identify: identify::Behaviour,
    pub(super) relay: Toggle<relay::Behaviour>,
    relay_client: relay::client::Behaviour,
    pub(super) streams: streams::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

/// Puts a node together; nothing is opened yet.
pub(super) fn swarm(
    key: &Keypair,
    config: &RendezvousConfig,
    rules: SharedRules,
    traffic: std::sync::Arc<Traffic>,
    relay: Option<mpsc::Sender<RendezvousEvent>>,
) -> Result<Swarm<Behaviour>, RendezvousError> {
    let system = |error: &dyn std::fmt::Display| RendezvousError::System(error.to_string());
    let me = key.public().to_peer_id();
    let (transport, relay_client) =
        transport::build(key, config.server, rules, traffic, relay).map_err(|error| system(&error))?;
    let role = if config.server { Role::Server { media: true } } else { Role::Client };
    let mdns = (config.mdns && !config.isolated).then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), me));
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits(&config.limits)),
        kad: kademlia(key, config),
        identify: identify::Behaviour::new(identify_config(key, config.server)),
        relay: config.server.then(|| relay_server(me, &config.limits)).into(),
        relay_client,
        streams: streams::Behaviour::new(taken_protocols(config, role)),
        mdns: mdns.transpose().map_err(|error| system(&error))?.into(),
    };
    let swarm_config = Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_CONNECTION)
        .with_smart_dial()
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Ok(Swarm::new(transport, behaviour, me, swarm_config))
}

/// The streams that others may open.
pub(super) fn taken_protocols(config: &RendezvousConfig, role: Role) -> Vec<StreamProtocol> {
    let mut protocols = Vec::new();
    if config.person.is_some() {
        protocols.extend([PIPE_IN, CALL]);
        if config.mdns && !config.isolated {
            protocols.push(HERE);
        }
    }
    if config.volunteer.is_some() {
        protocols.push(DIAL_BACK);
    }
    if let Role::Server { media } = role {
        protocols.extend([RESERVED, DIAL_REQUEST]);
        if media {
            protocols.push(RELAY);
        }
        if config.limits.pipes > 0 {
            protocols.push(PIPE);
        }
    }
    protocols
}

/// The mode is set by hand: kad's own rule takes the circuit address of a reservation for a public one, and would make
/// a server of a node behind a NAT.
fn kademlia(key: &Keypair, config: &RendezvousConfig) -> kad::Behaviour<MemoryStore> {
    let me = key.public().to_peer_id();
    let store = MemoryStore::with_config(
        me,
        MemoryStoreConfig {
            max_records: config.limits.records,
            // The store's limit is exclusive.
            max_value_bytes: MAX_RECORD_BYTES + 1,
            max_provided_keys: 0,
            max_providers_per_key: 0,
        },
    );
    let mut settings = kad::Config::new(KAD);
    settings
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        // Nothing is written back to the nodes that lack a record, but our own publications want to know them.
        .set_caching(kad::Caching::Enabled { max_peers: 64 })
        .set_record_ttl(Some(RECORD_TTL))
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        // Each would look up all buckets, hundreds of connections: see `upkeep`.
        .set_periodic_bootstrap_interval(None)
        .set_query_timeout(KAD_QUERY_TIMEOUT)
        .set_substreams_timeout(KAD_REQUEST_TIMEOUT)
        .set_parallelism(KAD_ALPHA)
        // Only lookups go by it: publishing names its own width.
        .set_replication_factor(LOOKUP_WIDTH);
    let mut kad = kad::Behaviour::with_config(me, store, settings);
    kad.set_mode(Some(if config.server { kad::Mode::Server } else { kad::Mode::Client }));
    kad
}

/// Only addresses at which a node wants to be reached are told; the LAN's are found by mDNS.
fn identify_config(key: &Keypair, server: bool) -> identify::Config {
    identify::Config::new("/twocans/1".into(), key.public())
        .with_agent_version("twocans".into())
        .with_interval(std::time::Duration::from_secs(60 * 60))
        .with_push_listen_addr_updates(server)
        .with_cache_size(0)
        .with_hide_listen_addrs(true)
}

/// The relay service, at first without taking anybody.
pub(super) fn relay_server(me: PeerId, limits: &Limits) -> relay::Behaviour {
    let config = relay::Config {
        max_reservations: limits.reservations,
        max_reservations_per_peer: 2,
        reservation_duration: limits.reservation_lifetime,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.circuits,
        max_circuits_per_peer: limits.circuits_per_node,
        max_circuit_duration: limits.circuit_lifetime,
        max_circuit_bytes: limits.circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    };
    let burst = |rate: Rate| std::num::NonZeroU32::new(rate.burst).unwrap_or(std::num::NonZeroU32::MIN);
    let config = config
        .reservation_rate_per_peer(burst(limits.reservations_per_node), limits.reservations_per_node.interval)
        .reservation_rate_per_ip(burst(limits.reservations_per_address), limits.reservations_per_address.interval)
        .circuit_src_per_peer(burst(limits.circuit_rate_per_node), limits.circuit_rate_per_node.interval)
        .circuit_src_per_ip(burst(limits.circuit_rate_per_address), limits.circuit_rate_per_address.interval);
    let mut relay = relay::Behaviour::new(me, config);
    // Without a public address a reservation would be useless to its holder; the driver enables it with the first.
    relay.set_status(Some(relay::Status::Disable));
    relay
}

fn connection_limits(limits: &Limits) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_established(Some(limits.connections))
        .with_max_established_per_peer(Some(limits.connections_per_node))
        .with_max_pending_incoming(Some(limits.connections / 4))
        .with_max_pending_outgoing(Some(256))
}
