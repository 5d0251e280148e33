//! Discovery against simulated NATs and servers, in virtual time.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::nat::{NatKind, StunService};

const TRIP: Duration = Duration::from_millis(20);
const LOCAL: [&str; 3] = ["192.168.1.2:5000", "192.168.1.2:5001", "192.168.1.2:5002"];
const OUTSIDE: &str = "198.51.100.7";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A NAT straight from RFC 4787 §4 to §6.
struct SimulatedNat {
    mapping: Mapping,
    filtering: Filtering,
    hairpin: bool,
    /// Idle mappings are forgotten after this time.
    lifetime: Duration,
    entries: Vec<Entry>,
}

struct Entry {
    inside: SocketAddr,
    /// The destination that it was made for.
    first: SocketAddr,
    talked_to: BTreeSet<SocketAddr>,
    used: Instant,
}

impl SimulatedNat {
    fn new(mapping: Mapping, filtering: Filtering) -> Self {
        Self { mapping, filtering, hairpin: false, lifetime: Duration::from_secs(3600), entries: Vec::new() }
    }

    fn outside(index: usize) -> SocketAddr {
        SocketAddr::new(OUTSIDE.parse().unwrap(), 40_000 + index as u16)
    }

    fn send(&mut self, inside: SocketAddr, to: SocketAddr, now: Instant) -> SocketAddr {
        let (mapping, lifetime) = (self.mapping, self.lifetime);
        let serves = |entry: &Entry| {
            let same = match mapping {
                Mapping::EndpointIndependent => true,
                Mapping::AddressDependent => entry.first.ip() == to.ip(),
                Mapping::AddressAndPortDependent => entry.first == to,
            };
            entry.inside == inside && same && now < entry.used + lifetime
        };
        let index = self.entries.iter().position(serves).unwrap_or_else(|| {
            self.entries.push(Entry { inside, first: to, talked_to: BTreeSet::new(), used: now });
            self.entries.len() - 1
        });
        self.entries[index].used = now;
        self.entries[index].talked_to.insert(to);
        Self::outside(index)
    }

    fn receive(&self, from: SocketAddr, to: SocketAddr, now: Instant) -> Option<SocketAddr> {
        let entry = self.entries.get(usize::from(to.port().wrapping_sub(40_000)))?;
        let admitted = match self.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => entry.talked_to.iter().any(|known| known.ip() == from.ip()),
            Filtering::AddressAndPortDependent => entry.talked_to.contains(&from),
        };
        (admitted && now < entry.used + self.lifetime).then_some(entry.inside)
    }
}

struct Server {
    endpoints: Vec<SocketAddr>,
    service: StunService,
    manner: Manner,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// RFC 5780, as far as its addresses go.
    Honest,
    /// RFC 8489 alone: deaf to wishes.
    Plain,
    /// Names another address, and answers from the same one as ever.
    Liar,
    Silent,
}

impl Server {
    fn new(endpoints: &[&str]) -> Self {
        let endpoints: Vec<SocketAddr> = endpoints.iter().map(|text| at(text)).collect();
        Self { service: StunService::new(endpoints.clone()), endpoints, manner: Manner::Honest }
    }

    /// RFC 5780 with two addresses.
    fn full() -> Self {
        Self::new(&["192.0.2.1:3478", "192.0.2.1:3479", "192.0.2.2:3478", "192.0.2.2:3479"])
    }

    fn with(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    fn answer(&self, socket: usize, request: &[u8], from: SocketAddr) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let asked = self.endpoints[socket];
        match self.manner {
            Manner::Silent => None,
            Manner::Plain => Some((asked, from, stun::answer(request, from)?)),
            Manner::Honest | Manner::Liar => {
                let answer = self.service.answer(socket, request, from)?;
                let speaker = if self.manner == Manner::Liar { asked } else { self.endpoints[answer.socket] };
                Some((speaker, answer.to, answer.payload))
            }
        }
    }
}

struct World {
    servers: Vec<Server>,
    nat: Option<SimulatedNat>,
    lifetimes: Vec<Duration>,
    /// Which packets are lost, by number.
    lost: BTreeSet<u64>,
}

