//! ICE candidates as text (RFC 8839 §5.1): ours written, the peer's judged.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::api::{CandidateError, CandidateKind};

/// Longest candidate line that is looked at, bytes.
const MAX_LINE_LEN: usize = 512;
/// Most candidates accepted from one peer: every one makes us send packets to an address of the peer's choice.
pub(super) const MAX_REMOTE_CANDIDATES: usize = 24;

/// A candidate of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LocalCandidate {
    pub kind: CandidateKind,
    pub address: SocketAddr,
    /// The bound socket behind it (RFC 8445 §5.1.1); the address itself for host candidates.
    pub base: SocketAddr,
    /// Rank of the base among our sockets, best first: makes priorities unique (RFC 8445 §5.1.2.1).
    pub rank: u8,
}

impl LocalCandidate {
    /// RFC 8445 §5.1.2.1, component 1.
    fn priority(&self) -> u32 {
        let type_preference: u32 = match self.kind {
            CandidateKind::Host => 126,
            CandidateKind::PeerReflexive => 110,
            CandidateKind::ServerReflexive => 100,
            CandidateKind::Relayed => 0,
        };
        (type_preference << 24) | ((65535 - u32::from(self.rank)) << 8) | 255
    }
}

/// The value of an `a=candidate:` line.
///
/// A relayed candidate names `0.0.0.0:9` as its related address (RFC 8839 §5.1 allows that for privacy): the socket that
/// talks to the relay is nobody else's business.
impl fmt::Display for LocalCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, address, base, rank } = *self;
        let name = name_of(kind);
        let letter = &name[..1];
        write!(f, "{letter}{rank} 1 udp {} {} {} typ {name}", self.priority(), address.ip(), address.port())?;
        match kind {
            CandidateKind::Host => Ok(()),
            CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => {
                write!(f, " raddr {} rport {}", base.ip(), base.port())
            }
            CandidateKind::Relayed => write!(f, " raddr {} rport 9", unspecified_like(address.ip())),
        }
    }
}

const fn name_of(kind: CandidateKind) -> &'static str {
    match kind {
        CandidateKind::Host => "host",
        CandidateKind::ServerReflexive => "srflx",
        CandidateKind::PeerReflexive => "prflx",
        CandidateKind::Relayed => "relay",
    }
}

fn kind_named(name: &str) -> Option<CandidateKind> {
    use CandidateKind::{Host, PeerReflexive, Relayed, ServerReflexive};
    [Host, ServerReflexive, PeerReflexive, Relayed].into_iter().find(|kind| name_of(*kind) == name)
}

/// Judges one candidate of the peer; gives it back in the form that the core is to see. `on_loopback`: whether we have a
/// loopback socket ourselves.
pub(super) fn judge_remote(line: &str, on_loopback: bool) -> Result<String, CandidateError> {
    let line = line.trim();
    let line = line.strip_prefix("a=").unwrap_or(line);
    let line = line.strip_prefix("candidate:").unwrap_or(line);
    if line.len() > MAX_LINE_LEN || !line.is_ascii() {
        return Err(CandidateError::Malformed);
    }
    let mut words = line.split_ascii_whitespace();
    let mut word = || words.next().ok_or(CandidateError::Malformed);
    let (foundation, component, transport) = (word()?, word()?, word()?);
    let priority: u32 = number(word()?)?;
    let (address, port) = (word()?, number(word()?)?);
    let (typ, kind) = (word()?, word()?);

    let foundation_is_sound = foundation.len() <= 32 && foundation.bytes().all(is_ice_char);
    if !foundation_is_sound || typ != "typ" || kind_named(kind).is_none() {
        return Err(CandidateError::Malformed);
    }
    if component != "1" || !transport.eq_ignore_ascii_case("udp") {
        return Err(CandidateError::Unsupported);
    }
    let ip: IpAddr = address.parse().map_err(|_| CandidateError::Unsupported)?;
    if !is_possible_peer(ip, port, on_loopback) {
        return Err(CandidateError::Forbidden);
    }
    // The related address is for diagnostics only (RFC 8839 §5.1) and dropped here; the core wants one where it is due.
    let related = if kind == "host" { String::new() } else { format!(" raddr {} rport 9", unspecified_like(ip)) };
    Ok(format!("candidate:{foundation} 1 udp {priority} {ip} {port} typ {kind}{related}"))
}

