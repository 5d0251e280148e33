//! What users see of membership, each within the time that was promised.

use super::*;

const EVERYBODY: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

#[test]
fn ten_people_come_together() {
    let mut sim = Sim::new(10, 1);
    for who in 1..10 {
        sim.invite(0, who);
    }
    // They think for a second, then answer all at once.
    let took = sim.run_until(3 * SECOND, "ten in one call", |sim| sim.is_one_call(&EVERYBODY));
    assert!(took > SECOND, "before anybody has answered");
    assert!(sim.everybody_hears(&EVERYBODY));
    for who in 1..10 {
        assert!(sim.has_event(who, &GroupEvent::Joined));
        assert!(sim.has_event(0, &GroupEvent::Came(sim.person(who))));
    }
}

/// Late join: 80 ms round trip, and links that take 400 ms to set up.
#[test]
fn who_comes_late_hears_everybody_two_seconds_after_answering() {
    let mut sim = Sim::talking(9, 2);
    sim.add_person();
    sim.invite(4, 9);
    let answered = sim.humans.unwrap() + sim.latency;
    let took = sim.run_until(answered + 2 * SECOND, "the tenth in the call", |sim| sim.is_one_call(&EVERYBODY));
    assert!(sim.everybody_hears(&EVERYBODY));
    assert!(took > answered);
    // Nobody was asked but the tenth, and nobody else's link has suffered.
    for who in 0..9 {
        let disturbed = |event: &GroupEvent| matches!(event, GroupEvent::Gone(_) | GroupEvent::CloseLink(_));
        assert!(!sim.events[who].iter().any(|(_, event)| disturbed(event)), "{who}: {:?}", sim.events[who]);
    }
}

#[test]
fn who_is_invited_reads_who_is_there_and_nobody_is_rung_before_the_answer() {
    let mut sim = Sim::talking(4, 3);
    sim.add_person();
    // 3 has crashed, so it is on the roster but not in the call.
    sim.crash(3);
    sim.run(4 * SECOND);
    sim.humans = Some(20 * SECOND);
    sim.invite(1, 4);
    sim.run(10 * SECOND);
    let invited = sim.events[4].iter().find_map(|(_, event)| match event {
        GroupEvent::Invited { by, members } => Some((*by, members.clone())),
        _ => None,
    });
    let (by, members) = invited.expect("asked");
    assert_eq!(by, sim.person(1));
    let presence = |who: usize| members.iter().find(|view| view.person == sim.person(who)).map(|view| view.presence);
    assert_eq!(members.len(), 4);
    assert_eq!(
        [0, 1, 2, 3].map(presence).map(Option::unwrap),
        [Presence::Here, Presence::Here, Presence::Here, Presence::Invited]
    );
    assert_eq!(sim.sent[4], (0, 0), "nothing is said by who has not answered");
    assert!((0..4).all(|peer| matches!(sim.side(4, peer), sim::Side::None | sim::Side::Ringing)));
    sim.run(13 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 4]);
}

#[test]
fn who_declines_or_does_not_answer_is_off_the_roster_again() {
    let mut sim = Sim::talking(3, 4);
    sim.add_person();
    sim.add_person();
    sim.decliners.insert(3);
    sim.invite(1, 3);
    sim.run(3 * SECOND);
    assert!(sim.has_event(1, &GroupEvent::NotComing { person: sim.person(3), why: EndReason::Declined }));
    assert_eq!(sim.call(3).state(), GroupState::Left(LeftReason::Ours));
    sim.humans = None;
    sim.invite(2, 4);
    sim.run(sim.limits.invitation + 2 * SECOND);
    for who in 0..3 {
        assert_eq!(sim.roster_people(who), [0, 1, 2]);
    }
    sim.expect_one_call(&[0, 1, 2]);
    // Both may be invited again.
    sim.decliners.clear();
    (sim.humans, sim.calls[3], sim.calls[4]) = (Some(SECOND), None, None);
    sim.invite(0, 4);
    sim.invite(2, 3);
    sim.run(4 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 3, 4]);
}

#[test]
fn two_people_invite_the_same_third_at_once() {
    let mut sim = Sim::talking(3, 5);
    sim.add_person();
    sim.invite(1, 3);
    sim.invite(2, 3);
    sim.run(4 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 3]);
    let asked = sim.events[3].iter().filter(|(_, event)| matches!(event, GroupEvent::Invited { .. })).count();
    assert_eq!(asked, 1, "the human is asked once");
    // One of the two cannot undo what the other vouches for; the creator can.
    let (third, now) = (sim.person(3), sim.now);
    let refused = sim.call(1).remove(third, now);
    assert_eq!(refused, Err(RemoveRefused::InvitedByOthersToo { inviter: sim.person(2) }));
    sim.call(0).remove(third, now).unwrap();
    sim.drain(0);
    sim.run(SECOND);
    sim.expect_one_call(&[0, 1, 2]);
    assert_eq!(sim.call(3).state(), GroupState::Left(LeftReason::Removed { by: sim.person(0) }));
}

