//! The list of people: who is in the address book, and whoever called or was called.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Line;
use crate::base::Person;
use crate::engine::{CallPhase, Contact, HistoryEntry, Snapshot, SnapshotCall, name_of_nameless};
use crate::identity::Link;
use crate::ui::words::{self, Language};

/// One person.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub person: Person,
    pub name: String,
    /// With the hints that were handed over; a bare one for a stranger.
    pub link: Link,
    pub is_contact: bool,
    pub blocked: bool,
    pub last: Option<Line>,
    pub in_call: bool,
    /// That call is a group call.
    pub in_group: bool,
}

/// The rows of the last frame, which stay as long as nothing that they show has changed.
#[derive(Default)]
pub struct People {
    shown: Option<(Source, Arc<[Row]>)>,
}

/// What rows are made of.
struct Source {
    contacts: Arc<Vec<Contact>>,
    blocked: Arc<BTreeSet<Person>>,
    history: Arc<Vec<HistoryEntry>>,
    talks: Vec<(Person, Option<String>, bool)>,
    search: String,
    language: Language,
}

impl Source {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.contacts, &other.contacts)
            && Arc::ptr_eq(&self.blocked, &other.blocked)
            && Arc::ptr_eq(&self.history, &other.history)
            && (&self.talks, &self.search, self.language) == (&other.talks, &other.search, other.language)
    }
}

impl People {
    /// As [`rows`], and nearly free where nothing has changed: ten thousand past calls are not read in every frame.
    pub fn rows(&mut self, now: &Snapshot, history: &Arc<Vec<HistoryEntry>>, search: &str) -> Arc<[Row]> {
        let source = Source {
            contacts: now.contacts.clone(),
            blocked: now.blocked.clone(),
            history: history.clone(),
            talks: talks(now).map(|(person, call)| (person, call.name.clone(), call.group.is_some())).collect(),
            search: search.to_owned(),
            language: words::spoken(),
        };
        match &self.shown {
            Some((of, rows)) if of.is(&source) => rows.clone(),
            _ => {
                let rows: Arc<[Row]> = rows(now, history, search).into();
                self.shown = Some((source, rows.clone()));
                rows
            }
        }
    }
}

/// Whom we are in a call with, or about to be.
fn talks(now: &Snapshot) -> impl Iterator<Item = (Person, &SnapshotCall)> {
    let running = now.calls.iter().filter(|call| call.phase != CallPhase::Ended);
    running.filter_map(|call| Some((call.peer?, call)))
}

/// Everybody whose name has `search` in it: whoever we talk to, then by the last call, then by name.
fn rows(now: &Snapshot, history: &[HistoryEntry], search: &str) -> Vec<Row> {
    let mut rows: BTreeMap<Person, Row> = BTreeMap::new();
    for contact in now.contacts.iter() {
        let name = contact.name.clone().or_else(|| contact.link.name.clone());
        rows.insert(contact.person, row(contact.person, name, contact.link.clone(), true));
    }
    for entry in history {
        let row = rows.entry(entry.person).or_insert_with(|| stranger(entry.person, entry.name.clone()));
        row.last.get_or_insert_with(|| Line::of(entry));
        for member in &entry.members {
            if let Some(row) = rows.get_mut(&member.person) {
                row.last.get_or_insert_with(|| Line::of(entry));
            }
        }
    }
    for (person, call) in talks(now) {
        match call.group {
            None => rows.entry(person).or_insert_with(|| stranger(person, call.name.clone())).in_call = true,
            // Whom others have brought along does not come into our list.
            Some(_) => {
                if let Some(row) = rows.get_mut(&person) {
                    (row.in_call, row.in_group) = (true, true);
                }
            }
        }
    }
    let search = search.trim().to_lowercase();
    rows.values_mut().for_each(|row| row.blocked = now.blocked.contains(&row.person));
    let mut rows: Vec<Row> = rows.into_values().filter(|row| row.name.to_lowercase().contains(&search)).collect();
    let last = |row: &Row| row.last.as_ref().map(|line| line.started_unix_s);
    rows.sort_by_cached_key(|row| (!row.in_call, std::cmp::Reverse(last(row)), row.name.to_lowercase(), row.person));
    rows
}

