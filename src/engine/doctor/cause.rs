//! Why no media path came about, as far as our own end can tell.

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

/// A clause that says what stood in the way. `nat` is what a diagnosis has found, if there was one.
pub(in crate::engine) fn cause_of_failure(
    nat: Option<&NatReport>,
    gathered: Gathered,
    stun_is_set: bool,
    relay_only: bool,
) -> String {
    let kind = nat.and_then(|nat| nat.families().next()).map(crate::nat::Seen::kind);
    let blocked = nat.is_some_and(|nat| nat.udp_blocked == Some(true));
    let cause = match gathered {
        _ if blocked => "this network blocks UDP, and no relay could be used",
        Gathered { relayed: true, .. } => "no path was found, not even through the relay",
        _ if relay_only => "the call had to go through a relay, and none was there",
        Gathered { reflexive: false, .. } if stun_is_set => {
            "no STUN server answered, so this network may block UDP, and no relay was there"
        }
        _ if kind == Some(NatKind::Symmetric) => {
            "this network is behind a symmetric NAT, theirs does not let it through, and no relay was there"
        }
        _ => "the two networks let no direct connection through, and no relay was there",
    };
    cause.to_owned()
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
        for (nat, gathered, stun_is_set, relay_only, words) in [
            (None, nothing, true, false, "may block UDP"),
            (None, nothing, false, false, "no direct connection"),
            (None, reflexive, true, false, "no direct connection"),
            (None, relayed, true, false, "not even through the relay"),
            (None, nothing, true, true, "had to go through a relay"),
            (Some(&blocked), nothing, true, false, "blocks UDP"),
        ] {
            let cause = cause_of_failure(nat, gathered, stun_is_set, relay_only);
            assert!(cause.contains(words), "{cause}");
        }
    }
}
