//! Nodes that were good last time, so that the next start needs no help. A text file, newest first, one node and
//! address per line: `UNIX_SECONDS /ip4/…/udp/…/quic-v1/p2p/ID`. It is read as a stranger's: anything odd is skipped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use libp2p::{Multiaddr, PeerId};

use super::address::{AddressRules, parse_node};
use super::limits::MAX_ADDRESSES_PER_NODE;
use super::record::NodeAddresses;

/// Nodes remembered; the one that was good longest ago makes room.
const MAX_NODES: usize = 200;
/// A longer file is not ours.
pub(super) const MAX_FILE_BYTES: u64 = 256 * 1024;
const HEADER: &str = "# twocans: nodes that were good, newest first; may be deleted\n";

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PeerCache {
    nodes: BTreeMap<PeerId, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    seen_unix_s: u64,
    addresses: Vec<Multiaddr>,
}

impl PeerCache {
    /// Reads a file's content; whatever `rules` would not dial is left out.
    pub(super) fn parse(text: &str, rules: &AddressRules) -> Self {
        let mut cache = Self::default();
        for line in text.lines() {
            let Some((seen, address)) = line.split_once(' ') else { continue };
            let (Ok(seen), Some((node, address))) = (seen.parse(), parse_node(address.trim())) else { continue };
            if rules.may_dial(&address) {
                cache.good(node, address, seen);
            }
        }
        cache
    }

    /// The node was reached at this address.
    pub(super) fn good(&mut self, node: PeerId, address: Multiaddr, unix_s: u64) {
        let entry = self.nodes.entry(node).or_insert(Entry { seen_unix_s: unix_s, addresses: Vec::new() });
        entry.seen_unix_s = entry.seen_unix_s.max(unix_s);
        if !entry.addresses.contains(&address) {
            entry.addresses.push(address);
            if entry.addresses.len() > MAX_ADDRESSES_PER_NODE {
                entry.addresses.remove(0);
            }
        }
        if self.nodes.len() > MAX_NODES {
            let oldest = self.nodes.iter().min_by_key(|(_, entry)| entry.seen_unix_s).map(|(node, _)| *node);
            self.nodes.retain(|node, _| Some(*node) != oldest);
        }
    }

    /// It turned out to be no node of ours.
    pub(super) fn forget(&mut self, node: &PeerId) {
        self.nodes.remove(node);
    }

    /// All of them, newest first.
    pub(super) fn nodes(&self) -> Vec<NodeAddresses> {
        self.newest_first()
            .map(|(node, entry)| NodeAddresses { node: *node, addresses: entry.addresses.clone() })
            .collect()
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::from(HEADER);
        for (node, Entry { seen_unix_s, addresses }) in self.newest_first() {
            for address in addresses {
                let _ = writeln!(text, "{seen_unix_s} {address}/p2p/{node}");
            }
        }
        text
    }

    fn newest_first(&self) -> impl Iterator<Item = (&PeerId, &Entry)> {
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.seen_unix_s));
        nodes.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> AddressRules {
        AddressRules::new(true, vec![])
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_newest_first() {
        let mut cache = PeerCache::default();
        let nodes: Vec<PeerId> = (0..3).map(|_| PeerId::random()).collect();
        for (node, seen) in nodes.iter().zip([20, 30, 10]) {
            cache.good(*node, address(seen), u64::from(seen));
            cache.good(*node, address(seen + 1), 5);
        }
        let read = PeerCache::parse(&cache.to_text(), &rules());
        assert_eq!(read, cache);
        let order: Vec<PeerId> = read.nodes().iter().map(|node| node.node).collect();
        assert_eq!(order, [nodes[1], nodes[0], nodes[2]]);
    }

    #[test]
    fn only_the_last_200_are_kept() {
        let mut cache = PeerCache::default();
        for seen in 0..300 {
            cache.good(PeerId::random(), address(1000), seen);
        }
        assert_eq!(cache.nodes.len(), MAX_NODES);
        assert!(cache.nodes.values().all(|entry| entry.seen_unix_s >= 100));
    }

    #[test]
    fn a_hostile_file_is_read_without_harm() {
        let peer = PeerId::random();
        let text = format!(
            "garbage\n\n1\n-5 /ip4/127.0.0.1/tcp/1/p2p/{peer}\n7 /ip4/8.8.8.8/tcp/1/p2p/{peer}\n\
             8 /ip4/127.0.0.1/tcp/1\n99999999999999999999999 /ip4/127.0.0.1/tcp/1/p2p/{peer}\n\
             9 /ip4/127.0.0.1/tcp/1/p2p/{peer}/p2p-circuit\n10 /ip4/127.0.0.1/tcp/1/p2p/{peer}\n"
        );
        let cache = PeerCache::parse(&text, &rules());
        assert_eq!(cache.nodes().len(), 1);
        assert_eq!(cache.nodes()[0].addresses.len(), 1, "only the loopback one when isolated");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text: String) {
            let cache = PeerCache::parse(&text, &rules());
            prop_assert!(cache.nodes.len() <= MAX_NODES);
        }
    }
}
