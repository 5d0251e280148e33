//! Which addresses to believe, dial and give out.
//!
//! Addresses come from strangers: from Kademlia neighbours, from presence records, from the LAN. Only plain
//! `/ip4|ip6/…/udp/…/quic-v1` and `/ip4|ip6/…/tcp/…` are ever used, and an address is only as good as where it leads:
//! somebody else's loopback or LAN is nobody's business here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use crate::base::IpRange;

/// From where an IP address can be reached (IANA special-purpose registries, RFC 6890).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Loopback,
    /// Private, link-local, unique-local or carrier-grade NAT: the network we are in, at best.
    Local,
    Public,
    /// Unspecified, multicast, broadcast, documentation, reserved.
    Nowhere,
}

/// The node's view of addresses.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressRules {
    isolated: bool,
    treat_as_public: Vec<IpRange>,
    /// Addresses that the user wrote down; they are dialled wherever they lead.
    trusted: Vec<IpAddr>,
    /// Our own addresses on local networks.
    attached: Vec<IpAddr>,
}

impl AddressRules {
    pub(super) fn new(isolated: bool, treat_as_public: Vec<IpRange>) -> Self {
        Self { isolated, treat_as_public, ..Self::default() }
    }

    /// The user named this address.
    pub(super) fn trust(&mut self, ip: IpAddr) {
        if !self.trusted.contains(&ip) {
            self.trusted.push(ip);
        }
    }

    /// We have, or no longer have, this address on one of our interfaces.
    pub(super) fn attach(&mut self, ip: IpAddr) {
        if !self.attached.contains(&ip) {
            self.attached.push(ip);
        }
    }

    pub(super) fn detach(&mut self, ip: IpAddr) {
        self.attached.retain(|known| *known != ip);
    }

    /// Where `ip` can be reached from, laboratory ranges considered.
    pub(super) fn reach(&self, ip: IpAddr) -> Reach {
        let ip = ip.to_canonical();
        if !ip.is_loopback() && self.treat_as_public.iter().any(|range| range.contains(ip)) {
            return Reach::Public;
        }
        reach(ip)
    }

    /// Whether an address that somebody told us may be dialled.
    pub(super) fn may_dial(&self, address: &Multiaddr) -> bool {
        endpoint(address).is_some_and(|Endpoint { ip, port, .. }| port != 0 && self.may_reach(ip))
    }

    /// Whether packets may be sent to an IP address that somebody told us.
    pub(super) fn may_reach(&self, ip: IpAddr) -> bool {
        if self.isolated && !ip.is_loopback() {
            return false;
        }
        match self.reach(ip) {
            Reach::Public => true,
            Reach::Loopback => self.isolated || self.trusted.iter().chain(&self.attached).any(IpAddr::is_loopback),
            Reach::Local => self.trusted.contains(&ip) || self.attached.iter().any(|own| same_network(*own, ip)),
            Reach::Nowhere => self.trusted.contains(&ip),
        }
    }

    /// Whether a node that was not told to serve may do so at this address of its own. Isolated, that takes a word of the
    /// user, for there everybody would.
    pub(super) fn may_serve_at(&self, address: &Multiaddr) -> bool {
        endpoint(address).is_some_and(|Endpoint { ip, .. }| match self.isolated {
            true => ip.is_loopback() && self.treat_as_public.iter().any(|range| range.contains(ip)),
            false => self.reach(ip) == Reach::Public,
        })
    }

    /// Whether strangers far away can use this address of ours.
    pub(super) fn is_public(&self, address: &Multiaddr) -> bool {
        endpoint(address).is_some_and(|Endpoint { ip, .. }| match self.reach(ip) {
            Reach::Public => !self.isolated,
            Reach::Loopback => self.isolated,
            Reach::Local | Reach::Nowhere => false,
        })
    }
}

/// What an address of ours or of a node boils down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) quic: bool,
}

/// Takes apart an address of the two forms in use, with or without `/p2p/ID` at its end.
pub(super) fn endpoint(address: &Multiaddr) -> Option<Endpoint> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let (port, quic) = match parts.next()? {
        Protocol::Tcp(port) => (port, false),
        Protocol::Udp(port) => (port, matches!(parts.next()?, Protocol::QuicV1).then_some(true)?),
        _ => return None,
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(Endpoint { ip, port, quic }),
        _ => None,
    }
}

