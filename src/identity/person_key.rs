//! The person key: Ed25519 (RFC 8032), and its X25519 form for Noise.

use std::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::base::Person;

/// A person's secret key. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct PersonKey {
    signing: SigningKey,
}

impl PersonKey {
    /// The key behind a 32-byte seed (RFC 8032 §5.1.5, "private key").
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { signing: SigningKey::from_bytes(seed) }
    }

    /// The public half.
    pub fn person(&self) -> Person {
        Person::from_bytes(self.signing.verifying_key().to_bytes())
    }

    pub(super) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// The secret scalar and nonce prefix (RFC 8032 §5.1.5, steps 1 and 2), for blinding.
    pub(super) fn expanded(&self) -> ExpandedSecretKey {
        ExpandedSecretKey::from(&self.signing.to_bytes())
    }

    /// The X25519 secret whose public key is [`x25519_public`] of [`PersonKey::person`].
    pub(super) fn x25519_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_scalar_bytes())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonKey").field("person", &self.person()).finish_non_exhaustive()
    }
}

/// These 32 bytes are nobody's public key: no curve point, written in a non-canonical way, or with a small-order part
/// (which would let several byte strings stand for one person). Ask for the link again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a person's key; check the link, or ask for it again")]
pub struct UnusableKey;

/// Whether `person` can be anybody: a canonical point of the prime-order group.
pub fn check_person(person: Person) -> Result<(), UnusableKey> {
    prime_order_point(person.as_bytes()).map(|_| ())
}

/// Decodes a public key, refusing everything that an honest key generator cannot have made.
pub(super) fn prime_order_point(bytes: &[u8; 32]) -> Result<EdwardsPoint, UnusableKey> {
    let point = CompressedEdwardsY(*bytes).decompress().ok_or(UnusableKey)?;
    let honest = point.compress().as_bytes() == bytes && !point.is_small_order() && point.is_torsion_free();
    honest.then_some(point).ok_or(UnusableKey)
}

/// The X25519 form of a person's key (the birational map of RFC 7748 §4.1). The sign of x is lost, so the way back is
/// not unique: compare in this direction only.
pub(super) fn x25519_public(person: Person) -> Result<[u8; 32], UnusableKey> {
    prime_order_point(person.as_bytes()).map(|point| point.to_montgomery().to_bytes())
}

/// Ed25519 verification (RFC 8032 §5.1.7) that leaves no freedom to the signer: canonical, prime-order key, no
/// small-order `R`.
pub(super) fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    if prime_order_point(public).is_err() {
        return false;
    }
    VerifyingKey::from_bytes(public)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Encodings that are no honest person: small order (canonical or not), torsion, no point.
    pub fn unusable_keys() -> Vec<[u8; 32]> {
        let torsion = curve25519_dalek::constants::EIGHT_TORSION;
        let honest = PersonKey::from_seed(&[1; 32]);
        let honest = CompressedEdwardsY(*honest.person().as_bytes()).decompress().unwrap();
        let mut keys: Vec<[u8; 32]> = torsion.iter().map(|point| point.compress().to_bytes()).collect();
        keys.extend(torsion[1..].iter().map(|point| (honest + point).compress().to_bytes()));
        // y = p + 1, the identity written in a non-canonical way; y = 2, which is on no point of the curve.
        let mut non_canonical = [0xff; 32];
        (non_canonical[0], non_canonical[31]) = (0xee, 0x7f);
        let mut no_point = [0; 32];
        no_point[0] = 2;
        keys.extend([non_canonical, no_point]);
        keys
    }

    #[test]
    fn keys_that_nobody_can_have_are_refused() {
        for key in unusable_keys() {
            assert_eq!(check_person(Person::from_bytes(key)), Err(UnusableKey), "{key:02x?}");
        }
        assert_eq!(check_person(PersonKey::from_seed(&[1; 32]).person()), Ok(()));
    }

    #[test]
    fn the_x25519_halves_belong_together() {
        for seed in 0..8 {
            let key = PersonKey::from_seed(&[seed; 32]);
            let public = curve25519_dalek::MontgomeryPoint::mul_base_clamped(*key.x25519_secret()).to_bytes();
            assert_eq!(x25519_public(key.person()), Ok(public));
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = PersonKey::from_seed(&[0x5a; 32]);
        let text = format!("{key:?}");
        assert!(!text.contains("90") && !text.to_lowercase().contains("5a, 5a") && text.len() < 60, "{text}");
    }
}
