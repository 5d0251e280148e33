//! What two people's programs say to each other. One Noise session, and one data channel, is about one call, so only
//! the first message of a session names it.

use prost::Message as _;

use super::group::MAX_GROUP_MESSAGE_BYTES;
use super::{Description, wire};
use crate::base::{CallId, EndReason, Person};
use crate::identity::{MAX_PAYLOAD_BYTES, clean_name};

/// Longest message, bytes: what fits one frame of the signalling session.
pub const MAX_MESSAGE_BYTES: usize = MAX_PAYLOAD_BYTES;
/// Longest SDP, bytes. Ours is about 2 KiB with ten candidates.
pub const MAX_SDP_BYTES: usize = 12 * 1024;
/// Longest candidate, bytes.
pub const MAX_CANDIDATE_BYTES: usize = 512;
/// Longest ICE user fragment (RFC 8839 §5.4).
const MAX_UFRAG_CHARS: usize = 256;
/// Most protocol versions in a list.
const MAX_VERSIONS: usize = 16;
/// An hour: no delay or jitter that anybody can mean is longer.
const MAX_MS: f32 = 3_600_000.0;
/// Longest mean burst that is told, packets.
const MAX_BURST: f32 = 1000.0;

/// A signalling message. Which ones mean something in which state is the business of [`State`](super::State).
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Caller: I want to talk to you.
    Invite(Invite),
    /// Callee: the human is being asked.
    Ring,
    /// Callee: in another call.
    Busy,
    /// Callee: the human does not want to talk.
    Decline,
    /// Caller: no longer wanted.
    Cancel,
    /// Callee: the human took the call; here is the SDP offer.
    Answer(Description),
    /// Caller: the SDP answer to it.
    Accept(Description),
    /// Both: another ICE candidate (RFC 8838), as the link writes it.
    Candidate(String),
    EndOfCandidates,
    /// Both: the call is over, for this reason on the sender's side.
    Bye(EndReason),
    /// The sender's microphone is off, or on again.
    Muted(bool),
    Held(bool),
    Quality(Quality),
    /// Callee: no version in common; these are mine.
    Unsupported {
        versions: Vec<u8>,
    },
    /// Both: the link is down; let us begin anew.
    Rejoin(Rejoin),
    /// The reply to it: ANSWER follows from the callee.
    Rejoined,
    /// Both: about a group call.
    Group(GroupLetter),
}

/// A message about a group call: over the data channel of the call between two members, or as the first message of a
/// session of its own and the reply to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLetter {
    /// The session's, or the call's, peer must be this person.
    pub from: Person,
    /// A [`GroupMessage`](super::group::GroupMessage), not yet read. Empty as a reply: it has come, and that is all.
    pub message: Vec<u8>,
}

/// The first message of a further session of a call that both sides are in. As with [`Invite`], the session's peer must
/// be `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejoin {
    pub call: CallId,
    pub from: Person,
    /// Restarts of the link that the sender knows of.
    pub generation: u32,
    /// The sender's machine got into another network.
    pub moved: bool,
}

/// The first message of a call. Whoever reads it must check that the session's peer is `from`
/// ([`Responder::peer_matches`](crate::identity::Responder::peer_matches)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    pub call: CallId,
    /// The caller.
    pub from: Person,
    /// How the caller wants to be shown, already [cleaned](clean_name).
    pub name: Option<String>,
    /// Protocol versions that the caller speaks, best first.
    pub versions: Vec<u8>,
    /// When it was sent, by the caller's clock, so that an old one cannot be replayed for ever; `None` without a clock.
    pub sent_unix_s: Option<u64>,
    /// The call is to be one between two members of a group: a [`GroupMessage`](super::group::GroupMessage), not yet read.
    pub group: Option<Vec<u8>>,
}

