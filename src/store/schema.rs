//! The tables and their versions.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Marks the file as ours (SQLite's `application_id`): "2can" in ASCII.
const APPLICATION_ID: i64 = 0x3263_616e;

/// One script per version, oldest first; a released one is never edited. The number of scripts carried out so far is
/// the file's `user_version`.
pub(super) const MIGRATIONS: &[&str] = &[
    // Version 1. Blocked people stand apart from the address book: blocking a stranger must not make a contact of them.
    "
    CREATE TABLE contact (
        person    BLOB NOT NULL PRIMARY KEY CHECK (length(person) = 32),
        name      TEXT,
        link_name TEXT,
        hints     TEXT NOT NULL  -- JSON array of strings
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE blocked (
        person BLOB NOT NULL PRIMARY KEY CHECK (length(person) = 32)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE history (
        id             INTEGER PRIMARY KEY,
        call           BLOB NOT NULL CHECK (length(call) = 16),
        person         BLOB NOT NULL CHECK (length(person) = 32),
        name           TEXT,
        outgoing       INTEGER NOT NULL CHECK (outgoing IN (0, 1)),
        started_unix_s INTEGER NOT NULL,
        talked_ms      INTEGER NOT NULL CHECK (talked_ms >= 0),
        reason         TEXT NOT NULL,
        UNIQUE (call, person)
    ) STRICT;
    CREATE INDEX history_by_start ON history (started_unix_s, id);

    CREATE TABLE setting (
        key   TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    ",
    // Version 2. What is set for one person, who need not be in the address book; who has no row has the defaults.
    "
    CREATE TABLE person (
        person          BLOB NOT NULL PRIMARY KEY CHECK (length(person) = 32),
        volume_percent  INTEGER NOT NULL CHECK (volume_percent BETWEEN 0 AND 200),
        route           TEXT NOT NULL CHECK (route IN ('any', 'relay_only')),
        verified_unix_s INTEGER
    ) STRICT, WITHOUT ROWID;
    ",
    // Version 3. Group calls: who was in a past one, and the one that was not left, of which there is one at most.
    "
    ALTER TABLE history ADD COLUMN members TEXT NOT NULL DEFAULT '[]';  -- JSON array of [key, name or null]

    CREATE TABLE unfinished_group (
        only_one         INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
        call             BLOB NOT NULL CHECK (length(call) = 16),
        roster           BLOB NOT NULL,
        last_seen_unix_s INTEGER NOT NULL
    ) STRICT;
    ",
];

/// False for a database that another program made. An empty one is ours to fill.
pub(super) fn is_ours(db: &Connection) -> Result<bool, StoreError> {
    let id: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(id == APPLICATION_ID || (id == 0 && tables == 0))
}

/// Brings the file to the version of `scripts`, all steps or none.
pub(super) fn migrate(db: &mut Connection, scripts: &[&str]) -> Result<(), StoreError> {
    let known = scripts.len() as i64;
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found).map_err(|_| StoreError::Damaged { why: format!("format {found}") })?;
    let Some(missing) = scripts.get(done..) else { return Err(StoreError::TooNew { found, known }) };
    for script in missing {
        change.execute_batch(script)?;
    }
    change.pragma_update(None, "application_id", APPLICATION_ID)?;
    change.pragma_update(None, "user_version", known)?;
    change.commit()?;
    Ok(())
}
