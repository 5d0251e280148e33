//! What can go wrong on disk, and what the user can do about it.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// A request to the store failed. Nothing of a failed request is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be reached: check its permissions, its folder and the disk.
    #[error("cannot open the database {}: {why}", path.display())]
    Unreachable { path: PathBuf, why: String },
    /// The file's content is broken. The next start sets it aside and begins a new one.
    #[error("the database is damaged ({why}); restart twocans to set it aside and begin a new one")]
    Damaged { why: String },
    /// A newer twocans wrote the file: use that one, or another profile.
    #[error("the database has format {found}, this twocans knows formats up to {known}: please update twocans")]
    TooNew { found: i64, known: i64 },
    /// The file belongs to another program: use another profile.
    #[error("the database {} was made by another program", path.display())]
    Foreign { path: PathBuf },
    /// Free some space, then try again.
    #[error("the disk is full")]
    DiskFull,
    /// Remove something first.
    #[error("no room for more {what}: the limit is {limit}")]
    TooMany { what: &'static str, limit: u32 },
    /// Shorten it.
    #[error("the {what} is too long: the limit is {limit} bytes")]
    TooLong { what: &'static str, limit: usize },
    /// Choose a name that has visible characters, on one line.
    #[error("a name is one line of visible characters")]
    BadName,
    /// Nobody of that key is in the address book: add the contact first.
    #[error("this person is not in the address book")]
    UnknownContact,
    /// The store has been closed; nothing to do but restart.
    #[error("the database is closed")]
    Closed,
    /// SQLite refused for another reason, worth a bug report.
    #[error("database error: {0}")]
    Database(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { why: error.to_string() },
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Database(error.to_string()),
        }
    }
}