#[test]
fn who_leaves_is_off_at_once_and_may_come_back() {
    for who in [0, 2] {
        let mut sim = Sim::talking(4, 6);
        let others: Vec<usize> = (0..4).filter(|other| *other != who).collect();
        sim.leave(who);
        sim.run_until(SECOND / 2, "the rest among themselves", |sim| sim.is_one_call(&others));
        let left = GroupEvent::Removed { person: sim.person(who), by: Some(sim.person(who)) };
        assert!(others.iter().all(|other| sim.has_event(*other, &left)));
        assert_eq!(sim.call(who).state(), GroupState::Left(LeftReason::Ours));
        // An old roster is worth nothing now.
        let (key, entries, group) = (sim.keys[who].clone(), sim.call(1 + who % 2).roster().entries(None), sim.group());
        assert!(GroupCall::resume(key, group, &entries, sim.limits, sim.unix_ms(), sim.now).is_none());
        sim.calls[who] = None;
        sim.invite(3, who);
        sim.run(4 * SECOND);
        sim.expect_one_call(&[0, 1, 2, 3]);
    }
}

#[test]
fn who_was_removed_while_away_hears_of_it_on_coming_back() {
    for crashed in [true, false] {
        let mut sim = Sim::talking(4, 22);
        sim.brittle = true;
        if crashed {
            sim.crash(3);
        } else {
            (0..3).for_each(|who| sim.cut_both(who, 3));
        }
        sim.run(4 * SECOND);
        let (away, now) = (sim.person(3), sim.now);
        sim.call(0).remove(away, now).unwrap();
        sim.drain(0);
        sim.run(SECOND);
        sim.cut.clear();
        if crashed {
            sim.resume(3);
        }
        sim.run(5 * SECOND);
        assert_eq!(sim.call(3).state(), GroupState::Left(LeftReason::Removed { by: sim.person(0) }));
        sim.expect_one_call(&[0, 1, 2]);
    }
}

#[test]
fn who_falls_with_their_inviter_while_away_hears_of_it_on_coming_back() {
    let mut sim = Sim::talking(3, 23);
    sim.brittle = true;
    sim.add_person();
    sim.invite(2, 3);
    sim.run(5 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 3]);
    (0..3).for_each(|who| sim.cut_both(who, 3));
    sim.run(4 * SECOND);
    let (inviter, now) = (sim.person(2), sim.now);
    sim.call(0).remove_with_guests(inviter, now).unwrap();
    sim.drain(0);
    sim.run(SECOND);
    sim.cut.clear();
    sim.run(5 * SECOND);
    assert_eq!(sim.call(3).state(), GroupState::Left(LeftReason::Removed { by: sim.person(0) }));
    sim.expect_one_call(&[0, 1]);
}

#[test]
fn a_full_group_says_so() {
    let mut sim = Sim::talking(10, 7);
    let (eleventh, now) = (key(10).person(), sim.now);
    assert_eq!(sim.call(3).invite(eleventh, None, now), Err(AddRefused::Full { max: 10 }));
    let expires = sim.unix_ms() / 1000 + 60;
    let ticket = sim.call(3).make_link(expires, now).unwrap();
    sim.add_person();
    knock(&mut sim, 10, &ticket);
    sim.run(SECOND);
    assert_eq!(sim.call(10).state(), GroupState::Left(LeftReason::Refused(TicketRefused::Full)));
    sim.expect_one_call(&EVERYBODY);
}

/// kill -9 of a member and of the creator.
#[test]
fn a_crash_is_noticed_within_three_seconds_and_the_way_back_is_open() {
    for (seed, who) in [(8, 0), (9, 5)] {
        let mut sim = Sim::talking(10, seed);
        let others: Vec<usize> = EVERYBODY.into_iter().filter(|other| *other != who).collect();
        sim.crash(who);
        let person = sim.person(who);
        let gone = GroupEvent::Gone(person);
        sim.run_until(3 * SECOND, "noticed by all", |sim| others.iter().all(|other| sim.has_event(*other, &gone)));
        sim.expect_one_call_among(&others);
        sim.run(4 * SECOND);
        assert!(sim.everybody_hears(&others));
        for other in &others {
            let lost: Vec<_> =
                sim.events[*other].iter().filter(|(_, event)| matches!(event, GroupEvent::Gone(_))).collect();
            assert_eq!(lost.len(), 1, "nobody else is missed: {lost:?}");
            assert!(sim.roster_people(*other).contains(&who), "a crash takes nobody off the roster");
        }
        sim.resume(who);
        sim.run_until(3 * SECOND, "back", |sim| sim.is_one_call(&EVERYBODY) && sim.everybody_hears(&EVERYBODY));
        assert!(!sim.events[who].iter().any(|(_, event)| matches!(event, GroupEvent::Invited { .. })), "is not asked");
    }
}

