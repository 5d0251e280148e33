//! What the findings mean, in sentences. No clock, no socket: facts in, words out.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Check, CheckKind, Finding, Reach, Verdict};
use crate::nat::{Filtering, LikelyPath, MappedPort, Mapping, MappingError, NatKind, NatReport, Seen, likely_path};

/// Super-peers that hold a place for us: when one goes, another still rings us.
pub(super) const ENOUGH_SUPER_PEERS: u32 = 2;
/// Below this a microphone hears nothing at all, dBFS: the quietest rooms with the best microphones are above it.
const SILENT_DBFS: f32 = -80.0;

/// How the network of peers knows us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Presence {
    /// This process wants to be called at all.
    pub callable: bool,
    pub acks: u32,
    /// Until the first acknowledgement.
    pub took: Duration,
    pub connections: u32,
    pub super_peers: u32,
    pub is_super_peer: bool,
    pub isolated: bool,
}

/// The sound devices that calls would use, by name, or why they cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SoundFacts {
    pub microphone: Result<String, String>,
    pub speaker: Result<String, String>,
    pub ring: Result<(), String>,
}

fn check(what: CheckKind, verdict: Verdict, code: Finding, finding: impl Into<String>) -> Check {
    Check { what, verdict, code, facts: Vec::new(), finding: finding.into(), remedy: None }
}

impl Check {
    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    fn facts<const N: usize>(self, facts: [String; N]) -> Self {
        Self { facts: facts.into(), ..self }
    }
}

