//! Twelve words that two people read to each other to know that nobody swapped a key on the way.

use sha2::{Digest, Sha512};

use super::tag;
use crate::base::Person;

/// Number of safety words. 12 words of 2048 are 132 bits.
pub const SAFETY_WORDS: usize = 12;

const BITS_PER_WORD: usize = 11;
/// Somebody who stands between two strangers may try keys until both ends show the same words. Each try costs this many
/// hashes, which raises that search from 2⁶⁶ to 2⁷⁸ and costs an honest peer a few milliseconds, once.
const ROUNDS: usize = 4096;

/// The safety words of two people, the same whichever comes first; words from the English list of BIP 39.
pub fn safety_words(a: Person, b: Person) -> [&'static str; SAFETY_WORDS] {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let mut digest: [u8; 64] = Sha512::new()
        .chain_update(tag::SAFETY_WORDS)
        .chain_update(low.as_bytes())
        .chain_update(high.as_bytes())
        .finalize()
        .into();
    for _ in 1..ROUNDS {
        digest = Sha512::new()
            .chain_update(digest)
            .chain_update(low.as_bytes())
            .chain_update(high.as_bytes())
            .finalize()
            .into();
    }
    let list = bip39::Language::English.word_list();
    std::array::from_fn(|word| list[index_at(&digest, word * BITS_PER_WORD)])
}

/// The 11-bit number that starts at bit `first`, most significant bit first.
fn index_at(digest: &[u8; 64], first: usize) -> usize {
    (first..first + BITS_PER_WORD).fold(0, |index, bit| {
        let value = digest[bit / 8] >> (7 - bit % 8) & 1;
        index << 1 | usize::from(value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Vectors;
    use super::*;

    #[test]
    fn the_format_has_not_drifted() {
        for vector in Vectors::read(include_str!("../../tests/vectors/safety_words.json")) {
            let (a, b) = (Person::from_bytes(vector.bytes("a")), Person::from_bytes(vector.bytes("b")));
            vector.expect("words", &safety_words(a, b).join(" "));
            assert_eq!(safety_words(a, b), safety_words(b, a));
        }
    }

    #[test]
    fn another_key_shows_other_words() {
        let person = |byte| Person::from_bytes([byte; 32]);
        let words = safety_words(person(1), person(2));
        let others = safety_words(person(1), person(3));
        assert!(words.iter().zip(others).filter(|(a, b)| **a == *b).count() < 3);
    }

    #[test]
    fn bits_are_cut_in_order() {
        let mut digest = [0; 64];
        (digest[0], digest[1], digest[2]) = (0b1111_1111, 0b1110_0000, 0b0000_0100);
        assert_eq!([index_at(&digest, 0), index_at(&digest, 11)], [2047, 1]);
    }
}
