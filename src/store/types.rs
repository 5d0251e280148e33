//! What the store keeps.

use std::time::Duration;

use crate::base::{CallId, EndReason, GroupId, Person};
use crate::identity::Link;

/// One line of the address book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub person: Person,
    /// What the user calls them; `None`: the name their link suggests, if any.
    pub name: Option<String>,
    /// As it was handed over, so that a dial can use its hints; later links of the same person refresh it.
    pub link: Link,
}

/// What is set for one person, in the address book or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PersonSettings {
    pub volume: Volume,
    pub route: Route,
    /// When the safety words were compared with theirs, Unix time in seconds; `None`: not yet.
    pub verified_unix_s: Option<i64>,
}

/// How loud a person is played, percent: 100 leaves the voice alone, 0 is silence, 200 the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume(u16);

impl Volume {
    pub const SILENT: Self = Self(0);
    pub const MAX: Self = Self(200);

    /// The nearest that there is.
    pub fn from_percent(percent: u16) -> Self {
        Self(percent.min(Self::MAX.0))
    }

    /// 0..=200.
    pub fn percent(self) -> u16 {
        self.0
    }

    /// What the samples are multiplied by: the square of the share, so that equal steps of a slider sound equally large
    /// all the way down. 200 is 4.0 (+12 dB), 50 is 0.25 (−12 dB), 10 is 0.01 (−40 dB).
    pub fn gain(self) -> f32 {
        (f32::from(self.0) / 100.0).powi(2)
    }
}

impl Default for Volume {
    fn default() -> Self {
        Self(100)
    }
}

/// Which ways the media of calls with a person may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Route {
    #[default]
    Any,
    /// Through relays alone, so that this person does not learn our address.
    RelayOnly,
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
    /// The other members of a group call, `person` among them: who invited us, or the first whom we had invited. Empty
    /// for a call between two.
    pub members: Vec<Member>,
}

/// Somebody in a past group call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub person: Person,
    pub name: Option<String>,
}

/// A group call that its program did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub group: GroupId,
    /// Its roster, in a form that only who wrote it knows.
    pub roster: Vec<u8>,
    /// Unix time, seconds.
    pub last_seen_unix_s: i64,
}

/// How much the store takes. What comes from other people is cut or dropped at the limit; what the user asks for is
/// refused with [`super::StoreError::TooMany`] or [`super::StoreError::TooLong`].
pub mod limits {
    /// People in the address book.
    pub const CONTACTS: u32 = 10_000;
    /// Blocked people, in the address book or not.
    pub const BLOCKED: u32 = 100_000;
    /// People for whom something is set.
    pub const PEOPLE: u32 = 10_000;
    /// Past calls; the oldest goes when a newer one comes.
    pub const HISTORY: u32 = 10_000;
    /// Members of a past group call that are kept.
    pub const MEMBERS: usize = 32;
    /// The roster of an unfinished group call, bytes.
    pub const ROSTER_BYTES: usize = 256 * 1024;
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
