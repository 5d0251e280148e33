//! One member's part in finding out who hears whom, and in mending it.
//!
//! Once a second, and at once when something has changed, every member sends its [`Report`] over all its links. The
//! latest reports of those present make the [`Plan`], and a member does what the plan says of it: forwards streams, or
//! sends its own to a carrier only. Reports of somebody whom a neighbour does not hear are passed on to it, so all
//! members decide from the same reports, at most one report later.
//!
//! ```text
//! a direction, as its listener tells it
//!
//!   unknown ── first packet ──▶ direct, steady ◀──────────── heard for `settle` ──┐
//!      │                             │                                            │
//!      │ `patience` without one      │ silent for `silence`        packets again  │
//!      ▼                             ▼                                            │
//!   missing ◀──────────────────── missing ───────────────────────────▶ direct, not steady
//!      │                             │                                (the helper goes on)
//!      └── a helper's packets ──▶ via the helper
//! ```
//!
//! For this to tell silence from a broken path, every stream has a packet every 400 ms, also while its speaker is silent
//! or muted (Opus does so in discontinuous transmission), and a link that carries no stream has its reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::entry::GroupKey;
use super::plan::{Direction, Plan, Sight};
use super::report::{Heard, MAX_AGE, MAX_FAILED, Report, Resources, Tag};
use super::roster::RosterDigest;
use crate::base::Person;
use crate::identity::PersonKey;

/// Times of hearing and helping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Between two reports.
    pub every: Duration,
    /// Between two reports at least, when something has changed; of a weak member there is none in between.
    pub at_least: Duration,
    /// Without a packet for so long, a direction is broken.
    pub silence: Duration,
    /// Somebody who was never heard counts as missing after so long; before, the link is still being made.
    pub patience: Duration,
    /// A mended direction must have been heard for so long before its helper stops.
    pub settle: Duration,
    /// A helper has so long to deliver before it is passed over.
    pub delivery: Duration,
    /// For so long it is passed over.
    pub grudge: Duration,
    /// A report says nothing any more after so long.
    pub validity: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(1),
            at_least: Duration::from_millis(200),
            silence: Duration::from_millis(1300),
            patience: Duration::from_millis(2500),
            settle: Duration::from_secs(3),
            delivery: Duration::from_secs(2),
            grudge: Duration::from_secs(30),
            validity: Duration::from_millis(3500),
        }
    }
}

/// How a stream gets from its speaker to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// The listener has not said anything yet.
    Unknown,
    Direct,
    /// Through this member.
    Via(Person),
    /// Not at all.
    Missing,
}

/// What changes for this member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HearingEvent {
    /// For every screen: how `to` hears `from` now.
    Path {
        from: Person,
        to: Person,
        path: Path,
    },
    /// Forward the packets of `from` on our link to `to`.
    Carry {
        from: Person,
        to: Person,
    },
    StopCarrying {
        from: Person,
        to: Person,
    },
    /// Send our own stream on the link to this member, or do not because a carrier brings it.
    SendTo {
        to: Person,
        send: bool,
    },
}

pub struct Hearing {
    me: PersonKey,
    group: GroupKey,
    rules: Rules,
    seq: u64,
    digest: RosterDigest,
    resources: Resources,
    /// Of everybody present but us.
    ears: BTreeMap<Person, Ear>,
    /// Of everybody present, ours included.
    present: BTreeSet<Person>,
    reports: BTreeMap<Person, Received>,
    plan: Plan,
    paths: BTreeMap<Direction, Path>,
    /// Members to whom our own stream does not go directly.
    spared: BTreeSet<Person>,
    /// Members with whom we want to hang up, and to hear through others.
    parted: BTreeSet<Person>,
    /// When the last report went out, and what it said.
    last_report: Option<Instant>,
    said: BTreeMap<Tag, (bool, bool, Option<Tag>)>,
    /// Something changed that others should know before their time.
    pressing: bool,
    due: bool,
    /// What the owner was told; events are the difference to what is.
    owner: Owner,
}

#[derive(Debug, Default)]
struct Owner {
    carries: BTreeSet<Direction>,
    paths: BTreeMap<Direction, Path>,
    spared: BTreeSet<Person>,
}

