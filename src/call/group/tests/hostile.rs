//! Members, former members and strangers who mean ill.

use super::roster::{add, removal};
use super::*;

fn roster_of(sim: &Sim, entries: Vec<Entry>) -> GroupMessage {
    GroupMessage { group: sim.group(), body: Body::Roster(entries) }
}

fn say(sim: &mut Sim, from: usize, to: usize, message: GroupMessage) -> Result<(), GroupRefusal> {
    let (from, now) = (key(from).person(), sim.now);
    let said = sim.call(to).handle_message(from, message, now);
    sim.drain(to);
    said
}

#[test]
fn forged_entries_change_nothing_and_who_passes_them_on_is_not_heeded_again() {
    let mut sim = Sim::talking(4, 50);
    let Entry::Add(good) = add(0, 9, 0, 0, 0) else { unreachable!() };
    let forged = Entry::Add(Add { person: key(8).person(), ..good });
    let message = roster_of(&sim, vec![forged]);
    assert_eq!(say(&mut sim, 2, 1, message), Err(GroupRefusal::Forged));
    let message = roster_of(&sim, vec![add(2, 9, 0, 0, 0)]);
    assert_eq!(say(&mut sim, 2, 1, message.clone()), Err(GroupRefusal::Forged), "not even what is right");
    sim.run(5 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 3]);
    // Others still listen, and 1 hears it from them.
    assert_eq!(say(&mut sim, 2, 3, message), Ok(()));
    sim.run(3 * SECOND);
    assert!(sim.call(1).roster().is_member(key(9).person()));
}

#[test]
fn members_cannot_remove_each_other() {
    let mut sim = Sim::talking(4, 51);
    for (by, whom) in [(2, 1), (2, 3), (2, 0), (3, 2)] {
        let message = roster_of(&sim, vec![removal(by, whom, u32::MAX, u32::MAX)]);
        assert_eq!(say(&mut sim, by, 1, message), Ok(()));
    }
    sim.run(5 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 3]);
}

#[test]
fn strangers_are_not_listened_to() {
    let mut sim = Sim::talking(3, 52);
    let entries = vec![add(7, 8, 0, 0, 0)];
    let hello = Hello { entries: entries.clone(), here: vec![] };
    let message = roster_of(&sim, entries);
    assert_eq!(say(&mut sim, 7, 1, message), Err(GroupRefusal::NotAMember));
    // Nor when they bring the true roster along.
    let own = sim.call(0).roster().entries(None);
    let message = roster_of(&sim, own.clone());
    assert_eq!(say(&mut sim, 7, 1, message), Err(GroupRefusal::NotAMember));
    let (group, now) = (sim.group(), sim.now);
    for hello in [hello, Hello { entries: own, here: vec![] }] {
        for body in [Body::Ring(hello.clone()), Body::Invite(hello)] {
            let reply = sim.call(1).handle_ring(key(7).person(), &GroupMessage { group, body }, now);
            assert_eq!(reply, RingReply::Refuse(GroupRefusal::NotAMember));
        }
    }
    let reports = GroupMessage { group, body: Body::Reports(vec![]) };
    assert_eq!(say(&mut sim, 7, 1, reports.clone()), Err(GroupRefusal::NotAMember));
    let elsewhere = GroupMessage { group: GroupKey { creator: key(7).person(), ..group }, ..reports };
    assert_eq!(say(&mut sim, 2, 1, elsewhere), Err(GroupRefusal::OtherGroup));
    assert_eq!(say(&mut sim, 7, 1, GroupMessage { group, body: Body::Declined }), Err(GroupRefusal::NotForUs));
    sim.expect_one_call(&[0, 1, 2]);
}

#[test]
fn who_was_removed_by_its_inviter_brings_nobody_in() {
    let mut sim = Sim::talking(4, 53);
    sim.add_person();
    sim.add_person();
    sim.invite(1, 4);
    sim.invite(1, 5);
    sim.run(3 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 3, 4, 5]);
    sim.leave(5);
    sim.run(SECOND);
    let (removed, now) = (sim.person(4), sim.now);
    sim.call(1).remove(removed, now).unwrap();
    sim.drain(1);
    sim.run(SECOND);
    sim.expect_one_call(&[0, 1, 2, 3]);
    assert_eq!(sim.call(4).state(), GroupState::Left(LeftReason::Removed { by: sim.person(1) }));
    // 4 signs adds of its friends, as of the time when it was in, and they ring. 5 has an old add of a member's as well.
    let mut entries = sim.call(0).roster().entries(None);
    entries.extend([add(4, 9, 0, 0, 0), add(9, 10, 0, 0, 0), add(4, 5, 1, 0, 0)]);
    let group = sim.group();
    for friend in [9, 10, 4, 5] {
        let body = Body::Ring(Hello { entries: entries.clone(), here: vec![] });
        let reply = sim.call(2).handle_ring(key(friend).person(), &GroupMessage { group, body }, now);
        assert_eq!(reply, RingReply::Refuse(GroupRefusal::NotAMember), "{friend}");
    }
    let message = roster_of(&sim, entries);
    assert_eq!(say(&mut sim, 4, 2, message), Err(GroupRefusal::NotAMember));
    sim.run(3 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 3]);
}

