//! Past calls, as they are shown.

use std::sync::Arc;

use super::Clock;
use crate::base::Person;
use crate::engine::{EndReason, HistoryEntry, PastMember};
use crate::ui::words::{self, Language};

/// What a past call was to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Outgoing,
    Incoming,
    /// They called, and nobody answered.
    Missed,
    /// We called, and it came to nothing.
    Failed,
}

/// One past call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub outcome: Outcome,
    /// "Outgoing call · 12 min", "Missed call", "They did not answer".
    pub text: String,
    pub started_unix_s: i64,
    /// The others of a group call; empty for a call between two.
    pub members: Vec<Person>,
}

impl Line {
    pub fn of(entry: &HistoryEntry) -> Self {
        let talked = !entry.talked.is_zero();
        let missed = !entry.outgoing && matches!(entry.reason, EndReason::Cancelled | EndReason::NoAnswer);
        let outcome = match (entry.outgoing, talked) {
            (true, true) => Outcome::Outgoing,
            (true, false) => Outcome::Failed,
            (false, false) if missed => Outcome::Missed,
            (false, _) => Outcome::Incoming,
        };
        let text = if entry.members.is_empty() {
            words::past_call(outcome, entry.reason, entry.talked)
        } else {
            let name = |member: &PastMember| member.name.clone().unwrap_or_else(|| member.person.abbreviated());
            let names: Vec<String> = entry.members.iter().map(name).collect();
            words::past_group(outcome, &words::names(&names), entry.talked)
        };
        let members = entry.members.iter().map(|member| member.person).collect();
        Self { outcome, text, started_unix_s: entry.started_unix_s, members }
    }
}

/// A call between the two of us, or a group call that they were in.
fn is_with(entry: &HistoryEntry, person: Person) -> bool {
    entry.person == person || entry.members.iter().any(|member| member.person == person)
}

/// A row of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The heading of a day.
    Day(String),
    Call(Line),
}

/// The conversation of the last frame, which stays as long as nothing that it shows has changed: ten thousand past calls
/// are not read in every frame.
#[derive(Default)]
pub struct Past {
    shown: Option<(Source, Arc<[Entry]>)>,
}

/// What a conversation is made of.
struct Source {
    history: Arc<Vec<HistoryEntry>>,
    person: Person,
    today: String,
    language: Language,
}

impl Source {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.history, &other.history)
            && (self.person, &self.today, self.language) == (other.person, &other.today, other.language)
    }
}

impl Past {
    /// As [`entries`].
    pub fn entries(&mut self, history: &Arc<Vec<HistoryEntry>>, person: Person, clock: &Clock) -> Arc<[Entry]> {
        let (today, language) = (clock.today(), words::spoken());
        let source = Source { history: history.clone(), person, today, language };
        match &self.shown {
            Some((of, shown)) if of.is(&source) => shown.clone(),
            _ => {
                let entries: Arc<[Entry]> = entries(history, person, clock).into();
                self.shown = Some((source, entries.clone()));
                entries
            }
        }
    }
}

/// The calls with `person`, oldest first, each day under its heading.
fn entries(history: &[HistoryEntry], person: Person, clock: &Clock) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut day = None;
    for entry in history.iter().rev().filter(|entry| is_with(entry, person)) {
        let date = clock.date(entry.started_unix_s);
        if day != Some(date) {
            day = Some(date);
            entries.push(Entry::Day(clock.day(date)));
        }
        entries.push(Entry::Call(Line::of(entry)));
    }
    entries
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::CallId;

    pub fn entry(person: u8, started_unix_s: i64, outgoing: bool, talked_s: u64, reason: EndReason) -> HistoryEntry {
        HistoryEntry {
            call: CallId::from_bytes([person; 16]),
            person: Person::from_bytes([person; 32]),
            name: None,
            outgoing,
            started_unix_s,
            talked: Duration::from_secs(talked_s),
            reason,
            members: Vec::new(),
        }
    }

    #[test]
    fn a_call_is_missed_only_if_they_called_and_nobody_took_it() {
        let outcome = |outgoing, talked_s, reason| Line::of(&entry(1, 0, outgoing, talked_s, reason)).outcome;
        assert_eq!(outcome(false, 0, EndReason::Cancelled), Outcome::Missed);
        assert_eq!(outcome(false, 0, EndReason::NoAnswer), Outcome::Missed);
        assert_eq!(outcome(false, 0, EndReason::Declined), Outcome::Incoming, "we declined it");
        assert_eq!(outcome(false, 9, EndReason::RemoteHangUp), Outcome::Incoming);
        assert_eq!(outcome(true, 0, EndReason::Cancelled), Outcome::Failed);
        assert_eq!(outcome(true, 9, EndReason::HangUp), Outcome::Outgoing);
    }

    /// A group call with these people, of whom the first invited or was invited first.
    pub fn group_entry(people: &[(u8, &str)], outgoing: bool, talked_s: u64, reason: EndReason) -> HistoryEntry {
        let member = |(byte, name): &(u8, &str)| PastMember {
            person: Person::from_bytes([*byte; 32]),
            name: Some((*name).into()),
        };
        let members = people.iter().map(member).collect();
        HistoryEntry { members, ..entry(people[0].0, 0, outgoing, talked_s, reason) }
    }

    #[test]
    fn a_group_call_names_who_was_in_it_and_stands_in_the_conversation_of_each() {
        let people = [(1, "Bob"), (2, "Carol"), (3, "Dave"), (4, "Erin")];
        let line = |outgoing, talked_s, reason| Line::of(&group_entry(&people, outgoing, talked_s, reason));
        let talked = line(true, 728, EndReason::HangUp);
        assert_eq!(talked.text, "Group call · Bob, Carol and 2 more · 12 min 08 s");
        assert_eq!(talked.members.len(), 4);
        let missed = line(false, 0, EndReason::NoAnswer);
        assert_eq!(
            (missed.outcome, missed.text.as_str()),
            (Outcome::Missed, "Missed group call · Bob, Carol and 2 more")
        );
        assert_eq!(line(false, 0, EndReason::Declined).text, "Group call · Bob, Carol and 2 more · not joined");
        assert_eq!(line(true, 0, EndReason::NoAnswer).text, "Group call · Bob, Carol and 2 more · nobody came");
        let history = [group_entry(&people, true, 5, EndReason::HangUp), entry(1, 0, true, 5, EndReason::HangUp)];
        let calls = |byte| entries(&history, Person::from_bytes([byte; 32]), &Clock::at(0)).len() - 1;
        assert_eq!([calls(1), calls(3)], [2, 1]);
    }

    #[test]
    fn days_are_in_order_and_hold_only_that_person() {
        const NOW: i64 = 1_795_430_700;
        let end = EndReason::HangUp;
        let newest_first = [
            entry(1, NOW - 60, true, 30, end),
            entry(2, NOW - 120, true, 30, end),
            entry(1, NOW - 600, true, 10, end),
            entry(1, NOW - 90_000, true, 20, end),
        ];
        let entries = entries(&newest_first, Person::from_bytes([1; 32]), &Clock::at(NOW));
        let shape: Vec<String> = entries
            .iter()
            .map(|entry| match entry {
                Entry::Day(day) => day.clone(),
                Entry::Call(line) => (NOW - line.started_unix_s).to_string(),
            })
            .collect();
        assert_eq!(shape, ["Yesterday", "90000", "Today", "600", "60"], "as they happened");
    }
}
