//! How many links are made at a time, and how many a member keeps that cannot serve them all.
//!
//! Making a link takes some 10 kB each way. Where that is nothing, all are made at once, as soon as the inviter is reached.
//! Over a line of 64 kb/s the handshakes of seven drown each other and the one link that there is. So when that falls
//! silent meanwhile, when nobody is reached after [`GroupLimits::slow`](super::GroupLimits::slow), or when attempts run
//! out with several whom others do reach, links are made one at a time, twice as many after each that was quick. Others
//! who ring us meanwhile wait until it is their turn.
//!
//! A [weak](super::super::Resources::weak) member keeps at most [`WEAK_LINKS`], its carrier and one who can take over from
//! it, for each costs some 10 kb/s by being there. It hears those whom it parts from through a helper before it hangs up.
//! While it is weak and has one link, nobody rings it and it rings nobody, for a handshake would drown its voice;
//! afterwards it makes its links one by one.

use std::time::{Duration, Instant};

use super::mesh::{Link, Peer};
use super::{GroupCall, GroupEvent, GroupState, MAX_LINKS, Presence};
use crate::base::Person;

/// What a weak member keeps: its carrier, and one in reserve if there is one.
pub(super) const WEAK_LINKS: usize = 2;

/// How many links may be in the making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    at_once: usize,
    /// All at once were too many before.
    careful: bool,
    /// The inviter's link comes first.
    led: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { at_once: MAX_LINKS, careful: false, led: false }
    }
}

impl Pace {
    /// Our inviter has been answered.
    pub fn follow_inviter(&mut self) {
        (self.at_once, self.led) = (1, true);
    }

    pub fn one_at_a_time(&mut self) {
        (self.at_once, self.careful, self.led) = (1, true, false);
    }

    fn made(&mut self, is_quick: bool) {
        self.at_once = match () {
            () if std::mem::take(&mut self.led) => MAX_LINKS,
            () if is_quick => (self.at_once * 2).min(MAX_LINKS),
            () => self.at_once,
        };
    }
}

impl GroupCall {
    /// A link has come up that was begun then.
    pub(super) fn made(&mut self, begun: Instant, now: Instant) {
        self.pace.made(now.saturating_duration_since(begun) < self.limits.slow);
    }

    /// A link falls silent. If others are being made, that is perhaps why.
    pub(super) fn interrupted(&mut self) {
        if self.making().any(|link| link.is_new) {
            self.pace.one_at_a_time();
        }
    }