impl World {
    fn new(nat: Option<SimulatedNat>, servers: Vec<Server>) -> Self {
        Self { servers, nat, lifetimes: Vec::new(), lost: BTreeSet::new() }
    }

    /// What is found out, and how long that took.
    fn discover(mut self) -> (Option<Seen>, Duration) {
        let start = Instant::now();
        let idle = (0..self.lifetimes.len()).map(|index| SocketAddr::new(at(LOCAL[0]).ip(), 5003 + index as u16));
        let setup = Setup {
            servers: self.servers.iter().map(|server| server.endpoints[0]).collect(),
            sockets: LOCAL.into_iter().map(at).chain(idle).collect(),
            lifetimes: self.lifetimes.clone(),
            timing: Timing::default(),
            seed: [7; 32],
        };
        let sockets = setup.sockets.clone();
        let mut discovery = Discovery::new(setup, start);
        let (mut now, mut number) = (start, 0u64);
        let mut on_the_way: BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Vec<u8>)> = BTreeMap::new();
        while !discovery.is_done() {
            while let Some(Transmit { socket, to, payload }) = discovery.poll_transmit() {
                let local = sockets[socket];
                let from = self.nat.as_mut().map_or(local, |nat| nat.send(local, to, now));
                number += 1;
                if !self.lost.contains(&number) {
                    on_the_way.insert((now + TRIP, number), (from, to, payload));
                }
            }
            let next = on_the_way.keys().next().map(|(at, _)| *at);
            let timeout = discovery.poll_timeout().map(|(at, _)| at);
            now = [next, timeout].into_iter().flatten().min().expect("something is going on").max(now);
            assert!(now < start + Duration::from_secs(600), "it never ends");
            while let Some(entry) = on_the_way.first_entry().filter(|entry| entry.key().0 <= now) {
                let (from, to, payload) = entry.remove();
                let asked = self
                    .servers
                    .iter()
                    .find_map(|server| Some((server, server.endpoints.iter().position(|endpoint| *endpoint == to)?)));
                if let Some((server, socket)) = asked {
                    number += 1;
                    if let Some(reply) = server.answer(socket, &payload, from).filter(|_| !self.lost.contains(&number))
                    {
                        on_the_way.insert((now + TRIP, number), reply);
                    }
                } else if let Some(inside) = self.inside(from, to, now) {
                    let socket = sockets.iter().position(|socket| *socket == inside).unwrap();
                    discovery.handle_input(socket, from, &payload, now);
                }
            }
            discovery.handle_timeout(now);
        }
        (discovery.seen(), now - start)
    }

    /// Where a packet to one of our addresses ends up.
    fn inside(&self, from: SocketAddr, to: SocketAddr, now: Instant) -> Option<SocketAddr> {
        match &self.nat {
            None => Some(to),
            Some(nat) if from.ip() == to.ip() && !nat.hairpin => None,
            Some(nat) => nat.receive(from, to, now),
        }
    }
}

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
const FILTERINGS: [Filtering; 3] =
    [Filtering::EndpointIndependent, Filtering::AddressDependent, Filtering::AddressAndPortDependent];

#[test]
fn a_server_with_two_addresses_tells_everything() {
    for mapping in MAPPINGS {
        for filtering in FILTERINGS {
            let (seen, took) = World::new(Some(SimulatedNat::new(mapping, filtering)), vec![Server::full()]).discover();
            let seen = seen.unwrap();
            assert_eq!((seen.mapping, seen.filtering), (Some(mapping), Some(filtering)));
            assert_eq!((seen.local, seen.public.ip()), (at(LOCAL[0]), OUTSIDE.parse::<IpAddr>().unwrap()));
            assert_eq!(seen.hairpin, Some(false));
            assert!(took < Duration::from_secs(3), "{took:?}");
        }
    }
}

