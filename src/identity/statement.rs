//! What a person says of a group call, signed so that anybody may carry it.
//!
//! Who makes up the bytes sees to it that two different statements of one kind never share them (fields of fixed length
//! first, at most one of variable length at the end); the tag sees to it that two kinds never do.

use super::person_key::{self, PersonKey};
use super::tag;
use crate::base::Person;

/// What kind of statement is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Somebody belongs to a group.
    GroupAdd,
    /// Somebody no longer does.
    GroupRemoval,
    /// Whoever shows this may join.
    GroupLink,
    /// Links that are no longer good.
    GroupRevocation,
    /// Whom the signer hears.
    GroupReport,
}

/// Signs `content` as a statement of this kind.
pub fn sign(me: &PersonKey, kind: Kind, content: &[u8]) -> [u8; 64] {
    me.sign(&signed_bytes(kind, content))
}

/// Whether `person` signed exactly this. False for a `person` that nobody can be.
pub fn verify(person: Person, kind: Kind, content: &[u8], signature: &[u8; 64]) -> bool {
    person_key::verify(person.as_bytes(), &signed_bytes(kind, content), signature)
}

fn signed_bytes(kind: Kind, content: &[u8]) -> Vec<u8> {
    let tag = match kind {
        Kind::GroupAdd => tag::GROUP_ADD,
        Kind::GroupRemoval => tag::GROUP_REMOVAL,
        Kind::GroupLink => tag::GROUP_LINK,
        Kind::GroupRevocation => tag::GROUP_REVOCATION,
        Kind::GroupReport => tag::GROUP_REPORT,
    };
    [tag, content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 5] =
        [Kind::GroupAdd, Kind::GroupRemoval, Kind::GroupLink, Kind::GroupRevocation, Kind::GroupReport];

    #[test]
    fn no_statement_passes_for_another() {
        let me = PersonKey::from_seed(&[1; 32]);
        let stranger = PersonKey::from_seed(&[2; 32]).person();
        for kind in ALL {
            let signature = sign(&me, kind, b"content");
            assert!(verify(me.person(), kind, b"content", &signature));
            assert!(!verify(me.person(), kind, b"conten", &signature));
            assert!(!verify(stranger, kind, b"content", &signature));
            for other in ALL.into_iter().filter(|other| *other != kind) {
                assert!(!verify(me.person(), other, b"content", &signature), "{kind:?} passes for {other:?}");
            }
        }
    }
}