/// How the sender hears the receiver, over the last seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quality {
    /// Packets lost before any repair (RFC 3550 §6.4.1), 0..1.
    pub fraction_lost: f32,
    /// Packets lost in a row, mean; 0 when none was lost or a former version does not say.
    pub mean_burst: f32,
    /// Played samples that were made up, 0..1.
    pub concealed: f32,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter_ms: f32,
    /// What the jitter buffer aims at.
    pub target_delay_ms: f32,
    /// How much later than the fastest packet of the last half minute the fastest of the last moments came.
    pub queue_ms: f32,
}

/// Why some bytes are no message. Drop the message; the session itself is fine.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A later version's message. Ignore it: senders do not rely on messages that the version in use does not have.
    #[error("a kind of message that this version does not know")]
    UnknownKind,
    #[error("{bytes} bytes are too long for a message (at most {MAX_MESSAGE_BYTES})")]
    TooLong { bytes: usize },
    #[error("damaged message: {0}")]
    Garbled(#[from] prost::DecodeError),
    #[error("a message has an impossible {field}")]
    BadField { field: &'static str },
}

impl Message {
    pub fn encode(&self) -> Vec<u8> {
        wire::Envelope { kind: Some(self.to_wire()) }.encode_to_vec()
    }

    /// Reads one message. Never panics; every field of the result is within its limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(MessageError::TooLong { bytes: bytes.len() });
        }
        let kind = wire::Envelope::decode(bytes)?.kind.ok_or(MessageError::UnknownKind)?;
        Self::from_wire(kind)
    }

    /// For traces.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Invite(_) => "INVITE",
            Self::Ring => "RING",
            Self::Busy => "BUSY",
            Self::Decline => "DECLINE",
            Self::Cancel => "CANCEL",
            Self::Answer(_) => "ANSWER",
            Self::Accept(_) => "ACCEPT",
            Self::Candidate(_) => "CANDIDATE",
            Self::EndOfCandidates => "END OF CANDIDATES",
            Self::Bye(_) => "BYE",
            Self::Muted(_) => "MUTED",
            Self::Held(_) => "HELD",
            Self::Quality(_) => "QUALITY",
            Self::Unsupported { .. } => "UNSUPPORTED",
            Self::Rejoin(_) => "REJOIN",
            Self::Rejoined => "REJOINED",
            Self::Group(_) => "GROUP",
        }
    }

    fn to_wire(&self) -> wire::Kind {
        use wire::{Empty, Kind};
        match self {
            Self::Invite(invite) => Kind::Invite(invite.to_wire()),
            Self::Ring => Kind::Ring(Empty {}),
            Self::Busy => Kind::Busy(Empty {}),
            Self::Decline => Kind::Decline(Empty {}),
            Self::Cancel => Kind::Cancel(Empty {}),
            Self::Answer(description) => Kind::Answer(description.to_wire()),
            Self::Accept(description) => Kind::Accept(description.to_wire()),
            Self::Candidate(candidate) => Kind::Candidate(candidate.clone()),
            Self::EndOfCandidates => Kind::EndOfCandidates(Empty {}),
            Self::Bye(reason) => Kind::Bye(reason_number(*reason)),
            Self::Muted(muted) => Kind::Muted(*muted),
            Self::Held(held) => Kind::Held(*held),
            Self::Quality(quality) => Kind::Quality(quality.to_wire()),
            Self::Unsupported { versions } => Kind::Unsupported(versions.clone()),
            Self::Rejoin(rejoin) => Kind::Rejoin(rejoin.to_wire()),
            Self::Rejoined => Kind::Rejoined(Empty {}),
            Self::Group(letter) => Kind::Group(letter.to_wire()),
        }
    }

    fn from_wire(kind: wire::Kind) -> Result<Self, MessageError> {
        use wire::Kind;
        Ok(match kind {
            Kind::Invite(invite) => Self::Invite(Invite::from_wire(invite)?),
            Kind::Ring(_) => Self::Ring,
            Kind::Busy(_) => Self::Busy,
            Kind::Decline(_) => Self::Decline,
            Kind::Cancel(_) => Self::Cancel,
            Kind::Answer(description) => Self::Answer(Description::from_wire(description)?),
            Kind::Accept(description) => Self::Accept(Description::from_wire(description)?),
            Kind::Candidate(candidate) => Self::Candidate(check(is_candidate(&candidate), candidate, "candidate")?),
            Kind::EndOfCandidates(_) => Self::EndOfCandidates,
            Kind::Bye(number) => Self::Bye(reason_of(number)),
            Kind::Muted(muted) => Self::Muted(muted),
            Kind::Held(held) => Self::Held(held),
            Kind::Quality(quality) => Self::Quality(Quality::from_wire(quality)?),
            Kind::Unsupported(versions) => Self::Unsupported { versions: checked_versions(versions)? },
            Kind::Rejoin(rejoin) => Self::Rejoin(Rejoin::from_wire(&rejoin)?),
            Kind::Rejoined(_) => Self::Rejoined,
            Kind::Group(letter) => Self::Group(GroupLetter::from_wire(letter)?),
        })
    }
}

