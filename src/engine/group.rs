//! A group call as front ends see it.

use std::time::{Duration, Instant};

use super::{Broken, CallPhase, PeerStats};
use crate::base::{CallId, EndReason, GroupId, Person};
use crate::call::group::{GroupLimits, LeftReason, Path, Presence};
use crate::identity::Link;

/// What can be wished of group calls.
#[derive(Debug, Clone)]
pub enum GroupCommand {
    /// Begin a group call: `people` are rung, and those of `calls` are asked over their calls, which run on and become
    /// part of it. Finishes with [`Reply::Group`](super::Reply).
    Start { people: Vec<Link>, calls: Vec<CallId> },
    /// Ask to be let in by a link. Finishes with [`Reply::Group`](super::Reply) at once; [`GroupEvent::Invited`] or
    /// [`GroupEvent::Ended`] follows.
    Join { link: String },
    /// Go on with the call in which this profile was when its program ended without leaving
    /// ([`Snapshot::unfinished`](super::Snapshot)). Finishes with [`Reply::Group`](super::Reply).
    Resume,
    /// Forget that call.
    Forget,
    /// Take an invitation. Until then no member but the inviter learns more of us than our key; from then on all of them
    /// see our address, and we theirs, unless only relays are used.
    Accept { group: GroupId },
    /// Refuse an invitation.
    Decline { group: GroupId },
    /// Leave, in whatever state it is.
    Leave { group: GroupId },
    /// Ring somebody, and have them in. Any member may.
    Invite { group: GroupId, person: Link },
    /// Ask the peer of a call between two, which becomes part of the group.
    Merge { group: GroupId, call: CallId },
    /// Take somebody off the roster. Their inviter may, and who began the group.
    Remove { group: GroupId, person: Person },
    /// Make a link with which anybody can join while it is good. Finishes with [`Reply::GroupLink`](super::Reply).
    MakeLink { group: GroupId, valid: Duration },
    /// Make all links that we have made worthless.
    RevokeLinks { group: GroupId },
    /// As [`CommandKind::SetHeld`](super::CommandKind), with all of the group.
    SetHeld { group: GroupId, held: bool },
    /// Do not play this member, or play them again: for us alone, until the call ends.
    SetSilenced { group: GroupId, person: Person, silenced: bool },
}

/// What happened in a group call. What happens to the calls between each two members is told as of any call, by events
/// that say [which group](super::Stamped::group) theirs is.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupEvent {
    /// We have begun one.
    Started,
    /// We are asked to come. `members`: who belongs to it, the inviter included.
    Invited { by: Person, name: Option<String>, known: bool, members: Vec<Person> },
    /// We are in: the first member is reached.
    Joined,
    /// Somebody belongs to the group now; `by` has invited them.
    Added { person: Person, by: Person },
    /// Somebody is in the call, for the first time or again.
    Here { person: Person },
    /// Nobody hears somebody any more; they may come back.
    Gone { person: Person },
    /// Somebody does not belong to the group any more: by themselves if `by` is `person`.
    Removed { person: Person, by: Option<Person> },
    /// Somebody whom we had invited does not come.
    NotComing { person: Person, why: EndReason },
    /// How `to` hears `from` now.
    Hearing { from: Person, to: Person, path: Path },
    /// Terminal.
    Ended { reason: LeftReason, talked: Duration },
}

/// Where we stand in a group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupPhase {
    /// We have a link, and ask to be let in.
    Asking,
    /// We are asked to come.
    Invited {
        by: Person,
    },
    /// Links are being made.
    Joining,
    In,
}

/// A group call, as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotGroup {
    pub group: GroupId,
    pub phase: GroupPhase,
    pub creator: Person,
    pub started: Instant,
    /// When we heard the first member.
    pub connected_at: Option<Instant>,
    /// Everybody but us, by key.
    pub members: Vec<SnapshotMember>,
    pub held: bool,
    /// The other members learn our address.
    pub shows_address: bool,
    /// Most people that it takes, ourselves counted.
    pub limit: usize,
}

/// One of the others.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotMember {
    pub person: Person,
    pub name: Option<String>,
    pub inviter: Person,
    pub presence: Presence,
    /// We may take them off the roster.
    pub removable: bool,
    /// The call between them and us, which is among [`Snapshot::calls`](super::Snapshot).
    pub call: Option<CallId>,
    pub phase: Option<CallPhase>,
    /// Since when, and why, the connection with them is being found anew.
    pub interrupted: Option<(Instant, Broken)>,
    /// For [`Levels::voice_dbfs`](super::Levels::voice_dbfs).
    pub meter: Option<MeterId>,
    pub muted: bool,
    pub held: bool,
    /// We do not play them.
    pub silenced: bool,
    /// How we hear them, and they us.
    pub heard: Path,
    pub hears_us: Path,
    /// Others here whom they do not hear at all.
    pub misses: Vec<Person>,
    pub stats: Option<PeerStats>,
}

/// Names a voice to [`Levels`](super::Levels).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MeterId(pub(super) u64);

/// A group call in which this profile still is, though its program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedGroup {
    pub group: GroupId,
    /// The others, and how they are called.
    pub members: Vec<(Person, Option<String>)>,
    /// Unix time, seconds.
    pub last_seen_unix_s: i64,
}

impl GroupCommand {
    /// Most people that a group call takes, ourselves counted, before there is one that [says so](SnapshotGroup::limit).
    pub fn most_people() -> usize {
        GroupLimits::default().members
    }
}

impl SnapshotGroup {
    /// In the call now, ourselves counted.
    pub fn size(&self) -> usize {
        1 + self.members.iter().filter(|member| member.presence == Presence::Here).count()
    }
}

impl SnapshotMember {
    /// The person's name, or what there is instead of one.
    pub fn display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.person.abbreviated())
    }
}
