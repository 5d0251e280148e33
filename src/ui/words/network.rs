//! What the doctor found and why calls fail, in the words of somebody who has never seen a terminal.

use fluent_bundle::FluentValue;

use super::{
    BROKEN_RELAY_SILENT, BROKEN_SILENT, BROKEN_THEY_MOVED, BROKEN_WE_MOVED, CAUSE_NO_DIRECT_PATH, CAUSE_NO_RELAY,
    CAUSE_NOT_EVEN_RELAYED, CAUSE_STRICT_ROUTER, CAUSE_SUPER_PEERS_GONE, CAUSE_UDP_BLOCKED, CAUSE_UDP_MAY_BE_BLOCKED,
    CHECK_DEVICES, CHECK_DHT, CHECK_IPV6, CHECK_MICROPHONE, CHECK_NAT, CHECK_PORT_MAPPING, CHECK_PUBLIC_ADDRESS,
    CHECK_SUPER_PEERS, CHECK_UDP, REACH_DIRECT, REACH_NOBODY_ANSWERS, REACH_NOWHERE, REACH_RELAYED, REACH_TCP_ONLY,
    REACH_UNCLEAR, REMEDY_ANOTHER_NODE, REMEDY_CONNECTION, REMEDY_DEVICE, REMEDY_LATER, REMEDY_MICROPHONE,
    REMEDY_NETWORK_OWNER, REMEDY_STRICT_ROUTER, REMEDY_UPNP, VERDICT_FINE, VERDICT_PROBLEM, VERDICT_UNKNOWN,
    VERDICT_WARNING,
};
use super::{Word, say, sentence};
use crate::engine::{Broken, Cause, Check, CheckKind, Diagnosis, Finding, Reach, Verdict};

pub const fn check(what: CheckKind) -> Word {
    match what {
        CheckKind::Dht => CHECK_DHT,
        CheckKind::SuperPeers => CHECK_SUPER_PEERS,
        CheckKind::Udp => CHECK_UDP,
        CheckKind::PublicAddress => CHECK_PUBLIC_ADDRESS,
        CheckKind::Nat => CHECK_NAT,
        CheckKind::Ipv6 => CHECK_IPV6,
        CheckKind::PortMapping => CHECK_PORT_MAPPING,
        CheckKind::Devices => CHECK_DEVICES,
        CheckKind::MicrophoneLevel => CHECK_MICROPHONE,
    }
}

pub const fn verdict(verdict: Verdict) -> Word {
    match verdict {
        Verdict::Fine => VERDICT_FINE,
        Verdict::Warning => VERDICT_WARNING,
        Verdict::Problem => VERDICT_PROBLEM,
        Verdict::Unknown => VERDICT_UNKNOWN,
    }
}

/// What a check found.
pub fn finding(check: &Check) -> String {
    let fact = |at: usize| FluentValue::try_number(check.facts.get(at).map_or("", String::as_str));
    sentence(&say(found(check.code), &[("first", fact(0)), ("second", fact(1))]))
}

const fn found(code: Finding) -> &'static str {
    match code {
        Finding::PresenceKept => "found-presence-kept",
        Finding::PresenceNotKept => "found-presence-not-kept",
        Finding::Connected => "found-connected",
        Finding::NobodyAnswers => "found-nobody-answers",
        Finding::IsSuperPeer => "found-is-super-peer",
        Finding::AlsoSuperPeer => "found-also-super-peer",
        Finding::RungAtOwnAddress => "found-rung-at-own-address",
        Finding::NoSuperPeer => "found-no-super-peer",
        Finding::OneSuperPeer => "found-one-super-peer",
        Finding::SuperPeers => "found-super-peers",
        Finding::NobodyToAsk => "found-nobody-to-ask",
        Finding::NoStunAnswer => "found-no-answer",
        Finding::UdpPasses => "found-udp-passes",
        Finding::UdpBlocked => "found-udp-blocked",
        Finding::OwnAddress => "found-own-address",
        Finding::RoutersAddress => "found-routers-address",
        Finding::Open => "found-open",
        Finding::NoRouterInBetween => "found-no-router",
        Finding::DirectToMost => "found-direct-to-most",
        Finding::DirectToFew => "found-direct-to-few",
        Finding::RouterOfSomeKind => "found-router",
        Finding::Ipv6Works => "found-ipv6-works",
        Finding::Ipv6Untried => "found-ipv6-untried",
        Finding::NoIpv6 => "found-no-ipv6",
        Finding::MappingNotNeeded => "found-mapping-not-needed",
        Finding::MappingWorks => "found-mapping-works",
        Finding::MappingBehindAnother => "found-mapping-behind-another",
        Finding::NoMapping => "found-no-mapping",
        Finding::DevicesWork => "found-devices-work",
        Finding::DeviceFails => "found-device-fails",
        Finding::RingFails => "found-ring-fails",
        Finding::MicrophoneHears => "found-microphone-hears",
        Finding::MicrophoneSilent => "found-microphone-silent",
        Finding::MicrophoneInCall => "found-microphone-in-call",
        Finding::NotLookedAt => "found-not-looked-at",
    }
}

