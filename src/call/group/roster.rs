//! Who belongs to a group: a set of signed sentences that only grows, and what follows from them.
//!
//! Every member keeps the whole roster and hands it to whoever lacks some of it. Merging takes the union, and of two
//! adds (removals, revocations) with the same subject and signer the greater one, so order, repetition and detours do
//! not matter, and nobody can win by counting higher:
//!
//! ```text
//! a person is a member  ⇔  some add of its present stay stands
//!   the present stay    =  one more than the last that the person or the creator has ended; 0 if none was
//!   an add stands       ⇔  its inviter has a chain of adds to the creator that the creator has not closed,
//!                          and has not taken it back
//! ```
//!
//! - **Removal** is for the person itself, the creator, and each inviter for its own adds. A person whom two members
//!   invited stays until both take it back: nobody undoes what another member vouches for, but the creator.
//! - **An add outlives its inviter's stay**: leaving, or being removed by one's inviter, removes nobody else. Only the
//!   creator, who may remove anybody, closes a chain: what a person it removed had signed in that stay no longer counts.
//!   In the same step the creator vouches for those it does not mean ([`Roster::remove`]), so only strangers whom the
//!   removed person smuggles in fall.
//! - **Coming back** needs a new add, with the next generation: an old one, replayed, belongs to a stay that has ended.
//!   Generations that are ahead of the last end do not count, so nobody can make the next one impossible.
//!
//! The number of adds is bounded, for each inviter and in all. When it is full, adds that no longer count are forgotten,
//! and further ones are refused; what is in is never pushed out. Up to that bound merging is a join-semilattice:
//! commutative, associative, idempotent.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::entry::{Add, Entry, GroupKey, Removal, Revocation};
use super::invitation::Ticket;
use crate::base::Person;
use crate::identity::{PersonKey, UnusableKey, check_person};

/// Adds that a roster holds at most: more people than any group call sees come and go.
pub const MAX_ADDS: usize = 128;
/// Adds of one inviter that a roster holds at most.
pub const MAX_ADDS_PER_INVITER: usize = 32;

const LOWEST: Person = Person::from_bytes([0; 32]);
const HIGHEST: Person = Person::from_bytes([0xff; 32]);

/// Names a state of a roster: equal digests mean that the same adds, removals and revocations count.
pub type RosterDigest = [u8; 16];

/// Who belongs to one group. See the [module](self).
#[derive(Debug, Clone)]
pub struct Roster {
    group: GroupKey,
    /// By person and inviter.
    adds: BTreeMap<(Person, Person), Add>,
    /// By person and remover.
    removals: BTreeMap<(Person, Person), Removal>,
    /// By author and revoker.
    revocations: BTreeMap<(Person, Person), Revocation>,
    /// What follows from the above.
    view: View,
}

#[derive(Debug, Clone, Default)]
struct View {
    /// Everybody with a chain to the creator, and the latest stay that it leads to.
    chained: BTreeMap<Person, u32>,
    members: BTreeMap<Person, Member>,
    digest: RosterDigest,
}

/// Somebody who belongs to the group, present or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub person: Person,
    /// How the inviter calls them.
    pub name: Option<String>,
    /// Of several, the one with the lowest key.
    pub inviter: Person,
}

/// What a merge brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// Entries that were new, in order.
    pub news: Vec<Entry>,
    /// Entries by people who have no say in this group, or for which there is no room.
    pub refused: usize,
}

/// Somebody passed on an entry that nobody signed for this group. Whoever checks what they pass on never does: nothing
/// of the batch was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group roster came with a forged signature")]
pub struct Forged;

/// Why somebody cannot be invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddRefused {
    /// Give another link.
    #[error("that is your own link; you are in this group already")]
    Myself,
    /// Nothing to do.
    #[error("they are in this group already, or have been invited to it")]
    AlreadyIn,
    /// Join again first.
    #[error("you are not in this group, so you cannot invite anybody to it")]
    NotAMember,
    /// Somebody must leave first, or the setting be raised.
    #[error("the group is full: {max} people at most; somebody has to leave first")]
    Full { max: usize },
    /// Only the person who began the group could have prevented it.
    #[error("the person who began this group has removed them for good")]
    Banned,
    /// Too many people have come and gone; begin another group.
    #[error("too many people have been invited to this group; start a new one")]
    TooManyInvitations,
    /// Check the link.
    #[error(transparent)]
    UnusableKey(#[from] UnusableKey),
}

