//! The group call in which this profile still is though its program ended.

use rusqlite::{Connection, OptionalExtension as _};

use super::{StoreError, Unfinished, limits};
use crate::base::GroupId;

/// `None` forgets it.
pub(super) fn set(db: &Connection, unfinished: Option<&Unfinished>) -> Result<(), StoreError> {
    match unfinished {
        None => db.execute("DELETE FROM unfinished_group", [])?,
        Some(Unfinished { roster, .. }) if roster.len() > limits::ROSTER_BYTES => {
            return Err(StoreError::TooLong { what: "roster", limit: limits::ROSTER_BYTES });
        }
        Some(Unfinished { group, roster, last_seen_unix_s }) => db.execute(
            "INSERT OR REPLACE INTO unfinished_group (only_one, call, roster, last_seen_unix_s) VALUES (1, ?1, ?2, ?3)",
            (group.as_bytes(), roster, last_seen_unix_s),
        )?,
    };
    Ok(())
}

pub(super) fn get(db: &Connection) -> Result<Option<Unfinished>, StoreError> {
    let read = |row: &rusqlite::Row<'_>| {
        let group = GroupId::from_bytes(row.get(0)?);
        Ok(Unfinished { group, roster: row.get(1)?, last_seen_unix_s: row.get(2)? })
    };
    Ok(db.query_row("SELECT call, roster, last_seen_unix_s FROM unfinished_group", [], read).optional()?)
}
