//! The part that dialling and answering share: a call that is connected, until it ends.

use std::time::{Duration, Instant};

use super::driver::Action;
use super::exit::Exit;
use super::keys::Key;
use crate::base::{CallId, GroupId};
use crate::engine::{CommandKind, EndReason, GroupCommand};

/// The user wants to go: the call is ended first. With nothing to hang up, or asked a second time, at once.
pub fn leave(talk: Option<&Talk>, leaving: &mut bool) -> Vec<Action> {
    match (talk, std::mem::replace(leaving, true)) {
        (Some(talk), false) => vec![talk.hang_up()],
        (None, _) | (_, true) => vec![Action::Exit(Exit::Fine)],
    }
}

/// One call from the moment it exists.
#[derive(Debug)]
pub struct Talk {
    pub call: CallId,
    /// Length of talk after which we hang up.
    limit: Option<Duration>,
    hang_up_at: Option<Instant>,
    muted: bool,
    /// What the call is, or has become a part of.
    group: Option<GroupId>,
    /// The call between two is over, or there never was one.
    call_is_over: bool,
}

impl Talk {
    pub fn new(call: CallId, limit: Option<Duration>) -> Self {
        Self { call, limit, hang_up_at: None, muted: false, group: None, call_is_over: false }
    }

    /// A group call from the beginning.
    pub fn of_group(group: GroupId, limit: Option<Duration>) -> Self {
        let call = CallId::from_bytes(*group.as_bytes());
        Self { group: Some(group), call_is_over: true, ..Self::new(call, limit) }
    }

    pub fn group(&self) -> Option<GroupId> {
        self.group
    }

    /// The call is to become a group call, or we have been let in.
    pub fn join(&mut self, group: GroupId) {
        self.group = Some(group);
    }

    /// The call between two is over; whether there is nothing left.
    pub fn call_ended(&mut self) -> bool {
        self.call_is_over = true;
        self.group.is_none()
    }

    /// The group call is over; whether there is nothing left.
    pub fn group_ended(&mut self) -> bool {
        self.group = None;
        self.call_is_over
    }

    pub fn is(&self, call: &CallId) -> bool {
        self.call == *call
    }

    pub fn connected(&mut self, now: Instant) {
        self.hang_up_at = self.hang_up_at.or(self.limit.map(|limit| now + limit));
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
        Action::Command(match self.group {
            Some(group) => CommandKind::Group(GroupCommand::Leave { group }),
            None => CommandKind::HangUp { call: self.call, reason },
        })
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
