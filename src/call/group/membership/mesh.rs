//! Which links are made, who makes them, and when somebody counts as gone.
//!
//! Whoever comes, by an invitation, a link or after a crash, rings everybody. Between two members who are in the call
//! already and have lost each other, or have come at the same time, the one with the lower key rings; the other waits
//! [`GroupLimits::grace`](super::GroupLimits::grace) longer, in case that side does not know. If both ring after all, the
//! [`Switchboard`](crate::call::Switchboard) makes one call of the two.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{GroupCall, GroupEvent, GroupRoute, GroupState, LeftReason, MeshLink, Presence};
use crate::base::{EndReason, Person};
use crate::call::group::entry::Entry;
use crate::call::group::message::{Body, roster_messages};

/// What we know of another member.
#[derive(Debug)]
pub struct Peer {
    /// On our roster. What was heard of them before was of an earlier stay.
    since: Instant,
    pub presence: Presence,
    pub(super) link: Link,
    /// The last that they said themselves as a member of this call.
    last_word: Option<Instant>,
    gone_since: Option<Instant>,
    /// When we ring, if there is no link by then.
    pub(super) next_ring: Option<Instant>,
    last_sync: Option<Instant>,
}

/// Our link with another member.
///
/// ```text
///   None ── ring, or rung ──▶ Making ── up ──▶ Up ◀──▶ Interrupted
///    ▲                          │              │           │
///    └────── closed, timed out ─┴──────────────┴───────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    None,
    Making {
        since: Instant,
        /// By us, not by them.
        rung: bool,
    },
    Up,
    Interrupted {
        since: Instant,
    },
}

impl Peer {
    fn new(now: Instant) -> Self {
        let presence = Presence::Invited;
        Self {
            since: now,
            presence,
            link: Link::None,
            last_word: None,
            gone_since: None,
            next_ring: None,
            last_sync: None,
        }
    }

    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// Whether there is no pairwise call with them.
    pub fn is_idle(&self) -> bool {
        self.link == Link::None
    }
}

/// Inputs.
impl GroupCall {
    /// What happened to the latest pairwise call with a member; what becomes of earlier ones is not told.
    pub fn handle_link(&mut self, person: Person, change: MeshLink, now: Instant) {
        match change {
            MeshLink::Up => self.on_link_up(person, now),
            MeshLink::Interrupted => {
                self.set_link(person, Link::Interrupted { since: now });
                self.interrupted();
            }
            MeshLink::Closed(why) => self.on_link_closed(person, why, now),
        }
        self.after(now);
    }

    /// A call with this person runs already, and its link becomes one of the mesh; to be said before they are
    /// [invited](GroupCall::invite), or when they have invited us. Whether they take part in the group they say
    /// themselves; if they do not, the call goes on without us.
    pub fn adopt(&mut self, person: Person, now: Instant) {
        self.waiting.remove(&person);
        self.adopted.insert(person);
        self.set_link(person, Link::Up);
        self.after(now);
    }

    /// A packet came over the direct link with a member; see [`Hearing::heard`](super::super::Hearing::heard).
    pub fn heard(&mut self, person: Person, now: Instant) {
        self.sign_of_life(person, now);
    }

    /// A media packet of a member came, forwarded by another.
    pub fn heard_via(&mut self, person: Person, helper: Person, now: Instant) {
        self.hearing.heard_via(person, helper, now);
    }

    /// How good the direct link with a member is; see [`Hearing::measured`](super::super::Hearing::measured).
    pub fn measured(&mut self, person: Person, fraction_lost: f32, rtt: Option<std::time::Duration>) {
        self.hearing.measured(person, fraction_lost, rtt);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.after(now);
    }
}

/// After each input: everything that follows from what is known by now.
impl GroupCall {
    pub(super) fn after(&mut self, now: Instant) {
        match self.state {
            GroupState::Left(_) => return,
            GroupState::Knocking => {
                if self.deadline.is_some_and(|(at, _)| at <= now) {
                    self.ask_next(None, now);
                }
                return;
            }
            GroupState::Invited { .. } => {
                self.follow_roster(now);
                if self.deadline.is_some_and(|(at, _)| at <= now) {
                    self.end(LeftReason::NoAnswer);
                }
                return;
            }
            GroupState::Joining | GroupState::In => {}
        }
        self.follow_roster(now);
        self.watch(now);
        self.arrive(now);
        if matches!(self.state, GroupState::Left(_)) {
            return;
        }
        self.give_up_on_the_late(now);
        self.clear_the_line(now);
        self.part_from_some(now);
        self.answer_those_who_wait(now);
        self.ring_those_due(now);
        if self.news_due().is_some_and(|at| at <= now) {
            self.tell_news(now);
        }
        self.hearing.set_digest(self.roster.digest());
        self.hearing.handle_timeout(now);
        if self.hearing.poll_due() {
            let linked: Vec<Person> = self.linked().collect();
            for person in linked {
                let reports = self.hearing.reports_for(person);
                self.send(person, GroupRoute::Link, Body::Reports(reports));
            }
        }
    }

