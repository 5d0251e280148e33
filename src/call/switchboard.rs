//! All calls of one person.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::machine::Call;
use super::queue::Queue;
use super::{CallEvent, Invite, LinkNews, Message, Phase, Quality, Rejoin, Route, Side, State};
use crate::base::{CallId, EndReason, Person};
use crate::identity::{PersonKey, UnusableKey, WIRE_VERSIONS, check_person};

/// Time-outs and rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls at a time, those between members of a group not counted; further callers hear that we are busy.
    pub calls: usize,
    /// Calls at a time between members of a group.
    pub members: usize,
    /// Callee: how long the human is asked. Callers usually give up earlier.
    pub alert: Duration,
    /// From the answer until the link is up.
    pub connect: Duration,
    /// From the link being up until it counts as a conversation even if the peer is silent.
    pub first_audio: Duration,
    /// From an interruption until the call is given up.
    pub reconnect: Duration,
    /// Between attempts to meet the peer again in that time.
    pub rejoin_every: Duration,
    /// New calls that one person may begin.
    pub invites_per_person_per_minute: u32,
    /// New calls that all people together may begin whom we do not [know](Switchboard::set_known).
    pub invites_of_strangers_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 1,
            members: 24,
            alert: Duration::from_secs(120),
            connect: Duration::from_secs(20),
            first_audio: Duration::from_secs(3),
            reconnect: Duration::from_secs(30),
            rejoin_every: Duration::from_secs(3),
            invites_per_person_per_minute: 120,
            invites_of_strangers_per_minute: 240,
        }
    }
}

/// Why a dial was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialRefused {
    /// Give another link.
    #[error("that is your own link; nobody can call themselves")]
    Myself,
    /// Hang up first.
    #[error("there is a call already; hang up first")]
    Busy,
    /// Answer it instead.
    #[error("they are calling you right now; answer instead")]
    TheyCall { call: CallId },
    /// Call ids are random and used once; draw another.
    #[error("this call id has been used before")]
    UsedCallId,
    /// Check the link.
    #[error(transparent)]
    UnusableKey(#[from] UnusableKey),
}

/// What becomes of an INVITE: what the session's second flight carries, and whether the stream is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum InviteReply {
    /// A new call. Reply [`Message::Ring`] and keep the stream; events follow.
    Ring { call: CallId },
    /// The same call over another path. Reply [`Message::Ring`] and keep this stream too.
    RingAgain { call: CallId },
    /// The peer of a running call wants its link to begin anew. Reply [`Message::Rejoined`], keep the stream, then call
    /// [`Switchboard::resume`].
    Rejoined { call: CallId },
    /// Reply with this and close.
    Refuse(Message),
    /// Close without a reply.
    Ignore,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Transmit {
    pub call: CallId,
    pub message: Message,
    pub route: Route,
}

/// A call as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallView {
    pub call: CallId,
    pub peer: Person,
    pub side: Side,
    pub state: State,
    pub phase: Phase,
}

/// All calls of one person, and who gets through to them. See the [room](super) for the contract.
///
/// When two people dial each other at once (glare), the INVITE of the lower person key wins: the other side drops its
/// own dial and answers at once. The winner rings back to the loser's INVITE without asking its human, and takes that
/// call if its own dial reaches nobody, so that two people who want to talk do.
pub struct Switchboard {
    me: PersonKey,
    limits: Limits,
    /// Those that are not over.
    calls: BTreeMap<CallId, Call>,
    /// Own dial → the peer's call that stands in for it.
    stand_ins: BTreeMap<CallId, CallId>,
    blocked: BTreeSet<Person>,
    known: BTreeSet<Person>,
    guard: Guard,
    muted: bool,
    transmits: Queue<Transmit>,
    events: Queue<(CallId, CallEvent)>,
}

