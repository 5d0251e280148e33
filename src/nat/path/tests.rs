//! The rules of `likely_path`, held against ICE running over simulated NATs, and against the table that people know.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use super::*;

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
const FILTERINGS: [Filtering; 3] =
    [Filtering::EndpointIndependent, Filtering::AddressDependent, Filtering::AddressAndPortDependent];
const STUN: ([u8; 4], u16) = ([203, 0, 113, 10], 3478);

type Endpoint = ([u8; 4], u16);

/// A NAT with one socket behind it, straight from RFC 4787 §4.1 and §5.
struct SimulatedNat {
    behaviour: Behaviour,
    address: [u8; 4],
    /// By external port: the destination that the mapping was made for, and everybody it has talked to.
    mappings: Vec<(Endpoint, BTreeSet<Endpoint>)>,
}

const FIRST_PORT: u16 = 40_000;

impl SimulatedNat {
    fn new(behaviour: Behaviour, number: u8) -> Self {
        Self { behaviour, address: [198, 51, 100, number], mappings: Vec::new() }
    }

    /// A packet leaves for `to`; where the world sees it come from.
    fn send(&mut self, to: Endpoint) -> Endpoint {
        let serves = |first: &Endpoint| match self.behaviour.mapping {
            Mapping::EndpointIndependent => true,
            Mapping::AddressDependent => first.0 == to.0,
            Mapping::AddressAndPortDependent => *first == to,
        };
        let index = self.mappings.iter().position(|(first, _)| serves(first)).unwrap_or_else(|| {
            self.mappings.push((to, BTreeSet::new()));
            self.mappings.len() - 1
        });
        self.mappings[index].1.insert(to);
        (self.address, FIRST_PORT + index as u16)
    }

    /// Whether a packet from `from` to our external endpoint `at` gets in.
    fn admits(&self, from: Endpoint, at: Endpoint) -> bool {
        let index = usize::from(at.1.wrapping_sub(FIRST_PORT));
        let Some((_, talked_to)) = self.mappings.get(index).filter(|_| at.0 == self.address) else { return false };
        match self.behaviour.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => talked_to.iter().any(|known| known.0 == from.0),
            Filtering::AddressAndPortDependent => talked_to.contains(&from),
        }
    }
}

/// Runs connectivity checks (RFC 8445 §7) both ways for a while: both ends send to every address they have heard of;
/// a check is answered to where it came from; an answer counts when it comes from where the check was sent to.
fn ice_finds_a_direct_pair(behaviours: [Behaviour; 2]) -> bool {
    let mut nats = [SimulatedNat::new(behaviours[0], 1), SimulatedNat::new(behaviours[1], 2)];
    let reflexive = [nats[0].send(STUN), nats[1].send(STUN)];
    let mut known: [Vec<Endpoint>; 2] = [vec![reflexive[1]], vec![reflexive[0]]];
    for _round in 0..12 {
        for here in 0..2 {
            let there = 1 - here;
            for target in known[here].clone() {
                let source = nats[here].send(target);
                if !nats[there].admits(source, target) {
                    continue;
                }
                if !known[there].contains(&source) {
                    known[there].push(source);
                }
                let answered_from = nats[there].send(source);
                if answered_from == target && nats[here].admits(answered_from, source) {
                    return true;
                }
            }
        }
    }
    false
}

fn behaviours() -> Vec<Behaviour> {
    let of = |mapping| FILTERINGS.map(move |filtering| Behaviour { mapping, filtering, translated: true });
    MAPPINGS.into_iter().flat_map(of).collect()
}

#[test]
fn the_rule_agrees_with_ice_over_every_pair_of_nats() {
    let mut direct = 0;
    for one in behaviours() {
        for two in behaviours() {
            let found = ice_finds_a_direct_pair([one, two]);
            assert_eq!(can_punch(one, two), found, "{one:?}\n{two:?}");
            direct += u32::from(found);
        }
    }
    assert!((1..81).contains(&direct), "both outcomes occur: {direct} of 81 are direct");
}

fn report(kind: &str, number: u8) -> NatReport {
    use Filtering as F;
    use Mapping as M;
    let independent = M::EndpointIndependent;
    let (translated, mapping, filtering) = match kind {
        "none" => (false, independent, F::EndpointIndependent),
        "full cone" => (true, independent, F::EndpointIndependent),
        "address restricted" => (true, independent, F::AddressDependent),
        // Of two NATs in a row the stricter one is what the world meets.
        "port restricted" | "double NAT" => (true, independent, F::AddressAndPortDependent),
        "symmetric" => (true, M::AddressAndPortDependent, F::AddressAndPortDependent),
        "UDP blocked" => return NatReport { servers: 2, udp_blocked: Some(true), ..NatReport::default() },
        other => panic!("{other}"),
    };
    let public = Ipv4Addr::new(198, 51, 100, number);
    let local = if translated { Ipv4Addr::new(192, 168, number, 2) } else { public };
    let seen = Seen {
        local: SocketAddr::from((local, 5000)),
        public: SocketAddr::from((public, 5000)),
        mapping: Some(mapping),
        filtering: Some(filtering),
        hairpin: None,
        mapping_lifetime: None,
    };
    NatReport { servers: 2, ipv4: Some(seen), ipv6: None, udp_blocked: Some(false) }
}

