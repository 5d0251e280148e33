//! While somebody rings the window is in front of all others.

/// What was done to the window for the call that rings.
#[derive(Debug, Default)]
pub struct Raise {
    raised: bool,
    /// Only the call made it visible.
    was_hidden: bool,
}

/// What is to be done to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Stay,
    /// Shown, and above all others. The focus stays where it is: whoever types there would answer or decline by accident.
    Forward,
    /// Among the others again.
    Back {
        /// And out of sight, as it was.
        hide: bool,
    },
}

impl Raise {
    /// To be told in each pass whether somebody rings, whether there is a call that we are in, and of the window whether it
    /// is hidden and whether it has the focus.
    pub fn step(&mut self, rings: bool, talks: bool, hidden: bool, focused: bool) -> Step {
        match (rings, std::mem::replace(&mut self.raised, rings)) {
            (true, false) => {
                self.was_hidden = hidden;
                Step::Forward
            }
            (false, true) => Step::Back { hide: std::mem::take(&mut self.was_hidden) && !talks && !focused },
            (true, true) | (false, false) => Step::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_window_goes_back_unless_somebody_uses_it() {
        let after_a_ring = |talks, focused| {
            let mut raise = Raise::default();
            assert_eq!(raise.step(false, false, true, false), Step::Stay);
            assert_eq!(raise.step(true, false, true, false), Step::Forward);
            assert_eq!(raise.step(true, false, false, false), Step::Stay, "once is enough");
            raise.step(false, talks, false, focused)
        };
        assert_eq!(after_a_ring(false, false), Step::Back { hide: true });
        assert_eq!(after_a_ring(true, false), Step::Back { hide: false }, "the call was answered");
        assert_eq!(after_a_ring(false, true), Step::Back { hide: false }, "somebody has taken it up");
    }

    #[test]
    fn a_window_that_was_there_stays() {
        let mut raise = Raise::default();
        raise.step(true, false, false, false);
        assert_eq!(raise.step(false, false, false, false), Step::Back { hide: false });
        assert_eq!(raise.step(false, false, false, false), Step::Stay);
    }
}
