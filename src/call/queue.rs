//! A queue that cannot grow without bound.

use std::collections::VecDeque;

/// Entries that may wait to be polled. An owner that drains after each input never comes near it.
const CAPACITY: usize = 256;

/// First in, first out. When full, new entries are dropped, but for the last ones of a call.
#[derive(Debug)]
pub struct Queue<T> {
    entries: VecDeque<T>,
}

impl<T> Queue<T> {
    pub const fn new() -> Self {
        Self { entries: VecDeque::new() }
    }

    pub fn push(&mut self, entry: T) {
        if self.entries.len() < CAPACITY {
            self.entries.push_back(entry);
        }
    }

    /// For what ends a call, and therefore comes at most a few times.
    pub fn push_last(&mut self, entry: T) {
        self.entries.push_back(entry);
    }

    pub fn pop(&mut self) -> Option<T> {
        self.entries.pop_front()
    }

    pub fn pop_last_if(&mut self, condition: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.entries.back().is_some_and(condition) { self.entries.pop_back() } else { None }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
