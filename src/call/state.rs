//! The states of a call.

use crate::base::EndReason;

/// Which side of a call we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Caller,
    Callee,
}

/// Where a call stands.
///
/// ```text
///        caller                                     callee
///
///     dial                                              INVITE
///       │                                                  │
///   ┌───▼───┐                                         ┌────▼───┐
///   │Dialing├────────────────┐                        │Alerting│
///   └───┬───┘ RING           │ ANSWER                 └────┬───┘ human answers, or glare
///   ┌───▼───┐                │                        ┌────▼───┐
///   │Ringing├────────────────┤                        │Offering│
///   └───────┘ ANSWER         │                        └────┬───┘ offer made: ANSWER sent
///                       ┌────▼────┐                   ┌────▼───┐
///                       │Accepting│                   │Offered │
///                       └────┬────┘                   └────┬───┘
///       answer made: ACCEPT sent │                       │ ACCEPT
///                            ┌───▼───────────────────────▼──┐
///                            │          Connecting          │
///                            └──────────────┬───────────────┘
///                                           │ link connected: signalling closes
///                            ┌──────────────▼───────────────┐ interrupted
///                            │            LinkUp            ├─────────────┐
///                            └──────────────┬───────────────┘             │
///                                           │ first audio, or waited for  │
///                            ┌──────────────▼───────────────┐       ┌─────▼──────┐
///                            │           Talking            │◀─────▶│Reconnecting│
///                            └──────────────────────────────┘       └────────────┘
///
///   every state ──▶ Ended(reason): hang-up on either side, refusal, time-out, a lost path,
///                                  or a fingerprint that was not signed. Nothing leaves Ended.
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Caller: looking for the callee, INVITE on its way.
    Dialing,
    /// Caller: the other side rings.
    Ringing,
    /// Caller: answered; our link works on the peer's offer.
    Accepting,
    /// Callee: our human is being asked.
    Alerting,
    /// Callee: answered; our link makes its offer.
    Offering,
    /// Callee: ANSWER is on its way; nothing is known of the caller's link yet.
    Offered,
    /// Both descriptions are exchanged and verified; ICE and DTLS work.
    Connecting,
    /// The link and its data channel are up; no audio was heard yet.
    LinkUp,
    /// The conversation.
    Talking,
    /// The link was up and tries to recover.
    Reconnecting,
    Ended(EndReason),
}

/// A call's state as a person would put it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Dialing,
    /// At the caller the other side rings; at the callee ours does.
    Ringing,
    Connecting,
    Connected,
    Reconnecting,
    Ended,
}

impl State {
    pub const fn phase(self) -> Phase {
        match self {
            Self::Dialing => Phase::Dialing,
            Self::Ringing | Self::Alerting => Phase::Ringing,
            Self::Accepting | Self::Offering | Self::Offered | Self::Connecting | Self::LinkUp => Phase::Connecting,
            Self::Talking => Phase::Connected,
            Self::Reconnecting => Phase::Reconnecting,
            Self::Ended(_) => Phase::Ended,
        }
    }

    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Ended(_))
    }
}
