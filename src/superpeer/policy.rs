//! Where relayed packets may go.
//!
//! A relay on somebody's home machine stands inside their LAN: whoever may name any address as a TURN peer talks to
//! their printer. So only addresses of the public internet are peers, whatever form they are written in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::IpRange;

/// Decides which addresses may be TURN peers.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Loopback and nothing else: the process must not send a packet off this machine.
    pub isolated: bool,
    /// Laboratories: these count as public. Never loopback, multicast or the unspecified address.
    pub treat_as_public: Vec<IpRange>,
    /// The relay's own addresses, on every interface: what listens there trusts this machine.
    pub own: Vec<IpAddr>,
}

/// What an address is to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Anywhere on the internet.
    Peer,
    /// Ourselves: good for other allocations here, and nothing else.
    Own,
    Refused,
}

impl AddressPolicy {
    pub(super) fn judge(&self, ip: IpAddr) -> Verdict {
        let ip = ip.to_canonical();
        if self.isolated {
            return if ip.is_loopback() { Verdict::Peer } else { Verdict::Refused };
        }
        if self.own.iter().any(|own| own.to_canonical() == ip) {
            return Verdict::Own;
        }
        let allowed = match ip {
            IpAddr::V4(v4) => self.allows_v4(v4),
            IpAddr::V6(v6) => self.allows_v6(v6),
        };
        if allowed { Verdict::Peer } else { Verdict::Refused }
    }

    fn allows_v4(&self, ip: Ipv4Addr) -> bool {
        let never = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast();
        !never && (is_public_v4(ip) || self.counts_as_public(ip.into()))
    }

    fn allows_v6(&self, ip: Ipv6Addr) -> bool {
        let never = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
        if never || embedded_v4(ip).is_some_and(|v4| self.judge(v4.into()) != Verdict::Peer) {
            return false;
        }
        is_public_v6(ip) || self.counts_as_public(ip.into())
    }

    fn counts_as_public(&self, ip: IpAddr) -> bool {
        self.treat_as_public.iter().any(|range| range.contains(ip))
    }
}

/// Globally reachable by the IANA IPv4 special-purpose registry (RFC 6890).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let carrier_nat = a == 100 && b & 0xc0 == 64;
    let protocol_assignments = (a, b, c) == (192, 0, 0);
    let six_to_four_relay = (a, b, c) == (192, 88, 99);
    let benchmarking = a == 198 && b & 0xfe == 18;
    let multicast_and_reserved = a >= 224;
    !(a == 0
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || carrier_nat
        || protocol_assignments
        || six_to_four_relay
        || benchmarking
        || multicast_and_reserved)
}

/// Global unicast by the IANA IPv6 special-purpose registry. Unique-local, link-local, site-local and the rest lie
/// outside 2000::/3, but for the prefixes that are named here and NAT64's well-known one, which leads to IPv4.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    let documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b & 0xf000 == 0);
    // 2001::/23: Teredo, ORCHID, benchmarking; of no use to a call.
    let protocol_assignments = a == 0x2001 && b & 0xfe00 == 0;
    (global_unicast && !documentation && !protocol_assignments) || is_nat64(ip)
}

/// 64:ff9b::/96 (RFC 6052 §2.1). The local-use prefix 64:ff9b:1::/48 (RFC 8215) stays refused.
fn is_nat64(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0x64, 0xff9b, 0, 0, 0, 0, _, _])
}

