//! Members, the network between them, and a stand-in for the pairwise calls, in virtual time.

use std::cell::Cell;

use super::*;

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);
/// The pairwise calls: how long a dial that reaches nobody takes, how soon a broken link is noticed, how often it tries
/// to come back, when it gives up.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
const INTERRUPTED_AFTER: Duration = Duration::from_secs(2);
const REJOIN_EVERY: Duration = Duration::from_secs(3);
const LOST_AFTER: Duration = Duration::from_secs(30);

/// Deterministic: SplitMix64.
pub struct Dice(Cell<u64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    pub fn roll(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut z = self.0.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }

    pub fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// One side of a pairwise call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    None,
    Calling {
        since: Instant,
    },
    /// Rings here; the human has not decided.
    Ringing,
    /// Answered, and on its way.
    Making,
    Up,
    Interrupted {
        since: Instant,
        next_try: Instant,
    },
}

enum Parcel {
    Dial { from: usize, to: usize, attempt: u64, message: Vec<u8> },
    Say { from: usize, to: usize, message: Vec<u8>, over_link: bool },
    Up { who: usize, peer: usize, attempt: u64 },
    Closed { who: usize, peer: usize, attempt: u64, why: EndReason },
    Accept { who: usize },
}

pub const STRONG: Resources = Resources { spare_kbps: 1000, cpu_free: 80, slots: 12, weak: false };

pub type Tamper = Box<dyn FnMut(usize, usize, &mut GroupMessage)>;

pub struct Sim {
    pub now: Instant,
    pub start: Instant,
    pub dice: Dice,
    pub keys: Vec<PersonKey>,
    pub calls: Vec<Option<GroupCall>>,
    pub limits: GroupLimits,
    /// What each profile has stored, for coming back.
    pub stored: Vec<Vec<Entry>>,
    pub events: Vec<Vec<(Duration, GroupEvent)>>,
    pub sides: BTreeMap<(usize, usize), Side>,
    /// Which pairwise call each side is of.
    attempts: BTreeMap<(usize, usize), u64>,
    /// Directions that nothing passes.
    pub cut: BTreeSet<(usize, usize)>,
    pub latency: Duration,
    pub jitter_ms: usize,
    /// Of messages over links and sessions, percent.
    pub loss: usize,
    pub doubled: usize,
    /// From the answer until the link is up.
    pub set_up: Duration,
    /// How long humans think; `None`: they do not answer.
    pub humans: Option<Duration>,
    pub decliners: BTreeSet<usize>,
    /// Pairwise calls end at once when nothing arrives, instead of trying to come back.
    pub brittle: bool,
    pub tamper: Tamper,
    /// What each machine has to spare.
    pub resources: Vec<Resources>,
    /// Members on whose lines no link comes about while more than two are made.
    pub narrow: BTreeSet<usize>,
    /// Helpers that say that they carry, and do not.
    pub lazy: BTreeSet<usize>,
    carries: BTreeSet<(usize, usize, usize)>,
    wire: BTreeMap<(Instant, u64), Parcel>,
    last_heard: BTreeMap<(usize, usize), Instant>,
    serial: u64,
    /// Messages and their bytes that members sent over links.
    pub sent: Vec<(usize, usize)>,
}

pub const GROUP: [u8; 16] = [7; 16];

impl Sim {
    /// Nobody is in the group but its creator, 0.
    pub fn new(people: usize, seed: u64) -> Self {
        let now = any_instant();
        let keys: Vec<PersonKey> = (0..people).map(key).collect();
        let mut sim = Self {
            now,
            start: now,
            dice: Dice::new(seed),
            calls: (0..people).map(|_| None).collect(),
            limits: GroupLimits::default(),
            stored: vec![Vec::new(); people],
            events: vec![Vec::new(); people],
            sides: BTreeMap::new(),
            attempts: BTreeMap::new(),
            cut: BTreeSet::new(),
            latency: 40 * MS,
            jitter_ms: 0,
            loss: 0,
            doubled: 0,
            set_up: 400 * MS,
            humans: Some(SECOND),
            decliners: BTreeSet::new(),
            brittle: false,
            tamper: Box::new(|_, _, _| {}),
            resources: vec![STRONG; people],
            narrow: BTreeSet::new(),
            lazy: BTreeSet::new(),
            carries: BTreeSet::new(),
            wire: BTreeMap::new(),
            last_heard: BTreeMap::new(),
            serial: 0,
            sent: vec![(0, 0); people],
            keys,
        };
        sim.calls[0] = Some(GroupCall::start(
            sim.keys[0].clone(),
            sim.group(),
            Some("Creator"),
            sim.limits,
            sim.unix_ms(),
            sim.now,
        ));
        sim.drain(0);
        sim
    }

