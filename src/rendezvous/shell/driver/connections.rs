//! Who we are connected to, who wants to be, and how the network is entered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, identify, mdns};
use tokio::sync::{mpsc, oneshot};

use super::Driver;
use crate::rendezvous::address::{endpoint, without_peer};
use crate::rendezvous::limits::MAX_ADDRESSES_PER_NODE;
use crate::rendezvous::rate::backoff;
use crate::rendezvous::record::NodeAddresses;
use crate::rendezvous::shell::behaviour::{HOP, KAD, PIPE, RELAY};
use crate::rendezvous::shell::command::{Connected, FoundRelay};
use crate::rendezvous::shell::ring::unix_s;

/// Remembered nodes that are dialled at a time while we are alone.
const JOIN_AT_ONCE: usize = 8;
const JOIN_RETRY: Duration = Duration::from_secs(2);
/// So long after a change of network, or the beginning of a search, the next way in is tried at once.
const HURRY: Duration = Duration::from_secs(5);
const LONGEST_JOIN_RETRY: Duration = Duration::from_secs(5 * 60);
/// Nodes found on the LAN; more are ignored.
const MAX_LAN_NODES: usize = 32;
/// Calls that look for a media relay at a time; one more finds those that are connected already.
const MAX_RELAY_SEEKERS: usize = 32;

pub(super) struct Connections {
    peers: BTreeMap<PeerId, Peer>,
    dials: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    waiting: BTreeMap<PeerId, Vec<oneshot::Sender<Connected>>>,
    circuits: BTreeMap<ConnectionId, oneshot::Sender<ConnectionId>>,
    lan: BTreeMap<PeerId, Vec<Multiaddr>>,
    join: Join,
    /// Connections opened by us and by others since the start.
    dialled: u32,
    visited: u32,
    news_for_cache: bool,
    /// Who wants to hear of super-peers with a media relay.
    relay_seekers: Vec<mpsc::Sender<FoundRelay>>,
}

#[derive(Default)]
struct Peer {
    connections: Vec<Connection>,
    /// What it said of itself.
    speaks: Option<Speaks>,
}

struct Connection {
    id: ConnectionId,
    remote: Multiaddr,
    relayed: bool,
    dialled: bool,
}

impl Peer {
    /// Where we have reached it over TCP; `None` while there is a way over UDP.
    fn tcp(&self) -> Option<SocketAddr> {
        let direct = || self.connections.iter().filter(|connection| !connection.relayed);
        let endpoints = || direct().filter_map(|connection| Some((connection.dialled, endpoint(&connection.remote)?)));
        if endpoints().any(|(_, endpoint)| endpoint.quic) {
            return None;
        }
        let dialled = endpoints().find(|(dialled, _)| *dialled);
        dialled.map(|(_, endpoint)| SocketAddr::new(endpoint.ip, endpoint.port))
    }
}

#[derive(Debug, Clone, Copy)]
struct Speaks {
    kad: bool,
    hop: bool,
    pipe: bool,
    relay: bool,
}

/// Entering the network: the configured nodes and some remembered ones, again and again while we are alone.
struct Join {
    bootstrap: Vec<(PeerId, Multiaddr)>,
    remembered: Vec<NodeAddresses>,
    next: usize,
    due: Option<Instant>,
    attempts: u32,
    /// Until then, being alone is no reason to wait.
    hurry_until: Option<Instant>,
    /// Having no connection at all means being cut off. Otherwise it is the normal state of a node that has entered
    /// the network and has nothing to do: whom it needs is in its routing table, and who needs it dials.
    keeps_connections: bool,
    /// A node of the network has introduced itself.
    entered: bool,
}