/// Whether or not the pairwise calls try to survive it.
#[test]
fn two_halves_become_one_call_again() {
    for (seed, brittle) in [(10, false), (11, true), (12, true), (13, false)] {
        let mut sim = Sim::talking(10, seed);
        sim.brittle = brittle;
        sim.loss = 5;
        sim.jitter_ms = 30;
        let halves: [Vec<usize>; 2] = [(0..5).collect(), (5..10).collect()];
        for (a, b) in halves[0].iter().flat_map(|a| halves[1].iter().map(move |b| (*a, *b))) {
            sim.cut_both(a, b);
        }
        sim.run(4 * SECOND);
        for half in &halves {
            sim.expect_one_call_among(half);
            assert!(sim.everybody_hears(half));
        }
        // Both halves change while they know nothing of each other.
        let now = sim.now;
        let (ninth, fourth) = (sim.person(9), sim.person(4));
        let inviters: Vec<usize> = EVERYBODY
            .into_iter()
            .filter(|who| {
                let by = sim.calls[0].as_ref().unwrap().roster().inviters_of(ninth).next().unwrap();
                sim.person(*who) == by
            })
            .collect();
        assert_eq!(inviters, [0]);
        sim.call(0).remove(ninth, now).unwrap();
        sim.drain(0);
        sim.leave(4);
        sim.run(16 * SECOND);
        assert!(sim.everybody_hears(&halves[0][..4]) && sim.everybody_hears(&halves[1]));
        sim.cut.clear();
        let one = [0, 1, 2, 3, 5, 6, 7, 8];
        sim.run_until(5 * SECOND, "one call again", |sim| sim.is_one_call(&one));
        for who in one {
            assert_eq!(sim.roster_people(who), one, "{fourth:?} left in one half, {ninth:?} was removed in it");
        }
        sim.run_until(SECOND, "all ways are direct", |sim| sim.everybody_hears(&one));
    }
}

#[test]
fn a_call_of_two_grows_and_shrinks_without_a_new_link() {
    let mut sim = Sim::new(3, 14);
    for (who, peer) in [(0, 1), (1, 0)] {
        sim.sides.insert((who, peer), sim::Side::Up);
    }
    let (now, second) = (sim.now, sim.person(1));
    sim.call(0).adopt(second, now);
    sim.invite(0, 1);
    sim.run(2 * SECOND);
    sim.expect_one_call(&[0, 1]);
    sim.invite(1, 2);
    sim.run(3 * SECOND);
    sim.expect_one_call(&[0, 1, 2]);
    sim.leave(2);
    sim.run(2 * SECOND);
    sim.expect_one_call(&[0, 1]);
    for who in [0, 1] {
        let touched = [GroupEvent::CloseLink(sim.person(1 - who)), GroupEvent::Answer(sim.person(1 - who))];
        assert!(!touched.iter().any(|event| sim.has_event(who, event)), "{:?}", sim.events[who]);
        assert_eq!(sim.call(who).size(), 2);
    }
}

#[test]
fn who_does_not_want_a_group_keeps_the_call() {
    let mut sim = Sim::new(2, 15);
    for (who, peer) in [(0, 1), (1, 0)] {
        sim.sides.insert((who, peer), sim::Side::Up);
    }
    sim.decliners.insert(1);
    let (now, second) = (sim.now, sim.person(1));
    sim.call(0).adopt(second, now);
    sim.invite(0, 1);
    sim.run(3 * SECOND);
    assert_eq!(sim.roster_people(0), [0]);
    assert!(sim.has_event(0, &GroupEvent::NotComing { person: sim.person(1), why: EndReason::Declined }));
    assert_eq!((sim.side(0, 1), sim.side(1, 0)), (sim::Side::Up, sim::Side::Up));
}

#[test]
fn a_link_lets_people_in_while_its_author_is_away() {
    let mut sim = Sim::talking(3, 16);
    let (now, expires) = (sim.now, sim.unix_ms() / 1000 + 3600);
    let ticket = sim.call(1).make_link(expires, now).unwrap();
    assert_eq!(ticket.to_string().parse(), Ok(ticket.clone()));
    sim.crash(1);
    sim.run(4 * SECOND);
    sim.add_person();
    knock(&mut sim, 3, &ticket);
    sim.run(8 * SECOND);
    sim.expect_one_call(&[0, 2, 3]);
    let invited = sim.events[3].iter().find(|(_, event)| matches!(event, GroupEvent::Invited { .. }));
    assert!(invited.is_some(), "is told who is there before joining");
    // The author comes back and finds a newcomer.
    sim.resume(1);
    sim.run(3 * SECOND);
    sim.expect_one_call(&[0, 1, 2, 3]);
}

