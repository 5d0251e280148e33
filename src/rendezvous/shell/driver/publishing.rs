//! Our own record: laying it on the nodes closest to its key, and taking it back.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Instant;

use libp2p::PeerId;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, PeerInfo, Quorum};

use super::dht::Purpose;
use super::{Driver, draw};
use crate::rendezvous::RendezvousEvent;
use crate::rendezvous::limits::RECORD_TTL;
use crate::rendezvous::presence::{ENOUGH_ACKS, Entry, Publication};
use crate::rendezvous::shell::ring::{node_id, unix_ms};
use crate::rendezvous::upkeep::is_crowded;

/// A publication under way.
pub(super) struct Publishing {
    relays: Vec<PeerId>,
    started: Instant,
    open: usize,
    acks: BTreeSet<PeerId>,
    told: usize,
}

impl Driver {
    /// Every second time the record goes to where the last one lies; in between, the closest nodes are looked for anew.
    pub(super) fn publish(&mut self, Publication { entries, relays }: Publication, now: Instant) {
        let last = std::mem::take(&mut self.dht.stored);
        self.dht.publishing =
            Some(Publishing { relays, started: now, open: entries.len(), acks: BTreeSet::new(), told: 0 });
        if self.dht.placed_anew && entries.iter().all(|entry| lies_well(&last, entry)) {
            self.dht.placed_anew = false;
            for entry in entries {
                let nodes: Vec<PeerId> = last.get(&entry.key).into_iter().flatten().copied().collect();
                self.reach(&nodes);
                self.place(entry, nodes);
            }
            return;
        }
        self.dht.placed_anew = true;
        self.dht.places.clear();
        for entry in entries {
            let query = self.swarm.behaviour_mut().kad.get_closest_peers(entry.key.clone());
            self.dht.queries.insert(query, Purpose::Place(entry));
        }
    }

    /// Has nodes dialled where they were when they were found: Kademlia forgets the addresses of those for which its table
    /// has no room, and a connection that nobody uses is closed long before the next publication.
    fn reach(&mut self, nodes: &[PeerId]) {
        for node in nodes {
            let addresses = self.dht.places.get(node).cloned().unwrap_or_default();
            if !addresses.is_empty() && !self.connections.is_connected(node) {
                self.dial(*node, addresses);
            }
        }
    }

    /// The nodes closest to an entry's key were found. Where they are a crowd that somebody has put there, the record goes
    /// to all whom a reader asks (in the manner of region-based queries: Sridhar et al., NDSS 2024).
    pub(super) fn found_place(&mut self, entry: Entry, found: Vec<PeerInfo>) {
        let nodes: Vec<PeerId> = found.iter().map(|node| node.peer_id).collect();
        self.dht.places.extend(found.into_iter().map(|node| (node.peer_id, node.addrs)));
        let kad = &mut self.swarm.behaviour_mut().kad;
        let own = kad::KBucketKey::from(self.me);
        let usual = kad.get_closest_local_peers(&own).take(kad::K_VALUE.get());
        let usual: Vec<PeerId> = usual.map(kad::KBucketKey::into_preimage).collect();
        if is_crowded(&entry.key, &nodes, &self.me, &usual) {
            tracing::debug!("the neighbourhood of our record is crowded");
            // Or we do not know our own neighbourhood yet: the next publication looks anew.
            self.dht.placed_anew = false;
            let query = kad.get_record(entry.key.clone().into());
            self.dht.queries.insert(query, Purpose::PlaceWidely { entry, nodes: nodes.into_iter().collect() });
        } else {
            self.place(entry, nodes);
        }
    }

    /// Stores an entry on each of the nodes closest to its key. One query for each: what counts is which of them took
    /// it, and one that is frozen must not delay the news of the others.
    pub(super) fn place(&mut self, entry: Entry, mut nodes: Vec<PeerId>) {
        nodes.retain(|node| *node != self.me);
        let Entry { key, value } = entry;
        let kad = &mut self.swarm.behaviour_mut().kad;
        let record =
            kad::Record { key: key.clone().into(), value, publisher: None, expires: Some(Instant::now() + RECORD_TTL) };
        let open = nodes.len();
        for node in nodes {
            let query = kad.put_record_to(record.clone(), std::iter::once(node), Quorum::One);
            self.dht.queries.insert(query, Purpose::Store { key: key.clone(), node });
        }
        // A super-peer's own record lies on itself as well: it may be the only node there is.
        let own = kad.mode() == kad::Mode::Server && kad.store_mut().put(record).is_ok();
        if let Some(publishing) = &mut self.dht.publishing {
            publishing.open += open;
        }
        if own {
            self.acknowledged(key, self.me);
        }
        self.one_publishing_step_ended();
    }

    pub(super) fn acknowledged(&mut self, key: Vec<u8>, node: PeerId) {
        self.dht.stored.entry(key).or_default().insert(node);
        let Some(publishing) = &mut self.dht.publishing else { return };
        publishing.acks.insert(node);
        if publishing.told == 0 {
            self.tell_published();
        }
    }

    pub(super) fn one_publishing_step_ended(&mut self) {
        let Some(publishing) = &mut self.dht.publishing else { return };
        publishing.open = publishing.open.saturating_sub(1);
        if publishing.open > 0 {
            return;
        }
        let acks = publishing.acks.len();
        if acks > publishing.told {
            self.tell_published();
        }
        self.dht.publishing = None;
        if let Some(publisher) = &mut self.dht.publisher {
            publisher.finished(u32::try_from(acks).unwrap_or(u32::MAX), Instant::now(), &draw());
        }
    }

    fn tell_published(&mut self) {
        let Some(publishing) = &mut self.dht.publishing else { return };
        publishing.told = publishing.acks.len();
        let event = RendezvousEvent::PresencePublished {
            relays: publishing.relays.iter().filter_map(node_id).collect(),
            acks: u32::try_from(publishing.told).unwrap_or(u32::MAX),
            took: publishing.started.elapsed(),
        };
        self.tell(event);
    }

    /// Takes our records back from the nodes that have them.
    pub(super) fn withdraw(&mut self) {
        let Some(publisher) = &mut self.dht.publisher else { return };
        let entries = publisher.withdraw(unix_ms(), &draw());
        self.dht.publishing = None;
        for Entry { key, value } in entries {
            let nodes = self.dht.stored.remove(&key).unwrap_or_default();
            let nodes: Vec<PeerId> = nodes.into_iter().filter(|node| *node != self.me).collect();
            self.reach(&nodes);
            let kad = &mut self.swarm.behaviour_mut().kad;
            let record =
                kad::Record { key: key.into(), value, publisher: None, expires: Some(Instant::now() + RECORD_TTL) };
            if let Some(all) = NonZeroUsize::new(nodes.len()) {
                self.dht.withdrawing.insert(kad.put_record_to(record, nodes.into_iter(), Quorum::N(all)));
            }
        }
    }
}

/// Whether the nodes that took the last record of this key are still enough to take the next one. Finding them costs as
/// much as storing on them, and in 25 minutes few of them go.
fn lies_well(last: &BTreeMap<Vec<u8>, BTreeSet<PeerId>>, entry: &Entry) -> bool {
    last.get(&entry.key).is_some_and(|nodes| nodes.len() >= ENOUGH_ACKS as usize)
}
