//! Nodes that mean harm: they sit next to the key that they attack, answer everybody, and nothing of it is true.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, RecordStore};
use libp2p::kad::{self, KBucketKey, Quorum};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use sha2::{Digest, Sha256};
use twocans::identity::{BlindedKey, Period, PersonKey};

use super::choose;

/// A liar sends a record that is none to somebody this often.
const FLOOD: Duration = Duration::from_millis(500);
/// Keys made until those are found that lie next to the target.
const KEYS_MADE: usize = 8000;

/// Settles `count` liars next to the key under which `victim` publishes today, and has them dial all of `nodes`. They
/// run until the process ends.
pub fn settle_around(victim: &PersonKey, count: usize, nodes: &[Multiaddr]) {
    let target = record_key(victim);
    let keys = keys_next_to(&target, count);
    let friends: Vec<PeerId> = keys.iter().map(|key| key.public().to_peer_id()).collect();
    for key in keys {
        let (target, friends, nodes) = (target.clone(), friends.clone(), nodes.to_vec());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(lie(key, target, friends, nodes));
        });
    }
}

/// The key of a person's record today, as the DHT sees it.
fn record_key(of: &PersonKey) -> Vec<u8> {
    let today = Period::of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    let blinded = BlindedKey::derive(of, today).public();
    [b"/tc1/".as_slice(), Sha256::digest(blinded.as_bytes()).as_slice()].concat()
}

/// Node keys that lie closer to this key than any that came about by chance.
fn keys_next_to(key: &[u8], count: usize) -> Vec<Keypair> {
    let target = KBucketKey::new(key.to_vec());
    let mut keys: Vec<_> = (0..KEYS_MADE)
        .map(|_| {
            let keypair = Keypair::generate_ed25519();
            let distance = KBucketKey::from(keypair.public().to_peer_id()).distance(&target);
            (distance, keypair)
        })
        .collect();
    keys.sort_by_key(|(distance, _)| *distance);
    keys.into_iter().take(count).map(|(_, keypair)| keypair).collect()
}

#[derive(NetworkBehaviour)]
struct Liar {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

/// Says that it stores and does not, gives out a record that is none, knows nobody but its like, and floods the others
/// with more of the same.
async fn lie(keypair: Keypair, target: Vec<u8>, friends: Vec<PeerId>, nodes: Vec<Multiaddr>) {
    let mut swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_quic()
        .with_behaviour(|key| {
            let me = key.public().to_peer_id();
            let mut config = kad::Config::new(StreamProtocol::new("/twocans/kad/1"));
            // It takes every record and keeps none.
            config.set_record_filtering(kad::StoreInserts::FilterBoth).set_kbucket_inserts(kad::BucketInserts::Manual);
            config.set_periodic_bootstrap_interval(None);
            let mut kad = kad::Behaviour::with_config(me, MemoryStore::new(me), config);
            kad.set_mode(Some(kad::Mode::Server));
            let value = (0..400u32).map(|at| (at * 31) as u8).collect();
            let bad = kad::Record { key: target.clone().into(), value, publisher: None, expires: None };
            kad.store_mut().put(bad).unwrap();
            Liar { kad, identify: identify::Behaviour::new(identify::Config::new("/twocans/1".into(), key.public())) }
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).unwrap();
    for friend in friends {
        // Where it is does not matter: whoever believes it loses time.
        swarm.behaviour_mut().kad.add_address(&friend, "/ip4/127.0.0.1/udp/9/quic-v1".parse().unwrap());
    }
    for node in nodes {
        let _ = swarm.dial(node);
    }
    let mut flood = tokio::time::interval(FLOOD);
    let mut round = 0u64;
    loop {
        tokio::select! {
            event = swarm.select_next_some() => {
                if let SwarmEvent::NewListenAddr { address, .. } = event {
                    swarm.add_external_address(address);
                }
            }
            _ = flood.tick() => {
                let connected: Vec<PeerId> = swarm.connected_peers().copied().collect();
                if connected.is_empty() {
                    continue;
                }
                round += 1;
                let somebody = connected[choose(&mut round.clone(), connected.len())];
                let key = [target.as_slice(), &round.to_be_bytes()].concat();
                let record = kad::Record { key: key.into(), value: vec![0; 1100], publisher: None, expires: None };
                swarm.behaviour_mut().kad.put_record_to(record, std::iter::once(somebody), Quorum::One);
            }
        }
    }
}
