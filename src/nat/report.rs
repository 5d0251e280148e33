//! What was found out about the network between us and the world, in the terms of RFC 4787.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When a NAT uses another external port for another destination (RFC 4787 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mapping {
    /// One external port for all destinations: who has been told of it can send to it.
    EndpointIndependent,
    /// One external port per IP address talked to.
    AddressDependent,
    /// One external port per IP address and port talked to: "symmetric".
    AddressAndPortDependent,
}

/// Whose packets a NAT or firewall lets in through a port that is in use (RFC 4787 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Filtering {
    /// Everybody's.
    EndpointIndependent,
    /// Those of IP addresses that were talked to.
    AddressDependent,
    /// Those of IP addresses and ports that were talked to.
    AddressAndPortDependent,
}

/// How one address family of this machine looks from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Our own address on the way to the servers.
    pub local: SocketAddr,
    /// The same socket as the servers saw it.
    pub public: SocketAddr,
    /// `None`: too few addresses answered to tell.
    pub mapping: Option<Mapping>,
    /// `None`: no server could answer from another address. With a server that has two ports of one IP address the
    /// two milder kinds look alike, and [`Filtering::AddressDependent`] means "that at worst".
    pub filtering: Option<Filtering>,
    /// Whether two sockets behind this NAT reach each other at their public addresses (RFC 4787 §6); `None` where there
    /// is no NAT, or when it could not be tried.
    pub hairpin: Option<bool>,
    /// How long the NAT keeps an idle mapping; only when asked for.
    pub mapping_lifetime: Option<MappingLifetime>,
}

impl Seen {
    /// Whether a NAT changes our address.
    pub fn is_translated(&self) -> bool {
        self.local.ip() != self.public.ip()
    }

    /// Whether the world can send to us unasked, at an address of our own.
    pub fn is_open(&self) -> bool {
        !self.is_translated() && self.filtering == Some(Filtering::EndpointIndependent)
    }

    /// What people call it.
    pub fn kind(&self) -> NatKind {
        use Filtering as F;
        match (self.is_translated(), self.mapping, self.filtering) {
            (false, _, Some(F::EndpointIndependent)) => NatKind::Open,
            (false, _, Some(F::AddressAndPortDependent)) => NatKind::Firewall,
            // It may be milder than that: firewalls of this kind are rare, servers with one IP address are not.
            (false, _, Some(F::AddressDependent) | None) => NatKind::Untranslated,
            (true, Some(Mapping::AddressDependent | Mapping::AddressAndPortDependent), _) => NatKind::Symmetric,
            (true, Some(Mapping::EndpointIndependent), Some(F::EndpointIndependent)) => NatKind::FullCone,
            (true, Some(Mapping::EndpointIndependent), Some(F::AddressDependent)) => NatKind::AddressRestricted,
            (true, Some(Mapping::EndpointIndependent), Some(F::AddressAndPortDependent)) => NatKind::PortRestricted,
            (true, Some(Mapping::EndpointIndependent), None) => NatKind::Cone,
            (true, None, _) => NatKind::Unclear,
        }
    }
}

/// The old words of RFC 3489 §5, which people still know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatKind {
    /// No NAT, no firewall.
    Open,
    /// No NAT, but only answers are let in.
    Firewall,
    /// No NAT; whether there is a firewall is not known.
    Untranslated,
    FullCone,
    AddressRestricted,
    PortRestricted,
    /// A NAT with one external port for all destinations; whom it lets in is not known.
    Cone,
    /// A NAT with another external port for another destination.
    Symmetric,
    /// A NAT of which no more is known.
    Unclear,
}

/// An idle mapping survived `at_least` and was gone after `gone_after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingLifetime {
    pub at_least: Duration,
    /// `None`: it outlived the test.
    pub gone_after: Option<Duration>,
}

/// Everything that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NatReport {
    /// Servers that were asked; 0: nothing could be found out.
    pub servers: usize,
    /// `None`: no server answered over IPv4.
    pub ipv4: Option<Seen>,
    /// `None`: no server answered over IPv6.
    pub ipv6: Option<Seen>,
    /// A server answered over TCP, but none over UDP. `None`: nobody answered at all.
    pub udp_blocked: Option<bool>,
}

impl NatReport {
    /// The better known families first.
    pub fn families(&self) -> impl Iterator<Item = &Seen> {
        self.ipv4.iter().chain(&self.ipv6)
    }
}

