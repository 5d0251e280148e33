//! Binds a call's media to the people in it.
//!
//! DTLS-SRTP authenticates certificates, and a certificate is whatever the SDP says it is (RFC 8122 §5). Each side
//! therefore signs the fingerprint it will use, together with the call, both people, its role and its ICE user
//! fragment. A signature made for another call, another peer, the other direction or another ICE session verifies
//! nowhere.

use super::person_key::{self, PersonKey};
use super::tag;
use crate::base::{CallId, Person};

/// Which half of offer/answer (RFC 3264) the signer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Offerer,
    Answerer,
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    pub call: CallId,
    /// The signer.
    pub from: Person,
    pub to: Person,
    pub role: Role,
    /// SHA-256 of the signer's DTLS certificate.
    pub fingerprint: [u8; 32],
    /// The signer's ICE user fragment (RFC 8839 §5.4).
    pub ufrag: &'a str,
}

/// Signs with the key of `binding.from`, which must be `me`.
pub fn sign(me: &PersonKey, binding: &Binding<'_>) -> [u8; 64] {
    debug_assert_eq!(me.person(), binding.from, "a binding is signed by the person it is from");
    me.sign(&signed_bytes(binding))
}

/// Whether `person`, who must be `binding.from`, signed exactly this.
pub fn verify(person: Person, binding: &Binding<'_>, signature: &[u8; 64]) -> bool {
    person == binding.from && person_key::verify(person.as_bytes(), &signed_bytes(binding), signature)
}

/// Tag, then fields of fixed length, then the one of variable length: no two bindings share their bytes.
fn signed_bytes(binding: &Binding<'_>) -> Vec<u8> {
    let role = match binding.role {
        Role::Offerer => 0,
        Role::Answerer => 1,
    };
    let mut bytes = Vec::with_capacity(tag::BINDING.len() + 113 + binding.ufrag.len());
    bytes.extend_from_slice(tag::BINDING);
    bytes.extend_from_slice(binding.call.as_bytes());
    bytes.extend_from_slice(binding.from.as_bytes());
    bytes.extend_from_slice(binding.to.as_bytes());
    bytes.push(role);
    bytes.extend_from_slice(&binding.fingerprint);
    bytes.extend_from_slice(binding.ufrag.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Vectors, hex};
    use super::*;

    fn example<'a>(me: &PersonKey, ufrag: &'a str) -> Binding<'a> {
        Binding {
            call: CallId::from_bytes([9; 16]),
            from: me.person(),
            to: PersonKey::from_seed(&[2; 32]).person(),
            role: Role::Offerer,
            fingerprint: [0xf1; 32],
            ufrag,
        }
    }

    #[test]
    fn the_format_has_not_drifted() {
        for vector in Vectors::read(include_str!("../../tests/vectors/binding.json")) {
            let me = PersonKey::from_seed(&vector.bytes("seed"));
            let ufrag = vector.text("ufrag");
            let binding = Binding {
                call: CallId::from_bytes(vector.bytes("call")),
                from: me.person(),
                to: Person::from_bytes(vector.bytes("to")),
                role: if vector.text("role") == "offerer" { Role::Offerer } else { Role::Answerer },
                fingerprint: vector.bytes("fingerprint"),
                ufrag: &ufrag,
            };
            vector.expect("signature", &hex(&sign(&me, &binding)));
            assert!(verify(me.person(), &binding, &vector.bytes("signature")));
        }
    }

    #[test]
    fn every_field_is_signed() {
        let me = PersonKey::from_seed(&[1; 32]);
        let binding = example(&me, "uF1x");
        let signature = sign(&me, &binding);
        assert!(verify(me.person(), &binding, &signature));
        let stranger = PersonKey::from_seed(&[3; 32]).person();
        let changed = [
            Binding { call: CallId::from_bytes([8; 16]), ..binding },
            Binding { from: stranger, ..binding },
            Binding { to: stranger, ..binding },
            Binding { role: Role::Answerer, ..binding },
            Binding { fingerprint: [0xf2; 32], ..binding },
            Binding { ufrag: "uF1y", ..binding },
            Binding { ufrag: "", ..binding },
        ];
        for other in changed {
            assert!(!verify(me.person(), &other, &signature), "{other:?}");
            assert!(!verify(other.from, &other, &signature) || other.from == me.person(), "{other:?}");
        }
        assert!(!verify(stranger, &binding, &signature));
    }

    proptest! {
        #[test]
        fn garbage_signatures_are_refused(signature: [u8; 32], tail: [u8; 32], from: [u8; 32]) {
            let me = PersonKey::from_seed(&[1; 32]);
            let signature: [u8; 64] = [signature, tail].concat().try_into().unwrap();
            prop_assert!(!verify(me.person(), &example(&me, "u"), &signature));
            let nobody = Binding { from: Person::from_bytes(from), ..example(&me, "u") };
            prop_assert!(!verify(nobody.from, &nobody, &signature));
        }
    }
}
