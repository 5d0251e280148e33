//! Who is speaking: steady enough to be looked at.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::base::Person;

/// Somebody begins to speak at this level, dBFS: above what a fan or a keyboard leaves after the noise suppression.
const BEGINS: f32 = -45.0;
/// And goes on down to this one.
const GOES_ON: f32 = -51.0;
/// The gap between two words, and some more.
const HOLD: Duration = Duration::from_millis(600);

/// Whose voice.
pub type Voice = Option<Person>;
/// Our own.
pub const OURS: Voice = None;

/// Levels of the same class make the same difference to who is shown as speaking.
pub fn loudness_class(dbfs: f32) -> i16 {
    i16::from(dbfs >= GOES_ON) + i16::from(dbfs >= BEGINS)
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Speaking {
    /// Those who speak, and when each was last loud.
    loud_at: BTreeMap<Voice, Instant>,
}

impl Speaking {
    /// How loud somebody is at this moment; whether they are speaking.
    pub fn hear(&mut self, who: Voice, dbfs: f32, at: Instant) -> bool {
        match self.loud_at.get(&who).copied() {
            None if dbfs >= BEGINS => drop(self.loud_at.insert(who, at)),
            Some(_) if dbfs >= GOES_ON => drop(self.loud_at.insert(who, at)),
            Some(loud_at) if at.saturating_duration_since(loud_at) >= HOLD => drop(self.loud_at.remove(&who)),
            None | Some(_) => {}
        }
        self.is(who)
    }

    pub fn is(&self, who: Voice) -> bool {
        self.loud_at.contains_key(&who)
    }

    /// In how long somebody falls silent if nothing more is heard of anybody; `None`: nobody speaks.
    pub fn next_silence(&self, at: Instant) -> Option<Duration> {
        self.loud_at.values().map(|loud_at| (*loud_at + HOLD).saturating_duration_since(at)).min()
    }

    /// Who is not in the call does not speak.
    pub fn keep(&mut self, is_in: impl Fn(Person) -> bool) {
        self.loud_at.retain(|voice, _| voice.is_none_or(&is_in));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::tests::stage::{alice, bob};

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn the_border_does_not_flicker_between_words() {
        let start = crate::ui::now();
        let mut speaking = Speaking::default();
        let mut heard = |ms, dbfs| speaking.hear(Some(bob()), dbfs, after(start, ms));
        assert!(!heard(0, -60.0));
        assert!(!heard(50, -47.0), "between the two thresholds nobody begins");
        assert!(heard(100, -30.0));
        assert!(heard(150, -48.0), "and nobody stops");
        assert!(heard(200, -100.0), "a pause");
        assert!(heard(700, -100.0));
        assert!(!heard(750, -100.0), "600 ms after the last word");
        assert!(!heard(800, -47.0));
    }

    #[test]
    fn the_window_looks_again_when_the_first_falls_silent() {
        let start = crate::ui::now();
        let mut speaking = Speaking::default();
        assert_eq!(speaking.next_silence(start), None);
        speaking.hear(OURS, -20.0, start);
        speaking.hear(Some(alice()), -20.0, after(start, 100));
        assert_eq!(speaking.next_silence(after(start, 100)), Some(Duration::from_millis(500)));
        speaking.keep(|_| false);
        assert!(!speaking.hear(Some(alice()), -100.0, after(start, 100)), "she has left");
        assert!(speaking.hear(OURS, -100.0, after(start, 100)), "we are always in");
    }
}