/// Whether a text names a node and where it is, as `--bootstrap` takes it.
pub fn is_node_address(text: &str) -> bool {
    parse_node(text).is_some()
}

/// Parses `…/p2p/ID`: a node and where it is.
pub(super) fn parse_node(text: &str) -> Option<(PeerId, Multiaddr)> {
    let mut address: Multiaddr = text.parse().ok()?;
    endpoint(&address)?;
    match address.pop()? {
        Protocol::P2p(peer) => Some((peer, address)),
        _ => None,
    }
}

/// `address` without a `/p2p/ID` at its end.
pub(super) fn without_peer(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

/// Whether the address goes through a relay.
pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::P2pCircuit))
}

/// The network that two relays should not share: /16, or /32 in IPv6 (about one provider's site).
pub(super) fn neighbourhood(ip: IpAddr) -> (bool, u32) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (false, u32::from(ip) >> 16),
        IpAddr::V6(ip) => (true, (u128::from(ip) >> 96) as u32),
    }
}

/// Whether two local addresses are likely on one LAN. Prefix lengths are not known here; /16 and /64 are the widest
/// that home and office networks use.
fn same_network(own: IpAddr, other: IpAddr) -> bool {
    IpRange::same_prefix(own, other, if own.is_ipv4() { 16 } else { 64 })
}

fn reach(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => reach_v4(ip),
        IpAddr::V6(ip) => reach_v6(ip),
    }
}

fn reach_v4(ip: Ipv4Addr) -> Reach {
    let [a, b, c, _] = ip.octets();
    if ip.is_loopback() {
        Reach::Loopback
    } else if ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64) {
        Reach::Local
    } else if a == 0
        || a >= 224
        || ip.is_documentation()
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || (a == 198 && b & 0xfe == 18)
    {
        Reach::Nowhere
    } else {
        Reach::Public
    }
}

