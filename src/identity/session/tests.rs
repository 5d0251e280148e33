use proptest::prelude::*;

use super::super::person_key;
use super::super::testing::{Vectors, hex, unhex};
use super::*;

fn people() -> (PersonKey, PersonKey) {
    (PersonKey::from_seed(&[1; 32]), PersonKey::from_seed(&[2; 32]))
}

fn open_session() -> (Session, Session) {
    let (alice, bob) = people();
    let (initiator, first) = Initiator::start(&alice, bob.person(), b"INVITE").unwrap();
    let (responder, _) = Responder::read(&bob, &first).unwrap();
    let (answering, second) = responder.finish(b"RING").unwrap();
    let (asking, _) = initiator.finish(&second).unwrap();
    (asking, answering)
}

#[test]
fn two_people_talk() {
    let (alice, bob) = people();
    let (initiator, first) = Initiator::start(&alice, bob.person(), b"INVITE").unwrap();
    let (responder, payload) = Responder::read(&bob, &first).unwrap();
    assert_eq!(payload, b"INVITE");
    assert!(responder.peer_matches(alice.person()) && !responder.peer_matches(bob.person()));
    for key in person_key::tests::unusable_keys() {
        assert!(!responder.peer_matches(Person::from_bytes(key)));
    }
    let (mut answering, second) = responder.finish(b"RING").unwrap();
    let (mut asking, payload) = initiator.finish(&second).unwrap();
    assert_eq!(payload, b"RING");
    for text in [&b"ANSWER"[..], b"", &[7; MAX_PAYLOAD_BYTES]] {
        let frame = answering.seal(text).unwrap();
        assert!(frame.len() <= MAX_FRAME_BYTES);
        assert_eq!(asking.open(&frame).unwrap(), text);
        let frame = asking.seal(text).unwrap();
        assert_eq!(answering.open(&frame).unwrap(), text);
    }
}

/// The whole exchange with ephemeral keys that the vector fixes, byte by byte.
#[test]
fn the_format_has_not_drifted() {
    for vector in Vectors::read(include_str!("../../../tests/vectors/session.json")) {
        let alice = PersonKey::from_seed(&vector.bytes("initiator_seed"));
        let bob = PersonKey::from_seed(&vector.bytes("responder_seed"));
        let ephemerals: [[u8; 32]; 2] = [vector.bytes("initiator_ephemeral"), vector.bytes("responder_ephemeral")];
        let payloads = ["payload_1", "payload_2", "payload_3", "payload_4"].map(|name| vector.text(name).into_bytes());

        let (initiator, first) =
            Initiator::start_with(&alice, bob.person(), &payloads[0], Some(&ephemerals[0])).unwrap();
        vector.expect("flight_1", &hex(&first));
        let (responder, payload) = Responder::read_with(&bob, &first, Some(&ephemerals[1])).unwrap();
        assert_eq!(payload, payloads[0]);
        let (mut answering, second) = responder.finish(&payloads[1]).unwrap();
        vector.expect("flight_2", &hex(&second));
        let (mut asking, payload) = initiator.finish(&second).unwrap();
        assert_eq!(payload, payloads[1]);
        let frame = answering.seal(&payloads[2]).unwrap();
        vector.expect("frame_to_initiator", &hex(&frame));
        assert_eq!(asking.open(&unhex(&vector.text("frame_to_initiator"))).unwrap(), payloads[2]);
        let frame = asking.seal(&payloads[3]).unwrap();
        vector.expect("frame_to_responder", &hex(&frame));
        assert_eq!(answering.open(&frame).unwrap(), payloads[3]);
    }
}

#[test]
fn an_unknown_version_is_told_apart_and_answered() {
    let (alice, bob) = people();
    let (initiator, mut first) = Initiator::start(&alice, bob.person(), b"INVITE").unwrap();
    first[0] = 9;
    let error = Responder::read(&bob, &first).err();
    assert_eq!(error, Some(SessionError::UnknownVersion { version: 9 }));
    let error = initiator.finish(&version_refusal()).err();
    assert_eq!(error, Some(SessionError::VersionRefused { supported: WIRE_VERSIONS.to_vec() }));
    let (initiator, _) = Initiator::start(&alice, bob.person(), b"").unwrap();
    let error = initiator.finish(&[200, 1, 2]).err();
    assert_eq!(error, Some(SessionError::UnknownVersion { version: 200 }));
    let (initiator, _) = Initiator::start(&alice, bob.person(), b"").unwrap();
    let error = initiator.finish(&[REFUSAL; 5000]).err();
    assert_eq!(error, Some(SessionError::VersionRefused { supported: vec![0; MAX_VERSIONS] }));
}

