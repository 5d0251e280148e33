//! The calls between us and each other member.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::LiveGroup;
use crate::base::{CallId, EndReason, GroupId, Person};
use crate::call::group::{Body, GroupCall, GroupMessage, GroupState, MeshLink, RingReply};
use crate::call::{DialRefused, GroupLetter, Invite, InviteReply, Message};
use crate::engine::CallSide;
use crate::engine::clock::unix_now_ms;
use crate::engine::desk::calls::ring;
use crate::engine::desk::commands::random;
use crate::engine::desk::{Desk, LiveCall};
use crate::engine::link_task::LinkJob;
use crate::engine::voice_thread::PeerKey;
use crate::engine::{CallPhase, Event};

/// A member's program answers by itself, an invited human within the group's time.
const RING_TIMEOUT: Duration = Duration::from_secs(60);
/// Groups at a time, those counted into which we are asked: whoever talks with us could ask without end.
const MAX_GROUPS: usize = 4;

/// From a group to the rooms.
impl Desk {
    /// Begins a call with a member, or with somebody who is invited.
    pub(super) fn ring_member(&mut self, id: GroupId, to: Person, message: Vec<u8>, now: Instant) {
        let call = CallId::from_bytes(random());
        let name = self.options.display_name.clone();
        let dialled = self.switchboard.dial_member(call, to, name, RING_TIMEOUT, message, now);
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        let Some(rendezvous) = self.rendezvous.clone() else { return };
        let invite = match dialled {
            Ok(invite) => invite,
            // They ring us at the same moment.
            Err(DialRefused::TheyCall { call }) if self.switchboard.answer(call, now) => {
                group.calls.insert(to, call);
                return;
            }
            Err(why) => {
                tracing::info!(%why, "a member cannot be rung");
                return group.machine.handle_link(to, MeshLink::Closed(EndReason::Unreachable), now);
            }
        };
        group.calls.insert(to, call);
        let link = group.links.get(&to).cloned();
        self.begin_member_call(id, call, to, CallSide::Caller, now);
        if let Err(failure) = self.start_sound() {
            self.emit_at(now, Event::Failed(failure));
        }
        self.open_link(call);
        self.emit_at(now, Event::Dialing { call, peer: to });
        self.ring(rendezvous, call, link.unwrap_or_else(|| self.link_of(to)), invite);
    }

    pub(super) fn say_over_link(&mut self, id: GroupId, to: Person, message: Vec<u8>) {
        let call = self.groups.all.get(&id).and_then(|group| group.calls.get(&to));
        if let Some(live) = call.and_then(|call| self.calls.get(call)) {
            let letter = GroupLetter { from: self.me.person(), message };
            live.job(LinkJob::Message(Message::Group(letter).encode()));
        }
    }

    pub(super) fn answer_member(&mut self, id: GroupId, person: Person, now: Instant) {
        let Some(call) = self.call_with(id, person) else { return };
        if self.calls.get(&call).is_some_and(|live| live.link_task.is_none()) {
            self.open_link(call);
        }
        self.switchboard.answer(call, now);
    }

    /// A member's call that waits until there is room for another link: gathering candidates would only fill the line.
    pub(in super::super) fn waits_its_turn(&self, call: CallId) -> bool {
        let place = self.groups.place_of(call).and_then(|(id, person)| Some((self.groups.all.get(&id)?, person)));
        place.is_some_and(|(group, person)| group.is_joined() && group.machine.keeps_waiting(person))
    }

    pub(super) fn decline_member(&mut self, id: GroupId, person: Person, now: Instant) {
        if let Some(call) = self.call_with(id, person) {
            self.switchboard.decline(call, now);
        }
    }

    /// Ends what there is between us and them: where both have rung, two calls.
    pub(super) fn close_link(&mut self, id: GroupId, person: Person, now: Instant) {
        let between = |live: &LiveCall| live.group == Some(id) && live.peer == Some(person);
        let latest = self.call_with(id, person);
        let others = self.calls.iter().filter(|(_, live)| between(live)).map(|(call, _)| *call);
        let calls: BTreeSet<CallId> = others.chain(latest).collect();
        for call in calls {
            self.switchboard.hang_up(call, EndReason::HangUp, now);
        }
    }