    /// Everybody on the roster is a peer, nobody else is.
    pub(super) fn follow_roster(&mut self, now: Instant) {
        let me = self.me.person();
        let is_told = matches!(self.state, GroupState::Joining | GroupState::In);
        if self.told_digest == self.roster.digest() {
            return;
        }
        self.told_digest = self.roster.digest();
        if !self.roster.is_member(me) {
            return self.end(LeftReason::Removed { by: self.roster.removed_by(me).unwrap_or(self.group().creator) });
        }
        let gone: Vec<Person> = self.peers.keys().filter(|person| !self.roster.is_member(**person)).copied().collect();
        for person in gone {
            self.drop_peer(person, is_told);
        }
        let new = self.roster.members().map(|member| (member.person, member.inviter));
        let new: Vec<_> = new.filter(|(person, _)| *person != me && !self.peers.contains_key(person)).collect();
        for (person, by) in new {
            let link = if self.adopted.contains(&person) { Link::Up } else { Link::None };
            self.peers.insert(person, Peer { link, ..Peer::new(now) });
            if is_told {
                self.tell(GroupEvent::Added { person, by });
            }
        }
        self.tell(GroupEvent::RosterChanged);
    }

    fn drop_peer(&mut self, person: Person, is_told: bool) {
        let Some(peer) = self.peers.remove(&person) else { return };
        self.awaited.remove(&person);
        if self.waiting.remove(&person) {
            self.tell(GroupEvent::Decline(person));
        }
        if peer.is_up() {
            // So that they know why.
            for message in roster_messages(self.group(), &self.roster.removals_of(person)) {
                self.send(person, GroupRoute::Link, message.body);
            }
        }
        if !peer.is_idle() && !self.adopted.contains(&person) {
            self.tell(GroupEvent::CloseLink(person));
        }
        if is_told {
            self.tell(GroupEvent::Removed { person, by: self.roster.removed_by(person) });
        }
    }

    /// Who is here, and who is gone.
    fn watch(&mut self, now: Instant) {
        let mut came = Vec::new();
        let mut gone = Vec::new();
        for (person, peer) in &mut self.peers {
            let sign = peer.last_word.max(self.hearing.last_sign(*person));
            let fresh = |at| at > peer.since && now.saturating_duration_since(at) < self.limits.silence;
            let fresh = sign.is_some_and(fresh);
            match peer.presence {
                Presence::Invited | Presence::Gone if fresh => {
                    peer.presence = Presence::Here;
                    peer.gone_since = None;
                    came.push(*person);
                }
                Presence::Here if !fresh => {
                    peer.presence = Presence::Gone;
                    peer.gone_since = Some(now);
                    gone.push(*person);
                }
                Presence::Invited | Presence::Gone | Presence::Here => {}
            }
        }
        for person in came {
            self.awaited.remove(&person);
            // From now on their call is one of the group's.
            self.adopted.remove(&person);
            let at = now + self.grace(person);
            if let Some(peer) = self.peers.get_mut(&person) {
                peer.next_ring = Some(peer.next_ring.map_or(at, |known| known.min(at)));
            }
            self.tell(GroupEvent::Came(person));
        }
        gone.into_iter().for_each(|person| self.tell(GroupEvent::Gone(person)));
        let here = |peer: &Peer| peer.presence == Presence::Here;
        let here: BTreeSet<Person> =
            self.peers.iter().filter(|(_, peer)| here(peer)).map(|(person, _)| *person).collect();
        self.hearing.set_present(&here, now);
    }

    /// We are in as soon as we have reached one member.
    fn arrive(&mut self, now: Instant) {
        if self.state != GroupState::Joining {
            return;
        }
        if self.peers.values().any(|peer| peer.presence == Presence::Here && peer.is_up()) {
            self.state = GroupState::In;
            self.deadline = None;
            self.tell(GroupEvent::Joined);
        } else if self.deadline.is_some_and(|(at, _)| at <= now) {
            self.end(LeftReason::Unreachable);
        }
    }