    /// Somebody else, who knows nothing of the group.
    pub fn add_person(&mut self) {
        self.keys.push(key(self.keys.len()));
        self.calls.push(None);
        self.stored.push(Vec::new());
        self.events.push(Vec::new());
        self.sent.push((0, 0));
        self.resources.push(STRONG);
    }

    /// The first `people` are in one call; links are up.
    pub fn talking(people: usize, seed: u64) -> Self {
        let mut sim = Self::new(people, seed);
        for who in 1..people {
            sim.invite(0, who);
        }
        sim.run(5 * SECOND);
        sim.expect_one_call(&(0..people).collect::<Vec<_>>());
        sim.events.iter_mut().for_each(Vec::clear);
        sim
    }

    pub fn group(&self) -> GroupKey {
        GroupKey { id: GroupId::from_bytes(GROUP), creator: self.keys[0].person() }
    }

    pub fn person(&self, who: usize) -> Person {
        self.keys[who].person()
    }

    pub fn number(&self, person: Person) -> Option<usize> {
        self.keys.iter().position(|key| key.person() == person)
    }

    pub fn call(&mut self, who: usize) -> &mut GroupCall {
        self.calls[who].as_mut().expect("runs")
    }

    pub fn unix_ms(&self) -> u64 {
        1_800_000_000_000 + self.now.duration_since(self.start).as_millis() as u64
    }

    pub fn elapsed(&self) -> Duration {
        self.now.duration_since(self.start)
    }

    pub fn invite(&mut self, who: usize, whom: usize) {
        let (person, now) = (self.person(whom), self.now);
        self.call(who).invite(person, Some(&format!("Member {whom}")), now).unwrap();
        self.drain(who);
    }

    pub fn leave(&mut self, who: usize) {
        let now = self.now;
        self.call(who).leave(now);
        self.drain(who);
    }

    /// kill -9: nothing is said to anybody.
    pub fn crash(&mut self, who: usize) {
        self.calls[who] = None;
        self.sides.retain(|(a, _), _| *a != who);
        self.attempts.retain(|(a, _), _| *a != who);
        self.carries.retain(|(helper, ..)| *helper != who);
    }

    /// The program starts again, with what it had stored.
    pub fn resume(&mut self, who: usize) {
        let call = GroupCall::resume(
            self.keys[who].clone(),
            self.group(),
            &self.stored[who],
            self.limits,
            self.unix_ms(),
            self.now,
        );
        self.calls[who] = Some(call.expect("is on the stored roster"));
        self.drain(who);
    }

