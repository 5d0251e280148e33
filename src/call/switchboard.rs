//! All calls of one person.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::call::Call;
use super::guard::Guard;
use super::{CallEvent, Invite, LinkNews, Message, Phase, Quality, Route, Side, State};
use crate::base::{CallId, EndReason, Person};
use crate::identity::{PersonKey, UnusableKey, WIRE_VERSIONS, check_person};

/// Time-outs and rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls at a time; further callers hear that we are busy.
    pub calls: usize,
    /// Callee: how long the human is asked. Callers usually give up earlier.
    pub alert: Duration,
    /// From the answer until the link is up.
    pub connect: Duration,
    /// From the link being up until it counts as a conversation even if the peer is silent.
    pub first_audio: Duration,
    /// From an interruption until the call is given up.
    pub reconnect: Duration,
    /// New calls that one person may begin.
    pub invites_per_person_per_minute: u32,
    /// New calls that all people together may begin whom we do not [know](Switchboard::set_known).
    pub invites_of_strangers_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: 1,
            alert: Duration::from_secs(120),
            connect: Duration::from_secs(20),
            first_audio: Duration::from_secs(3),
            reconnect: Duration::from_secs(30),
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
    calls: BTreeMap<CallId, Call>,
    /// Own dial → the peer's call that stands in for it.
    stand_ins: BTreeMap<CallId, CallId>,
    blocked: BTreeSet<Person>,
    known: BTreeSet<Person>,
    guard: Guard,
    muted: bool,
    on_hold: bool,
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
            on_hold: false,
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
        let from = self.me.person();
        if to == from {
            return Err(DialRefused::Myself);
        }
        check_person(to)?;
        if let Some(call) = self.live(|call| call.peer() == to && call.state() == State::Alerting) {
            return Err(DialRefused::TheyCall { call });
        }
        if self.calls.contains_key(&call) || self.busy_with_others(None) >= self.limits.calls {
            return Err(DialRefused::Busy);
        }
        self.insert(call, Call::dial(call, self.me.clone(), to, ring_timeout, self.limits, now));
        let sent_unix_s = self.guard.unix_s(now);
        Ok(Invite { call, from, name: my_name, versions: WIRE_VERSIONS.to_vec(), sent_unix_s })
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
        if let Some(same) = self.calls.get(&call) {
            let again = same.peer() == from && same.side() == Side::Callee && !same.state().is_ended();
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

    /// Somebody may call: us alone, or while we are in a call, or while we dial them.
    fn admit(&mut self, invite: &Invite, now: Instant) -> InviteReply {
        let (call, from) = (invite.call, invite.from);
        let left = |state| matches!(state, State::Alerting | State::Reconnecting);
        while let Some(old) = self.live(|old| old.peer() == from && left(old.state())) {
            self.with(old, now, Call::abandoned);
        }
        if self.busy_with_others(Some(from)) >= self.limits.calls {
            return self.refuse(call, Message::Busy);
        }
        let dialing = |state| matches!(state, State::Dialing | State::Ringing);
        let own = self.live(|own| own.peer() == from && dialing(own.state()));
        if own.is_none() && self.busy_with_others(None) >= self.limits.calls {
            return self.refuse(call, Message::Busy);
        }
        self.insert(call, Call::incoming(call, self.me.clone(), from, self.limits, now));
        match own {
            None => self.with(call, now, |call| call.announce(invite.name.clone())),
            Some(own) if from < self.me.person() => {
                self.with(own, now, |own| own.replaced(call));
                self.with(call, now, |call| call.answer(now));
            }
            Some(own) => {
                self.with(call, now, |call| call.stand_in_for(own));
                self.stand_ins.insert(own, call);
            }
        }
        InviteReply::Ring { call }
    }

    fn insert(&mut self, id: CallId, mut call: Call) {
        call.set_muted(self.muted);
        call.set_held(self.on_hold);
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
        self.with(call, now, |call| call.answer(now)).unwrap_or(false)
    }

    /// The human does not want to talk. False if there is nothing to decline.
    pub fn decline(&mut self, call: CallId, now: Instant) -> bool {
        self.with(call, now, Call::decline).unwrap_or(false)
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

    /// Our microphone is off or on: tells every peer, now or as soon as it can be told.
    pub fn set_muted(&mut self, muted: bool, _now: Instant) {
        self.muted = muted;
        self.calls.values_mut().for_each(|call| call.set_muted(muted));
    }

    /// Puts everybody on hold, or takes them off it.
    pub fn set_held(&mut self, held: bool, _now: Instant) {
        self.on_hold = held;
        self.calls.values_mut().for_each(|call| call.set_held(held));
    }

    /// Tells the peer how we hear it.
    pub fn report_quality(&mut self, call: CallId, quality: Quality, now: Instant) {
        self.with(call, now, |call| call.report_quality(quality));
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |call: &Call| call.poll_timeout().is_some_and(|(at, _)| at <= now);
        let due: Vec<CallId> = self.calls.iter().filter(|(_, call)| due(call)).map(|(id, _)| *id).collect();
        for call in due {
            self.with(call, now, |call| call.handle_timeout(now));
        }
    }
}

/// What comes out.
impl Switchboard {
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let next = |(id, call): (&CallId, &mut Call)| {
            call.poll_transmit().map(|(message, route)| Transmit { call: *id, message, route })
        };
        let transmit = self.calls.iter_mut().find_map(next);
        self.sweep();
        transmit
    }

    pub fn poll_event(&mut self) -> Option<(CallId, CallEvent)> {
        let event = self.calls.iter_mut().find_map(|(id, call)| call.poll_event().map(|event| (*id, event)));
        self.sweep();
        event
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
        self.calls.iter().filter(|(_, call)| !call.state().is_ended()).map(|(id, call)| CallView {
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
    fn with<R>(&mut self, id: CallId, now: Instant, act: impl FnOnce(&mut Call) -> R) -> Option<R> {
        let result = act(self.calls.get_mut(&id)?);
        self.settle(now);
        Some(result)
    }

    fn live(&self, wanted: impl Fn(&Call) -> bool) -> Option<CallId> {
        self.calls.iter().find(|(_, call)| !call.state().is_ended() && wanted(call)).map(|(id, _)| *id)
    }

    /// Calls that take the human's ear, but for those with `except`. A stand-in takes it only in place of a dial.
    fn busy_with_others(&self, except: Option<Person>) -> usize {
        let is_stand_in = |id| self.stand_ins.values().any(|stand_in| stand_in == id);
        let busy =
            |(id, call): &(&CallId, &Call)| !call.state().is_ended() && Some(call.peer()) != except && !is_stand_in(id);
        self.calls.iter().filter(busy).count()
    }

    /// What a dial's fate means for the call that stands in for it.
    fn settle(&mut self, now: Instant) {
        for (own, stand_in) in self.stand_ins.clone() {
            let state = |id| self.calls.get(id).map_or(State::Ended(EndReason::Cancelled), Call::state);
            match (state(&own), state(&stand_in)) {
                (State::Dialing | State::Ringing, State::Alerting) => continue,
                // The dial reached nobody: two people who want to talk take the other call.
                (State::Ended(EndReason::NotFound | EndReason::Unreachable), State::Alerting) => {
                    self.calls.entry(own).and_modify(|call| call.replaced(stand_in));
                    self.calls.entry(stand_in).and_modify(|call| drop(call.answer(now)));
                }
                // The human no longer wants to, or the other side does not.
                (State::Ended(_), State::Alerting) => {
                    self.calls.entry(stand_in).and_modify(|call| drop(call.decline()));
                }
                // The dial was answered, or the stand-in is gone.
                _ => {
                    self.calls.entry(stand_in).and_modify(|call| call.replaced(own));
                }
            }
            self.stand_ins.remove(&own);
        }
    }

    /// Forgets calls that are over and polled empty, but for what a late INVITE of theirs is to hear.
    fn sweep(&mut self) {
        let guard = &mut self.guard;
        self.calls.retain(|id, call| {
            if call.is_finished() {
                let declined = call.state() == State::Ended(EndReason::Declined);
                guard.remember(*id, declined.then_some(Message::Decline));
            }
            !call.is_finished()
        });
    }
}

fn set(people: &mut BTreeSet<Person>, person: Person, member: bool) {
    if member {
        people.insert(person);
    } else {
        people.remove(&person);
    }
}
