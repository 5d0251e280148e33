//! What the human wants.

use std::time::Instant;

use super::Call;
use crate::base::EndReason;
use crate::call::{CallEvent, Message, State};

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

fn unless_hang_up(reason: EndReason, instead: EndReason) -> EndReason {
    if reason == EndReason::HangUp { instead } else { reason }
}
