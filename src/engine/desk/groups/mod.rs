//! Group calls: joins their state machines ([`crate::call::group`]) with the calls between each two members.
//!
//! What people want is in [`wishes`], the calls between members in [`mesh`], letters outside of them in [`letters`], who
//! is heard and helped in [`hearing`], how our own uplink fares in [`strain`], what outlives the program in [`kept`],
//! how it all looks from outside in [`shown`], and to another process in [`remote`].

mod hearing;
mod kept;
mod letters;
mod mesh;
mod remote;
mod shown;
mod strain;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use self::kept::Unfinished;
use self::letters::Post;
use self::strain::Strain;
use super::Desk;
use crate::base::{CallId, GroupId, Person, SpeakerTag};
use crate::call::group::{
    GroupCall, GroupEvent as Told, GroupLimits, GroupRoute, GroupState, GroupTransmit, LeftReason,
};
use crate::engine::clock::unix_now_s;
use crate::engine::ringer::Ringer;
use crate::engine::seat::Helpers;
use crate::engine::voice_thread::PeerKey;
use crate::engine::{CallPhase, Event, GroupEvent};
use crate::identity::Link;
use crate::store::{HistoryEntry, Member};

/// Between two looks at what has arrived. Half of it is added to the time in which silence is noticed.
const TICK: Duration = Duration::from_millis(400);

/// All group calls of this profile.
#[derive(Default)]
pub(super) struct Groups {
    all: BTreeMap<GroupId, LiveGroup>,
    /// Whose packets are taken from whom.
    pub helpers: Helpers,
    /// What `helpers` was told last.
    helped: BTreeMap<SpeakerTag, (Person, PeerKey)>,
    post: Post,
    pub unfinished: Option<Unfinished>,
    next_tick: Option<Instant>,
}

/// One of them.
pub(super) struct LiveGroup {
    machine: GroupCall,
    /// Those whose voices we hear, or have heard.
    seats: BTreeMap<Person, PeerKey>,
    /// The latest call with each.
    calls: BTreeMap<Person, CallId>,
    /// As they were handed over, for their hints.
    links: BTreeMap<Person, Link>,
    silenced: BTreeSet<Person>,
    /// Packets that had come at the last tick: directly, and through helpers.
    counts: BTreeMap<Person, (u32, u32)>,
    strain: Strain,
    started: Instant,
    started_unix_s: i64,
    outgoing: bool,
    /// Who stands for the group in the history.
    first: Option<Person>,
    /// Everybody who was ever in it.
    ever: BTreeMap<Person, Option<String>>,
    connected_at: Option<Instant>,
    held: bool,
    ringer: Option<Ringer>,
}

impl LiveGroup {
    fn new(machine: GroupCall, outgoing: bool, first: Option<Person>, now: Instant) -> Self {
        Self {
            machine,
            seats: BTreeMap::new(),
            calls: BTreeMap::new(),
            links: BTreeMap::new(),
            silenced: BTreeSet::new(),
            counts: BTreeMap::new(),
            strain: Strain::default(),
            started: now,
            started_unix_s: unix_now_s(),
            outgoing,
            first,
            ever: BTreeMap::new(),
            connected_at: None,
            held: false,
            ringer: None,
        }
    }

    fn is_joined(&self) -> bool {
        match self.machine.state() {
            GroupState::Joining | GroupState::In => true,
            GroupState::Knocking | GroupState::Invited { .. } | GroupState::Left(_) => false,
        }
    }
}

impl Groups {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether we are in one.
    pub fn any_joined(&self) -> bool {
        self.all.values().any(LiveGroup::is_joined)
    }

    /// All of them are on hold now, or none.
    pub fn note_held(&mut self, held: bool) {
        self.all
            .values_mut()
            .filter(|group| group.machine.state() == GroupState::In)
            .for_each(|group| group.held = held);
    }

    /// Whether nobody but us is in this group's call yet.
    pub fn is_waiting(&self, group: GroupId) -> bool {
        self.all.get(&group).is_some_and(|group| group.machine.size() == 1)
    }

    /// Whether somebody in a group we are in is heard from this seat.
    pub fn has_seat(&self, key: PeerKey) -> bool {
        self.all.values().any(|group| group.is_joined() && group.seats.values().any(|seat| *seat == key))
    }

    /// Whether our voice goes to this member on our link with them.
    pub fn sends_to(&self, group: GroupId, person: Person) -> bool {
        self.all.get(&group).is_none_or(|group| group.machine.hearing().sends_to(person))
    }

    /// The group, and the member, whose latest call this is.
    fn place_of(&self, call: CallId) -> Option<(GroupId, Person)> {
        self.all.iter().find_map(|(id, group)| {
            let person = group.calls.iter().find(|(_, latest)| **latest == call)?.0;
            Some((*id, *person))
        })
    }
}

/// Time.
impl Desk {
    pub(super) fn groups_timeout(&self) -> Option<Instant> {
        let machines = self.groups.all.values().filter_map(|group| group.machine.poll_timeout());
        machines.map(|(at, _what)| at).chain(self.groups.next_tick).min()
    }

    pub(super) fn handle_groups_timeout(&mut self, now: Instant) {
        for group in self.groups.all.values_mut() {
            if group.machine.poll_timeout().is_some_and(|(at, _what)| at <= now) {
                group.machine.handle_timeout(now);
            }
        }
        if self.groups.next_tick.is_some_and(|at| at <= now) {
            self.look_what_arrived(now);
            self.groups.next_tick = Some(now + TICK);
        }
        if !self.groups.any_joined() {
            self.groups.next_tick = None;
        }
    }
}

