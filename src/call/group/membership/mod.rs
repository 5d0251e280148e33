//! One member's view of one group call: the machine behind [`GroupState`]'s and [`Presence`]'s diagrams.
//!
//! What the human wants is in [`human`], what other members say in [`peer`], which links are made and when somebody
//! counts as gone in [`mesh`], how many links at a time in [`pace`].

mod human;
mod mesh;
mod pace;
mod peer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::entry::{Entry, GroupKey};
use super::hearing::{Hearing, HearingEvent, Rules};
use super::invitation::{Ticket, TicketRefused};
use super::message::{Body, GroupMessage, Hello, MAX_HERE, how_many_fit};
use super::roster::{Member, Roster, RosterDigest};
use crate::base::{EndReason, Person, Rate, RateTable};
use crate::call::queue::Queue;
use crate::identity::PersonKey;
use mesh::Peer;
use pace::Pace;

pub use peer::{GroupRefusal, RingReply};

/// Links that a member holds at most, whatever the roster says.
pub const MAX_LINKS: usize = 15;
/// Roster messages of one peer: so many at once, then one per interval.
const ROSTERS: Rate = Rate::new(24, Duration::from_millis(250));
/// Messages with reports of one peer, of which it has at most five a second to send.
const REPORTS: Rate = Rate::new(20, Duration::from_millis(100));
/// People who may be let in by a link: so many at once, then one per interval.
const KNOCKS: Rate = Rate::new(16, Duration::from_secs(5));

/// Settings and time-outs of a group call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimits {
    /// Members, ourselves counted, beyond which nobody is invited or let in. Two halves of a group that both invite may
    /// still come to some more.
    pub members: usize,
    /// Nobody has heard somebody for so long: gone.
    pub silence: Duration,
    /// How long the side with the higher key waits for the other to ring.
    pub grace: Duration,
    /// Between attempts to reach somebody who is gone.
    pub ring_every: Duration,
    /// For so long; then attempts are [`GroupLimits::ring_rarely`] apart.
    pub ring_eagerly: Duration,
    pub ring_rarely: Duration,
    /// Nothing was heard of an attempt for so long: it has failed.
    pub ring_timeout: Duration,
    /// A link is there sooner, unless our line is too narrow to make all of them at once.
    pub slow: Duration,
    /// An invitation that nobody has taken is taken back.
    pub invitation: Duration,
    /// A member that is asked to let us in has so long to reply.
    pub knock: Duration,
    /// From joining, or coming back, until the first member is reached.
    pub join: Duration,
    /// Between two times that a whole roster is sent to one peer whose roster differs, and between two times that news
    /// of it are sent to all.
    pub sync_every: Duration,
    pub rules: Rules,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self {
            members: 10,
            silence: Duration::from_millis(2500),
            grace: Duration::from_secs(1),
            ring_every: Duration::from_secs(3),
            ring_eagerly: Duration::from_secs(120),
            ring_rarely: Duration::from_secs(20),
            ring_timeout: Duration::from_secs(10),
            slow: Duration::from_secs(3),
            invitation: Duration::from_secs(60),
            knock: Duration::from_secs(5),
            join: Duration::from_secs(30),
            sync_every: Duration::from_millis(200),
            rules: Rules::default(),
        }
    }
}

/// Where we stand in a group.
///
/// ```text
///  knock ──▶ Knocking ──┐ let in
///                       ▼             accept             first member reached
///  invited ─────────▶ Invited ──────────────▶ Joining ───────────────────────▶ In
///                       │                       ▲  │                           ▲ │
///                       │ decline        resume ┘  │ nobody reached      start ┘ │ leave, removed
///                       ▼                          ▼                             ▼
///                     Left ◀─────────────────────────────────────────────────────┘
/// ```
///
/// Being alone does not end a group: the others may come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// Bearer of a link: asking a member to let us in.
    Knocking,
    /// Our human is being asked; nobody but the inviter knows more of us than our key.
    Invited {
        by: Person,
    },
    /// Our human wants to, or we come back after a crash: links are being made.
    Joining,
    In,
    /// Terminal.
    Left(LeftReason),
}