impl Connections {
    /// `keeps_connections`: this is a client that is rung through super-peers.
    pub(super) fn new(
        bootstrap: Vec<(PeerId, Multiaddr)>,
        remembered: Vec<NodeAddresses>,
        keeps_connections: bool,
        now: Instant,
    ) -> Self {
        let join = Join {
            bootstrap,
            remembered,
            next: 0,
            due: Some(now),
            attempts: 0,
            hurry_until: None,
            keeps_connections,
            entered: false,
        };
        Self {
            peers: BTreeMap::new(),
            dials: BTreeMap::new(),
            waiting: BTreeMap::new(),
            circuits: BTreeMap::new(),
            lan: BTreeMap::new(),
            join,
            dialled: 0,
            visited: 0,
            news_for_cache: false,
            relay_seekers: Vec::new(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.peers.values().map(|peer| peer.connections.len()).sum()
    }

    /// Connections opened by us and by others since the start.
    pub(super) fn opened(&self) -> (u32, u32) {
        (self.dialled, self.visited)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.join.due
    }

    /// Whether [`Connections::hurry`] can help somebody who is in a hurry.
    pub(super) fn is_cut_off(&self) -> bool {
        self.peers.is_empty() && (self.join.keeps_connections || !self.join.entered)
    }

    /// Nobody of those that we know answers: the network has to be entered anew.
    pub(super) fn fell_out(&mut self, now: Instant) {
        self.join.entered = false;
        self.hurry(now);
    }

    /// Try to enter again at once, if we are alone: the network changed, or somebody is looked for.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.join.attempts = 0;
        self.join.due = Some(now);
        self.join.hurry_until = Some(now + HURRY);
    }

    pub(super) fn dialling(&mut self, peer: PeerId, connection: ConnectionId) {
        self.dials.entry(peer).or_default().insert(connection);
    }

    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.direct(peer).next().is_some()
    }

    /// The direct connection over which streams to `peer` are opened.
    pub(super) fn newest(&self, peer: &PeerId) -> Option<ConnectionId> {
        self.direct(peer).last().map(|connection| connection.id)
    }

    /// Whether one of the direct connections to `peer` is TCP: such a one has no keep-alive of its own.
    pub(super) fn is_on_tcp(&self, peer: &PeerId) -> bool {
        self.direct(peer).any(|connection| endpoint(&connection.remote).is_some_and(|endpoint| !endpoint.quic))
    }

    /// Nodes that we are connected to directly and that have introduced themselves as nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = PeerId> {
        let is_node = |node: &&PeerId| self.is_connected(node);
        let speaks = |peer: &Peer| peer.speaks.is_some_and(|speaks| speaks.kad);
        self.peers.iter().filter(move |(_, peer)| speaks(peer)).map(|(node, _)| node).filter(is_node).copied()
    }

    /// The remote end of a connection, unless a relay stands in between.
    pub(super) fn remote_ip(&self, peer: &PeerId, connection: ConnectionId) -> Option<IpAddr> {
        let connection = self.direct(peer).find(|known| known.id == connection)?;
        endpoint(&connection.remote).map(|endpoint| endpoint.ip)
    }

    /// The relay of a circuit; `None` for a direct connection.
    pub(super) fn relay_of(&self, peer: &PeerId, connection: ConnectionId) -> Option<PeerId> {
        let connection = self.peers.get(peer)?.connections.iter().find(|known| known.id == connection)?;
        connection.remote.iter().find_map(|part| match part {
            Protocol::P2p(relay) if connection.relayed => Some(relay),
            _ => None,
        })
    }

    /// Whether the other side made this connection.
    pub(super) fn is_visit(&self, peer: &PeerId, connection: ConnectionId) -> bool {
        self.direct(peer).any(|known| known.id == connection && !known.dialled)
    }

    /// Whether a node of the network has introduced itself, and not all have fallen silent since.
    pub(super) fn has_entered(&self) -> bool {
        self.join.entered
    }

    /// Nodes on our LAN.
    pub(super) fn lan(&self) -> Vec<NodeAddresses> {
        let lan = self.lan.iter();
        lan.map(|(node, addresses)| NodeAddresses { node: *node, addresses: addresses.clone() }).collect()
    }

    pub(super) fn take_news_for_cache(&mut self) -> bool {
        std::mem::take(&mut self.news_for_cache)
    }

    /// Takes note of nodes on the LAN; returns those that are new.
    pub(super) fn lan_changed(&mut self, event: mdns::Event) -> Vec<NodeAddresses> {
        match event {
            mdns::Event::Discovered(found) => {
                let before: BTreeSet<PeerId> = self.lan.keys().copied().collect();
                for (node, address) in found {
                    self.found_on_lan(node, without_peer(&address));
                }
                self.lan().into_iter().filter(|node| !before.contains(&node.node)).collect()
            }
            mdns::Event::Expired(gone) => {
                for (node, address) in gone {
                    if let Some(addresses) = self.lan.get_mut(&node) {
                        addresses.retain(|known| *known != without_peer(&address));
                        if addresses.is_empty() {
                            self.lan.remove(&node);
                        }
                    }
                }
                Vec::new()
            }
        }
    }

    fn found_on_lan(&mut self, node: PeerId, address: Multiaddr) {
        let room = self.lan.contains_key(&node) || self.lan.len() < MAX_LAN_NODES;
        if endpoint(&address).is_none() || !room {
            return;
        }
        let addresses = self.lan.entry(node).or_default();
        if addresses.len() < MAX_ADDRESSES_PER_NODE && !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    fn direct(&self, peer: &PeerId) -> impl Iterator<Item = &Connection> {
        let connections = self.peers.get(peer).map_or(&[][..], |peer| &peer.connections);
        connections.iter().filter(|connection| !connection.relayed)
    }

    fn connected(&self, peer: &PeerId) -> Connected {
        Connected { pipe: self.peers.get(peer).and_then(|peer| peer.speaks).map(|speaks| speaks.pipe) }
    }
}