#[test]
fn links_end_with_time_revocation_and_the_author_s_membership() {
    let refused = |prepare: &dyn Fn(&mut Sim)| {
        let mut sim = Sim::talking(3, 17);
        let (now, expires) = (sim.now, sim.unix_ms() / 1000 + 100);
        let ticket = sim.call(1).make_link(expires, now).unwrap();
        prepare(&mut sim);
        sim.run(3 * SECOND);
        sim.add_person();
        knock(&mut sim, 3, &ticket);
        sim.run(8 * SECOND);
        sim.call(3).state()
    };
    let left = |why| GroupState::Left(LeftReason::Refused(why));
    assert_eq!(refused(&|_| {}), GroupState::In);
    assert_eq!(refused(&|sim| sim.run(100 * SECOND)), left(TicketRefused::Expired));
    let revoked_by = |who: usize| {
        move |sim: &mut Sim| {
            let (author, now) = (sim.person(1), sim.now);
            assert!(sim.call(who).revoke_links(author, now));
            sim.drain(who);
            // Nor does it help to ask somebody else.
            sim.run(SECOND);
            sim.crash(1);
        }
    };
    assert_eq!(refused(&revoked_by(1)), left(TicketRefused::Revoked));
    assert_eq!(refused(&revoked_by(0)), left(TicketRefused::Revoked));
    let removed = refused(&|sim| {
        let (author, now) = (sim.person(1), sim.now);
        sim.call(0).remove(author, now).unwrap();
        sim.drain(0);
    });
    assert_eq!(removed, left(TicketRefused::AuthorIsGone));
    // Nobody revokes other people's links but the creator.
    let mut sim = Sim::talking(3, 18);
    let (author, now) = (sim.person(1), sim.now);
    assert!(!sim.call(2).revoke_links(author, now));
}

#[test]
fn a_link_does_not_bring_back_whom_the_creator_removed() {
    let mut sim = Sim::talking(3, 19);
    let (now, expires, second) = (sim.now, sim.unix_ms() / 1000 + 100, sim.person(2));
    let ticket = sim.call(1).make_link(expires, now).unwrap();
    sim.call(0).remove(second, now).unwrap();
    sim.drain(0);
    sim.run(SECOND);
    sim.calls[2] = None;
    knock(&mut sim, 2, &ticket);
    sim.run(8 * SECOND);
    assert_eq!(sim.call(2).state(), GroupState::Left(LeftReason::Refused(TicketRefused::Banned)));
    sim.expect_one_call(&[0, 1]);
}

#[test]
fn a_group_that_nobody_answers_for_is_given_up() {
    let mut sim = Sim::talking(3, 20);
    (0..3).for_each(|who| sim.crash(who));
    sim.resume(2);
    sim.run(sim.limits.join + SECOND);
    assert_eq!(sim.call(2).state(), GroupState::Left(LeftReason::Unreachable));
    let ticket = Ticket::sign(&key(0), sim.group(), None, &[], 0, 100);
    knock(&mut sim, 1, &ticket);
    sim.run(sim.limits.knock + SECOND);
    assert_eq!(sim.call(1).state(), GroupState::Left(LeftReason::Unreachable));
}

#[test]
fn an_idle_group_says_little() {
    let mut sim = Sim::talking(10, 21);
    sim.run(5 * SECOND);
    sim.sent.fill((0, 0));
    sim.run(20 * SECOND);
    for (who, (messages, bytes)) in sim.sent.iter().enumerate() {
        // One report per link and second; less than 4 kb/s each.
        assert!((9 * 19..=9 * 24).contains(messages), "{who}: {messages}");
        println!("member {who}: {} bytes per link and second", bytes / 20 / 9);
        assert!(bytes / 20 / 9 < 500, "{who}: {} bytes per link and second", bytes / 20 / 9);
    }
}

/// Somebody with a link asks to be let in; the human thinks for a second.
pub fn knock(sim: &mut Sim, who: usize, ticket: &Ticket) {
    let name = Some(format!("Member {who}"));
    let (me, unix_ms, now) = (sim.keys[who].clone(), sim.unix_ms(), sim.now);
    sim.calls[who] = Some(GroupCall::knock(me, ticket.clone(), name, sim.limits, unix_ms, now));
    sim.drain(who);
}