/// "1 node", "3 nodes".
fn count(number: u32, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

pub(super) fn dht(presence: &Presence) -> Check {
    let of = |verdict, code, finding| check(CheckKind::Dht, verdict, code, finding);
    match *presence {
        Presence { acks: acks @ 1.., took, .. } => {
            let keeps = if acks == 1 { "keeps" } else { "keep" };
            let finding = format!("{} {keeps} your presence (after {} ms)", count(acks, "node"), took.as_millis());
            of(Verdict::Fine, Finding::PresenceKept, finding).facts([acks.to_string()])
        }
        Presence { connections: 0, isolated: true, .. } => {
            of(Verdict::Problem, Finding::NobodyAnswers, "no node answers on this machine".into())
                .remedy("with --isolated name one on loopback with --bootstrap")
        }
        Presence { connections: 0, .. } => {
            of(Verdict::Problem, Finding::NobodyAnswers, "no node of the network answers".into())
                .remedy("check your internet connection, or name a node with --bootstrap")
        }
        Presence { connections, callable: false, .. } => {
            let finding = format!("connected to {}", count(connections, "node"));
            of(Verdict::Fine, Finding::Connected, finding).facts([connections.to_string()])
        }
        Presence { connections, .. } => {
            let finding = format!("{} connected, but none keeps your presence", count(connections, "node"));
            of(Verdict::Problem, Finding::PresenceNotKept, finding).remedy("try again in a minute")
        }
    }
}

pub(super) fn super_peers(presence: &Presence) -> Check {
    let of = |verdict, code, finding| check(CheckKind::SuperPeers, verdict, code, finding);
    match *presence {
        Presence { is_super_peer: true, super_peers: 0, .. } => {
            of(Verdict::Fine, Finding::IsSuperPeer, "not needed: this machine is one".into())
        }
        Presence { is_super_peer: true, super_peers, .. } => {
            let hold = if super_peers == 1 { "holds" } else { "hold" };
            let finding = format!("{super_peers} {hold} a place for you, and this machine is one itself");
            of(Verdict::Fine, Finding::AlsoSuperPeer, finding).facts([super_peers.to_string()])
        }
        Presence { super_peers: 0, acks: 1.., .. } => {
            let finding = "none holds a place for you; you are rung at your own address".into();
            of(Verdict::Warning, Finding::RungAtOwnAddress, finding)
        }
        Presence { super_peers: 0, .. } => of(Verdict::Problem, Finding::NoSuperPeer, "none found".into()).remedy(
            "calls are rung through them; name one with --bootstrap, or run `twocans node` on a public machine",
        ),
        Presence { super_peers, .. } if super_peers < ENOUGH_SUPER_PEERS => {
            let finding = "only 1 holds a place for you; while it is away nobody can ring".into();
            of(Verdict::Warning, Finding::OneSuperPeer, finding).remedy("name another with --bootstrap")
        }
        Presence { super_peers, .. } => {
            of(Verdict::Fine, Finding::SuperPeers, format!("{super_peers} hold a place for you"))
                .facts([super_peers.to_string()])
        }
    }
}

/// The same words wherever nobody was there to ask.
fn no_server(what: CheckKind) -> Check {
    check(what, Verdict::Unknown, Finding::NobodyToAsk, "not known: there is nobody to ask")
        .remedy("a super-peer can tell; or name a STUN server with --stun HOST:PORT")
}

/// Whether servers were set, and yet nothing is known.
fn nobody_answered(what: CheckKind, report: &NatReport) -> Check {
    if report.servers == 0 {
        no_server(what)
    } else {
        check(what, Verdict::Unknown, Finding::NoStunAnswer, "not known: no STUN server answers")
    }
}

pub(super) fn udp(report: &NatReport) -> Check {
    let of = |verdict, code, finding| check(CheckKind::Udp, verdict, code, finding);
    match report.udp_blocked {
        Some(false) => of(Verdict::Fine, Finding::UdpPasses, "gets through".to_owned()),
        Some(true) => of(Verdict::Problem, Finding::UdpBlocked, "blocked; only TCP gets out".to_owned())
            .remedy("ask whoever runs this network to let UDP out; until then calls need a relay over TCP"),
        None if report.servers == 0 => no_server(CheckKind::Udp),
        None => {
            let finding = format!("none of the STUN servers answers ({} asked)", report.servers);
            of(Verdict::Warning, Finding::NoStunAnswer, finding)
                .remedy("check your internet connection, or name another server with --stun HOST:PORT")
        }
    }
}

pub(super) fn public_address(report: &NatReport) -> Check {
    let addresses: Vec<String> = report.families().map(|seen| seen.public.ip().to_string()).collect();
    if addresses.is_empty() {
        return nobody_answered(CheckKind::PublicAddress, report);
    }
    let (code, own) = match report.families().any(Seen::is_translated) {
        true => (Finding::RoutersAddress, ""),
        false => (Finding::OwnAddress, ", this machine's own"),
    };
    let finding = format!("{}{own}", addresses.join(" and "));
    check(CheckKind::PublicAddress, Verdict::Fine, code, finding).facts([addresses.join(", ")])
}

pub(super) fn nat(report: &NatReport) -> Check {
    // NAT is a matter of IPv4; a firewall may be one of either.
    let Some(seen) = report.families().next() else { return nobody_answered(CheckKind::Nat, report) };
    let of = |verdict, code, finding: &str| {
        let facts = behaviour(seen);
        let facts = if facts.is_empty() { facts } else { format!(" ({facts})") };
        check(CheckKind::Nat, verdict, code, format!("{finding}{facts}"))
    };
    match seen.kind() {
        NatKind::Open => of(Verdict::Fine, Finding::Open, "none: everybody can reach this machine directly"),
        NatKind::Firewall => {
            let finding = "none, but a firewall that lets answers in; calls go directly to most networks";
            of(Verdict::Fine, Finding::DirectToMost, finding)
        }
        NatKind::Untranslated => {
            of(Verdict::Fine, Finding::NoRouterInBetween, "none; whether there is a firewall is not known")
        }
        NatKind::FullCone => {
            of(Verdict::Fine, Finding::DirectToMost, "full cone: calls go directly to almost every network")
        }
        NatKind::AddressRestricted => {
            of(Verdict::Fine, Finding::DirectToMost, "address restricted: calls go directly to almost every network")
        }
        NatKind::PortRestricted => of(
            Verdict::Fine,
            Finding::DirectToMost,
            "port restricted, as most homes: calls go directly to every network that is not symmetric",
        ),
        NatKind::Cone => {
            of(Verdict::Fine, Finding::DirectToMost, "the kind that lets calls go directly to most networks")
        }
        NatKind::Symmetric => {
            let finding = "symmetric: calls go directly only to open networks, else through a relay";
            of(Verdict::Warning, Finding::DirectToFew, finding)
                .remedy("forward a UDP port to this machine in the router and set it with --media-port, or use IPv6")
        }
        NatKind::Unclear => {
            of(Verdict::Unknown, Finding::RouterOfSomeKind, "there is one; a single server cannot tell its kind")
                .remedy("name a second one with --stun")
        }
    }
}

/// "mapping endpoint-independent, filtering address-dependent, no hairpin".
fn behaviour(seen: &Seen) -> String {
    let mapping =
        seen.mapping.filter(|_| seen.is_translated()).map(|mapping| format!("mapping {}", mapping_name(mapping)));
    let filtering = seen.filtering.map(|filtering| format!("filtering {}", filtering_name(filtering)));
    let hairpin = seen.hairpin.map(|works| if works { "hairpin works" } else { "no hairpin" }.to_owned());
    let lifetime = seen.mapping_lifetime.map(|lifetime| match (lifetime.at_least, lifetime.gone_after) {
        (at_least, None) => format!("idle mappings live at least {} s", at_least.as_secs()),
        (Duration::ZERO, Some(gone)) => format!("idle mappings live less than {} s", gone.as_secs()),
        (at_least, Some(gone)) => format!("idle mappings live {} to {} s", at_least.as_secs(), gone.as_secs()),
    });
    [mapping, filtering, hairpin, lifetime].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn mapping_name(mapping: Mapping) -> &'static str {
    match mapping {
        Mapping::EndpointIndependent => "endpoint-independent",
        Mapping::AddressDependent => "address-dependent",
        Mapping::AddressAndPortDependent => "address-and-port-dependent",
    }
}

fn filtering_name(filtering: Filtering) -> &'static str {
    match filtering {
        Filtering::EndpointIndependent => "endpoint-independent",
        Filtering::AddressDependent => "address-dependent",
        Filtering::AddressAndPortDependent => "address-and-port-dependent",
    }
}

