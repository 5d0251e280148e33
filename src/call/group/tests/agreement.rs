//! All members decide the same, whatever the holes: only the hearing, without calls and roster, so that single directions
//! can be cut.

use super::roster::{group, person};
use super::*;

struct Circle {
    now: Instant,
    members: Vec<Hearing>,
    /// Directions that nothing passes.
    cut: BTreeSet<(usize, usize)>,
}

impl Circle {
    fn of(people: usize) -> Self {
        let now = any_instant();
        let everybody: BTreeSet<Person> = (0..people).map(person).collect();
        let member = |who: usize| {
            let mut hearing = Hearing::new(key(who), group(), 1_000, Rules::default());
            let mut others = everybody.clone();
            others.remove(&person(who));
            hearing.set_present(&others, now);
            hearing.set_resources(Resources { slots: 16, spare_kbps: 2_000, ..sim::STRONG });
            hearing
        };
        Self { now, members: (0..people).map(member).collect(), cut: BTreeSet::new() }
    }

    fn number(&self, whose: Person) -> usize {
        (0..self.members.len()).find(|who| person(*who) == whose).unwrap()
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(100);
            self.step();
        }
    }

    fn step(&mut self) {
        let people = self.members.len();
        let now = self.now;
        let pairs = (0..people).flat_map(|from| (0..people).map(move |to| (from, to)));
        for (from, to) in pairs.filter(|(from, to)| from != to && !self.cut.contains(&(*from, *to))) {
            self.members[to].heard(person(from), now);
            self.members[to].measured(person(from), 0.0, Some(80 * sim::MS));
        }
        for helper in 0..people {
            let streams: Vec<_> = self.members[helper].plan().streams_of(person(helper)).collect();
            for (from, to) in streams {
                let (from_number, to_number) = (self.number(from), self.number(to));
                let passes = |a, b| !self.cut.contains(&(a, b));
                if passes(from_number, helper) && passes(helper, to_number) {
                    self.members[to_number].heard_via(from, person(helper), now);
                }
            }
        }
        for from in 0..people {
            self.members[from].handle_timeout(now);
            if !self.members[from].poll_due() {
                continue;
            }
            for to in (0..people).filter(|to| *to != from && !self.cut.contains(&(from, *to))) {
                let reports = self.members[from].reports_for(person(to));
                self.members[to].handle_reports(person(from), reports, now);
            }
        }
    }
}

#[test]
fn a_one_way_link_is_shown_to_all_and_mended_in_that_direction() {
    let mut circle = Circle::of(4);
    circle.run(4 * SECOND);
    circle.cut.insert((1, 2));
    circle.run(3 * SECOND);
    for who in 0..4 {
        let hearing = &circle.members[who];
        assert!(matches!(hearing.path(person(1), person(2)), Path::Via(_)), "{who}");
        assert_eq!(hearing.path(person(2), person(1)), Path::Direct, "{who}");
        assert_eq!(hearing.plan().streams.len(), 1, "{who}");
    }
    // Nobody can help where there are only the two of them.
    let mut circle = Circle::of(2);
    circle.run(4 * SECOND);
    circle.cut.insert((1, 0));
    circle.run(3 * SECOND);
    assert_eq!(circle.members[1].path(person(1), person(0)), Path::Missing);
    assert_eq!(circle.members[1].plan().streams.len(), 0);
}

/// Member 0 and everybody else hear each other; of the other directions any may be cut.
#[test]
fn all_members_decide_the_same() {
    for seed in 0..12 {
        let dice = sim::Dice::new(seed);
        let people = 4 + dice.below(7);
        let mut circle = Circle::of(people);
        let pairs = (1..people).flat_map(|a| (1..people).map(move |b| (a, b))).filter(|(a, b)| a != b);
        let cut: BTreeSet<(usize, usize)> = pairs.filter(|_| dice.chance(20)).take(16).collect();
        // From the beginning, or in the middle of it.
        if dice.chance(50) {
            circle.run(4 * SECOND);
        }
        circle.cut = cut.clone();
        circle.run(8 * SECOND);
        let plan = circle.members[0].plan().clone();
        for (who, member) in circle.members.iter().enumerate() {
            assert_eq!(member.plan(), &plan, "seed {seed}, member {who} of {people}");
            for (from, to) in &cut {
                let path = member.path(person(*from), person(*to));
                assert!(matches!(path, Path::Via(_)), "seed {seed}: {who} sees {path:?} from {from} to {to}");
            }
        }
        assert_eq!(plan.holes.len(), cut.len());
        // It stays as it is.
        let mut changes = 0;
        for _ in 0..100 {
            circle.run(100 * sim::MS);
            changes += usize::from(circle.members[0].plan() != &plan);
        }
        assert_eq!(changes, 0, "seed {seed}");
        circle.cut.clear();
        circle.run(8 * SECOND);
        assert!(circle.members.iter().all(|member| member.plan() == &Plan::default()), "seed {seed}");
    }
}
