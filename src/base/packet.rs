//! What crosses between the voice and a link: one RTP audio packet, without its transport.

use std::time::Instant;

use bytes::Bytes;

use super::{MediaTime, SeqNo};

/// How a packet's payload is to be read. The numbers on the wire are negotiated by SDP and stay inside `link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayloadKind {
    /// One Opus packet (RFC 7587).
    Opus,
    /// Redundant audio data: several Opus packets in one (RFC 2198, `audio/red`).
    Red,
    /// A [`Carried`](super::Carried) packet: somebody else's, which the peer passes on. Of the fields around the payload
    /// only the arrival means anything.
    Carried,
}

/// An audio packet to send to one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingPacket {
    pub seq: SeqNo,
    pub media_time: MediaTime,
    /// First packet of a talk spurt (RFC 3551 §4.1).
    pub marker: bool,
    pub kind: PayloadKind,
    pub payload: Bytes,
}

/// An audio packet as it came from one peer; header fields are the sender's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingPacket {
    /// When the datagram was read from the socket.
    pub arrival: Instant,
    /// Synchronisation source (RFC 3550 §3); a new one means that the sender started anew.
    pub ssrc: u32,
    pub seq: SeqNo,
    pub media_time: MediaTime,
    pub marker: bool,
    pub kind: PayloadKind,
    pub payload: Bytes,
}