/// Why we are no longer in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftReason {
    /// Our human left, or did not want to come.
    Ours,
    Removed {
        by: Person,
    },
    /// Nobody of the group could be reached.
    Unreachable,
    /// The link did not open the door.
    Refused(TicketRefused),
    /// The invitation was taken back, or nobody answered it in time.
    NoAnswer,
}

/// Where another member stands, as far as we know.
///
/// ```text
///   Invited ── first sign of life ──▶ Here ── nobody hears it for `silence` ──▶ Gone
///                                      ▲                                         │
///                                      └─────────────── a sign of life ──────────┘
/// ```
///
/// Whoever leaves or is removed is no longer listed. Somebody who is gone stays on the roster: a crash, or the loss of a
/// network, takes nobody's right to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    Invited,
    Here,
    Gone,
}

/// A member as a screen shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    pub person: Person,
    pub name: Option<String>,
    pub inviter: Person,
    pub presence: Presence,
    /// Whether we have a link of our own to them.
    pub linked: bool,
}

/// What happens to the link with another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MeshLink {
    /// Link and data channel are up.
    Up,
    /// Nothing arrives, and the pairwise call tries to recover by itself.
    Interrupted,
    /// The pairwise call is over, or never came about.
    Closed(EndReason),
}

/// What carries a group message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupRoute {
    /// The data channel of the link with this member, which is up.
    Link,
    /// A signalling session with this person: the one whose message is answered, or else a new one of its own.
    Session,
    /// The INVITE of a new pairwise call, whose fate is told by [`GroupCall::handle_link`].
    Call,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupTransmit {
    pub to: Person,
    pub message: GroupMessage,
    pub route: GroupRoute,
}

/// What a group tells its owner. After [`GroupEvent::Left`] nothing follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// Ask the human, and say who is there and that all of them will see our address, and we theirs.
    Invited {
        by: Person,
        members: Vec<MemberView>,
    },
    /// We are in: the first member is reached.
    Joined,
    /// Answer the pairwise call of this member, which is ringing.
    Answer(Person),
    /// Decline it.
    Decline(Person),
    /// End the pairwise call with this person, who no longer belongs to the group.
    CloseLink(Person),
    /// Somebody is on the roster now; `by` has invited them.
    Added {
        person: Person,
        by: Person,
    },
    /// Somebody is in the call, for the first time or again.
    Came(Person),
    /// Nobody hears somebody any more.
    Gone(Person),
    /// Somebody is off the roster: by themselves if `by` is `person`.
    Removed {
        person: Person,
        by: Option<Person>,
    },
    /// Somebody whom we had invited, or let in by a link, does not come.
    NotComing {
        person: Person,
        why: EndReason,
    },
    /// The roster differs from before: store it, so that a crash does not put us out.
    RosterChanged,
    Hearing(HearingEvent),
    /// Terminal.
    Left(LeftReason),
}

