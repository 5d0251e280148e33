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

    /// `is_last`: the entry ends a call, so there are at most a few of them per call.
    pub fn push(&mut self, entry: T, is_last: bool) {
        if is_last || self.entries.len() < CAPACITY {
            self.entries.push_back(entry);
        }
    }

    pub fn pop(&mut self) -> Option<T> {
        self.entries.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endings_get_into_a_full_queue() {
        let mut queue = Queue::new();
        for entry in 0..CAPACITY + 5 {
            queue.push(entry, false);
        }
        queue.push(9999, true);
        let polled: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(polled, (0..CAPACITY).chain([9999]).collect::<Vec<_>>());
    }
}