    pub fn cut_both(&mut self, a: usize, b: usize) {
        self.cut.extend([(a, b), (b, a)]);
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Lets time pass until something is so; fails if it is not within `limit`. How long it took.
    pub fn run_until(&mut self, limit: Duration, what: &str, mut so: impl FnMut(&Self) -> bool) -> Duration {
        let begin = self.now;
        while !so(self) {
            let took = self.now.duration_since(begin);
            assert!(took < limit, "{what}: not within {limit:?}\n{}", self.describe());
            self.step();
        }
        let took = self.now.duration_since(begin);
        println!("{what}: after {took:?} ({} people)", self.keys.len());
        took
    }

    pub fn step(&mut self) {
        self.now += STEP;
        while let Some(((at, _), _)) = self.wire.first_key_value() {
            if *at > self.now {
                break;
            }
            let (_, parcel) = self.wire.pop_first().unwrap();
            self.deliver(parcel);
        }
        let since = self.elapsed().as_millis();
        if since.is_multiple_of(100) {
            self.media();
            self.tend_links();
        }
        for who in 0..self.calls.len() {
            let Some(call) = self.calls[who].as_mut() else { continue };
            let mut rounds = 0;
            while let Some((at, what)) = call.poll_timeout().filter(|(at, _)| *at <= self.now) {
                call.handle_timeout(self.now);
                rounds += 1;
                assert!(rounds < 20, "{what} is due since {:?} and stays so", self.now.duration_since(at));
            }
            self.drain(who);
        }
    }

    fn passes(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }

    fn reachable(&self, a: usize, b: usize) -> bool {
        self.passes(a, b) && self.passes(b, a) && self.calls[b].is_some()
    }

    pub fn side(&self, who: usize, peer: usize) -> Side {
        self.sides.get(&(who, peer)).copied().unwrap_or(Side::None)
    }

    fn post(&mut self, delay: Duration, parcel: Parcel) {
        self.serial += 1;
        let jitter = Duration::from_millis(self.dice.below(self.jitter_ms + 1) as u64);
        self.wire.insert((self.now + delay + jitter, self.serial), parcel);
    }

    fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Dial { from, to, attempt, message } => {
                if self.attempt(from, to) == attempt {
                    self.dialled(from, to, &message);
                }
            }
            Parcel::Say { from, to, message, over_link } => {
                let linked = self.side(to, from) == Side::Up;
                if !self.passes(from, to) || (over_link && !linked) {
                    return;
                }
                let Ok(message) = GroupMessage::decode(&message) else { return };
                let (person, now) = (self.person(from), self.now);
                let Some(call) = self.calls[to].as_mut() else {
                    if let Body::Knock { .. } = message.body {
                        self.knock_failed(from, to);
                    }
                    // Only an invitation over a call that runs finds a program without the group.
                    if matches!(message.body, Body::Invite(_)) && over_link {
                        self.invited(from, to, &message);
                        self.call(to).adopt(person, now);
                        self.drain(to);
                    }
                    return;
                };
                let _ = call.handle_message(person, message, now);
                self.drain(to);
            }
            // What is of an earlier call says nothing of the one that has begun since.
            Parcel::Up { who, peer, attempt } | Parcel::Closed { who, peer, attempt, .. }
                if self.attempt(who, peer) != attempt => {}
            Parcel::Up { who, peer, .. } => self.up(who, peer),
            Parcel::Closed { who, peer, why, .. } => self.closed(who, peer, why),
            Parcel::Accept { who } => {
                let now = self.now;
                let declines = self.decliners.contains(&who);
                let Some(call) = self.calls[who].as_mut() else { return };
                if declines {
                    call.decline();
                } else {
                    call.accept(now);
                }
                self.drain(who);
            }
        }
    }

    /// A pairwise INVITE arrives.
    fn dialled(&mut self, from: usize, to: usize, message: &[u8]) {
        let Side::Calling { since } = self.side(from, to) else { return };
        if !self.passes(from, to) || !self.passes(to, from) {
            let left = (since + DIAL_TIMEOUT).saturating_duration_since(self.now);
            return self.post_end(left, from, to, EndReason::Unreachable);
        }
        // Both dial: the lower key's INVITE wins, as in the switchboard.
        if matches!(self.side(to, from), Side::Calling { .. }) && self.person(to) < self.person(from) {
            return;
        }
        let Ok(message) = GroupMessage::decode(message) else { return };
        let (person, now) = (self.person(from), self.now);
        if self.calls[to].is_none() && matches!(message.body, Body::Ring(_)) {
            // Has crashed.
            let left = (since + DIAL_TIMEOUT).saturating_duration_since(now);
            return self.post_end(left, from, to, EndReason::Unreachable);
        }
        let reply = match self.calls[to].as_mut() {
            Some(call) if !matches!(call.state(), GroupState::Left(_)) => call.handle_ring(person, &message, now),
            Some(_) | None if matches!(message.body, Body::Invite(_)) && self.humans.is_some() => {
                self.invited(from, to, &message);
                self.call(to).handle_ring(person, &message, now)
            }
            Some(_) | None => RingReply::Refuse(GroupRefusal::NotForUs),
        };
        match reply {
            RingReply::Answer => {
                self.join_attempt(to, from);
                self.sides.insert((to, from), Side::Making);
                self.make_link(from, to);
            }
            RingReply::Wait => {
                self.join_attempt(to, from);
                self.sides.insert((to, from), Side::Ringing);
            }
            RingReply::Refuse(_) => {
                self.post_end(self.latency, from, to, EndReason::Declined);
            }
        }
        self.drain(to);
    }

    fn invited(&mut self, from: usize, to: usize, message: &GroupMessage) {
        let (me, by, unix_ms, now) = (self.keys[to].clone(), self.person(from), self.unix_ms(), self.now);
        match GroupCall::invited(me, by, message, self.limits, unix_ms, now) {
            Ok(call) => self.calls[to] = Some(call),
            Err(why) => panic!("{from} cannot invite {to}: {why}"),
        }
    }

    fn knock_failed(&mut self, who: usize, asked: usize) {
        let (person, now) = (self.person(asked), self.now);
        if let Some(call) = self.calls[who].as_mut() {
            call.knock_failed(person, now);
            self.drain(who);
        }
    }

    fn make_link(&mut self, a: usize, b: usize) {
        for (who, peer) in [(a, b), (b, a)] {
            self.post_up(self.latency + self.set_up, who, peer);
        }
    }

    /// It is the call that the other has begun.
    fn join_attempt(&mut self, who: usize, caller: usize) {
        let attempt = self.attempt(caller, who);
        self.attempts.insert((who, caller), attempt);
    }

    fn attempt(&self, who: usize, peer: usize) -> u64 {
        self.attempts.get(&(who, peer)).copied().unwrap_or_default()
    }

    fn post_up(&mut self, delay: Duration, who: usize, peer: usize) {
        let attempt = self.attempt(who, peer);
        self.post(delay, Parcel::Up { who, peer, attempt });
    }

    /// Tells `who` that the call with `peer` is over, if it is still the one that it is now.
    fn post_end(&mut self, delay: Duration, who: usize, peer: usize, why: EndReason) {
        let attempt = self.attempt(who, peer);
        self.post(delay, Parcel::Closed { who, peer, attempt, why });
    }

    fn up(&mut self, who: usize, peer: usize) {
        if self.calls[who].is_none() || !self.reachable(who, peer) || self.side(who, peer) == Side::None {
            return self.closed(who, peer, EndReason::Unreachable);
        }
        let other_is_up = self.side(peer, who) == Side::Up;
        if !other_is_up && [who, peer].iter().any(|end| self.narrow.contains(end) && self.links_begun(*end) > 2) {
            return self.post_up(self.set_up, who, peer);
        }
        self.sides.insert((who, peer), Side::Up);
        self.last_heard.insert((who, peer), self.now);
        self.tell_link(who, peer, MeshLink::Up);
    }

    /// Links of this member that are not up yet.
    fn links_begun(&self, who: usize) -> usize {
        let begun = |side: &Side| matches!(side, Side::Calling { .. } | Side::Making);
        self.sides.iter().filter(|((end, _), side)| *end == who && begun(side)).count()
    }

    /// Links of this member that are up.
    pub fn links(&self, who: usize) -> usize {
        self.sides.iter().filter(|((end, _), side)| *end == who && **side == Side::Up).count()
    }

    fn closed(&mut self, who: usize, peer: usize, why: EndReason) {
        let was = self.sides.remove(&(who, peer));
        if was.is_some_and(|side| side != Side::None) {
            self.tell_link(who, peer, MeshLink::Closed(why));
        }
    }

    pub fn tell_link(&mut self, who: usize, peer: usize, change: MeshLink) {
        let (person, now) = (self.person(peer), self.now);
        let Some(call) = self.calls[who].as_mut() else { return };
        call.handle_link(person, change, now);
        self.drain(who);
    }

    /// What the engine does after each input.
    pub fn drain(&mut self, who: usize) {
        loop {
            let Some(call) = self.calls[who].as_mut() else { return };
            if let Some(transmit) = call.poll_transmit() {
                self.transmit(who, transmit);
            } else if let Some(event) = call.poll_event() {
                self.events[who].push((self.now.duration_since(self.start), event.clone()));
                self.obey(who, event);
            } else {
                return;
            }
        }
    }

    fn transmit(&mut self, from: usize, transmit: GroupTransmit) {
        let GroupTransmit { to, mut message, route } = transmit;
        let Some(to) = self.number(to) else { return };
        (self.tamper)(from, to, &mut message);
        let bytes = message.encode();
        assert!(bytes.len() <= MAX_GROUP_MESSAGE_BYTES, "{} of {} bytes", message.body.kind(), bytes.len());
        match route {
            GroupRoute::Call => {
                self.sides.insert((from, to), Side::Calling { since: self.now });
                self.serial += 1;
                let attempt = self.serial;
                self.attempts.insert((from, to), attempt);
                self.post(self.latency, Parcel::Dial { from, to, attempt, message: bytes });
            }
            GroupRoute::Link | GroupRoute::Session => {
                let over_link = route == GroupRoute::Link;
                if over_link {
                    assert_ne!(self.side(from, to), Side::None, "{} over no link", message.body.kind());
                    self.sent[from].0 += 1;
                    self.sent[from].1 += bytes.len();
                }
                let copies = 1 + usize::from(self.dice.chance(self.doubled));
                for _ in 0..copies {
                    // Sessions are streams: they lose nothing, or everything.
                    if !over_link || !self.dice.chance(self.loss) {
                        self.post(self.latency, Parcel::Say { from, to, message: bytes.clone(), over_link });
                    }
                }
            }
        }
    }

    fn obey(&mut self, who: usize, event: GroupEvent) {
        match event {
            GroupEvent::Answer(person) => {
                let Some(peer) = self.number(person) else { return };
                if self.side(who, peer) == Side::Ringing && matches!(self.side(peer, who), Side::Calling { .. }) {
                    self.sides.insert((who, peer), Side::Making);
                    self.make_link(who, peer);
                }
            }
            GroupEvent::Decline(person) | GroupEvent::CloseLink(person) => {
                let Some(peer) = self.number(person) else { return };
                self.sides.remove(&(who, peer));
                let why = if matches!(event, GroupEvent::Decline(_)) { EndReason::Declined } else { EndReason::HangUp };
                let attempt = self.attempts.remove(&(who, peer)).unwrap_or_default();
                if self.passes(who, peer) {
                    // Behind what was said before.
                    let delay = self.latency + Duration::from_millis(self.jitter_ms as u64 + 1);
                    self.post(delay, Parcel::Closed { who: peer, peer: who, attempt, why });
                }
            }
            GroupEvent::RosterChanged => {
                if let Some(call) = &self.calls[who] {
                    self.stored[who] = call.roster().entries(Some(self.keys[who].person()));
                }
            }
            GroupEvent::Hearing(HearingEvent::Carry { from, to }) => {
                let (from, to) = (self.number(from).unwrap(), self.number(to).unwrap());
                self.carries.insert((who, from, to));
            }
            GroupEvent::Hearing(HearingEvent::StopCarrying { from, to }) => {
                let (from, to) = (self.number(from).unwrap(), self.number(to).unwrap());
                assert!(self.carries.remove(&(who, from, to)), "stops what it has begun");
            }
            GroupEvent::Left(_) => {
                self.carries.retain(|(helper, ..)| *helper != who);
            }
            GroupEvent::Invited { .. } => {
                if let Some(humans) = self.humans {
                    self.post(humans, Parcel::Accept { who });
                }
            }
            GroupEvent::Joined
            | GroupEvent::Added { .. }
            | GroupEvent::Came(_)
            | GroupEvent::Gone(_)
            | GroupEvent::Removed { .. }
            | GroupEvent::NotComing { .. }
            | GroupEvent::Hearing(HearingEvent::Path { .. } | HearingEvent::SendTo { .. }) => {}
        }
    }

    /// Whether packets of `from` get to `to` directly now.
    pub fn flows(&self, from: usize, to: usize) -> bool {
        let up = |side| side == Side::Up;
        self.calls[from].is_some() && self.passes(from, to) && up(self.side(from, to)) && up(self.side(to, from))
    }

    /// Whether the voice of `from` gets to `to` now, by whatever way.
    pub fn is_heard(&self, from: usize, to: usize) -> bool {
        let directly = self.flows(from, to)
            && self.calls[from].as_ref().is_some_and(|call| call.hearing().sends_to(self.person(to)));
        let through = |helper: usize| {
            !self.lazy.contains(&helper)
                && self.carries.contains(&(helper, from, to))
                && self.flows(from, helper)
                && self.flows(helper, to)
        };
        directly || (0..self.keys.len()).any(through)
    }

    /// Streams that this member carries for others.
    pub fn carried_by(&self, who: usize) -> usize {
        self.carries.iter().filter(|(helper, ..)| *helper == who).count()
    }

    fn media(&mut self) {
        let people = self.keys.len();
        for who in 0..people {
            let (resources, now) = (self.resources[who], self.now);
            if let Some(call) = self.calls[who].as_mut() {
                call.set_resources(resources, now);
                self.drain(who);
            }
        }
        for (from, to) in (0..people).flat_map(|from| (0..people).map(move |to| (from, to))) {
            if from != to && self.flows(from, to) && self.calls[to].is_some() {
                let (person, now, rtt) = (self.person(from), self.now, 2 * self.latency);
                self.last_heard.insert((to, from), now);
                self.call(to).heard(person, now);
                self.call(to).measured(person, 0.0, Some(rtt));
            }
        }
        for (helper, from, to) in self.carries.clone() {
            let works = !self.lazy.contains(&helper) && self.calls[to].is_some();
            if works && self.flows(from, helper) && self.flows(helper, to) {
                let (speaker, by, now) = (self.person(from), self.person(helper), self.now);
                self.call(to).heard_via(speaker, by, now);
            }
        }
    }

    /// What the pairwise calls do about links that have fallen silent.
    fn tend_links(&mut self) {
        for ((who, peer), side) in self.sides.clone() {
            let silent = self.last_heard.get(&(who, peer)).is_none_or(|at| self.now - *at >= INTERRUPTED_AFTER);
            match side {
                Side::Up if silent && self.brittle => self.closed(who, peer, EndReason::ConnectionLost),
                Side::Up if silent => {
                    let interrupted = Side::Interrupted { since: self.now, next_try: self.now + REJOIN_EVERY };
                    self.sides.insert((who, peer), interrupted);
                    self.tell_link(who, peer, MeshLink::Interrupted);
                }
                Side::Interrupted { since, .. } if self.now - since >= LOST_AFTER => {
                    self.closed(who, peer, EndReason::ConnectionLost);
                }
                Side::Interrupted { since, next_try } if next_try <= self.now => {
                    let has_call = matches!(self.side(peer, who), Side::Up | Side::Interrupted { .. });
                    if self.reachable(who, peer) && !has_call {
                        // They believe in a call that is over there.
                        self.closed(who, peer, EndReason::ConnectionLost);
                    } else {
                        if self.reachable(who, peer) {
                            self.make_link(who, peer);
                        }
                        let next_try = self.now + REJOIN_EVERY;
                        self.sides.insert((who, peer), Side::Interrupted { since, next_try });
                    }
                }
                Side::Up
                | Side::Interrupted { .. }
                | Side::None
                | Side::Calling { .. }
                | Side::Ringing
                | Side::Making => {}
            }
        }
    }
}

