//! What the link, the signalling and the clock bring.

use std::time::Instant;

use super::{Call, MAX_HELD_CANDIDATES};
use crate::base::EndReason;
use crate::call::message::is_candidate;
use crate::call::{CallEvent, Description, Interruption, LinkNews, Message, Quality, State};
use crate::identity::Role;

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
            State::Reconnecting => return self.described_anew(sdp, fingerprint, ufrag),
            State::Dialing
            | State::Ringing
            | State::Offered
            | State::Connecting
            | State::LinkUp
            | State::Talking
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
            State::Reconnecting => self.candidate_anew(candidate),
            // Connected without it.
            State::LinkUp | State::Talking | State::Ended(_) => {}
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

    /// Rendezvous gave up, on the dial or on dialling again.
    pub fn dial_failed(&mut self, reason: EndReason) {
        match self.state {
            State::Dialing => self.end(reason),
            State::Ringing if self.redialling => {
                self.say_last(Message::Cancel);
                self.end(EndReason::Unreachable);
            }
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
            // It still rings there, perhaps, and other super-peers know the way.
            State::Ringing if !self.redialling => {
                self.redialling = true;
                self.events.push_back(CallEvent::Redial);
            }
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
            State::Reconnecting => self.reconnect_timed_out(now),
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
            State::LinkUp | State::Talking => self.interrupted(Interruption::Silence, now),
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
                self.restart_is_over();
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

/// Whether the SDP already has this candidate, with or without `a=` in front.
fn mentions(sdp: &str, candidate: &str) -> bool {
    let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
    sdp.lines().any(|line| line.trim_end().strip_prefix("a=").unwrap_or(line) == candidate)
}
