//! What a lookup believes.
//!
//! Storing nodes may hold old records or lie by omission. So every record of the person that verifies counts, a higher
//! sequence number beats a lower one, and the search goes on after the first hit: a caller rings on the first and
//! turns to a newer one should it appear.

use super::limits::CLOCK_SKEW;
use super::record::{self, Presence};
use crate::base::Person;
use crate::identity::{BlindedPerson, Period};

/// A person being looked up.
#[derive(Debug, Clone)]
pub(super) struct Search {
    person: Person,
    targets: Vec<BlindedPerson>,
    newest: Option<(u64, Presence)>,
}

impl Search {
    /// `None` when nobody can have this key.
    pub(super) fn new(person: Person, unix_s: u64) -> Option<Self> {
        let targets = periods(unix_s).into_iter().map(|period| record::blind(person, period)).collect::<Option<_>>()?;
        Some(Self { person, targets, newest: None })
    }

    pub(super) fn person(&self) -> Person {
        self.person
    }

    /// The keys under which the person's record may lie: one, or two near midnight (UTC).
    pub(super) fn targets(&self) -> &[BlindedPerson] {
        &self.targets
    }

    /// Takes a value that some node returned. `Some` when it is the newest record of the person so far.
    pub(super) fn offer(&mut self, value: &[u8], unix_s: u64) -> Option<&Presence> {
        // Twenty nodes return the same record: its signature is checked once.
        let known = self.newest.as_ref().map(|(seq, _)| *seq);
        if known.is_some() && record::claimed_seq(value) <= known {
            return None;
        }
        let (seq, presence) = self.targets.iter().find_map(|blinded| record::open(self.person, blinded, value).ok())?;
        let expired = presence.expires_unix_s.saturating_add(CLOCK_SKEW.as_secs()) < unix_s;
        (!expired).then(|| &self.newest.insert((seq, presence)).1)
    }

    /// Sequence number of the newest valid record, whether it announces or withdraws.
    pub(super) fn seq(&self) -> Option<u64> {
        self.newest.as_ref().map(|(seq, _)| *seq)
    }

    /// The newest valid record, unless it says that the person has left.
    #[cfg(test)]
    fn presence(&self) -> Option<&Presence> {
        self.newest.as_ref().map(|(_, presence)| presence).filter(|presence| !presence.withdrawn)
    }
}

/// The periods in which a clock that is wrong by up to [`CLOCK_SKEW`] may be: one, or two near midnight. Publishers and
/// readers use the same, so their clocks may disagree by twice as much.
pub(super) fn periods(unix_s: u64) -> Vec<Period> {
    let skew = CLOCK_SKEW.as_secs();
    let mut periods = vec![Period::of(unix_s)];
    for other in [unix_s.saturating_sub(skew), unix_s.saturating_add(skew)] {
        let period = Period::of(other);
        if !periods.contains(&period) {
            periods.push(period);
        }
    }
    periods
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;
    use crate::identity::PersonKey;
    use crate::rendezvous::record::{NONCE, seal};

    const NOON: u64 = 20_000 * 86_400 + 43_200;

    fn value(me: &PersonKey, seq: u64, unix_s: u64, withdrawn: bool) -> Vec<u8> {
        let presence = Presence {
            expires_unix_s: unix_s + 3600,
            node: PeerId::random(),
            relays: vec![],
            addresses: vec![],
            withdrawn,
        };
        seal(me, Period::of(unix_s), seq, &presence, [0; NONCE]).unwrap()
    }

    #[test]
    fn the_newest_record_wins_in_any_order() {
        let me = PersonKey::from_seed(&[1; 32]);
        let mut search = Search::new(me.person(), NOON).unwrap();
        assert!(search.offer(&value(&me, 5, NOON, false), NOON).is_some());
        assert!(search.offer(&value(&me, 5, NOON, false), NOON).is_none(), "the same number again");
        assert!(search.offer(&value(&me, 4, NOON, true), NOON).is_none(), "older");
        assert!(search.offer(&value(&me, 6, NOON, false), NOON).is_some());
        assert_eq!(search.seq(), Some(6));
        assert!(search.presence().is_some());
        assert!(search.offer(&value(&me, 7, NOON, true), NOON).is_some_and(|presence| presence.withdrawn));
        assert_eq!((search.seq(), search.presence()), (Some(7), None));
    }

    #[test]
    fn other_peoples_and_old_records_count_for_nothing() {
        let (me, other) = (PersonKey::from_seed(&[1; 32]), PersonKey::from_seed(&[2; 32]));
        let mut search = Search::new(me.person(), NOON).unwrap();
        assert!(search.offer(&value(&other, 5, NOON, false), NOON).is_none());
        assert!(search.offer(&value(&me, 5, NOON, false), NOON + 3600 + CLOCK_SKEW.as_secs() + 1).is_none());
        assert!(search.offer(b"", NOON).is_none());
        assert_eq!(search.seq(), None);
    }

    #[test]
    fn both_sides_of_midnight_are_tried() {
        let midnight = 20_000 * 86_400;
        assert_eq!(periods(NOON), [Period::of(NOON)]);
        assert_eq!(periods(midnight + 60), [Period::of(midnight), Period::of(midnight - 1)]);
        assert_eq!(periods(midnight - 60), [Period::of(midnight - 1), Period::of(midnight)]);
        let me = PersonKey::from_seed(&[1; 32]);
        let published_before = value(&me, 1, midnight - 60, false);
        let mut search = Search::new(me.person(), midnight + 60).unwrap();
        assert!(search.offer(&published_before, midnight + 60).is_some());
    }

    #[test]
    fn nobodys_key_is_not_searched_for() {
        assert!(Search::new(Person::from_bytes([0; 32]), NOON).is_none());
    }
}
