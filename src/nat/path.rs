//! From two network reports to the way a call between them will take.

use super::report::{Filtering, Mapping, NatReport, Seen};

/// The way of the media, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LikelyPath {
    /// From machine to machine: one of the two is open at an address of its own, or both are on one LAN.
    DirectHost,
    /// From NAT to NAT, after both have opened the way by sending first.
    DirectPunched,
    /// Through a relay.
    Relayed,
    /// Through a relay that is reached over TCP, since UDP is blocked at one end.
    RelayedOverTcp,
}

impl LikelyPath {
    pub fn is_direct(self) -> bool {
        match self {
            Self::DirectHost | Self::DirectPunched => true,
            Self::Relayed | Self::RelayedOverTcp => false,
        }
    }
}

/// The likely path of a call between the owners of these reports; `None` when what is not known would decide.
///
/// The rules follow from RFC 4787 and ICE: a direct path exists when connectivity checks in both directions pass the
/// filters of both NATs. `path/tests.rs` lets ICE run over simulated NATs of every kind and compares.
pub fn likely_path(ours: &NatReport, theirs: &NatReport) -> Option<LikelyPath> {
    if [ours, theirs].iter().any(|report| report.udp_blocked == Some(true)) {
        return Some(LikelyPath::RelayedOverTcp);
    }
    let families = [(&ours.ipv4, &theirs.ipv4), (&ours.ipv6, &theirs.ipv6)];
    let common: Vec<(&Seen, &Seen)> =
        families.into_iter().filter_map(|(ours, theirs)| Some((ours.as_ref()?, theirs.as_ref()?))).collect();
    if common.is_empty() {
        // Without a common family only a relay can translate; without any report nothing is known.
        let both_known = [ours, theirs].iter().all(|report| report.families().next().is_some());
        return both_known.then_some(LikelyPath::Relayed);
    }
    let paths: Vec<Option<LikelyPath>> = common.into_iter().map(|(ours, theirs)| between(ours, theirs)).collect();
    let best = paths.iter().copied().flatten().min()?;
    // A relay is certain only when the other family cannot do better.
    (best.is_direct() || paths.iter().all(Option::is_some)).then_some(best)
}

/// Within one address family.
fn between(ours: &Seen, theirs: &Seen) -> Option<LikelyPath> {
    if ours.is_translated() && theirs.is_translated() && ours.public.ip() == theirs.public.ip() {
        return behind_one_nat(ours, theirs);
    }
    let possible = possibilities(ours).flat_map(|ours| possibilities(theirs).map(move |theirs| decide(ours, theirs)));
    let possible: Vec<LikelyPath> = possible.collect();
    let (best, worst) = (*possible.iter().min()?, *possible.iter().max()?);
    (best.is_direct() == worst.is_direct()).then_some(worst)
}

/// Two people behind the same public address: on one LAN they see each other; behind one carrier's NAT they meet at its
/// outside, if it lets them (RFC 4787 §6).
fn behind_one_nat(ours: &Seen, theirs: &Seen) -> Option<LikelyPath> {
    if is_near(ours, theirs) {
        return Some(LikelyPath::DirectHost);
    }
    match (ours.hairpin, theirs.hairpin) {
        (Some(true), Some(true)) => Some(LikelyPath::DirectPunched),
        (Some(false), _) | (_, Some(false)) => Some(LikelyPath::Relayed),
        (None, _) | (_, None) => None,
    }
}

/// Whether two local addresses look like one LAN: the same /24, or the same /64.
fn is_near(ours: &Seen, theirs: &Seen) -> bool {
    match (ours.local.ip(), theirs.local.ip()) {
        (std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (std::net::IpAddr::V6(a), std::net::IpAddr::V6(b)) => a.octets()[..8] == b.octets()[..8],
        _ => false,
    }
}

/// How a NAT or firewall behaves, with nothing left unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Behaviour {
    mapping: Mapping,
    filtering: Filtering,
    translated: bool,
}

/// What is known, with the best and the worst in place of what is not.
fn possibilities(seen: &Seen) -> impl Iterator<Item = Behaviour> + use<> {
    let mappings = match seen.mapping {
        Some(known) => [known; 2],
        None => [Mapping::EndpointIndependent, Mapping::AddressAndPortDependent],
    };
    let filterings = match seen.filtering {
        Some(known) => [known; 2],
        None => [Filtering::EndpointIndependent, Filtering::AddressAndPortDependent],
    };
    let translated = seen.is_translated();
    mappings
        .into_iter()
        .flat_map(move |mapping| filterings.map(|filtering| Behaviour { mapping, filtering, translated }))
}

fn decide(one: Behaviour, two: Behaviour) -> LikelyPath {
    let is_open = |end: Behaviour| !end.translated && end.filtering == Filtering::EndpointIndependent;
    if is_open(one) || is_open(two) {
        LikelyPath::DirectHost
    } else if can_punch(one, two) {
        LikelyPath::DirectPunched
    } else {
        LikelyPath::Relayed
    }
}

/// Whether ICE finds a direct pair.
fn can_punch(one: Behaviour, two: Behaviour) -> bool {
    use Mapping::EndpointIndependent;
    match (one.mapping == EndpointIndependent, two.mapping == EndpointIndependent) {
        // Both have told the other where their packets come from.
        (true, true) => true,
        // Packets of the end whose port nobody can foresee must pass the other's filter by their IP address.
        (true, false) => admits_unforeseen_ports(one),
        (false, true) => admits_unforeseen_ports(two),
        (false, false) => meets_at(one, two) || meets_at(two, one),
    }
}

fn admits_unforeseen_ports(end: Behaviour) -> bool {
    match end.filtering {
        Filtering::EndpointIndependent | Filtering::AddressDependent => true,
        Filtering::AddressAndPortDependent => false,
    }
}

/// Neither port can be foreseen. The first packet gets in only where everybody's does (`open`); the answer to it comes
/// from yet another port, which the `other` end must admit; and one of the two must keep its port from then on, else
/// they go on meeting at ports that are already stale.
fn meets_at(open: Behaviour, other: Behaviour) -> bool {
    let keeps_port = |end: Behaviour| end.mapping == Mapping::AddressDependent;
    open.filtering == Filtering::EndpointIndependent
        && admits_unforeseen_ports(other)
        && (keeps_port(open) || keeps_port(other))
}

#[cfg(test)]
mod tests;
