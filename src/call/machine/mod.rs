//! One call with one peer: the machine behind [`State`]'s diagram.
//!
//! Inputs are in [`peer`], [`human`], [`link`] and [`restart`]; each names what every state makes of it, so that a new state does not
//! compile until each input has been thought of.
//!
//! A group call ([`group`](crate::call::group)) is several of these; nothing in here knows of the others.

mod human;
mod link;
mod peer;
mod restart;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::{CallEvent, Limits, Message, Route, Side, State};
use crate::base::{CallId, EndReason, Person};
use crate::identity::PersonKey;
use restart::Restart;

/// Candidates of ours that may wait for the human's answer; later ones are dropped. ICE checks at most 100 pairs anyway
/// (RFC 8445 §6.1.2.5).
const MAX_HELD_CANDIDATES: usize = 64;
/// Candidates of the peer's that are passed on; later ones are ignored.
const MAX_REMOTE_CANDIDATES: usize = 64;
/// Paths over which one INVITE may come: three relays, directly, over the LAN, and some to spare.
const MAX_PATHS: u32 = 8;

pub struct Call {
    id: CallId,
    me: PersonKey,
    peer: Person,
    side: Side,
    state: State,
    limits: Limits,
    /// How long the caller lets it ring.
    ring_timeout: Duration,
    deadline: Option<(Instant, &'static str)>,
    /// Caller: signalling was lost while it rang, and is sought.
    redialling: bool,
    /// Set while the human knows nothing of this call, because the dial named here comes first (glare).
    stands_in_for: Option<CallId>,
    /// One of the calls between two members of a group.
    in_group: bool,

    /// Callee: paths over which the INVITE has come.
    paths: u32,
    /// Callee: an offer that was made before the human answered.
    offer: Option<(String, [u8; 32], String)>,
    /// Our candidates, until our description has gone out; `None` is the end of them.
    held: VecDeque<Option<String>>,
    /// What the peer has said of itself; it says it in every session.
    remote_candidates: BTreeSet<String>,
    channel_open: bool,
    heard: bool,
    /// Whether [`CallEvent::Connected`] was told.
    talked: bool,
    muted: bool,
    on_hold: bool,
    restart: Restart,

    /// What the last input caused; the switchboard takes it at once, so it stays short.
    transmits: VecDeque<(Message, Route)>,
    events: VecDeque<CallEvent>,
}

/// A call begins.
impl Call {
    pub fn dial(id: CallId, me: PersonKey, peer: Person, ring_timeout: Duration, limits: Limits, now: Instant) -> Self {
        let mut call = Self::new(id, me, peer, Side::Caller, State::Dialing, limits);
        call.ring_timeout = ring_timeout;
        call.enter(State::Dialing, Some((now + ring_timeout, "dial")));
        call
    }

    /// RING goes out in the session's second flight, with the verdict on the INVITE.
    pub fn incoming(id: CallId, me: PersonKey, peer: Person, limits: Limits, now: Instant) -> Self {
        let mut call = Self::new(id, me, peer, Side::Callee, State::Alerting, limits);
        call.enter(State::Alerting, Some((now + call.limits.alert, "alert")));
        call
    }

    /// Makes it one of the calls between two members of a group, or not.
    #[must_use]
    pub fn in_group(mut self, in_group: bool) -> Self {
        self.in_group = in_group;
        self
    }

    /// Asks the human.
    pub fn announce(&mut self, name: Option<String>) {
        self.stands_in_for = None;
        self.events.push_back(CallEvent::Incoming { from: self.peer, name });
    }

    /// The INVITE of this call has come over another path. False if that path is of no use.
    pub fn another_path(&mut self) -> bool {
        let useful = matches!(self.state, State::Alerting | State::Offering | State::Offered);
        self.paths = self.paths.saturating_add(1);
        useful && self.paths <= MAX_PATHS
    }

    /// Keeps quiet as long as the dial `own` has a chance.
    pub fn stand_in_for(&mut self, own: CallId) {
        self.stands_in_for = Some(own);
    }

