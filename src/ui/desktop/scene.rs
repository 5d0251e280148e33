//! What of the snapshot the desktop around the window shows.

use crate::base::{CallId, Person};
use crate::engine::{CallPhase, CallSide, Snapshot, SnapshotCall};

/// Two equal scenes look the same in the tray and in notifications.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// Others can ring us.
    pub callable: bool,
    pub muted: bool,
    /// Who waits for our answer.
    pub rings: Option<Caller>,
    /// The call that we are in or that we dial.
    pub talks: Option<CallId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub call: CallId,
    pub person: Option<Person>,
    pub name: String,
    /// In our contacts.
    pub known: bool,
}

impl Scene {
    pub fn of(now: &Snapshot) -> Self {
        let live = || now.calls.iter().filter(|call| call.phase != CallPhase::Ended);
        let rings = live().find(|call| rings(call)).map(|call| Caller {
            call: call.call,
            person: call.peer,
            name: call.peer_name(),
            known: now.contacts.iter().any(|contact| Some(contact.person) == call.peer),
        });
        Self {
            callable: now.presence_acks > 0,
            muted: now.muted,
            rings,
            talks: live().find(|call| !self::rings(call)).map(|call| call.call),
        }
    }
}

/// Somebody waits for our answer.
fn rings(call: &SnapshotCall) -> bool {
    call.side == CallSide::Callee && matches!(call.phase, CallPhase::Dialing | CallPhase::Ringing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::tests::stage::{bob, call_with};

    fn call(byte: u8, side: CallSide, phase: CallPhase) -> SnapshotCall {
        let call = CallId::from_bytes([byte; 16]);
        SnapshotCall { call, peer: None, ..call_with(bob(), "Ada", side, phase) }
    }

    #[test]
    fn only_who_waits_for_our_answer_rings() {
        let calls = vec![
            call(1, CallSide::Callee, CallPhase::Ended),
            call(2, CallSide::Caller, CallPhase::Ringing),
            call(3, CallSide::Callee, CallPhase::Ringing),
        ];
        let scene = Scene::of(&Snapshot { calls, ..Snapshot::default() });
        assert_eq!(scene.rings.map(|caller| caller.call), Some(CallId::from_bytes([3; 16])));
        assert_eq!(scene.talks, Some(CallId::from_bytes([2; 16])));
    }
}