/// What to do about it here, in this window or at home.
pub const fn remedy(code: Finding) -> Option<Word> {
    match code {
        Finding::NobodyAnswers | Finding::NoStunAnswer => Some(REMEDY_CONNECTION),
        Finding::PresenceNotKept => Some(REMEDY_LATER),
        Finding::NoSuperPeer | Finding::OneSuperPeer => Some(REMEDY_ANOTHER_NODE),
        Finding::UdpBlocked => Some(REMEDY_NETWORK_OWNER),
        Finding::DirectToFew => Some(REMEDY_STRICT_ROUTER),
        Finding::NoMapping => Some(REMEDY_UPNP),
        Finding::DeviceFails | Finding::RingFails => Some(REMEDY_DEVICE),
        Finding::MicrophoneSilent => Some(REMEDY_MICROPHONE),
        Finding::PresenceKept
        | Finding::Connected
        | Finding::IsSuperPeer
        | Finding::AlsoSuperPeer
        | Finding::RungAtOwnAddress
        | Finding::SuperPeers
        | Finding::NobodyToAsk
        | Finding::UdpPasses
        | Finding::OwnAddress
        | Finding::RoutersAddress
        | Finding::Open
        | Finding::NoRouterInBetween
        | Finding::DirectToMost
        | Finding::RouterOfSomeKind
        | Finding::Ipv6Works
        | Finding::Ipv6Untried
        | Finding::NoIpv6
        | Finding::MappingNotNeeded
        | Finding::MappingWorks
        | Finding::MappingBehindAnother
        | Finding::DevicesWork
        | Finding::MicrophoneHears
        | Finding::MicrophoneInCall
        | Finding::NotLookedAt => None,
    }
}

/// Can I be called?
pub fn answer(diagnosis: &Diagnosis) -> Word {
    let network = &diagnosis.network;
    match network.reach {
        Reach::Nowhere if network.connections == 0 => REACH_NOBODY_ANSWERS,
        Reach::Nowhere => REACH_NOWHERE,
        Reach::Relayed if network.nat.udp_blocked == Some(true) => REACH_TCP_ONLY,
        Reach::Relayed => REACH_RELAYED,
        Reach::Unclear => REACH_UNCLEAR,
        Reach::Direct => REACH_DIRECT,
    }
}

/// Why a call came to nothing or broke off.
pub fn cause(cause: Cause) -> String {
    match cause {
        Cause::UdpBlocked => CAUSE_UDP_BLOCKED.into(),
        Cause::NotEvenThroughRelay => CAUSE_NOT_EVEN_RELAYED.into(),
        Cause::NoRelayToUse => CAUSE_NO_RELAY.into(),
        Cause::UdpMayBeBlocked => CAUSE_UDP_MAY_BE_BLOCKED.into(),
        Cause::SymmetricNat => CAUSE_STRICT_ROUTER.into(),
        Cause::NoDirectPath => CAUSE_NO_DIRECT_PATH.into(),
        Cause::SuperPeersGone => CAUSE_SUPER_PEERS_GONE.into(),
        Cause::Silence { seconds } => say("cause-silence", &[("seconds", seconds.into())]),
    }
}

/// Why a call looks for its way anew.
pub const fn broken(why: Broken) -> Word {
    match why {
        Broken::Silent => BROKEN_SILENT,
        Broken::RelaySilent => BROKEN_RELAY_SILENT,
        Broken::WeMoved => BROKEN_WE_MOVED,
        Broken::TheyMoved => BROKEN_THEY_MOVED,
    }
}
