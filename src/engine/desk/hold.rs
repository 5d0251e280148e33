//! Calls on hold.
//!
//! Whichever side holds a call, neither hears the other, as with telephones: who holds it may talk to somebody in the
//! room, and who waits is not listened to. It stays so until whoever held it takes it off again; when both did, until
//! both have. Being muted is another matter and survives it.

use std::time::Instant;

use super::Desk;
use super::calls::LiveCall;
use crate::base::CallId;
use crate::engine::{CallPhase, CommandResult, Event, Failure, Reply};

impl LiveCall {
    pub fn is_on_hold(&self) -> bool {
        self.held || self.peer_held
    }

    fn can_be_held(&self) -> bool {
        match self.phase {
            CallPhase::Connected | CallPhase::Reconnecting => true,
            CallPhase::Dialing | CallPhase::Ringing | CallPhase::Connecting | CallPhase::Ended => false,
        }
    }
}

impl Desk {
    pub(super) fn set_held(&mut self, call: CallId, held: bool, now: Instant) -> CommandResult {
        let Some(live) = self.calls.get_mut(&call) else {
            return Err(Failure::usage("there is no such call any more"));
        };
        if !live.can_be_held() {
            return Err(Failure::usage("only a call that is connected can be put on hold"));
        }
        if std::mem::replace(&mut live.held, held) != held {
            // An endpoint that is not ours has no way to be told.
            self.switchboard.set_held(call, held, now);
            self.follow_hold(call);
            self.emit_at(now, Event::Held { call, by_peer: false, held });
        }
        Ok(Reply::Done)
    }

    /// As [`Self::set_held`], with every call that can be.
    pub(super) fn hold_all(&mut self, held: bool, now: Instant) -> Result<(), Failure> {
        let calls: Vec<CallId> =
            self.calls.iter().filter(|(_, live)| live.can_be_held()).map(|(call, _)| *call).collect();
        if calls.is_empty() {
            return Err(Failure::usage("there is no connected call"));
        }
        self.groups.note_held(held);
        calls.into_iter().try_for_each(|call| self.set_held(call, held, now).map(drop))
    }

    pub(super) fn peer_held(&mut self, call: CallId, held: bool, now: Instant) {
        let Some(live) = self.calls.get_mut(&call) else { return };
        if std::mem::replace(&mut live.peer_held, held) != held {
            self.follow_hold(call);
            self.emit_at(now, Event::Held { call, by_peer: true, held });
        }
    }

    fn follow_hold(&self, call: CallId) {
        if let (Some(sound), Some(live)) = (&self.sound, self.calls.get(&call)) {
            sound.set_on_hold(live.key, live.is_on_hold());
        }
    }
}