/// Somebody of whom no more than the key and perhaps a name is known.
fn stranger(person: Person, name: Option<String>) -> Row {
    let bare = Link { person, name: name.clone(), hints: Vec::new() };
    row(person, name, bare, false)
}

fn row(person: Person, name: Option<String>, link: Link, is_contact: bool) -> Row {
    let name = name.unwrap_or_else(|| name_of_nameless(Some(&person)));
    Row { person, name, link, is_contact, blocked: false, last: None, in_call: false, in_group: false }
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::{entry, group_entry};
    use super::*;
    use crate::engine::{CallSide, EndReason};
    use crate::ui::tests::stage;

    fn contact(person: u8, name: &str) -> Contact {
        let person = Person::from_bytes([person; 32]);
        let link = Link { person, name: None, hints: Vec::new() };
        Contact { person, name: Some(name.into()), link }
    }

    #[test]
    fn the_latest_come_first_then_the_alphabet() {
        let now = Snapshot {
            contacts: Arc::new(vec![contact(1, "zoe"), contact(2, "Bob"), contact(3, "alice")]),
            ..Snapshot::default()
        };
        let end = EndReason::HangUp;
        let history =
            [entry(9, 300, false, 0, EndReason::Cancelled), entry(1, 200, true, 5, end), entry(1, 100, true, 5, end)];
        let all = rows(&now, &history, "");
        let order: Vec<u8> = all.iter().map(|row| row.person.as_bytes()[0]).collect();
        assert_eq!(order, [9, 1, 3, 2]);
        assert!(!all[0].is_contact, "who called is listed, known or not");
        assert_eq!(all[1].last.as_ref().map(|line| line.started_unix_s), Some(200), "the latest call");
        let found: Vec<String> = rows(&now, &history, " BO ").into_iter().map(|row| row.name).collect();
        assert_eq!(found, ["Bob"]);
    }

    #[test]
    fn a_group_call_brings_no_strangers_into_the_list() {
        let part = |byte: u8| {
            let call = stage::call_with(Person::from_bytes([byte; 32]), "", CallSide::Caller, CallPhase::Connected);
            SnapshotCall { group: Some(crate::base::GroupId::from_bytes([1; 16])), ..call }
        };
        let contacts = Arc::new(vec![contact(1, "zoe"), contact(3, "alice")]);
        let now = Snapshot { contacts, calls: vec![part(1), part(9)], ..Snapshot::default() };
        let history = [group_entry(&[(3, "alice"), (1, "zoe"), (8, "Eve")], true, 5, EndReason::HangUp)];
        let all = rows(&now, &history, "");
        let order: Vec<(u8, bool)> = all.iter().map(|row| (row.person.as_bytes()[0], row.in_group)).collect();
        assert_eq!(order, [(1, true), (3, false)]);
        assert!(all.iter().all(|row| row.last.is_some()), "it was a call with each of them");
    }

    #[test]
    fn rows_are_made_anew_when_something_changes_and_only_then() {
        let mut now = Snapshot { contacts: Arc::new(vec![contact(1, "zoe")]), ..Snapshot::default() };
        let history = Arc::new(Vec::new());
        let mut people = People::default();
        let first = people.rows(&now, &history, "");
        assert!(Arc::ptr_eq(&first, &people.rows(&now, &history, "")));
        now.muted = true;
        assert!(Arc::ptr_eq(&first, &people.rows(&now, &history, "")), "that is not shown there");
        assert!(people.rows(&now, &history, "bob").is_empty());
        now.blocked = Arc::new([Person::from_bytes([1; 32])].into());
        assert!(people.rows(&now, &history, "")[0].blocked);
        let called = Arc::new(vec![entry(2, 5, false, 0, EndReason::Cancelled)]);
        assert_eq!(people.rows(&now, &called, "").len(), 2);
    }
}
