//! What is said in `/twocans/relay/1`: a client asks a super-peer for the use of its media relay.
//!
//! ```text
//!   client ──▶ frame [1]                              version of the question
//!   client ◀── frame [1, lifetime_s u16, name, password, n, n × address, m, m × address]
//!          ◀── frame [0, reason]                      text begins with its length, one byte
//! address = [4 | 6, IP address, port u16]
//! ```
//!
//! The second list, of STUN servers, may be missing; what follows it is ignored.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The question: which version of the answer is understood.
pub(super) const QUESTION: [u8; 1] = [1];
/// Longest answer, bytes.
pub(super) const MAX_ANSWER: usize = 512;
/// Relay addresses that are looked at; each is one more to ask from every interface.
const MAX_SERVERS: usize = 4;

const REFUSED: u8 = 0;
const GRANTED: u8 = 1;

/// The use of a media relay (TURN, RFC 8656) for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayOffer {
    pub username: String,
    pub password: String,
    /// How long the password allocates.
    pub lifetime: Duration,
    /// UDP and TCP at the same port.
    pub servers: Vec<SocketAddr>,
    /// STUN servers (RFC 8489) of the same super-peer: they tell more of a NAT (RFC 5780) than the relay does.
    pub stun: Vec<SocketAddr>,
}

impl fmt::Debug for RelayOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayOffer").field("servers", &self.servers.len()).finish_non_exhaustive()
    }
}

/// An offer, or why there is none.
pub type RelayAnswer = Result<RelayOffer, String>;

pub(super) fn encode(answer: &RelayAnswer) -> Vec<u8> {
    let mut bytes = Vec::new();
    match answer {
        Err(reason) => {
            bytes.push(REFUSED);
            put_text(&mut bytes, reason);
        }
        Ok(RelayOffer { username, password, lifetime, servers, stun }) => {
            bytes.push(GRANTED);
            bytes.extend(u16::try_from(lifetime.as_secs()).unwrap_or(u16::MAX).to_be_bytes());
            put_text(&mut bytes, username);
            put_text(&mut bytes, password);
            put_addresses(&mut bytes, servers);
            put_addresses(&mut bytes, stun);
        }
    }
    bytes
}

fn put_addresses(bytes: &mut Vec<u8>, addresses: &[SocketAddr]) {
    let addresses = &addresses[..addresses.len().min(MAX_SERVERS)];
    bytes.push(addresses.len() as u8);
    for address in addresses {
        match address.ip() {
            IpAddr::V4(ip) => bytes.extend([&[4][..], &ip.octets()].concat()),
            IpAddr::V6(ip) => bytes.extend([&[6][..], &ip.octets()].concat()),
        }
        bytes.extend(address.port().to_be_bytes());
    }
}

/// `None` for what is no answer. Addresses are taken as they are: whether to believe them is another question.
pub(super) fn decode(bytes: &[u8]) -> Option<RelayAnswer> {
    let (kind, mut rest) = bytes.split_first()?;
    let rest = &mut rest;
    match *kind {
        REFUSED => Some(Err(take_text(rest)?)),
        GRANTED => {
            let lifetime = Duration::from_secs(u16::from_be_bytes(take(rest)?).into());
            let (username, password) = (take_text(rest)?, take_text(rest)?);
            let servers = take_addresses(rest)?;
            let stun = if rest.is_empty() { Vec::new() } else { take_addresses(rest)? };
            Some(Ok(RelayOffer { username, password, lifetime, servers, stun }))
        }
        _ => None,
    }
}

fn take_addresses(rest: &mut &[u8]) -> Option<Vec<SocketAddr>> {
    let [count] = take(rest)?;
    let mut addresses = Vec::new();
    for _ in 0..usize::from(count).min(MAX_SERVERS) {
        let ip: IpAddr = match take(rest)? {
            [4] => take::<4>(rest)?.into(),
            [6] => take::<16>(rest)?.into(),
            _ => return None,
        };
        addresses.push(SocketAddr::new(ip, u16::from_be_bytes(take(rest)?)));
    }
    Some(addresses)
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
    bytes.push(text.len() as u8);
    bytes.extend(text);
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let [length] = take(rest)?;
    let (text, after) = rest.split_at_checked(length.into())?;
    *rest = after;
    let text = std::str::from_utf8(text).ok()?;
    // It is shown, or sent on as it is.
    (!text.contains(char::is_control)).then(|| text.to_owned())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let offer = RelayOffer {
            username: "600:12D3Koo".into(),
            password: "secret".into(),
            lifetime: Duration::from_secs(600),
            servers: vec!["203.0.113.20:4002".parse().unwrap(), "[2001:db8::1]:4002".parse().unwrap()],
            stun: vec!["203.0.113.20:4003".parse().unwrap()],
        };
        assert!(!format!("{offer:?}").contains("secret"));
        for answer in [Ok(offer), Err("no longer a super-peer".to_owned())] {
            let bytes = encode(&answer);
            assert!(bytes.len() <= MAX_ANSWER);
            assert_eq!(decode(&bytes), Some(answer));
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let servers: Vec<_> = (1..=20).map(|port| SocketAddr::from(([203, 0, 113, 20], port))).collect();
        let stun = servers.clone();
        let offer =
            RelayOffer { username: "u".repeat(300), password: "p".into(), lifetime: Duration::MAX, servers, stun };
        let bytes = encode(&Ok(offer));
        assert!(bytes.len() <= MAX_ANSWER);
        assert_eq!(decode(&bytes).unwrap().unwrap().servers.len(), MAX_SERVERS);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Some(Ok(offer)) = decode(&bytes) {
                prop_assert!(offer.servers.len() <= MAX_SERVERS);
            }
        }

        #[test]
        fn a_cut_answer_is_none(cut in 0usize..60) {
            // Without the second list it is whole as well.
            let whole = encode(&Ok(RelayOffer {
                username: "name".into(),
                password: "word".into(),
                lifetime: Duration::from_secs(1),
                servers: vec!["[2001:db8::1]:4002".parse().unwrap()],
                stun: Vec::new(),
            }));
            prop_assume!(cut < whole.len() - 1);
            prop_assert_eq!(decode(&whole[..cut]), None);
        }
    }
}
