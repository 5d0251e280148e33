//! Decides which datagrams are the peer's.
//!
//! A media socket is open to the whole internet, and the core trusts more than it should: it acts on the role attribute
//! of a connectivity check before it verifies the check, and takes DTLS from any source. So nothing reaches it here
//! unless it is
//!
//! - a STUN request made with our password (RFC 8445 §7.3): its source is trusted from then on,
//! - a STUN response: the core knows the transactions and verifies the integrity itself,
//! - DTLS, RTP or RTCP from a trusted source.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::nat;

use super::sdp::Credentials;

/// Sources remembered; a peer has a few (its interfaces, their mappings, its relay).
const MAX_TRUSTED: usize = 32;

pub(super) struct Gate {
    ours: Credentials,
    trusted: BTreeSet<SocketAddr>,
}

impl Gate {
    pub fn new(ours: Credentials) -> Self {
        Self { ours, trusted: BTreeSet::new() }
    }

    /// Whether the core may see this datagram.
    pub fn admits(&mut self, datagram: &[u8], from: SocketAddr) -> bool {
        if nat::is_request(datagram) {
            let authentic = nat::is_authentic_request(datagram, &self.ours.ufrag, &self.ours.password);
            if authentic && self.trusted.len() < MAX_TRUSTED {
                self.trusted.insert(from);
            }
            return authentic;
        }
        let is_dtls_or_media =
            datagram.first().is_some_and(|first| (20..64).contains(first) || (128..192).contains(first));
        nat::is_response(datagram) || (is_dtls_or_media && self.trusts(from))
    }

    /// Whether a check that knew our password came from there.
    pub fn trusts(&self, from: SocketAddr) -> bool {
        self.trusted.contains(&from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_do_not_get_through() {
        let ours = Credentials { ufrag: "abcd".into(), password: "a password of 22 chars".into() };
        let mut gate = Gate::new(ours);
        let from = "192.0.2.1:4000".parse().unwrap();
        let dtls = [22u8, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let rtp = [0x80u8; 40];
        let indication = {
            let mut message = nat::binding_request([7; 12]);
            message[1] |= 0x10;
            message
        };
        for datagram in [&[][..], &[0], &dtls, &rtp, &[64; 30], &[200; 30], &nat::binding_request([7; 12]), &indication]
        {
            assert!(!gate.admits(datagram, from), "{datagram:?}");
        }
        assert!(gate.admits(&nat::answer(&nat::binding_request([7; 12]), from).unwrap(), from));
    }
}
