//! What people want of group calls.

use std::time::{Duration, Instant};

use super::{LiveGroup, TICK};
use crate::base::{CallId, GroupId, Person};
use crate::call::group::{GroupCall, GroupKey, GroupState, Ticket};
use crate::engine::clock::{unix_now_ms, unix_now_s};
use crate::engine::desk::Desk;
use crate::engine::desk::commands::{offline, random};
use crate::engine::{CallPhase, CommandResult, Event, Failure, FailureKind, GroupCommand, GroupEvent, Reply, Retry};
use crate::identity::Link;

impl Desk {
    pub(in super::super) async fn obey_group(&mut self, command: GroupCommand, now: Instant) -> CommandResult {
        match command {
            GroupCommand::Start { people, calls } => self.start_group(people, &calls, now).map(Reply::Group),
            GroupCommand::Join { link } => self.join_group(&link, now).map(Reply::Group),
            GroupCommand::Resume => self.resume_group(now).map(Reply::Group),
            GroupCommand::Forget => {
                if let Some(id) = self.groups.unfinished.as_ref().map(|unfinished| unfinished.key.id) {
                    self.keep_nothing(id).await;
                }
                Ok(Reply::Done)
            }
            GroupCommand::Accept { group } => self.accept_group(group, now),
            GroupCommand::Decline { group } => self.decline_group(group),
            GroupCommand::Leave { group } => {
                self.group(group)?.machine.leave(now);
                Ok(Reply::Done)
            }
            GroupCommand::Invite { group, person } => self.invite(group, vec![person], Vec::new(), now),
            GroupCommand::Merge { group, call } => {
                let known = self.adopt(group, call, now)?;
                self.invite(group, Vec::new(), vec![known], now)
            }
            GroupCommand::Remove { group, person } => {
                self.group(group)?.machine.remove(person, now).map_err(|why| Failure::usage(why.to_string()))?;
                Ok(Reply::Done)
            }
            GroupCommand::MakeLink { group, valid } => self.make_group_link(group, valid, now),
            GroupCommand::RevokeLinks { group } => {
                let me = self.me.person();
                let done = self.group(group)?.machine.revoke_links(me, now);
                done.then_some(Reply::Done).ok_or_else(not_in)
            }
            GroupCommand::SetHeld { group, held } => self.hold_group(group, held, now),
            GroupCommand::SetSilenced { group, person, silenced } => self.silence_member(group, person, silenced),
        }
    }

    fn group(&mut self, id: GroupId) -> Result<&mut LiveGroup, Failure> {
        self.groups.all.get_mut(&id).ok_or_else(|| Failure::usage("there is no such group call any more"))
    }

    /// A group of our own, with whom we ring and with whom we talk.
    fn start_group(&mut self, people: Vec<Link>, calls: &[CallId], now: Instant) -> Result<GroupId, Failure> {
        if self.rendezvous.is_none() {
            return Err(offline());
        }
        if self.groups.any_joined() {
            return Err(Failure {
                kind: FailureKind::Busy,
                retry: Retry::AfterUserAction,
                detail: "you are in a group call already; invite people into that one, or leave it first".into(),
            });
        }
        if people.is_empty() && calls.is_empty() {
            return Err(Failure::usage("a group call needs somebody to be called"));
        }
        let key = GroupKey { id: GroupId::from_bytes(random()), creator: self.me.person() };
        let (name, limits) = (self.options.display_name.clone(), self.group_limits());
        let machine = GroupCall::start(self.me.clone(), key, name.as_deref(), limits, unix_now_ms(), now);
        let first = calls.first().and_then(|call| self.calls.get(call)?.peer);
        let first = first.or(people.first().map(|link| link.person));
        self.begin_group(key.id, LiveGroup::new(machine, true, first, now), now)?;
        self.emit_at(now, Event::Group { group: key.id, event: GroupEvent::Started });
        self.hold_all_but(calls, now);
        let of_calls = calls.iter().map(|call| self.adopt(key.id, *call, now)).collect::<Result<Vec<_>, _>>();
        let invited = of_calls.and_then(|of_calls| self.invite(key.id, people, of_calls, now));
        if let Err(why) = invited {
            // All or nothing: what was asked for could not be done.
            self.group(key.id)?.machine.leave(now);
            return Err(why);
        }
        Ok(key.id)
    }

    fn begin_group(&mut self, id: GroupId, group: LiveGroup, now: Instant) -> Result<(), Failure> {
        self.start_sound()?;
        self.groups.all.insert(id, group);
        self.groups.next_tick = Some(now + TICK);
        Ok(())
    }

    /// Those of `links` are rung, those `known` are with us in calls that have been adopted. All or none.
    fn invite(
        &mut self,
        id: GroupId,
        links: Vec<Link>,
        mut known: Vec<(Person, Option<String>)>,
        now: Instant,
    ) -> CommandResult {
        for link in links {
            let contact = self.contact(link.person).and_then(|contact| contact.name.clone());
            known.push((link.person, contact.or_else(|| link.name.clone())));
            self.group(id)?.links.insert(link.person, link);
        }
        let group = self.group(id)?;
        let people: Vec<(Person, Option<&str>)> =
            known.iter().map(|(person, name)| (*person, name.as_deref())).collect();
        if let Err(why) = group.machine.invite_all(&people, now) {
            for (person, _) in &known {
                // A call that was to become part of it goes on as it is.
                if !group.machine.roster().is_member(*person) {
                    group.calls.remove(person);
                }
            }
            return Err(Failure::usage(why.to_string()));
        }
        for (person, name) in known {
            group.ever.entry(person).or_insert(name);
        }
        Ok(Reply::Done)
    }

