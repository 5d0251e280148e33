//! Settings that the user changes while the program runs.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, limits};

pub(super) fn get(db: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let mut statement = db.prepare_cached("SELECT value FROM setting WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// All of them, by key.
pub(super) fn all(db: &Connection) -> Result<BTreeMap<String, String>, StoreError> {
    let mut statement = db.prepare("SELECT key, value FROM setting")?;
    statement.query_and_then([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

pub(super) fn set(db: &mut Connection, key: &str, value: Option<&str>) -> Result<(), StoreError> {
    let Some(value) = value else {
        db.execute("DELETE FROM setting WHERE key = ?1", [key])?;
        return Ok(());
    };
    let change = db.transaction()?;
    put(&change, key, value)?;
    change.commit()?;
    Ok(())
}

/// Keeps a value, as a part of a larger change.
pub(super) fn put(db: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    if key.len() > limits::KEY_BYTES {
        return Err(StoreError::TooLong { what: "setting's key", limit: limits::KEY_BYTES });
    }
    if value.len() > limits::VALUE_BYTES {
        return Err(StoreError::TooLong { what: "setting", limit: limits::VALUE_BYTES });
    }
    db.execute(
        "INSERT INTO setting (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [key, value],
    )?;
    let all: u32 = db.query_row("SELECT count(*) FROM setting", [], |row| row.get(0))?;
    if all > limits::SETTINGS {
        return Err(StoreError::TooMany { what: "settings", limit: limits::SETTINGS });
    }
    Ok(())
}
