//! Who helps whom: a pure function of the members' reports, so that everybody who has the same reports decides the same.
//!
//! A **hole** is a direction in which one member says that it does not hear another. A **helper** mends it by forwarding
//! the speaker's packets on its own link to the listener. A **carrier** does the same for a weak member, whose one stream
//! it fans out to everybody.
//!
//! Nobody can be made to help by a lie alone. Only members who hear both ends and whom both ends hear come into question,
//! so somebody who claims to hear nobody gets nothing. Each helper's streams are bounded by what it has to spare at a
//! time, and are given out in rounds, one per listener, so that somebody with many holes does not take the place of
//! somebody with one. A helper that does not deliver is named by the listener and passed over as long as there is another.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::GroupKey;
use super::report::{Heard, Report, Tag};
use crate::base::Person;

/// What one forwarded stream takes of an uplink, kb/s: Opus at its usual rate with redundancy and headers.
pub const STREAM_KBPS: u16 = 64;
/// Streams at a time that anybody carries at most, whatever it offers.
pub const MAX_SLOTS: usize = 16;
/// To one listener, more streams than this take no more of an uplink: hardly more people speak at once.
const SPEAKERS_AT_ONCE: usize = 2;
/// Weak members that anybody carries at most.
pub const MAX_WEAK_PER_CARRIER: usize = 2;
/// Below this, a member's CPU is needed for its own call, percent.
const MIN_CPU_FREE: u8 = 10;
/// By how much a better helper must be better to take over, ms of round trip.
const HYSTERESIS_MS: u32 = 40;
/// What each [`LOAD_STREAMS`] streams that a helper carries already count, ms: others come first when equally near. One or
/// two make no difference, so that whose hole was told first does not matter.
const LOAD_MS: u32 = 50;
const LOAD_STREAMS: usize = 4;
/// What a busy CPU (less than half of it free) counts, ms.
const BUSY_MS: u32 = 40;
/// Round trips are compared in steps of this, since they are measured anew all the time.
const RTT_STEP_MS: u32 = 10;
/// What an unknown round trip counts, ms.
const UNKNOWN_RTT_MS: u32 = 200;

/// A direction: who speaks, who listens.
pub type Direction = (Person, Person);

/// What the reports amount to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Directions in which the listener says that it hears nothing directly.
    pub holes: BTreeSet<Direction>,
    /// Streams to be forwarded, and by whom: for holes, for a while after they have closed, and for weak members.
    pub streams: BTreeMap<Direction, Person>,
    /// Weak members and who fans their stream out.
    pub carriers: BTreeMap<Person, Person>,
}

/// What is known when a plan is made.
pub struct Sight<'a> {
    group: GroupKey,
    /// In the call now, the author of this sight included.
    present: &'a BTreeSet<Person>,
    /// Of those, what the last report says.
    reports: BTreeMap<Person, &'a Report>,
    tags: BTreeMap<Person, Tag>,
}