impl Invite {
    fn to_wire(&self) -> wire::Invite {
        wire::Invite {
            call: self.call.as_bytes().to_vec(),
            from: self.from.as_bytes().to_vec(),
            name: self.name.clone().unwrap_or_default(),
            versions: self.versions.clone(),
            sent_unix_s: self.sent_unix_s.unwrap_or(0),
            group: self.group.clone().unwrap_or_default(),
        }
    }

    fn from_wire(invite: wire::Invite) -> Result<Self, MessageError> {
        Ok(Self {
            call: CallId::from_bytes(exactly(&invite.call, "call id")?),
            from: Person::from_bytes(exactly(&invite.from, "person")?),
            name: clean_name(&invite.name),
            versions: checked_versions(invite.versions)?,
            sent_unix_s: (invite.sent_unix_s != 0).then_some(invite.sent_unix_s),
            group: Some(within_limits(invite.group)?).filter(|message| !message.is_empty()),
        })
    }
}

impl Rejoin {
    fn to_wire(self) -> wire::Rejoin {
        wire::Rejoin {
            call: self.call.as_bytes().to_vec(),
            from: self.from.as_bytes().to_vec(),
            generation: self.generation,
            moved: self.moved,
        }
    }

    fn from_wire(rejoin: &wire::Rejoin) -> Result<Self, MessageError> {
        Ok(Self {
            call: CallId::from_bytes(exactly(&rejoin.call, "call id")?),
            from: Person::from_bytes(exactly(&rejoin.from, "person")?),
            generation: rejoin.generation,
            moved: rejoin.moved,
        })
    }
}

impl GroupLetter {
    fn to_wire(&self) -> wire::GroupLetter {
        wire::GroupLetter { from: self.from.as_bytes().to_vec(), message: self.message.clone() }
    }

    fn from_wire(letter: wire::GroupLetter) -> Result<Self, MessageError> {
        let from = Person::from_bytes(exactly(&letter.from, "person")?);
        Ok(Self { from, message: within_limits(letter.message)? })
    }
}

fn within_limits(group_message: Vec<u8>) -> Result<Vec<u8>, MessageError> {
    check(group_message.len() <= MAX_GROUP_MESSAGE_BYTES, group_message, "group message")
}

impl Description {
    fn to_wire(&self) -> wire::Description {
        wire::Description {
            sdp: self.sdp.clone(),
            fingerprint: self.fingerprint.to_vec(),
            ufrag: self.ufrag.clone(),
            signature: self.signature.to_vec(),
            generation: self.generation,
        }
    }

