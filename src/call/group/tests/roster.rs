//! Who may say what of whom.

use super::*;
use crate::call::group::roster::{MAX_ADDS, MAX_ADDS_PER_INVITER};

const CREATOR: usize = 0;

pub fn group() -> GroupKey {
    GroupKey { id: GroupId::from_bytes(sim::GROUP), creator: key(CREATOR).person() }
}

pub fn person(who: usize) -> Person {
    key(who).person()
}

/// An add as its signer may write it, right or wrong.
pub fn add(by: usize, whom: usize, generation: u32, turn: u32, standing: u32) -> Entry {
    let unsigned = Add {
        person: person(whom),
        inviter: person(by),
        generation,
        turn,
        standing,
        name: Some(format!("Member {whom}")),
        signature: [0; 64],
    };
    Entry::Add(Add::sign(&key(by), group(), unsigned))
}

pub fn removal(by: usize, whom: usize, generation: u32, turn: u32) -> Entry {
    Entry::Removal(Removal::sign(&key(by), group(), person(whom), generation, turn))
}

/// The creator has invited 1 and 2, and 1 has invited 3.
pub fn example() -> Roster {
    let mut roster = Roster::found(&key(CREATOR), group(), Some("Creator"));
    roster.merge(&[add(0, 1, 0, 0, 0), add(0, 2, 0, 0, 0), add(1, 3, 0, 0, 0)]).unwrap();
    assert_eq!(members(&roster), [0, 1, 2, 3]);
    roster
}

pub fn members(roster: &Roster) -> Vec<usize> {
    (0..1000).filter(|who| roster.is_member(person(*who))).take(roster.members().count()).collect()
}

#[test]
fn only_a_chain_from_the_creator_counts() {
    let mut roster = example();
    // 5 is nobody here, and what it says is not even kept.
    let merged = roster.merge(&[add(5, 6, 0, 0, 0), removal(5, 1, 0, 0), removal(6, 6, 9, 0)]).unwrap();
    assert_eq!((merged.news.len(), merged.refused), (0, 3));
    // Nor may anybody invite themselves, but the creator.
    assert_eq!(roster.merge(&[add(5, 5, 0, 0, 0), add(2, 2, 1, 0, 0)]).unwrap().news, []);
    // A chain may come in any order.
    let merged = roster.merge(&[add(6, 7, 0, 0, 0), add(5, 6, 0, 0, 0), add(3, 5, 0, 0, 0)]).unwrap();
    assert_eq!((merged.news.len(), merged.refused), (3, 0));
    assert_eq!(members(&roster), [0, 1, 2, 3, 5, 6, 7]);
}

#[test]
fn forged_entries_spoil_the_whole_batch() {
    let Entry::Add(good) = add(1, 4, 0, 0, 0) else { unreachable!() };
    let other_group = GroupKey { id: GroupId::from_bytes([8; 16]), ..group() };
    let other_creator = GroupKey { creator: person(1), ..group() };
    let mut signature = good.signature;
    signature[40] ^= 1;
    let forged = [
        Add { person: person(5), ..good.clone() },
        Add { inviter: person(2), ..good.clone() },
        Add { generation: 1, ..good.clone() },
        Add { turn: 1, ..good.clone() },
        Add { standing: 1, ..good.clone() },
        Add { name: None, ..good.clone() },
        Add { name: Some("Member 44".into()), ..good.clone() },
        Add { signature, ..good.clone() },
        Add::sign(&key(1), other_group, good.clone()),
        Add::sign(&key(1), other_creator, good.clone()),
        // Signed, but about nobody.
        Add::sign(&key(1), group(), Add { person: Person::from_bytes([0xff; 32]), ..good.clone() }),
    ];
    for add in forged {
        let mut roster = example();
        assert_eq!(roster.merge(&[Entry::Add(good.clone()), Entry::Add(add.clone())]), Err(Forged), "{add:?}");
        assert_eq!(roster, example());
    }
    let Entry::Removal(good) = removal(1, 3, 0, 0) else { unreachable!() };
    for removal in [
        Removal { remover: person(0), ..good.clone() },
        Removal { remover: person(3), ..good.clone() },
        Removal { person: person(2), ..good.clone() },
        Removal { generation: 9, ..good.clone() },
        Removal { turn: 9, ..good.clone() },
    ] {
        assert_eq!(example().merge(&[Entry::Removal(removal)]), Err(Forged));
    }
    let Entry::Revocation(good) = example().revoke(&key(1), person(1), 100) else { unreachable!() };
    let forged = Revocation { made_until_unix_s: 101, ..good };
    assert_eq!(example().merge(&[Entry::Revocation(forged)]), Err(Forged));
}