/// Tells the mapping behaviour (RFC 5780 §4.3) from what servers saw of one socket: (whom we asked, how we were seen).
///
/// Two ports of one IP address that see us differently are proof of the worst kind. To tell the middle kind from it
/// takes two addresses that see us differently while two ports of one see us alike; without such a pair the worst is
/// assumed. To be sure of the best kind takes two IP addresses.
pub fn classify_mapping(seen: &[(SocketAddr, SocketAddr)]) -> Option<Mapping> {
    let pairs = || seen.iter().enumerate().flat_map(|(index, one)| seen[index + 1..].iter().map(move |two| (one, two)));
    let of_one_address = || pairs().filter(|((a, _), (b, _))| a.ip() == b.ip() && a.port() != b.port());
    let of_two_addresses = || pairs().filter(|((a, _), (b, _))| a.ip() != b.ip());
    let differ = |((_, one), (_, two)): (&(SocketAddr, SocketAddr), &(SocketAddr, SocketAddr))| one != two;
    if of_one_address().any(differ) {
        return Some(Mapping::AddressAndPortDependent);
    }
    if of_two_addresses().any(differ) {
        let ports_agree = of_one_address().next().is_some();
        return Some(if ports_agree { Mapping::AddressDependent } else { Mapping::AddressAndPortDependent });
    }
    of_two_addresses().next().map(|_| Mapping::EndpointIndependent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(seen: &[(&str, &str)]) -> Option<Mapping> {
        let seen: Vec<_> = seen.iter().map(|(asked, at)| (asked.parse().unwrap(), at.parse().unwrap())).collect();
        classify_mapping(&seen)
    }

    #[test]
    fn the_mapping_is_told_from_what_servers_saw() {
        const A1: &str = "192.0.2.1:3478";
        const A2: &str = "192.0.2.1:3479";
        const B1: &str = "192.0.2.2:3478";
        const B2: &str = "192.0.2.2:3479";
        const X: &str = "198.51.100.7:1";
        const Y: &str = "198.51.100.7:2";
        const Z: &str = "198.51.100.7:3";
        use Mapping::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        for (seen, expected) in [
            (&[][..], None),
            (&[(A1, X)], None),
            (&[(A1, X), (A1, X)], None),
            (&[(A1, X), (A2, X)], None),
            (&[(A1, X), (A2, Y)], Some(AddressAndPortDependent)),
            (&[(A1, X), (B1, X)], Some(EndpointIndependent)),
            (&[(A1, X), (B1, X), (B2, X)], Some(EndpointIndependent)),
            // RFC 5780 §4.3, tests I to III.
            (&[(A1, X), (B1, Y), (B2, Y)], Some(AddressDependent)),
            (&[(A1, X), (B1, Y), (B2, Z)], Some(AddressAndPortDependent)),
            // Two plain servers: no pair of ports to tell the two apart.
            (&[(A1, X), (B1, Y)], Some(AddressAndPortDependent)),
            (&[(A1, X), (A2, X), (B1, Y)], Some(AddressDependent)),
        ] {
            assert_eq!(observed(seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn kinds_have_the_names_people_know() {
        let seen = |public: &str, mapping, filtering| Seen {
            local: "192.168.1.2:1".parse().unwrap(),
            public: public.parse().unwrap(),
            mapping,
            filtering,
            hairpin: None,
            mapping_lifetime: None,
        };
        let (own, other) = ("192.168.1.2:1", "198.51.100.7:1");
        let independent = Some(Mapping::EndpointIndependent);
        for (seen, kind) in [
            (seen(own, independent, Some(Filtering::AddressDependent)), NatKind::Untranslated),
            (seen(own, independent, Some(Filtering::EndpointIndependent)), NatKind::Open),
            (seen(own, independent, Some(Filtering::AddressAndPortDependent)), NatKind::Firewall),
            (seen(own, None, None), NatKind::Untranslated),
            (seen(other, independent, Some(Filtering::EndpointIndependent)), NatKind::FullCone),
            (seen(other, independent, Some(Filtering::AddressDependent)), NatKind::AddressRestricted),
            (seen(other, independent, Some(Filtering::AddressAndPortDependent)), NatKind::PortRestricted),
            (seen(other, independent, None), NatKind::Cone),
            (seen(other, Some(Mapping::AddressDependent), None), NatKind::Symmetric),
            (seen(other, Some(Mapping::AddressAndPortDependent), None), NatKind::Symmetric),
            (seen(other, None, Some(Filtering::AddressDependent)), NatKind::Unclear),
        ] {
            assert_eq!(seen.kind(), kind, "{seen:?}");
        }
    }
}