/// Why somebody cannot be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveRefused {
    /// Nothing to do.
    #[error("they are not in this group")]
    NotIn,
    /// Ask the inviter or the creator.
    #[error("only the person who invited them, or who began the group, can remove them")]
    NotYours { inviter: Person },
    /// Ask the other inviter or the creator.
    #[error("somebody else has invited them too, and would have to remove them as well")]
    InvitedByOthersToo { inviter: Person },
}

impl Roster {
    /// A roster that is yet to be heard.
    pub fn new(group: GroupKey) -> Self {
        let mut roster = Self {
            group,
            adds: BTreeMap::new(),
            removals: BTreeMap::new(),
            revocations: BTreeMap::new(),
            view: View::default(),
        };
        roster.derive();
        roster
    }

    /// A new group of `me` alone, who must be its creator.
    pub fn found(me: &PersonKey, group: GroupKey, name: Option<&str>) -> Self {
        debug_assert_eq!(me.person(), group.creator, "a group is founded by its creator");
        let mut roster = Self::new(group);
        let add = roster.signed_add(me, me.person(), name, 0, 0);
        roster.store(Entry::Add(add));
        roster.derive();
        roster
    }

    /// Takes what is new and has a right to be there.
    pub fn merge(&mut self, entries: &[Entry]) -> Result<Merged, Forged> {
        let fresh: BTreeSet<&Entry> = entries.iter().filter(|entry| self.is_news(entry)).collect();
        if !fresh.iter().all(|entry| entry.verify(self.group)) {
            return Err(Forged);
        }
        let mut merged = Merged::default();
        let mut waiting: Vec<&Entry> = fresh.into_iter().collect();
        // An add is worth something once its inviter is known, so a chain may take as many rounds as it has links; adds
        // sort before the removals, which are about them.
        loop {
            let before = waiting.len();
            waiting.retain(|entry| {
                let may = self.is_entitled(entry) && self.is_news(entry) && self.has_room_for(entry);
                if may {
                    self.store((*entry).clone());
                    merged.news.push((*entry).clone());
                }
                !may
            });
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        merged.refused = waiting.iter().filter(|entry| self.is_news(entry)).count();
        if !merged.news.is_empty() {
            self.derive();
        }
        Ok(merged)
    }

    /// Signs an add of `person`, if the group has fewer than `max` members. Merging it is up to the caller. Nobody adds
    /// themselves but a creator who had left.
    pub fn add(&self, me: &PersonKey, person: Person, name: Option<&str>, max: usize) -> Result<Add, AddRefused> {
        check_person(person)?;
        let comes_back = person == me.person() && person == self.group.creator && !self.is_member(person);
        if person == me.person() && !comes_back {
            return Err(AddRefused::Myself);
        }
        if !self.is_member(me.person()) && !comes_back {
            return Err(AddRefused::NotAMember);
        }
        if self.is_member(person) {
            return Err(AddRefused::AlreadyIn);
        }
        if self.view.members.len() >= max {
            return Err(AddRefused::Full { max });
        }
        let add = self.vouch(me, person, name)?;
        let room = self.clone().has_room_for(&Entry::Add(add.clone()));
        room.then_some(add).ok_or(AddRefused::TooManyInvitations)
    }

    /// Signs what it takes for `person` to be out. The creator also vouches for members who would fall with them, and may
    /// remove somebody who has left, so that what they sign later does not count.
    pub fn remove(&self, me: &PersonKey, person: Person) -> Result<Vec<Entry>, RemoveRefused> {
        let has_left = me.person() == self.group.creator && person != me.person() && self.is_known(person);
        let Some(inviter) = self.member(person).map(|member| member.inviter).or(has_left.then_some(me.person())) else {
            return Err(RemoveRefused::NotIn);
        };
        if self.ends_stays(person, me.person()) {
            let stay = self.present_stay(person).unwrap_or(u32::MAX);
            return Ok(self.with_vouches(me, person, Removal::sign(me, self.group, person, stay, 0)));
        }
        let mine = self.standing_adds(person).find(|add| add.inviter == me.person());
        let Some(mine) = mine else { return Err(RemoveRefused::NotYours { inviter }) };
        match self.standing_adds(person).find(|add| add.inviter != me.person()) {
            Some(other) => Err(RemoveRefused::InvitedByOthersToo { inviter: other.inviter }),
            None => Ok(vec![Entry::Removal(Removal::sign(me, self.group, person, mine.generation, mine.turn))]),
        }
    }

    /// As [`Roster::remove`], for the creator only, who vouches for nobody: whoever is in by the word of `person` alone, or
    /// by theirs, is out too.
    pub fn remove_with_guests(&self, me: &PersonKey, person: Person) -> Result<Entry, RemoveRefused> {
        if !self.is_known(person) || person == me.person() {
            return Err(RemoveRefused::NotIn);
        }
        if me.person() != self.group.creator {
            return Err(RemoveRefused::NotYours { inviter: self.group.creator });
        }
        let stay = self.present_stay(person).unwrap_or(u32::MAX);
        Ok(Entry::Removal(Removal::sign(me, self.group, person, stay, 0)))
    }

    /// Takes back what `me` has vouched for, whoever else vouches; `None` if there is nothing to take back.
    pub fn withdraw(&self, me: &PersonKey, person: Person) -> Option<Entry> {
        let mine = self.standing_adds(person).find(|add| add.inviter == me.person())?;
        let (generation, turn) = if self.ends_stays(person, me.person()) {
            (self.present_stay(person)?, 0)
        } else {
            (mine.generation, mine.turn)
        };
        Some(Entry::Removal(Removal::sign(me, self.group, person, generation, turn)))
    }

    /// Signs that all links that `author`, who is `me` or anybody if `me` is the creator, made until then are void.
    pub fn revoke(&self, me: &PersonKey, author: Person, made_until_unix_s: u64) -> Entry {
        Entry::Revocation(Revocation::sign(me, self.group, author, made_until_unix_s))
    }
}

/// What follows from the entries.
impl Roster {
    pub const fn group(&self) -> GroupKey {
        self.group
    }

