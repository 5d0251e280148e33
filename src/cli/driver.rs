//! What a verb that stays does next: a small machine without clock, terminal or engine, so that it can be tested.
//!
//! [`super::session::Session`] feeds it what happens and carries out what it wants.

use std::time::Instant;

use super::exit::Exit;
use super::keys::Key;
use super::output::Report;
use crate::engine::{CommandKind, Event};

/// Something happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    Event(&'a Event),
    Key(Key),
    /// Ctrl-C outside raw mode, or the system asks us to go.
    Interrupt,
    /// [`Driver::deadline`] has passed.
    Deadline,
}

/// Something to do.
#[derive(Debug, Clone)]
pub enum Action {
    Command(CommandKind),
    Say(Report),
    /// Listen to single keys from now on, or no longer.
    Keys(bool),
    Exit(Exit),
}

/// A verb that stays.
pub trait Driver {
    fn handle(&mut self, input: Input<'_>, now: Instant) -> Vec<Action>;

    /// When to come back with [`Input::Deadline`] at the latest.
    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// Runs until somebody stops it, and takes no calls: `node`.
#[derive(Debug, Default)]
pub struct Stay;

impl Driver for Stay {
    fn handle(&mut self, input: Input<'_>, _: Instant) -> Vec<Action> {
        match input {
            Input::Event(Event::Incoming { call, .. }) => vec![Action::Command(CommandKind::Decline { call: *call })],
            Input::Interrupt | Input::Key(Key::Quit) => vec![Action::Exit(Exit::Fine)],
            Input::Event(_) | Input::Key(_) | Input::Deadline => Vec::new(),
        }
    }
}