/// The IPv4 address that a packet to this one ends at: a tunnel or translator on the way would take it there.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        // NAT64 (RFC 6052) and the deprecated IPv4-compatible form (RFC 4291 §2.5.5.1).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => Some(join(high, low)),
        // ISATAP (RFC 5214 §6.1), with the universal bit set or not.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(policy: &AddressPolicy, ip: &str) -> Verdict {
        policy.judge(ip.parse().unwrap())
    }

    #[test]
    fn only_the_public_internet_is_a_peer() {
        let policy = AddressPolicy::default();
        for ip in [
            "127.0.0.1",
            "127.255.0.1",
            "10.0.0.1",
            "172.16.5.4",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.251",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "198.19.255.255",
            "192.88.99.1",
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::fb",
            "2001:db8::1",
            "3fff:fff::1",
            "2001::1",
            "64:ff9b:1::808:808",
            "100::1",
        ] {
            assert_eq!(judge(&policy, ip), Verdict::Refused, "{ip}");
        }
        for ip in ["8.8.8.8", "100.63.0.1", "100.128.0.1", "172.32.0.1", "198.17.0.1", "2a00:1450::1", "2001:4860::1"] {
            assert_eq!(judge(&policy, ip), Verdict::Peer, "{ip}");
        }
    }

    #[test]
    fn a_refused_address_is_refused_in_every_dress() {
        let policy = AddressPolicy { own: vec!["9.9.9.9".parse().unwrap()], ..AddressPolicy::default() };
        for ip in [
            "::ffff:127.0.0.1",
            "::ffff:192.168.1.1",
            "::192.168.1.1",
            "2002:c0a8:0101::1",
            "2002:7f00:0001::1",
            "64:ff9b::192.168.1.1",
            "64:ff9b::a00:1",
            "2a00::5efe:192.168.1.1",
            "2a00::200:5efe:10.0.0.1",
            // 9.9.9.9, our own.
            "2002:909:909::1",
            "64:ff9b::909:909",
        ] {
            assert_eq!(judge(&policy, ip), Verdict::Refused, "{ip}");
        }
        for ip in ["::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"] {
            assert_eq!(judge(&policy, ip), Verdict::Peer, "{ip}");
        }
        assert_eq!(judge(&policy, "::ffff:9.9.9.9"), Verdict::Own);
    }

    #[test]
    fn a_laboratory_opens_what_it_names_and_nothing_more() {
        let range = |text| IpRange::parse(text).unwrap();
        let mut policy = AddressPolicy { treat_as_public: vec![range("203.0.113.0/24")], ..AddressPolicy::default() };
        assert_eq!(judge(&policy, "203.0.113.7"), Verdict::Peer);
        assert_eq!(judge(&policy, "198.51.100.7"), Verdict::Refused);
        policy.treat_as_public = vec![range("0.0.0.0/0"), range("::/0")];
        for ip in ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "ff02::1", "::ffff:127.0.0.1"] {
            assert_eq!(judge(&policy, ip), Verdict::Refused, "{ip}");
        }
        policy.own = vec!["203.0.113.20".parse().unwrap()];
        assert_eq!(judge(&policy, "203.0.113.20"), Verdict::Own, "our own, though in a public range");
    }

    #[test]
    fn isolated_is_loopback_and_nothing_else() {
        let policy = AddressPolicy { isolated: true, ..AddressPolicy::default() };
        assert_eq!(judge(&policy, "127.0.0.1"), Verdict::Peer);
        assert_eq!(judge(&policy, "::1"), Verdict::Peer);
        for ip in ["8.8.8.8", "192.168.1.1", "2a00:1450::1"] {
            assert_eq!(judge(&policy, ip), Verdict::Refused, "{ip}");
        }
    }

    proptest! {
        #[test]
        fn no_embedding_makes_an_address_better(v4: u32, form in 0usize..4) {
            let policy = AddressPolicy::default();
            let inner = Ipv4Addr::from(v4);
            let (high, low) = ((v4 >> 16) as u16, v4 as u16);
            let outer = [
                inner.to_ipv6_mapped(),
                Ipv6Addr::new(0x2002, high, low, 1, 2, 3, 4, 5),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2a00, 1, 2, 3, 0, 0x5efe, high, low),
            ][form];
            prop_assert!(policy.judge(outer.into()) != Verdict::Peer || policy.judge(inner.into()) == Verdict::Peer);
        }
    }
}
