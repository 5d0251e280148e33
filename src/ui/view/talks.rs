//! Which calls there are: the one on screen, those that wait beside it, and who rings. A call between two that is a part
//! of a group call is none of them: the group is.

use std::time::{Duration, Instant};

use crate::base::{CallId, GroupId, Person};
use crate::engine::{
    CallPhase, CallSide, CommandKind, EndReason, GroupCommand, GroupPhase, Snapshot, SnapshotCall, SnapshotGroup,
    SnapshotMember,
};
use crate::ui::words;

/// Names a call of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TalkId {
    Call(CallId),
    Group(GroupId),
}

impl TalkId {
    /// Go to the one who rings.
    pub fn take(self) -> CommandKind {
        match self {
            Self::Call(call) => CommandKind::Answer { call },
            Self::Group(group) => CommandKind::Group(GroupCommand::Accept { group }),
        }
    }

    /// Do not.
    pub fn refuse(self) -> CommandKind {
        match self {
            Self::Call(call) => CommandKind::Decline { call },
            Self::Group(group) => CommandKind::Group(GroupCommand::Decline { group }),
        }
    }

    pub fn leave(self) -> CommandKind {
        match self {
            Self::Call(call) => CommandKind::HangUp { call, reason: EndReason::HangUp },
            Self::Group(group) => CommandKind::Group(GroupCommand::Leave { group }),
        }
    }

    pub fn set_held(self, held: bool) -> CommandKind {
        match self {
            Self::Call(call) => CommandKind::SetHeld { call, held },
            Self::Group(group) => CommandKind::Group(GroupCommand::SetHeld { group, held }),
        }
    }
}

/// A call of either kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Talk<'a> {
    Call(&'a SnapshotCall),
    Group(&'a SnapshotGroup),
}

impl Talk<'_> {
    pub fn id(&self) -> TalkId {
        match self {
            Self::Call(call) => TalkId::Call(call.call),
            Self::Group(group) => TalkId::Group(group.group),
        }
    }

    /// By us.
    pub fn is_held(&self) -> bool {
        match self {
            Self::Call(call) => call.held,
            Self::Group(group) => group.held,
        }
    }

    pub fn connected_at(&self) -> Option<Instant> {
        match self {
            Self::Call(call) => call.connected_at,
            Self::Group(group) => group.connected_at,
        }
    }

    /// Whom it is with.
    pub fn name(&self) -> String {
        match self {
            Self::Call(call) => call.peer_name(),
            Self::Group(group) => group_name(group),
        }
    }

    /// How far it is, in words.
    pub fn state(&self, at: Instant) -> String {
        match self {
            Self::Call(call) => words::in_call(call, at),
            Self::Group(group) => match (group.connected_at, group.phase) {
                (Some(since), _) => words::in_group_for(at.saturating_duration_since(since)),
                (None, GroupPhase::Asking) => words::ASKING.into(),
                (None, _) => words::PHASE_CONNECTING.into(),
            },
        }
    }

    /// The person of a call between two.
    pub fn peer(&self) -> Option<Person> {
        match self {
            Self::Call(call) => call.peer,
            Self::Group(_) => None,
        }
    }

    pub fn call(&self) -> Option<&SnapshotCall> {
        match self {
            Self::Call(call) => Some(call),
            Self::Group(_) => None,
        }
    }

    fn rings(&self) -> bool {
        match self {
            Self::Call(call) => {
                call.side == CallSide::Callee && matches!(call.phase, CallPhase::Dialing | CallPhase::Ringing)
            }
            Self::Group(group) => matches!(group.phase, GroupPhase::Invited { .. }),
        }
    }
}

/// "Bob, Carol and 2 more"; what a group is called while nobody is known.
pub fn group_name(group: &SnapshotGroup) -> String {
    let names: Vec<String> = group.members.iter().map(SnapshotMember::display_name).collect();
    if names.is_empty() { words::GROUP_CALL.into() } else { words::names(&names) }
}

