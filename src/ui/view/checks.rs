//! The doctor's report while it is being made.

use crate::engine::{Check, CommandId, Diagnosis};
use crate::ui::words::{self, Word};

/// What was found so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Examination {
    pub checks: Vec<Check>,
    /// The sentence on top, at the end.
    pub answer: Option<Word>,
    /// The one that runs.
    pub running: Option<CommandId>,
}

impl Examination {
    /// The findings of the last one stay until they are replaced.
    pub fn begin(&mut self, id: CommandId) {
        self.running = Some(id);
        self.answer = None;
    }

    pub fn found(&mut self, check: &Check) {
        match self.checks.iter_mut().find(|known| known.what == check.what) {
            Some(known) => known.clone_from(check),
            None => self.checks.push(check.clone()),
        }
        self.checks.sort_by_key(|check| check.what);
    }

    pub fn end(&mut self, diagnosis: Option<&Diagnosis>) {
        self.running = None;
        if let Some(diagnosis) = diagnosis {
            self.checks.clone_from(&diagnosis.checks);
            self.answer = Some(words::answer(diagnosis));
        }
    }

    /// To be pasted into a message to whoever helps.
    pub fn report(&self) -> String {
        let line = |check: &Check| {
            // Whoever helps knows the terminal's words, which say more.
            let remedy = check.remedy.as_deref().map(|remedy| format!(" {}", words::sentence(remedy)));
            let (what, verdict) = (words::check(check.what), words::verdict(check.verdict));
            format!("{what}: {verdict}. {}{}", words::sentence(&check.finding), remedy.unwrap_or_default())
        };
        let lines = self.answer.iter().map(|answer| String::from(*answer)).chain(self.checks.iter().map(line));
        lines.collect::<Vec<String>>().join("\n")
    }
}