impl Driver {
    /// Puts the configured nodes where queries find them, before anything is connected.
    pub(super) fn enter_network(&mut self) {
        for (node, address) in self.connections.join.bootstrap.clone() {
            self.swarm.behaviour_mut().kad.add_address(&node, address.clone());
            self.relaying.offer(node, vec![address], false, Instant::now());
        }
    }

    /// Nodes that somebody vouches for: a link's hints.
    pub(super) fn meet(&mut self, nodes: Vec<(PeerId, Multiaddr)>) {
        let me = self.me;
        for (node, address) in nodes.into_iter().filter(|(node, _)| *node != me) {
            self.swarm.behaviour_mut().kad.add_address(&node, address.clone());
            self.dial(node, vec![address]);
        }
    }

    /// Somebody appeared on the LAN: perhaps whom we look for, perhaps a way into the network.
    pub(super) fn handle_mdns_event(&mut self, event: mdns::Event) {
        for node in self.connections.lan_changed(event) {
            self.ask_newcomer(node);
            if self.connections.peers.is_empty() {
                self.connections.hurry(Instant::now());
            }
        }
    }

    pub(super) fn act_on_connections(&mut self, now: Instant) {
        if self.connections.join.due.is_none_or(|due| due > now) {
            return;
        }
        let join = &mut self.connections.join;
        join.due = None;
        // A super-peer without visitors, or a client without relays, is not alone as long as one connection stands.
        if !self.connections.peers.is_empty() {
            return;
        }
        join.attempts += 1;
        let random = u64::from(join.attempts).wrapping_mul(97);
        join.due = Some(now + backoff(join.attempts, JOIN_RETRY, LONGEST_JOIN_RETRY, random));
        let mut nodes: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        for (node, address) in &join.bootstrap {
            nodes.entry(*node).or_default().push(address.clone());
        }
        for _ in 0..JOIN_AT_ONCE.min(join.remembered.len()) {
            let NodeAddresses { node, addresses } = &join.remembered[join.next % join.remembered.len()];
            nodes.entry(*node).or_default().extend(addresses.iter().cloned());
            join.next += 1;
        }
        for NodeAddresses { node, addresses } in self.connections.lan().into_iter().take(JOIN_AT_ONCE) {
            nodes.entry(node).or_default().extend(addresses);
        }
        for (node, addresses) in nodes {
            self.dial(node, addresses);
        }
    }

    /// Has a direct connection to `node` made, or says that there is one.
    pub(super) fn connect(&mut self, node: PeerId, mut addresses: Vec<Multiaddr>, reply: oneshot::Sender<Connected>) {
        if self.connections.is_connected(&node) {
            let _ = reply.send(self.connections.connected(&node));
            return;
        }
        addresses.extend(self.connections.lan.get(&node).into_iter().flatten().cloned());
        if node == self.me || (addresses.is_empty() && !self.connections.dials.contains_key(&node)) {
            return;
        }
        // The relay transport would take a circuit's address; a direct connection is what is asked for.
        addresses.retain(|address| endpoint(address).is_some());
        self.connections.waiting.entry(node).or_default().push(reply);
        self.dial(node, addresses);
    }