#[test]
fn the_wrong_person_cannot_read_or_answer() {
    let (alice, bob) = people();
    let mallory = PersonKey::from_seed(&[3; 32]);
    let (initiator, first) = Initiator::start(&alice, bob.person(), b"INVITE").unwrap();
    assert_eq!(Responder::read(&mallory, &first).err(), Some(SessionError::Forged));
    // Mallory, in the middle, can open a session of his own with Bob, but not finish Alice's.
    let (_, his_first) = Initiator::start(&mallory, bob.person(), b"INVITE").unwrap();
    let (responder, _) = Responder::read(&bob, &his_first).unwrap();
    assert!(responder.peer_matches(mallory.person()) && !responder.peer_matches(alice.person()));
    let (_, second) = responder.finish(b"RING").unwrap();
    assert_eq!(initiator.finish(&second).err(), Some(SessionError::Forged));
}

#[test]
fn frames_cannot_be_repeated_reordered_or_reflected() {
    let (mut asking, mut answering) = open_session();
    let (one, two) = (asking.seal(b"one").unwrap(), asking.seal(b"two").unwrap());
    assert_eq!(answering.open(&two), Err(SessionError::Forged));
    assert_eq!(answering.open(&one).unwrap(), b"one");
    assert_eq!(answering.open(&one), Err(SessionError::Forged));
    let (mut asking, _) = open_session();
    let frame = asking.seal(b"one").unwrap();
    assert_eq!(asking.open(&frame), Err(SessionError::Forged));
}

#[test]
fn limits_hold() {
    let (alice, bob) = people();
    let long = vec![0; MAX_PAYLOAD_BYTES + 1];
    let too_long = Some(SessionError::TooLong { bytes: long.len() });
    assert_eq!(Initiator::start(&alice, bob.person(), &long).err(), too_long);
    let (_, first) = Initiator::start(&alice, bob.person(), &long[1..]).unwrap();
    assert!(first.len() <= MAX_FRAME_BYTES, "{}", first.len());
    let (responder, payload) = Responder::read(&bob, &first).unwrap();
    assert_eq!(payload.len(), MAX_PAYLOAD_BYTES);
    assert_eq!(responder.finish(&long).err(), too_long);
    let (mut asking, mut answering) = open_session();
    assert_eq!(asking.seal(&long).err(), too_long);
    assert_eq!(answering.open(&vec![0; MAX_FRAME_BYTES + 1]), Err(SessionError::Forged));
    for key in person_key::tests::unusable_keys() {
        let error = Initiator::start(&alice, Person::from_bytes(key), b"").err();
        assert_eq!(error, Some(SessionError::UnusableKey(UnusableKey)));
    }
}

#[test]
fn short_messages_look_alike() {
    let (mut asking, _) = open_session();
    let lengths = [&b""[..], b"BUSY", &[1; 62]].map(|payload| asking.seal(payload).unwrap().len());
    assert_eq!(lengths, [80; 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_opens_nothing(garbage: Vec<u8>, versioned: Vec<u8>) {
        let (alice, bob) = people();
        let versioned = [&[1], versioned.as_slice()].concat();
        for bytes in [&garbage, &versioned] {
            prop_assert!(Responder::read(&bob, bytes).is_err());
            let (initiator, _) = Initiator::start(&alice, bob.person(), b"").unwrap();
            prop_assert!(initiator.finish(bytes).is_err());
            prop_assert!(open_session().1.open(bytes).is_err());
        }
    }

    #[test]
    fn every_bit_counts(at: proptest::sample::Index, bit in 0u8..8) {
        let (alice, bob) = people();
        let (initiator, mut first) = Initiator::start(&alice, bob.person(), b"INVITE").unwrap();
        let (responder, _) = Responder::read(&bob, &first).unwrap();
        let (_, mut second) = responder.finish(b"RING").unwrap();
        // The top bit of an X25519 public key is ignored by RFC 7748 §5, but not by Noise, which hashes all of it.
        let position = at.index(first.len());
        first[position] ^= 1 << bit;
        prop_assert!(Responder::read(&bob, &first).is_err());
        let position = at.index(second.len());
        second[position] ^= 1 << bit;
        prop_assert!(initiator.finish(&second).is_err());
    }
}