#[test]
fn every_pair_of_kinds_takes_the_path_of_the_table() {
    const KINDS: [&str; 7] =
        ["none", "full cone", "address restricted", "port restricted", "symmetric", "double NAT", "UDP blocked"];
    // h: direct, host; p: direct, punched; r: relayed; t: relayed over TCP.
    const TABLE: [&str; 7] = [
        "hhhhhht", // none
        "hpppppt", // full cone
        "hpppppt", // address restricted
        "hppprpt", // port restricted
        "hpprrrt", // symmetric
        "hppprpt", // double NAT
        "ttttttt", // UDP blocked
    ];
    for (one, row) in KINDS.iter().zip(TABLE) {
        for (two, letter) in KINDS.iter().zip(row.chars()) {
            let expected = match letter {
                'h' => LikelyPath::DirectHost,
                'p' => LikelyPath::DirectPunched,
                'r' => LikelyPath::Relayed,
                _ => LikelyPath::RelayedOverTcp,
            };
            assert_eq!(likely_path(&report(one, 1), &report(two, 2)), Some(expected), "{one} ↔ {two}");
        }
    }
}

#[test]
fn what_is_not_known_decides_nothing_unless_it_does_not_matter() {
    let vague = |kind: &str, number| {
        let mut report = report(kind, number);
        if let Some(seen) = &mut report.ipv4 {
            seen.filtering = None;
        }
        report
    };
    assert_eq!(likely_path(&vague("full cone", 1), &vague("full cone", 2)), Some(LikelyPath::DirectPunched));
    assert_eq!(likely_path(&vague("full cone", 1), &report("symmetric", 2)), None);
    assert_eq!(likely_path(&NatReport::default(), &report("none", 2)), None);
    let unclear = |number| {
        let mut report = vague("full cone", number);
        if let Some(seen) = &mut report.ipv4 {
            seen.mapping = None;
        }
        report
    };
    assert_eq!(likely_path(&unclear(1), &report("none", 2)), Some(LikelyPath::DirectHost));
    assert_eq!(likely_path(&unclear(1), &report("address restricted", 2)), Some(LikelyPath::DirectPunched));
    assert_eq!(likely_path(&unclear(1), &report("port restricted", 2)), None);
}

#[test]
fn two_homes_behind_one_carrier_need_its_hairpin() {
    let home = |hairpin, lan| {
        let mut report = report("port restricted", 7);
        if let Some(seen) = &mut report.ipv4 {
            seen.hairpin = hairpin;
            seen.local = SocketAddr::from((Ipv4Addr::new(192, 168, lan, 2), 5000));
        }
        report
    };
    let path = |ours, theirs| likely_path(&home(ours, 1), &home(theirs, 2));
    assert_eq!(path(Some(true), Some(true)), Some(LikelyPath::DirectPunched));
    assert_eq!(path(Some(false), Some(true)), Some(LikelyPath::Relayed));
    assert_eq!(path(None, Some(true)), None);
    assert_eq!(likely_path(&home(Some(false), 1), &home(Some(false), 1)), Some(LikelyPath::DirectHost));
}

#[test]
fn ipv6_helps_where_ipv4_cannot() {
    let with_ipv6 = |kind: &str, number: u8| {
        let address: SocketAddr = format!("[2001:db8::{number}]:5000").parse().unwrap();
        let seen = Seen {
            local: address,
            public: address,
            mapping: Some(Mapping::EndpointIndependent),
            filtering: Some(Filtering::AddressAndPortDependent),
            hairpin: None,
            mapping_lifetime: None,
        };
        NatReport { ipv6: Some(seen), ..report(kind, number) }
    };
    let (one, two) = (with_ipv6("symmetric", 1), with_ipv6("symmetric", 2));
    assert_eq!(likely_path(&one, &two), Some(LikelyPath::DirectPunched));
    assert_eq!(likely_path(&report("symmetric", 1), &two), Some(LikelyPath::Relayed));
    let only_ipv6 = NatReport { ipv4: None, ..two };
    assert_eq!(likely_path(&report("none", 1), &only_ipv6), Some(LikelyPath::Relayed), "no family in common");
}
