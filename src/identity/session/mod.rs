//! The signalling session: Noise IK (Noise Protocol Framework, revision 34, §7.5) between two person keys.
//!
//! Bytes in, bytes out; any stream of frames may carry it, and whoever carries it learns neither who talks nor what is
//! said. The initiator knows whom it calls, so the first flight already carries a payload and hides the initiator.
//!
//! ```text
//! flight 1   version ‖ e, es, s, ss, payload        initiator → responder
//! flight 2   version ‖ e, ee, se, payload           responder → initiator
//!            or 0 ‖ versions the responder speaks   if it does not speak that version
//! frames     sealed payload                         both ways, in order
//! ```
//!
//! Flight 1 has no forward secrecy against the loss of the responder's key and may be replayed by a carrier (Noise
//! §7.7): the reader must recognise a payload it has seen. Everything after it has neither weakness. Payloads are
//! padded, so that their length says little.

use snow::{Builder, HandshakeState, TransportState};

use super::person_key::{PersonKey, UnusableKey, x25519_public};
use crate::base::Person;

/// Longest flight or frame, bytes as sent.
pub const MAX_FRAME_BYTES: usize = 16 * 1024;
/// Longest payload, bytes: what fits a first flight, rounded down to whole padding blocks.
pub const MAX_PAYLOAD_BYTES: usize =
    (MAX_FRAME_BYTES - FLIGHT_1_OVERHEAD) / PADDING_BLOCK * PADDING_BLOCK - LENGTH_BYTES;
/// Wire versions we speak, best first.
pub const WIRE_VERSIONS: &[u8] = &[1];

const PATTERN: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"twocans signalling";
/// In place of the version: the responder does not speak it.
const REFUSAL: u8 = 0;
/// Most versions that are read from a refusal.
const MAX_VERSIONS: usize = 16;
const TAG_BYTES: usize = 16;
/// Version, ephemeral key, sealed static key, tag of the payload.
const FLIGHT_1_OVERHEAD: usize = 1 + 32 + (32 + TAG_BYTES) + TAG_BYTES;
const PADDING_BLOCK: usize = 64;
const LENGTH_BYTES: usize = 2;

/// Why a session did not come about, or is over. None of these can be repaired within the session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer's key is nobody's. Check the link.
    #[error(transparent)]
    UnusableKey(#[from] UnusableKey),
    /// Send less.
    #[error("{bytes} bytes do not fit into one signalling message of {MAX_PAYLOAD_BYTES}")]
    TooLong { bytes: usize },
    /// The other side's program is of another time. Answer with [`version_refusal`].
    #[error("the other side speaks version {version} of the signalling protocol, which this program does not")]
    UnknownVersion { version: u8 },
    /// One of the two programs must be updated. The list is unauthenticated: anybody on the way can have sent it.
    #[error("the other side speaks only versions {supported:?} of the signalling protocol; one of you must update")]
    VersionRefused { supported: Vec<u8> },
    /// Forged, damaged, out of order, or meant for somebody else. Close the stream; a new one may be tried.
    #[error("a signalling message is damaged or not meant for us")]
    Forged,
    /// This machine cannot encrypt (no random numbers, for instance).
    #[error("encryption fails on this machine: {0}")]
    Local(String),
}

/// The side that opens the session, waiting for flight 2.
pub struct Initiator {
    noise: Box<HandshakeState>,
}

impl Initiator {
    /// Makes flight 1, which only `to` can read. Every call makes another flight, even for the same payload.
    pub fn start(me: &PersonKey, to: Person, payload: &[u8]) -> Result<(Self, Vec<u8>), SessionError> {
        Self::start_with(me, to, payload, None)
    }

    /// Reads flight 2 and gives its payload.
    pub fn finish(mut self, reply: &[u8]) -> Result<(Session, Vec<u8>), SessionError> {
        let message = match reply {
            [REFUSAL, supported @ ..] => {
                let supported = supported.iter().copied().take(MAX_VERSIONS).collect();
                return Err(SessionError::VersionRefused { supported });
            }
            [version, message @ ..] if *version == best_version() => message,
            [version, ..] => return Err(SessionError::UnknownVersion { version: *version }),
            [] => return Err(SessionError::Forged),
        };
        let payload = read(message, |message, buffer| self.noise.read_message(message, buffer))?;
        Ok((Session::new(*self.noise)?, payload))
    }

    fn start_with(
        me: &PersonKey,
        to: Person,
        payload: &[u8],
        ephemeral: Option<&[u8; 32]>,
    ) -> Result<(Self, Vec<u8>), SessionError> {
        let (secret, public, prologue) = (me.x25519_secret(), x25519_public(to)?, prologue(best_version()));
        let builder = builder(secret.as_ref(), &prologue, ephemeral)?.remote_public_key(&public).map_err(local)?;
        let mut noise = Box::new(builder.build_initiator().map_err(local)?);
        let flight = write(&[best_version()], payload, |payload, buffer| noise.write_message(payload, buffer))?;
        Ok((Self { noise }, flight))
    }
}

/// The side that was called, having read flight 1.
pub struct Responder {
    version: u8,
    peer: Option<[u8; 32]>,
    noise: Box<HandshakeState>,
}

impl Responder {
    /// Reads flight 1 and gives its payload. It is [`SessionError::Forged`] if it is not for `me`.
    pub fn read(me: &PersonKey, first: &[u8]) -> Result<(Self, Vec<u8>), SessionError> {
        Self::read_with(me, first, None)
    }

