//! Bringing in what was kept elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::{PersonSettings, StoreError, contacts, people, settings};
use crate::base::Person;
use crate::identity::Link;

/// What a backup brings in. It is added to what is there, and wins where both say something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Links, and what the user calls these people.
    pub contacts: Vec<(Link, Option<String>)>,
    pub blocked: BTreeSet<Person>,
    pub people: BTreeMap<Person, PersonSettings>,
    pub settings: BTreeMap<String, String>,
    /// Another person takes the profile over: safety words that were compared before are no longer the same.
    pub forget_verified: bool,
}

/// All of it or, if something is refused, nothing.
pub(super) fn all(db: &mut Connection, restored: &Restored) -> Result<(), StoreError> {
    let change = db.transaction()?;
    if restored.forget_verified {
        for (person, there) in people::all(&change)? {
            people::put(&change, person, &PersonSettings { verified_unix_s: None, ..there })?;
        }
    }
    for (link, name) in &restored.contacts {
        contacts::put(&change, link, name.as_deref())?;
    }
    contacts::block(&change, restored.blocked.iter().copied())?;
    for (person, settings) in &restored.people {
        people::put(&change, *person, settings)?;
    }
    for (key, value) in &restored.settings {
        settings::put(&change, key, value)?;
    }
    change.commit()?;
    Ok(())
}
