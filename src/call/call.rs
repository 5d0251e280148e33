//! One call with one peer: the machine behind [`State`]'s diagram.
//!
//! A group call will be several of these under one call id; nothing in here knows of the others.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::message::{Quality, is_candidate};
use super::{CallEvent, Description, Limits, LinkNews, Message, Route, Side, State};
use crate::base::{CallId, EndReason, Person};
use crate::identity::{PersonKey, Role};

/// Candidates of ours that may wait for the human's answer; later ones are dropped. ICE checks at most 100 pairs anyway
/// (RFC 8445 §6.1.2.5).
const MAX_HELD_CANDIDATES: usize = 64;
/// Candidates of the peer's that are passed on; later ones are ignored.
const MAX_REMOTE_CANDIDATES: usize = 64;

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
    /// Set while the human knows nothing of this call, because the dial named here comes first (glare).
    stands_in_for: Option<CallId>,

    /// Callee: an offer that was made before the human answered.
    offer: Option<(String, [u8; 32], String)>,
    /// Our candidates, until our description has gone out; `None` is the end of them.
    held: VecDeque<Option<String>>,
    remote_candidates: usize,
    channel_open: bool,
    heard: bool,
    /// Whether [`CallEvent::Connected`] was told.
    talked: bool,
    muted: bool,
    on_hold: bool,

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

    /// Asks the human.
    pub fn announce(&mut self, name: Option<String>) {
        self.stands_in_for = None;
        self.events.push_back(CallEvent::Incoming { from: self.peer, name });
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
            stands_in_for: None,
            offer: None,
            held: VecDeque::new(),
            remote_candidates: 0,
            channel_open: false,
            heard: false,
            talked: false,
            muted: false,
            on_hold: false,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }
}

/// What the peer says. A message that means nothing in the present state is ignored: it is late, early, or wrong, and
/// none of these needs an answer.
impl Call {
    pub fn handle_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Ring => self.on_ring(now),
            Message::Answer(description) => self.on_answer(description, now),
            Message::Accept(description) => self.on_accept(&description),
            Message::Candidate(candidate) => self.on_candidate(candidate),
            Message::Busy => self.on_refusal(EndReason::Busy),
            Message::Decline => self.on_refusal(EndReason::Declined),
            Message::Unsupported { versions } => self.on_unsupported(versions),
            Message::Cancel => self.on_cancel(),
            Message::Bye(reason) => self.on_bye(reason),
            Message::Muted(muted) => self.tell_if_connecting(CallEvent::PeerMuted(muted)),
            Message::Held(held) => self.tell_if_connecting(CallEvent::PeerHeld(held)),
            Message::Quality(quality) => self.tell_if_connecting(CallEvent::Quality(quality)),
            // The link finds out by itself that no more pairs succeed; INVITE is the switchboard's.
            Message::EndOfCandidates | Message::Invite(_) => {}
        }
    }

    fn on_ring(&mut self, now: Instant) {
        match self.state {
            State::Dialing => {
                self.enter(State::Ringing, Some((now + self.ring_timeout, "ring")));
                self.events.push_back(CallEvent::Ringing);
            }
            // Over another path, or from a peer that makes no sense.
            State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => {}
        }
    }

    fn on_answer(&mut self, offer: Description, now: Instant) {
        match self.state {
            State::Dialing | State::Ringing => {
                if !offer.verify(self.id, self.peer, self.me.person(), Role::Offerer) {
                    return self.alarm();
                }
                self.enter(State::Accepting, Some((now + self.limits.connect, "connect")));
                self.events.push_back(CallEvent::Answered);
                self.events.push_back(CallEvent::WantAnswer { sdp: offer.sdp });
            }
            State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => {}
        }
    }

    fn on_accept(&mut self, answer: &Description) {
        match self.state {
            State::Offered => {
                if !answer.verify(self.id, self.peer, self.me.person(), Role::Answerer) {
                    return self.alarm();
                }
                self.enter(State::Connecting, self.deadline);
                self.events.push_back(CallEvent::ApplyAnswer { sdp: answer.sdp.clone() });
            }
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => {}
        }
    }

    /// Candidates follow a description that was verified; signalling is in order, so none can come earlier.
    fn on_candidate(&mut self, candidate: String) {
        match self.state {
            State::Accepting | State::Connecting | State::LinkUp | State::Talking | State::Reconnecting => {
                if self.remote_candidates < MAX_REMOTE_CANDIDATES {
                    self.remote_candidates += 1;
                    self.events.push_back(CallEvent::RemoteCandidate(candidate));
                }
            }
            State::Dialing | State::Ringing | State::Alerting | State::Offering | State::Offered | State::Ended(_) => {}
        }
    }

    fn on_refusal(&mut self, reason: EndReason) {
        match self.state {
            State::Dialing | State::Ringing => self.end(reason),
            State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => {}
        }
    }

    fn on_unsupported(&mut self, theirs: Vec<u8>) {
        if matches!(self.state, State::Dialing | State::Ringing) {
            self.events.push_back(CallEvent::NoCommonVersion { theirs });
        }
        self.on_refusal(EndReason::Unreachable);
    }

    fn on_cancel(&mut self) {
        match self.state {
            State::Alerting | State::Offering | State::Offered => self.end(EndReason::Cancelled),
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => {}
        }
    }

    fn on_bye(&mut self, theirs: EndReason) {
        match self.state {
            State::Ended(_) => {}
            State::Alerting => self.end(EndReason::Cancelled),
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting => self.end(seen_from_here(theirs)),
        }
    }

    /// The peer's data channel may be up a moment before ours is.
    fn tell_if_connecting(&mut self, event: CallEvent) {
        match self.state {
            State::Connecting | State::LinkUp | State::Talking | State::Reconnecting => self.events.push_back(event),
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Ended(_) => {}
        }
    }
}