fn reach_v6(ip: Ipv6Addr) -> Reach {
    let first = ip.segments()[0];
    if ip.is_loopback() {
        Reach::Loopback
    } else if first & 0xffc0 == 0xfe80 || first & 0xfe00 == 0xfc00 {
        Reach::Local
    } else if first & 0xe000 == 0x2000 && !(first == 0x2001 && ip.segments()[1] == 0xdb8) {
        Reach::Public
    } else {
        Reach::Nowhere
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_lead_where_the_registries_say() {
        let rules = AddressRules::default();
        for (ip, expected) in [
            ("127.0.0.1", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.1.2.3", Reach::Local),
            ("172.16.0.1", Reach::Local),
            ("192.168.1.1", Reach::Local),
            ("169.254.1.1", Reach::Local),
            ("100.64.0.1", Reach::Local),
            ("fe80::1", Reach::Local),
            ("fd00::1", Reach::Local),
            ("0.0.0.0", Reach::Nowhere),
            ("224.0.0.251", Reach::Nowhere),
            ("255.255.255.255", Reach::Nowhere),
            ("203.0.113.1", Reach::Nowhere),
            ("198.18.0.1", Reach::Nowhere),
            ("::", Reach::Nowhere),
            ("ff02::fb", Reach::Nowhere),
            ("2001:db8::1", Reach::Nowhere),
            ("172.32.0.1", Reach::Public),
            ("100.128.0.1", Reach::Public),
            ("8.8.8.8", Reach::Public),
            ("2a00:1450::1", Reach::Public),
        ] {
            assert_eq!(rules.reach(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn isolated_means_loopback_and_nothing_else() {
        let rules = AddressRules::new(true, vec![IpRange::parse("0.0.0.0/0").unwrap()]);
        assert!(rules.may_dial(&address("/ip4/127.0.0.1/udp/4001/quic-v1")));
        assert!(rules.may_dial(&address("/ip6/::1/tcp/4001")));
        for text in ["/ip4/8.8.8.8/tcp/1", "/ip4/192.168.1.1/tcp/1", "/ip6/2a00:1450::1/udp/1/quic-v1"] {
            assert!(!rules.may_dial(&address(text)), "{text}");
            assert!(!rules.is_public(&address(text)), "{text}");
        }
        assert!(rules.is_public(&address("/ip4/127.0.0.1/tcp/1")));
    }

    #[test]
    fn a_strangers_word_does_not_lead_into_our_lan() {
        let mut rules = AddressRules::default();
        for text in
            ["/ip4/192.168.1.7/tcp/80", "/ip4/127.0.0.1/tcp/631", "/ip4/203.0.113.1/tcp/1", "/ip4/8.8.8.8/tcp/0"]
        {
            assert!(!rules.may_dial(&address(text)), "{text}");
        }
        rules.attach("192.168.1.2".parse().unwrap());
        assert!(rules.may_dial(&address("/ip4/192.168.1.7/tcp/80")), "our own LAN");
        assert!(!rules.may_dial(&address("/ip4/10.0.0.7/tcp/80")), "another one");
        rules.detach("192.168.1.2".parse().unwrap());
        rules.trust("192.168.1.7".parse().unwrap());
        assert!(rules.may_dial(&address("/ip4/192.168.1.7/tcp/80")), "written down by the user");
        assert!(!rules.may_dial(&address("/ip4/192.168.1.8/tcp/80")));
    }

    #[test]
    fn laboratory_ranges_count_as_public() {
        let rules = AddressRules::new(false, vec![IpRange::parse("203.0.113.0/24").unwrap()]);
        assert!(rules.is_public(&address("/ip4/203.0.113.9/udp/4001/quic-v1")));
        assert!(rules.may_dial(&address("/ip4/203.0.113.9/udp/4001/quic-v1")));
        assert!(!rules.is_public(&address("/ip4/198.51.100.9/udp/4001/quic-v1")));
    }

    #[test]
    fn nobody_serves_unasked_on_a_lan_or_unnamed_on_loopback() {
        let (home, lab) = (address("/ip4/192.168.1.2/udp/1/quic-v1"), address("/ip4/127.0.0.1/udp/1/quic-v1"));
        let public = address("/ip4/8.8.8.8/udp/1/quic-v1");
        let rules = AddressRules::default();
        assert!(rules.may_serve_at(&public) && !rules.may_serve_at(&home) && !rules.may_serve_at(&lab));
        let rules = AddressRules::new(true, vec![]);
        assert!(rules.is_public(&lab) && !rules.may_serve_at(&lab) && !rules.may_serve_at(&public));
        let rules = AddressRules::new(true, vec![IpRange::parse("127.0.0.0/8").unwrap()]);
        assert!(rules.may_serve_at(&lab) && !rules.may_serve_at(&home));
        let relayed = address(&format!("/ip4/8.8.8.8/udp/1/quic-v1/p2p/{}/p2p-circuit", PeerId::random()));
        assert!(!AddressRules::default().may_serve_at(&relayed), "a circuit is no address of ours");
    }

    #[test]
    fn only_the_two_plain_forms_are_endpoints() {
        let peer = PeerId::random();
        for text in ["/ip4/1.2.3.4/udp/5/quic-v1", "/ip6/::1/tcp/5"] {
            assert!(endpoint(&address(text)).is_some());
            assert_eq!(parse_node(&format!("{text}/p2p/{peer}")), Some((peer, address(text))));
            assert_eq!(parse_node(text), None);
        }
        for text in [
            "/ip4/1.2.3.4",
            "/ip4/1.2.3.4/udp/5",
            "/dns4/example.com/tcp/5",
            "/ip4/1.2.3.4/tcp/5/ws",
            &format!("/ip4/1.2.3.4/tcp/5/p2p/{peer}/p2p-circuit"),
            &format!("/ip4/1.2.3.4/tcp/5/p2p/{peer}/p2p-circuit/p2p/{peer}"),
        ] {
            assert_eq!(endpoint(&address(text)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_that_make_an_address_are_judged(bytes: Vec<u8>) {
            if let Ok(address) = Multiaddr::try_from(bytes) {
                let rules = AddressRules::default();
                prop_assert!(!rules.may_dial(&address) || endpoint(&address).is_some());
                let _ = (rules.is_public(&address), without_peer(&address));
            }
        }
    }
}