    /// Whether another link may be begun.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.room_at().is_some_and(|at| at <= now)
    }

    /// When another link may be begun, if nothing happens before; `None` for not at all. One that takes long is no longer
    /// waited for: its other end may be gone.
    pub(super) fn room_at(&self) -> Option<Instant> {
        let mut making: Vec<Instant> = self.making().map(|link| link.since).collect();
        if self.is_weak() && self.kept() + making.len() > 0 {
            return None;
        }
        making.sort_unstable();
        let late = making.len().checked_sub(self.pace.at_once).and_then(|before| making.get(before));
        Some(late.map_or(self.clock.1, |since| self.late_at(*since)))
    }

    /// When a member without a link to us is to be rung: `None` while it is not for us to do.
    pub(super) fn ring_at(&self, person: Person, peer: &Peer) -> Option<Instant> {
        let is_theirs = peer.presence == Presence::Here && self.hearing.is_weak(person);
        let waits = self.waiting.contains(&person);
        peer.next_ring.filter(|_| peer.is_idle() && !is_theirs && !waits)
    }

    /// Makes room for one link where several at once do not come about, and none that is not needed.
    pub(super) fn clear_the_line(&mut self, now: Instant) {
        if self.is_slow(now) || self.is_weak() {
            self.pace.one_at_a_time();
        }
        if !self.pace.careful {
            return;
        }
        let room = if self.is_weak() { usize::from(self.kept() == 0) } else { self.pace.at_once };
        for link in self.waited_for().into_iter().skip(room).filter(|link| link.is_new) {
            self.hang_up_for_now(link.person, now);
        }
    }

    /// When [`GroupCall::clear_the_line`] has something to do by itself.
    pub(super) fn slow_at(&self) -> Option<Instant> {
        let making = self.waited_for();
        let more_than_one = making.iter().skip(1).any(|link| link.is_new);
        let oldest = making.iter().map(|link| link.since).min();
        oldest.filter(|_| more_than_one && self.may_be_narrow()).map(|since| since + self.limits.slow)
    }

    /// Answers those who wait for their turn.
    pub(super) fn answer_those_who_wait(&mut self, now: Instant) {
        while let Some(person) = self.waiting.first().copied().filter(|_| self.has_room(now)) {
            self.waiting.remove(&person);
            if self.expect(person, now) {
                self.tell(GroupEvent::Answer(person));
            } else {
                self.tell(GroupEvent::Decline(person));
            }
        }
    }

    /// As a weak member with a carrier: hangs up with those whom we hear, and who hear us, through others.
    pub(super) fn part_from_some(&mut self, now: Instant) {
        let me = self.me.person();
        let carrier = self.hearing.plan().carriers.get(&me).copied();
        let Some(carrier) = carrier.filter(|carrier| self.is_weak() && self.is_linked(*carrier)) else {
            return self.hearing.part_from([]);
        };
        let mut others: Vec<(bool, Duration, Person)> = self
            .peers
            .iter()
            .filter(|(person, _)| **person != carrier)
            .map(|(person, peer)| (!peer.is_up(), self.hearing.rtt(*person).unwrap_or(Duration::MAX), *person))
            .collect();
        // The nearest stays.
        others.sort_unstable();
        let parted: Vec<Person> = others.into_iter().skip(WEAK_LINKS - 1).map(|(.., person)| person).collect();
        self.hearing.part_from(parted.iter().copied());
        for person in parted {
            if self.is_linked(person) && self.hearing.is_carried_both_ways(person, now) {
                self.hang_up_for_now(person, now);
            }
        }
    }

    /// Our uplink does not serve everybody.
    fn is_weak(&self) -> bool {
        self.hearing.is_weak(self.me.person())
    }

    /// The links that were begun first are still not there.
    fn is_slow(&self, now: Instant) -> bool {
        self.slow_at().is_some_and(|at| at <= now)
    }

    /// Rather our line than that of those whom we do not reach.
    fn may_be_narrow(&self) -> bool {
        self.pace.careful || (self.state == GroupState::Joining && self.kept() == 0)
    }

    fn kept(&self) -> usize {
        self.peers.values().filter(|peer| peer.is_up()).count()
    }

    /// Links on their way, or on their way back; but for those of people who are still being asked.
    fn making(&self) -> impl Iterator<Item = Making> + '_ {
        let ready = self.peers.iter().filter(|(person, _)| !self.awaited.contains_key(person));
        ready.filter_map(|(person, peer)| match peer.link {
            Link::Making { since, rung } => Some(Making { is_new: true, since, rung, person: *person }),
            Link::Interrupted { since } => Some(Making { is_new: false, since, rung: false, person: *person }),
            Link::None | Link::Up => None,
        })
    }

    /// The same without those for which the one that was begun last has not waited; the one to be finished first comes
    /// first.
    fn waited_for(&self) -> Vec<Making> {
        let Some(last) = self.making().map(|link| link.since).max() else { return Vec::new() };
        let mut links: Vec<Making> = self.making().filter(|link| last < self.late_at(link.since)).collect();
        links.sort_unstable();
        links
    }

    /// When a link that was begun then is no longer waited for.
    fn late_at(&self, since: Instant) -> Instant {
        since + 2 * self.limits.slow
    }

    fn hang_up_for_now(&mut self, person: Person, now: Instant) {
        self.tell(GroupEvent::CloseLink(person));
        if let Some(peer) = self.peers.get_mut(&person) {
            (peer.link, peer.next_ring) = (Link::None, Some(now));
        }
    }
}

/// A link on its way. The nearer to its end, the smaller: those to people who rang us are a step ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Making {
    is_new: bool,
    since: Instant,
    rung: bool,
    person: Person,
}
