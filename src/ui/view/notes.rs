//! What the window remembers of each running call.

use std::collections::BTreeMap;

use super::Trends;
use crate::base::CallId;
use crate::engine::{CallPhase, Snapshot};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallNotes {
    /// Whom it is with: when it has ended, the snapshot knows no more.
    pub name: String,
    /// Empty until they are known.
    pub safety_words: String,
    pub trends: Trends,
}

/// By call, from the moment it is there until it has ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notes(BTreeMap<CallId, CallNotes>);

impl Notes {
    /// Learns the names of a snapshot's calls.
    pub fn look(&mut self, now: &Snapshot) {
        for call in now.calls.iter().filter(|call| call.phase != CallPhase::Ended) {
            let note = self.0.entry(call.call).or_default();
            if call.name.is_some() || note.name.is_empty() {
                note.name = call.peer_name();
            }
        }
    }

    /// The notes of a call, begun if there are none.
    pub fn of(&mut self, call: CallId) -> &mut CallNotes {
        self.0.entry(call).or_default()
    }

    pub fn get(&self, call: CallId) -> Option<&CallNotes> {
        self.0.get(&call)
    }

    /// A call has ended; its notes, if there were any.
    pub fn end(&mut self, call: CallId) -> Option<CallNotes> {
        self.0.remove(&call)
    }

    /// After events were missed: calls of whose end nobody told are forgotten.
    pub fn tidy(&mut self, now: &Snapshot) {
        self.0.retain(|known, _| now.calls.iter().any(|call| call.call == *known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CallSide;
    use crate::ui::tests::stage::{bob, call_with};

    #[test]
    fn a_name_outlives_its_call_until_the_end_is_told() {
        let call = call_with(bob(), "Bob", CallSide::Caller, CallPhase::Connected);
        let id = call.call;
        let mut notes = Notes::default();
        notes.look(&Snapshot { calls: vec![call], ..Snapshot::default() });
        notes.look(&Snapshot::default());
        assert_eq!(notes.end(id).map(|note| note.name).as_deref(), Some("Bob"));
        assert_eq!(notes.end(id), None);
        notes.of(id).safety_words = "exist".into();
        notes.tidy(&Snapshot::default());
        assert_eq!(notes.get(id), None, "its end was missed");
    }
}
