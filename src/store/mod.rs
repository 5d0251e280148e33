//! Contacts, blocked people, what is set for one person, history, an unfinished group call and settings on disk.
//!
//! One SQLite file in write-ahead mode, owned by one thread. [`Store`] is the handle: cheap to clone, its requests are
//! futures that any runtime can await, and none of them blocks the caller's thread. What a request reported as done
//! survives `kill -9` and a power cut.
//!
//! A damaged file never keeps the program from starting: it is set aside under a dated name, a new one begins, and
//! [`Opening::Replaced`] says so. A file of a newer version of twocans, or of another program, is left untouched and
//! refused.

mod contacts;
mod error;
mod file;
mod group;
mod handle;
mod history;
mod people;
mod restore;
mod schema;
mod settings;
mod types;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use file::Opening;
pub use handle::Store;
pub use restore::Restored;
pub use types::{Contact, HistoryEntry, Member, PersonSettings, Route, Unfinished, Volume, limits};