/// Settings.
impl Switchboard {
    pub fn new(me: PersonKey, limits: Limits) -> Self {
        Self {
            me,
            limits,
            calls: BTreeMap::new(),
            stand_ins: BTreeMap::new(),
            blocked: BTreeSet::new(),
            known: BTreeSet::new(),
            guard: Guard::new(&limits),
            muted: false,
            transmits: Queue::new(),
            events: Queue::new(),
        }
    }

    /// A blocked person's calls are declined without ringing.
    pub fn set_blocked(&mut self, person: Person, blocked: bool) {
        set(&mut self.blocked, person, blocked);
    }

    /// Contacts: a flood of strangers does not keep them out.
    pub fn set_known(&mut self, person: Person, known: bool) {
        set(&mut self.known, person, known);
    }

    /// Tells the time of day, so that INVITEs carry it and day-old ones are ignored. Without it, neither happens.
    pub fn set_clock(&mut self, unix_s: u64, now: Instant) {
        self.guard.set_clock(unix_s, now);
    }
}

/// Calls begin.
impl Switchboard {
    /// Begins a call. The INVITE is for the first flight of a session with `to`; its reply comes back by
    /// [`Switchboard::handle_message`], failure to find anybody by [`Switchboard::dial_failed`]. `call` is random.
    /// `ring_timeout` counts twice: until the other side rings, then until somebody answers.
    pub fn dial(
        &mut self,
        call: CallId,
        to: Person,
        my_name: Option<String>,
        ring_timeout: Duration,
        now: Instant,
    ) -> Result<Invite, DialRefused> {
        self.begin_dial(call, to, my_name, ring_timeout, None, now)
    }

    /// As [`Switchboard::dial`], for a call between two members of a group, which the [group message](super::group) is
    /// about.
    pub fn dial_member(
        &mut self,
        call: CallId,
        to: Person,
        my_name: Option<String>,
        ring_timeout: Duration,
        group: Vec<u8>,
        now: Instant,
    ) -> Result<Invite, DialRefused> {
        self.begin_dial(call, to, my_name, ring_timeout, Some(group), now)
    }

    fn begin_dial(
        &mut self,
        call: CallId,
        to: Person,
        name: Option<String>,
        ring_timeout: Duration,
        group: Option<Vec<u8>>,
        now: Instant,
    ) -> Result<Invite, DialRefused> {
        let (from, in_group) = (self.me.person(), group.is_some());
        if to == from {
            return Err(DialRefused::Myself);
        }
        check_person(to)?;
        let calls_us =
            |call: &Call| call.peer() == to && call.is_in_group() == in_group && call.state() == State::Alerting;
        if let Some(call) = self.find(calls_us) {
            return Err(DialRefused::TheyCall { call });
        }
        if self.calls.contains_key(&call) || self.guard.past(call).is_some() {
            return Err(DialRefused::UsedCallId);
        }
        if self.is_full(in_group, 0) {
            return Err(DialRefused::Busy);
        }
        let dial = Call::dial(call, self.me.clone(), to, ring_timeout, self.limits, now);
        self.insert(call, dial.in_group(in_group));
        let sent_unix_s = self.guard.unix_s(now);
        Ok(Invite { call, from, name, versions: WIRE_VERSIONS.to_vec(), sent_unix_s, group })
    }

    /// Rendezvous found nobody: [`EndReason::NotFound`] or [`EndReason::Unreachable`].
    pub fn dial_failed(&mut self, call: CallId, reason: EndReason, now: Instant) {
        self.with(call, now, |call| call.dial_failed(reason));
    }

