//! Why no media path came about or lasted, as far as our own end can tell.

use std::fmt;

use crate::nat::{NatKind, NatReport};

/// What kinds of candidates (RFC 8445 §5.1.1) a call has gathered on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct Gathered {
    reflexive: bool,
    relayed: bool,
}

impl Gathered {
    /// A candidate attribute of ours (RFC 8839 §5.1).
    pub fn note(&mut self, candidate: &str) {
        self.reflexive |= candidate.contains(" typ srflx");
        self.relayed |= candidate.contains(" typ relay");
    }
}

/// What stood in the way of a call. [`fmt::Display`] says it as a clause for the sentence that tells the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    UdpBlocked,
    NotEvenThroughRelay,
    /// The call had to go through a relay.
    NoRelayToUse,
    UdpMayBeBlocked,
    SymmetricNat,
    NoDirectPath,
    /// It rang, and then nobody was left to carry the answer.
    SuperPeersGone,
    /// The call was connected, and then nothing got through for this long.
    Silence {
        seconds: u64,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UdpBlocked => "this network blocks UDP, and no relay could be used",
            Self::NotEvenThroughRelay => "no path was found, not even through the relay",
            Self::NoRelayToUse => "the call had to go through a relay, and none was there",
            Self::UdpMayBeBlocked => "no STUN server answered, so this network may block UDP, and no relay was there",
            Self::SymmetricNat => {
                "this network is behind a symmetric NAT, theirs does not let it through, and no relay was there"
            }
            Self::NoDirectPath => "the two networks let no direct connection through, and no relay was there",
            Self::SuperPeersGone => "the super-peers through which it rang are gone",
            Self::Silence { seconds } => {
                return write!(
                    f,
                    "nothing got through between the two of you for {seconds} s, directly or through any super-peer"
                );
            }
        })
    }
}

/// What stood in the way. `nat` is what a diagnosis has found, if there was one.
pub(in crate::engine) fn cause_of_failure(
    nat: Option<&NatReport>,
    gathered: Gathered,
    stun_is_set: bool,
    relay_only: bool,
) -> Cause {
    let kind = nat.and_then(|nat| nat.families().next()).map(crate::nat::Seen::kind);
    let blocked = nat.is_some_and(|nat| nat.udp_blocked == Some(true));
    match gathered {
        _ if blocked => Cause::UdpBlocked,
        Gathered { relayed: true, .. } => Cause::NotEvenThroughRelay,
        _ if relay_only => Cause::NoRelayToUse,
        Gathered { reflexive: false, .. } if stun_is_set => Cause::UdpMayBeBlocked,
        _ if kind == Some(NatKind::Symmetric) => Cause::SymmetricNat,
        _ => Cause::NoDirectPath,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_what_our_own_end_can_tell() {
        let mut nothing = Gathered::default();
        nothing.note("candidate:1 1 udp 2130706431 192.168.1.2 5000 typ host");
        assert_eq!(nothing, Gathered::default());
        let mut reflexive = nothing;
        reflexive.note("candidate:2 1 udp 1694498815 198.51.100.7 5000 typ srflx raddr 192.168.1.2 rport 5000");
        let mut relayed = reflexive;
        relayed.note("candidate:3 1 udp 16777215 203.0.113.9 6000 typ relay raddr 198.51.100.7 rport 5000");
        let blocked = NatReport { servers: 1, udp_blocked: Some(true), ..NatReport::default() };
        for (nat, gathered, stun_is_set, relay_only, cause) in [
            (None, nothing, true, false, Cause::UdpMayBeBlocked),
            (None, nothing, false, false, Cause::NoDirectPath),
            (None, reflexive, true, false, Cause::NoDirectPath),
            (None, relayed, true, false, Cause::NotEvenThroughRelay),
            (None, nothing, true, true, Cause::NoRelayToUse),
            (Some(&blocked), nothing, true, false, Cause::UdpBlocked),
        ] {
            assert_eq!(cause_of_failure(nat, gathered, stun_is_set, relay_only), cause);
        }
    }
}