/// What we hear of one other member.
#[derive(Debug, Clone, Default)]
struct Ear {
    present_since: Option<Instant>,
    last_packet: Option<Instant>,
    /// Begin of the present stretch without a gap.
    heard_since: Option<Instant>,
    /// Last packet through a helper.
    via: Option<(Person, Instant)>,
    /// The helper that the plan names for their stream to us, and since when.
    expected: Option<(Person, Instant)>,
    /// Helpers that did not deliver, and until when they are passed over.
    failed: BTreeMap<Person, Instant>,
    loss: u8,
    rtt_ms: u16,
}

struct Received {
    report: Report,
    at: Instant,
    /// From its author, not passed on by somebody else.
    first_hand: bool,
}

impl Hearing {
    /// `first_seq` is the wall clock in ms, so that reports after a crash are newer than those before.
    pub fn new(me: PersonKey, group: GroupKey, first_seq: u64, rules: Rules) -> Self {
        let present = BTreeSet::from([me.person()]);
        Self {
            me,
            group,
            rules,
            seq: first_seq,
            digest: RosterDigest::default(),
            resources: Resources::default(),
            ears: BTreeMap::new(),
            present,
            reports: BTreeMap::new(),
            plan: Plan::default(),
            paths: BTreeMap::new(),
            spared: BTreeSet::new(),
            parted: BTreeSet::new(),
            last_report: None,
            said: BTreeMap::new(),
            pressing: false,
            due: false,
            owner: Owner::default(),
        }
    }
}

/// What is known.
impl Hearing {
    /// Who is in the call now, ourselves not counted.
    pub fn set_present(&mut self, others: &BTreeSet<Person>, now: Instant) {
        let me = self.me.person();
        let present: BTreeSet<Person> = others.iter().copied().chain([me]).collect();
        if present == self.present {
            return;
        }
        self.ears.retain(|person, _| present.contains(person));
        for person in others.iter().filter(|person| **person != me) {
            let ear = self.ears.entry(*person).or_default();
            ear.present_since.get_or_insert(now);
        }
        self.present = present;
        self.replan(now);
    }

    /// What our roster is.
    pub fn set_digest(&mut self, digest: RosterDigest) {
        self.pressing |= self.digest != digest;
        self.digest = digest;
    }

    /// What we have to spare, by our own measure.
    pub fn set_resources(&mut self, resources: Resources) {
        let resources = Resources { cpu_free: resources.cpu_free.min(100), ..resources };
        self.pressing |= self.resources.weak != resources.weak;
        self.resources = resources;
    }

    /// A packet of any kind came from `person` over the direct link. To be told often enough for
    /// [`Rules::silence`]; reports tell it by themselves.
    pub fn heard(&mut self, person: Person, now: Instant) {
        let Some(ear) = self.ears.get_mut(&person) else { return };
        let gap = ear.last_packet.is_none_or(|last| now.saturating_duration_since(last) >= self.rules.silence);
        if gap {
            ear.heard_since = Some(now);
            self.pressing = true;
        }
        ear.last_packet = Some(now);
    }

    /// A media packet of `person` came, forwarded by `helper`.
    pub fn heard_via(&mut self, person: Person, helper: Person, now: Instant) {
        let Some(ear) = self.ears.get_mut(&person) else { return };
        self.pressing |= ear.via.is_none_or(|(known, _)| known != helper);
        ear.via = Some((helper, now));
    }

    /// How good the direct link is: packets lost, 0..1, and its round trip.
    pub fn measured(&mut self, person: Person, fraction_lost: f32, rtt: Option<Duration>) {
        let Some(ear) = self.ears.get_mut(&person) else { return };
        let lost = if fraction_lost.is_nan() { 0.0 } else { fraction_lost.clamp(0.0, 1.0) };
        ear.loss = (lost * 255.0).round() as u8;
        ear.rtt_ms = rtt.map_or(0, |rtt| u16::try_from(rtt.as_millis().max(1)).unwrap_or(u16::MAX));
    }

