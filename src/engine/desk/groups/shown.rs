//! How group calls look from outside.

use std::collections::BTreeSet;
use std::time::Duration;

use super::LiveGroup;
use super::hearing::missed_by;
use crate::base::{EndReason, GroupId, Person};
use crate::call::group::{GroupState, MemberView, Presence};
use crate::engine::desk::Desk;
use crate::engine::{GroupPhase, LeftReason, MeterId, SnapshotGroup, SnapshotMember};

impl Desk {
    pub(in super::super) fn groups_shown(&self) -> Vec<SnapshotGroup> {
        self.groups.all.iter().filter_map(|(id, group)| self.group_shown(*id, group)).collect()
    }

    fn group_shown(&self, id: GroupId, group: &LiveGroup) -> Option<SnapshotGroup> {
        let phase = match group.machine.state() {
            GroupState::Knocking => GroupPhase::Asking,
            GroupState::Invited { by } => GroupPhase::Invited { by },
            GroupState::Joining => GroupPhase::Joining,
            GroupState::In => GroupPhase::In,
            GroupState::Left(_) => return None,
        };
        let here: BTreeSet<Person> = group
            .machine
            .members()
            .filter(|member| member.presence == Presence::Here)
            .map(|member| member.person)
            .chain([self.me.person()])
            .collect();
        Some(SnapshotGroup {
            group: id,
            phase,
            creator: group.machine.group().creator,
            started: group.started,
            connected_at: group.connected_at,
            members: group.machine.members().map(|member| self.member_shown(id, group, member, &here)).collect(),
            held: group.held,
            shows_address: !self.options.network.relay_only,
            limit: self.options.group_limit,
        })
    }

    fn member_shown(
        &self,
        id: GroupId,
        group: &LiveGroup,
        member: MemberView,
        here: &BTreeSet<Person>,
    ) -> SnapshotMember {
        let MemberView { person, inviter, presence, .. } = member;
        let me = self.me.person();
        let call = group.calls.get(&person).copied();
        let live = call.and_then(|call| self.calls.get(&call));
        let hearing = group.machine.hearing();
        SnapshotMember {
            person,
            name: self.name_in(id, person),
            inviter,
            presence,
            removable: group.machine.group().creator == me || inviter == me,
            call,
            phase: live.map(|live| live.phase),
            interrupted: live.and_then(|live| live.interrupted),
            meter: group.seats.get(&person).map(|key| MeterId(key.0)),
            muted: live.is_some_and(|live| live.peer_muted),
            held: live.is_some_and(|live| live.peer_held),
            silenced: group.silenced.contains(&person),
            heard: hearing.path(person, me),
            hears_us: hearing.path(me, person),
            misses: missed_by(group, person, here),
            stats: live.and_then(|live| live.stats.clone()),
        }
    }
}

/// As the history has it, whose words are those of calls between two.
pub(super) fn end_reason(reason: LeftReason, outgoing: bool, talked: Duration) -> EndReason {
    match reason {
        LeftReason::Ours if !talked.is_zero() => EndReason::HangUp,
        LeftReason::Ours if outgoing => EndReason::Cancelled,
        LeftReason::Ours => EndReason::Declined,
        LeftReason::Removed { .. } => EndReason::RemoteHangUp,
        LeftReason::Unreachable => EndReason::Unreachable,
        LeftReason::Refused(_) => EndReason::Declined,
        LeftReason::NoAnswer => EndReason::NoAnswer,
    }
}
