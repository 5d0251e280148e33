//! What of the snapshot the desktop around the window shows.

use crate::base::Person;
use crate::engine::{GroupPhase, Snapshot};
use crate::ui::view::{Talk, TalkId, Talks, name_in};

/// Two equal scenes look the same in the tray and in notifications.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    /// Others can ring us.
    pub callable: bool,
    pub muted: bool,
    /// Who waits for our answer.
    pub rings: Option<Caller>,
    /// The call that we are in or that we dial.
    pub talks: Option<TalkId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub talk: TalkId,
    pub person: Option<Person>,
    pub name: String,
    /// In our contacts.
    pub known: bool,
}

impl Scene {
    pub fn of(now: &Snapshot) -> Self {
        let talks = Talks::of(now);
        let rings = talks.rings.map(|talk| {
            let (person, name) = match talk {
                Talk::Call(call) => (call.peer, call.peer_name()),
                Talk::Group(group) => match group.phase {
                    GroupPhase::Invited { by } => (Some(by), name_in(group, by)),
                    GroupPhase::Asking | GroupPhase::Joining | GroupPhase::In => (None, talk.name()),
                },
            };
            let known = now.contacts.iter().any(|contact| Some(contact.person) == person);
            Caller { talk: talk.id(), person, name, known }
        });
        Self { callable: now.presence_acks > 0, muted: now.muted, rings, talks: talks.current.map(|talk| talk.id()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::CallId;
    use crate::engine::{CallPhase, CallSide, SnapshotCall};
    use crate::ui::tests::stage::{alice, bob, call_with, group_of};

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
        assert_eq!(scene.rings.map(|caller| caller.talk), Some(TalkId::Call(CallId::from_bytes([3; 16]))));
        assert_eq!(scene.talks, Some(TalkId::Call(CallId::from_bytes([2; 16]))));
    }
    #[test]
    fn an_invitation_rings_and_the_calls_of_a_group_do_not() {
        let mut group = group_of(&[(alice(), "Alice"), (bob(), "Bob")]);
        let part = SnapshotCall { group: Some(group.group), ..call(3, CallSide::Callee, CallPhase::Ringing) };
        let now = Snapshot { calls: vec![part], groups: vec![group.clone()], ..Snapshot::default() };
        let scene = Scene::of(&now);
        assert_eq!((scene.rings, scene.talks), (None, Some(TalkId::Group(group.group))));
        group.phase = GroupPhase::Invited { by: bob() };
        let caller = Scene::of(&Snapshot { groups: vec![group.clone()], ..now }).rings.unwrap();
        let wanted = Caller { talk: TalkId::Group(group.group), person: Some(bob()), name: "Bob".into(), known: false };
        assert_eq!(caller, wanted);
    }
}
