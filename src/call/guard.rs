//! Keeps strangers from ringing without end, and old INVITEs from ringing again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::{Limits, Message};
use crate::base::{CallId, Person};

/// People whose calling rate is remembered; when full, those who have been quiet are forgotten.
const MAX_PEOPLE: usize = 1024;
/// Calls that are remembered after their end; the oldest are forgotten first.
const MAX_PAST_CALLS: usize = 8192;
/// How far a caller's clock, or a delayed INVITE, may be from our clock. Presence records tolerate no more either.
const MAX_CLOCK_DIFFERENCE_S: u64 = 24 * 60 * 60;
const MINUTE: Duration = Duration::from_secs(60);

pub struct Guard {
    per_person: u32,
    total: u32,
    people: BTreeMap<Person, Pace>,
    everybody: Pace,
    past: BTreeMap<CallId, Option<Message>>,
    past_order: VecDeque<CallId>,
    /// Unix time at an instant.
    clock: Option<(u64, Instant)>,
}

impl Guard {
    pub fn new(limits: &Limits) -> Self {
        Self {
            per_person: limits.invites_per_person_per_minute,
            total: limits.invites_of_strangers_per_minute,
            people: BTreeMap::new(),
            everybody: Pace::default(),
            past: BTreeMap::new(),
            past_order: VecDeque::new(),
            clock: None,
        }
    }

    pub fn set_clock(&mut self, unix_s: u64, now: Instant) {
        self.clock = Some((unix_s, now));
    }

    pub fn unix_s(&self, now: Instant) -> Option<u64> {
        self.clock.map(|(unix_s, at)| unix_s.saturating_add(now.saturating_duration_since(at).as_secs()))
    }

    /// False for an INVITE that was sent long ago, or by a clock that is far off. True if either side has no clock.
    pub fn is_fresh(&self, sent_unix_s: Option<u64>, now: Instant) -> bool {
        let Some((sent, ours)) = sent_unix_s.zip(self.unix_s(now)) else { return true };
        sent.abs_diff(ours) <= MAX_CLOCK_DIFFERENCE_S
    }

    /// Counts a call and says whether it is within the limits. People we know are only counted each by themselves, so
    /// that strangers cannot keep them out.
    pub fn admits(&mut self, from: Person, known: bool, now: Instant) -> bool {
        if self.people.len() >= MAX_PEOPLE && !self.people.contains_key(&from) {
            self.people.retain(|_, pace| !pace.is_idle(now));
            if self.people.len() >= MAX_PEOPLE {
                return false;
            }
        }
        let person = self.people.entry(from).or_default();
        person.admits(self.per_person, now) && (known || self.everybody.admits(self.total, now))
    }

    /// Remembers a call that is over, and what its further INVITEs are to hear.
    pub fn remember(&mut self, call: CallId, reply: Option<Message>) {
        if self.past.insert(call, reply).is_none() {
            self.past_order.push_back(call);
        }
        if self.past_order.len() > MAX_PAST_CALLS
            && let Some(oldest) = self.past_order.pop_front()
        {
            self.past.remove(&oldest);
        }
    }

    pub fn past(&self, call: CallId) -> Option<&Option<Message>> {
        self.past.get(&call)
    }
}

/// A rate limit as in the generic cell rate algorithm (ITU-T I.371): `per_minute` at once, then one per interval.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// When the budget is whole again.
    whole_at: Option<Instant>,
}

impl Pace {
    fn admits(&mut self, per_minute: u32, now: Instant) -> bool {
        if per_minute == 0 {
            return false;
        }
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + MINUTE / per_minute;
        let admitted = whole_at <= now + MINUTE;
        if admitted {
            self.whole_at = Some(whole_at);
        }
        admitted
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.whole_at.is_none_or(|at| at <= now)
    }
}
