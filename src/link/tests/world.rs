//! Two link cores and the network between them, in virtual time: nothing sleeps, and the same seed loses the same packets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::base::{IncomingPacket, MediaTime, OutgoingPacket, PayloadKind, SeqNo};
use crate::link::api::LinkEvent;
use crate::link::config::{LinkConfig, Role};
use crate::link::core::Core;

/// What the network does to every datagram.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub delay: Duration,
    /// Probability of loss, each way.
    pub loss: f64,
}

/// Index of an end; the offerer is the callee.
pub const OFFERER: usize = 0;
pub const ANSWERER: usize = 1;

pub struct World {
    pub ends: [Core; 2],
    pub events: [Vec<LinkEvent>; 2],
    pub audio: [Vec<IncomingPacket>; 2],
    pub now: Instant,
    pub weather: Weather,
    /// Datagrams that left either end.
    pub sent: usize,
    addresses: [SocketAddr; 2],
    /// Due instant and order of departure, to the end and the datagram.
    in_flight: BinaryHeap<Reverse<(Instant, usize)>>,
    datagrams: BTreeMap<usize, (usize, SocketAddr, Vec<u8>)>,
    random: u64,
    wake: [Option<Instant>; 2],
}

impl World {
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self::with_configs(seed, weather, LinkConfig::new)
    }

    pub fn with_configs(seed: u64, weather: Weather, config: impl Fn(Role) -> LinkConfig) -> Self {
        let now = Instant::now();
        let addresses = ["192.0.2.1:4000".parse().unwrap(), "198.51.100.1:4000".parse().unwrap()];
        let end = |role, address, ssrc| Core::new(&config(role), vec![address], ssrc, now).unwrap();
        Self {
            ends: [end(Role::Offerer, addresses[0], 1), end(Role::Answerer, addresses[1], 2)],
            events: Default::default(),
            audio: Default::default(),
            now,
            weather,
            sent: 0,
            addresses,
            in_flight: BinaryHeap::new(),
            datagrams: BTreeMap::new(),
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            wake: [None; 2],
        }
    }

    /// Exchanges the descriptions without delay.
    pub fn negotiate(&mut self) {
        self.settle();
        let offer = self.ends[OFFERER].create_offer(self.now).unwrap();
        let answer = self.ends[ANSWERER].accept_offer(&offer.sdp, self.now).unwrap();
        self.ends[OFFERER].accept_answer(&answer.sdp, self.now).unwrap();
        self.settle();
    }

    /// From now on an end has another address; what is sent to the old one is lost.
    pub fn move_to(&mut self, end: usize, address: &str) {
        self.addresses[end] = address.parse().unwrap();
    }

    pub fn forget_events(&mut self) {
        self.events = Default::default();
    }

    /// Begins anew, with descriptions and candidates exchanged without delay; `moved`: who has another address.
    pub fn restart(&mut self, moved: [bool; 2]) {
        let bases = |end: usize| moved[end].then(|| vec![self.addresses[end]]);
        let offer = self.ends[OFFERER].restart(bases(OFFERER), self.now).unwrap();
        let answer = self.ends[ANSWERER].accept_restart(&offer.sdp, bases(ANSWERER), self.now).unwrap();
        self.ends[OFFERER].accept_answer(&answer.sdp, self.now).unwrap();
        self.settle();
        for end in [OFFERER, ANSWERER] {
            for event in self.events[end].clone() {
                if let LinkEvent::Candidate(line) = event {
                    self.ends[1 - end].add_candidate(&line).unwrap();
                }
            }
        }
        self.settle();
    }

    /// Runs until both ends have seen the event, or for `limit`; how long it took.
    pub fn run_until(&mut self, limit: Duration, wanted: impl Fn(&LinkEvent) -> bool) -> Option<Duration> {
        let began = self.now;
        while !self.events.iter().all(|events| events.iter().any(&wanted)) {
            if self.now - began > limit || !self.step() {
                return None;
            }
        }
        Some(self.now - began)
    }

    /// Runs until one end has seen the event, or for `limit`; how long it took.
    pub fn run_until_at(
        &mut self,
        end: usize,
        limit: Duration,
        wanted: impl Fn(&LinkEvent) -> bool,
    ) -> Option<Duration> {
        let began = self.now;
        while !self.events[end].iter().any(&wanted) {
            if self.now - began > limit || !self.step() {
                return None;
            }
        }
        Some(self.now - began)
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next_instant().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
        self.settle();
    }

    /// Hands a datagram to an end as if it came from anywhere.
    pub fn inject(&mut self, to: usize, from: SocketAddr, datagram: &[u8]) {
        let now = self.now;
        self.ends[to].handle_datagram(0, from, datagram, now);
        self.settle();
    }

    pub fn address(&self, end: usize) -> SocketAddr {
        self.addresses[end]
    }

    /// Moves to the next instant at which anything happens; false when nothing ever will.
    fn step(&mut self) -> bool {
        let Some(at) = self.next_instant() else { return false };
        self.now = self.now.max(at);
        while let Some(Reverse((due, id))) = self.in_flight.peek().copied() {
            if due > self.now {
                break;
            }
            self.in_flight.pop();
            let (to, from, datagram) = self.datagrams.remove(&id).unwrap();
            self.ends[to].handle_datagram(0, from, &datagram, self.now);
        }
        self.settle();
        true
    }

    fn next_instant(&self) -> Option<Instant> {
        let arrival = self.in_flight.peek().map(|Reverse((due, _))| *due);
        arrival.into_iter().chain(self.wake.into_iter().flatten()).min()
    }

    /// Drains both ends and puts what they send on its way.
    pub fn settle(&mut self) {
        for end in [OFFERER, ANSWERER] {
            self.wake[end] = self.ends[end].drain(self.now);
            while let Some(transmit) = self.ends[end].poll_transmit() {
                self.sent += 1;
                let to = 1 - end;
                let lost = self.chance() < self.weather.loss || transmit.to != self.addresses[to];
                if !lost {
                    self.datagrams.insert(self.sent, (to, self.addresses[end], transmit.payload.to_vec()));
                    self.in_flight.push(Reverse((self.now + self.weather.delay, self.sent)));
                }
            }
            self.audio[end].extend(std::iter::from_fn(|| self.ends[end].poll_audio()));
            self.events[end].extend(std::iter::from_fn(|| self.ends[end].poll_event()));
        }
    }

    /// xorshift64*, uniform in 0..1.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

pub fn packet(number: u16, kind: PayloadKind) -> OutgoingPacket {
    OutgoingPacket {
        seq: SeqNo(number),
        media_time: MediaTime(u32::from(number) * 960),
        marker: number == 0,
        kind,
        payload: vec![number as u8; 60].into(),
    }
}
