//! Dialling nodes that want to know whether strangers reach them (AutoNAT v2): connections of their own kind, which are
//! used for nothing else and do not stay.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::Driver;
use crate::base::RateTable;
use crate::rendezvous::limits::Limits;

/// Dialling, saying the number, and hearing that it has arrived. Nothing else ends such a connection for sure.
const LONGEST: Duration = Duration::from_secs(20);

pub(super) struct DiallingBack {
    most: usize,
    by_node: RateTable<PeerId>,
    by_address: RateTable<IpAddr>,
    /// Connections being made and used, bounded by `most`.
    open: BTreeMap<ConnectionId, DialBack>,
}

struct DialBack {
    until: Instant,
    /// Who waits for the connection, until it is there.
    reply: Option<oneshot::Sender<Option<ConnectionId>>>,
}

impl DiallingBack {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            most: limits.dial_backs,
            by_node: RateTable::new(limits.dial_back_rate_per_node),
            by_address: RateTable::new(limits.dial_back_rate_per_address),
            open: BTreeMap::new(),
        }
    }

    /// Whether a node may be dialled at its wish. `address` as limits count it.
    pub(super) fn admits(&mut self, node: PeerId, address: IpAddr) -> bool {
        let now = Instant::now();
        self.open.len() < self.most && self.by_address.take(&address, now) && self.by_node.take(&node, now)
    }
}

impl Driver {
    /// Dials a node at an address of its own. From a new port: through a hole that our other connection has made in its
    /// router nobody else would come.
    pub(super) fn dial_back(&mut self, node: PeerId, address: Multiaddr, reply: oneshot::Sender<Option<ConnectionId>>) {
        let may_dial = self.rules.read().unwrap_or_else(PoisonError::into_inner).may_dial(&address);
        if !may_dial || self.dialling_back.open.len() >= self.dialling_back.most {
            return;
        }
        let options = DialOpts::peer_id(node)
            .addresses(vec![address])
            .condition(PeerCondition::Always)
            .allocate_new_port()
            .build();
        let id = options.connection_id();
        if self.swarm.dial(options).is_ok() {
            self.swarm.behaviour_mut().streams.set_aside(id);
            let until = Instant::now() + LONGEST;
            self.dialling_back.open.insert(id, DialBack { until, reply: Some(reply) });
        } else {
            let _ = reply.send(None);
        }
    }

    /// Whether the connection that was made is one of these.
    pub(super) fn dialled_back(&mut self, id: ConnectionId) -> bool {
        let Some(dial) = self.dialling_back.open.get_mut(&id) else { return false };
        if let Some(reply) = dial.reply.take() {
            let _ = reply.send(Some(id));
        }
        true
    }

    /// Whether the connection that ended, or could not be made, was one of these.
    pub(super) fn dial_back_ended(&mut self, id: ConnectionId) -> bool {
        let Some(dial) = self.dialling_back.open.remove(&id) else { return false };
        self.swarm.behaviour_mut().streams.forget(id);
        if let Some(reply) = dial.reply {
            let _ = reply.send(None);
        }
        true
    }

    /// Ends those that nobody has ended.
    pub(super) fn close_old_dial_backs(&mut self, now: Instant) {
        let old = self.dialling_back.open.iter().filter(|(_, dial)| dial.until <= now);
        for id in old.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.swarm.close_connection(id);
        }
    }
}
