//! Contacts and history on disk.

mod types;

pub use types::{Contact, HistoryEntry};
