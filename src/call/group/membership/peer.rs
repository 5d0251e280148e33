//! What other people's programs say.

use std::time::Instant;

use super::{GroupCall, GroupEvent, GroupRoute, GroupState, LeftReason, MAX_LINKS, Presence};
use crate::base::{EndReason, Person};
use crate::call::group::entry::Entry;
use crate::call::group::invitation::{Ticket, TicketRefused};
use crate::call::group::message::{Body, GroupMessage, Hello, roster_messages};
use crate::call::group::report::Report;
use crate::call::group::roster::AddRefused;

/// What becomes of a pairwise call whose INVITE carries [`Body::Invite`] or [`Body::Ring`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingReply {
    /// Take it without asking anybody: a member of the group we are in makes its link.
    Answer,
    /// Let it ring until [`GroupEvent::Answer`] or [`GroupEvent::Decline`]: the human decides, or it is not its turn yet.
    Wait,
    /// Decline it, with this reason for the log.
    Refuse(GroupRefusal),
}

/// Why something that came was not heeded. None of these is an error of ours, and none needs an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupRefusal {
    #[error("it is about another group")]
    OtherGroup,
    #[error("it means nothing where we stand")]
    NotForUs,
    #[error("its sender is not in the group")]
    NotAMember,
    #[error("its sender says too much at once")]
    TooOften,
    #[error("its sender has passed on forged entries")]
    Forged,
    #[error("there are too many links already")]
    Full,
}

impl GroupCall {
    /// A pairwise call comes, whose INVITE carries this; the session has authenticated `from`.
    pub fn handle_ring(&mut self, from: Person, message: &GroupMessage, now: Instant) -> RingReply {
        let reply = self.on_ring(from, message, now);
        self.after(now);
        reply.unwrap_or_else(RingReply::Refuse)
    }

    /// A message over the link with `from`, or over a session of its own.
    pub fn handle_message(&mut self, from: Person, message: GroupMessage, now: Instant) -> Result<(), GroupRefusal> {
        if message.group != self.group() {
            return Err(GroupRefusal::OtherGroup);
        }
        let done = match message.body {
            Body::Invite(hello) => self.on_invite(from, &hello, now),
            Body::Knock { ticket, name } => self.on_knock(from, &ticket, name.as_deref(), now),
            Body::Refused(why) => self.on_refused(from, why, now),
            Body::Declined => self.on_declined(from),
            Body::Roster(entries) => self.on_roster(from, &entries, now),
            Body::Reports(reports) => self.on_reports(from, reports, now),
            // Only as the beginning of a call.
            Body::Ring(_) => Err(GroupRefusal::NotForUs),
        };
        self.after(now);
        done
    }

    /// The session with a member that was asked to let us in has failed.
    pub fn knock_failed(&mut self, person: Person, now: Instant) {
        if self.state == GroupState::Knocking && self.to_ask.front() == Some(&person) {
            self.ask_next(None, now);
        }
        self.after(now);
    }

    /// Asks the next member to let us in; `why` is what the last one said. To begin with, nobody was asked yet.
    pub(super) fn ask_next(&mut self, why: Option<TicketRefused>, now: Instant) {
        // The one in front was asked when there is a deadline.
        if self.deadline.take().is_some() {
            self.to_ask.pop_front();
        }
        let Some((next, (ticket, name))) = self.to_ask.front().copied().zip(self.ticket.clone()) else {
            return self.end(why.map_or(LeftReason::Unreachable, LeftReason::Refused));
        };
        self.deadline = Some((now + self.limits.knock, "knock"));
        self.send(next, GroupRoute::Session, Body::Knock { ticket, name });
    }

    /// Reads an invitation: takes its roster if it says that both of us belong to the group.
    pub(super) fn is_invited(&mut self, from: Person, hello: &Hello, now: Instant) -> Result<(), GroupRefusal> {
        let mut roster = self.roster.clone();
        roster.merge(&hello.entries).map_err(|_| GroupRefusal::Forged)?;
        if !roster.is_member(self.me.person()) || !roster.is_member(from) {
            return Err(GroupRefusal::NotAMember);
        }
        self.roster = roster;
        self.state = GroupState::Invited { by: from };
        self.deadline = Some((now + self.limits.invitation, "invitation"));
        self.follow_roster(now);
        for person in &hello.here {
            if let Some(peer) = self.peers.get_mut(person) {
                peer.presence = Presence::Here;
            }
        }
        let members = self.members().collect();
        self.tell(GroupEvent::Invited { by: from, members });
        Ok(())
    }

