//! The record's format, fixed by committed vectors, and its properties.

use libp2p::{Multiaddr, PeerId};
use proptest::prelude::*;

use super::*;
use crate::identity::{BlindedKey, Period};
use crate::rendezvous::record::{
    NONCE, NodeAddresses, Presence, RecordError, claimed_seq, open, record_key, seal, verify,
};

const UNIX_S: u64 = 1_800_000_000;

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn node(seed: u8) -> PeerId {
    let keys = libp2p::identity::Keypair::ed25519_from_bytes([seed; 32]).unwrap();
    keys.public().to_peer_id()
}

fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// The presences of the vectors, by their name there.
fn presence(name: &str) -> Presence {
    let relay = |seed, texts: &[&str]| NodeAddresses { node: node(seed), addresses: addresses(texts) };
    let empty =
        Presence { expires_unix_s: UNIX_S + 3600, node: node(1), relays: vec![], addresses: vec![], withdrawn: false };
    match name {
        "client with two relays" => Presence {
            relays: vec![
                relay(2, &["/ip4/192.0.2.1/udp/4001/quic-v1", "/ip4/192.0.2.1/tcp/4001"]),
                relay(3, &["/ip6/2001:db8::1/udp/4001/quic-v1"]),
            ],
            ..empty
        },
        "public super-peer" => Presence { addresses: addresses(&["/ip4/198.51.100.1/udp/4001/quic-v1"]), ..empty },
        "withdrawn" => Presence { withdrawn: true, ..empty },
        other => panic!("no presence is called {other}"),
    }
}

/// Fails when the format drifts: published records would no longer be read, nor found.
#[test]
fn the_format_has_not_drifted() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/presence_record.json")).unwrap();
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let text = |field: &str| vector[field].as_str().unwrap();
        let me =
            PersonKey::from_seed(&data_encoding::HEXLOWER.decode(text("seed").as_bytes()).unwrap().try_into().unwrap());
        let nonce = data_encoding::HEXLOWER.decode(text("nonce").as_bytes()).unwrap().try_into().unwrap();
        let seq = vector["seq"].as_u64().unwrap();
        let presence = presence(text("presence"));
        let period = Period::of(UNIX_S);
        let blinded = BlindedKey::derive(&me, period).public();
        let value = seal(&me, period, seq, &presence, nonce).unwrap();
        assert_eq!(hex(&record_key(&blinded)), text("key"), "{}", text("presence"));
        assert_eq!(hex(&value), text("value"), "{}", text("presence"));
        assert_eq!(open(me.person(), &blinded, &value), Ok((seq, presence)));
    }
}

#[test]
fn a_storing_node_can_verify_and_cannot_read() {
    let me = key(1);
    let period = Period::of(UNIX_S);
    let value = seal(&me, period, 7, &presence("client with two relays"), [9; NONCE]).unwrap();
    let envelope = verify(&value).unwrap();
    assert_eq!((envelope.seq, claimed_seq(&value)), (7, Some(7)));
    assert_eq!(envelope.blinded, BlindedKey::derive(&me, period).public());
    // Whoever knows only the blinded key has no better guess at the sealing key than any other person's.
    assert_eq!(open(person(2), &envelope.blinded, &value), Err(RecordError::Seal));
    let node = node(1).to_bytes();
    assert!(!value.windows(8).any(|window| node.windows(8).any(|part| part == window)), "the node id shows");
}

#[test]
fn a_full_record_fits() {
    let long = "/ip6/2001:db8:1111:2222:3333:4444:5555:6666/udp/65535/quic-v1";
    let relays = (0..9).map(|seed| NodeAddresses { node: node(seed), addresses: addresses(&[long; 9]) }).collect();
    let presence = Presence { relays, addresses: addresses(&[long; 9]), ..presence("withdrawn") };
    let value = seal(&key(1), Period::of(UNIX_S), u64::MAX, &presence, [0; NONCE]).unwrap();
    assert!(value.len() <= 1200, "{}", value.len());
    let (_, read) = open(person(1), &BlindedKey::derive(&key(1), Period::of(UNIX_S)).public(), &value).unwrap();
    assert_eq!((read.relays.len(), read.relays[0].addresses.len(), read.addresses.len()), (4, 4, 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sealing_and_opening_are_inverse(
        seed: [u8; 32], seq: u64, unix_s in 0..u64::MAX / 2, nonce: [u8; NONCE], withdrawn: bool, relays in 0u8..4,
    ) {
        let me = PersonKey::from_seed(&seed);
        let relay = |seed| NodeAddresses { node: node(seed), addresses: addresses(&["/ip4/192.0.2.1/tcp/1"]) };
        let presence = Presence {
            expires_unix_s: unix_s,
            node: node(200),
            relays: (0..relays).map(relay).collect(),
            addresses: vec![],
            withdrawn,
        };
        let period = Period::of(unix_s);
        let value = seal(&me, period, seq, &presence, nonce).unwrap();
        prop_assert!(value.len() <= 1200);
        let blinded = BlindedKey::derive(&me, period).public();
        prop_assert_eq!(open(me.person(), &blinded, &value), Ok((seq, presence)));
        prop_assert_ne!(record_key(&blinded), record_key(&BlindedKey::derive(&me, period.neighbours()[1]).public()));
    }

    #[test]
    fn any_damage_is_noticed(position in 0usize..300, bit in 0u8..8) {
        let me = key(1);
        let period = Period::of(UNIX_S);
        let mut value = seal(&me, period, 7, &presence("client with two relays"), [9; NONCE]).unwrap();
        let position = position % value.len();
        value[position] ^= 1 << bit;
        prop_assert!(verify(&value).is_err());
        prop_assert!(open(me.person(), &BlindedKey::derive(&me, period).public(), &value).is_err());
    }

    #[test]
    fn no_bytes_do_harm(value in proptest::collection::vec(any::<u8>(), 0..1400)) {
        let _ = (verify(&value), claimed_seq(&value));
        let blinded = BlindedKey::derive(&key(1), Period::of(UNIX_S)).public();
        prop_assert!(open(person(1), &blinded, &value).is_err());
    }
}