pub(super) fn ipv6(report: &NatReport, has_address: bool, isolated: bool) -> Check {
    let of = |verdict, code, finding: &str| check(CheckKind::Ipv6, verdict, code, finding);
    match &report.ipv6 {
        Some(_) => of(Verdict::Fine, Finding::Ipv6Works, "works"),
        None if isolated => {
            of(Verdict::Unknown, Finding::NotLookedAt, "not looked at: --isolated keeps to this machine")
        }
        None if has_address => {
            let finding = "this machine has an address, but no server to try it with has answered";
            of(Verdict::Unknown, Finding::Ipv6Untried, finding)
        }
        None => of(Verdict::Fine, Finding::NoIpv6, "none here; IPv4 is enough"),
    }
}

/// `tried`: what came of asking the router for a port; `None`: it was not asked.
pub(super) fn port_mapping(report: &NatReport, tried: Option<Result<MappedPort, MappingError>>) -> Check {
    let of = |verdict, code, finding: String| check(CheckKind::PortMapping, verdict, code, finding);
    match tried {
        _ if report.families().next().is_some_and(|seen| !seen.is_translated()) => {
            of(Verdict::Fine, Finding::MappingNotNeeded, "not needed without a NAT".to_owned())
        }
        None => of(Verdict::Unknown, Finding::NotLookedAt, "not tried".to_owned()),
        Some(Ok(MappedPort { external, by, .. })) if is_inside(*external.ip()) => {
            let finding =
                format!("the router opens ports ({by}), but sits behind another NAT itself ({})", external.ip());
            of(Verdict::Warning, Finding::MappingBehindAnother, finding)
        }
        Some(Ok(MappedPort { external, by, .. })) => {
            let finding = format!("the router opens ports when asked ({by}), at {}", external.ip());
            of(Verdict::Fine, Finding::MappingWorks, finding)
        }
        Some(Err(why)) => {
            let finding = format!("none: {why} (UPnP, NAT-PMP, PCP)");
            of(Verdict::Unknown, Finding::NoMapping, finding).remedy(
                "your calls do not need it; with it this machine could help others to connect: most routers have a \
                 switch for UPnP",
            )
        }
    }
}

/// Whether a router with this address has another one in front of it.
fn is_inside(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    ip.is_private() || ip.is_link_local() || (first == 100 && second & 0xc0 == 64)
}

/// `None`: looking for them has failed altogether.
pub(super) fn devices(facts: Option<&SoundFacts>) -> Check {
    let of = |verdict, code, finding| check(CheckKind::Devices, verdict, code, finding);
    let Some(SoundFacts { microphone, speaker, ring }) = facts else {
        return of(Verdict::Unknown, Finding::NotLookedAt, "could not be looked at".to_owned());
    };
    match (microphone, speaker, ring) {
        (Err(why), _, _) | (_, Err(why), _) => {
            let (finding, remedy) = parted(why);
            Check { remedy, ..of(Verdict::Problem, Finding::DeviceFails, finding.clone()).facts([finding]) }
        }
        (Ok(_), Ok(_), Err(why)) => {
            let (finding, remedy) = parted(why);
            let heard = of(Verdict::Warning, Finding::RingFails, format!("you would not hear it ring: {finding}"));
            Check { remedy, ..heard.facts([finding]) }
        }
        (Ok(microphone), Ok(speaker), Ok(())) => {
            of(Verdict::Fine, Finding::DevicesWork, format!("microphone {microphone}, speaker {speaker}"))
                .facts([microphone.clone(), speaker.clone()])
        }
    }
}

