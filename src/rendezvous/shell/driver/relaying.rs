//! Our reservations at super-peers, and the reservations of others here.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, relay};

use super::Driver;
use crate::rendezvous::record::NodeAddresses;
use crate::rendezvous::relays::{Loss, RelayManager};
use crate::rendezvous::shell::command::{PROBE_TIMEOUT, Probe};

/// TCP has no keep-alive here: asking serves as one, as often as QUIC's super-peer side does.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(55);

/// Nodes other than our relays that are checked at a time.
const MAX_CHECKED: usize = 16;

pub(super) struct Relaying {
    /// We want to be rung through relays.
    wanted: bool,
    manager: RelayManager,
    listeners: Vec<(ListenerId, PeerId)>,
    last_check: Option<Instant>,
    /// The next relay that turns out to be alive is reason to publish.
    publish_when_checked: bool,
    /// Nodes with a place reserved here.
    clients: BTreeSet<PeerId>,
}

impl Relaying {
    pub(super) fn new(wanted: bool, seed: u64) -> Self {
        Self {
            wanted,
            manager: RelayManager::new(seed),
            listeners: Vec::new(),
            last_check: None,
            publish_when_checked: false,
            clients: BTreeSet::new(),
        }
    }

    pub(super) fn offer(&mut self, relay: PeerId, addresses: Vec<Multiaddr>, known: bool, now: Instant) {
        self.manager.offer(relay, addresses, known, now);
    }

    pub(super) fn withdraw_offer(&mut self, relay: &PeerId) {
        self.manager.withdraw_offer(relay);
    }

    pub(super) fn network_changed(&mut self, now: Instant) {
        self.manager.network_changed(now);
    }

    pub(super) fn publish_when_checked(&mut self) {
        self.publish_when_checked = true;
    }

    pub(super) fn held(&self) -> Vec<NodeAddresses> {
        self.manager.held()
    }

    pub(super) fn is_held(&self, relay: &PeerId) -> bool {
        self.manager.is_held(relay)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.manager.poll_timeout().filter(|_| self.wanted).map(|(at, _)| at)
    }

    pub(super) fn has_client(&self, node: &PeerId) -> bool {
        self.clients.contains(node)
    }

    pub(super) fn client_left(&mut self, node: &PeerId) {
        self.clients.remove(node);
    }

    /// All that have a place here, who are to lose it.
    pub(super) fn dismiss_clients(&mut self) -> BTreeSet<PeerId> {
        std::mem::take(&mut self.clients)
    }

    /// Super-peers that are known, of whom things can be asked.
    pub(super) fn super_peers(&self) -> Vec<NodeAddresses> {
        self.manager.all()
    }

    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn handle_server_event(&mut self, event: relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, .. } => {
                self.clients.insert(src_peer_id);
            }
            relay::Event::ReservationTimedOut { src_peer_id } => self.client_left(&src_peer_id),
            // `ReservationClosed` comes for every connection that closes, with or without a reservation on it; the
            // closing of the last one is what counts.
            relay::Event::ReservationReqDenied { .. } | relay::Event::CircuitReqDenied { .. } => {
                tracing::debug!(?event, "a relay request was denied");
            }
            _ => {}
        }
    }
}

impl Driver {
    /// Asks for what reservations are missing.
    pub(super) fn act_on_relays(&mut self, now: Instant) {
        if !self.relaying.wanted || self.leaving.is_some() {
            return;
        }
        self.relaying.manager.handle_timeout(now);
        while let Some(ask) = self.relaying.manager.poll_ask(now) {
            if self.connections.is_connected(&ask.relay) {
                self.reserve_if_asking(ask.relay);
            } else {
                self.dial(ask.relay, ask.addresses);
            }
        }
    }

