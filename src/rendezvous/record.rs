//! The presence record: who can be rung where, readable only by those who have the person's link.
//!
//! ```text
//! value   = seq u64 BE | blinded public key 32 B | Ed25519 signature 64 B | sealed payload        ≤ 1200 B
//! key     = "/tc1/" | SHA-256(blinded public key)
//! signed  = tag "twocans presence record 1\0" | seq | sealed payload, by the key blinded for the day
//! sealed  = nonce 24 B | XChaCha20-Poly1305(payload), additional data = seq | blinded public key
//! payload = Protocol Buffers message, see [`Payload`]
//! ```
//!
//! The sealing key comes from the *unblinded* public key, so a storing node, which sees the blinded one, can verify
//! and cannot read. `seq` is the time of publication in milliseconds since the Unix epoch, pushed up where needed to
//! be higher than the last one: newer beats older, and a replay of yesterday's record is recognised as stale.

use chacha20poly1305::aead::{Aead, KeyInit, Payload as AeadPayload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use libp2p::{Multiaddr, PeerId};
use prost::Message;
use sha2::{Digest, Sha256};

use super::limits::{MAX_ADDRESSES_PER_NODE, MAX_RECORD_BYTES};
use crate::base::Person;
use crate::identity::{BlindedKey, BlindedPerson, Period, PersonKey, blinding};

const KEY_PREFIX: &[u8] = b"/tc1/";
const SIGNATURE_TAG: &[u8] = b"twocans presence record 1\0";
const SEAL_TAG: &[u8] = b"twocans presence seal 1\0";
/// Layout of the payload. A reader of version 1 ignores fields that it does not know and refuses other versions.
const PAYLOAD_VERSION: u32 = 1;

const SEQ: usize = 8;
const BLINDED: usize = 32;
const SIGNATURE: usize = 64;
const HEADER: usize = SEQ + BLINDED + SIGNATURE;
pub(super) const NONCE: usize = 24;
/// More super-peers than a client holds say nothing but mischief.
pub(super) const MAX_RELAYS: usize = 4;

/// What a person tells those who have their link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presence {
    /// Seconds since the Unix epoch after which this is not to be believed.
    pub(super) expires_unix_s: u64,
    /// The person's present node.
    pub(super) node: PeerId,
    /// Super-peers at which the node holds a reservation.
    pub(super) relays: Vec<NodeAddresses>,
    /// The node's own addresses: only of a public super-peer, otherwise nobody's business.
    pub(super) addresses: Vec<Multiaddr>,
    /// The person has gone offline.
    pub(super) withdrawn: bool,
}

/// A node and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeAddresses {
    pub(super) node: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
}

/// Why a value is no record, or not one for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    #[error("longer than {MAX_RECORD_BYTES} bytes, or too short to hold a record")]
    Size,
    #[error("the signature is wrong")]
    Signature,
    #[error("made by somebody else")]
    OtherPerson,
    #[error("cannot be unsealed")]
    Seal,
    #[error("the content is damaged or of an unknown version")]
    Content,
}

/// The key under which a person's record of one period lies.
pub(super) fn record_key(blinded: &BlindedPerson) -> Vec<u8> {
    [KEY_PREFIX, Sha256::digest(blinded.as_bytes()).as_slice()].concat()
}

/// Makes the record of one period. `nonce` is random. Addresses and relays beyond the limits are left out.
pub(super) fn seal(
    me: &PersonKey,
    period: Period,
    seq: u64,
    presence: &Presence,
    nonce: [u8; NONCE],
) -> Result<Vec<u8>, RecordError> {
    let key = BlindedKey::derive(me, period);
    let payload = Payload::from(presence).encode_to_vec();
    let head = [&seq.to_be_bytes(), key.public().as_bytes().as_slice()].concat();
    let sealed = cipher(me.person(), &key.public())
        .encrypt(&XNonce::from(nonce), AeadPayload { msg: &payload, aad: &head })
        .map_err(|_| RecordError::Seal)?;
    let sealed = [nonce.as_slice(), &sealed].concat();
    let signature = key.sign(&signed_bytes(seq, &sealed));
    let value = [&head, signature.as_slice(), &sealed].concat();
    if value.len() > MAX_RECORD_BYTES { Err(RecordError::Size) } else { Ok(value) }
}

/// What anybody can tell of a record: that the owner of a blinded key made it, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) seq: u64,
    pub(super) blinded: BlindedPerson,
    sealed: &'a [u8],
}

/// Checks size and signature: all that a storing node can check of the value alone.
pub(super) fn verify(value: &[u8]) -> Result<Envelope<'_>, RecordError> {
    if value.len() < HEADER + NONCE || value.len() > MAX_RECORD_BYTES {
        return Err(RecordError::Size);
    }
    let (seq, rest) = value.split_first_chunk::<SEQ>().ok_or(RecordError::Size)?;
    let (blinded, rest) = rest.split_first_chunk::<BLINDED>().ok_or(RecordError::Size)?;
    let (signature, sealed) = rest.split_first_chunk::<SIGNATURE>().ok_or(RecordError::Size)?;
    let (seq, blinded) = (u64::from_be_bytes(*seq), BlindedPerson::from_bytes(*blinded));
    if !blinded.verify(&signed_bytes(seq, sealed), signature) {
        return Err(RecordError::Signature);
    }
    Ok(Envelope { seq, blinded, sealed })
}