    /// An INVITE from `invite.from`, whom the session has authenticated.
    pub fn invited(&mut self, invite: &Invite, now: Instant) -> InviteReply {
        let (call, from) = (invite.call, invite.from);
        let mine = from == self.me.person();
        if mine || check_person(from).is_err() || !self.guard.is_fresh(invite.sent_unix_s, now) {
            return InviteReply::Ignore;
        }
        if let Some(same) = self.calls.get_mut(&call) {
            let again = same.peer() == from && same.another_path();
            return if again { InviteReply::RingAgain { call } } else { InviteReply::Ignore };
        }
        if let Some(reply) = self.guard.past(call) {
            return reply.clone().map_or(InviteReply::Ignore, InviteReply::Refuse);
        }
        if !self.guard.admits(from, self.known.contains(&from), now) {
            return InviteReply::Ignore;
        }
        if self.blocked.contains(&from) {
            return self.refuse(call, Message::Decline);
        }
        if !invite.versions.iter().any(|version| WIRE_VERSIONS.contains(version)) {
            return self.refuse(call, Message::Unsupported { versions: WIRE_VERSIONS.to_vec() });
        }
        self.admit(invite, now)
    }

    /// A REJOIN from `rejoin.from`, whom the session has authenticated.
    pub fn rejoins(&mut self, rejoin: &Rejoin, now: Instant) -> InviteReply {
        let call = rejoin.call;
        match self.calls.get(&call).map(Call::peer) {
            Some(peer) if peer == rejoin.from => {
                let wanted = self.with(call, now, |call| call.rejoins(rejoin, now)).unwrap_or(false);
                if wanted { InviteReply::Rejoined { call } } else { InviteReply::Ignore }
            }
            // They believe in a call that is over here.
            None if !self.blocked.contains(&rejoin.from) => {
                InviteReply::Refuse(Message::Bye(EndReason::ConnectionLost))
            }
            Some(_) | None => InviteReply::Ignore,
        }
    }

    /// Somebody may call: us alone, or while we are in a call, or while we dial them.
    fn admit(&mut self, invite: &Invite, now: Instant) -> InviteReply {
        let (call, from, in_group) = (invite.call, invite.from, invite.group.is_some());
        // Somebody who calls anew has left an earlier call that we still believe in.
        let left = |state| matches!(state, State::Alerting | State::Reconnecting);
        let alike = |old: &Call| old.peer() == from && old.is_in_group() == in_group;
        let of_theirs = |old: &(&CallId, &Call)| alike(old.1) && left(old.1.state());
        let abandoned: Vec<CallId> = self.calls.iter().filter(of_theirs).map(|(id, _)| *id).collect();
        for old in abandoned {
            self.with(old, now, Call::abandoned);
        }
        let dialing = |state| matches!(state, State::Dialing | State::Ringing);
        let own = self.find(|own| alike(own) && dialing(own.state()));
        if self.is_full(in_group, usize::from(own.is_some())) {
            return self.refuse(call, Message::Busy);
        }
        let incoming = Call::incoming(call, self.me.clone(), from, self.limits, now);
        self.insert(call, incoming.in_group(in_group));
        if let Some(own) = own {
            self.resolve_glare(own, call, from < self.me.person(), now);
        } else {
            self.with(call, now, |call| call.announce(invite.name.clone()));
        }
        InviteReply::Ring { call }
    }

    /// Both dial each other: our call `own`, their call `theirs`.
    fn resolve_glare(&mut self, own: CallId, theirs: CallId, theirs_wins: bool, now: Instant) {
        if theirs_wins {
            self.with(own, now, |own| own.replaced(theirs));
            self.with(theirs, now, |theirs| theirs.answer(now));
        } else {
            self.with(theirs, now, |theirs| theirs.stand_in_for(own));
            self.stand_ins.insert(own, theirs);
        }
    }

    /// Whether no further call of this kind may begin; `spared` are not counted.
    fn is_full(&self, in_group: bool, spared: usize) -> bool {
        let of_kind = self.calls.values().filter(|call| call.is_in_group() == in_group).count();
        of_kind - spared >= if in_group { self.limits.members } else { self.limits.calls }
    }

    fn insert(&mut self, id: CallId, mut call: Call) {
        call.set_muted(self.muted);
        self.calls.insert(id, call);
    }

