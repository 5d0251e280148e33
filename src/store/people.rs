//! What is set for one person.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use super::{PersonSettings, Route, StoreError, Volume, limits};
use crate::base::Person;

/// Everybody for whom something is set.
pub(super) fn all(db: &Connection) -> Result<BTreeMap<Person, PersonSettings>, StoreError> {
    let mut statement = db.prepare("SELECT person, volume_percent, route, verified_unix_s FROM person")?;
    statement.query_and_then([], read)?.collect()
}

/// Defaults are kept by keeping nothing.
pub(super) fn set(db: &mut Connection, person: Person, settings: &PersonSettings) -> Result<(), StoreError> {
    let change = db.transaction()?;
    put(&change, person, settings)?;
    change.commit()?;
    Ok(())
}

/// [`set`], as a part of a larger change.
pub(super) fn put(db: &Connection, person: Person, settings: &PersonSettings) -> Result<(), StoreError> {
    db.execute("DELETE FROM person WHERE person = ?1", [person.as_bytes()])?;
    if *settings != PersonSettings::default() {
        let others: u32 = db.query_row("SELECT count(*) FROM person", [], |row| row.get(0))?;
        if others >= limits::PEOPLE {
            return Err(StoreError::TooMany { what: "people with settings of their own", limit: limits::PEOPLE });
        }
        let PersonSettings { volume, route, verified_unix_s } = *settings;
        db.execute(
            "INSERT INTO person (person, volume_percent, route, verified_unix_s) VALUES (?1, ?2, ?3, ?4)",
            (person.as_bytes(), volume.percent(), word_of(route), verified_unix_s),
        )?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<(Person, PersonSettings), StoreError> {
    let route: String = row.get(2)?;
    let settings = PersonSettings {
        volume: Volume::from_percent(row.get(1)?),
        route: route_of(&route).ok_or_else(|| StoreError::Damaged { why: format!("route {route:?}") })?,
        verified_unix_s: row.get(3)?,
    };
    Ok((Person::from_bytes(row.get(0)?), settings))
}

/// Part of the file format.
const fn word_of(route: Route) -> &'static str {
    match route {
        Route::Any => "any",
        Route::RelayOnly => "relay_only",
    }
}

fn route_of(word: &str) -> Option<Route> {
    [Route::Any, Route::RelayOnly].into_iter().find(|route| word_of(*route) == word)
}
