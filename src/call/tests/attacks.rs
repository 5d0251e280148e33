//! Somebody in the middle changes what is said. (In truth nobody in the middle can, for the Noise session prevents it;
//! this is the second lock, and the one that also covers a peer's own confusion.)

use super::*;
use crate::identity::Role;

/// Answers a call in which `tamper` changes what goes to `victim`.
fn tampered(victim: usize, mut tamper: impl FnMut(&mut Description) + 'static) -> World {
    let mut world = World::ringing();
    world.tamper = Box::new(move |to, message| match message {
        Message::Answer(description) | Message::Accept(description) if to == victim => tamper(description),
        _ => {}
    });
    world.boards[BOB].answer(id(1), world.now);
    world.run();
    world
}

fn assert_alarm(victim: usize, tamper: impl FnMut(&mut Description) + 'static) {
    let world = tampered(victim, tamper);
    let trace = world.trace.join(", ");
    assert_eq!(world.endings(victim), [EndReason::FingerprintMismatch], "{trace}");
    assert_eq!(world.endings(1 - victim), [EndReason::FingerprintMismatch], "the other side is warned too: {trace}");
    assert!(!trace.contains("Connected"), "{trace}");
    let applied = |event: &CallEvent| matches!(event, CallEvent::WantAnswer { .. } | CallEvent::ApplyAnswer { .. });
    assert!(!world.events[victim].iter().any(|(_, event)| applied(event)), "{trace}");
}

fn mallory() -> PersonKey {
    PersonKey::from_seed(&[66; 32])
}

#[test]
fn a_swapped_certificate_raises_the_alarm() {
    for victim in [ALICE, BOB] {
        // In the SDP alone, in what is signed alone, in both.
        assert_alarm(victim, |it| it.sdp = sdp([9; 32], &it.ufrag, &[]));
        assert_alarm(victim, |it| it.fingerprint = [9; 32]);
        assert_alarm(victim, |it| (it.sdp, it.fingerprint) = (sdp([9; 32], &it.ufrag, &[]), [9; 32]));
        // In a second line, of another hash, hidden behind a bare carriage return, or written in another way.
        assert_alarm(victim, |it| it.sdp += "m=video 9 X 1\r\na=fingerprint:sha-256 09:09\r\n");
        assert_alarm(victim, |it| it.sdp += "a=fingerprint:sha-1 09:09\r\n");
        assert_alarm(victim, |it| it.sdp += "a=x\ra=fingerprint:sha-256 09:09\r\n");
        assert_alarm(victim, |it| it.sdp += " A=FingerPrint: sha-256 09:09\r\n");
        assert_alarm(victim, |it| it.sdp = it.sdp.replace("a=fingerprint", "a=print"));
    }
}

#[test]
fn a_swapped_ice_session_raises_the_alarm() {
    for victim in [ALICE, BOB] {
        assert_alarm(victim, |it| it.ufrag = "evil".into());
        assert_alarm(victim, |it| it.sdp = it.sdp.replace("a=ice-ufrag:ufrag", "a=ice-ufrag:Ufrag"));
        assert_alarm(victim, |it| it.sdp += "a=ice-ufrag:evil\r\n");
        assert_alarm(victim, |it| it.sdp = it.sdp.replace("a=ice-ufrag", "a=x"));
    }
}

#[test]
fn a_signature_counts_only_where_it_was_made() {
    for victim in [ALICE, BOB] {
        assert_alarm(victim, |it| it.signature[5] ^= 1);
        assert_alarm(victim, |it| it.signature = [0; 64]);
        let people = World::new().people;
        let role = [Role::Offerer, Role::Answerer];
        let resign = move |key: &PersonKey, call, to, role, it: &mut Description| {
            *it = Description::sign(key, call, to, role, it.sdp.clone(), it.fingerprint, it.ufrag.clone());
        };
        // By somebody else; for another call, reader, or half.
        assert_alarm(victim, move |it| resign(&mallory(), id(1), people[victim], role[victim], it));
        let [alice, bob] = keys();
        let peer = if victim == ALICE { bob } else { alice };
        let key = peer.clone();
        assert_alarm(victim, move |it| resign(&key, id(2), people[victim], role[victim], it));
        let key = peer.clone();
        assert_alarm(victim, move |it| resign(&key, id(1), mallory().person(), role[victim], it));
        let key = peer.clone();
        assert_alarm(victim, move |it| resign(&key, id(1), people[victim], role[1 - victim], it));
        let world = tampered(victim, move |it| resign(&peer, id(1), people[victim], role[victim], it));
        assert_eq!(world.states(), [Some(State::Talking); 2], "and signed rightly it is accepted");
    }
}

#[test]
fn a_description_cannot_be_sent_back() {
    let people = World::new().people;
    assert_alarm(BOB, move |accept| {
        // Bob's own ANSWER in place of Alice's ACCEPT.
        let (fingerprint, ufrag) = ([2; 32], "ufrag1".to_owned());
        let offer = sdp(fingerprint, &ufrag, &[]);
        let [_, bob] = keys();
        *accept = Description::sign(&bob, id(1), people[ALICE], Role::Offerer, offer, fingerprint, ufrag);
    });
}

#[test]
fn the_certificate_that_is_shown_must_be_the_one_that_was_signed() {
    for victim in [ALICE, BOB] {
        let mut world = World::ringing();
        world.links_work = false;
        world.boards[BOB].answer(id(1), world.now);
        world.run();
        world.boards[victim].handle_link(id(1), LinkNews::FingerprintMismatch, world.now);
        world.run();
        assert_eq!(world.endings(victim), [EndReason::FingerprintMismatch]);
        assert_eq!(world.endings(1 - victim), [EndReason::FingerprintMismatch]);
    }
}
