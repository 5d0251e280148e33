//! The decision who helps whom, from made-up reports.

use proptest::prelude::*;

use super::roster::{group, person};
use super::*;
use crate::call::group::plan::{MAX_SLOTS, MAX_WEAK_PER_CARRIER, STREAM_KBPS, Sight};
use crate::call::group::report::{Heard, Tag};

/// Members who all hear each other, to begin with; numbered by their keys, so that 0 has the lowest.
struct Table {
    people: Vec<Person>,
    reports: BTreeMap<Person, Report>,
}

impl Table {
    fn of(people: usize) -> Self {
        let mut people: Vec<Person> = (0..people).map(person).collect();
        people.sort_unstable();
        let heard = Heard { direct: true, steady: true, rtt_ms: 80, ..Heard::default() };
        let report = |me: &Person| Report {
            from: *me,
            seq: 1,
            digest: [0; 16],
            resources: sim::STRONG,
            hears: people.iter().filter(|other| *other != me).map(|other| (tag(*other), heard)).collect(),
            carries: Vec::new(),
            failed: Vec::new(),
            signature: [0; 64],
        };
        let reports = people.iter().map(|me| (*me, report(me))).collect();
        Self { people, reports }
    }

    fn report(&mut self, who: usize) -> &mut Report {
        self.reports.get_mut(&self.people[who]).unwrap()
    }

    fn told(&mut self, listener: usize, speaker: usize) -> &mut Heard {
        let tag = tag(self.people[speaker]);
        self.report(listener).hears.get_mut(&tag).unwrap()
    }

    /// `listener` does not hear `speaker`.
    fn hole(&mut self, speaker: usize, listener: usize) {
        *self.told(listener, speaker) = Heard::default();
    }

    fn rtt(&mut self, a: usize, b: usize, ms: u16) {
        self.told(a, b).rtt_ms = ms;
        self.told(b, a).rtt_ms = ms;
    }

    fn carries(&mut self, helper: usize, speaker: usize, listener: usize) {
        let stream = (tag(self.people[speaker]), tag(self.people[listener]));
        self.report(helper).carries.push(stream);
    }

    fn plan(&self) -> Plan {
        let present = self.people.iter().copied().collect();
        Plan::of(&Sight::new(group(), &present, self.reports.iter().map(|(who, report)| (*who, report))))
    }

    fn helper(&self, speaker: usize, listener: usize) -> Option<usize> {
        let helper = self.plan().streams.get(&(self.people[speaker], self.people[listener])).copied()?;
        self.people.iter().position(|person| *person == helper)
    }

    fn streams_of(&self, helper: usize) -> usize {
        self.plan().streams_of(self.people[helper]).count()
    }

    /// What `helper` sends at a time if two speak at once.
    fn at_a_time(&self, helper: usize) -> usize {
        let plan = self.plan();
        let to = |listener: &Person| plan.streams_of(self.people[helper]).filter(|(_, to)| to == listener).count();
        self.people.iter().map(|listener| to(listener).min(2)).sum()
    }
}

fn tag(person: Person) -> Tag {
    Tag::of(group(), person)
}

#[test]
fn nobody_helps_where_nothing_is_missing() {
    assert_eq!(Table::of(10).plan(), Plan::default());
    // Nor somebody who says nothing at all: their links may be on their way.
    let mut table = Table::of(5);
    table.report(3).hears.clear();
    assert_eq!(table.plan(), Plan::default());
}

#[test]
fn the_nearest_helps_and_of_equals_the_lowest_key() {
    let mut table = Table::of(6);
    table.hole(1, 2);
    assert_eq!(table.helper(1, 2), Some(0));
    assert_eq!(table.plan().streams.len(), 1, "the other direction works");
    table.rtt(4, 1, 20);
    assert_eq!(table.helper(1, 2), Some(4));
    table.told(2, 4).rtt_ms = 300;
    assert_eq!(table.helper(1, 2), Some(0));
    table.report(0).resources.cpu_free = 20;
    assert_eq!(table.helper(1, 2), Some(3));
}

#[test]
fn a_helper_hears_both_and_is_heard_by_both() {
    for (speaker, listener) in [(1, 0), (0, 1), (2, 0), (0, 2)] {
        let mut table = Table::of(4);
        table.hole(1, 2);
        assert_eq!(table.helper(1, 2), Some(0));
        table.hole(speaker, listener);
        assert_eq!(table.helper(1, 2), Some(3), "{listener} does not hear {speaker}");
    }
}

