//! What a link says: its events, its path, its numbers, its errors.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::Redacted;

/// What became of a link. None of these is ever lost: see [`Link::open`](super::Link::open) for the queue's rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// A candidate of ours for the peer, as the value of an `a=candidate` line (RFC 8839 §5.1). Candidates that were
    /// known when the local description was made are in it and are not repeated here.
    Candidate(String),
    /// No further candidate will come (RFC 8840 §8).
    EndOfCandidates,
    /// A STUN or TURN server did not serve us. The link goes on without it.
    ServerUnusable { server: SocketAddr, why: String },
    /// ICE has a path and DTLS has verified the peer's certificate: media flows from now on.
    Connected(Path),
    /// The data channel carries messages in both directions.
    ChannelOpen,
    /// One message from the peer's data channel.
    Message(Vec<u8>),
    /// Nothing was heard from the peer for [`Timings::silence_after`](super::Timings) or
    /// [`Timings::disconnected_after`](super::Timings). It may come back, or [`Link::restart`](super::Link::restart) may
    /// find another path.
    Disconnected,
    /// The peer was heard again after [`LinkEvent::Disconnected`], or a restart has found a path.
    Reconnected(Path),
    /// The link is dead; its sockets are closed. The last event.
    Failed(FailReason),
    /// The link was closed, by the peer or by us; its sockets are closed. The last event.
    Closed,
}

/// Why a link died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailReason {
    /// No pair of candidates let packets through both ways. A relay would help.
    #[error("no way through between the two networks")]
    NoPath,
    /// There was a path, but the DTLS handshake did not finish on it.
    #[error("the secure channel could not be set up")]
    Handshake,
    /// The peer's certificate is not the one of its description: somebody may be in between.
    #[error("the peer's certificate is not the one it announced")]
    Certificate,
    /// The peer fell silent for [`Timings::failed_after`](super::Timings).
    #[error("the peer fell silent")]
    Silence,
}

/// The nominated pair of candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    pub local: CandidateKind,
    pub remote: CandidateKind,
    /// "tcp" when our side is relayed and talks to its relay over TCP; else "udp".
    pub protocol: &'static str,
    pub local_address: Redacted<SocketAddr>,
    pub remote_address: Redacted<SocketAddr>,
    /// The TURN server that relays our side.
    pub relay: Option<SocketAddr>,
}

/// ICE candidate type (RFC 8445 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CandidateKind {
    Host,
    ServerReflexive,
    PeerReflexive,
    Relayed,
}

/// Our half of the negotiation, with what the caller signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDescription {
    /// SDP (RFC 8866) with the candidates known so far.
    pub sdp: String,
    /// SHA-256 of our DTLS certificate.
    pub fingerprint: [u8; 32],
    /// Our ICE username fragment.
    pub ufrag: String,
}

/// Counters of one link since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LinkStats {
    /// Round trip of the newest consent check on the selected pair.
    pub rtt: Option<Duration>,
    pub path: Option<Path>,
    /// Datagrams and their UDP payload, all protocols together.
    pub packets_sent: u64,
    pub packets_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Audio packets only.
    pub audio_sent: u64,
    pub audio_received: u64,
    /// Audio packets that were not sent: no connection, a full queue, a payload kind that was not negotiated.
    pub audio_dropped: u64,
    /// Datagrams ignored because they were malformed or came from a stranger.
    pub datagrams_refused: u64,
    /// Datagrams the socket would not take.
    pub datagrams_unsent: u64,
    /// Messages from the peer dropped because they were too long or nobody read the events.
    pub messages_dropped: u64,
}

/// A request that a link could not fulfil.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// No socket could be opened. Check the network, the interfaces and the range of media ports.
    #[error("cannot open a media socket: {0}")]
    Socket(#[source] std::io::Error),
    /// The peer's description is unusable. End the call: trying again gives the same.
    #[error("the peer's description is not usable: {0}")]
    Description(#[from] DescriptionError),
    /// The peer's candidate is unusable. Ignore it and go on.
    #[error("the peer's candidate is not usable: {0}")]
    Candidate(#[from] CandidateError),
    /// The WebRTC core refused. End the call.
    #[error("the media connection cannot do this: {0}")]
    Core(String),
    /// The message is longer than [`MAX_MESSAGE_LEN`](super::MAX_MESSAGE_LEN). Send less.
    #[error("the message is too long")]
    MessageTooLong,
    /// Too many messages are on their way already. Try again in a moment.
    #[error("too many messages are waiting for the peer")]
    Congested,
    /// This link was opened without a data channel.
    #[error("there is no data channel")]
    NoChannel,
    /// The link was closed or has failed. Open another one.
    #[error("the link is closed")]
    Closed,
}

/// Why an SDP is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    #[error("too long")]
    TooLong,
    #[error("no certificate fingerprint")]
    NoFingerprint,
    /// Two fingerprints that differ: which one was signed would be a matter of interpretation.
    #[error("more than one certificate fingerprint")]
    AmbiguousFingerprint,
    #[error("a certificate fingerprint that is not SHA-256")]
    BadFingerprint,
    /// A restart must not change whom we talk to.
    #[error("another certificate than before")]
    OtherFingerprint,
    #[error("no ICE credentials")]
    NoCredentials,
    #[error("more than one set of ICE credentials")]
    AmbiguousCredentials,
    #[error("ICE credentials out of bounds")]
    BadCredentials,
    #[error("too many lines or sections")]
    TooComplex,
}

/// Why a remote candidate is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidateError {
    #[error("not a candidate line")]
    Malformed,
    /// TCP, or a host name instead of an address.
    #[error("a kind of candidate this program does not speak")]
    Unsupported,
    /// An address no peer can have: unspecified, multicast, broadcast, port 0, or loopback where we are not on it.
    #[error("an address no peer can have")]
    Forbidden,
    #[error("too many candidates")]
    TooMany,
}