    /// Whether flight 1 came from this person. X25519 does not map back to one Ed25519 key, so the payload has to name
    /// the sender and this has to be asked before the name is believed.
    pub fn peer_matches(&self, claimed: Person) -> bool {
        self.peer.is_some() && x25519_public(claimed).ok() == self.peer
    }

    /// Makes flight 2.
    pub fn finish(mut self, payload: &[u8]) -> Result<(Session, Vec<u8>), SessionError> {
        let flight = write(&[self.version], payload, |payload, buffer| self.noise.write_message(payload, buffer))?;
        Ok((Session::new(*self.noise)?, flight))
    }

    fn read_with(me: &PersonKey, first: &[u8], ephemeral: Option<&[u8; 32]>) -> Result<(Self, Vec<u8>), SessionError> {
        let (version, message) = first.split_first().ok_or(SessionError::Forged)?;
        if !WIRE_VERSIONS.contains(version) {
            return Err(SessionError::UnknownVersion { version: *version });
        }
        let (secret, prologue) = (me.x25519_secret(), prologue(*version));
        let builder = builder(secret.as_ref(), &prologue, ephemeral)?;
        let mut noise = Box::new(builder.build_responder().map_err(local)?);
        let payload = read(message, |message, buffer| noise.read_message(message, buffer))?;
        let peer = noise.get_remote_static().and_then(|key| key.try_into().ok());
        Ok((Self { version: *version, peer, noise }, payload))
    }
}

/// An open session. Frames must arrive complete and in the order in which they were sealed.
pub struct Session {
    noise: Box<TransportState>,
}

impl Session {
    /// Encrypts a payload of at most [`MAX_PAYLOAD_BYTES`] into a frame.
    pub fn seal(&mut self, payload: &[u8]) -> Result<Vec<u8>, SessionError> {
        write(&[], payload, |payload, buffer| self.noise.write_message(payload, buffer))
    }

    /// Decrypts a frame. After an error the session is of no further use.
    pub fn open(&mut self, frame: &[u8]) -> Result<Vec<u8>, SessionError> {
        read(frame, |frame, buffer| self.noise.read_message(frame, buffer))
    }

    fn new(handshake: HandshakeState) -> Result<Self, SessionError> {
        Ok(Self { noise: Box::new(handshake.into_transport_mode().map_err(local)?) })
    }
}

/// What to answer to a first flight of a version that we do not speak, so that its sender can tell the person why.
pub fn version_refusal() -> Vec<u8> {
    [&[REFUSAL], WIRE_VERSIONS].concat()
}

const fn best_version() -> u8 {
    WIRE_VERSIONS[0]
}

/// The version is part of what both sides must agree on, so that nobody on the way can change it.
fn prologue(version: u8) -> Vec<u8> {
    [PROLOGUE, &[version]].concat()
}

/// `ephemeral` is `None`, and the key drawn at random, but in the test that pins the format.
fn builder<'a>(
    secret: &'a [u8],
    prologue: &'a [u8],
    ephemeral: Option<&'a [u8; 32]>,
) -> Result<Builder<'a>, SessionError> {
    let builder = Builder::new(PATTERN.parse().map_err(local)?);
    let builder = builder.local_private_key(secret).and_then(|builder| builder.prologue(prologue)).map_err(local)?;
    Ok(match ephemeral {
        Some(key) => builder.fixed_ephemeral_key_for_testing_only(key),
        None => builder,
    })
}

/// Pads `payload` (length, payload, zeros up to a whole block), encrypts it, and puts it behind `head`.
fn write(
    head: &[u8],
    payload: &[u8],
    encrypt: impl FnOnce(&[u8], &mut [u8]) -> Result<usize, snow::Error>,
) -> Result<Vec<u8>, SessionError> {
    let too_long = SessionError::TooLong { bytes: payload.len() };
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(too_long);
    }
    let length = u16::try_from(payload.len()).map_err(|_| too_long)?;
    let mut padded = vec![0; (LENGTH_BYTES + payload.len()).next_multiple_of(PADDING_BLOCK)];
    padded[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    padded[LENGTH_BYTES..LENGTH_BYTES + payload.len()].copy_from_slice(payload);

    let mut frame = vec![0; padded.len() + FLIGHT_1_OVERHEAD];
    frame[..head.len()].copy_from_slice(head);
    let written = encrypt(&padded, &mut frame[head.len()..]).map_err(local)?;
    frame.truncate(head.len() + written);
    Ok(frame)
}

/// Decrypts and takes the padding off.
fn read(
    message: &[u8],
    decrypt: impl FnOnce(&[u8], &mut [u8]) -> Result<usize, snow::Error>,
) -> Result<Vec<u8>, SessionError> {
    if message.len() > MAX_FRAME_BYTES {
        return Err(SessionError::Forged);
    }
    let mut padded = vec![0; message.len()];
    let length = decrypt(message, &mut padded).map_err(|_| SessionError::Forged)?;
    padded.truncate(length);
    let (length, rest) = padded.split_first_chunk().ok_or(SessionError::Forged)?;
    rest.get(..usize::from(u16::from_be_bytes(*length))).map(<[u8]>::to_vec).ok_or(SessionError::Forged)
}

fn local(error: snow::Error) -> SessionError {
    SessionError::Local(error.to_string())
}

#[cfg(test)]
mod tests;
