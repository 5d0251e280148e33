//! A different public key for every day: Ed25519 key blinding as Tor's onion services do it (rend-spec-v3, appendix A.2).
//!
//! Whoever has a person's link computes the day's blinded key and finds, or checks, what was signed with it. Whoever has
//! only the blinded key learns neither the person nor that two days' keys belong together.

use std::fmt;

use curve25519_dalek::scalar::{Scalar, clamp_integer};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use sha2::{Digest, Sha256, Sha512};

use super::person_key::{self, PersonKey, UnusableKey, prime_order_point};
use super::tag;
use crate::base::Person;

/// Length of a period, seconds: 24 h.
const PERIOD_S: u64 = 24 * 60 * 60;

/// A day, counted from the Unix epoch in UTC. A blinded key is good for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u64);

impl Period {
    /// The period that holds this moment, given in seconds since the Unix epoch.
    pub const fn of(unix_s: u64) -> Self {
        Self(unix_s / PERIOD_S)
    }

    /// The periods before and after, for clocks that disagree and for both sides of midnight.
    pub const fn neighbours(self) -> [Self; 2] {
        [Self(self.0.saturating_sub(1)), Self(self.0.saturating_add(1))]
    }

    /// Number of the period.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A person's public key for one period. Bytes off the wire may be put in here: [`BlindedPerson::verify`] refuses
/// whatever is no usable key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlindedPerson([u8; 32]);

impl BlindedPerson {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the owner of this key signed `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        person_key::verify(&self.0, message, signature)
    }
}

impl fmt::Debug for BlindedPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlindedPerson({}…)", data_encoding::HEXLOWER.encode(&self.0[..3]))
    }
}

/// The blinded key of `person`, computed from the public key alone. Fails for a `person` that nobody can be.
pub fn blind(person: Person, period: Period) -> Result<BlindedPerson, UnusableKey> {
    blind_public(person.as_bytes(), blinding_parameter(person, period)).map(BlindedPerson)
}

/// The secret half of a blinded key. Wiped from memory when dropped.
pub struct BlindedKey {
    secret: ExpandedSecretKey,
    public: VerifyingKey,
}

impl BlindedKey {
    pub fn derive(me: &PersonKey, period: Period) -> Self {
        Self::with_parameter(me, blinding_parameter(me.person(), period))
    }

    /// What [`blind`] gives for our own person.
    pub fn public(&self) -> BlindedPerson {
        BlindedPerson(self.public.to_bytes())
    }

    /// An ordinary Ed25519 signature, which any verifier checks against [`BlindedKey::public`].
    ///
    /// The nonce depends on the period here, which it does not in A.2: there, whoever has the link could compute the
    /// person's secret key from one message signed in two periods (s₁ − s₂ = a·(k₁h₁ − k₂h₂), all but `a` known).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let prefix = Sha512::new()
            .chain_update(tag::BLINDED_NONCE)
            .chain_update(self.secret.hash_prefix)
            .chain_update(self.public.as_bytes())
            .finalize();
        let secret = ExpandedSecretKey { scalar: self.secret.scalar, hash_prefix: first_half(prefix.into()) };
        raw_sign::<Sha512>(&secret, message, &self.public).to_bytes()
    }

    /// a' = h·a, and a nonce prefix of its own so that no nonce is shared between two keys (A.2, "secret keys").
    fn with_parameter(me: &PersonKey, parameter: [u8; 32]) -> Self {
        let expanded = me.expanded();
        let prefix = Sha512::new()
            .chain_update(b"Derive temporary signing key hash input")
            .chain_update(expanded.hash_prefix)
            .finalize();
        let scalar = expanded.scalar * blinding_factor(parameter);
        let secret = ExpandedSecretKey { scalar, hash_prefix: first_half(prefix.into()) };
        let public = VerifyingKey::from(&secret);
        Self { secret, public }
    }
}

/// h of A.2, with our own domain separation: period number and length are part of it.
fn blinding_parameter(person: Person, period: Period) -> [u8; 32] {
    Sha256::new()
        .chain_update(tag::BLINDING)
        .chain_update(person.as_bytes())
        .chain_update(period.0.to_be_bytes())
        .chain_update(PERIOD_S.to_be_bytes())
        .finalize()
        .into()
}

/// A' = h·A (A.2, "public keys").
fn blind_public(public: &[u8; 32], parameter: [u8; 32]) -> Result<[u8; 32], UnusableKey> {
    let point = prime_order_point(public)?;
    Ok((blinding_factor(parameter) * point).compress().to_bytes())
}

fn blinding_factor(parameter: [u8; 32]) -> Scalar {
    Scalar::from_bytes_mod_order(clamp_integer(parameter))
}

fn first_half(digest: [u8; 64]) -> [u8; 32] {
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Vectors, hex};
    use super::*;

    /// The ten vectors of C-tor, `src/test/ed25519_exts_ref.py`.
    #[test]
    fn the_published_vectors_hold() {
        let vectors = Vectors::read(include_str!("../../tests/vectors/blinding_tor.json"));
        assert_eq!(vectors.len(), 10);
        for vector in vectors {
            let key = PersonKey::from_seed(&vector.bytes("secret"));
            vector.expect("public", &hex(key.person().as_bytes()));
            let blinded = BlindedKey::with_parameter(&key, vector.bytes("parameter"));
            vector.expect("blinded_public", &hex(blinded.public().as_bytes()));
            let secret = [blinded.secret.scalar.to_bytes(), blinded.secret.hash_prefix].concat();
            vector.expect("blinded_secret", &hex(&secret));
            let from_public = blind_public(key.person().as_bytes(), vector.bytes("parameter")).unwrap();
            assert_eq!(from_public, *blinded.public().as_bytes());
        }
    }

    #[test]
    fn the_format_has_not_drifted() {
        for vector in Vectors::read(include_str!("../../tests/vectors/blinding.json")) {
            let key = PersonKey::from_seed(&vector.bytes("seed"));
            let period = Period::of(vector.number("unix_s"));
            assert_eq!(period.number(), vector.number("period"));
            vector.expect("blinded", &hex(blind(key.person(), period).unwrap().as_bytes()));
            let blinded = BlindedKey::derive(&key, period);
            vector.expect("signature_of_record", &hex(&blinded.sign(b"record")));
        }
    }

    #[test]
    fn keys_that_nobody_can_have_are_refused() {
        for key in person_key::tests::unusable_keys() {
            assert_eq!(blind(Person::from_bytes(key), Period(20_000)), Err(UnusableKey));
            // With a small-order key, R = 0 and s = 0 would sign anything.
            let mut forged = [0; 64];
            forged[0] = 1;
            assert!(!BlindedPerson::from_bytes(key).verify(b"anything", &forged));
        }
    }

    /// A storing node may use any Ed25519 implementation; libp2p's is the one ours will meet.
    #[test]
    fn any_ed25519_verifier_accepts_the_signature() {
        let blinded = BlindedKey::derive(&PersonKey::from_seed(&[4; 32]), Period(20_000));
        let signature = ed25519_dalek::Signature::from_bytes(&blinded.sign(b"record"));
        let verifier = VerifyingKey::from_bytes(blinded.public().as_bytes()).unwrap();
        assert!(ed25519_dalek::Verifier::verify(&verifier, b"record", &signature).is_ok());
        assert!(blinded.public().verify(b"record", &signature.to_bytes()));
        assert!(!blinded.public().verify(b"recorf", &signature.to_bytes()));
    }

    /// Equal nonces of two periods would give the person's secret key away.
    #[test]
    fn no_two_periods_share_a_nonce() {
        let me = PersonKey::from_seed(&[4; 32]);
        let nonces = [1, 2].map(|day| BlindedKey::derive(&me, Period(day)).sign(b"record")[..32].to_vec());
        assert_ne!(nonces[0], nonces[1]);
    }

    #[test]
    fn neighbours_stand_on_both_sides() {
        let period = Period::of(1_000 * PERIOD_S + 5);
        assert_eq!(period.neighbours(), [Period(999), Period(1_001)]);
        assert_eq!(Period::of(0).neighbours(), [Period(0), Period(1)]);
        assert_eq!(Period::of(u64::MAX).neighbours()[1].number(), u64::MAX / PERIOD_S + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn public_and_secret_blinding_agree(seed: [u8; 32], unix_s: u64, message: Vec<u8>) {
            let key = PersonKey::from_seed(&seed);
            let period = Period::of(unix_s);
            let blinded = BlindedKey::derive(&key, period);
            prop_assert_eq!(blind(key.person(), period), Ok(blinded.public()));
            prop_assert!(blinded.public().verify(&message, &blinded.sign(&message)));
            prop_assert_ne!(blinded.public(), BlindedKey::derive(&key, period.neighbours()[1]).public());
            prop_assert!(blinded.public().as_bytes() != key.person().as_bytes());
        }
    }
}
