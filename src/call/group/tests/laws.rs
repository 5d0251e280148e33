//! What holds for rosters whatever is merged into them.

use proptest::prelude::*;

use super::roster::{add, example, group, members, person, removal};
use super::*;

/// The honest four of [`example`], and two more.
const PEOPLE: usize = 6;

/// Everything that these people can sign, right or wrong, with the numbers that matter.
fn any_entry(signers: &'static [usize]) -> impl Strategy<Value = Entry> {
    let number = || prop_oneof![8 => 0u32..3, 1 => Just(u32::MAX)];
    let signer = || proptest::sample::select(signers);
    prop_oneof![
        3 => (signer(), 0..PEOPLE, number(), number(), number())
            .prop_map(|(by, whom, generation, turn, standing)| add(by, whom, generation, turn, standing)),
        3 => (signer(), 0..PEOPLE, number(), number())
            .prop_map(|(by, whom, generation, turn)| removal(by, whom, generation, turn)),
        1 => (signer(), 0..PEOPLE, 0u64..3).prop_map(|(by, author, until)| {
            Entry::Revocation(Revocation::sign(&key(by), group(), person(author), until))
        }),
    ]
}

fn any_roster() -> impl Strategy<Value = Roster> {
    proptest::collection::vec(any_entry(&[0, 1, 2, 3, 4, 5]), 0..14).prop_map(|entries| {
        let mut roster = example();
        // One at a time: what nobody is entitled to say yet is not kept for later.
        entries.iter().for_each(|entry| drop(roster.merge(std::slice::from_ref(entry)).unwrap()));
        roster
    })
}

fn merged(a: &Roster, b: &Roster) -> Roster {
    let mut merged = a.clone();
    merged.merge(&b.entries(None)).unwrap();
    merged
}

fn expect_equal(a: &Roster, b: &Roster) -> Result<(), TestCaseError> {
    let all = |roster: &Roster| roster.entries(None).into_iter().collect::<BTreeSet<_>>();
    prop_assert_eq!(all(a), all(b));
    prop_assert_eq!(a, b);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn merging_is_a_join_semilattice(a in any_roster(), b in any_roster(), c in any_roster()) {
        expect_equal(&merged(&a, &a), &a)?;
        expect_equal(&merged(&a, &b), &merged(&b, &a))?;
        expect_equal(&merged(&merged(&a, &b), &c), &merged(&a, &merged(&b, &c)))?;
        // What was known stays known.
        let join = merged(&a, &b);
        expect_equal(&merged(&join, &a), &join)?;
    }

    #[test]
    fn order_repetition_and_batches_do_not_matter(
        roster in any_roster(),
        order in any::<u64>(),
        batch in 1usize..5,
    ) {
        let dice = sim::Dice::new(order);
        let mut entries = roster.entries(None);
        for at in (1..entries.len()).rev() {
            entries.swap(at, dice.below(at + 1));
        }
        let mut other = example();
        // What comes before its reason is dropped, and comes again.
        for _ in 0..entries.len() {
            for batch in entries.chunks(batch) {
                other.merge(batch).unwrap();
            }
        }
        expect_equal(&other, &roster)?;
    }

    /// 2 belongs to the group and 5 does not; both sign what they like.
    #[test]
    fn nobody_comes_or_goes_without_right(
        hostile in proptest::collection::vec(any_entry(&[2, 5]), 0..16),
        later in proptest::collection::vec(any_entry(&[2, 5]), 0..16),
    ) {
        let mut roster = example();
        for entry in &hostile {
            roster.merge(std::slice::from_ref(entry)).unwrap();
            for honest in [0, 1, 3] {
                prop_assert!(roster.is_member(person(honest)), "{} is out by {:?}", honest, entry);
            }
        }
        let invited = |whom: usize| hostile.iter().any(|entry| {
            matches!(entry, Entry::Add(add) if add.person == person(whom) && add.inviter == person(2))
        });
        for stranger in [4, 5] {
            // 5 may only invite once 2 has let it in.
            prop_assert!(!roster.is_member(person(stranger)) || invited(stranger) || invited(5));
        }
        // The creator removes both, and whatever they say then, nobody comes or goes by it.
        for whom in [2, 5] {
            if let Ok(entries) = roster.remove(&key(0), person(whom)) {
                roster.merge(&entries).unwrap();
            }
        }
        let before = members(&roster);
        prop_assert!(!before.contains(&2) && !before.contains(&5));
        let gone_for_good = !roster.removals_of(person(5)).is_empty();
        for entry in &later {
            roster.merge(std::slice::from_ref(entry)).unwrap();
            let after = members(&roster);
            prop_assert!([0, 1, 3].iter().all(|who| after.contains(who)), "{:?}", entry);
            prop_assert!(!after.contains(&2), "{:?}", entry);
            if gone_for_good {
                prop_assert!(!after.contains(&5), "{:?}", entry);
            }
        }
    }

    /// A roster built from any entries of anybody is bounded and does not panic.
    #[test]
    fn any_entries_can_be_merged(entries in proptest::collection::vec(any_entry(&[0, 1, 2, 3, 4, 5]), 0..40)) {
        let mut roster = Roster::new(group());
        let merged = roster.merge(&entries).unwrap();
        prop_assert!(merged.news.len() + merged.refused <= entries.len());
        let people = members(&roster);
        prop_assert_eq!(people.len(), roster.members().count());
    }
}
