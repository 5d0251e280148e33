//! The routing table: who gets in, and how it stays true.

use std::time::Instant;

use libp2p::kad::{self, QueryId};
use libp2p::{Multiaddr, PeerId};

use super::dht::Purpose;
use super::{Driver, draw};
use crate::rendezvous::upkeep::key_in;

impl Driver {
    /// Puts a node that has introduced itself where queries find it, if there is room: see [`crate::rendezvous::upkeep`].
    pub(super) fn enter_in_table(&mut self, node: PeerId, addresses: &[Multiaddr]) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let Some(bucket) = kad.kbucket(node) else { return };
        let known = bucket.iter().any(|entry| *entry.node.key.preimage() == node);
        let room = bucket.num_entries() < kad::K_VALUE.get();
        if known || room || self.dht.upkeep.may_check_oldest(Instant::now()) {
            for address in addresses {
                kad.add_address(&node, address.clone());
            }
        }
    }

    /// A super-peer's neighbours have to know each other, and each of its buckets somebody who is there.
    pub(super) fn refresh_table(&mut self, now: Instant) {
        if self.dht.upkeep.poll_timeout().is_none_or(|(at, _)| at > now) {
            return;
        }
        let random = draw().jitter;
        let kad = &mut self.swarm.behaviour_mut().kad;
        let ranges: Vec<_> = kad.kbuckets().map(|bucket| bucket.range()).collect();
        let Some(refresh) = self.dht.upkeep.poll_refresh(now, ranges.len(), random) else { return };
        if let Some(range) = ranges.get(refresh.bucket) {
            let query = kad.get_closest_peers(key_in(&self.me, *range, random));
            self.dht.queries.insert(query, Purpose::Refresh { own: false });
        }
        if refresh.own {
            let query = kad.get_closest_peers(self.me);
            self.dht.queries.insert(query, Purpose::Refresh { own: true });
        }
    }

    /// Kademlia looks up a nearly empty table's own neighbourhood and then goes on to every bucket; the first is enough.
    pub(super) fn end_bootstrap(&mut self, query: QueryId) {
        if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&query) {
            query.finish();
        }
    }
}