#[test]
fn without_a_nat_all_is_over_in_two_round_trips() {
    let (seen, took) = World::new(None, vec![Server::full()]).discover();
    let seen = seen.unwrap();
    assert_eq!(seen.kind(), NatKind::Open);
    assert_eq!((seen.public, seen.hairpin), (seen.local, None));
    assert_eq!(took, TRIP * 4);
}

#[test]
fn a_server_with_two_ports_tells_what_it_can() {
    let server = || vec![Server::new(&["192.0.2.1:3478", "192.0.2.1:3479"])];
    for (mapping, told) in [
        (Mapping::EndpointIndependent, None),
        (Mapping::AddressDependent, None),
        (Mapping::AddressAndPortDependent, Some(Mapping::AddressAndPortDependent)),
    ] {
        for (filtering, admitted) in [
            (Filtering::EndpointIndependent, Filtering::AddressDependent),
            (Filtering::AddressDependent, Filtering::AddressDependent),
            (Filtering::AddressAndPortDependent, Filtering::AddressAndPortDependent),
        ] {
            let (seen, _) = World::new(Some(SimulatedNat::new(mapping, filtering)), server()).discover();
            assert_eq!(seen.map(|seen| (seen.mapping, seen.filtering)), Some((told, Some(admitted))));
        }
    }
}

#[test]
fn two_plain_servers_tell_the_mapping() {
    let plain = |endpoint| Server::new(&[endpoint]).with(Manner::Plain);
    for (mapping, told) in [
        (Mapping::EndpointIndependent, Mapping::EndpointIndependent),
        (Mapping::AddressDependent, Mapping::AddressAndPortDependent),
        (Mapping::AddressAndPortDependent, Mapping::AddressAndPortDependent),
    ] {
        let nat = SimulatedNat::new(mapping, Filtering::AddressAndPortDependent);
        let servers = vec![plain("192.0.2.1:3478"), plain("192.0.2.9:3478")];
        let (seen, _) = World::new(Some(nat), servers).discover();
        assert_eq!(seen.map(|seen| (seen.mapping, seen.filtering)), Some((Some(told), None)));
    }
    let (alone, _) =
        World::new(Some(SimulatedNat::new(MAPPINGS[0], FILTERINGS[0])), vec![plain("192.0.2.1:3478")]).discover();
    assert_eq!(alone.map(|seen| seen.kind()), Some(NatKind::Unclear));
}

#[test]
fn a_server_that_promises_more_than_it_keeps_spoils_nothing() {
    let nat = SimulatedNat::new(Mapping::EndpointIndependent, Filtering::AddressAndPortDependent);
    let (seen, _) = World::new(Some(nat), vec![Server::full().with(Manner::Liar)]).discover();
    let seen = seen.unwrap();
    assert_eq!((seen.mapping, seen.filtering), (Some(Mapping::EndpointIndependent), None));
}

#[test]
fn a_server_in_the_internet_cannot_point_us_into_our_network() {
    for (server, other, credible) in [
        ("192.0.2.1:3478", "192.0.2.2:3479", true),
        ("192.0.2.1:3478", "192.168.1.1:80", false),
        ("192.0.2.1:3478", "127.0.0.1:80", false),
        ("192.0.2.1:3478", "100.64.0.1:80", false),
        ("192.0.2.1:3478", "[2001:db8::1]:80", false),
        ("[2001:db8::1]:3478", "[fe80::1]:80", false),
        ("127.0.0.1:3478", "127.0.0.1:3479", true),
        ("10.0.0.1:3478", "10.0.0.2:3479", true),
    ] {
        assert_eq!(is_credible(at(server), at(other)), credible, "{server} {other}");
    }
}

#[test]
fn hairpinning_is_found_where_peers_behind_one_nat_would_find_it() {
    for filtering in FILTERINGS {
        for (mapping, works) in [(Mapping::EndpointIndependent, true), (Mapping::AddressAndPortDependent, false)] {
            let nat = SimulatedNat { hairpin: true, ..SimulatedNat::new(mapping, filtering) };
            let (seen, _) = World::new(Some(nat), vec![Server::full()]).discover();
            assert_eq!(seen.and_then(|seen| seen.hairpin), Some(works), "{mapping:?} {filtering:?}");
        }
    }
}