/// What the human wants.
impl Call {
    /// False in a state that has nothing to answer.
    pub fn answer(&mut self, now: Instant) -> bool {
        match self.state {
            State::Alerting => {
                self.stands_in_for = None;
                self.enter(State::Offering, Some((now + self.limits.connect, "connect")));
                self.events.push_back(CallEvent::Answered);
                match self.offer.take() {
                    Some((sdp, fingerprint, ufrag)) => self.described(sdp, fingerprint, ufrag),
                    None => self.events.push_back(CallEvent::WantOffer),
                }
                true
            }
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => false,
        }
    }

    /// False in a state that has nothing to decline.
    pub fn decline(&mut self) -> bool {
        match self.state {
            State::Alerting => {
                self.say_last(Message::Decline);
                self.end(EndReason::Declined);
                true
            }
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => false,
        }
    }

    /// Ends the call in whatever state it is; false if it is over already.
    pub fn hang_up(&mut self, reason: EndReason) -> bool {
        let (message, reason) = match self.state {
            State::Ended(_) => return false,
            State::Dialing | State::Ringing => (Message::Cancel, unless_hang_up(reason, EndReason::Cancelled)),
            State::Alerting => (Message::Decline, unless_hang_up(reason, EndReason::Declined)),
            State::Accepting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting => (Message::Bye(reason), reason),
        };
        self.say_last(message);
        self.end(reason);
        true
    }

    pub fn set_muted(&mut self, muted: bool) {
        if self.muted != muted {
            self.muted = muted;
            self.say_over_channel(Message::Muted(muted));
        }
    }

    pub fn set_held(&mut self, held: bool) {
        if self.on_hold != held {
            self.on_hold = held;
            self.say_over_channel(Message::Held(held));
        }
    }
}

