//! Who hears whom, in a group at work: holes, helpers, weak members, liars.

use super::*;

/// Every member's screen shows this direction so.
fn all_show(sim: &Sim, people: &[usize], from: usize, to: usize, is: impl Fn(Path) -> bool) -> bool {
    let (from, to) = (sim.person(from), sim.person(to));
    people.iter().all(|who| is(sim.calls[*who].as_ref().unwrap().hearing().path(from, to)))
}

fn helper_of(sim: &Sim, from: usize, to: usize) -> Option<usize> {
    let plan = sim.calls[to].as_ref().unwrap().hearing().plan();
    plan.streams.get(&(sim.person(from), sim.person(to))).and_then(|helper| sim.number(*helper))
}

fn settled(people: usize, seed: u64) -> (Sim, Vec<usize>) {
    let mut sim = Sim::talking(people, seed);
    sim.run(5 * SECOND);
    sim.events.iter_mut().for_each(Vec::clear);
    (sim, (0..people).collect())
}

/// Begun or ended carrying, by anybody.
fn changes(sim: &Sim) -> usize {
    let carrying = |event: &GroupEvent| {
        matches!(event, GroupEvent::Hearing(HearingEvent::Carry { .. } | HearingEvent::StopCarrying { .. }))
    };
    sim.events.iter().flatten().filter(|(_, event)| carrying(event)).count()
}

#[test]
fn a_blocked_link_is_shown_and_mended_and_direct_again_when_it_opens() {
    for (seed, brittle, loss) in [(30, false, 0), (31, true, 0), (32, false, 10), (33, true, 10)] {
        let (mut sim, all) = settled(6, seed);
        (sim.brittle, sim.loss, sim.jitter_ms) = (brittle, loss, 20);
        sim.cut_both(1, 2);
        let blocked = sim.elapsed();
        sim.run_until(3 * SECOND, "shown on every screen", |sim| {
            let broken = |path| !matches!(path, Path::Direct | Path::Unknown);
            all_show(sim, &all, 1, 2, broken) && all_show(sim, &all, 2, 1, broken)
        });
        sim.run_until(blocked + 4 * SECOND - sim.elapsed(), "mended", |sim| sim.everybody_hears(&all));
        sim.run_until(blocked + 4 * SECOND - sim.elapsed(), "shown as mended", |sim| {
            all_show(sim, &all, 1, 2, |path| matches!(path, Path::Via(_)))
        });
        // All have decided the same, and nobody wavers.
        sim.run(3 * SECOND);
        let plan = sim.call(0).hearing().plan().clone();
        for who in &all {
            assert_eq!(sim.call(*who).hearing().plan(), &plan, "{who}");
        }
        let before = changes(&sim);
        sim.run(20 * SECOND);
        assert!(sim.everybody_hears(&all));
        if loss == 0 {
            assert_eq!(changes(&sim), before);
            assert_eq!(before, 2, "one helper each way, at once the right one");
        }
        sim.cut.clear();
        sim.run_until(15 * SECOND, "direct again", |sim| {
            let direct = |path| path == Path::Direct;
            all_show(sim, &all, 1, 2, direct) && all_show(sim, &all, 2, 1, direct)
        });
        sim.run(SECOND);
        assert!(sim.everybody_hears(&all));
        assert!(all.iter().all(|who| sim.carried_by(*who) == 0));
        // Nobody took them for gone meanwhile.
        assert!(!sim.events.iter().flatten().any(|(_, event)| matches!(event, GroupEvent::Gone(_))));
    }
}

#[test]
fn another_helper_takes_over_when_one_is_lost() {
    let (mut sim, all) = settled(6, 34);
    sim.cut_both(1, 2);
    sim.run(6 * SECOND);
    let helper = helper_of(&sim, 1, 2).expect("mended");
    let rest: Vec<usize> = all.iter().copied().filter(|who| *who != helper).collect();
    sim.crash(helper);
    assert!(!sim.is_heard(1, 2));
    let rules = sim.limits.rules;
    // Its silence has to be noticed; from then on it takes less than a report's interval.
    let took = sim.run_until(rules.silence + rules.every, "taken over", |sim| sim.everybody_hears(&rest));
    assert!(took <= 3 * SECOND);
    assert_ne!(helper_of(&sim, 1, 2), Some(helper));
}

#[test]
fn a_helper_that_only_says_so_is_replaced() {
    let (mut sim, all) = settled(5, 35);
    sim.cut_both(1, 2);
    sim.run(5 * SECOND);
    let helper = helper_of(&sim, 1, 2).expect("mended");
    sim.lazy.insert(helper);
    let rules = sim.limits.rules;
    sim.run_until(rules.delivery + 2 * rules.every, "replaced", |sim| sim.everybody_hears(&all));
    assert_ne!(helper_of(&sim, 1, 2), Some(helper));
}

#[test]
fn a_group_of_two_has_nobody_to_help() {
    let (mut sim, _) = settled(2, 36);
    sim.cut_both(0, 1);
    sim.run(4 * SECOND);
    assert_eq!(sim.call(0).hearing().plan().streams, BTreeMap::new());
    assert!(sim.has_event(0, &GroupEvent::Gone(sim.person(1))));
}