    fn on_ring(&mut self, from: Person, message: &GroupMessage, now: Instant) -> Result<RingReply, GroupRefusal> {
        if message.group != self.group() {
            return Err(GroupRefusal::OtherGroup);
        }
        let (Body::Invite(hello) | Body::Ring(hello)) = &message.body else { return Err(GroupRefusal::NotForUs) };
        match self.state {
            // The first, or another member that invites us too.
            GroupState::Invited { .. } if matches!(message.body, Body::Invite(_)) => {
                self.let_in(from, &hello.entries)?;
                self.follow_roster(now);
                self.waiting.insert(from);
                Ok(RingReply::Wait)
            }
            GroupState::Joining | GroupState::In => {
                if let Err(why) = self.let_in(from, &hello.entries) {
                    self.tell_who_is_out(from, &hello.entries);
                    return Err(why);
                }
                self.follow_roster(now);
                if !self.is_linking(from) && !self.has_room(now) {
                    self.waiting.insert(from);
                    return Ok(RingReply::Wait);
                }
                if !self.expect(from, now) {
                    return Err(GroupRefusal::Full);
                }
                Ok(RingReply::Answer)
            }
            GroupState::Knocking | GroupState::Invited { .. } | GroupState::Left(_) => Err(GroupRefusal::NotForUs),
        }
    }

    /// The reply to a knock, or an invitation over a link that is there.
    fn on_invite(&mut self, from: Person, hello: &Hello, now: Instant) -> Result<(), GroupRefusal> {
        match self.state {
            GroupState::Knocking if self.to_ask.front() == Some(&from) => self.is_invited(from, hello, now),
            GroupState::Invited { .. } | GroupState::Joining | GroupState::In => self.let_in(from, &hello.entries),
            GroupState::Knocking | GroupState::Left(_) => Err(GroupRefusal::NotForUs),
        }
    }

    fn on_knock(
        &mut self,
        from: Person,
        ticket: &Ticket,
        name: Option<&str>,
        now: Instant,
    ) -> Result<(), GroupRefusal> {
        let reply = match self.state {
            GroupState::In => match self.admit(from, ticket, name, now) {
                Ok(()) => Body::Invite(self.hello(from)),
                Err(why) => Body::Refused(why),
            },
            GroupState::Knocking | GroupState::Invited { .. } | GroupState::Joining | GroupState::Left(_) => {
                Body::Refused(TicketRefused::NotIn)
            }
        };
        self.send(from, GroupRoute::Session, reply);
        Ok(())
    }

    /// Puts the bearer of a good ticket on the roster.
    fn admit(&mut self, from: Person, ticket: &Ticket, name: Option<&str>, now: Instant) -> Result<(), TicketRefused> {
        ticket.check(&self.roster, self.unix_s(now))?;
        if self.roster.is_member(from) {
            return Ok(());
        }
        // A link does not undo what the creator did.
        if self.roster.removed_by_creator(from) {
            return Err(TicketRefused::Banned);
        }
        let add = self.roster.add(&self.me, from, name, self.limits.members).map_err(|why| match why {
            AddRefused::Full { .. } | AddRefused::TooManyInvitations => TicketRefused::Full,
            AddRefused::Myself | AddRefused::AlreadyIn | AddRefused::NotAMember => TicketRefused::NotIn,
            AddRefused::Banned | AddRefused::UnusableKey(_) => TicketRefused::Banned,
        })?;
        if !self.knocks.take(&(), now) {
            return Err(TicketRefused::TooMany);
        }
        if let Ok(merged) = self.roster.merge(&[Entry::Add(add)]) {
            self.news.extend(merged.news);
        }
        self.follow_roster(now);
        self.awaited.insert(from, now + self.limits.invitation);
        Ok(())
    }