#[test]
fn nobody_removes_others_but_their_inviter_and_the_creator() {
    for (by, whom, out) in
        [(3, 3, true), (1, 3, true), (0, 3, true), (2, 3, false), (3, 1, false), (1, 2, false), (1, 0, false)]
    {
        let mut roster = example();
        let said = roster.remove(&key(by), person(whom));
        assert_eq!(said.is_ok(), out, "{by} removes {whom}");
        // Signed all the same, by a program that knows no manners.
        let bare = roster.merge(&[removal(by, whom, u32::MAX, u32::MAX)]).unwrap();
        assert_eq!(bare.news.len(), usize::from(out));
        assert_eq!(!roster.is_member(person(whom)), out);
        let others = (0..4).filter(|who| *who != whom);
        assert!(others.into_iter().all(|who| roster.is_member(person(who))), "{by} removes {whom}: and nobody else");
    }
    let roster = example();
    assert_eq!(roster.remove(&key(2), person(3)), Err(RemoveRefused::NotYours { inviter: person(1) }));
    assert_eq!(roster.remove(&key(2), person(7)), Err(RemoveRefused::NotIn));
}

#[test]
fn an_inviter_who_goes_takes_nobody_along() {
    for by in [1, 0] {
        let mut roster = example();
        let entries = roster.remove(&key(by), person(1)).unwrap();
        roster.merge(&entries).unwrap();
        assert_eq!(members(&roster), [0, 2, 3], "removed by {by}");
    }
    // Not even by spoiling its own adds.
    let mut roster = example();
    roster.merge(&[add(3, 4, 0, 0, 0)]).unwrap();
    roster.merge(&[add(1, 3, u32::MAX, 9, u32::MAX)]).unwrap();
    assert_eq!(members(&roster), [0, 1, 2, 4], "3 is no longer vouched for, but 3's guest is");
    roster.merge(&[removal(1, 3, u32::MAX, u32::MAX)]).unwrap();
    assert!(roster.is_member(person(4)));
}

#[test]
fn whom_the_creator_removes_smuggles_nobody_in() {
    let mut roster = example();
    let entries = roster.remove(&key(CREATOR), person(1)).unwrap();
    roster.merge(&entries).unwrap();
    assert_eq!(members(&roster), [0, 2, 3], "the creator vouches for 3");
    assert_eq!(roster.member(person(3)).unwrap().inviter, person(0));
    // Signed later, by somebody with a stay that is over; whatever it claims.
    for standing in [0, 1, u32::MAX] {
        roster.merge(&[add(1, 8, 0, standing, standing), add(8, 9, 0, 0, 0), add(8, 1, 1, 0, 0)]).unwrap();
        assert_eq!(members(&roster), [0, 2, 3], "standing {standing}");
    }
    // When the creator takes them back, what they say counts again.
    let again = roster.add(&key(CREATOR), person(1), None, 10).unwrap();
    assert_eq!(again.generation, 1);
    roster.merge(&[Entry::Add(again)]).unwrap();
    assert!(roster.is_member(person(1)));
    let next = roster.add(&key(1), person(6), None, 10).unwrap();
    assert_eq!(next.standing, 1);
    roster.merge(&[Entry::Add(next)]).unwrap();
    assert!(roster.is_member(person(6)));
}

#[test]
fn who_has_left_comes_back_only_by_a_new_add() {
    let mut roster = example();
    let old = roster.entries(None);
    roster.merge(&[removal(3, 3, 0, 0)]).unwrap();
    assert_eq!(roster.removed_by(person(3)), Some(person(3)));
    roster.merge(&old).unwrap();
    // Of the stay that is over, or of one that is yet to come.
    roster.merge(&[add(2, 3, 0, 7, 0), add(1, 3, 500, 0, 0)]).unwrap();
    assert!(!roster.is_member(person(3)));
    let again = roster.add(&key(2), person(3), None, 10).unwrap();
    assert_eq!((again.generation, again.turn), (1, 0));
    roster.merge(&[Entry::Add(again)]).unwrap();
    assert!(roster.is_member(person(3)));
    // Many times over.
    for stay in 1..20 {
        let leave = roster.remove(&key(3), person(3)).unwrap();
        roster.merge(&leave).unwrap();
        assert!(!roster.is_member(person(3)), "{stay}");
        let back = roster.add(&key(0), person(3), None, 10).unwrap();
        roster.merge(&[Entry::Add(back)]).unwrap();
        assert!(roster.is_member(person(3)), "{stay}");
    }
    // An inviter takes back and gives anew.
    for turn in 1..5 {
        roster.merge(&[roster.withdraw(&key(1), person(2)).unwrap_or_else(|| removal(1, 3, 0, 0))]).unwrap();
        let out = roster.remove(&key(0), person(2)).unwrap();
        roster.merge(&out).unwrap();
        let back = roster.add(&key(1), person(2), None, 10).unwrap();
        assert_eq!((back.generation, back.turn), (turn, 0));
        roster.merge(&[Entry::Add(back)]).unwrap();
        let taken = roster.withdraw(&key(1), person(2)).unwrap();
        roster.merge(&[taken]).unwrap();
        assert!(!roster.is_member(person(2)));
        let back = roster.add(&key(1), person(2), None, 10).unwrap();
        assert_eq!((back.generation, back.turn), (turn, 1));
        roster.merge(&[Entry::Add(back)]).unwrap();
        assert!(roster.is_member(person(2)));
    }
}

