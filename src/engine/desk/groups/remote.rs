//! Group calls, as another process of this profile asks for them and about them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::LiveGroup;
use crate::base::GroupId;
use crate::call::group::{GroupState, Path, Presence};
use crate::engine::desk::Desk;
use crate::engine::desk::commands::phase_name;
use crate::engine::{CallPhase, Failure, GroupCommand, GroupPhase, RemoteVerb, Reply, SnapshotGroup, SnapshotMember};

impl Desk {
    /// `None`: it is not about groups.
    pub(in super::super) fn group_wish(&self, verb: &RemoteVerb) -> Option<Result<GroupCommand, Failure>> {
        Some(match verb {
            RemoteVerb::GroupStart { people } => self.wish_to_start(people),
            RemoteVerb::GroupJoin { link } => Ok(GroupCommand::Join { link: link.clone() }),
            RemoteVerb::GroupRejoin => Ok(GroupCommand::Resume),
            RemoteVerb::GroupAdd { who } => self.our_group().and_then(|group| {
                let person = self.whom(who)?;
                Ok(GroupCommand::Invite { group, person })
            }),
            RemoteVerb::GroupRemove { who } => self.our_group().and_then(|group| {
                let person = self.whom(who)?.person;
                Ok(GroupCommand::Remove { group, person })
            }),
            RemoteVerb::GroupLink { hours } => self.our_group().map(|group| {
                let valid = Duration::from_secs(u64::from(*hours) * 3600);
                GroupCommand::MakeLink { group, valid }
            }),
            RemoteVerb::GroupRevoke => self.our_group().map(|group| GroupCommand::RevokeLinks { group }),
            RemoteVerb::GroupAccept => self.invitation().map(|group| GroupCommand::Accept { group }),
            RemoteVerb::GroupDecline => self.invitation().map(|group| GroupCommand::Decline { group }),
            RemoteVerb::GroupLeave => self.our_group().map(|group| GroupCommand::Leave { group }),
            RemoteVerb::Status
            | RemoteVerb::Mute
            | RemoteVerb::Unmute
            | RemoteVerb::TalkKey { .. }
            | RemoteVerb::Deafen
            | RemoteVerb::Undeafen
            | RemoteVerb::Hold
            | RemoteVerb::Unhold
            | RemoteVerb::HangUp
            | RemoteVerb::Diagnose
            | RemoteVerb::Call { .. }
            | RemoteVerb::Open { .. }
            | RemoteVerb::Show => return None,
        })
    }

    /// What the other process reads when it is done.
    pub(in super::super) fn after_group_wish(&self, reply: Reply) -> Value {
        let mut status = self.status(Instant::now());
        match reply {
            Reply::GroupLink(link) => status["join"] = json!(link),
            Reply::Group(group) => status["group"] = json!(group.to_string()),
            Reply::Done
            | Reply::Call(_)
            | Reply::Lookup(_)
            | Reply::Contacts(_)
            | Reply::History(_)
            | Reply::Diagnosis(_)
            | Reply::Devices(_) => {}
        }
        status
    }

    /// Calls that are connected become part of it.
    fn wish_to_start(&self, people: &[String]) -> Result<GroupCommand, Failure> {
        let people = people.iter().map(|who| self.whom(who)).collect::<Result<_, _>>()?;
        let connected = self.calls.iter().filter(|(_, live)| live.phase == CallPhase::Connected);
        let calls = connected.filter(|(_, live)| live.group.is_none() && live.peer.is_some());
        Ok(GroupCommand::Start { people, calls: calls.map(|(call, _)| *call).collect() })
    }

    fn our_group(&self) -> Result<GroupId, Failure> {
        let joined = self.groups.all.iter().find(|(_, group)| group.is_joined());
        joined.map(|(id, _)| *id).ok_or_else(|| Failure::usage("there is no group call"))
    }

    fn invitation(&self) -> Result<GroupId, Failure> {
        let asked = |group: &LiveGroup| matches!(group.machine.state(), GroupState::Invited { .. });
        let asked = self.groups.all.iter().find(|(_, group)| asked(group));
        asked.map(|(id, _)| *id).ok_or_else(|| Failure::usage("nobody asks you into a group call"))
    }

    pub(in super::super) fn groups_status(&self, now: Instant) -> Vec<Value> {
        self.groups_shown().iter().map(|group| group_status(group, now)).collect()
    }
}

fn group_status(group: &SnapshotGroup, now: Instant) -> Value {
    let phase = match group.phase {
        GroupPhase::Asking => "asking",
        GroupPhase::Invited { .. } => "invited",
        GroupPhase::Joining => "joining",
        GroupPhase::In => "in",
    };
    json!({
        "group": group.group.to_string(),
        "phase": phase,
        "creator": group.creator.to_string(),
        "seconds": group.connected_at.map(|at| now.duration_since(at).as_secs()),
        "size": group.size(),
        "held": group.held,
        "members": group.members.iter().map(member_status).collect::<Vec<_>>(),
    })
}

fn member_status(member: &SnapshotMember) -> Value {
    let presence = match member.presence {
        Presence::Invited => "invited",
        Presence::Here => "here",
        Presence::Gone => "gone",
    };
    let (heard, via) = path_name(member.heard);
    let (hears_us, hears_us_via) = path_name(member.hears_us);
    json!({
        "peer": member.person.to_string(),
        "name": member.name,
        "presence": presence,
        "phase": member.phase.map(phase_name),
        "muted": member.muted,
        "held": member.held,
        "silenced": member.silenced,
        "heard": heard,
        "via": via,
        "hears_us": hears_us,
        "hears_us_via": hears_us_via,
        "misses": member.misses.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn path_name(path: Path) -> (&'static str, Option<String>) {
    match path {
        Path::Unknown => ("unknown", None),
        Path::Direct => ("direct", None),
        Path::Via(helper) => ("via", Some(helper.to_string())),
        Path::Missing => ("missing", None),
    }
}
