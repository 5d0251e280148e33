//! Ports that the router opens for us when asked: what is wanted, and what came of it.

use std::net::{Ipv4Addr, SocketAddrV4};

/// How a router was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingProtocol {
    /// RFC 6887.
    Pcp,
    /// RFC 6886.
    NatPmp,
    /// UPnP's WANIPConnection.
    Upnp,
}

impl std::fmt::Display for MappingProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// A UDP port of the router that leads to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappedPort {
    pub internal: SocketAddrV4,
    /// As the router says: it may itself sit behind another NAT, and then this is no public address.
    pub external: SocketAddrV4,
    pub by: MappingProtocol,
}

/// Why no port was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// There is no router, or it does not speak any of the three protocols. Many have a switch for UPnP.
    #[error("no router answers")]
    NoRouter,
    /// The router speaks one of them, and does not want to.
    #[error("the router refuses: {0}")]
    Refused(String),
}

/// The gateway of a default route as [`default_gateways`](super::outlook::default_gateways) writes it.
pub(super) fn gateway_of(route: &str) -> Option<Ipv4Addr> {
    let (_interface, gateway) = route.split_once(' ')?;
    let number = u32::from_str_radix(gateway, 16).ok()?;
    // The kernel writes the four bytes as a number of its own byte order.
    Some(Ipv4Addr::from(number.to_ne_bytes())).filter(|gateway| !gateway.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_read_as_linux_writes_them() {
        let written = format!("eth0 {:08X}", u32::from_ne_bytes([192, 168, 1, 1]));
        assert_eq!(gateway_of(&written), Some(Ipv4Addr::new(192, 168, 1, 1)));
        for nonsense in ["", "eth0", "eth0 00000000", "eth0 zz", "eth0 0101A8C0FF"] {
            assert_eq!(gateway_of(nonsense), None, "{nonsense}");
        }
    }
}