/// What the link, the signalling and the clock bring.
impl Call {
    /// The link made our description: an offer at the callee, an answer at the caller.
    pub fn described(&mut self, sdp: String, fingerprint: [u8; 32], ufrag: String) {
        let role = match self.state {
            // It waits for the human.
            State::Alerting => {
                self.offer = Some((sdp, fingerprint, ufrag));
                return;
            }
            State::Offering => Role::Offerer,
            State::Accepting => Role::Answerer,
            State::Dialing
            | State::Ringing
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => return,
        };
        let description = Description::sign(&self.me, self.id, self.peer, role, sdp, fingerprint, ufrag);
        if !description.is_within_limits() {
            return self.give_up(EndReason::Unreachable);
        }
        self.held.retain(|held| held.as_ref().is_none_or(|candidate| !mentions(&description.sdp, candidate)));
        let (message, next) = match role {
            Role::Offerer => (Message::Answer(description), State::Offered),
            Role::Answerer => (Message::Accept(description), State::Connecting),
        };
        self.say(message);
        self.enter(next, self.deadline);
        while let Some(candidate) = self.held.pop_front() {
            self.say(candidate.map_or(Message::EndOfCandidates, Message::Candidate));
        }
    }

    /// A candidate of ours, or `None` after the last. No address leaves before our description, and that only leaves
    /// after the human's answer.
    pub fn local_candidate(&mut self, candidate: Option<String>) {
        if candidate.as_deref().is_some_and(|candidate| !is_candidate(candidate)) {
            return;
        }
        match self.state {
            State::Dialing | State::Ringing | State::Accepting | State::Alerting | State::Offering => {
                if self.held.len() < MAX_HELD_CANDIDATES {
                    self.held.push_back(candidate);
                }
            }
            State::Offered | State::Connecting => {
                self.say(candidate.map_or(Message::EndOfCandidates, Message::Candidate));
            }
            // Connected without it.
            State::LinkUp | State::Talking | State::Reconnecting | State::Ended(_) => {}
        }
    }

    pub fn handle_link(&mut self, news: LinkNews, now: Instant) {
        match news {
            LinkNews::Connected => self.on_link_up(now),
            LinkNews::ChannelOpen => self.on_channel_open(),
            LinkNews::FirstAudio => self.on_first_audio(),
            LinkNews::Interrupted => self.on_interrupted(now),
            LinkNews::Recovered => self.on_recovered(now),
            LinkNews::Failed => self.on_link_failed(),
            LinkNews::FingerprintMismatch => self.alarm(),
        }
    }

    /// Rendezvous gave up.
    pub fn dial_failed(&mut self, reason: EndReason) {
        match self.state {
            State::Dialing => self.end(reason),
            State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => {}
        }
    }

    /// The last signalling stream of this call has closed.
    pub fn signalling_lost(&mut self) {
        match self.state {
            // Other paths are being tried, and whoever tries them reports when none is left.
            State::Dialing => {}
            // Callers that go away without a word have cancelled.
            State::Alerting | State::Offering => self.end(EndReason::Cancelled),
            State::Ringing | State::Accepting | State::Offered => self.end(EndReason::Unreachable),
            // Both descriptions are exchanged: the link does without.
            State::Connecting | State::LinkUp | State::Talking | State::Reconnecting | State::Ended(_) => {}
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|(at, _)| now < at) {
            return;
        }
        match self.state {
            State::Dialing => {
                self.say_last(Message::Cancel);
                self.end(EndReason::Unreachable);
            }
            State::Ringing => {
                self.say_last(Message::Cancel);
                self.end(EndReason::NoAnswer);
            }
            State::Alerting => self.give_up(EndReason::NoAnswer),
            State::Accepting | State::Offering | State::Offered | State::Connecting => {
                self.give_up(EndReason::Unreachable);
            }
            State::LinkUp => self.start_talking(),
            State::Reconnecting => self.give_up(EndReason::ConnectionLost),
            State::Talking | State::Ended(_) => self.deadline = None,
        }
    }

