//! Both dial each other.

use proptest::prelude::*;

use super::*;

const HERS: u8 = 0xa;
const HIS: u8 = 0xb;

fn both_dial() -> World {
    let mut world = World::new();
    world.dial(ALICE, id(HERS));
    world.dial(BOB, id(HIS));
    world
}

/// Which call each side is in.
fn talking_in(world: &World) -> [Vec<CallId>; 2] {
    [ALICE, BOB].map(|who| {
        let talking = world.boards[who].calls().filter(|view| view.state == State::Talking);
        let calls: Vec<CallId> = talking.map(|view| view.call).collect();
        assert_eq!(calls.len(), world.boards[who].calls().count(), "{:?}", world.trace);
        calls
    })
}

#[test]
fn the_lower_key_wins_and_nobody_is_asked() {
    let mut world = both_dial();
    world.run();
    assert_eq!(talking_in(&world), [[id(HERS)], [id(HERS)]]);
    let trace = world.trace.join(", ");
    assert!(!trace.contains("Incoming") && !trace.contains("Ended"), "{trace}");
    assert!(world.events[BOB].contains(&(id(HIS), CallEvent::Replaced { by: id(HERS) })), "{trace}");
    assert!(world.events[ALICE].contains(&(id(HIS), CallEvent::Replaced { by: id(HERS) })), "{trace}");
}

#[test]
fn events_come_in_the_order_in_which_things_happen() {
    let mut world = both_dial();
    let invite = world.wire.pop_front().unwrap();
    world.wire.clear();
    world.wire.push_back(invite);
    world.run();
    let bobs: Vec<String> = world.events[BOB].iter().map(|(_, event)| name_of(event)).take(3).collect();
    assert_eq!(bobs, ["Replaced", "Answered", "WantOffer"]);
}

#[test]
fn if_the_winner_cannot_reach_the_loser_the_losers_call_is_taken() {
    for failure in [EndReason::NotFound, EndReason::Unreachable] {
        let mut world = both_dial();
        world.wire.pop_front();
        world.run();
        assert_eq!(
            world.states(),
            [Some(State::Dialing), Some(State::Ringing)],
            "Bob hears it ring, Alice still dials"
        );
        assert!(!world.boards[ALICE].answer(id(HIS), world.now), "her human was not asked");
        world.boards[ALICE].dial_failed(id(HERS), failure, world.now);
        world.run();
        assert_eq!(talking_in(&world), [[id(HIS)], [id(HIS)]]);
        let trace = world.trace.join(", ");
        assert!(!trace.contains("Incoming") && !trace.contains("Ended"), "{trace}");
    }
}

#[test]
fn a_dial_that_runs_out_of_time_gives_way_too() {
    let mut world = both_dial();
    world.wire.pop_front();
    world.pass(Duration::ZERO);
    world.now += RING;
    world.boards[ALICE].handle_timeout(world.now);
    world.run();
    assert_eq!(talking_in(&world), [[id(HIS)], [id(HIS)]]);
}

#[test]
fn whoever_changes_their_mind_ends_both() {
    let mut world = both_dial();
    world.wire.pop_front();
    world.run();
    world.boards[ALICE].hang_up(id(HERS), EndReason::HangUp, world.now);
    world.run();
    assert_eq!(world.states(), [None, None]);
    assert_eq!(world.endings(ALICE), [EndReason::Cancelled]);
    assert_eq!(world.endings(BOB), [EndReason::Declined]);

    let mut world = both_dial();
    world.wire.pop_front();
    world.run();
    world.boards[BOB].hang_up(id(HIS), EndReason::HangUp, world.now);
    world.run();
    assert_eq!(world.states(), [Some(State::Dialing), None], "Alice goes on dialling");
    assert_eq!(world.endings(ALICE), []);
}

#[test]
fn a_third_person_hears_busy() {
    let mut world = both_dial();
    world.wire.pop_front();
    world.run();
    let carol = PersonKey::from_seed(&[3; 32]);
    let mut board = Switchboard::new(carol, Limits::default());
    let invite = board.dial(id(3), world.people[ALICE], None, RING, world.now).unwrap();
    assert_eq!(world.boards[ALICE].invited(&invite, world.now), InviteReply::Refuse(Message::Busy));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In whatever order the two conversations' messages arrive (each conversation in its own order), both end up in
    /// one and the same call, and no human is asked or told of an end.
    #[test]
    fn every_order_of_arrival_ends_in_one_call(
        picks in proptest::collection::vec(any::<bool>(), 0..24),
        hers in any::<u8>(),
        his in any::<u8>(),
    ) {
        prop_assume!(hers != his);
        let mut world = World::new();
        world.dial(ALICE, id(hers));
        world.dial(BOB, id(his));
        for pick in picks {
            let wanted = if pick { id(hers) } else { id(his) };
            let at = world.wire.iter().position(|parcel| parcel.call == wanted).unwrap_or(0);
            world.deliver(at);
        }
        world.run();
        prop_assert_eq!(talking_in(&world), [[id(hers)], [id(hers)]]);
        let trace = world.trace.join(", ");
        prop_assert!(!trace.contains("Incoming") && !trace.contains("Ended"), "{}", trace);
    }
}