    fn refuse(&mut self, call: CallId, reply: Message) -> InviteReply {
        self.guard.remember(call, Some(reply.clone()));
        InviteReply::Refuse(reply)
    }
}

/// Calls go on. Unknown call ids are ignored: calls end at any time.
impl Switchboard {
    /// From any session or the data channel of that call, and only from its peer.
    pub fn handle_message(&mut self, call: CallId, message: Message, now: Instant) {
        self.with(call, now, |call| call.handle_message(message, now));
    }

    /// The last signalling stream of the call has closed.
    pub fn signalling_lost(&mut self, call: CallId, now: Instant) {
        self.with(call, now, Call::signalling_lost);
    }

    /// The human takes the call. False if there is nothing to answer.
    pub fn answer(&mut self, call: CallId, now: Instant) -> bool {
        !self.is_stand_in(call) && self.with(call, now, |call| call.answer(now)).unwrap_or(false)
    }

    /// The human does not want to talk. False if there is nothing to decline.
    pub fn decline(&mut self, call: CallId, now: Instant) -> bool {
        self.with(call, now, Call::decline).unwrap_or(false)
    }

    /// A call between two becomes one of a group's, or is one no longer.
    pub fn set_in_group(&mut self, call: CallId, in_group: bool) {
        if let Some(call) = self.calls.get_mut(&call) {
            call.set_in_group(in_group);
        }
    }

    /// Ends a call in whatever state it is; cancels a dial, declines what rings. False if there is no such call.
    pub fn hang_up(&mut self, call: CallId, reason: EndReason, now: Instant) -> bool {
        self.with(call, now, |call| call.hang_up(reason)).unwrap_or(false)
    }

    /// The link made our description: the offer if we were called (before or after the human answered), the answer if
    /// we called.
    pub fn described(&mut self, call: CallId, sdp: String, fingerprint: [u8; 32], ufrag: String, now: Instant) {
        self.with(call, now, |call| call.described(sdp, fingerprint, ufrag));
    }

    /// A candidate of ours, or `None` after the last; held back until our description has gone out.
    pub fn local_candidate(&mut self, call: CallId, candidate: Option<String>, now: Instant) {
        self.with(call, now, |call| call.local_candidate(candidate));
    }

    pub fn handle_link(&mut self, call: CallId, news: LinkNews, now: Instant) {
        self.with(call, now, |call| call.handle_link(news, now));
    }

    /// A session with the peer of an interrupted call is open.
    pub fn resume(&mut self, call: CallId, now: Instant) {
        self.with(call, now, Call::resume);
    }

    /// The link could not do what [`CallEvent::WantRestart`] or [`CallEvent::WantRestartAnswer`] asked for.
    pub fn restart_failed(&mut self, call: CallId, now: Instant) {
        self.with(call, now, Call::restart_failed);
    }

    /// This machine got into another network: what runs begins anew.
    pub fn moved(&mut self, now: Instant) {
        self.with_all(now, |call| call.moved(now));
    }

    /// Our microphone is off or on: tells every peer, now or as soon as it can be told.
    pub fn set_muted(&mut self, muted: bool, now: Instant) {
        self.muted = muted;
        self.with_all(now, |call| call.set_muted(muted));
    }

    /// Puts a call on hold, or takes it off, and tells the peer. False if there is no such call.
    pub fn set_held(&mut self, call: CallId, held: bool, now: Instant) -> bool {
        self.with(call, now, |call| call.set_held(held)).is_some()
    }

    /// Tells the peer how we hear it.
    pub fn report_quality(&mut self, call: CallId, quality: Quality, now: Instant) {
        self.with(call, now, |call| call.report_quality(quality));
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.with_all(now, |call| call.handle_timeout(now));
    }
}