/// Kind and address of a candidate that [`judge_remote`] has let pass.
pub(super) fn essence(line: &str) -> Option<(CandidateKind, SocketAddr)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, _, _, _, address, port, _, kind, ..] = words[..] else { return None };
    Some((kind_named(kind)?, SocketAddr::new(address.parse().ok()?, port.parse().ok()?)))
}

/// Whether a datagram may be sent to this address because a peer said so.
fn is_possible_peer(ip: IpAddr, port: u16, on_loopback: bool) -> bool {
    let ip = ip.to_canonical();
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    port != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast && (on_loopback || !ip.is_loopback())
}

fn unspecified_like(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, CandidateError> {
    word.parse().map_err(|_| CandidateError::Malformed)
}

fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn our_candidates_are_written_as_the_rfc_wants() {
        let base: SocketAddr = "192.168.1.5:5000".parse().unwrap();
        let mapped: SocketAddr = "203.0.113.7:61000".parse().unwrap();
        let line = |kind, address| LocalCandidate { kind, address, base, rank: 1 }.to_string();
        assert_eq!(line(CandidateKind::Host, base), "h1 1 udp 2130706175 192.168.1.5 5000 typ host");
        assert_eq!(
            line(CandidateKind::ServerReflexive, mapped),
            "s1 1 udp 1694498559 203.0.113.7 61000 typ srflx raddr 192.168.1.5 rport 5000"
        );
        assert_eq!(
            line(CandidateKind::Relayed, mapped),
            "r1 1 udp 16776959 203.0.113.7 61000 typ relay raddr 0.0.0.0 rport 9"
        );
    }

    #[test]
    fn what_we_write_a_peer_of_ours_accepts() {
        for kind in [CandidateKind::Host, CandidateKind::ServerReflexive, CandidateKind::Relayed] {
            for address in ["192.0.2.1:4000", "[2001:db8::1]:4000"] {
                let address = address.parse().unwrap();
                let line = LocalCandidate { kind, address, base: address, rank: 0 }.to_string();
                assert!(judge_remote(&line, false).is_ok(), "{line}");
                assert!(judge_remote(&format!("a=candidate:{line}"), false).is_ok());
            }
        }
    }

    #[test]
    fn relayed_candidates_are_told_from_others() {
        let address = "192.0.2.1:4000".parse().unwrap();
        for kind in [CandidateKind::Relayed, CandidateKind::Host] {
            let line = LocalCandidate { kind, address, base: address, rank: 0 }.to_string();
            assert_eq!(essence(&judge_remote(&line, false).unwrap()), Some((kind, address)));
        }
    }

    #[test]
    fn candidates_that_aim_elsewhere_are_refused() {
        let judge = |address: &str| judge_remote(&format!("1 1 udp 1 {address} typ host"), false);
        for address in ["0.0.0.0 9", ":: 9", "224.0.0.251 5353", "ff02::fb 5353", "255.255.255.255 9", "10.0.0.1 0"] {
            assert_eq!(judge(address), Err(CandidateError::Forbidden), "{address}");
        }
        for address in ["127.0.0.1 9", "::1 9", "::ffff:127.0.0.1 9"] {
            assert_eq!(judge(address), Err(CandidateError::Forbidden), "{address}");
            assert!(judge_remote(&format!("1 1 udp 1 {address} typ host"), true).is_ok());
        }
        for address in ["8f6c7d55.local 9", "example.org 9"] {
            assert_eq!(judge(address), Err(CandidateError::Unsupported), "{address}");
        }
        assert_eq!(
            judge_remote("1 1 tcp 1 10.0.0.1 9 typ host tcptype passive", false),
            Err(CandidateError::Unsupported)
        );
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,120}") {
            let _ = judge_remote(&line, true);
        }

        #[test]
        fn what_is_accepted_is_accepted_again_unchanged(
            words in prop::collection::vec(prop_oneof![Just("1".to_owned()), Just("udp".to_owned()), Just("typ".to_owned()),
                Just("host".to_owned()), Just("10.0.0.1".to_owned()), Just("relay".to_owned())], 8..12)
        ) {
            if let Ok(line) = judge_remote(&words.join(" "), true) {
                prop_assert_eq!(judge_remote(&line, true), Ok(line.clone()));
            }
        }
    }
}
