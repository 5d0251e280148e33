//! What the store keeps.

use std::time::Duration;

use crate::base::{CallId, EndReason, Person};
use crate::identity::Link;

/// One line of the address book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub person: Person,
    /// What the user calls them; `None`: the name their link suggests, if any.
    pub name: Option<String>,
    /// Their calls are refused without ringing.
    pub blocked: bool,
    /// As it was handed over, so that a dial can use its hints; later links of the same person refresh it.
    pub link: Link,
}

/// One past call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    pub call: CallId,
    pub person: Person,
    pub name: Option<String>,
    pub outgoing: bool,
    /// Unix time of the first ring, seconds.
    pub started_unix_s: i64,
    /// Length of talk; zero when never connected.
    pub talked: Duration,
    pub reason: EndReason,
}

/// How much the store takes. What comes from other people is cut or dropped at the limit; what the user asks for is
/// refused with [`super::StoreError::TooMany`] or [`super::StoreError::TooLong`].
pub mod limits {
    /// People in the address book.
    pub const CONTACTS: u32 = 10_000;
    /// Blocked people, in the address book or not.
    pub const BLOCKED: u32 = 100_000;
    /// Past calls; the oldest goes when a newer one comes.
    pub const HISTORY: u32 = 10_000;
    /// Settings.
    pub const SETTINGS: u32 = 1_000;
    /// A name, bytes of UTF-8.
    pub const NAME_BYTES: usize = 256;
    /// Hints kept of a link; further ones are dropped.
    pub const HINTS: usize = 16;
    /// One hint, bytes; longer ones are dropped.
    pub const HINT_BYTES: usize = 512;
    /// A setting's key, bytes.
    pub const KEY_BYTES: usize = 64;
    /// A setting's value, bytes.
    pub const VALUE_BYTES: usize = 64 * 1024;
}