    pub fn is_member(&self, person: Person) -> bool {
        self.view.members.contains_key(&person)
    }

    /// In the order of their keys.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.view.members.values()
    }

    pub fn member(&self, person: Person) -> Option<&Member> {
        self.view.members.get(&person)
    }

    pub const fn digest(&self) -> RosterDigest {
        self.view.digest
    }

    /// Whose adds make `person` a member.
    pub fn inviters_of(&self, person: Person) -> impl Iterator<Item = Person> {
        self.standing_adds(person).map(|add| add.inviter)
    }

    /// Who ended the membership of somebody who is no member, if that is known: the person itself, the creator, or an
    /// inviter.
    pub fn removed_by(&self, person: Person) -> Option<Person> {
        let of_this_stay =
            |it: &&Removal| !self.ends_stays(person, it.remover) && Some(it.generation) == self.present_stay(person);
        let taken_back = self.removals_about(person).find(of_this_stay);
        let ended = self.removals_about(person).filter(|it| self.ends_stays(person, it.remover));
        let ended = || ended.max_by_key(|it| (it.generation, it.remover == person));
        taken_back.or_else(ended).map(|it| it.remover)
    }

    /// Whether the creator has ended the last stay of somebody else, who has not been added again.
    pub fn removed_by_creator(&self, person: Person) -> bool {
        !self.is_member(person) && person != self.group.creator && self.removed_by(person) == Some(self.group.creator)
    }

    /// The removals of this person, to show them to it.
    pub fn removals_of(&self, person: Person) -> Vec<Entry> {
        self.removals_about(person).cloned().map(Entry::Removal).collect()
    }

    /// Why `person`, who brings these entries, is out, to show it to them: their own removals, and those by which the
    /// creator closed the chains of which theirs may be.
    pub fn removals_that_concern(&self, person: Person, claims: &[Entry]) -> Vec<Entry> {
        let inviters: BTreeSet<Person> = claims
            .iter()
            .filter_map(|entry| match entry {
                Entry::Add(add) if add.inviter != person => Some(add.inviter),
                Entry::Add(_) | Entry::Removal(_) | Entry::Revocation(_) => None,
            })
            .collect();
        let closed = inviters.iter().filter_map(|inviter| self.removals.get(&(*inviter, self.group.creator)));
        self.removals_about(person).chain(closed).cloned().map(Entry::Removal).collect()
    }