#[test]
fn who_cannot_or_will_not_help_does_not() {
    let weak = Resources { weak: true, ..sim::STRONG };
    let busy = Resources { cpu_free: 9, ..sim::STRONG };
    let unwilling = Resources { slots: 0, ..sim::STRONG };
    let narrow = Resources { spare_kbps: STREAM_KBPS - 1, ..sim::STRONG };
    for resources in [busy, unwilling, narrow] {
        let mut table = Table::of(4);
        table.hole(1, 2);
        table.report(0).resources = resources;
        assert_eq!(table.helper(1, 2), Some(3), "{resources:?}");
        table.report(3).resources = resources;
        assert_eq!(table.helper(1, 2), None, "{resources:?}");
        assert_eq!(table.plan().holes.len(), 1, "the hole is shown all the same");
    }
    let mut table = Table::of(4);
    table.hole(1, 2);
    table.report(0).resources = weak;
    assert_eq!(table.helper(1, 2), Some(3));
}

#[test]
fn a_helper_stays_unless_another_is_much_better() {
    let mut table = Table::of(5);
    table.hole(1, 2);
    table.carries(4, 1, 2);
    assert_eq!(table.helper(1, 2), Some(4), "of equals, the one who does it");
    table.rtt(4, 1, 110);
    assert_eq!(table.helper(1, 2), Some(4), "30 ms worse");
    table.rtt(4, 1, 130);
    assert_eq!(table.helper(1, 2), Some(0), "50 ms worse");
    // Back to direct only when that is steady.
    let via = Some(tag(table.people[4]));
    *table.told(2, 1) = Heard { direct: true, steady: false, via, ..Heard::default() };
    assert!(table.helper(1, 2).is_some() && table.plan().holes.is_empty());
    table.told(2, 1).steady = true;
    assert_eq!(table.plan(), Plan::default());
}

#[test]
fn a_helper_that_does_not_deliver_is_passed_over() {
    let mut table = Table::of(4);
    table.hole(1, 2);
    table.carries(0, 1, 2);
    let failed = (tag(table.people[1]), tag(table.people[0]));
    table.report(2).failed.push(failed);
    assert_eq!(table.helper(1, 2), Some(3));
}

/// The liar says that it hears nobody, or next to nobody.
#[test]
fn a_liar_does_not_drag_in_all_helpers() {
    let mut table = Table::of(10);
    (0..9).for_each(|speaker| table.hole(speaker, 9));
    assert_eq!(table.plan().streams.len(), 0, "whom it does not hear cannot help it");
    // It hears 0 alone: 0 carries what two people say at once, and nobody else anything.
    let mut table = Table::of(10);
    (1..9).for_each(|speaker| table.hole(speaker, 9));
    assert_eq!((table.streams_of(0), table.at_a_time(0)), (8, 2));
    assert_eq!(table.plan().streams.len(), 8);
    table.report(0).resources.slots = 1;
    assert_eq!(table.streams_of(0), 1, "no more than it has to spare");
    // Somebody with one honest hole has its share before the liar has a second stream.
    for honest in [1, 8] {
        table.report(0).resources.slots = 2;
        let listener = if honest == 1 { 2 } else { 1 };
        table.hole(honest, listener);
        (3..8).for_each(|other| table.report(other).resources.slots = 0);
        table.report(9).resources.slots = 0;
        assert_eq!(table.helper(honest, listener), Some(0));
        assert_eq!(table.streams_of(0), 2);
        *table.told(listener, honest) = Heard { direct: true, steady: true, rtt_ms: 80, ..Heard::default() };
    }
}

#[test]
fn nobody_carries_more_than_it_has_to_spare() {
    // Two halves that do not hear each other, and 0 and 1 who hear everybody.
    let mut table = Table::of(10);
    for (a, b) in (2..6).flat_map(|a| (6..10).map(move |b| (a, b))) {
        table.hole(a, b);
        table.hole(b, a);
    }
    let resources = |slots, spare_kbps| Resources { slots, spare_kbps, ..sim::STRONG };
    for (slots, spare, most) in [(20, 60_000, MAX_SLOTS), (20, 64 * 5, 5), (3, 1000, 3), (0, 1000, 0)] {
        table.report(0).resources = resources(slots, spare);
        table.report(1).resources = resources(slots, spare);
        let both = [table.at_a_time(0), table.at_a_time(1)];
        if most == MAX_SLOTS {
            assert_eq!(table.plan().streams.len(), 32, "all that is missing");
            assert!(both.iter().all(|streams| *streams <= most), "{both:?}");
        } else {
            assert_eq!(both, [most; 2], "{slots} slots, {spare} kb/s");
        }
        assert!((2..10).all(|who| table.streams_of(who) == 0));
    }
}