#[test]
fn a_silent_network_is_given_up() {
    let (seen, took) = World::new(None, vec![Server::full().with(Manner::Silent)]).discover();
    assert_eq!((seen, took), (None, Duration::from_millis(4500)));
    let (seen, took) = World::new(None, Vec::new()).discover();
    assert_eq!((seen, took), (None, Duration::ZERO));
}

#[test]
fn a_dead_server_holds_nothing_up() {
    let dead = Server::new(&["192.0.2.9:3478"]).with(Manner::Silent);
    let (seen, took) = World::new(None, vec![dead, Server::full()]).discover();
    assert_eq!(seen.map(|seen| seen.kind()), Some(NatKind::Open));
    assert!(took < Duration::from_millis(700), "{took:?}");
}

#[test]
fn the_lifetime_of_an_idle_mapping_is_bracketed() {
    let seconds = Duration::from_secs;
    let with = |lifetime: u64| {
        let nat = SimulatedNat { lifetime: seconds(lifetime), ..SimulatedNat::new(MAPPINGS[0], FILTERINGS[2]) };
        let mut world = World::new(Some(nat), vec![Server::full()]);
        world.lifetimes = [15, 30, 60].map(seconds).to_vec();
        let (seen, took) = world.discover();
        (seen.and_then(|seen| seen.mapping_lifetime), took)
    };
    let (found, took) = with(40);
    assert_eq!(found, Some(MappingLifetime { at_least: seconds(30), gone_after: Some(seconds(60)) }));
    assert!(took < seconds(64), "bounded by the longest idle time: {took:?}");
    let mut deaf = World::new(None, vec![Server::full().with(Manner::Plain)]);
    deaf.lifetimes = vec![seconds(15)];
    assert_eq!(deaf.discover().0.and_then(|seen| seen.mapping_lifetime), None);
    assert_eq!(with(10).0, Some(MappingLifetime { at_least: Duration::ZERO, gone_after: Some(seconds(15)) }));
    assert_eq!(with(600).0, Some(MappingLifetime { at_least: seconds(60), gone_after: None }));
}

#[test]
fn strangers_who_ask_get_no_answer() {
    let setup = Setup {
        servers: vec![at("192.0.2.1:3478")],
        sockets: LOCAL.map(at).to_vec(),
        lifetimes: Vec::new(),
        timing: Timing::default(),
        seed: [7; 32],
    };
    let now = Instant::now();
    let mut discovery = Discovery::new(setup, now);
    let own = discovery.poll_transmit().unwrap();
    for request in [stun::binding_request([9; 12]), own.payload] {
        discovery.handle_input(HAIRPIN, at("203.0.113.66:1"), &request, now);
        assert_eq!(discovery.poll_transmit(), None);
    }
}

proptest! {
    /// Two lost packets in a row are made good, whichever they are.
    #[test]
    fn lost_packets_change_nothing(first in 1u64..40, kind in 0usize..9) {
        let (mapping, filtering) = (MAPPINGS[kind / 3], FILTERINGS[kind % 3]);
        let mut world = World::new(Some(SimulatedNat::new(mapping, filtering)), vec![Server::full()]);
        world.lost = [first, first + 1].into();
        let (seen, _) = world.discover();
        prop_assert_eq!(seen.map(|seen| (seen.mapping, seen.filtering)), Some((Some(mapping), Some(filtering))));
    }

    #[test]
    fn hostile_datagrams_never_panic(noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20)) {
        let setup = Setup {
            servers: vec![at("192.0.2.1:3478")],
            sockets: LOCAL.map(at).to_vec(),
            lifetimes: vec![Duration::from_secs(1)],
            timing: Timing::default(),
            seed: [7; 32],
        };
        let now = Instant::now();
        let mut discovery = Discovery::new(setup, now);
        for datagram in noise {
            discovery.handle_input(MAPPING, at("192.0.2.1:3478"), &datagram, now);
        }
        prop_assert_eq!(discovery.seen(), None);
    }
}