    /// Has a circuit to `node` made through `relay`.
    pub(super) fn dial_circuit(&mut self, relay: PeerId, node: PeerId, reply: oneshot::Sender<ConnectionId>) {
        // Not connected to the relay, libp2p would dial it behind our back, and fail if it is being dialled already.
        let Some(connection) = self.connections.direct(&relay).next() else { return };
        let circuit = without_peer(&connection.remote)
            .with(Protocol::P2p(relay))
            .with(Protocol::P2pCircuit)
            .with(Protocol::P2p(node));
        let options = DialOpts::peer_id(node).addresses(vec![circuit]).condition(PeerCondition::Always).build();
        let id = options.connection_id();
        if self.swarm.dial(options).is_ok() {
            self.connections.dialling(node, id);
            self.connections.circuits.insert(id, reply);
        }
    }

    /// Which super-peers with a media relay there are, now and from now on.
    pub(super) fn tell_relays(&mut self, found: mpsc::Sender<FoundRelay>) {
        if self.connections.peers.is_empty() {
            self.connections.hurry(Instant::now());
        }
        let connections = &mut self.connections;
        for (node, peer) in &connections.peers {
            let direct = peer.connections.iter().any(|connection| !connection.relayed);
            if direct && peer.speaks.is_some_and(|speaks| speaks.relay) {
                let _ = found.try_send(FoundRelay { node: *node, tcp: peer.tcp() });
            }
        }
        connections.relay_seekers.retain(|seeker| !seeker.is_closed());
        if connections.relay_seekers.len() < MAX_RELAY_SEEKERS {
            connections.relay_seekers.push(found);
        }
    }