    /// They take part: a call that ran before is one of the group's from now on.
    pub(super) fn member_came(&mut self, id: GroupId, person: Person, now: Instant) {
        let name = self.name_in(id, person);
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        group.connected_at.get_or_insert(now);
        group.ever.insert(person, name);
        group.ringer = None;
        let Some(call) = group.calls.get(&person).copied() else { return };
        if let Some(live) = self.calls.get_mut(&call) {
            live.group = Some(id);
            live.ringer = None;
            group.seats.insert(person, live.key);
            self.switchboard.set_in_group(call, true);
        }
        // The tone that told us to wait is over once anybody is there.
        self.calls.values_mut().filter(|live| live.group == Some(id)).for_each(|live| live.ringer = None);
    }

    pub(super) fn forget_member(&mut self, id: GroupId, person: Person) {
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        let (key, call) = (group.seats.remove(&person), group.calls.remove(&person));
        group.silenced.remove(&person);
        group.counts.remove(&person);
        if let Some(key) = key {
            self.free_seat(key, call);
        }
    }

    /// Nobody is heard from there any more, unless the call still runs, which takes its seat along.
    pub(super) fn free_seat(&mut self, key: PeerKey, call: Option<CallId>) {
        if call.is_some_and(|call| self.calls.contains_key(&call)) {
            return;
        }
        if let Some(sound) = &self.sound {
            sound.remove_peer(key);
        }
        self.seats.remove(&key);
    }

    fn call_with(&self, id: GroupId, person: Person) -> Option<CallId> {
        self.groups.all.get(&id)?.calls.get(&person).copied()
    }

    /// A call with a member takes the seat that the member has.
    fn begin_member_call(&mut self, id: GroupId, call: CallId, peer: Person, side: CallSide, now: Instant) {
        self.begin_call(call, Some(peer), side, now);
        let name = self.name_in(id, peer);
        let seat = self.groups.all.get(&id).and_then(|group| group.seats.get(&peer)).copied();
        let Some(live) = self.calls.get_mut(&call) else { return };
        live.group = Some(id);
        live.name = live.name.take().or(name);
        if let Some(key) = seat {
            self.seats.remove(&live.key);
            live.key = key;
        }
        if let Some(group) = self.groups.all.get_mut(&id) {
            group.seats.insert(peer, live.key);
        }
    }
}

/// From the rooms to a group.
impl Desk {
    /// What becomes of the latest call with a member.
    pub(in super::super) fn tell_group(&mut self, call: CallId, change: MeshLink, now: Instant) {
        let Some((id, person)) = self.groups.place_of(call) else { return };
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        if matches!(change, MeshLink::Closed(_)) {
            group.calls.remove(&person);
        }
        group.machine.handle_link(person, change, now);
        self.refresh_forwards(id);
    }

    /// We rang each other: the other call is the one.
    pub(in super::super) fn group_call_replaced(&mut self, call: CallId, by: CallId) {
        if let Some((id, person)) = self.groups.place_of(call)
            && let Some(group) = self.groups.all.get_mut(&id)
        {
            group.calls.insert(person, by);
        }
    }

