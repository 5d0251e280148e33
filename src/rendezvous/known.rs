//! Records of people who were found lately: ringing one of them begins with what is known, while the network is asked
//! whether it is still so.

use std::collections::BTreeMap;

use crate::base::Person;

/// People remembered; the one who was found longest ago makes room.
const MAX_PEOPLE: usize = 256;

/// The newest record of each person, as it came: whoever uses it checks it anew.
#[derive(Debug, Default)]
pub(super) struct Known {
    records: BTreeMap<Person, (u64, Vec<u8>)>,
    found: u64,
}

impl Known {
    /// The newest record that a search has found.
    pub(super) fn remember(&mut self, person: Person, record: &[u8]) {
        self.found += 1;
        self.records.insert(person, (self.found, record.to_vec()));
        if self.records.len() > MAX_PEOPLE {
            let oldest = self.records.iter().min_by_key(|(_, (found, _))| *found).map(|(person, _)| *person);
            self.records.retain(|person, _| Some(*person) != oldest);
        }
    }

    pub(super) fn of(&self, person: &Person) -> Option<&[u8]> {
        self.records.get(person).map(|(_, record)| record.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: usize) -> Person {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Person::from_bytes(bytes)
    }

    #[test]
    fn the_latest_are_remembered() {
        let mut known = Known::default();
        for number in 0..MAX_PEOPLE {
            known.remember(person(number), &[1]);
        }
        known.remember(person(0), &[2]);
        known.remember(person(MAX_PEOPLE), &[3]);
        assert_eq!(known.of(&person(0)), Some(&[2][..]));
        assert_eq!(known.of(&person(1)), None, "found longest ago");
        assert_eq!(known.of(&person(MAX_PEOPLE)), Some(&[3][..]));
        assert_eq!(known.records.len(), MAX_PEOPLE);
    }
}