    fn give_up_on_the_late(&mut self, now: Instant) {
        let late: Vec<Person> = self.awaited.iter().filter(|(_, at)| **at <= now).map(|(person, _)| *person).collect();
        for person in late {
            self.give_up_on(person, EndReason::NoAnswer);
        }
        let silence = self.limits.ring_timeout;
        let overdue = |since: Instant| now.saturating_duration_since(since) >= silence;
        let invited = |person: &Person| self.awaited.contains_key(person);
        let stuck = self.peers.iter().filter(|(person, _)| !invited(person));
        let stuck = stuck.filter(|(_, peer)| matches!(peer.link, Link::Making { since, .. } if overdue(since)));
        let stuck: Vec<Person> = stuck.map(|(person, _)| *person).collect();
        // Others reach them.
        if stuck.iter().filter(|person| self.is_here(**person)).count() > 1 {
            self.pace.one_at_a_time();
        }
        for person in stuck {
            self.tell(GroupEvent::CloseLink(person));
            self.on_link_closed(person, EndReason::Unreachable, now);
        }
    }

    fn ring_those_due(&mut self, now: Instant) {
        let due = |(person, peer): &(&Person, &Peer)| self.ring_at(**person, peer).is_some_and(|at| at <= now);
        let due: Vec<Person> = self.peers.iter().filter(due).map(|(person, _)| *person).collect();
        for person in due {
            if !self.has_room(now) {
                return;
            }
            let hello = Body::Ring(self.hello(self.me.person()));
            self.ring_with(person, hello, now);
        }
    }
}

/// Inside.
impl GroupCall {
    pub(super) fn begin_joining(&mut self, now: Instant) {
        self.state = GroupState::Joining;
        self.deadline = Some((now + self.limits.join, "join"));
        // After a crash nobody is known to be here, and all are tried.
        let anybody = self.peers.values().any(|peer| peer.presence == Presence::Here);
        for peer in self.peers.values_mut() {
            let expected = !anybody || peer.presence == Presence::Here;
            peer.next_ring = expected.then_some(now);
            // What others said; from now on we see for ourselves.
            peer.presence = Presence::Invited;
        }
    }

    /// Begins a pairwise call, if there is none and room for one.
    pub(super) fn ring_with(&mut self, person: Person, hello: Body, now: Instant) {
        let may = self.may_link(person);
        let retry = now + self.limits.ring_every;
        let Some(peer) = self.peers.get_mut(&person).filter(|peer| peer.is_idle()) else { return };
        if may {
            peer.link = Link::Making { since: now, rung: true };
            self.send(person, GroupRoute::Call, hello);
        } else {
            peer.next_ring = Some(retry);
        }
    }

    /// A member rings us, or a call that waited is answered: the link is on its way. False if there is no room.
    pub(super) fn expect(&mut self, person: Person, now: Instant) -> bool {
        let may = self.may_link(person);
        if let Some(peer) = self.peers.get_mut(&person).filter(|_| may) {
            // A link that the other side makes anew is no longer there, whatever we believe.
            peer.link = Link::Making { since: now, rung: false };
        }
        may
    }

    fn on_link_up(&mut self, person: Person, now: Instant) {
        if let Some(Peer { link: Link::Making { since, .. }, .. }) = self.peers.get(&person) {
            self.made(*since, now);
        }
        self.set_link(person, Link::Up);
        if matches!(self.state, GroupState::Joining | GroupState::In) {
            self.came(person, now);
        }
    }

    fn on_link_closed(&mut self, person: Person, why: EndReason, now: Instant) {
        self.waiting.remove(&person);
        self.adopted.remove(&person);
        if let GroupState::Invited { by } = self.state {
            // Whoever asked has hung up, and nobody else asks.
            if by == person && self.waiting.is_empty() && self.ticket.is_none() {
                self.end(LeftReason::NoAnswer);
            }
            return;
        }
        let later = self.grace(person);
        let joining = self.state == GroupState::Joining;
        let limits = self.limits;
        let Some(peer) = self.peers.get_mut(&person) else { return };
        let was_up = matches!(peer.link, Link::Up | Link::Interrupted { .. });
        peer.link = Link::None;
        let gone_for = peer.gone_since.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        let pause = match peer.presence {
            Presence::Here | Presence::Gone if was_up => Some(std::time::Duration::ZERO),
            Presence::Here => Some(limits.ring_every),
            Presence::Gone if gone_for < limits.ring_eagerly => Some(limits.ring_every),
            Presence::Gone => Some(limits.ring_rarely),
            Presence::Invited => joining.then_some(limits.ring_every),
        };
        peer.next_ring = pause.map(|pause| now + pause + later);
        if self.awaited.contains_key(&person) {
            self.give_up_on(person, why);
        }
    }

