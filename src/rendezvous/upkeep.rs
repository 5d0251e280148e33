//! How the routing table is kept true at little cost, and what it says about the size of the network.
//!
//! Kademlia (Maymounkov, Mazières 2002) checks the oldest node of a full bucket whenever a stranger shows up (§2.2).
//! Here a check is a connection, at whose other end we are a stranger in turn: in a large network nearly every
//! connection would cause another one, for ever. So strangers fill what room there is, nodes that fail to answer make
//! room (the paper's §4.1), and the oldest are checked one at a time, now and then.
//!
//! A newcomer looks its own neighbourhood up, which makes it known there. That every one of its buckets be looked up as
//! well (§2.3) would cost hundreds of connections at once; a super-peer's are, one by one, and a client fills its own
//! by what it looks for.

use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::kad::{KBucketDistance, KBucketKey};

/// A stranger may have the oldest node of its full bucket checked this often, over all buckets.
const CHECK_INTERVAL: Duration = Duration::from_secs(2 * 60);
/// A super-peer looks up its own neighbourhood and one more of its buckets this often: some fifty connections. A
/// client's table serves only the client, whose publications go through it every 25 minutes.
const REFRESH: Duration = Duration::from_secs(20 * 60);
/// Between buckets, until each has been looked up once.
const FIRST_REFRESH: Duration = Duration::from_secs(3 * 60);
/// Keys tried until one falls into a bucket. The buckets that these do not hit hold our neighbourhood.
const KEYS_TRIED: u64 = 4096;
/// Nodes among which a distance is measured: Kademlia's k.
const NEIGHBOURS: usize = 20;
/// Neighbours lie this many times (as a power of two) closer to a key than elsewhere only if somebody made it so: with
/// ids drawn at random that happens to fewer than one key in 100 000.
const CROWDED: usize = 2;

/// When to look after the table.
pub(super) struct Upkeep {
    refresh: Option<Instant>,
    check: Option<Instant>,
    turn: usize,
}

/// What is to be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refresh {
    /// This one of the buckets that are not empty, the closest first.
    pub(super) bucket: usize,
    /// And our own neighbourhood.
    pub(super) own: bool,
}

impl Upkeep {
    /// `random` spreads the nodes that start together.
    pub(super) fn new(server: bool, now: Instant, random: u64) -> Self {
        Self { refresh: server.then(|| now + spread(FIRST_REFRESH, random)), check: None, turn: 0 }
    }

    /// We began, or ceased, to be somebody's neighbour.
    pub(super) fn set_server(&mut self, server: bool, now: Instant, random: u64) {
        *self = Self { check: self.check, ..Self::new(server, now, random) };
    }

    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.refresh.map(|at| (at, "refresh the routing table"))
    }

    /// What is due, with that many `buckets` not empty.
    pub(super) fn poll_refresh(&mut self, now: Instant, buckets: usize, random: u64) -> Option<Refresh> {
        self.refresh.filter(|at| *at <= now)?;
        let first_round = self.turn < buckets;
        let refresh = Refresh { bucket: self.turn % buckets.max(1), own: !first_round };
        self.turn += 1;
        let pause = if self.turn < buckets { FIRST_REFRESH } else { REFRESH };
        self.refresh = Some(now + spread(pause, random));
        Some(refresh)
    }

    /// Whether a stranger is reason to check the oldest node of its bucket.
    pub(super) fn may_check_oldest(&mut self, now: Instant) -> bool {
        let may = self.check.is_none_or(|at| at <= now);
        if may {
            self.check = Some(now + CHECK_INTERVAL);
        }
        may
    }
}

/// Give or take a quarter.
fn spread(pause: Duration, random: u64) -> Duration {
    pause.mul_f64(0.75 + (random % 1024) as f64 / 2048.0)
}

/// A key whose distance from `me` lies in `range`, or one anywhere if none is found soon: what the network looks up is
/// hashed first.
pub(super) fn key_in(me: &PeerId, range: (KBucketDistance, KBucketDistance), random: u64) -> Vec<u8> {
    let me = KBucketKey::from(*me);
    let key = |tried: u64| [random.to_be_bytes(), tried.to_be_bytes()].concat();
    let lies_there = |key: &Vec<u8>| {
        let distance = KBucketKey::new(key.clone()).distance(&me);
        range.0 <= distance && distance <= range.1
    };
    (0..KEYS_TRIED).map(key).find(lies_there).unwrap_or_else(|| key(0))
}

/// Whether `found`, the nodes closest to a key, lie so close to it that somebody must have made their ids for the
/// purpose. `usual`: the nodes closest to `me`, whom presumably nobody attacks. With fewer than [`NEIGHBOURS`] of either
/// there is nothing to compare.
pub(super) fn is_crowded(key: &[u8], found: &[PeerId], me: &PeerId, usual: &[PeerId]) -> bool {
    let (key, me) = (KBucketKey::new(key.to_vec()), KBucketKey::from(*me));
    let here = radius(found.iter().map(|node| KBucketKey::from(*node).distance(&key)));
    let elsewhere = radius(usual.iter().map(|node| KBucketKey::from(*node).distance(&me)));
    here.zip(elsewhere).is_some_and(|(here, elsewhere)| here.0 < elsewhere.0 >> CROWDED)
}

