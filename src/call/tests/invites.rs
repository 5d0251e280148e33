//! Who gets through.

use super::*;
use crate::identity::WIRE_VERSIONS;

fn invite(from: Person, call: CallId) -> Invite {
    Invite { call, from, name: None, versions: WIRE_VERSIONS.to_vec(), sent_unix_s: None, group: None }
}

fn stranger(number: u32) -> Person {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    PersonKey::from_seed(&seed).person()
}

fn numbered(number: u32) -> CallId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    CallId::from_bytes(bytes)
}

#[test]
fn the_same_invite_over_another_path_is_the_same_call() {
    let mut world = World::ringing();
    let again = invite(world.people[ALICE], id(1));
    for _ in 0..7 {
        assert_eq!(world.boards[BOB].invited(&again, world.now), InviteReply::RingAgain { call: id(1) });
    }
    assert_eq!(world.boards[BOB].invited(&again, world.now), InviteReply::Ignore, "paths are bounded");
    assert_eq!(world.boards[BOB].calls().count(), 1);
    assert_eq!(world.boards[BOB].poll_event(), None);
    let forged = invite(stranger(1), id(1));
    assert_eq!(world.boards[BOB].invited(&forged, world.now), InviteReply::Ignore, "somebody else's call id");
}

#[test]
fn a_late_or_replayed_invite_does_not_ring_again() {
    let mut world = World::ringing();
    world.boards[BOB].decline(id(1), world.now);
    world.run();
    let again = invite(world.people[ALICE], id(1));
    assert_eq!(world.boards[BOB].invited(&again, world.now), InviteReply::Refuse(Message::Decline));
    let mut world = World::talking();
    assert_eq!(world.boards[BOB].invited(&again, world.now), InviteReply::Ignore);
    world.boards[ALICE].hang_up(id(1), EndReason::HangUp, world.now);
    world.run();
    assert_eq!(world.boards[BOB].invited(&again, world.now), InviteReply::Ignore);
}

#[test]
fn old_invites_are_ignored_where_there_is_a_clock() {
    let mut world = World::new();
    let noon = 1_800_000_000;
    let dated = |call, sent_unix_s| Invite { sent_unix_s, ..invite(stranger(1), id(call)) };
    let limits = Limits { calls: 10, ..Limits::default() };
    world.boards[BOB] = Switchboard::new(PersonKey::from_seed(&[2; 32]), limits);
    let bob = &mut world.boards[BOB];
    assert_eq!(bob.invited(&dated(1, Some(5)), world.now), InviteReply::Ring { call: id(1) });
    bob.set_clock(noon, world.now);
    let later = world.now + Duration::from_secs(3600);
    let day = 24 * 3600;
    assert_eq!(bob.invited(&dated(2, Some(noon + 3599 - day)), later), InviteReply::Ignore);
    assert_eq!(bob.invited(&dated(3, Some(noon + 3601 + day)), later), InviteReply::Ignore);
    assert_eq!(bob.invited(&dated(4, Some(noon + 3600 - day)), later), InviteReply::Ring { call: id(4) });
    assert_eq!(bob.invited(&dated(5, None), later), InviteReply::Ring { call: id(5) });
    let sent = bob.dial(id(6), stranger(9), None, RING, later).unwrap().sent_unix_s;
    assert_eq!(sent, Some(noon + 3600));
}

#[test]
fn one_call_at_a_time() {
    let mut world = World::talking();
    let reply = world.boards[BOB].invited(&invite(stranger(1), id(2)), world.now);
    assert_eq!(reply, InviteReply::Refuse(Message::Busy));
    let reply = world.boards[BOB].invited(&invite(world.people[ALICE], id(3)), world.now);
    assert_eq!(reply, InviteReply::Refuse(Message::Busy), "a second call of the same person, too");
    let refused = world.boards[ALICE].dial(id(4), stranger(1), None, RING, world.now);
    assert_eq!(refused, Err(DialRefused::Busy));
    world.boards[BOB].hang_up(id(1), EndReason::HangUp, world.now);
    let reply = world.boards[BOB].invited(&invite(stranger(1), id(2)), world.now);
    assert_eq!(reply, InviteReply::Refuse(Message::Busy), "one call gets one reply over all its paths");
    let reply = world.boards[BOB].invited(&invite(stranger(1), id(5)), world.now);
    assert_eq!(reply, InviteReply::Ring { call: id(5) });
}

