//! The list of people: who is in the address book, and whoever called or was called.

use std::collections::BTreeMap;

use super::Line;
use crate::base::Person;
use crate::engine::{CallPhase, HistoryEntry, Snapshot, name_of_nameless};
use crate::identity::Link;

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
}

/// Everybody whose name has `search` in it: whoever we talk to, then by the last call, then by name.
pub fn rows(now: &Snapshot, history: &[HistoryEntry], search: &str) -> Vec<Row> {
    let mut rows: BTreeMap<Person, Row> = BTreeMap::new();
    for contact in now.contacts.iter() {
        let name = contact.name.clone().or_else(|| contact.link.name.clone());
        rows.insert(contact.person, row(contact.person, name, contact.link.clone(), true));
    }
    for entry in history {
        let bare = || Link { person: entry.person, name: entry.name.clone(), hints: Vec::new() };
        let stranger = || row(entry.person, entry.name.clone(), bare(), false);
        rows.entry(entry.person).or_insert_with(stranger).last.get_or_insert_with(|| Line::of(entry));
    }
    for call in now.calls.iter().filter(|call| call.phase != CallPhase::Ended) {
        let Some(person) = call.peer else { continue };
        let bare = || Link { person, name: call.name.clone(), hints: Vec::new() };
        rows.entry(person).or_insert_with(|| row(person, call.name.clone(), bare(), false)).in_call = true;
    }
    let search = search.trim().to_lowercase();
    rows.values_mut().for_each(|row| row.blocked = now.blocked.contains(&row.person));
    let mut rows: Vec<Row> = rows.into_values().filter(|row| row.name.to_lowercase().contains(&search)).collect();
    let last = |row: &Row| row.last.as_ref().map(|line| line.started_unix_s);
    rows.sort_by_cached_key(|row| (!row.in_call, std::cmp::Reverse(last(row)), row.name.to_lowercase(), row.person));
    rows
}

fn row(person: Person, name: Option<String>, link: Link, is_contact: bool) -> Row {
    let name = name.unwrap_or_else(|| name_of_nameless(Some(&person)));
    Row { person, name, link, is_contact, blocked: false, last: None, in_call: false }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::calls::tests::entry;
    use super::*;
    use crate::engine::{Contact, EndReason};

    fn contact(person: u8, name: &str) -> Contact {
        let person = Person::from_bytes([person; 32]);
        let link = Link { person, name: None, hints: Vec::new() };
        Contact { person, name: Some(name.into()), blocked: false, link }
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
}
