//! Who hears whom, and who is helped: what the group's plan means for our links.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::LiveGroup;
use super::strain::Path as LinkPath;
use crate::base::{GroupId, Person, SpeakerTag};
use crate::call::group::{HearingEvent, Tag};
use crate::engine::desk::Desk;
use crate::engine::voice_thread::PeerKey;
use crate::engine::{CallPhase, GroupEvent};
use crate::link::Link;

impl Desk {
    /// Does what changes for us; what people are to be told of it.
    pub(super) fn follow_hearing(&mut self, id: GroupId, event: HearingEvent) -> Option<GroupEvent> {
        let group = self.groups.all.get_mut(&id)?;
        match event {
            HearingEvent::Path { from, to, path } => return Some(GroupEvent::Hearing { from, to, path }),
            HearingEvent::Carry { .. } | HearingEvent::StopCarrying { .. } => self.refresh_forwards(id),
            HearingEvent::SendTo { to, send } => {
                if let (Some(sound), Some(key)) = (&self.sound, group.seats.get(&to)) {
                    sound.set_listens(*key, send);
                }
            }
        }
        None
    }

    /// Tells each link that brings packets where they go on to.
    pub(super) fn refresh_forwards(&self, id: GroupId) {
        let Some(group) = self.groups.all.get(&id) else { return };
        let (key, plan) = (group.machine.group(), group.machine.hearing().plan());
        let carried: Vec<_> = plan.streams_of(self.me.person()).collect();
        for (from, seat) in &group.seats {
            let Some(seat) = self.seats.get(seat) else { continue };
            let to = carried.iter().filter(|(speaker, _)| speaker == from).map(|(_, to)| *to);
            let links = to.filter_map(|to| self.link_to(group, to)).collect();
            seat.inlet.pass_on(Tag::of(key, *from).speaker(), links);
        }
    }

    fn link_to(&self, group: &LiveGroup, person: Person) -> Option<Link> {
        self.calls.get(group.calls.get(&person)?)?.link.clone()
    }

    /// Takes packets on behalf of others from those whom the plans name, and from nobody else.
    pub(super) fn follow_plans(&mut self) {
        let me = self.me.person();
        let mut wanted: Vec<(GroupId, Person, Person, SpeakerTag)> = Vec::new();
        for (id, group) in self.groups.all.iter().filter(|(_, group)| group.is_joined()) {
            let for_us = group.machine.hearing().plan().streams.iter().filter(|((_, to), _)| *to == me);
            let tag = |speaker| Tag::of(group.machine.group(), speaker).speaker();
            wanted.extend(for_us.map(|((speaker, _), helper)| (*id, *speaker, *helper, tag(*speaker))));
        }
        let helped: BTreeMap<SpeakerTag, (Person, PeerKey)> = wanted
            .into_iter()
            .filter_map(|(id, speaker, helper, tag)| Some((tag, (helper, self.seat_of(id, speaker)?))))
            .collect();
        if helped == self.groups.helped {
            return;
        }
        let inlet = |key: &PeerKey| self.seats.get(key).map(|seat| seat.inlet.clone());
        let inlets = helped.iter().filter_map(|(tag, (helper, key))| Some((*tag, (*helper, inlet(key)?))));
        self.groups.helpers.set(inlets.collect());
        self.groups.helped = helped;
    }

    /// Where a member is heard, with a link to them or without.
    fn seat_of(&mut self, id: GroupId, person: Person) -> Option<PeerKey> {
        let known = self.groups.all.get(&id)?.seats.get(&person).copied();
        let key = known.unwrap_or_else(|| self.new_seat());
        if known.is_none() {
            self.groups.all.get_mut(&id)?.seats.insert(person, key);
        }
        self.take_seat(key, Some(person));
        Some(key)
    }

    /// Tells the machines what has come since the last time, and how the links fare.
    pub(super) fn look_what_arrived(&mut self, now: Instant) {
        let helped: BTreeMap<PeerKey, Person> =
            self.groups.helped.values().map(|(helper, key)| (*key, *helper)).collect();
        let usage = self.usage.sample(now);
        for group in self.groups.all.values_mut().filter(|group| group.is_joined()) {
            for (person, key) in &group.seats {
                let Some(counts) = self.seats.get(key).map(|seat| seat.inlet.counts()) else { continue };
                let before = group.counts.insert(*person, counts).unwrap_or_default();
                if counts.0 != before.0 {
                    group.machine.heard(*person, now);
                }
                if counts.1 != before.1
                    && let Some(helper) = helped.get(key)
                {
                    group.machine.heard_via(*person, *helper, now);
                }
            }
            let mut paths = Vec::new();
            for (person, call) in &group.calls {
                let Some(live) = self.calls.get(call).filter(|live| live.phase == CallPhase::Connected) else {
                    continue;
                };
                let loss = live.stats.as_ref().and_then(|stats| stats.loss).unwrap_or_default();
                group.machine.measured(*person, loss, live.link_stats.rtt);
                paths.extend(live.heard_by_peer.map(|heard| LinkPath {
                    fraction_lost: heard.fraction_lost,
                    queue_ms: heard.queue_ms,
                    rtt_ms: live.link_stats.rtt.map_or(0.0, |rtt| rtt.as_secs_f32() * 1e3),
                    sent_kbps: live.sent_bps / 1000.0,
                }));
            }
            let others = group.machine.size() - 1;
            let resources = group.strain.judge(&paths, others, usage.cpu, now);
            group.machine.set_resources(resources, now);
        }
    }
}

/// Those here whom `listener` does not hear at all, by its own word.
pub(super) fn missed_by(group: &LiveGroup, listener: Person, here: &BTreeSet<Person>) -> Vec<Person> {
    let hearing = group.machine.hearing();
    let others = here.iter().filter(|speaker| **speaker != listener);
    others.filter(|speaker| hearing.path(**speaker, listener) == crate::call::group::Path::Missing).copied().collect()
}