#[test]
fn a_flood_of_rosters_is_cut_off() {
    let mut sim = Sim::talking(3, 54);
    let taken = (0..200).filter(|turn| {
        let message = roster_of(&sim, vec![add(2, 9, 0, *turn, 0)]);
        say(&mut sim, 2, 1, message) != Err(GroupRefusal::TooOften)
    });
    let taken = taken.count();
    assert!((10..=30).contains(&taken), "{taken}");
    // And what was taken is not passed on for each.
    sim.sent.fill((0, 0));
    sim.run(2 * SECOND);
    assert!(sim.sent[1].0 < 40, "{:?}", sim.sent[1]);
    sim.run(5 * SECOND);
    let digests = [0, 1, 2].map(|who| sim.call(who).roster().digest());
    assert_eq!(digests, [digests[0]; 3]);
}

#[test]
fn a_flood_of_reports_is_cut_off() {
    let mut sim = Sim::talking(3, 58);
    let (group, two) = (sim.group(), sim.keys[2].clone());
    let last = sim.call(2).hearing().reports_for(key(99).person()).remove(0);
    let taken = (1..200).filter(|more| {
        let report = Report::sign(&two, group, Report { seq: last.seq + more, ..last.clone() });
        let body = Body::Reports(vec![report]);
        say(&mut sim, 2, 1, GroupMessage { group, body }) != Err(GroupRefusal::TooOften)
    });
    let taken = taken.count();
    assert!((10..=20).contains(&taken), "{taken}");
}

#[test]
fn a_member_that_fills_the_group_is_removed_with_all_its_friends() {
    let mut sim = Sim::talking(4, 55);
    let friends: Vec<Entry> = (100..130).map(|friend| add(2, friend, 0, 0, 0)).collect();
    let message = roster_of(&sim, friends);
    say(&mut sim, 2, 1, message).unwrap();
    sim.run(3 * SECOND);
    let now = sim.now;
    let mallory = sim.person(2);
    assert!(sim.call(0).roster().members().count() > 30);
    assert_eq!(sim.call(0).invite(key(9).person(), None, now), Err(AddRefused::Full { max: 10 }));
    // The mesh is what it was.
    sim.expect_one_call_among(&[0, 1, 2, 3]);
    let friends: Vec<Person> = (100..130).map(|friend| key(friend).person()).collect();
    sim.call(0).remove_with_guests(mallory, now).unwrap();
    sim.drain(0);
    sim.run(2 * SECOND);
    sim.expect_one_call(&[0, 1, 3]);
    assert!(friends.iter().all(|friend| !sim.calls[1].as_ref().unwrap().roster().is_member(*friend)));
}

#[test]
fn reports_are_believed_from_their_authors_only() {
    let mut sim = Sim::talking(4, 56);
    sim.run(3 * SECOND);
    let (group, three) = (sim.group(), sim.person(3));
    let old =
        sim.call(3).hearing().reports_for(key(99).person()).into_iter().find(|report| report.from == three).unwrap();
    let mut forged = old.clone();
    forged.seq += 1000;
    forged.hears.clear();
    let forged = Report::sign(&key(2), group, forged);
    let forged = Report { from: three, ..forged };
    let path = |sim: &mut Sim| {
        let (zero, three) = (sim.person(0), sim.person(3));
        sim.call(1).hearing().path(zero, three)
    };
    assert_eq!(path(&mut sim), Path::Direct);
    for report in [forged, old] {
        say(&mut sim, 2, 1, GroupMessage { group, body: Body::Reports(vec![report]) }).unwrap();
        assert_eq!(path(&mut sim), Path::Direct);
    }
}

/// A member says that it hears somebody who is dead: it is alone with that.
#[test]
fn the_dead_do_not_live_on_by_hearsay() {
    let mut sim = Sim::talking(6, 57);
    sim.crash(5);
    sim.run(3 * SECOND);
    assert!((0..5).all(|who| sim.has_event(who, &GroupEvent::Gone(sim.person(5)))));
    sim.run(20 * SECOND);
    for who in 0..5 {
        let came = sim.events[who].iter().filter(|(_, event)| *event == GroupEvent::Came(sim.person(5))).count();
        assert_eq!(came, 0, "{who}");
    }
}