#[test]
fn busy_reaches_the_caller() {
    let mut world = World::new();
    let reply = world.boards[BOB].invited(&invite(stranger(1), id(9)), world.now);
    assert_eq!(reply, InviteReply::Ring { call: id(9) });
    world.dial(ALICE, id(1));
    world.run();
    assert_eq!(world.endings(ALICE), [EndReason::Busy]);
}

#[test]
fn whoever_calls_anew_has_left_the_earlier_call() {
    let mut world = World::ringing();
    let reply = world.boards[BOB].invited(&invite(world.people[ALICE], id(2)), world.now);
    assert_eq!(reply, InviteReply::Ring { call: id(2) });
    world.drain();
    assert_eq!(world.endings(BOB), [EndReason::Cancelled]);
    assert_eq!(world.boards[BOB].calls().map(|view| view.call).collect::<Vec<_>>(), [id(2)]);

    let mut world = World::talking();
    world.boards[BOB].handle_link(id(1), LinkNews::Interrupted, world.now);
    let reply = world.boards[BOB].invited(&invite(world.people[ALICE], id(2)), world.now);
    assert_eq!(reply, InviteReply::Ring { call: id(2) });
    world.drain();
    assert_eq!(world.endings(BOB), [EndReason::ConnectionLost]);
}

#[test]
fn dials_that_make_no_sense_are_refused() {
    let mut world = World::ringing();
    let me = world.people[BOB];
    let now = world.now;
    assert_eq!(world.boards[BOB].dial(id(2), me, None, RING, now), Err(DialRefused::Myself));
    let they_call = Err(DialRefused::TheyCall { call: id(1) });
    assert_eq!(world.boards[BOB].dial(id(2), world.people[ALICE], None, RING, now), they_call);
    let nobody = world.boards[BOB].dial(id(2), Person::from_bytes([0; 32]), None, RING, now);
    assert!(matches!(nobody, Err(DialRefused::UnusableKey(_))));
    assert_eq!(world.boards[BOB].invited(&invite(me, id(7)), now), InviteReply::Ignore);
    assert_eq!(world.boards[BOB].invited(&invite(Person::from_bytes([0; 32]), id(8)), now), InviteReply::Ignore);
}

#[test]
fn blocked_people_are_declined_without_ringing() {
    let mut world = World::new();
    let alice = world.people[ALICE];
    world.boards[BOB].set_blocked(alice, true);
    world.dial(ALICE, id(1));
    world.run();
    assert_eq!(world.endings(ALICE), [EndReason::Declined]);
    assert!(world.events[BOB].is_empty());
    world.boards[BOB].set_blocked(alice, false);
    world.dial(ALICE, id(2));
    world.run();
    assert_eq!(world.states(), [Some(State::Ringing), Some(State::Alerting)]);
}

#[test]
fn programs_without_a_common_version_say_so() {
    let mut world = World::new();
    world.tamper = Box::new(|_, message| {
        if let Message::Invite(invite) = message {
            invite.versions = vec![200];
        }
    });
    world.dial(ALICE, id(1));
    world.run();
    assert_eq!(
        world.events[ALICE],
        [
            (id(1), CallEvent::NoCommonVersion { theirs: WIRE_VERSIONS.to_vec() }),
            (id(1), CallEvent::Ended(EndReason::Unreachable)),
        ]
    );
}

#[test]
fn one_person_cannot_ring_without_end() {
    let mut world = World::new();
    let rings = |world: &mut World, from: Person, range: std::ops::Range<u32>| {
        let reply = |n| world.boards[BOB].invited(&invite(from, numbered(n)), world.now);
        range.map(reply).filter(|reply| *reply != InviteReply::Ignore).count()
    };
    assert_eq!(rings(&mut world, stranger(1), 0..200), 120);
    assert_eq!(rings(&mut world, stranger(2), 200..202), 2, "others still get through");
    world.now += Duration::from_secs(20);
    assert_eq!(rings(&mut world, stranger(1), 300..400), 40, "two more every second");
}

#[test]
fn a_flood_of_strangers_does_not_keep_contacts_out() {
    let mut world = World::new();
    let friend = stranger(9_999);
    let (bob, now) = (&mut world.boards[BOB], world.now);
    bob.set_known(friend, true);
    let through = (0..500).filter(|n| bob.invited(&invite(stranger(*n), numbered(*n)), now) != InviteReply::Ignore);
    assert_eq!(through.count(), 240);
    let reply = bob.invited(&invite(friend, numbered(9_999)), now);
    assert_eq!(reply, InviteReply::Refuse(Message::Busy));
    bob.set_known(friend, false);
    assert_eq!(bob.invited(&invite(friend, numbered(10_000)), now), InviteReply::Ignore);
}