impl<'a> Sight<'a> {
    /// `reports` of people who are not present are left out.
    pub fn new(
        group: GroupKey,
        present: &'a BTreeSet<Person>,
        reports: impl IntoIterator<Item = (Person, &'a Report)>,
    ) -> Self {
        let reports = reports.into_iter().filter(|(person, _)| present.contains(person)).collect();
        let tags = present.iter().map(|person| (*person, Tag::of(group, *person))).collect();
        Self { group, present, reports, tags }
    }

    /// What `listener` says of `speaker`; `None` while it says nothing.
    pub fn hearing(&self, speaker: Person, listener: Person) -> Option<&Heard> {
        self.reports.get(&listener)?.hears.get(&self.tag(speaker))
    }

    fn tag(&self, person: Person) -> Tag {
        self.tags.get(&person).copied().unwrap_or_else(|| Tag::of(self.group, person))
    }

    fn hears(&self, speaker: Person, listener: Person) -> bool {
        self.hearing(speaker, listener).is_some_and(|hearing| hearing.direct)
    }

    fn both_hear(&self, a: Person, b: Person) -> bool {
        self.hears(a, b) && self.hears(b, a)
    }

    /// The listener hears nothing, or has done so again for too short a time to do without the help it has.
    fn needs_help(&self, speaker: Person, listener: Person) -> bool {
        self.hearing(speaker, listener).is_some_and(|it| !it.direct || it.via.is_some() && !it.steady)
    }

    fn carries(&self, helper: Person, speaker: Person, listener: Person) -> bool {
        let stream = (self.tag(speaker), self.tag(listener));
        self.reports.get(&helper).is_some_and(|report| report.carries.contains(&stream))
    }

    fn carries_any(&self, helper: Person, speaker: Person) -> bool {
        let speaker = self.tag(speaker);
        self.reports.get(&helper).is_some_and(|report| report.carries.iter().any(|(from, _)| *from == speaker))
    }

    fn has_failed(&self, helper: Person, speaker: Person, listener: Person) -> bool {
        let named = (self.tag(speaker), self.tag(helper));
        self.reports.get(&listener).is_some_and(|report| report.failed.contains(&named))
    }

    fn is_weak(&self, person: Person) -> bool {
        self.reports.get(&person).is_some_and(|report| report.resources.weak)
    }

    fn slots(&self, helper: Person) -> usize {
        let Some(resources) = self.reports.get(&helper).map(|report| report.resources) else { return 0 };
        if resources.weak || resources.cpu_free < MIN_CPU_FREE {
            return 0;
        }
        usize::from(resources.slots).min(usize::from(resources.spare_kbps / STREAM_KBPS)).min(MAX_SLOTS)
    }

    fn busy(&self, helper: Person) -> u32 {
        let free = self.reports.get(&helper).map_or(0, |report| report.resources.cpu_free);
        if free < 50 { BUSY_MS } else { 0 }
    }

    /// From the speaker to the helper; the listener's leg is added by the caller.
    fn rtt(&self, speaker: Person, listener: Person) -> u32 {
        let told = self.hearing(speaker, listener).map_or(0, |hearing| u32::from(hearing.rtt_ms));
        if told == 0 { UNKNOWN_RTT_MS } else { told.next_multiple_of(RTT_STEP_MS) }
    }
}

/// What helpers carry already: streams from a helper to a listener.
#[derive(Default)]
struct Load(BTreeMap<Direction, usize>);

impl Load {
    /// Streams at a time of this helper.
    fn of(&self, helper: Person) -> usize {
        let listeners = self.0.iter().filter(|((by, _), _)| *by == helper);
        listeners.map(|(_, streams)| (*streams).min(SPEAKERS_AT_ONCE)).sum()
    }

    /// Whether one more to this listener is none more at a time.
    fn includes(&self, helper: Person, listener: Person) -> bool {
        self.0.get(&(helper, listener)).is_some_and(|streams| *streams >= SPEAKERS_AT_ONCE)
    }

    fn add(&mut self, helper: Person, listener: Person) {
        *self.0.entry((helper, listener)).or_default() += 1;
    }
}

impl Plan {
    /// The one decision that follows from what is seen.
    pub fn of(sight: &Sight<'_>) -> Self {
        let mut plan = Self::default();
        let mut load = Load::default();
        plan.carry_the_weak(sight, &mut load);
        plan.mend_holes(sight, &mut load);
        plan
    }

    /// The streams that `helper` is to forward.
    pub fn streams_of(&self, helper: Person) -> impl Iterator<Item = Direction> + '_ {
        self.streams.iter().filter(move |(_, by)| **by == helper).map(|(direction, _)| *direction)
    }