    /// The peer of a call that is connected is to be asked over it.
    fn adopt(&mut self, id: GroupId, call: CallId, now: Instant) -> Result<(Person, Option<String>), Failure> {
        let live = self.calls.get(&call).filter(|live| live.group.is_none() && live.phase == CallPhase::Connected);
        let Some((person, name, held)) = live.and_then(|live| Some((live.peer?, live.name.clone(), live.held))) else {
            return Err(Failure::usage("only the other side of a connected call can be asked into a group call"));
        };
        if held {
            self.set_held(call, false, now)?;
        }
        let group = self.group(id)?;
        group.calls.insert(person, call);
        group.machine.adopt(person, now);
        Ok((person, name))
    }

    fn join_group(&mut self, link: &str, now: Instant) -> Result<GroupId, Failure> {
        let ticket: Ticket =
            link.parse().map_err(|why: crate::call::group::ParseTicketError| Failure::usage(why.to_string()))?;
        let (id, author) = (ticket.group.id, ticket.author);
        if self.groups.all.contains_key(&id) {
            return Err(Failure::usage("you are in this group call, or have been asked into it"));
        }
        if self.rendezvous.is_none() {
            return Err(offline());
        }
        let (me, limits) = (self.me.clone(), self.group_limits());
        let name = self.options.display_name.clone();
        let machine = GroupCall::knock(me, ticket, name, limits, unix_now_ms(), now);
        self.groups.all.insert(id, LiveGroup::new(machine, true, Some(author), now));
        Ok(id)
    }

    fn resume_group(&mut self, now: Instant) -> Result<GroupId, Failure> {
        let nothing = || Failure::usage("there is no group call that was interrupted");
        if self.groups.any_joined() {
            return Err(Failure::usage("you are in a group call already; leave it first"));
        }
        let unfinished = self.groups.unfinished.take().ok_or_else(nothing)?;
        let (key, limits) = (unfinished.key, self.group_limits());
        let machine = GroupCall::resume(self.me.clone(), key, &unfinished.entries, limits, unix_now_ms(), now);
        let mut group = LiveGroup::new(machine.ok_or_else(nothing)?, true, None, now);
        group.ever = unfinished.shown.members.into_iter().collect();
        self.begin_group(key.id, group, now)?;
        Ok(key.id)
    }

    fn accept_group(&mut self, id: GroupId, now: Instant) -> CommandResult {
        self.start_sound()?;
        let group = self.group(id)?;
        if !group.machine.accept(now) {
            return Err(Failure::usage("nobody asks you into this group call any more"));
        }
        group.ringer = None;
        let calls: Vec<CallId> = group.calls.values().copied().collect();
        self.groups.next_tick = Some(now + TICK);
        self.hold_all_but(&calls, now);
        Ok(Reply::Done)
    }

    fn decline_group(&mut self, id: GroupId) -> CommandResult {
        let group = self.group(id)?;
        group.ringer = None;
        let asked = group.machine.decline();
        asked.then_some(Reply::Done).ok_or_else(|| Failure::usage("nobody asks you into this group call any more"))
    }

    fn make_group_link(&mut self, id: GroupId, valid: Duration, now: Instant) -> CommandResult {
        let until = unix_now_s().unsigned_abs().saturating_add(valid.as_secs());
        let ticket = self.group(id)?.machine.make_link(until, now).ok_or_else(not_in)?;
        Ok(Reply::GroupLink(ticket.to_string()))
    }

    fn hold_group(&mut self, id: GroupId, held: bool, now: Instant) -> CommandResult {
        let group = self.group(id)?;
        if group.machine.state() != GroupState::In {
            return Err(not_in());
        }
        group.held = held;
        let calls: Vec<CallId> = group.calls.values().copied().collect();
        for call in calls {
            // Those that are just being made follow when they are connected.
            let _ = self.set_held(call, held, now);
        }
        Ok(Reply::Done)
    }

    /// A member who comes while the group is on hold waits as the others do.
    pub(in super::super) fn follow_hold_of_group(&mut self, call: CallId, now: Instant) {
        let group = self.calls.get(&call).and_then(|live| live.group);
        if group.and_then(|id| self.groups.all.get(&id)).is_some_and(|group| group.held) {
            // It has just been connected.
            let _ = self.set_held(call, true, now);
        }
    }

    fn silence_member(&mut self, id: GroupId, person: Person, silenced: bool) -> CommandResult {
        let group = self.group(id)?;
        let Some(key) = group.seats.get(&person).copied() else {
            return Err(Failure::usage("they are not in the call"));
        };
        if silenced {
            group.silenced.insert(person)
        } else {
            group.silenced.remove(&person)
        };
        if let Some(sound) = &self.sound {
            sound.set_silenced(key, silenced);
        }
        Ok(Reply::Done)
    }

    /// Whoever takes a call talks in it alone.
    pub(in super::super) fn hold_all_but(&mut self, stay: &[CallId], now: Instant) {
        let others: Vec<CallId> = self.calls.keys().copied().filter(|call| !stay.contains(call)).collect();
        for call in others {
            // What is not connected cannot be held, and need not be.
            let _ = self.set_held(call, true, now);
        }
        let groups = self.groups.all.iter_mut();
        let left = groups
            .filter(|(_, group)| !group.calls.is_empty() && !group.calls.values().any(|call| stay.contains(call)));
        left.filter(|(_, group)| group.machine.state() == GroupState::In).for_each(|(_, group)| group.held = true);
    }
}

fn not_in() -> Failure {
    Failure::usage("you are not in this group call")
}