    /// Members whom we want to hear through others from now on, and to be heard by so: their direct link is to be closed.
    pub fn part_from(&mut self, people: impl IntoIterator<Item = Person>) {
        let parted: BTreeSet<Person> = people.into_iter().collect();
        self.pressing |= parted != self.parted;
        self.parted = parted;
    }

    /// Reports that `sender`, whom the link has authenticated, sent: its own and others that it passes on. Old ones, and
    /// those of people who are not present, are ignored; a forged one ends the message. True if the sender's own was
    /// among them.
    pub fn handle_reports(&mut self, sender: Person, reports: Vec<Report>, now: Instant) -> bool {
        let mut own = false;
        for report in reports {
            let from = report.from;
            let known = self.reports.get(&from);
            let is_new = known.is_none_or(|known| known.report.seq < report.seq);
            // What came over a detour first may come again by itself.
            if !self.present.contains(&from) || from == self.me.person() || !is_new {
                continue;
            }
            if !report.verify(self.group) {
                break;
            }
            let first_hand = from == sender;
            own |= first_hand;
            self.reports.insert(from, Received { report, at: now, first_hand });
        }
        self.replan(now);
        own
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let blamed = self.blame(now);
        if self.forget_old_reports(now) || blamed {
            self.replan(now);
        }
        let told = self.told(now);
        let gist: BTreeMap<Tag, _> = told.iter().map(|(tag, it)| (*tag, (it.direct, it.steady, it.via))).collect();
        self.pressing |= gist != self.said;
        let since = self.last_report.map(|last| now.saturating_duration_since(last));
        let at_once = self.pressing && since.is_none_or(|since| since >= self.at_least());
        if at_once || since.is_none_or(|since| since >= self.rules.every) {
            self.report(told, now);
            self.said = gist;
        }
    }
}

/// What comes out.
impl Hearing {
    /// Whether a new report is to be sent to everybody with whom we have a link: take it by [`Hearing::reports_for`].
    pub fn poll_due(&mut self) -> bool {
        std::mem::take(&mut self.due)
    }

    /// Our report, and those that `neighbour` cannot have first-hand.
    pub fn reports_for(&self, neighbour: Person) -> Vec<Report> {
        let own = self.reports.get(&self.me.person()).map(|own| own.report.clone());
        let theirs = self.reports.get(&neighbour).map(|received| &received.report);
        let lacks = |of: &Person| {
            let hearing = theirs.and_then(|report| report.hears.get(&Tag::of(self.group, *of)));
            *of != neighbour && *of != self.me.person() && hearing.is_none_or(|hearing| !hearing.direct)
        };
        let passed_on = self.reports.iter().filter(|(of, received)| received.first_hand && lacks(of));
        own.into_iter().chain(passed_on.map(|(_, received)| received.report.clone())).collect()
    }

