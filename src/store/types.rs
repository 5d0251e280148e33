//! What the store keeps.

use std::time::Duration;

use crate::base::{CallId, EndReason, Person};
use crate::identity::Link;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub person: Person,
    pub name: Option<String>,
    pub blocked: bool,
    pub link: Link,
}

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