    /// Listens through a relay that we are connected to and want. (Listening through one that is being dialled would
    /// fail: libp2p dials it a second time then.)
    pub(super) fn reserve_if_asking(&mut self, relay: PeerId) {
        let pending = self.relaying.listeners.iter().any(|(_, listening)| *listening == relay);
        if !self.relaying.manager.is_asking(&relay) || pending {
            return;
        }
        let Some(address) = self.relaying.manager.address(&relay) else { return };
        let circuit = address.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
        match self.swarm.listen_on(circuit) {
            Ok(listener) => self.relaying.listeners.push((listener, relay)),
            Err(error) => {
                tracing::debug!(%error, "cannot listen through a relay");
                self.relay_unreachable(relay);
            }
        }
    }

    pub(super) fn reservation_accepted(&mut self, relay: PeerId) {
        if self.relaying.manager.accepted(&relay) {
            tracing::debug!("a relay reserved a place for us");
            self.relays_changed();
        }
    }

    pub(super) fn reservation_ended(&mut self, listener: ListenerId, reason: &io::Result<()>) {
        let Some(at) = self.relaying.listeners.iter().position(|(known, _)| *known == listener) else { return };
        let (_, relay) = self.relaying.listeners.swap_remove(at);
        if self.relaying.manager.is_asking(&relay) && !self.connections.is_connected(&relay) {
            // The end of what was lost with the former connection; the next one is being made.
            return;
        }
        let loss =
            if reason.is_err() && self.connections.is_connected(&relay) { Loss::Refused } else { Loss::Unreachable };
        self.relay_lost(relay, loss);
    }

    pub(super) fn relay_unreachable(&mut self, relay: PeerId) {
        self.relay_lost(relay, Loss::Unreachable);
    }

    fn relay_lost(&mut self, relay: PeerId, loss: Loss) {
        if self.relaying.manager.lost(&relay, loss, Instant::now()) {
            tracing::debug!(?loss, "a relay was lost");
            self.relays_changed();
        }
    }

    fn relays_changed(&mut self) {
        self.update_reachability(Instant::now());
    }

    /// Asks every relay whether we are still reserved there: after a sleep, a change of network, before a ring. A dead
    /// QUIC connection shows by itself only after a minute.
    pub(super) fn check_relays(&mut self, patience: Duration) {
        self.relaying.last_check = Some(Instant::now());
        for NodeAddresses { node, .. } in self.relaying.held() {
            self.check(node, patience);
        }
    }

    fn check(&self, node: PeerId, patience: Duration) {
        let (net, on) = (self.net.clone(), self.connections.newest(&node));
        tokio::spawn(async move { net.probe(node, on, patience).await });
    }

    /// The same of the other nodes that we are connected to: rings and lookups go over them.
    pub(super) fn check_everybody(&mut self, patience: Duration) {
        for node in self.connections.nodes().filter(|node| !self.relaying.is_held(node)).take(MAX_CHECKED) {
            self.check(node, patience);
        }
    }

    pub(super) fn keep_tcp_relays_alive(&mut self, now: Instant) {
        let due = self.relaying.last_check.is_none_or(|last| now.duration_since(last) >= TCP_KEEP_ALIVE);
        if due && self.relaying.held().iter().any(|relay| self.connections.is_on_tcp(&relay.node)) {
            self.check_relays(PROBE_TIMEOUT);
        }
    }

    /// Closing a dead connection makes everything else notice: the reservation ends, queries fail over, the next ring
    /// dials anew.
    pub(super) fn probed(&mut self, node: PeerId, on: Option<ConnectionId>, outcome: Probe) {
        let dead = match outcome {
            Probe::Reserved => false,
            Probe::NotReserved => self.relaying.is_held(&node),
            Probe::Silent => true,
        };
        if outcome == Probe::Reserved && std::mem::take(&mut self.relaying.publish_when_checked) {
            self.dht.publish_again(Instant::now());
        }
        if dead {
            tracing::debug!(?outcome, "a super-peer is gone, or has forgotten us");
            // Another connection may have taken the place of the one that was asked over.
            match on {
                Some(connection) => drop(self.swarm.close_connection(connection)),
                None => drop(self.swarm.disconnect_peer_id(node)),
            }
        }
    }
}
