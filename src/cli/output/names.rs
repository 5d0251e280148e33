//! The contract's words for our enums.

use super::{Change, SdpStep};
use crate::engine::{
    AudioRole, Candidate, CheckKind, EndReason, FailureKind, Filtering, Mapping, NatKind, Reach, Retry, Verdict,
};

pub fn candidate_name(candidate: Candidate) -> &'static str {
    match candidate {
        Candidate::Host => "host",
        Candidate::ServerReflexive => "server_reflexive",
        Candidate::PeerReflexive => "peer_reflexive",
        Candidate::Relayed => "relayed",
    }
}

pub fn role_name(role: AudioRole) -> &'static str {
    match role {
        AudioRole::Microphone => "input",
        AudioRole::Speaker => "output",
        AudioRole::Ring => "ring",
    }
}

pub fn reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::HangUp => "hangup",
        EndReason::RemoteHangUp => "remote_hangup",
        EndReason::TimeLimit => "time_limit",
        EndReason::Declined => "declined",
        EndReason::Busy => "busy",
        EndReason::NoAnswer => "no_answer",
        EndReason::Cancelled => "cancelled",
        EndReason::NotFound => "not_found",
        EndReason::Unreachable => "unreachable",
        EndReason::ConnectionLost => "connection_lost",
        EndReason::FingerprintMismatch => "fingerprint_mismatch",
        EndReason::Device => "device",
        EndReason::Shutdown => "shutdown",
    }
}

pub fn kind_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::NotFound => "not_found",
        FailureKind::Unreachable => "unreachable",
        FailureKind::RelayRefused => "relay_refused",
        FailureKind::Declined => "declined",
        FailureKind::Busy => "busy",
        FailureKind::NoAnswer => "no_answer",
        FailureKind::Device => "device",
        FailureKind::ProfileInUse => "profile_in_use",
        FailureKind::ProfileDamaged => "profile_damaged",
        FailureKind::Usage => "usage",
        FailureKind::ConnectionLost => "connection_lost",
        FailureKind::FingerprintMismatch => "fingerprint_mismatch",
        FailureKind::Internal => "internal",
    }
}

pub fn retry_name(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "never",
        Retry::Later => "later",
        Retry::AfterUserAction => "after_user_action",
    }
}

pub fn sdp_step_name(step: SdpStep) -> &'static str {
    match step {
        SdpStep::Written => "sdp_written",
        SdpStep::Awaited => "sdp_awaited",
        SdpStep::Read => "sdp_read",
    }
}

pub fn change_name(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Renamed => "renamed",
        Change::Removed => "removed",
        Change::Blocked => "blocked",
        Change::Unblocked => "unblocked",
    }
}

pub fn check_name(what: CheckKind) -> &'static str {
    match what {
        CheckKind::Dht => "dht",
        CheckKind::SuperPeers => "super_peers",
        CheckKind::Udp => "udp",
        CheckKind::PublicAddress => "public_address",
        CheckKind::Nat => "nat",
        CheckKind::Ipv6 => "ipv6",
        CheckKind::PortMapping => "port_mapping",
        CheckKind::Devices => "devices",
        CheckKind::MicrophoneLevel => "microphone_level",
    }
}

pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fine => "fine",
        Verdict::Warning => "warning",
        Verdict::Problem => "problem",
        Verdict::Unknown => "unknown",
    }
}

pub fn reach_name(reach: Reach) -> &'static str {
    match reach {
        Reach::Direct => "direct",
        Reach::Relayed => "relayed",
        Reach::Unclear => "unclear",
        Reach::Nowhere => "nowhere",
    }
}

pub fn mapping_name(mapping: Mapping) -> &'static str {
    match mapping {
        Mapping::EndpointIndependent => "endpoint_independent",
        Mapping::AddressDependent => "address_dependent",
        Mapping::AddressAndPortDependent => "address_and_port_dependent",
    }
}

pub fn filtering_name(filtering: Filtering) -> &'static str {
    match filtering {
        Filtering::EndpointIndependent => "endpoint_independent",
        Filtering::AddressDependent => "address_dependent",
        Filtering::AddressAndPortDependent => "address_and_port_dependent",
    }
}

pub fn nat_name(kind: NatKind) -> &'static str {
    match kind {
        NatKind::Open => "open",
        NatKind::Firewall => "firewall",
        NatKind::Untranslated => "untranslated",
        NatKind::FullCone => "full_cone",
        NatKind::AddressRestricted => "address_restricted",
        NatKind::PortRestricted => "port_restricted",
        NatKind::Cone => "cone",
        NatKind::Symmetric => "symmetric",
        NatKind::Unclear => "unclear",
    }
}