    fn on_refused(&mut self, from: Person, why: TicketRefused, now: Instant) -> Result<(), GroupRefusal> {
        if self.state != GroupState::Knocking || self.to_ask.front() != Some(&from) {
            return Err(GroupRefusal::NotForUs);
        }
        match why {
            // Everybody would say so.
            TicketRefused::Expired | TicketRefused::Revoked | TicketRefused::Full | TicketRefused::Banned => {
                self.end(LeftReason::Refused(why));
            }
            TicketRefused::AuthorIsGone | TicketRefused::OtherGroup | TicketRefused::TooMany | TicketRefused::NotIn => {
                self.ask_next(Some(why), now);
            }
        }
        Ok(())
    }

    fn on_declined(&mut self, from: Person) -> Result<(), GroupRefusal> {
        if !self.awaited.contains_key(&from) {
            return Err(GroupRefusal::NotForUs);
        }
        self.give_up_on(from, EndReason::Declined);
        Ok(())
    }

    fn on_roster(&mut self, from: Person, entries: &[Entry], now: Instant) -> Result<(), GroupRefusal> {
        match self.state {
            GroupState::Invited { .. } | GroupState::Joining | GroupState::In => {}
            GroupState::Knocking | GroupState::Left(_) => return Err(GroupRefusal::NotForUs),
        }
        if !self.roster.is_member(from) {
            return Err(GroupRefusal::NotAMember);
        }
        if !self.rosters.take(&from, now) {
            return Err(GroupRefusal::TooOften);
        }
        self.let_in(from, entries)?;
        self.sign_of_life(from, now);
        Ok(())
    }

    fn on_reports(&mut self, from: Person, reports: Vec<Report>, now: Instant) -> Result<(), GroupRefusal> {
        match self.state {
            GroupState::Joining | GroupState::In => {}
            GroupState::Knocking | GroupState::Invited { .. } | GroupState::Left(_) => {
                return Err(GroupRefusal::NotForUs);
            }
        }
        if !self.roster.is_member(from) {
            return Err(GroupRefusal::NotAMember);
        }
        if !self.report_rate.take(&from, now) {
            return Err(GroupRefusal::TooOften);
        }
        // Only who takes part in the call reports. What has just come in must count as present before it is heard.
        let takes_part = |report: &Report| report.from == from && report.verify(self.roster.group());
        if self.is_here(from) || reports.iter().any(takes_part) {
            self.came(from, now);
            self.hearing.handle_reports(from, reports, now);
            self.sync_with(from, now);
        }
        Ok(())
    }

    /// Takes entries from somebody who belongs to the group, or whom they prove to belong to it. The word for somebody of
    /// whom we have never heard must be that of a member: who was removed may still sign adds, as if from before.
    fn let_in(&mut self, from: Person, entries: &[Entry]) -> Result<(), GroupRefusal> {
        if self.forgers.contains(&from) {
            return Err(GroupRefusal::Forged);
        }
        let was_member = self.roster.is_member(from);
        // Before any signature is checked: checking costs more than sending.
        let brings_word = |entry: &Entry| matches!(entry, Entry::Add(add) if add.person == from && self.roster.is_member(add.inviter));
        if !was_member && !entries.iter().any(brings_word) {
            return Err(GroupRefusal::NotAMember);
        }
        let mut roster = self.roster.clone();
        let Ok(merged) = roster.merge(entries) else {
            if was_member {
                self.forgers.insert(from);
            }
            return Err(GroupRefusal::Forged);
        };
        let vouched = || roster.inviters_of(from).any(|inviter| self.roster.is_member(inviter));
        // Members may bring the news of their own leaving.
        let belongs = was_member || vouched();
        if !belongs {
            return Err(GroupRefusal::NotAMember);
        }
        self.roster = roster;
        self.news.extend(merged.news);
        Ok(())
    }

    /// Somebody who was away when they were removed believes that they still belong to the group, and rings.
    fn tell_who_is_out(&mut self, person: Person, claims: &[Entry]) {
        if !self.roster.is_member(person) {
            for message in roster_messages(self.group(), &self.roster.removals_that_concern(person, claims)) {
                self.send(person, GroupRoute::Session, message.body);
            }
        }
    }

    pub(super) fn links_held(&self) -> usize {
        self.peers.values().filter(|peer| !peer.is_idle()).count()
    }

    pub(super) fn may_link(&self, person: Person) -> bool {
        self.is_linking(person) || self.links_held() < MAX_LINKS
    }

    /// There is a link with them, or one on its way.
    fn is_linking(&self, person: Person) -> bool {
        self.peers.get(&person).is_some_and(|peer| !peer.is_idle())
    }
}
