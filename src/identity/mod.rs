//! Who a person is, and how two of them prove it to each other.
//!
//! A person is an Ed25519 key ([`PersonKey`]; its public half is [`Person`](crate::base::Person)). It is handed out as
//! a [`Link`], kept by [`load_or_create`], and used for five things only:
//!
//! - [`Initiator`], [`Responder`] and [`Session`] encrypt and authenticate signalling between two people, whatever
//!   relays carry the bytes;
//! - [`blinding`] makes a different public key of it for every day, so that the DHT can check a presence record without
//!   learning whose it is;
//! - [`binding`] signs the certificate fingerprint of a call's media, so that nobody in the middle can swap it;
//! - [`statement`] signs what a person says of a group call: who is in it, who is not, who may come by a link;
//! - [`safety_words()`] lets two people compare keys by voice.
//!
//! [`backup`] keeps it safe in an encrypted file.
//!
//! Everything is bytes in, bytes out; only `key_file.rs` touches files and random numbers; `session.rs` lets Noise
//! draw its ephemeral keys, and `backup.rs` lets age draw its salts.

pub mod backup;
pub mod binding;
pub mod blinding;
mod key_file;
mod link;
mod name;
mod person_key;
mod qr;
mod safety_words;
mod session;
pub mod statement;
#[cfg(test)]
mod testing;

pub use backup::{BackupError, Passphrase, PassphraseError};
pub use binding::{Binding, Role};
pub use blinding::{BlindedKey, BlindedPerson, Period};
pub use key_file::{IdentityError, keep, load_or_create, replace, write_private};
pub use link::{Link, MAX_HINT_BYTES, MAX_HINTS, MAX_LINK_BYTES, ParseLinkError};
pub use name::{MAX_NAME_CHARS, clean_name};
pub use person_key::{PersonKey, UnusableKey, check_person};
pub use qr::qr_terminal;
pub use safety_words::{SAFETY_WORDS, safety_words};
pub use session::{
    Initiator, MAX_FRAME_BYTES, MAX_PAYLOAD_BYTES, Responder, Session, SessionError, WIRE_VERSIONS, version_refusal,
};

/// Domain separation: every hash and signature of this room starts with a tag of its own and a zero byte, so that no
/// value made for one purpose can pass for another.
mod tag {
    pub const BLINDING: &[u8] = b"twocans blinding 1\0";
    pub const BLINDED_NONCE: &[u8] = b"twocans blinded nonce 1\0";
    pub const BINDING: &[u8] = b"twocans fingerprint binding 1\0";
    pub const SAFETY_WORDS: &[u8] = b"twocans safety words 1\0";
    pub const GROUP_ADD: &[u8] = b"twocans group add 1\0";
    pub const GROUP_REMOVAL: &[u8] = b"twocans group removal 1\0";
    pub const GROUP_LINK: &[u8] = b"twocans group link 1\0";
    pub const GROUP_REVOCATION: &[u8] = b"twocans group revocation 1\0";
    pub const GROUP_REPORT: &[u8] = b"twocans group report 1\0";
}