/// What comes out.
impl Switchboard {
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop()
    }

    /// In the order in which things happened.
    pub fn poll_event(&mut self) -> Option<(CallId, CallEvent)> {
        self.events.pop()
    }

    /// The earliest time-out and what it is for.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.calls.values().filter_map(Call::poll_timeout).min()
    }

    pub fn peer_of(&self, call: CallId) -> Option<Person> {
        self.calls.get(&call).map(Call::peer)
    }

    /// All calls that are not over, by id.
    pub fn calls(&self) -> impl Iterator<Item = CallView> + '_ {
        self.calls.iter().map(|(id, call)| CallView {
            call: *id,
            peer: call.peer(),
            side: call.side(),
            state: call.state(),
            phase: call.state().phase(),
        })
    }
}

/// Inside.
impl Switchboard {
    /// Does one thing to one call, and everything that follows from it. `None` if there is no such call.
    fn with<R>(&mut self, id: CallId, now: Instant, act: impl FnOnce(&mut Call) -> R) -> Option<R> {
        let result = act(self.calls.get_mut(&id)?);
        self.settle(now);
        self.collect(id);
        let others: Vec<CallId> = self.calls.keys().copied().collect();
        others.into_iter().for_each(|other| self.collect(other));
        Some(result)
    }

    fn with_all(&mut self, now: Instant, act: impl Fn(&mut Call)) {
        let all: Vec<CallId> = self.calls.keys().copied().collect();
        for id in all {
            self.with(id, now, &act);
        }
    }

    fn find(&self, wanted: impl Fn(&Call) -> bool) -> Option<CallId> {
        self.calls.iter().find(|(id, call)| wanted(call) && !self.is_stand_in(**id)).map(|(id, _)| *id)
    }

    fn is_stand_in(&self, call: CallId) -> bool {
        self.stand_ins.values().any(|stand_in| *stand_in == call)
    }

    /// What a dial's fate means for the call that stands in for it.
    fn settle(&mut self, now: Instant) {
        for (own, stand_in) in self.stand_ins.clone() {
            let ended = State::Ended(EndReason::Cancelled);
            let fate = self.calls.get(&own).map_or(ended, Call::state);
            let Some(theirs) = self.calls.get_mut(&stand_in).filter(|call| !call.state().is_ended()) else {
                self.stand_ins.remove(&own);
                continue;
            };
            match fate {
                State::Dialing | State::Ringing => continue,
                // The dial reached nobody: two people who want to talk take the other call.
                State::Ended(EndReason::NotFound | EndReason::Unreachable) => {
                    theirs.answer(now);
                    self.calls.entry(own).and_modify(|own| own.replaced(stand_in));
                }
                // Our human no longer wants to, or the other side does not.
                State::Ended(_) => drop(theirs.decline()),
                // The dial was answered.
                State::Accepting
                | State::Alerting
                | State::Offering
                | State::Offered
                | State::Connecting
                | State::LinkUp
                | State::Talking
                | State::Reconnecting => theirs.replaced(own),
            }
            self.stand_ins.remove(&own);
        }
    }

    /// Takes what a call has to say, and forgets it when it is over, but for what a late INVITE of it is to hear.
    fn collect(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        while let Some((message, route)) = call.poll_transmit() {
            let is_last = matches!(message, Message::Bye(_) | Message::Cancel | Message::Decline);
            self.transmits.push(Transmit { call: id, message, route }, is_last);
        }
        while let Some(event) = call.poll_event() {
            let is_last = matches!(event, CallEvent::Ended(_) | CallEvent::Replaced { .. });
            self.events.push((id, event), is_last);
        }
        if call.state().is_ended() {
            let declined = call.state() == State::Ended(EndReason::Declined);
            self.guard.remember(id, declined.then_some(Message::Decline));
            self.calls.remove(&id);
        }
    }
}

fn set(people: &mut BTreeSet<Person>, person: Person, member: bool) {
    if member {
        people.insert(person);
    } else {
        people.remove(&person);
    }
}