#[test]
fn a_weak_member_is_fanned_out_by_one_strong_one() {
    let mut table = Table::of(8);
    table.report(5).resources = Resources { weak: true, spare_kbps: 0, ..sim::STRONG };
    let plan = table.plan();
    assert_eq!(plan.carriers, BTreeMap::from([(table.people[5], table.people[0])]));
    assert_eq!(plan.streams.len(), 6, "to everybody but the two");
    assert!(plan.streams.values().all(|carrier| *carrier == table.people[0]));
    // Who reaches more is better than who is nearer; whoever does it stays.
    table.rtt(5, 0, 10);
    table.hole(0, 3);
    assert_eq!(table.plan().carriers[&table.people[5]], table.people[1]);
    let mut table = Table::of(8);
    table.report(5).resources.weak = true;
    table.carries(6, 5, 1);
    assert_eq!(table.plan().carriers[&table.people[5]], table.people[6]);
    // Listeners who then say that they hear it only through the carrier are no holes.
    let via = Some(tag(table.people[6]));
    for listener in [0, 1, 2, 3, 4, 7] {
        *table.told(listener, 5) = Heard { via, ..Heard::default() };
    }
    let plan = table.plan();
    assert_eq!((plan.carriers[&table.people[5]], plan.streams.len()), (table.people[6], 6));
}

#[test]
fn not_everybody_can_be_weak() {
    let mut table = Table::of(10);
    (1..10).for_each(|who| table.report(who).resources.weak = true);
    table.report(0).resources = Resources { slots: 255, spare_kbps: u16::MAX, ..sim::STRONG };
    let plan = table.plan();
    assert_eq!(plan.carriers.len(), MAX_WEAK_PER_CARRIER);
    assert!(table.at_a_time(0) <= MAX_SLOTS);
}

proptest! {
    /// Whatever people claim: no helper beyond its means, nobody helped who hears directly, and all decide the same.
    #[test]
    fn any_reports_make_a_sane_plan(seed: u64, people in 2usize..11) {
        let mut table = Table::of(people);
        let dice = sim::Dice::new(seed);
        for (a, b) in (0..people).flat_map(|a| (0..people).map(move |b| (a, b))).filter(|(a, b)| a != b) {
            let via = dice.chance(20).then(|| tag(table.people[dice.below(people)]));
            let told = Heard {
                direct: dice.chance(70),
                steady: dice.chance(70),
                via,
                age: None,
                loss: 0,
                rtt_ms: dice.below(300) as u16,
            };
            *table.told(a, b) = told;
            if dice.chance(10) {
                table.carries(a, b, dice.below(people));
            }
        }
        for who in 0..people {
            table.report(who).resources = Resources {
                spare_kbps: dice.below(2000) as u16,
                cpu_free: dice.below(101) as u8,
                slots: dice.below(30) as u8,
                weak: dice.chance(10),
            };
        }
        let plan = table.plan();
        for who in 0..people {
            let resources = table.reports[&table.people[who]].resources;
            let means = usize::from(resources.slots).min(usize::from(resources.spare_kbps / STREAM_KBPS)).min(MAX_SLOTS);
            prop_assert!(table.at_a_time(who) <= means);
        }
        let hears = |speaker: &Person, listener: &Person| table.reports[listener].hears[&tag(*speaker)].direct;
        for ((speaker, listener), helper) in &plan.streams {
            prop_assert!(speaker != listener && helper != speaker && helper != listener);
            prop_assert!(hears(speaker, helper) && hears(helper, listener));
            let told = table.reports[listener].hears[&tag(*speaker)];
            let weak = plan.carriers.get(speaker) == Some(helper);
            prop_assert!(weak || !told.direct || told.via.is_some());
        }
        prop_assert_eq!(table.plan(), plan);
    }
}