/// One group call, as one of its members sees it. See the [group's map](super) for how to drive it.
pub struct GroupCall {
    me: PersonKey,
    limits: GroupLimits,
    state: GroupState,
    roster: Roster,
    hearing: Hearing,
    /// Everybody on the roster but us.
    peers: BTreeMap<Person, Peer>,
    pace: Pace,
    /// Members whose pairwise call waits for our human, or until there is room.
    waiting: BTreeSet<Person>,
    /// People with whom a call ran before they were on the roster.
    adopted: BTreeSet<Person>,
    /// People whom we have added and who have not come yet, and until when we wait.
    awaited: BTreeMap<Person, Instant>,
    /// Whom the bearer of a link still asks.
    to_ask: VecDeque<Person>,
    ticket: Option<(Ticket, Option<String>)>,
    deadline: Option<(Instant, &'static str)>,
    /// Unix time at an instant.
    clock: (u64, Instant),

    /// Entries that were new to us and that others may not have.
    news: Vec<Entry>,
    last_news: Option<Instant>,
    told_digest: RosterDigest,
    rosters: RateTable<Person>,
    report_rate: RateTable<Person>,
    knocks: RateTable<()>,
    /// Members who have passed on forged entries; they are not listened to again.
    forgers: BTreeSet<Person>,
    transmits: Queue<GroupTransmit>,
    events: Queue<GroupEvent>,
}

/// A group begins.
impl GroupCall {
    /// A new group of our own. `group.creator` is us, `group.id` is random. `unix_ms` is the wall clock.
    pub fn start(
        me: PersonKey,
        group: GroupKey,
        name: Option<&str>,
        limits: GroupLimits,
        unix_ms: u64,
        now: Instant,
    ) -> Self {
        let roster = Roster::found(&me, group, name);
        let mut call = Self::new(me, roster, GroupState::In, limits, unix_ms, now);
        call.after(now);
        call
    }

    /// A member, whom the session or link has authenticated as `from`, invites us: [`GroupEvent::Invited`] follows. If
    /// it came with a pairwise call, hand that to [`GroupCall::handle_ring`] next; if over a call that is running already,
    /// say so by [`GroupCall::adopt`].
    pub fn invited(
        me: PersonKey,
        from: Person,
        message: &GroupMessage,
        limits: GroupLimits,
        unix_ms: u64,
        now: Instant,
    ) -> Result<Self, GroupRefusal> {
        let Body::Invite(hello) = &message.body else { return Err(GroupRefusal::NotForUs) };
        let roster = Roster::new(message.group);
        let mut call = Self::new(me, roster, GroupState::Invited { by: from }, limits, unix_ms, now);
        call.is_invited(from, hello, now)?;
        call.after(now);
        Ok(call)
    }

    /// We have a link to a group: asks its author, then the others that it names. [`GroupEvent::Invited`] or
    /// [`GroupEvent::Left`] follows.
    pub fn knock(
        me: PersonKey,
        ticket: Ticket,
        name: Option<String>,
        limits: GroupLimits,
        unix_ms: u64,
        now: Instant,
    ) -> Self {
        let roster = Roster::new(ticket.group);
        let mut call = Self::new(me, roster, GroupState::Knocking, limits, unix_ms, now);
        call.to_ask = ticket.whom_to_ring().filter(|person| *person != call.me.person()).collect();
        call.ticket = Some((ticket, name));
        call.ask_next(None, now);
        call.after(now);
        call
    }

    /// We were in this group when our program ended; `entries` are what was [stored](GroupEvent::RosterChanged). `None`
    /// if they do not say that we belong to it.
    pub fn resume(
        me: PersonKey,
        group: GroupKey,
        entries: &[Entry],
        limits: GroupLimits,
        unix_ms: u64,
        now: Instant,
    ) -> Option<Self> {
        let mut roster = Roster::new(group);
        roster.merge(entries).ok()?;
        if !roster.is_member(me.person()) {
            return None;
        }
        let mut call = Self::new(me, roster, GroupState::Joining, limits, unix_ms, now);
        call.follow_roster(now);
        call.begin_joining(now);
        call.after(now);
        Some(call)
    }

    fn new(me: PersonKey, roster: Roster, state: GroupState, limits: GroupLimits, unix_ms: u64, now: Instant) -> Self {
        Self {
            hearing: Hearing::new(me.clone(), roster.group(), unix_ms, limits.rules),
            me,
            limits,
            state,
            roster,
            peers: BTreeMap::new(),
            pace: Pace::default(),
            waiting: BTreeSet::new(),
            adopted: BTreeSet::new(),
            awaited: BTreeMap::new(),
            to_ask: VecDeque::new(),
            ticket: None,
            deadline: None,
            clock: (unix_ms / 1000, now),
            news: Vec::new(),
            last_news: None,
            told_digest: RosterDigest::default(),
            rosters: RateTable::new(ROSTERS),
            report_rate: RateTable::new(REPORTS),
            knocks: RateTable::new(KNOCKS),
            forgers: BTreeSet::new(),
            transmits: Queue::new(),
            events: Queue::new(),
        }
    }
}

/// What comes out.
impl GroupCall {
    pub fn poll_transmit(&mut self) -> Option<GroupTransmit> {
        self.transmits.pop()
    }