/// What comes out of the machines.
impl Desk {
    /// Carries out one thing; false if there was nothing.
    pub(super) async fn groups_have_done_something(&mut self) -> bool {
        let all: Vec<GroupId> = self.groups.all.keys().copied().collect();
        for id in &all {
            if let Some(transmit) = self.groups.all.get_mut(id).and_then(|group| group.machine.poll_transmit()) {
                self.group_says(*id, transmit, Instant::now());
                return true;
            }
        }
        for id in &all {
            if let Some(told) = self.groups.all.get_mut(id).and_then(|group| group.machine.poll_event()) {
                self.group_tells(*id, told, Instant::now()).await;
                return true;
            }
        }
        self.follow_plans();
        false
    }

    fn group_says(&mut self, id: GroupId, transmit: GroupTransmit, now: Instant) {
        let GroupTransmit { to, message, route } = transmit;
        match route {
            GroupRoute::Call => self.ring_member(id, to, message.encode(), now),
            GroupRoute::Link => self.say_over_link(id, to, message.encode()),
            GroupRoute::Session => self.post_letter(id, to, message.encode()),
        }
    }

    async fn group_tells(&mut self, id: GroupId, told: Told, now: Instant) {
        let event = match told {
            Told::Invited { by, members } => {
                let members = members.into_iter().map(|member| member.person).collect();
                self.group_rings(id);
                let name = self.name_in(id, by);
                GroupEvent::Invited { by, name, known: self.contact(by).is_some(), members }
            }
            Told::Joined => GroupEvent::Joined,
            Told::Answer(person) => return self.answer_member(id, person, now),
            Told::Decline(person) => return self.decline_member(id, person, now),
            Told::CloseLink(person) => return self.close_link(id, person, now),
            Told::Added { person, by } => GroupEvent::Added { person, by },
            Told::Came(person) => {
                self.member_came(id, person, now);
                GroupEvent::Here { person }
            }
            Told::Gone(person) => GroupEvent::Gone { person },
            Told::Removed { person, by } => {
                self.forget_member(id, person);
                GroupEvent::Removed { person, by }
            }
            Told::NotComing { person, why } => GroupEvent::NotComing { person, why },
            Told::RosterChanged => return self.keep_roster(id).await,
            Told::Hearing(hearing) => match self.follow_hearing(id, hearing) {
                Some(event) => event,
                None => return,
            },
            Told::Left(reason) => return self.end_group(id, reason, now).await,
        };
        let is_over = matches!(event, GroupEvent::Removed { .. } | GroupEvent::NotComing { .. });
        self.emit_at(now, Event::Group { group: id, event });
        if is_over {
            self.leave_if_alone(id, now);
        }
    }

    /// The last other member has left, or nobody came: there is nobody to wait for.
    fn leave_if_alone(&mut self, id: GroupId, now: Instant) {
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        if group.machine.state() == GroupState::In && group.machine.members().next().is_none() {
            group.machine.leave(now);
        }
    }

    async fn end_group(&mut self, id: GroupId, reason: LeftReason, now: Instant) {
        let Some(mut group) = self.groups.all.remove(&id) else { return };
        group.ringer = None;
        for (person, key) in &group.seats {
            self.free_seat(*key, group.calls.get(person).copied());
        }
        // A call that was to become part of it, and has not, is one between two as before.
        for call in group.calls.values() {
            if let Some(live) = self.calls.get_mut(call).filter(|live| live.phase == CallPhase::Connected) {
                live.group = None;
                self.switchboard.set_in_group(*call, false);
            }
        }
        let talked = group.connected_at.map_or(Duration::ZERO, |since| now.duration_since(since));
        self.note_group(id, &group, reason, talked).await;
        self.keep_nothing(id).await;
        self.close_sound_if_unused();
        self.emit_at(now, Event::Group { group: id, event: GroupEvent::Ended { reason, talked } });
    }

    /// Into the history.
    async fn note_group(&self, id: GroupId, group: &LiveGroup, reason: LeftReason, talked: Duration) {
        let Some(person) = group.first.or_else(|| group.ever.keys().next().copied()) else { return };
        let members = group.ever.iter().map(|(person, name)| Member { person: *person, name: name.clone() });
        let entry = HistoryEntry {
            call: CallId::from_bytes(*id.as_bytes()),
            person,
            name: group.ever.get(&person).cloned().flatten(),
            outgoing: group.outgoing,
            started_unix_s: group.started_unix_s,
            talked,
            reason: shown::end_reason(reason, group.outgoing, talked),
            members: members.collect(),
        };
        if let Err(why) = self.store.add_history(entry).await {
            tracing::warn!(%why, "the group call is missing from the history");
        }
    }

    /// How many there were.
    pub(super) fn leave_all_groups(&mut self, now: Instant) -> usize {
        self.groups.all.values_mut().for_each(|group| group.machine.leave(now));
        self.groups.all.len()
    }

    fn group_limits(&self) -> GroupLimits {
        GroupLimits { members: self.options.group_limit, ..GroupLimits::default() }
    }

    /// How somebody is called: in the address book, or else by who invited them.
    fn name_in(&self, id: GroupId, person: Person) -> Option<String> {
        let contact = self.contact(person).and_then(|contact| contact.name.clone());
        let group = || self.groups.all.get(&id);
        contact
            .or_else(|| group()?.machine.roster().member(person)?.name.clone())
            .or_else(|| group()?.links.get(&person)?.name.clone())
            .or_else(|| group()?.ever.get(&person)?.clone())
    }
}