    fn from_wire(description: wire::Description) -> Result<Self, MessageError> {
        let wire::Description { sdp, fingerprint, ufrag, signature, generation } = description;
        let description = Self {
            fingerprint: exactly(&fingerprint, "fingerprint")?,
            signature: exactly(&signature, "signature")?,
            sdp,
            ufrag,
            generation,
        };
        check(description.is_within_limits(), description, "description")
    }

    pub(super) fn is_within_limits(&self) -> bool {
        let ice_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
        let sdp_char = |c: char| !c.is_control() || c == '\r' || c == '\n';
        (1..=MAX_SDP_BYTES).contains(&self.sdp.len())
            && self.sdp.chars().all(sdp_char)
            && (1..=MAX_UFRAG_CHARS).contains(&self.ufrag.len())
            && self.ufrag.bytes().all(ice_char)
    }
}

impl Quality {
    /// Within its limits whatever was measured; not a number becomes 0.
    #[must_use]
    pub fn clamped(self) -> Self {
        let clamp = |value: f32, max: f32| if value.is_nan() { 0.0 } else { value.clamp(0.0, max) };
        Self {
            fraction_lost: clamp(self.fraction_lost, 1.0),
            mean_burst: clamp(self.mean_burst, MAX_BURST),
            concealed: clamp(self.concealed, 1.0),
            jitter_ms: clamp(self.jitter_ms, MAX_MS),
            target_delay_ms: clamp(self.target_delay_ms, MAX_MS),
            queue_ms: clamp(self.queue_ms, MAX_MS),
        }
    }

    fn to_wire(self) -> wire::Quality {
        let Self { fraction_lost, mean_burst, concealed, jitter_ms, target_delay_ms, queue_ms } = self;
        wire::Quality { fraction_lost, concealed, jitter_ms, target_delay_ms, mean_burst, queue_ms }
    }

    fn from_wire(quality: wire::Quality) -> Result<Self, MessageError> {
        let wire::Quality { fraction_lost, concealed, jitter_ms, target_delay_ms, mean_burst, queue_ms } = quality;
        let quality = Self { fraction_lost, mean_burst, concealed, jitter_ms, target_delay_ms, queue_ms };
        check(quality == quality.clamped(), quality, "quality report")
    }
}

pub(super) fn is_candidate(candidate: &str) -> bool {
    (1..=MAX_CANDIDATE_BYTES).contains(&candidate.len()) && !candidate.chars().any(char::is_control)
}

fn checked_versions(versions: Vec<u8>) -> Result<Vec<u8>, MessageError> {
    check((1..=MAX_VERSIONS).contains(&versions.len()), versions, "list of versions")
}

fn exactly<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], MessageError> {
    bytes.try_into().map_err(|_| MessageError::BadField { field })
}

fn check<T>(fine: bool, value: T, field: &'static str) -> Result<T, MessageError> {
    fine.then_some(value).ok_or(MessageError::BadField { field })
}

/// Numbers of reasons on the wire; as the field numbers, they are for ever.
const REASONS: [(EndReason, u32); 13] = [
    (EndReason::HangUp, 1),
    (EndReason::RemoteHangUp, 2),
    (EndReason::TimeLimit, 3),
    (EndReason::Declined, 4),
    (EndReason::Busy, 5),
    (EndReason::NoAnswer, 6),
    (EndReason::Cancelled, 7),
    (EndReason::NotFound, 8),
    (EndReason::Unreachable, 9),
    (EndReason::ConnectionLost, 10),
    (EndReason::FingerprintMismatch, 11),
    (EndReason::Device, 12),
    (EndReason::Shutdown, 13),
];

fn reason_number(reason: EndReason) -> u32 {
    REASONS.iter().find(|(known, _)| *known == reason).map_or(1, |(_, number)| *number)
}

/// A reason that a later version invented is a plain hang-up to us.
fn reason_of(number: u32) -> EndReason {
    REASONS.iter().find(|(_, known)| *known == number).map_or(EndReason::HangUp, |(reason, _)| *reason)
}