/// The sequence number that a value claims, unchecked.
pub(super) fn claimed_seq(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|seq| u64::from_be_bytes(*seq))
}

/// Reads the record of `person`, whose key for the period is `blinded`.
pub(super) fn open(person: Person, blinded: &BlindedPerson, value: &[u8]) -> Result<(u64, Presence), RecordError> {
    // Compared before the signature is checked: a stranger's record costs nothing.
    if value.get(SEQ..SEQ + BLINDED) != Some(blinded.as_bytes()) {
        return Err(RecordError::OtherPerson);
    }
    let Envelope { seq, sealed, .. } = verify(value)?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(RecordError::Size)?;
    let head = &value[..SEQ + BLINDED];
    let payload = cipher(person, blinded)
        .decrypt(&XNonce::from(*nonce), AeadPayload { msg: sealed, aad: head })
        .map_err(|_| RecordError::Seal)?;
    let payload = Payload::decode(payload.as_slice()).map_err(|_| RecordError::Content)?;
    Ok((seq, Presence::try_from(payload)?))
}

/// The person's key for a period, from their link alone.
pub(super) fn blind(person: Person, period: Period) -> Option<BlindedPerson> {
    blinding::blind(person, period).ok()
}

fn signed_bytes(seq: u64, sealed: &[u8]) -> Vec<u8> {
    [SIGNATURE_TAG, &seq.to_be_bytes(), sealed].concat()
}

/// HKDF-SHA256 (RFC 5869): salt = blinded key, so that each period has a key of its own; input = the public key that
/// only link holders know.
fn cipher(person: Person, blinded: &BlindedPerson) -> XChaCha20Poly1305 {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(blinded.as_bytes()), person.as_bytes())
        .expand(SEAL_TAG, &mut key)
        .expect("32 bytes are within what HKDF-SHA256 can give");
    XChaCha20Poly1305::new(&key.into())
}

/// The payload on the wire. Ids and addresses are in their binary forms, to fit three relays with room to spare.
#[derive(Clone, PartialEq, Message)]
struct Payload {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint64, tag = "2")]
    expires_unix_s: u64,
    #[prost(bytes = "vec", tag = "3")]
    node: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    relays: Vec<PayloadNode>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    addresses: Vec<Vec<u8>>,
    #[prost(bool, tag = "6")]
    withdrawn: bool,
}

#[derive(Clone, PartialEq, Message)]
struct PayloadNode {
    #[prost(bytes = "vec", tag = "1")]
    node: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addresses: Vec<Vec<u8>>,
}

impl From<&Presence> for Payload {
    fn from(presence: &Presence) -> Self {
        let relay = |relay: &NodeAddresses| PayloadNode {
            node: relay.node.to_bytes(),
            addresses: address_bytes(&relay.addresses),
        };
        Self {
            version: PAYLOAD_VERSION,
            expires_unix_s: presence.expires_unix_s,
            node: presence.node.to_bytes(),
            relays: presence.relays.iter().take(MAX_RELAYS).map(relay).collect(),
            addresses: address_bytes(&presence.addresses),
            withdrawn: presence.withdrawn,
        }
    }
}

impl TryFrom<Payload> for Presence {
    type Error = RecordError;

    fn try_from(payload: Payload) -> Result<Self, RecordError> {
        if payload.version != PAYLOAD_VERSION {
            return Err(RecordError::Content);
        }
        let node = |bytes: &[u8]| PeerId::from_bytes(bytes).map_err(|_| RecordError::Content);
        let relays = payload.relays.iter().take(MAX_RELAYS);
        let relays =
            relays.map(|relay| Ok(NodeAddresses { node: node(&relay.node)?, addresses: read(&relay.addresses) }));
        Ok(Self {
            expires_unix_s: payload.expires_unix_s,
            node: node(&payload.node)?,
            relays: relays.collect::<Result<_, _>>()?,
            addresses: read(&payload.addresses),
            withdrawn: payload.withdrawn,
        })
    }
}

fn address_bytes(addresses: &[Multiaddr]) -> Vec<Vec<u8>> {
    addresses.iter().take(MAX_ADDRESSES_PER_NODE).map(Multiaddr::to_vec).collect()
}

/// Addresses that cannot be read are skipped: a later version may know more kinds.
fn read(addresses: &[Vec<u8>]) -> Vec<Multiaddr> {
    let addresses = addresses.iter().take(MAX_ADDRESSES_PER_NODE);
    addresses.filter_map(|bytes| Multiaddr::try_from(bytes.clone()).ok()).collect()
}
