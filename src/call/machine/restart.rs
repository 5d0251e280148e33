//! The link has failed, or a machine has moved: both sides meet again over signalling, and ICE begins anew.
//!
//! ```text
//! whoever notices                         the other
//!   │ REJOIN {generation} ────────────────▶ │   Noise flight 1 of a new session
//!   │ ◀─────────────────────────── REJOINED │
//! callee                                  caller
//!   │ ANSWER {offer} ─────────────────────▶ │   the callee offers, whoever noticed
//!   │ ◀───────────────────── ACCEPT {answer} │
//!   │ ◀─────────────── CANDIDATE … ────────▶ │
//! ```
//!
//! The generation is the number of restarts that were offered. A REJOIN of an earlier one is late, or a replay: what it
//! asked for has been done.

use std::time::Instant;

use super::{Call, MAX_HELD_CANDIDATES};
use crate::base::EndReason;
use crate::call::{CallEvent, Description, Interruption, Message, Rejoin, Side, State};
use crate::identity::Role;

/// What a call knows of its restarts.
#[derive(Debug, Default)]
pub(super) struct Restart {
    /// How many were offered, as far as we know.
    generation: u32,
    /// Callee: the link has been asked for an offer.
    wanted: bool,
    /// Our description of this generation, and its candidates; said again in every new session.
    said: Vec<Message>,
    /// Callee: the answer to the offer of this generation is there.
    answered: bool,
    give_up_at: Option<Instant>,
}

impl Call {
    /// This machine's way into the network is another one now.
    pub fn moved(&mut self, now: Instant) {
        match self.state {
            State::LinkUp | State::Talking => self.interrupted(Interruption::WeMoved, now),
            // What was offered or answered names addresses that are gone.
            State::Reconnecting => {
                self.restart.said.clear();
                self.ask_to_rejoin(Interruption::WeMoved, now);
            }
            // Found out by the link, which is just being made.
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::Ended(_) => {}
        }
    }

    /// The link is interrupted: looks for the peer.
    pub(super) fn interrupted(&mut self, why: Interruption, now: Instant) {
        self.begin_reconnecting(why, now);
        self.ask_to_rejoin(why, now);
    }

    /// The peer wants to begin anew. False if that is late, or means nothing now.
    pub fn rejoins(&mut self, rejoin: &Rejoin, now: Instant) -> bool {
        let is_late = rejoin.generation < self.restart.generation;
        let why = if rejoin.moved { Interruption::TheyMoved } else { Interruption::Silence };
        match self.state {
            State::LinkUp | State::Talking if is_late => return false,
            State::LinkUp | State::Talking => self.begin_reconnecting(why, now),
            State::Reconnecting => {}
            State::Dialing
            | State::Ringing
            | State::Accepting
            | State::Alerting
            | State::Offering
            | State::Offered
            | State::Connecting
            | State::Ended(_) => return false,
        }
        if !is_late {
            self.restart.generation = rejoin.generation;
            self.restart.said.clear();
        }
        true
    }

    /// A session with the peer is open: the callee offers, unless it has already.
    pub fn resume(&mut self) {
        if self.state != State::Reconnecting {
            return;
        }
        let said = self.restart.said.clone();
        if !said.is_empty() {
            said.into_iter().for_each(|message| self.say(message));
        } else if self.side == Side::Callee && !self.restart.wanted {
            self.restart.wanted = true;
            self.events.push_back(CallEvent::WantRestart);
        }
    }

    /// The link could not begin anew; another attempt is made when it is time.
    pub fn restart_failed(&mut self) {
        self.restart.wanted = false;
    }

