//! What the human wants.

use std::time::Instant;

use super::{GroupCall, GroupEvent, GroupRoute, GroupState, LeftReason};
use crate::base::Person;
use crate::call::group::entry::Entry;
use crate::call::group::invitation::Ticket;
use crate::call::group::message::Body;
use crate::call::group::report::Resources;
use crate::call::group::roster::{AddRefused, RemoveRefused};

impl GroupCall {
    /// Our human wants to join: calls that wait are answered, and everybody who is there is rung. False if nobody asked.
    pub fn accept(&mut self, now: Instant) -> bool {
        match self.state {
            GroupState::Invited { .. } => {
                if !self.waiting.is_empty() {
                    self.pace.follow_inviter();
                }
                for person in std::mem::take(&mut self.waiting) {
                    self.expect(person, now);
                    self.tell(GroupEvent::Answer(person));
                }
                self.begin_joining(now);
                self.after(now);
                true
            }
            GroupState::Knocking | GroupState::Joining | GroupState::In | GroupState::Left(_) => false,
        }
    }

    /// Our human does not want to join. False if nobody asked.
    pub fn decline(&mut self) -> bool {
        match self.state {
            GroupState::Invited { by } => {
                // Over a call of its own, the pairwise DECLINE says it.
                if self.waiting.is_empty() {
                    let route = if self.is_linked(by) { GroupRoute::Link } else { GroupRoute::Session };
                    self.send(by, route, Body::Declined);
                }
                self.end(LeftReason::Ours);
                true
            }
            GroupState::Knocking => {
                self.end(LeftReason::Ours);
                true
            }
            GroupState::Joining | GroupState::In | GroupState::Left(_) => false,
        }
    }

    /// Adds `person` to the roster and rings them, or tells them over the link that we have already. They are
    /// [awaited](GroupEvent::NotComing).
    pub fn invite(&mut self, person: Person, name: Option<&str>, now: Instant) -> Result<(), AddRefused> {
        self.invite_all(&[(person, name)], now)
    }

    /// The same with several, all of them or none: each of them is told of all.
    pub fn invite_all(&mut self, people: &[(Person, Option<&str>)], now: Instant) -> Result<(), AddRefused> {
        if self.state != GroupState::In {
            return Err(AddRefused::NotAMember);
        }
        let mut roster = self.roster.clone();
        let mut adds = Vec::new();
        for (person, name) in people {
            let add = Entry::Add(roster.add(&self.me, *person, *name, self.limits.members)?);
            // What we have signed ourselves is not forged.
            let _ = roster.merge(std::slice::from_ref(&add));
            adds.push(add);
        }
        self.say_of_roster(adds);
        self.follow_roster(now);
        for (person, _) in people {
            self.awaited.insert(*person, now + self.limits.invitation);
            let hello = Body::Invite(self.hello(*person));
            if self.is_linked(*person) {
                self.send(*person, GroupRoute::Link, hello);
            } else {
                self.ring_with(*person, hello, now);
            }
        }
        self.after(now);
        Ok(())
    }

    /// Removes somebody from the roster, and so from the call.
    pub fn remove(&mut self, person: Person, now: Instant) -> Result<(), RemoveRefused> {
        if self.state != GroupState::In || person == self.me.person() {
            return Err(RemoveRefused::NotIn);
        }
        let entries = self.roster.remove(&self.me, person)?;
        self.awaited.remove(&person);
        self.say_of_roster(entries);
        self.after(now);
        Ok(())
    }

    /// As [`GroupCall::remove`], with everybody who is in by their word alone. For the creator only: it is the way out
    /// when somebody fills the group with strangers.
    pub fn remove_with_guests(&mut self, person: Person, now: Instant) -> Result<(), RemoveRefused> {
        if self.state != GroupState::In {
            return Err(RemoveRefused::NotIn);
        }
        let entry = self.roster.remove_with_guests(&self.me, person)?;
        self.say_of_roster(vec![entry]);
        self.after(now);
        Ok(())
    }

    /// Takes us off the roster, tells everybody, and closes all links. Whoever leaves before having joined declines.
    pub fn leave(&mut self, now: Instant) {
        match self.state {
            GroupState::Knocking | GroupState::Invited { .. } => drop(self.decline()),
            GroupState::Joining | GroupState::In => {
                if let Ok(entries) = self.roster.remove(&self.me, self.me.person()) {
                    self.say_of_roster(entries);
                    self.tell_news(now);
                }
                self.end(LeftReason::Ours);
            }
            GroupState::Left(_) => {}
        }
    }

    /// Makes a link with which people can join until then. It names us first, then members who are here. `None` unless
    /// we are in.
    pub fn make_link(&mut self, expires_unix_s: u64, now: Instant) -> Option<Ticket> {
        if self.state != GroupState::In {
            return None;
        }
        let me = self.me.person();
        let name = self.roster.member(me).and_then(|member| member.name.clone());
        let here: Vec<Person> = self.hello(me).here;
        let made = self.unix_s(now);
        Some(Ticket::sign(&self.me, self.group(), name.as_deref(), &here, made, expires_unix_s))
    }

    /// Makes all links that `author` has made so far worthless: our own, or, as creator, anybody's. False if that is not
    /// ours to do.
    pub fn revoke_links(&mut self, author: Person, now: Instant) -> bool {
        let me = self.me.person();
        if self.state != GroupState::In || (author != me && me != self.group().creator) {
            return false;
        }
        let revocation = self.roster.revoke(&self.me, author, self.unix_s(now));
        self.say_of_roster(vec![revocation]);
        self.after(now);
        true
    }

    /// What we have to spare for others, by our own measure; to be told when it changes, at most each second.
    pub fn set_resources(&mut self, resources: Resources, now: Instant) {
        self.hearing.set_resources(resources);
        self.after(now);
    }

    /// Merges what we have signed ourselves.
    fn say_of_roster(&mut self, entries: Vec<Entry>) {
        if let Ok(merged) = self.roster.merge(&entries) {
            self.news.extend(merged.news);
        }
    }
}