    fn carry_the_weak(&mut self, sight: &Sight<'_>, load: &mut Load) {
        let mut carried: BTreeMap<Person, usize> = BTreeMap::new();
        for weak in sight.present.iter().copied().filter(|person| sight.is_weak(*person)) {
            let reach = |carrier: Person| -> Vec<Person> {
                let free = sight.slots(carrier).saturating_sub(load.of(carrier));
                let listeners = sight.present.iter().copied().filter(|listener| {
                    let other = *listener != weak && *listener != carrier;
                    other && sight.both_hear(carrier, *listener) && !sight.has_failed(carrier, weak, *listener)
                });
                listeners.take(free).collect()
            };
            let may = |carrier: &Person| {
                *carrier != weak
                    && sight.both_hear(*carrier, weak)
                    && carried.get(carrier).copied().unwrap_or(0) < MAX_WEAK_PER_CARRIER
            };
            let best = sight.present.iter().copied().filter(may).map(|carrier| (carrier, reach(carrier)));
            let best = best.filter(|(_, reached)| !reached.is_empty()).min_by_key(|(carrier, reached)| {
                let now = sight.carries_any(*carrier, weak);
                let cost = sight.rtt(weak, *carrier) + sight.busy(*carrier);
                let cost = if now { cost.saturating_sub(HYSTERESIS_MS) } else { cost };
                (usize::MAX - reached.len() - usize::from(now), cost, *carrier)
            });
            if let Some((carrier, reached)) = best {
                reached.iter().for_each(|listener| load.add(carrier, *listener));
                *carried.entry(carrier).or_default() += 1;
                self.carriers.insert(weak, carrier);
                self.streams.extend(reached.into_iter().map(|listener| ((weak, listener), carrier)));
            }
        }
    }

    fn mend_holes(&mut self, sight: &Sight<'_>, load: &mut Load) {
        let mut wanted: Vec<(Person, Vec<Person>)> = Vec::new();
        for listener in sight.present.iter().copied() {
            let speakers = || sight.present.iter().copied().filter(move |speaker| *speaker != listener);
            let missing = speakers().filter(|it| sight.hearing(*it, listener).is_some_and(|hearing| !hearing.direct));
            self.holes.extend(missing.map(|speaker| (speaker, listener)));
            let covered = |speaker: &Person| self.streams.contains_key(&(*speaker, listener));
            let needs = speakers().filter(|speaker| sight.needs_help(*speaker, listener) && !covered(speaker));
            wanted.push((listener, needs.collect()));
        }
        let rounds = wanted.iter().map(|(_, speakers)| speakers.len()).max().unwrap_or(0);
        for round in 0..rounds {
            for (listener, speakers) in &wanted {
                let Some(speaker) = speakers.get(round) else { continue };
                if let Some(helper) = helper_for(sight, *speaker, *listener, load) {
                    load.add(helper, *listener);
                    self.streams.insert((*speaker, *listener), helper);
                }
            }
        }
    }
}

/// The nearest member with a slot left who hears both and is heard by both.
fn helper_for(sight: &Sight<'_>, speaker: Person, listener: Person, load: &Load) -> Option<Person> {
    let may = |helper: &Person| {
        *helper != speaker
            && *helper != listener
            && sight.both_hear(*helper, speaker)
            && sight.both_hear(*helper, listener)
            && (load.of(*helper) < sight.slots(*helper) || load.includes(*helper, listener))
    };
    let cost = |helper: &Person| {
        let legs = sight.rtt(speaker, *helper) + sight.rtt(*helper, listener);
        let burden = u32::try_from(load.of(*helper).min(MAX_SLOTS) / LOAD_STREAMS).unwrap_or_default();
        let cost = legs + sight.busy(*helper) + LOAD_MS * burden;
        let now = sight.carries(*helper, speaker, listener);
        // Better one who did not deliver than nobody.
        let has_failed = sight.has_failed(*helper, speaker, listener);
        (has_failed, if now { cost.saturating_sub(HYSTERESIS_MS) } else { cost }, *helper)
    };
    sight.present.iter().copied().filter(may).min_by_key(cost)
}