    /// Whether links that `author` made at this time, by its own clock, were revoked.
    pub fn is_revoked(&self, ticket: &Ticket) -> bool {
        let by = |revoker| self.revocations.get(&(ticket.author, revoker));
        [by(ticket.author), by(self.group.creator)]
            .into_iter()
            .flatten()
            .any(|revocation| revocation.made_until_unix_s >= ticket.made_unix_s)
    }

    /// Everything, so that whoever merges it has an equal roster. The chain to `first` comes first, then the other adds,
    /// those near the creator first; what is left of it when the end is cut off can still be merged.
    pub fn entries(&self, first: Option<Person>) -> Vec<Entry> {
        let mut known = BTreeMap::from([(self.group.creator, None)]);
        let mut adds: Vec<&Add> = Vec::new();
        // Those that count first: of two chains, the one shown is one that leads somewhere.
        let (live, dead): (Vec<_>, Vec<_>) = self.adds.values().partition(|add| self.is_live(add, &self.view.chained));
        let mut rest: Vec<&Add> = [live, dead].concat();
        while !rest.is_empty() {
            let (reached, left): (Vec<_>, Vec<_>) = rest.into_iter().partition(|add| known.contains_key(&add.inviter));
            if reached.is_empty() {
                break;
            }
            for add in &reached {
                known.entry(add.person).or_insert(Some(*add));
            }
            adds.extend(reached);
            rest = left;
        }
        let mut chain = Vec::new();
        let mut next = first;
        while let Some(add) = next.and_then(|person| known.get(&person).copied().flatten()) {
            chain.push(add);
            next = Some(add.inviter);
        }
        adds.retain(|add| !chain.contains(add));
        let adds = chain.into_iter().rev().chain(adds).cloned().map(Entry::Add);
        let removals = self.removals.values().cloned().map(Entry::Removal);
        let revocations = self.revocations.values().cloned().map(Entry::Revocation);
        adds.chain(removals).chain(revocations).collect()
    }
}

/// Inside.
impl Roster {
    fn derive(&mut self) {
        self.view.chained = self.chained();
        let mut members = BTreeMap::new();
        for add in self.adds.values().filter(|add| self.stands(add)) {
            let Add { person, inviter, name, .. } = add;
            let member = || Member { person: *person, name: name.clone(), inviter: *inviter };
            members.entry(*person).or_insert_with(member);
        }
        self.view.members = members;
        self.view.digest = self.digest_of_what_counts();
    }

    /// Grows from the creator along live adds until nothing changes. What an entry claims beyond what its signer can
    /// have is cut down to that, so that nobody hurts others by overwriting an own add with nonsense.
    fn chained(&self) -> BTreeMap<Person, u32> {
        let mut chained = BTreeMap::from([(self.group.creator, 0)]);
        loop {
            let mut grown = false;
            for add in self.adds.values() {
                if !self.is_live(add, &chained) {
                    continue;
                }
                let stay = self.present_stay(add.person).unwrap_or(u32::MAX).min(add.generation);
                let known = chained.get(&add.person).copied();
                if known.is_none_or(|known| known < stay) {
                    chained.insert(add.person, stay);
                    grown = true;
                }
            }
            if !grown {
                return chained;
            }
        }
    }

    /// Whether the inviter had a say when it signed: it has a chain, which the creator has not closed since.
    fn is_live(&self, add: &Add, chained: &BTreeMap<Person, u32>) -> bool {
        if add.inviter == self.group.creator {
            return true;
        }
        let closed = self.removals.get(&(add.inviter, self.group.creator)).map(|removal| removal.generation);
        let stay = chained.get(&add.inviter).map(|stay| add.standing.min(*stay));
        stay.is_some_and(|stay| closed.is_none_or(|closed| stay > closed))
    }

