//! The contract's words for our enums.

use super::Change;
use crate::engine::{AudioRole, Candidate, EndReason, FailureKind, Retry};

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

pub fn change_name(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Renamed => "renamed",
        Change::Removed => "removed",
        Change::Blocked => "blocked",
        Change::Unblocked => "unblocked",
    }
}
