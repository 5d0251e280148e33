//! The address book and the blocked people.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Contact, StoreError, limits};
use crate::base::Person;
use crate::identity::Link;

const COLUMNS: &str = "
    SELECT person, name, link_name, hints FROM contact";

pub(super) fn list(db: &Connection) -> Result<Vec<Contact>, StoreError> {
    let order = "ORDER BY coalesce(name, link_name) COLLATE NOCASE NULLS LAST, person";
    let mut statement = db.prepare_cached(&format!("{COLUMNS} {order}"))?;
    statement.query_and_then([], read)?.collect()
}

pub(super) fn find(db: &Connection, person: Person) -> Result<Option<Contact>, StoreError> {
    let mut statement = db.prepare_cached(&format!("{COLUMNS} WHERE person = ?1"))?;
    statement.query_and_then([person.as_bytes()], read)?.next().transpose()
}

pub(super) fn add(db: &mut Connection, link: &Link, name: Option<&str>) -> Result<Contact, StoreError> {
    let change = db.transaction()?;
    put(&change, link, name)?;
    let contact = find(&change, link.person)?.ok_or(StoreError::UnknownContact)?;
    change.commit()?;
    Ok(contact)
}

/// [`add`], as a part of a larger change.
pub(super) fn put(db: &Connection, link: &Link, name: Option<&str>) -> Result<(), StoreError> {
    let name = name.map(chosen_name).transpose()?;
    let link_name = link.name.as_deref().and_then(suggested_name);
    let hints: Vec<&str> = link
        .hints
        .iter()
        .map(String::as_str)
        .filter(|hint| hint.len() <= limits::HINT_BYTES)
        .take(limits::HINTS)
        .collect();
    let hints = serde_json::to_string(&hints).map_err(|error| StoreError::Database(error.to_string()))?;

    let others: u32 =
        db.query_row("SELECT count(*) FROM contact WHERE person <> ?1", [link.person.as_bytes()], |row| row.get(0))?;
    if others >= limits::CONTACTS {
        return Err(StoreError::TooMany { what: "contacts", limit: limits::CONTACTS });
    }
    db.execute(
        "INSERT INTO contact (person, name, link_name, hints) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (person) DO UPDATE SET
             name = coalesce(excluded.name, name),
             link_name = coalesce(excluded.link_name, link_name),
             hints = iif(excluded.hints = '[]', hints, excluded.hints)",
        (link.person.as_bytes(), name, link_name, hints),
    )?;
    Ok(())
}

pub(super) fn rename(db: &Connection, person: Person, name: &str) -> Result<(), StoreError> {
    let changed =
        db.execute("UPDATE contact SET name = ?2 WHERE person = ?1", (person.as_bytes(), chosen_name(name)?))?;
    if changed == 0 { Err(StoreError::UnknownContact) } else { Ok(()) }
}

pub(super) fn remove(db: &Connection, person: Person) -> Result<(), StoreError> {
    let changed = db.execute("DELETE FROM contact WHERE person = ?1", [person.as_bytes()])?;
    if changed == 0 { Err(StoreError::UnknownContact) } else { Ok(()) }
}

pub(super) fn set_blocked(db: &mut Connection, person: Person, blocked: bool) -> Result<(), StoreError> {
    if !blocked {
        db.execute("DELETE FROM blocked WHERE person = ?1", [person.as_bytes()])?;
        return Ok(());
    }
    let change = db.transaction()?;
    block(&change, [person])?;
    change.commit()?;
    Ok(())
}

/// Blocks people, as a part of a larger change.
pub(super) fn block(db: &Connection, people: impl IntoIterator<Item = Person>) -> Result<(), StoreError> {
    let mut insert = db.prepare_cached("INSERT INTO blocked (person) VALUES (?1) ON CONFLICT DO NOTHING")?;
    for person in people {
        insert.execute([person.as_bytes()])?;
    }
    let all: u32 = db.query_row("SELECT count(*) FROM blocked", [], |row| row.get(0))?;
    if all > limits::BLOCKED {
        return Err(StoreError::TooMany { what: "blocked people", limit: limits::BLOCKED });
    }
    Ok(())
}

pub(super) fn is_blocked(db: &Connection, person: Person) -> Result<bool, StoreError> {
    let mut statement = db.prepare_cached("SELECT 1 FROM blocked WHERE person = ?1")?;
    Ok(statement.query_row([person.as_bytes()], |_| Ok(())).optional()?.is_some())
}

pub(super) fn blocked(db: &Connection) -> Result<BTreeSet<Person>, StoreError> {
    let mut statement = db.prepare("SELECT person FROM blocked")?;
    statement.query_and_then([], |row| Ok(Person::from_bytes(row.get(0)?)))?.collect()
}

/// A name that the user typed: trimmed, refused when it cannot be shown on one line.
fn chosen_name(name: &str) -> Result<&str, StoreError> {
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(StoreError::BadName);
    }
    if name.len() > limits::NAME_BYTES {
        return Err(StoreError::TooLong { what: "name", limit: limits::NAME_BYTES });
    }
    Ok(name)
}

/// A name that somebody else chose for themselves: made to fit, or dropped.
pub(super) fn suggested_name(name: &str) -> Option<String> {
    let visible: String = name.chars().filter(|c| !c.is_control()).collect();
    let visible = visible.trim();
    let name = visible.get(..visible.floor_char_boundary(limits::NAME_BYTES))?.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

fn read(row: &Row<'_>) -> Result<Contact, StoreError> {
    let person = Person::from_bytes(row.get(0)?);
    let hints: String = row.get(3)?;
    let hints = serde_json::from_str(&hints).map_err(|error| StoreError::Damaged { why: error.to_string() })?;
    Ok(Contact { person, name: row.get(1)?, link: Link { person, name: row.get(2)?, hints } })
}
