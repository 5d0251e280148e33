//! What the peer says.

use std::time::Instant;

use super::{Call, MAX_REMOTE_CANDIDATES};
use crate::base::EndReason;
use crate::call::{CallEvent, Description, Message, Rejoin, State};
use crate::identity::Role;

/// A message that means nothing in the present state is ignored: it is late, early, or wrong, and
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
            Message::Rejoin(rejoin) => self.on_rejoin(&rejoin, now),
            Message::Rejoined => self.resume(),
            Message::Cancel => self.on_cancel(),
            Message::Bye(reason) => self.on_bye(reason),
            Message::Muted(muted) => self.tell_if_connecting(CallEvent::PeerMuted(muted)),
            Message::Held(held) => self.tell_if_connecting(CallEvent::PeerHeld(held)),
            Message::Quality(quality) => self.tell_if_connecting(CallEvent::Quality(quality)),
            // The link finds out by itself that no more pairs succeed; INVITE is the switchboard's, GROUP the group's.
            Message::EndOfCandidates | Message::Invite(_) | Message::Group(_) => {}
        }
    }

    fn on_ring(&mut self, now: Instant) {
        match self.state {
            State::Dialing => {
                self.enter(State::Ringing, Some((now + self.ring_timeout, "ring")));
                self.events.push_back(CallEvent::Ringing);
            }
            // Over another path, or again.
            State::Ringing => self.redialling = false,
            // From a peer that makes no sense.
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
            State::LinkUp | State::Talking | State::Reconnecting => self.on_restart_offer(offer, now),
            State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
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
            State::Reconnecting => self.on_restart_answer(answer),
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Connecting
            | State::LinkUp
            | State::Talking
            | State::Ended(_) => {}
        }
    }

    /// Candidates follow a description that was verified; signalling is in order, so none can come earlier, but each
    /// session may bring them again.
    fn on_candidate(&mut self, candidate: String) {
        match self.state {
            State::Accepting | State::Connecting | State::LinkUp | State::Talking | State::Reconnecting => {
                let has_room = self.remote_candidates.len() < MAX_REMOTE_CANDIDATES;
                if has_room && self.remote_candidates.insert(candidate.clone()) {
                    self.events.push_back(CallEvent::RemoteCandidate(candidate));
                }
            }
            State::Dialing | State::Ringing | State::Alerting | State::Offering | State::Offered | State::Ended(_) => {}
        }
    }

    /// In a session that is open already.
    fn on_rejoin(&mut self, rejoin: &Rejoin, now: Instant) {
        if rejoin.call == self.id && rejoin.from == self.peer && self.rejoins(rejoin, now) {
            self.say(Message::Rejoined);
            self.resume();
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