    /// The link made our description of a restart.
    pub(super) fn described_anew(&mut self, sdp: String, fingerprint: [u8; 32], ufrag: String) {
        let role = match self.side {
            Side::Callee => Role::Offerer,
            Side::Caller => Role::Answerer,
        };
        let mut description = Description::sign(&self.me, self.id, self.peer, role, sdp, fingerprint, ufrag);
        if !description.is_within_limits() {
            return self.give_up(EndReason::ConnectionLost);
        }
        if self.side == Side::Callee {
            self.restart.generation = self.restart.generation.saturating_add(1);
        }
        (self.restart.wanted, self.restart.answered) = (false, false);
        self.restart.said.clear();
        description.generation = self.restart.generation;
        self.say_of_restart(match self.side {
            Side::Callee => Message::Answer(description),
            Side::Caller => Message::Accept(description),
        });
    }

    /// A candidate of ours that belongs to the restart under way.
    pub(super) fn candidate_anew(&mut self, candidate: Option<String>) {
        let is_described = !self.restart.said.is_empty();
        if is_described && self.restart.said.len() < MAX_HELD_CANDIDATES {
            self.say_of_restart(candidate.map_or(Message::EndOfCandidates, Message::Candidate));
        }
    }

    /// Caller: the callee offers to begin anew.
    pub(super) fn on_restart_offer(&mut self, offer: Description, now: Instant) {
        if self.side != Side::Caller {
            return;
        }
        if !offer.verify(self.id, self.peer, self.me.person(), Role::Offerer) {
            return self.alarm();
        }
        if offer.generation <= self.restart.generation {
            // Again, over another session.
            return self.resume();
        }
        if self.state != State::Reconnecting {
            self.begin_reconnecting(Interruption::Silence, now);
        }
        self.restart.generation = offer.generation;
        self.restart.said.clear();
        self.forget_remote_candidates();
        self.events.push_back(CallEvent::WantRestartAnswer { sdp: offer.sdp });
    }

    /// Callee: the caller's answer to it.
    pub(super) fn on_restart_answer(&mut self, answer: &Description) {
        let is_due = !self.restart.said.is_empty() && !self.restart.answered;
        if self.side != Side::Callee || !is_due || answer.generation != self.restart.generation {
            return;
        }
        if !answer.verify(self.id, self.peer, self.me.person(), Role::Answerer) {
            return self.alarm();
        }
        self.restart.answered = true;
        self.forget_remote_candidates();
        self.events.push_back(CallEvent::ApplyAnswer { sdp: answer.sdp.clone() });
    }

    /// Nothing has helped yet: tries again, or gives up.
    pub(super) fn reconnect_timed_out(&mut self, now: Instant) {
        if self.restart.give_up_at.is_none_or(|at| at <= now) {
            return self.give_up(EndReason::ConnectionLost);
        }
        self.ask_to_rejoin(Interruption::Silence, now);
    }

    /// The link is up again.
    pub(super) fn restart_is_over(&mut self) {
        self.restart.wanted = false;
        self.restart.said.clear();
        self.restart.give_up_at = None;
        self.events.push_back(CallEvent::CloseSignalling);
    }

    fn begin_reconnecting(&mut self, why: Interruption, now: Instant) {
        self.restart.give_up_at = Some(now + self.limits.reconnect);
        self.enter(State::Reconnecting, Some((now + self.limits.rejoin_every, "rejoin")));
        self.events.push_back(CallEvent::Reconnecting(why));
    }

    /// Over new sessions, which the owner opens, and over what is open already.
    fn ask_to_rejoin(&mut self, why: Interruption, now: Instant) {
        let rejoin = Rejoin {
            call: self.id,
            from: self.me.person(),
            generation: self.restart.generation,
            moved: why == Interruption::WeMoved,
        };
        let next = now + self.limits.rejoin_every;
        let next = self.restart.give_up_at.map_or(next, |give_up| next.min(give_up));
        self.enter(State::Reconnecting, Some((next, "rejoin")));
        self.say(Message::Rejoin(rejoin));
        self.events.push_back(CallEvent::Rejoin(rejoin));
    }

    fn say_of_restart(&mut self, message: Message) {
        self.restart.said.push(message.clone());
        self.say(message);
    }
}