    /// One difference between what the owner was told and what is: an owner that polls late misses nothing but what has
    /// passed.
    pub fn poll_event(&mut self) -> Option<HearingEvent> {
        let carries: BTreeSet<Direction> = self.plan.streams_of(self.me.person()).collect();
        if let Some(&(from, to)) = self.owner.carries.difference(&carries).next() {
            self.owner.carries.remove(&(from, to));
            return Some(HearingEvent::StopCarrying { from, to });
        }
        if let Some(&(from, to)) = carries.difference(&self.owner.carries).next() {
            self.owner.carries.insert((from, to));
            return Some(HearingEvent::Carry { from, to });
        }
        if let Some(&to) = self.spared.symmetric_difference(&self.owner.spared).next() {
            let send = self.owner.spared.remove(&to);
            if !send {
                self.owner.spared.insert(to);
            }
            return Some(HearingEvent::SendTo { to, send });
        }
        self.owner.paths.retain(|direction, _| self.paths.contains_key(direction));
        let (direction, path) = self.paths.iter().find(|(it, path)| self.owner.paths.get(it) != Some(path))?;
        let ((from, to), path) = (*direction, *path);
        self.owner.paths.insert((from, to), path);
        Some(HearingEvent::Path { from, to, path })
    }

    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let last = self.last_report?;
        let soonest = last + self.at_least();
        let listened_to = self.ears.iter().filter(|(person, _)| !self.parted.contains(*person));
        let silences = listened_to.filter_map(|(_, ear)| ear.last_packet.map(|at| at + self.rules.silence));
        let silences = silences.filter(|at| *at > last).map(|at| at.max(soonest));
        let next = if self.pressing { soonest } else { last + self.rules.every };
        silences.chain([next]).min().map(|at| (at, "report"))
    }

    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How `to` hears `from`.
    pub fn path(&self, from: Person, to: Person) -> Path {
        self.paths.get(&(from, to)).copied().unwrap_or(Path::Unknown)
    }

    /// Whether we hear this member through another, and it us.
    pub fn is_carried_both_ways(&self, person: Person, now: Instant) -> bool {
        let via = self.ears.get(&person).and_then(|ear| ear.via);
        let hears = via.is_some_and(|(_, at)| now.saturating_duration_since(at) < self.rules.silence);
        hears && matches!(self.path(self.me.person(), person), Path::Via(_))
    }

    /// The round trip over the direct link with this member, where it is known.
    pub fn rtt(&self, person: Person) -> Option<Duration> {
        let rtt_ms = self.ears.get(&person)?.rtt_ms;
        (rtt_ms > 0).then(|| Duration::from_millis(rtt_ms.into()))
    }

    /// Whether this member's uplink or CPU does not serve everybody, by its own word.
    pub fn is_weak(&self, person: Person) -> bool {
        let told = self.reports.get(&person).is_some_and(|received| received.report.resources.weak);
        if person == self.me.person() { self.resources.weak } else { told }
    }

    /// Whether our own stream goes directly to this member.
    pub fn sends_to(&self, to: Person) -> bool {
        !self.spared.contains(&to)
    }

    /// The latest sign of life of somebody, seen by ourselves or told by others of themselves. A teller adds the time for
    /// which it has heard nothing itself, so nobody lives on by hearsay.
    pub fn last_sign(&self, person: Person) -> Option<Instant> {
        let own = self.ears.get(&person).and_then(|ear| ear.last_packet);
        let tag = Tag::of(self.group, person);
        let first_hand = self.reports.iter().filter(|(teller, received)| **teller != person && received.first_hand);
        let told = first_hand.filter_map(|(_, received)| {
            let age = received.report.hears.get(&tag)?.age?;
            received.at.checked_sub(age)
        });
        told.chain(own).max()
    }

    /// The digest of everybody's roster, where it is known.
    pub fn digest_of(&self, person: Person) -> Option<RosterDigest> {
        self.reports.get(&person).map(|received| received.report.digest)
    }
}

/// Inside.
impl Hearing {
    fn at_least(&self) -> Duration {
        if self.resources.weak { self.rules.every } else { self.rules.at_least }
    }

    fn report(&mut self, hears: BTreeMap<Tag, Heard>, now: Instant) {
        let me = self.me.person();
        let tag = |person: Person| Tag::of(self.group, person);
        self.seq = self.seq.saturating_add(1);
        let report = Report {
            from: me,
            seq: self.seq,
            digest: self.digest,
            resources: self.resources,
            hears,
            carries: self.plan.streams_of(me).map(|(from, to)| (tag(from), tag(to))).collect(),
            failed: self.failed(now),
            signature: [0; 64],
        };
        let report = Report::sign(&self.me, self.group, report);
        self.reports.insert(me, Received { report, at: now, first_hand: true });
        (self.last_report, self.pressing, self.due) = (Some(now), false, true);
        self.replan(now);
    }

    fn told(&self, now: Instant) -> BTreeMap<Tag, Heard> {
        let told = self.ears.iter().filter_map(|(person, ear)| {
            let since = |at: Instant| now.saturating_duration_since(at);
            let comes = ear.last_packet.is_some_and(|last| since(last) < self.rules.silence);
            let direct = comes && !self.parted.contains(person);
            let waited = ear.present_since.is_some_and(|at| since(at) >= self.rules.patience);
            // Not heard yet, and the link may still be on its way.
            if ear.last_packet.is_none() && !waited && ear.via.is_none() {
                return None;
            }
            let via = ear.via.filter(|(_, at)| since(*at) < self.rules.silence).map(|(by, _)| Tag::of(self.group, by));
            let steady = direct && ear.heard_since.is_some_and(|at| since(at) >= self.rules.settle);
            let age = ear.last_packet.map(since).filter(|age| *age <= MAX_AGE);
            let told = Heard { direct, steady, via, age, loss: ear.loss, rtt_ms: ear.rtt_ms };
            Some((Tag::of(self.group, *person), told))
        });
        told.collect()
    }