    /// An INVITE that is about a group.
    pub(in super::super) fn rung_by_member(&mut self, invite: &Invite, now: Instant) -> InviteReply {
        let Some(message) = invite.group.as_deref().and_then(|bytes| GroupMessage::decode(bytes).ok()) else {
            return InviteReply::Ignore;
        };
        let (id, from) = (message.group.id, invite.from);
        let is_new = !self.groups.all.contains_key(&id);
        if is_new && matches!(message.body, Body::Invite(_)) && !self.may_be_invited() {
            return InviteReply::Refuse(Message::Busy);
        }
        let reply = self.switchboard.invited(invite, now);
        let InviteReply::Ring { call } = reply else { return reply };
        if is_new && !self.begin_invited(from, &message, now) {
            self.switchboard.decline(call, now);
            return InviteReply::Refuse(Message::Decline);
        }
        let Some(group) = self.groups.all.get_mut(&id) else { return InviteReply::Ignore };
        let before = group.calls.get(&from).copied();
        match group.machine.handle_ring(from, &message, now) {
            RingReply::Refuse(why) => {
                tracing::info!(%why, ?from, "a member's ring is refused");
                self.switchboard.decline(call, now);
                return InviteReply::Refuse(Message::Decline);
            }
            RingReply::Answer => {
                group.calls.insert(from, call);
                self.begin_member_call(id, call, from, CallSide::Callee, now);
                self.switchboard.answer(call, now);
                self.end_earlier(before, now);
            }
            RingReply::Wait => {
                group.calls.insert(from, call);
                self.begin_member_call(id, call, from, CallSide::Callee, now);
            }
        }
        InviteReply::Ring { call }
    }

    /// A member makes a new link, so the one that there was leads nowhere, whatever we believe. Where both have rung, the
    /// switchboard makes one call of the two.
    fn end_earlier(&mut self, call: Option<CallId>, now: Instant) {
        let Some(call) = call else { return };
        let rings = |phase| matches!(phase, CallPhase::Dialing | CallPhase::Ringing);
        if self.calls.get(&call).is_some_and(|live| live.group.is_some() && !rings(live.phase)) {
            self.switchboard.hang_up(call, EndReason::ConnectionLost, now);
        }
    }

    /// A message over the link with the peer of a call.
    pub(in super::super) fn letter_over_link(&mut self, call: CallId, letter: &GroupLetter, now: Instant) {
        let from = self.calls.get(&call).and_then(|live| live.peer);
        let (Some(from), Ok(message)) = (from, GroupMessage::decode(&letter.message)) else { return };
        let id = message.group.id;
        let is_new = !self.groups.all.contains_key(&id) && matches!(message.body, Body::Invite(_));
        if is_new && self.begin_invited(from, &message, now) {
            if let Some(group) = self.groups.all.get_mut(&id) {
                group.calls.insert(from, call);
                group.machine.adopt(from, now);
            }
            return;
        }
        if let Some(group) = self.groups.all.get_mut(&id)
            && let Err(why) = group.machine.handle_message(from, message, now)
        {
            tracing::debug!(%why, ?from, "a group message is not heeded");
        }
    }

    /// Somebody asks us into a group of which we have not heard.
    fn begin_invited(&mut self, from: Person, message: &GroupMessage, now: Instant) -> bool {
        let nobody_is_there = !self.options.callable && self.calls.is_empty();
        if self.blocked.contains(&from) || nobody_is_there || self.groups.all.len() >= MAX_GROUPS {
            return false;
        }
        let (limits, unix_ms) = (self.group_limits(), unix_now_ms());
        match GroupCall::invited(self.me.clone(), from, message, limits, unix_ms, now) {
            Ok(machine) => {
                let group = LiveGroup::new(machine, false, Some(from), now);
                self.groups.all.insert(message.group.id, group);
                true
            }
            Err(why) => {
                tracing::info!(%why, ?from, "an invitation is refused");
                false
            }
        }
    }

    /// As with calls between two: one at a time, and one more that waits where somebody can choose.
    fn may_be_invited(&self) -> bool {
        let others = self.calls.values().filter(|live| live.group.is_none()).count() + self.groups.all.len();
        others < if self.options.windowed { 2 } else { 1 }
    }

    /// Our human is being asked; in the middle of a call, without a sound.
    pub(super) fn group_rings(&mut self, id: GroupId) {
        let in_call = self.calls.values().any(|live| live.connected_at.is_some());
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        let asked = matches!(group.machine.state(), GroupState::Invited { .. });
        if asked && !in_call && !group.outgoing {
            let call = CallId::from_bytes(*id.as_bytes());
            group.ringer = ring(crate::audio::Ringing::Incoming, call, &self.options, &self.inbox);
        }
    }
}
