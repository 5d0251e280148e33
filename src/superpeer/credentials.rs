//! Passwords that are good for ten minutes and one requester.
//!
//! The name says for whom and until when; the password is its HMAC under a secret of the running service (as in
//! draft-uberti-behave-turn-rest). Nothing is kept of what was handed out, and after a restart none of it is good.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::limits::Limits;
use crate::base::{NodeId, RateTable, source_of};

/// 144 bits of the HMAC, so that the text needs no padding.
const PASSWORD_BYTES: usize = 18;
/// Longest name that is looked at, bytes: an expiry and a node id in base58.
const MAX_USERNAME: usize = 128;

/// What a client shows to the TURN server (RFC 8489 §9.2, long-term mechanism).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// How long they allocate.
    pub lifetime: Duration,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// Why a requester gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// This node, or its address, asked too often. Try another super-peer.
    #[error("asked too often")]
    TooOften,
}

/// What the passwords of one service are made of; shared by who hands them out and who checks them.
#[derive(Clone)]
pub(super) struct Secret {
    key: [u8; 32],
    /// Expiries are counted in seconds from here, so that no wall clock has a say.
    epoch: Instant,
}

impl Secret {
    pub fn new(key: [u8; 32], epoch: Instant) -> Self {
        Self { key, epoch }
    }

    /// The password that belongs to a name, if the name is one that we make. Whoever knows it was given it by us.
    pub fn password_of(&self, username: &str) -> Option<String> {
        parse(username)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(username.as_bytes());
        let digest = mac.finalize().into_bytes();
        Some(BASE64URL_NOPAD.encode(digest.get(..PASSWORD_BYTES)?))
    }

    /// Whether the name still allocates.
    pub fn is_current(&self, username: &str, now: Instant) -> bool {
        parse(username).is_some_and(|(expiry_s, _)| self.seconds(now) < expiry_s)
    }

    fn make(&self, requester: &NodeId, lifetime: Duration, now: Instant) -> Option<Credentials> {
        let expiry_s = self.seconds(now) + lifetime.as_secs();
        let username = format!("{expiry_s}:{requester}");
        let password = self.password_of(&username)?;
        Some(Credentials { username, password, lifetime })
    }

    fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs()
    }
}

/// The requester in a name.
pub(super) fn requester_of(username: &str) -> &str {
    parse(username).map_or("", |(_, requester)| requester)
}

fn parse(username: &str) -> Option<(u64, &str)> {
    let (expiry_s, requester) = username.split_once(':').filter(|_| username.len() <= MAX_USERNAME)?;
    Some((expiry_s.parse().ok()?, requester))
}

/// Hands out credentials for a running [`Service`](super::Service).
pub struct Issuer {
    secret: Secret,
    lifetime: Duration,
    per_node: RateTable<NodeId>,
    per_address: RateTable<IpAddr>,
}

impl Issuer {
    pub(super) fn new(secret: Secret, limits: &Limits) -> Self {
        Self {
            secret,
            lifetime: limits.credential_lifetime,
            per_node: RateTable::new(limits.credentials_per_node),
            per_address: RateTable::new(limits.credentials_per_address),
        }
    }

    /// Credentials for the node that asks, from `address` if that is known. Node ids cost nothing to make, so both are
    /// rated.
    pub fn issue(&mut self, requester: &NodeId, address: Option<IpAddr>, now: Instant) -> Result<Credentials, Refusal> {
        let by_address = address.is_none_or(|address| self.per_address.take(&source_of(address), now));
        if !by_address || !self.per_node.take(requester, now) {
            return Err(Refusal::TooOften);
        }
        self.secret.make(requester, self.lifetime, now).ok_or(Refusal::TooOften)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(byte: u8) -> NodeId {
        NodeId::from_bytes(&[byte; 38]).unwrap()
    }

    #[test]
    fn a_password_belongs_to_one_name_one_service_and_ten_minutes() {
        let start = Instant::now();
        let secret = Secret::new([7; 32], start);
        let credentials = secret.make(&node(1), Duration::from_secs(600), start).unwrap();
        assert_eq!(secret.password_of(&credentials.username).as_ref(), Some(&credentials.password));
        assert_eq!(requester_of(&credentials.username), node(1).to_string());
        assert!(secret.is_current(&credentials.username, start + Duration::from_secs(599)));
        assert!(!secret.is_current(&credentials.username, start + Duration::from_secs(600)));

        let of_another = secret.make(&node(2), Duration::from_secs(600), start).unwrap();
        assert_ne!(of_another.password, credentials.password);
        let elsewhere = Secret::new([8; 32], start);
        assert_ne!(elsewhere.password_of(&credentials.username), Some(credentials.password.clone()));
        let prolonged = credentials.username.replacen("600", "999999", 1);
        assert_ne!(secret.password_of(&prolonged), Some(credentials.password));
    }

    #[test]
    fn names_that_are_none_of_ours_have_no_password() {
        let secret = Secret::new([7; 32], Instant::now());
        for username in ["", ":", "x:y", "lab", "-1:x", &format!("1:{}", "x".repeat(200))] {
            assert_eq!(secret.password_of(username), None, "{username}");
            assert!(!secret.is_current(username, Instant::now()));
        }
    }

    #[test]
    fn who_asks_too_often_is_refused() {
        let start = Instant::now();
        let limits = Limits::default();
        let mut issuer = Issuer::new(Secret::new([7; 32], start), &limits);
        let address = Some("192.0.2.1".parse().unwrap());
        let burst = limits.credentials_per_node.burst;
        assert!((0..burst).all(|_| issuer.issue(&node(1), address, start).is_ok()));
        assert_eq!(issuer.issue(&node(1), address, start).map(drop), Err(Refusal::TooOften));
        assert!(issuer.issue(&node(2), address, start).is_ok(), "somebody else is not concerned");
        assert!(issuer.issue(&node(1), address, start + limits.credentials_per_node.interval).is_ok());

        // Any number of node ids behind one IPv6 network share its allowance.
        let many = (0..2000u32).filter(|number| {
            let bytes = [number.to_be_bytes().as_slice(), &[0; 34]].concat();
            let address = format!("2a00:1450::{number:x}").parse().unwrap();
            issuer.issue(&NodeId::from_bytes(&bytes).unwrap(), Some(address), start).is_ok()
        });
        assert_eq!(many.count(), limits.credentials_per_address.burst as usize);
    }
}