/// What is so.
impl Sim {
    pub fn roster_people(&self, who: usize) -> Vec<usize> {
        let call = self.calls[who].as_ref().expect("runs");
        let mut people: Vec<usize> = call.roster().members().filter_map(|member| self.number(member.person)).collect();
        people.sort_unstable();
        people
    }

    /// All of these are in, on equal rosters, see each other here, and have links with each other.
    pub fn is_one_call(&self, people: &[usize]) -> bool {
        let Some(first) = self.calls[people[0]].as_ref() else { return false };
        people.iter().all(|who| {
            let Some(call) = self.calls[*who].as_ref() else { return false };
            let peers = || people.iter().filter(|peer| *peer != who);
            let here = |peer: &usize| {
                let person = self.person(*peer);
                call.members().any(|view| view.person == person && view.presence == Presence::Here && view.linked)
            };
            call.state() == GroupState::In
                && call.roster() == first.roster()
                && call.size() == people.len()
                && peers().all(here)
                && peers().all(|peer| self.side(*who, *peer) == Side::Up)
        })
    }

    pub fn expect_one_call(&self, people: &[usize]) {
        assert!(self.is_one_call(people), "no one call of {people:?}\n{}", self.describe());
    }

    /// As [`Sim::expect_one_call`], but the rosters name others too.
    pub fn expect_one_call_among(&self, people: &[usize]) {
        for who in people {
            let call = self.calls[*who].as_ref().expect("runs");
            assert_eq!(call.size(), people.len(), "{who}\n{}", self.describe());
            let linked = |peer: &usize| peer == who || self.side(*who, *peer) == Side::Up;
            assert!(people.iter().all(linked), "{who}\n{}", self.describe());
        }
    }

    pub fn everybody_hears(&self, people: &[usize]) -> bool {
        let pairs = people.iter().flat_map(|from| people.iter().map(move |to| (*from, *to)));
        pairs.filter(|(from, to)| from != to).all(|(from, to)| self.is_heard(from, to))
    }

    pub fn has_event(&self, who: usize, wanted: &GroupEvent) -> bool {
        self.events[who].iter().any(|(_, event)| event == wanted)
    }

    pub fn describe(&self) -> String {
        let mut text = format!("at {:?}\n", self.elapsed());
        for (who, call) in self.calls.iter().enumerate() {
            let Some(call) = call else {
                text += &format!("{who}: not running\n");
                continue;
            };
            let view = |view: MemberView| {
                let number = self.number(view.person).map_or("?".into(), |number| number.to_string());
                let side = self.number(view.person).map(|peer| self.side(who, peer));
                format!("{number}:{:?}{} {side:?}", view.presence, if view.linked { "+" } else { "" })
            };
            let members: Vec<String> = call.members().map(view).collect();
            text +=
                &format!("{who}: {:?} {:02x?} [{}]\n", call.state(), &call.roster().digest()[..3], members.join(", "));
        }
        text
    }
}