/// Within which as many nodes lie as are neighbours.
fn radius(distances: impl Iterator<Item = KBucketDistance>) -> Option<KBucketDistance> {
    let mut distances: Vec<_> = distances.collect();
    distances.sort();
    distances.get(NEIGHBOURS - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `count` of `nodes` that are closest to a key.
    fn closest(nodes: &[PeerId], key: &KBucketKey<Vec<u8>>, count: usize) -> Vec<PeerId> {
        let mut nodes = nodes.to_vec();
        nodes.sort_by_key(|node| KBucketKey::from(*node).distance(key));
        nodes.truncate(count);
        nodes
    }

    #[test]
    fn only_super_peers_refresh_and_every_bucket_gets_its_turn() {
        const BUCKETS: usize = 5;
        let now = Instant::now();
        assert_eq!(Upkeep::new(false, now, 7).poll_timeout(), None);
        let mut upkeep = Upkeep::new(true, now, 7);
        assert_eq!(upkeep.poll_refresh(now, BUCKETS, 7), None);
        let (mut refreshed, mut pauses, mut last) = (Vec::new(), Vec::new(), now);
        for random in 0..2 * BUCKETS as u64 {
            let (due, _) = upkeep.poll_timeout().unwrap();
            pauses.push(due - last);
            refreshed.extend(upkeep.poll_refresh(due, BUCKETS, random * 100));
            last = due;
        }
        let both_rounds: Vec<Refresh> =
            (0..2 * BUCKETS).map(|turn| Refresh { bucket: turn % BUCKETS, own: turn >= BUCKETS }).collect();
        assert_eq!(refreshed, both_rounds);
        let about = |pause: &Duration, wanted: Duration| *pause >= wanted * 3 / 4 && *pause <= wanted * 5 / 4;
        assert!(pauses[..BUCKETS].iter().all(|pause| about(pause, FIRST_REFRESH)), "{pauses:?}");
        assert!(pauses[BUCKETS..].iter().all(|pause| about(pause, REFRESH)), "{pauses:?}");
        let empty = upkeep.poll_refresh(last + REFRESH * 2, 0, 0);
        assert_eq!(empty, Some(Refresh { bucket: 0, own: true }), "an empty table");
    }

    #[test]
    fn strangers_have_the_oldest_checked_now_and_then() {
        let now = Instant::now();
        let mut upkeep = Upkeep::new(false, now, 0);
        assert!(upkeep.may_check_oldest(now));
        assert!(!upkeep.may_check_oldest(now + CHECK_INTERVAL / 2));
        assert!(upkeep.may_check_oldest(now + CHECK_INTERVAL));
    }

    #[test]
    fn a_key_is_found_in_the_far_buckets() {
        let me = PeerId::random();
        let there = KBucketKey::from(PeerId::random()).distance(&KBucketKey::from(me));
        let bucket = there.ilog2().unwrap() as usize;
        let range = (KBucketDistance((there.0 >> bucket) << bucket), there);
        let found = KBucketKey::new(key_in(&me, range, 42)).distance(&KBucketKey::from(me));
        assert!(range.0 <= found && found <= range.1);
        let nowhere = (KBucketDistance::default(), KBucketDistance::default());
        assert_eq!(key_in(&me, nowhere, 1).len(), 16);
        assert_ne!(key_in(&me, nowhere, 1), key_in(&me, nowhere, 2));
    }

    #[test]
    fn a_crowd_next_to_a_key_is_noticed_and_an_ordinary_one_is_none() {
        let nodes: Vec<PeerId> = (0..300).map(|_| PeerId::random()).collect();
        let me = PeerId::random();
        let usual = closest(&nodes, &KBucketKey::new(me.to_bytes()), NEIGHBOURS);
        for key in 0..100u8 {
            let target = KBucketKey::new(vec![key]);
            assert!(!is_crowded(&[key], &closest(&nodes, &target, NEIGHBOURS), &me, &usual));
        }
        let target = KBucketKey::new(vec![1]);
        let strangers: Vec<PeerId> = (0..6000).map(|_| PeerId::random()).collect();
        let liars = closest(&strangers, &target, NEIGHBOURS + 5);
        let found = closest(&[nodes, liars].concat(), &target, NEIGHBOURS);
        assert!(is_crowded(&[1], &found, &me, &usual));
        assert!(!is_crowded(&[1], &found[1..], &me, &usual), "too few to compare");
        assert!(!is_crowded(&[1], &found, &me, &usual[1..]));
    }
}