    pub fn report_quality(&mut self, quality: Quality) {
        self.say_over_channel(Message::Quality(quality.clamped()));
    }

    fn on_link_up(&mut self, now: Instant) {
        match self.state {
            State::Connecting => self.enter_link_up(now),
            State::Reconnecting => self.on_recovered(now),
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::LinkUp
            | State::Talking
            | State::Ended(_) => {}
        }
    }

    fn on_channel_open(&mut self) {
        if self.state.is_ended() || self.channel_open {
            return;
        }
        self.channel_open = true;
        self.events.push_back(CallEvent::CloseSignalling);
        if self.muted {
            self.say_over_channel(Message::Muted(true));
        }
        if self.on_hold {
            self.say_over_channel(Message::Held(true));
        }
    }

    fn on_first_audio(&mut self) {
        self.heard = true;
        match self.state {
            State::LinkUp => self.start_talking(),
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::Talking
            | State::Reconnecting
            | State::Ended(_) => {}
        }
    }

    fn on_interrupted(&mut self, now: Instant) {
        match self.state {
            State::LinkUp | State::Talking => {
                self.enter(State::Reconnecting, Some((now + self.limits.reconnect, "reconnect")));
                self.events.push_back(CallEvent::Reconnecting);
            }
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::Reconnecting
            | State::Ended(_) => {}
        }
    }

    fn on_recovered(&mut self, now: Instant) {
        match self.state {
            State::Reconnecting => {
                self.events.push_back(CallEvent::Reconnected);
                if self.talked {
                    self.enter(State::Talking, None);
                } else {
                    self.enter_link_up(now);
                }
            }
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Ended(_) => {}
        }
    }

    fn on_link_failed(&mut self) {
        match self.state {
            State::Dialing | State::Ringing => {
                self.say_last(Message::Cancel);
                self.end(EndReason::Unreachable);
            }
            State::Alerting | State::Accepting | State::Offering | State::Offered | State::Connecting => {
                self.give_up(EndReason::Unreachable);
            }
            State::LinkUp | State::Talking | State::Reconnecting => self.give_up(EndReason::ConnectionLost),
            State::Ended(_) => {}
        }
    }

    fn enter_link_up(&mut self, now: Instant) {
        self.enter(State::LinkUp, Some((now + self.limits.first_audio, "first audio")));
        if self.heard {
            self.start_talking();
        }
    }

    fn start_talking(&mut self) {
        self.talked = true;
        self.enter(State::Talking, None);
        self.events.push_back(CallEvent::Connected);
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

    fn say_last(&mut self, message: Message) {
        let route = if self.channel_open { Route::DataChannel } else { Route::Signalling };
        self.transmits.push_back((message, route));
    }
}

/// What the other side's reason for leaving is to us.
const fn seen_from_here(theirs: EndReason) -> EndReason {
    match theirs {
        EndReason::HangUp
        | EndReason::RemoteHangUp
        | EndReason::TimeLimit
        | EndReason::Cancelled
        | EndReason::NotFound
        | EndReason::Device
        | EndReason::Shutdown => EndReason::RemoteHangUp,
        EndReason::Declined => EndReason::Declined,
        EndReason::Busy => EndReason::Busy,
        EndReason::NoAnswer => EndReason::NoAnswer,
        EndReason::Unreachable => EndReason::Unreachable,
        EndReason::ConnectionLost => EndReason::ConnectionLost,
        EndReason::FingerprintMismatch => EndReason::FingerprintMismatch,
    }
}

fn unless_hang_up(reason: EndReason, instead: EndReason) -> EndReason {
    if reason == EndReason::HangUp { instead } else { reason }
}

/// Whether the SDP already has this candidate, with or without `a=` in front.
fn mentions(sdp: &str, candidate: &str) -> bool {
    let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
    sdp.lines().any(|line| line.trim_end().strip_prefix("a=").unwrap_or(line) == candidate)
}