/// All calls of a snapshot, sorted by what they are to the user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Talks<'a> {
    /// The one that we are in or that we are making: it is on screen when any is.
    pub current: Option<Talk<'a>>,
    /// Others, which are on hold.
    pub aside: Vec<Talk<'a>>,
    /// Who waits for our answer.
    pub rings: Option<Talk<'a>>,
}

impl<'a> Talks<'a> {
    pub fn of(now: &'a Snapshot) -> Self {
        let alone = now.calls.iter().filter(|call| call.group.is_none() && call.phase != CallPhase::Ended);
        let all = alone.map(Talk::Call).chain(now.groups.iter().map(Talk::Group));
        let (ringing, mut talks): (Vec<Talk<'a>>, Vec<Talk<'a>>) = all.partition(Talk::rings);
        let current = talks.iter().position(|talk| !talk.is_held()).unwrap_or(0);
        let current = if talks.is_empty() { None } else { Some(talks.remove(current)) };
        Self { current, aside: talks, rings: ringing.first().copied() }
    }

    /// Until the next figure of a timer on screen; `None`: there is no timer.
    pub fn next_second(&self, at: Instant) -> Option<Duration> {
        let timers = self.current.iter().chain(&self.aside).filter_map(Talk::connected_at);
        timers.map(|since| until_next_second(at.saturating_duration_since(since))).min()
    }
}

fn until_next_second(talked: Duration) -> Duration {
    Duration::from_secs(1) - Duration::from_nanos(u64::from(talked.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::tests::stage::{alice, bob, call_with, group_of};

    fn call(byte: u8, side: CallSide, phase: CallPhase) -> SnapshotCall {
        SnapshotCall { call: CallId::from_bytes([byte; 16]), ..call_with(bob(), "Bob", side, phase) }
    }

    fn id(byte: u8) -> TalkId {
        TalkId::Call(CallId::from_bytes([byte; 16]))
    }

    #[test]
    fn what_is_not_held_is_on_screen_and_the_other_waits() {
        let mut held = call(1, CallSide::Caller, CallPhase::Connected);
        held.held = true;
        let calls =
            vec![call(4, CallSide::Caller, CallPhase::Ended), held, call(2, CallSide::Callee, CallPhase::Ringing)];
        let now = Snapshot { calls, groups: vec![group_of(&[(alice(), "Alice")])], ..Snapshot::default() };
        let talks = Talks::of(&now);
        assert!(matches!(talks.current, Some(Talk::Group(_))));
        assert_eq!(talks.aside.iter().map(Talk::id).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(talks.rings.map(|talk| talk.id()), Some(id(2)));
    }

    #[test]
    fn a_held_call_stays_on_screen_where_there_is_no_other() {
        let mut held = call(1, CallSide::Caller, CallPhase::Connected);
        held.held = true;
        let now = Snapshot { calls: vec![held], ..Snapshot::default() };
        assert_eq!(Talks::of(&now).current.map(|talk| talk.id()), Some(id(1)));
    }

    #[test]
    fn parts_of_a_group_are_no_calls_of_their_own() {
        let group = group_of(&[(bob(), "Bob")]);
        let part = |phase| SnapshotCall { group: Some(group.group), ..call(1, CallSide::Callee, phase) };
        let calls = vec![part(CallPhase::Connected), part(CallPhase::Ringing)];
        let now = Snapshot { calls, ..Snapshot::default() };
        assert_eq!(Talks::of(&now), Talks::default());
    }

    #[test]
    fn an_invitation_rings() {
        let mut group = group_of(&[(bob(), "Bob"), (alice(), "Alice")]);
        group.phase = GroupPhase::Invited { by: bob() };
        let now = Snapshot { groups: vec![group], ..Snapshot::default() };
        let talks = Talks::of(&now);
        assert!(talks.current.is_none());
        assert_eq!(talks.rings.map(|talk| talk.name()).as_deref(), Some("Bob and Alice"));
    }
}