    pub(super) fn dial(&mut self, node: PeerId, addresses: Vec<Multiaddr>) {
        // A circuit to the node is no reason not to dial it directly.
        let only_relayed = self.connections.peers.contains_key(&node) && !self.connections.is_connected(&node);
        let condition = if only_relayed { PeerCondition::NotDialing } else { PeerCondition::DisconnectedAndNotDialing };
        let options = DialOpts::peer_id(node)
            .addresses(addresses)
            .condition(condition)
            .extend_addresses_through_behaviour()
            .build();
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => self.connections.dialling(node, id),
            // Being dialled, perhaps by Kademlia: that dial's end is ours.
            Err(DialError::DialPeerConditionFalse(_)) if self.connections.dials.contains_key(&node) => {}
            Err(_) => {
                self.connections.waiting.remove(&node);
                self.relay_unreachable(node);
            }
        }
    }

    pub(super) fn connection_established(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        self.connections.end_dial(&peer, id);
        if self.dialled_back(id) {
            return;
        }
        let (remote, relayed) = (endpoint.get_remote_address().clone(), endpoint.is_relayed());
        let remote = match endpoint {
            // A circuit's remote address names only the peer; the relay is in the local one.
            ConnectedPoint::Listener { local_addr, .. } if relayed => local_addr.clone(),
            ConnectedPoint::Listener { .. } | ConnectedPoint::Dialer { .. } => remote,
        };
        let connection = Connection { id, remote, relayed, dialled: endpoint.is_dialer() };
        let opened = if connection.dialled { &mut self.connections.dialled } else { &mut self.connections.visited };
        *opened = opened.saturating_add(1);
        self.connections.peers.entry(peer).or_default().connections.push(connection);
        if let Some(waiting) = self.connections.circuits.remove(&id) {
            let _ = waiting.send(id);
        }
        if relayed {
            return;
        }
        // A node that we were told to enter by, or entered by before, is good as soon as it is reached: a run may end
        // before it has introduced itself. Of others we wait to hear that they are nodes at all.
        if let ConnectedPoint::Dialer { address, .. } = endpoint
            && self.connections.join.is_entrance(&peer)
        {
            self.remember(peer, without_peer(address));
        }
        let connected = self.connections.connected(&peer);
        for waiting in self.connections.waiting.remove(&peer).into_iter().flatten() {
            let _ = waiting.send(connected);
        }
        self.reserve_if_asking(peer);
    }

    pub(super) fn connection_closed(&mut self, peer: PeerId, id: ConnectionId) {
        if self.dial_back_ended(id) {
            return;
        }
        if let Some(known) = self.connections.peers.get_mut(&peer) {
            known.connections.retain(|connection| connection.id != id);
            if known.connections.is_empty() {
                self.connections.peers.remove(&peer);
            }
        }
        if !self.connections.is_connected(&peer) {
            self.relaying.client_left(&peer);
            self.relay_unreachable(peer);
        }
        if self.connections.is_cut_off() && self.connections.join.due.is_none() {
            let now = Instant::now();
            let hurry = self.connections.join.hurry_until.is_some_and(|until| now < until);
            self.connections.join.attempts = 0;
            self.connections.join.due = Some(if hurry { now } else { now + JOIN_RETRY });
        }
    }

    pub(super) fn dial_failed(&mut self, peer: Option<PeerId>, id: ConnectionId, error: &DialError) {
        self.connections.circuits.remove(&id);
        let Some(peer) = peer else { return };
        self.connections.end_dial(&peer, id);
        if self.dial_back_ended(id) {
            return;
        }
        let still_dialling = self.connections.dials.contains_key(&peer);
        if matches!(error, DialError::DialPeerConditionFalse(_)) || still_dialling {
            return;
        }
        tracing::debug!(%error, "a node could not be reached");
        if self.connections.is_connected(&peer) {
            return;
        }
        self.connections.waiting.remove(&peer);
        self.relay_unreachable(peer);
        // A dead node costs every later lookup time. Without any connection, though, it is rather us who are cut off.
        let written_down = self.connections.join.bootstrap.iter().any(|(node, _)| *node == peer);
        if !self.connections.peers.is_empty() && !written_down {
            self.swarm.behaviour_mut().kad.remove_peer(&peer);
        }
    }

    pub(super) fn handle_identify_event(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id: peer, connection_id, info } = event else { return };
        if self.connections.relay_of(&peer, connection_id).is_some() {
            return;
        }
        let speaks = |protocol| info.protocols.contains(&protocol);
        let speaks = Speaks { kad: speaks(KAD), hop: speaks(HOP), pipe: speaks(PIPE), relay: speaks(RELAY) };
        let Some(known) = self.connections.peers.get_mut(&peer) else { return };
        let relayed_before = known.speaks.replace(speaks).is_some_and(|before| before.relay);
        let dialled_at =
            known.connections.iter().find(|connection| connection.id == connection_id && connection.dialled);
        let dialled_at = dialled_at.map(|connection| without_peer(&connection.remote));

        if speaks.relay && !relayed_before {
            self.connections.relay_found(peer);
        }
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let claimed = info.listen_addrs.iter().map(without_peer).filter(|address| rules.may_dial(address));
        let mut addresses: Vec<Multiaddr> = dialled_at.iter().cloned().chain(claimed).collect();
        drop(rules);
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES_PER_NODE);

        let kad = &mut self.swarm.behaviour_mut().kad;
        if !speaks.kad {
            // Lazy negotiation took it for one of ours before it could say that it is not.
            kad.remove_peer(&peer);
            self.cache.forget(&peer);
        }
        if speaks.kad {
            self.connections.join.entered = true;
            self.enter_in_table(peer, &addresses);
        }
        if speaks.kad && speaks.hop {
            self.relaying.offer(peer, addresses, true, Instant::now());
        } else {
            self.relaying.withdraw_offer(&peer);
        }
        if let Some(address) = dialled_at.filter(|_| speaks.kad) {
            self.remember(peer, address);
        }
    }

    fn remember(&mut self, node: PeerId, address: Multiaddr) {
        self.cache.good(node, address, unix_s());
        self.connections.news_for_cache = true;
    }
}

impl Join {
    fn is_entrance(&self, node: &PeerId) -> bool {
        let configured = self.bootstrap.iter().any(|(known, _)| known == node);
        configured || self.remembered.iter().any(|known| known.node == *node)
    }
}

impl Connections {
    /// Tells those who look for a relay; one that has more to ask than it can is content.
    fn relay_found(&mut self, node: PeerId) {
        let found = FoundRelay { node, tcp: self.peers.get(&node).and_then(Peer::tcp) };
        self.relay_seekers.retain(|seeker| !seeker.is_closed());
        for seeker in &self.relay_seekers {
            let _ = seeker.try_send(found);
        }
    }

    fn end_dial(&mut self, peer: &PeerId, id: ConnectionId) {
        if let Some(dials) = self.dials.get_mut(peer) {
            dials.remove(&id);
            if dials.is_empty() {
                self.dials.remove(peer);
            }
        }
    }
}
