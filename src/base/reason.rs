//! How calls end.

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    HangUp,
    RemoteHangUp,
    TimeLimit,
    Declined,
    Busy,
    NoAnswer,
    Cancelled,
    NotFound,
    Unreachable,
    ConnectionLost,
    FingerprintMismatch,
    Device,
    Shutdown,
}