    /// Whether an add makes a member.
    fn stands(&self, add: &Add) -> bool {
        let taken_back = || {
            let removal = self.removals.get(&(add.person, add.inviter));
            let mere = !self.ends_stays(add.person, add.inviter);
            removal.is_some_and(|it| mere && (it.generation, it.turn) >= (add.generation, add.turn))
        };
        self.is_live(add, &self.view.chained) && self.present_stay(add.person) == Some(add.generation) && !taken_back()
    }

    fn removals_about(&self, person: Person) -> impl Iterator<Item = &Removal> {
        self.removals.range((person, LOWEST)..=(person, HIGHEST)).map(|(_, removal)| removal)
    }

    fn standing_adds(&self, person: Person) -> impl Iterator<Item = &Add> {
        self.adds_of(person).filter(|add| self.stands(add))
    }

    fn adds_of(&self, person: Person) -> impl Iterator<Item = &Add> {
        self.adds.range((person, LOWEST)..=(person, HIGHEST)).map(|(_, add)| add)
    }

    /// The stay that adds must be of now; `None` when the last possible one was ended.
    fn present_stay(&self, person: Person) -> Option<u32> {
        let ended = |by| self.removals.get(&(person, by)).map(|removal| removal.generation);
        ended(person).max(ended(self.group.creator)).map_or(Some(0), |ended| ended.checked_add(1))
    }

    /// Whether removals by `remover` end stays of `person`, or only take back own invitations.
    fn ends_stays(&self, person: Person, remover: Person) -> bool {
        remover == person || remover == self.group.creator
    }

    fn live_adds(&self) -> impl Iterator<Item = &Add> {
        self.adds.values().filter(|add| self.is_live(add, &self.view.chained))
    }

    fn live_removals(&self) -> impl Iterator<Item = &Removal> {
        self.removals.values().filter(|removal| {
            let add = self.adds.get(&(removal.person, removal.remover));
            let of_live_add = add.is_some_and(|add| self.is_live(add, &self.view.chained));
            let chained = self.view.chained.contains_key(&removal.person);
            of_live_add || chained && self.ends_stays(removal.person, removal.remover)
        })
    }

    fn live_revocations(&self) -> impl Iterator<Item = &Revocation> {
        self.revocations.values().filter(|revocation| self.view.chained.contains_key(&revocation.author))
    }

    fn digest_of_what_counts(&self) -> RosterDigest {
        let mut hash = Sha256::new();
        hash.update(b"twocans group roster 1\0");
        hash.update(self.group.creator.as_bytes());
        let adds = self.live_adds().cloned().map(Entry::Add);
        let removals = self.live_removals().cloned().map(Entry::Removal);
        let revocations = self.live_revocations().cloned().map(Entry::Revocation);
        adds.chain(removals).chain(revocations).for_each(|entry| hash.update(entry.digested(self.group)));
        let digest: [u8; 32] = hash.finalize().into();
        std::array::from_fn(|at| digest[at])
    }

