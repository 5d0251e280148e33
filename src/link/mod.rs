//! One media connection to one peer: ICE (RFC 8445), DTLS-SRTP (RFC 5764) and a data channel (RFC 8831), on a driver of
//! our own around the sans-IO core `rtc`. This is the only room that names `rtc` (`nat` names its STUN codec).
//!
//! ```text
//!  voice thread ──► Link::send ─────┐                         ┌──► AudioSink (arrival-stamped packets)
//!  engine ────────► Link::… ────────┤        one task         ├──► LinkEvent queue
//!                                   ▼                         │
//!            shell: sockets, clock, queues ◄──► core: bytes in, bytes out
//!                                                │ gate     which datagrams are the peer's at all
//!                                                │ dtls     makes the handshake survive loss
//!                                                │ gather   candidates; relay: STUN and TURN servers
//!                                                │ peer     `rtc`, set up for one voice track and one channel
//!                                                │ foreign  what browsers and libraries say, and are told
//! ```
//!
//! How a link is used, by the side that offers (in a call, the callee):
//!
//! 1. [`Link::open`] as soon as it rings: sockets are bound and candidates gathered;
//! 2. [`Link::create_offer`] when the call is answered; the description holds the candidates known by then;
//! 3. [`Link::accept_answer`] and [`Link::add_candidate`] with what the peer sends back, [`LinkEvent::Candidate`] to it;
//! 4. [`LinkEvent::Connected`]: the peer has proved to hold the certificate of [`fingerprint_of`] its description;
//! 5. [`Link::send`] from the voice thread, [`Link::send_message`] for the rest, [`Link::close`] at the end.
//!
//! The answering side calls [`Link::accept_offer`] in place of 2 and 3. Many links share one single-thread runtime.

mod api;
mod candidate;
mod config;
mod core;
mod dtls;
mod foreign;
mod gate;
mod gather;
mod opening;
mod peer;
mod relay;
mod sdp;
mod shell;
#[cfg(test)]
mod tests;

pub use api::{
    CandidateError, CandidateKind, DescriptionError, FailReason, LinkError, LinkEvent, LinkStats, LocalDescription,
    Path,
};
pub use config::{Interfaces, LinkConfig, Role, Timings, TurnServer};
pub use foreign::{ForeignDescription, ForeignError, MAX_FOREIGN_SDP_LEN, SdpKind, candidates_of, foreign_offer};
pub use peer::MAX_MESSAGE_LEN;
pub use sdp::{MAX_SDP_LEN, fingerprint_of, ufrag_of};
pub use shell::{AudioSink, Link};