/// Errors of sound devices say what is wrong and, after a semicolon, what to do.
fn parted(why: &str) -> (String, Option<String>) {
    match why.split_once("; ") {
        Some((finding, remedy)) => (finding.to_owned(), Some(remedy.to_owned())),
        None => (why.to_owned(), None),
    }
}

/// `None`: not listened; the inner `None`: it opens, but delivers nothing.
pub(super) fn microphone(level: Option<Result<Option<f32>, String>>, in_call: bool) -> Check {
    let of = |verdict, code, finding| check(CheckKind::MicrophoneLevel, verdict, code, finding);
    const OTHER: &str = "check that it is not muted, or choose another with --mic (see `twocans devices`)";
    match level {
        None if in_call => {
            of(Verdict::Unknown, Finding::MicrophoneInCall, "not listened to: it is in use by a call".to_owned())
        }
        None => of(Verdict::Unknown, Finding::NotLookedAt, "not listened to".to_owned()),
        Some(Err(why)) => {
            let (finding, remedy) = parted(&why);
            Check { remedy, ..of(Verdict::Problem, Finding::DeviceFails, finding.clone()).facts([finding]) }
        }
        Some(Ok(None)) => {
            of(Verdict::Problem, Finding::MicrophoneSilent, "it opens, but delivers no sound".to_owned()).remedy(OTHER)
        }
        Some(Ok(Some(dbfs))) if dbfs < SILENT_DBFS => {
            of(Verdict::Warning, Finding::MicrophoneSilent, format!("silent ({dbfs:.0} dBFS)")).remedy(OTHER)
        }
        Some(Ok(Some(dbfs))) => of(Verdict::Fine, Finding::MicrophoneHears, format!("{dbfs:.0} dBFS")),
    }
}

pub(super) fn reach(presence: &Presence, report: &NatReport, relay_only: bool) -> Reach {
    if presence.acks == 0 {
        return Reach::Nowhere;
    }
    if relay_only || report.udp_blocked == Some(true) {
        return Reach::Relayed;
    }
    match likely_path(report, &home()) {
        Some(path) if path.is_direct() => Reach::Direct,
        Some(_) => Reach::Relayed,
        None => Reach::Unclear,
    }
}

/// Somebody else's network of the most common kind: behind a port-restricted NAT (RFC 4787 §5 recommends it).
fn home() -> NatReport {
    NatReport { servers: 2, ipv4: Some(typical(Mapping::EndpointIndependent)), ipv6: None, udp_blocked: Some(false) }
}

/// The worst common kind: a symmetric NAT.
fn office() -> NatReport {
    NatReport { ipv4: Some(typical(Mapping::AddressAndPortDependent)), ..home() }
}

fn typical(mapping: Mapping) -> Seen {
    Seen {
        local: SocketAddr::from(([192, 168, 0, 2], 1)),
        // Nobody's address (RFC 5737), so that it is never taken for ours.
        public: SocketAddr::from(([192, 0, 2, 255], 1)),
        mapping: Some(mapping),
        filtering: Some(Filtering::AddressAndPortDependent),
        hairpin: None,
        mapping_lifetime: None,
    }
}

/// Can I be called? `deaf`: the sound devices do not work.
pub(super) fn answer(presence: &Presence, report: &NatReport, relay_only: bool, reach: Reach, deaf: bool) -> String {
    let blocked = report.udp_blocked == Some(true);
    let answer = match reach {
        Reach::Nowhere if presence.connections == 0 => {
            "No, you cannot be called: no node of the network answers, so nobody can find you."
        }
        Reach::Nowhere => "No, you cannot be called yet: no node keeps your presence, so nobody can find you.",
        Reach::Relayed if relay_only => "Yes, you can be called, through a relay only, as --relay-only asks.",
        Reach::Relayed if blocked => {
            "Yes, you can be called, but only through a relay over TCP: this network blocks UDP."
        }
        Reach::Relayed => "Yes, you can be called: directly from open networks, through a relay from all others.",
        Reach::Unclear => "Yes, you can be called; whether directly or through a relay is not known.",
        Reach::Direct => match likely_path(report, &office()).map(LikelyPath::is_direct) {
            Some(true) => "Yes, you can be called, directly from everywhere.",
            Some(false) | None => {
                "Yes, you can be called: directly from most networks, through a relay from symmetric ones."
            }
        },
    };
    if deaf { format!("{answer} But no call will have sound before the devices work.") } else { answer.to_owned() }
}

#[cfg(test)]
mod tests;