    fn set_link(&mut self, person: Person, link: Link) {
        if let Some(peer) = self.peers.get_mut(&person) {
            peer.link = link;
        }
    }

    /// Somebody whom we had added does not come: takes that back.
    pub(super) fn give_up_on(&mut self, person: Person, why: EndReason) {
        if self.awaited.remove(&person).is_none() {
            return;
        }
        let entry: Option<Entry> = self.roster.withdraw(&self.me, person);
        if let Some(Ok(merged)) = entry.map(|entry| self.roster.merge(&[entry])) {
            self.news.extend(merged.news);
        }
        self.tell(GroupEvent::NotComing { person, why });
    }

    /// How much longer than the other side we wait before we ring.
    fn grace(&self, person: Person) -> std::time::Duration {
        if self.me.person() < person { std::time::Duration::ZERO } else { self.limits.grace }
    }

    /// They take part in the call, by their own word.
    pub(super) fn came(&mut self, person: Person, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&person) {
            peer.last_word = Some(now);
        }
        self.watch(now);
        self.hearing.heard(person, now);
    }

    /// Something came from them; that they take part was known before, or is not said by it.
    pub(super) fn sign_of_life(&mut self, person: Person, now: Instant) {
        if let Some(peer) = self.peers.get_mut(&person).filter(|peer| peer.presence != Presence::Invited) {
            peer.last_word = Some(now);
            self.hearing.heard(person, now);
        }
    }

    pub(super) fn is_here(&self, person: Person) -> bool {
        self.peers.get(&person).is_some_and(|peer| peer.presence == Presence::Here)
    }

    pub(super) fn is_linked(&self, person: Person) -> bool {
        self.peers.get(&person).is_some_and(Peer::is_up)
    }

    /// Members with whom we have a link, but for those who do not take part yet.
    fn linked(&self) -> impl Iterator<Item = Person> + '_ {
        let with = |peer: &Peer| peer.is_up();
        self.peers.iter().filter(move |(_, peer)| with(peer)).map(|(person, _)| *person)
    }

    /// Sends our roster to somebody who has another one, not too often.
    pub(super) fn sync_with(&mut self, person: Person, now: Instant) {
        let differs = self.hearing.digest_of(person).is_some_and(|theirs| theirs != self.roster.digest());
        let every = self.limits.sync_every;
        let Some(peer) = self.peers.get_mut(&person).filter(|peer| differs && peer.is_up()) else { return };
        if peer.last_sync.is_some_and(|last| now.saturating_duration_since(last) < every) {
            return;
        }
        peer.last_sync = Some(now);
        for message in roster_messages(self.group(), &self.roster.entries(None)) {
            self.send(person, GroupRoute::Link, message.body);
        }
    }

    fn news_due(&self) -> Option<Instant> {
        (!self.news.is_empty()).then(|| self.last_news.map_or(self.clock.1, |last| last + self.limits.sync_every))
    }

    /// Passes on what is new of the roster to everybody.
    pub(super) fn tell_news(&mut self, now: Instant) {
        let news = std::mem::take(&mut self.news);
        self.last_news = Some(now);
        let linked: Vec<Person> = self.linked().collect();
        for message in roster_messages(self.group(), &news) {
            for person in &linked {
                self.send(*person, GroupRoute::Link, message.body.clone());
            }
        }
    }

    pub(super) fn mesh_timeout(&self) -> Option<(Instant, &'static str)> {
        let (limits, room) = (self.limits, self.room_at());
        let of_peer = |(person, peer): (&Person, &Peer)| {
            let ring = self.ring_at(*person, peer).zip(room).map(|(at, room)| (at.max(room), "ring"));
            let making = match peer.link {
                Link::Making { since, .. } => Some((since + limits.ring_timeout, "ring timeout")),
                Link::None | Link::Up | Link::Interrupted { .. } => None,
            };
            let making = making.filter(|_| !self.awaited.contains_key(person));
            let sign = peer.last_word.max(self.hearing.last_sign(*person));
            let silence = sign.filter(|_| peer.presence == Presence::Here).map(|at| (at + limits.silence, "silence"));
            ring.into_iter().chain(making).chain(silence)
        };
        let awaited = self.awaited.values().map(|at| (*at, "invitation"));
        let news = self.news_due().map(|at| (at, "roster"));
        let waiting = room.filter(|_| !self.waiting.is_empty()).map(|at| (at, "room"));
        let slow = self.slow_at().map(|at| (at, "slow"));
        self.peers.iter().flat_map(of_peer).chain(awaited).chain(news).chain(waiting).chain(slow).min()
    }
}