    fn failed(&self, now: Instant) -> Vec<(Tag, Tag)> {
        let tag = |person: Person| Tag::of(self.group, person);
        let failed = self.ears.iter().flat_map(|(person, ear)| {
            let held = ear.failed.iter().filter(|(_, until)| **until > now);
            held.map(|(helper, _)| (tag(*person), tag(*helper)))
        });
        failed.take(MAX_FAILED).collect()
    }

    /// Notices helpers that do not deliver to us. True if there is one.
    fn blame(&mut self, now: Instant) -> bool {
        let mut blamed = false;
        for ear in self.ears.values_mut() {
            ear.failed.retain(|_, until| *until > now);
            let Some((helper, since)) = ear.expected else { continue };
            let delivered = ear.via.filter(|(by, _)| *by == helper).map_or(since, |(_, at)| at.max(since));
            if now.saturating_duration_since(delivered) >= self.rules.delivery {
                ear.failed.insert(helper, now + self.rules.grudge);
                ear.expected = None;
                blamed = true;
            }
        }
        self.pressing |= blamed;
        blamed
    }

    /// True if there was one.
    fn forget_old_reports(&mut self, now: Instant) -> bool {
        let (me, validity, before) = (self.me.person(), self.rules.validity, self.reports.len());
        let is_valid = |received: &Received| now.saturating_duration_since(received.at) < validity;
        let (present, reports) = (&self.present, &mut self.reports);
        reports.retain(|person, received| present.contains(person) && (*person == me || is_valid(received)));
        self.reports.len() != before
    }

    /// Makes the plan anew and tells what is different for us.
    fn replan(&mut self, now: Instant) {
        let me = self.me.person();
        self.forget_old_reports(now);
        let reports = self.reports.iter().map(|(person, received)| (*person, &received.report));
        let sight = Sight::new(self.group, &self.present, reports);
        let plan = Plan::of(&sight);
        let paths = paths(&sight, &self.present, self.group);
        let spared = spared(me, &plan, &paths);
        drop(sight);
        self.pressing |= !plan.streams_of(me).eq(self.plan.streams_of(me));
        for (person, ear) in &mut self.ears {
            let helper = plan.streams.get(&(*person, me)).copied().filter(|helper| *helper != me);
            if ear.expected.map(|(known, _)| known) != helper {
                ear.expected = helper.map(|helper| (helper, now));
            }
        }
        (self.plan, self.paths, self.spared) = (plan, paths, spared);
    }
}

fn paths(sight: &Sight<'_>, present: &BTreeSet<Person>, group: GroupKey) -> BTreeMap<Direction, Path> {
    let by_tag: BTreeMap<Tag, Person> = present.iter().map(|person| (Tag::of(group, *person), *person)).collect();
    let directions = present.iter().flat_map(|from| present.iter().map(move |to| (*from, *to)));
    let path = |(from, to): Direction| {
        let hearing = sight.hearing(from, to)?;
        let via = hearing.via.and_then(|tag| by_tag.get(&tag));
        Some(match via {
            Some(via) => Path::Via(*via),
            None if hearing.direct => Path::Direct,
            None => Path::Missing,
        })
    };
    directions.filter(|(from, to)| from != to).filter_map(|it| path(it).map(|path| (it, path))).collect()
}

/// To whom a weak member does not send: those who say that they get its stream from its carrier.
fn spared(me: Person, plan: &Plan, paths: &BTreeMap<Direction, Path>) -> BTreeSet<Person> {
    let Some(carrier) = plan.carriers.get(&me) else { return BTreeSet::new() };
    let brought = plan.streams.iter().filter(|((from, _), by)| *from == me && *by == carrier).map(|((_, to), _)| *to);
    brought.filter(|to| paths.get(&(me, *to)) == Some(&Path::Via(*carrier))).collect()
}