    fn new(id: CallId, me: PersonKey, peer: Person, side: Side, state: State, limits: Limits) -> Self {
        Self {
            id,
            me,
            peer,
            side,
            state,
            limits,
            ring_timeout: Duration::ZERO,
            deadline: None,
            redialling: false,
            stands_in_for: None,
            in_group: false,
            paths: 1,
            offer: None,
            held: VecDeque::new(),
            remote_candidates: BTreeSet::new(),
            channel_open: false,
            heard: false,
            talked: false,
            muted: false,
            on_hold: false,
            restart: Restart::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }
}

/// What comes out.
impl Call {
    pub fn poll_transmit(&mut self) -> Option<(Message, Route)> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<CallEvent> {
        self.events.pop_front()
    }

    /// When [`Call::handle_timeout`] wants to be called, and what for.
    pub const fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.deadline
    }

    pub const fn state(&self) -> State {
        self.state
    }

    pub const fn is_in_group(&self) -> bool {
        self.in_group
    }

    pub fn set_in_group(&mut self, in_group: bool) {
        self.in_group = in_group;
    }

    pub const fn side(&self) -> Side {
        self.side
    }

    pub const fn peer(&self) -> Person {
        self.peer
    }
}

/// How a call ends.
impl Call {
    /// Drops this call in favour of `by`: the human hears of one call only.
    pub fn replaced(&mut self, by: CallId) {
        match self.state {
            // It ended just now, and nobody was told yet.
            State::Ended(_) => {
                if let Some(last @ CallEvent::Ended(_)) = self.events.back_mut() {
                    *last = CallEvent::Replaced { by };
                }
            }
            State::Dialing | State::Ringing => {
                self.say_last(Message::Cancel);
                self.stands_in_for = Some(by);
                self.end(EndReason::Cancelled);
            }
            State::Alerting => {
                self.stands_in_for = Some(by);
                self.end(EndReason::Cancelled);
            }
            // Past the point where one call gives way to another.
            State::Accepting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting => {}
        }
    }

    /// The peer dialled anew, so it has left this call without our noticing.
    pub fn abandoned(&mut self) {
        let reason = if self.state == State::Reconnecting { EndReason::ConnectionLost } else { EndReason::Cancelled };
        self.end(reason);
    }

    /// The peer's certificate is not the one that the person signed: somebody is in the middle.
    fn alarm(&mut self) {
        if !self.state.is_ended() {
            self.give_up(EndReason::FingerprintMismatch);
        }
    }

    fn give_up(&mut self, reason: EndReason) {
        self.say_last(Message::Bye(reason));
        self.end(reason);
    }

    fn end(&mut self, reason: EndReason) {
        if self.state.is_ended() {
            return;
        }
        self.enter(State::Ended(reason), None);
        self.offer = None;
        self.held.clear();
        self.events.push_back(match self.stands_in_for {
            Some(by) => CallEvent::Replaced { by },
            None => CallEvent::Ended(reason),
        });
    }

    fn enter(&mut self, state: State, deadline: Option<(Instant, &'static str)>) {
        self.state = state;
        self.deadline = deadline;
    }

    fn say(&mut self, message: Message) {
        self.transmits.push_back((message, Route::Signalling));
    }

    /// Not said at all while there is no channel: it is repeated when the channel opens, or was worth nothing.
    fn say_over_channel(&mut self, message: Message) {
        if self.channel_open && !self.state.is_ended() {
            self.transmits.push_back((message, Route::DataChannel));
        }
    }

    /// While the link is down, one of the two ways may lead somewhere.
    fn say_last(&mut self, message: Message) {
        if !self.channel_open || self.state == State::Reconnecting {
            self.transmits.push_back((message.clone(), Route::Signalling));
        }
        if self.channel_open {
            self.transmits.push_back((message, Route::DataChannel));
        }
    }

    fn forget_remote_candidates(&mut self) {
        self.remote_candidates.clear();
    }
}
