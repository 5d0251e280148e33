//! Who is who: people, nodes, calls.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};

/// A person: the 32-byte Ed25519 public key (RFC 8032 §5.1.5) behind a `twocans:` link.
///
/// A `Person` is never sent over the network in the clear; rooms that talk to strangers use its blinded form.
/// Any 32 bytes can be held here; `identity` refuses those that are not a usable curve point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person([u8; 32]);

impl Person {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// z-base-32 without padding, 52 characters: the body of a link.
impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&z_base_32().encode(&self.0))
    }
}

impl Person {
    /// A link cut down to what people compare at a glance: `twocans:abcde…wxyz`.
    pub fn abbreviated(&self) -> String {
        let key = self.to_string();
        format!("twocans:{}…{}", &key[..5], &key[key.len() - 4..])
    }
}

/// Logs show only the first five characters: enough to tell two people apart, too little to look one up.
impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Person({}…)", &self.to_string()[..5])
    }
}

/// The text is not the z-base-32 form of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a person's key is 52 letters and digits (z-base-32)")]
pub struct ParsePersonError;

impl FromStr for Person {
    type Err = ParsePersonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = z_base_32().decode(text.as_bytes()).map_err(|_| ParsePersonError)?;
        bytes.try_into().map(Self).map_err(|_| ParsePersonError)
    }
}

/// z-base-32 (Zooko Wilcox-O'Hearn, 2002); upper case is read as lower case because links are dictated and retyped.
pub fn z_base_32() -> &'static Encoding {
    static ENCODING: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
        let mut spec = Specification::new();
        spec.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
        spec.translate.from.push_str("ABCDEFGHIJKMNOPQRSTUWXYZ");
        spec.translate.to.push_str("abcdefghijkmnopqrstuwxyz");
        spec.encoding().expect("the alphabet above is a valid base-32 specification")
    });
    &ENCODING
}

/// A network node: the bytes of a libp2p peer id (multihash). Says where to reach somebody, never who they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Vec<u8>);

impl NodeId {
    /// Longest multihash libp2p uses for a peer id, bytes.
    pub const MAX_LEN: usize = 64;

    /// `None` when empty or longer than [`NodeId::MAX_LEN`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty() && bytes.len() <= Self::MAX_LEN).then(|| Self(bytes.to_vec()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Base58 (Bitcoin alphabet), the form in which libp2p and multiaddresses write a peer id.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(&self.0).into_string())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_string();
        let tail = text.get(text.len().saturating_sub(5)..).unwrap_or("");
        write!(f, "NodeId(…{tail})")
    }
}

/// One call, chosen at random by the caller: 128 bits, so that two calls never share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId([u8; 16]);

impl CallId {
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({}…)", &self.to_string()[..6])
    }
}

/// One group call, chosen at random by the person who begins it: 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId([u8; 16]);

impl GroupId {
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupId({}…)", &self.to_string()[..6])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_survives_printing_and_retyping() {
        let person = Person::from_bytes(std::array::from_fn(|i| (i * 37 + 5) as u8));
        let text = person.to_string();
        assert_eq!(text.len(), 52);
        assert_eq!(text.parse(), Ok(person));
        assert_eq!(text.to_uppercase().parse(), Ok(person));
    }

    #[test]
    fn mistyped_people_are_refused() {
        for text in ["", "ybnd", "l".repeat(52).as_str(), "y".repeat(53).as_str(), "é"] {
            assert_eq!(text.parse::<Person>(), Err(ParsePersonError), "{text}");
        }
    }

    #[test]
    fn debug_output_does_not_leak_the_key() {
        let person = Person::from_bytes([7; 32]);
        assert!(format!("{person:?}").chars().count() < 16);
    }
}