    /// Whether `entry` is greater than what is known of its subject and signer.
    fn is_news(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Add(add) => self.adds.get(&(add.person, add.inviter)).is_none_or(|known| known < add),
            Entry::Removal(it) => self.removals.get(&(it.person, it.remover)).is_none_or(|known| known < it),
            Entry::Revocation(it) => self.revocations.get(&(it.author, it.revoker)).is_none_or(|known| known < it),
        }
    }

    /// Whether the signer may say such a thing at all. What becomes of it is another matter.
    fn is_entitled(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Add(add) => {
                self.is_known(add.inviter) && (add.person != add.inviter || add.person == self.group.creator)
            }
            Entry::Removal(Removal { person, remover, .. }) => {
                self.is_known(*person) && self.ends_stays(*person, *remover)
                    || self.adds.contains_key(&(*person, *remover))
            }
            Entry::Revocation(Revocation { author, revoker, .. }) => {
                self.is_known(*author) && (revoker == author || *revoker == self.group.creator)
            }
        }
    }

    /// Whether there was ever a chain of adds from the creator.
    fn is_known(&self, person: Person) -> bool {
        person == self.group.creator || self.adds_of(person).next().is_some()
    }

    /// Whether one more add fits, if need be after forgetting those that no longer count. All else is bounded by them.
    fn has_room_for(&mut self, entry: &Entry) -> bool {
        let Entry::Add(add) = entry else { return true };
        if self.adds.contains_key(&(add.person, add.inviter)) || self.has_room(add.inviter) {
            return true;
        }
        self.forget_what_does_not_count();
        self.has_room(add.inviter)
    }

    fn has_room(&self, inviter: Person) -> bool {
        let of_inviter = self.adds.keys().filter(|(_, by)| *by == inviter).count();
        self.adds.len() < MAX_ADDS && of_inviter < MAX_ADDS_PER_INVITER
    }

    fn forget_what_does_not_count(&mut self) {
        self.view.chained = self.chained();
        let adds: BTreeSet<_> = self.live_adds().map(|add| (add.person, add.inviter)).collect();
        let removals: BTreeSet<_> = self.live_removals().map(|it| (it.person, it.remover)).collect();
        let revocations: BTreeSet<_> = self.live_revocations().map(|it| (it.author, it.revoker)).collect();
        self.adds.retain(|key, _| adds.contains(key));
        self.removals.retain(|key, _| removals.contains(key));
        self.revocations.retain(|key, _| revocations.contains(key));
    }

    fn store(&mut self, entry: Entry) {
        match entry {
            Entry::Add(add) => drop(self.adds.insert((add.person, add.inviter), add)),
            Entry::Removal(removal) => drop(self.removals.insert((removal.person, removal.remover), removal)),
            Entry::Revocation(it) => drop(self.revocations.insert((it.author, it.revoker), it)),
        }
    }

    /// An add to the person's present stay, which counts whatever `me` has signed of that person before.
    fn vouch(&self, me: &PersonKey, person: Person, name: Option<&str>) -> Result<Add, AddRefused> {
        let stay = self.present_stay(person).ok_or(AddRefused::Banned)?;
        let signed = self.adds.get(&(person, me.person())).map(|add| (add.generation, add.turn));
        let taken_back = self.removals.get(&(person, me.person())).map(|removal| (removal.generation, removal.turn));
        let taken_back = taken_back.filter(|_| !self.ends_stays(person, me.person()));
        let turn = match signed.max(taken_back) {
            Some((generation, turn)) if generation == stay => turn.checked_add(1).ok_or(AddRefused::Banned)?,
            Some((generation, _)) if generation > stay => return Err(AddRefused::Banned),
            Some(_) | None => 0,
        };
        Ok(self.signed_add(me, person, name, stay, turn))
    }

    fn signed_add(&self, me: &PersonKey, person: Person, name: Option<&str>, generation: u32, turn: u32) -> Add {
        let inviter = me.person();
        let standing =
            if inviter == self.group.creator { 0 } else { self.view.chained.get(&inviter).copied().unwrap_or(0) };
        let name = name.map(str::to_owned);
        Add::sign(me, self.group, Add { person, inviter, generation, turn, standing, name, signature: [0; 64] })
    }

    /// A removal by the creator closes a chain; whoever of the other members hangs on it gets a vouch of the creator's,
    /// unless the creator has removed that person before: an accomplice who is removed may have let them in again.
    fn with_vouches(&self, me: &PersonKey, person: Person, removal: Removal) -> Vec<Entry> {
        let mut after = self.clone();
        after.store(Entry::Removal(removal.clone()));
        after.derive();
        let mut entries = vec![Entry::Removal(removal)];
        if me.person() == self.group.creator && person != me.person() {
            for member in self.view.members.values().filter(|member| member.person != person) {
                if self.removals.contains_key(&(member.person, me.person())) {
                    continue;
                }
                if !after.is_member(member.person)
                    && let Ok(add) = after.vouch(me, member.person, member.name.as_deref())
                {
                    entries.push(Entry::Add(add.clone()));
                    after.store(Entry::Add(add));
                    after.derive();
                }
            }
        }
        entries
    }
}

impl PartialEq for Roster {
    /// Whether the same things count; what was forgotten, or no longer counts, makes no difference.
    fn eq(&self, other: &Self) -> bool {
        self.group == other.group && self.view.digest == other.view.digest && self.view.members == other.view.members
    }
}

impl Eq for Roster {}
