//! The part that dialling and answering share: a call that is connected, until it ends.

use std::time::{Duration, Instant};

use super::driver::Action;
use super::keys::Key;
use crate::base::CallId;
use crate::engine::{CommandKind, EndReason};

/// One call from the moment it exists.
#[derive(Debug)]
pub struct Talk {
    pub call: CallId,
    /// Length of talk after which we hang up.
    limit: Option<Duration>,
    hang_up_at: Option<Instant>,
    muted: bool,
}

impl Talk {
    pub fn new(call: CallId, limit: Option<Duration>) -> Self {
        Self { call, limit, hang_up_at: None, muted: false }
    }

    pub fn is(&self, call: &CallId) -> bool {
        self.call == *call
    }

    pub fn connected(&mut self, now: Instant) {
        self.hang_up_at = self.limit.map(|limit| now + limit);
    }

    /// The microphone was switched, here or by another process.
    pub fn switched(&mut self, muted: bool) {
        self.muted = muted;
    }

    pub fn key(&mut self, key: Key) -> Vec<Action> {
        match key {
            Key::Mute => {
                vec![Action::Command(CommandKind::SetMuted { muted: !self.muted })]
            }
            Key::HangUp | Key::Quit => vec![self.hang_up()],
            Key::Yes | Key::No => Vec::new(),
        }
    }

    pub fn hang_up(&self) -> Action {
        self.end(EndReason::HangUp)
    }

    fn end(&self, reason: EndReason) -> Action {
        Action::Command(CommandKind::HangUp { call: self.call, reason })
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.hang_up_at
    }

    pub fn time_passed(&mut self, now: Instant) -> Vec<Action> {
        if self.hang_up_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.hang_up_at = None;
        vec![self.end(EndReason::TimeLimit)]
    }
}