#[test]
fn the_creator_may_leave_and_come_back_and_still_decides() {
    let mut roster = example();
    let leave = roster.remove(&key(CREATOR), person(CREATOR)).unwrap();
    roster.merge(&leave).unwrap();
    assert_eq!(members(&roster), [1, 2, 3]);
    // Guests of the others still come in.
    let guest = roster.add(&key(2), person(5), None, 10).unwrap();
    roster.merge(&[Entry::Add(guest)]).unwrap();
    roster.merge(&[removal(CREATOR, 5, 0, 0)]).unwrap();
    assert_eq!(members(&roster), [1, 2, 3]);
    let back = roster.add(&key(CREATOR), person(CREATOR), None, 10).unwrap();
    roster.merge(&[Entry::Add(back)]).unwrap();
    assert_eq!(members(&roster), [0, 1, 2, 3]);
}

#[test]
fn a_ban_for_good_is_the_creators() {
    let mut roster = example();
    roster.merge(&[removal(CREATOR, 3, u32::MAX, 0)]).unwrap();
    assert_eq!(roster.add(&key(1), person(3), None, 10), Err(AddRefused::Banned));
    roster.merge(&[add(1, 3, u32::MAX, 0, 0), add(2, 3, 0, 0, 0)]).unwrap();
    assert!(!roster.is_member(person(3)));
    // An inviter's own numbers bind only itself.
    let mut roster = example();
    roster.merge(&[removal(1, 3, u32::MAX, u32::MAX)]).unwrap();
    let back = roster.add(&key(2), person(3), None, 10).unwrap();
    roster.merge(&[Entry::Add(back)]).unwrap();
    assert!(roster.is_member(person(3)));
}

#[test]
fn refusals_to_add_say_why() {
    let roster = example();
    assert_eq!(roster.add(&key(1), person(1), None, 10), Err(AddRefused::Myself));
    assert_eq!(roster.add(&key(1), person(2), None, 10), Err(AddRefused::AlreadyIn));
    assert_eq!(roster.add(&key(7), person(8), None, 10), Err(AddRefused::NotAMember));
    assert_eq!(roster.add(&key(1), person(8), None, 4), Err(AddRefused::Full { max: 4 }));
    assert!(matches!(roster.add(&key(1), Person::from_bytes([0xff; 32]), None, 10), Err(AddRefused::UnusableKey(_))));
}

#[test]
fn a_flood_is_bounded_and_pushes_nobody_out() {
    let mut roster = example();
    // 2 invites strangers, and they invite more.
    let mut flood: Vec<Entry> = (100..200).map(|stranger| add(2, stranger, 0, 0, 0)).collect();
    flood.extend((200..400).map(|stranger| add(100 + stranger % 40, stranger, 0, 0, 0)));
    for batch in flood.chunks(30) {
        roster.merge(batch).unwrap();
    }
    let by_2 = roster.entries(None).into_iter().filter(|it| matches!(it, Entry::Add(add) if add.inviter == person(2)));
    assert_eq!(by_2.count(), MAX_ADDS_PER_INVITER);
    assert_eq!(roster.entries(None).len(), MAX_ADDS);
    assert!((0..4).all(|who| roster.is_member(person(who))));
    assert_eq!(roster.add(&key(1), person(50), None, usize::MAX), Err(AddRefused::TooManyInvitations));
    // What is there can still be removed, and that makes room.
    let entries = roster.remove(&key(CREATOR), person(2)).unwrap();
    let expelled = entries.iter().filter(|entry| matches!(entry, Entry::Removal(_))).cloned().collect::<Vec<_>>();
    roster.merge(&expelled).unwrap();
    assert_eq!(members(&roster), [0, 1, 3]);
    let late = roster.add(&key(1), person(50), None, 10).unwrap();
    roster.merge(&[Entry::Add(late)]).unwrap();
    assert_eq!(members(&roster), [0, 1, 3, 50]);
    roster.merge(&flood).unwrap();
    assert_eq!(members(&roster), [0, 1, 3, 50], "and they do not come back");
}

#[test]
fn entries_begin_with_a_chain() {
    let mut roster = example();
    roster.merge(&[add(3, 4, 0, 0, 0), add(2, 1, 0, 0, 0), add(4, 5, 0, 0, 0)]).unwrap();
    let entries = roster.entries(Some(person(5)));
    let mut short = Roster::new(group());
    short.merge(&entries[..4]).unwrap();
    assert_eq!(members(&short), [1, 3, 4, 5], "the chain alone shows that 5 belongs to it");
    let mut whole = Roster::new(group());
    whole.merge(&entries).unwrap();
    assert_eq!(whole, roster);
}
