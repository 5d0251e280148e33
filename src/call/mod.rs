//! Calls as state machines: what is said between two people's programs, and what follows from it. No I/O.
//!
//! [`Switchboard`] holds all calls of one person and decides who gets through: busy, blocked, flooding, both dialling at
//! once, the same INVITE over three paths. Behind it, each call is a machine with the states of [`State`].
//!
//! ```text
//! caller                                        callee
//!   │ INVITE ────────────────────────────────────▶ │   Noise flight 1
//!   │ ◀──────────────────────────────────── RING   │   Noise flight 2; the human is asked
//!   │            both gather candidates            │
//!   │ ◀───────── ANSWER {offer, signed fingerprint} │   the human took the call
//!   │ ACCEPT {answer, signed fingerprint} ───────▶ │
//!   │ ◀──────────── CANDIDATE … ─────────────────▶ │
//!   │ ═══════════ ICE, DTLS, data channel ════════ │   the signalling stream closes
//!   │ ◀── BYE, MUTED, HELD, QUALITY ─────────────▶ │   over the data channel
//! ```
//!
//! When the link fails, or a machine gets into another network, both sides meet again over signalling (`REJOIN`) and ICE
//! begins anew; `machine/restart.rs` has the exchange.
//!
//! [`group`] makes a call of several people out of calls between each two of them.
//!
//! [`ForeignCall`] is the machine of a call without any of that, with an endpoint that is not ours.
//!
//! No address leaves either side before the human has answered: the SDP offer is in ANSWER, and candidates wait for it.
//!
//! The contract is that of every sans-IO core in this house: call one `handle`-like method, then drain
//! [`Switchboard::poll_transmit`], [`Switchboard::poll_event`] and [`Switchboard::poll_timeout`]. Time enters as a
//! parameter, and the same calls in the same order give the same trace.

mod description;
mod foreign;
pub mod group;
mod guard;
mod machine;
mod message;
mod queue;
mod state;
mod switchboard;
#[cfg(test)]
mod tests;
mod wire;

pub use description::Description;
pub use foreign::{ForeignCall, ForeignEvent, ForeignLimits, ForeignSide};
pub use message::{
    GroupLetter, Invite, MAX_CANDIDATE_BYTES, MAX_MESSAGE_BYTES, MAX_SDP_BYTES, Message, MessageError, Quality, Rejoin,
};
pub use state::{Phase, Side, State};
pub use switchboard::{CallView, DialRefused, InviteReply, Limits, Switchboard, Transmit};

use crate::base::{CallId, EndReason, Person};

/// What a call tells its owner. After [`CallEvent::Ended`] or [`CallEvent::Replaced`] nothing follows for that call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallEvent {
    /// Caller: the other side rings.
    Ringing,
    /// Caller: no signalling stream is left while it rings. Send the same INVITE anew; say how that fails by
    /// [`Switchboard::dial_failed`].
    Redial,
    /// Callee: ask the human.
    Incoming {
        from: Person,
        name: Option<String>,
    },
    /// Caller: the human on the other side took the call. Callee: ours did, or both had dialled each other.
    Answered,
    /// Callee: make an offer, then call [`Switchboard::described`]. Not sent if the offer is already there.
    WantOffer,
    /// Caller: apply the peer's offer, whose fingerprint is verified, then call [`Switchboard::described`].
    WantAnswer {
        sdp: String,
    },
    /// Callee: apply the peer's answer, whose fingerprint is verified.
    ApplyAnswer {
        sdp: String,
    },
    /// Give it to the link, after the description that came before it.
    RemoteCandidate(String),
    /// Media flows: the first audio frame was decoded. If the peer stays silent (muted from the start), this follows
    /// [`Limits::first_audio`] after the link came up.
    Connected,
    /// The link has stopped working, or will.
    Reconnecting(Interruption),
    /// Open new signalling sessions with the peer, whose first flight carries this.
    Rejoin(Rejoin),
    /// Callee: have the link begin anew, then call [`Switchboard::described`].
    WantRestart,
    /// Caller: have the link begin anew by this offer, then call [`Switchboard::described`].
    WantRestartAnswer {
        sdp: String,
    },
    Reconnected,
    PeerMuted(bool),
    PeerHeld(bool),
    /// How the peer hears us.
    Quality(Quality),
    /// The data channel has taken over: close the call's signalling streams.
    CloseSignalling,
    /// The other side speaks only these versions of the protocol; one program must be updated. The end follows.
    NoCommonVersion {
        theirs: Vec<u8>,
    },
    /// Both had dialled each other, and of the two calls this is the one that is dropped, without a word to the human;
    /// `by` is the one that counts. Terminal.
    Replaced {
        by: CallId,
    },
    /// Terminal. What still has to be sent (BYE, CANCEL, DECLINE) is in [`Switchboard::poll_transmit`].
    Ended(EndReason),
}

/// Why a call is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interruption {
    /// Nothing arrives any more, at us or at the peer.
    Silence,
    /// Our machine got into another network.
    WeMoved,
    TheyMoved,
}

/// What happens to the media connection of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkNews {
    /// ICE and DTLS are up.
    Connected,
    /// The data channel is open. May come before or after [`LinkNews::Connected`].
    ChannelOpen,
    /// The first audio frame of the peer was decoded.
    FirstAudio,
    /// Nothing arrives any more; the link tries to recover.
    Interrupted,
    Recovered,
    /// The link has given up, or could not be made.
    Failed,
    /// The certificate that was presented is not the one that was signed.
    FingerprintMismatch,
}

/// What carries a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// Every open signalling stream of the call (until the caller has spoken on one of them, the callee cannot know which
    /// one it kept); nothing to do if there is none.
    Signalling,
    /// The data channel of the call's link, which is open.
    DataChannel,
}