    /// In the order in which things happened, but for [`GroupEvent::Hearing`], which comes last.
    pub fn poll_event(&mut self) -> Option<GroupEvent> {
        self.events.pop().or_else(|| {
            let may = matches!(self.state, GroupState::In | GroupState::Joining);
            may.then(|| self.hearing.poll_event().map(GroupEvent::Hearing))?
        })
    }

    /// The earliest time-out and what it is for.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        match self.state {
            GroupState::Left(_) => None,
            GroupState::Knocking | GroupState::Invited { .. } => self.deadline,
            GroupState::Joining | GroupState::In => {
                self.deadline.into_iter().chain(self.hearing.poll_timeout()).chain(self.mesh_timeout()).min()
            }
        }
    }

    pub const fn group(&self) -> GroupKey {
        self.roster.group()
    }

    pub const fn state(&self) -> GroupState {
        self.state
    }

    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Who hears whom, and who helps.
    pub const fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    /// Everybody but us, by key.
    pub fn members(&self) -> impl Iterator<Item = MemberView> + '_ {
        let others = self.roster.members().filter(|member| member.person != self.me.person());
        others.map(|member| self.view_of(member))
    }

    /// Whether the pairwise call of this member waits for [`GroupEvent::Answer`].
    pub fn keeps_waiting(&self, person: Person) -> bool {
        self.waiting.contains(&person)
    }

    /// How many are in the call now, ourselves counted. Two is a call like any other.
    pub fn size(&self) -> usize {
        1 + self.peers.values().filter(|peer| peer.presence == Presence::Here).count()
    }
}

/// Inside.
impl GroupCall {
    fn view_of(&self, member: &Member) -> MemberView {
        let Member { person, name, inviter } = member.clone();
        let peer = self.peers.get(&person);
        let presence = peer.map_or(Presence::Invited, |peer| peer.presence);
        MemberView { person, name, inviter, presence, linked: peer.is_some_and(Peer::is_up) }
    }

    fn unix_s(&self, now: Instant) -> u64 {
        self.clock.0.saturating_add(now.saturating_duration_since(self.clock.1).as_secs())
    }

    fn hello(&self, chain_to: Person) -> Hello {
        let mut entries = self.roster.entries(Some(chain_to));
        entries.truncate(how_many_fit(&entries));
        let here = self.peers.iter().filter(|(_, peer)| peer.presence == Presence::Here).map(|(person, _)| *person);
        let here = std::iter::once(self.me.person()).chain(here).take(MAX_HERE).collect();
        Hello { entries, here }
    }

    fn send(&mut self, to: Person, route: GroupRoute, body: Body) {
        let message = GroupMessage { group: self.roster.group(), body };
        self.transmits.push(GroupTransmit { to, message, route }, false);
    }

    fn tell(&mut self, event: GroupEvent) {
        let is_last = matches!(event, GroupEvent::Left(_));
        self.events.push(event, is_last);
    }

    /// Ends everything on our side.
    fn end(&mut self, reason: LeftReason) {
        if matches!(self.state, GroupState::Left(_)) {
            return;
        }
        for person in std::mem::take(&mut self.waiting) {
            self.tell(GroupEvent::Decline(person));
        }
        for (person, peer) in std::mem::take(&mut self.peers) {
            // A call that ran before the group is not the group's to end.
            if !peer.is_idle() && !self.adopted.contains(&person) {
                self.tell(GroupEvent::CloseLink(person));
            }
        }
        self.state = GroupState::Left(reason);
        self.deadline = None;
        self.tell(GroupEvent::Left(reason));
    }
}