/// A member with a 64 kb/s uplink in a group of 8.
#[test]
fn a_weak_member_sends_one_stream_over_one_of_two_links_and_is_heard_by_all() {
    let (mut sim, all) = settled(8, 37);
    let streams = |sim: &Sim| {
        let call = sim.calls[3].as_ref().unwrap();
        let linked = |to: &&usize| sim.side(3, **to) == sim::Side::Up;
        all.iter().filter(linked).filter(|to| call.hearing().sends_to(sim.person(**to))).count()
    };
    assert_eq!((streams(&sim), sim.links(3)), (7, 7));
    sim.resources[3] = Resources { weak: true, spare_kbps: 0, ..sim::STRONG };
    let mut always = true;
    for _ in 0..500 {
        sim.step();
        always &= sim.everybody_hears(&all);
    }
    assert!(always, "no gap while it changes over");
    assert_eq!((streams(&sim), sim.links(3)), (1, 2));
    let carrier = sim.call(3).hearing().plan().carriers.values().next().copied().unwrap();
    let carrier = sim.number(carrier).unwrap();
    let carried: usize = all.iter().map(|who| sim.carried_by(*who)).sum();
    assert_eq!(carried, 6 + 5, "its stream to six, and to it those of five whom it does not hear itself");
    assert!(sim.carried_by(carrier) >= 6);
    assert!(all.iter().all(|who| *who == 3 || sim.links(*who) >= 6), "and nobody else has lost a link");
    let dials = changes(&sim);
    sim.run(20 * SECOND);
    assert_eq!((streams(&sim), sim.links(3), changes(&sim)), (1, 2, dials), "so it stays");
    // The carrier dies, and the other one carries.
    sim.crash(carrier);
    let rest: Vec<usize> = all.iter().copied().filter(|who| *who != carrier).collect();
    sim.run_until(3 * SECOND, "heard again", |sim| sim.everybody_hears(&rest));
    sim.run(5 * SECOND);
    assert_eq!((streams(&sim), sim.links(3)), (1, 1));
    // It is strong again.
    sim.resources[3] = sim::STRONG;
    always = true;
    for _ in 0..1000 {
        sim.step();
        always &= sim.everybody_hears(&rest);
    }
    assert!(always);
    sim.expect_one_call_among(&rest);
    assert!(rest.iter().all(|who| sim.carried_by(*who) == 0));
}

#[test]
fn who_has_a_narrow_line_joins_one_by_one() {
    for (seed, latency_ms) in [(40, 20), (41, 40), (42, 150)] {
        let (mut sim, mut all) = settled(8, seed);
        sim.latency = Duration::from_millis(latency_ms);
        sim.add_person();
        sim.narrow.insert(8);
        sim.resources[8] = Resources { weak: true, spare_kbps: 0, ..sim::STRONG };
        sim.invite(0, 8);
        all.push(8);
        sim.run_until(12 * SECOND, "joined over a narrow line", |sim| sim.everybody_hears(&all));
        sim.run(10 * SECOND);
        assert!(sim.everybody_hears(&all) && sim.links(8) == 1, "{}", sim.describe());
        // Its line is wide after all.
        (sim.narrow, sim.resources[8]) = (BTreeSet::new(), sim::STRONG);
        sim.run_until(10 * SECOND, "all links of its own", |sim| sim.is_one_call(&all));
    }
}

/// Only the inviter is reached, and the others are not as long as all are rung at once.
#[test]
fn who_reaches_nobody_at_once_tries_one_at_a_time() {
    let (mut sim, mut all) = settled(6, 43);
    sim.add_person();
    sim.narrow.insert(6);
    sim.invite(0, 6);
    all.push(6);
    sim.run_until(6 * SECOND, "is carried by the first", |sim| sim.everybody_hears(&all));
    sim.run_until(sim.limits.ring_timeout + 6 * SECOND, "reaches all", |sim| sim.is_one_call(&all));
}

/// It signs reports that say so, whatever its own program hears.
#[test]
fn a_member_that_claims_to_hear_nobody_costs_nobody_anything() {
    let (mut sim, all) = settled(8, 38);
    let (liar, group) = (sim.keys[4].clone(), sim.group());
    sim.tamper = Box::new(move |from, _, message| {
        let Body::Reports(reports) = &mut message.body else { return };
        if from != 4 {
            return;
        }
        for report in reports.iter_mut().filter(|report| report.from == liar.person()) {
            report.hears.values_mut().for_each(|told| (told.direct, told.steady) = (false, false));
            *report = Report::sign(&liar, group, report.clone());
        }
    });
    sim.run(10 * SECOND);
    assert!(all.iter().all(|who| sim.carried_by(*who) == 0));
    assert!(all_show(&sim, &[0, 1, 2], 0, 4, |path| path == Path::Missing), "it is shown as it says");
    assert!(sim.everybody_hears(&all));
    // Honest holes are mended as ever.
    sim.cut_both(1, 2);
    sim.run(4 * SECOND);
    assert!(sim.is_heard(1, 2) && sim.is_heard(2, 1));
}

#[test]
fn reports_get_around_a_hole() {
    let (mut sim, _) = settled(4, 39);
    sim.cut_both(1, 2);
    sim.run(6 * SECOND);
    // 1 has reports of 2, though no packet of 2 gets to it: without, it could not know what 2 hears.
    let (two, three) = (sim.person(2), sim.person(3));
    assert_eq!(sim.call(1).hearing().path(three, two), Path::Direct);
    let now = sim.now;
    let sign = sim.call(1).hearing().last_sign(two).unwrap();
    assert!(now - sign < 2 * SECOND);
    assert_eq!(sim.call(1).size(), 4);
}
