//! What this machine's way into the network looks like from inside, and which differences matter.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Length of a netlink message's header (`struct nlmsghdr`, netlink(7)): length u32, type u16, flags u16, two u32.
const HEADER_LEN: usize = 16;
/// An address is gone (`RTM_DELADDR`, rtnetlink(7)).
const ADDRESS_GONE: u16 = 21;
/// `AF_INET`, the first byte of `struct ifaddrmsg`.
const IPV4: u8 = 2;

/// Addresses and ways at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlook {
    /// Unicast addresses that others could know, see [`is_usable`].
    pub addresses: BTreeSet<IpAddr>,
    /// Where packets to the internet leave from: over IPv4, over IPv6.
    pub sources: [Option<IpAddr>; 2],
    /// Interface and gateway of each default route, as the system writes them.
    pub gateways: BTreeSet<String>,
}

/// Two outlooks differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkChange {
    /// There is an address to send from at all.
    pub online: bool,
    /// What was sent from before may lead nowhere now: an address is gone, or packets leave another way. False when
    /// something merely came along.
    pub lost_way: bool,
}

impl Outlook {
    /// `None` when nothing changed. `address_lost`: one went away meanwhile, even if it is back: another network may
    /// have given us the same one.
    pub fn change_since(&self, before: &Self, address_lost: bool) -> Option<NetworkChange> {
        if self == before && !address_lost {
            return None;
        }
        let gone = !before.addresses.is_subset(&self.addresses);
        let elsewhere = self.sources != before.sources || self.gateways != before.gateways;
        Some(NetworkChange { online: !self.addresses.is_empty(), lost_way: gone || elsewhere || address_lost })
    }
}

/// Whether a peer could be told this address: link-local IPv6 ones mean nothing without their interface.
pub fn is_usable(ip: IpAddr) -> bool {
    let is_link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && !is_link_local
}

/// The default routes in Linux's table of IPv4 routes (`/proc/net/route`, proc(5)).
pub(super) fn default_gateways(table: &str) -> BTreeSet<String> {
    let default = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (interface, destination, gateway) = (words.next()?, words.next()?, words.next()?);
        let mask = words.nth(4)?;
        (destination == "00000000" && mask == "00000000").then(|| format!("{interface} {gateway}"))
    };
    table.lines().filter_map(default).collect()
}

/// Whether one of these netlink messages says that an IPv4 address is gone. (IPv6 ones of the same network come and go.)
pub(super) fn tells_of_lost_address(mut messages: &[u8]) -> bool {
    while let Some(header) = messages.get(..HEADER_LEN) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        if kind == ADDRESS_GONE && messages.get(HEADER_LEN) == Some(&IPV4) {
            return true;
        }
        // Each message begins at a multiple of four.
        match messages.get(length.max(HEADER_LEN).next_multiple_of(4)..) {
            Some(rest) => messages = rest,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outlook(addresses: &[&str], source: &str, gateway: &str) -> Outlook {
        Outlook {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            sources: [source.parse().ok(), None],
            gateways: BTreeSet::from([gateway.to_owned()]),
        }
    }

    #[test]
    fn what_came_along_is_told_from_what_was_lost() {
        let home = outlook(&["192.168.1.10"], "192.168.1.10", "eth0 0101A8C0");
        assert_eq!(home.change_since(&home, false), None);
        let docker = outlook(&["192.168.1.10", "172.17.0.1"], "192.168.1.10", "eth0 0101A8C0");
        assert_eq!(docker.change_since(&home, false), Some(NetworkChange { online: true, lost_way: false }));
        let lost = Some(NetworkChange { online: true, lost_way: true });
        assert_eq!(home.change_since(&docker, false), lost);
        assert_eq!(outlook(&["10.0.0.2"], "10.0.0.2", "wlan0 0100000A").change_since(&home, false), lost);
        assert_eq!(outlook(&["192.168.1.10"], "192.168.1.10", "eth0 FE01A8C0").change_since(&home, false), lost);
        assert_eq!(home.change_since(&home, true), lost, "the same address of another network");
        let offline = Outlook::default().change_since(&home, false);
        assert_eq!(offline, Some(NetworkChange { online: false, lost_way: true }));
    }

    #[test]
    fn default_routes_are_read_from_the_systems_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(default_gateways(table), BTreeSet::from(["eth0 0101A8C0".to_owned()]));
    }

    #[test]
    fn a_lost_address_is_found_among_other_messages() {
        let message = |kind: u16, family: u8| {
            let body = [family, 24, 0, 0, 2, 0, 0, 0];
            let length = (HEADER_LEN + body.len()) as u32;
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], &body].concat()
        };
        assert!(tells_of_lost_address(&[message(20, IPV4), message(ADDRESS_GONE, IPV4)].concat()));
        assert!(!tells_of_lost_address(&[message(20, IPV4), message(ADDRESS_GONE, 10)].concat()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            tells_of_lost_address(&bytes);
            default_gateways(&String::from_utf8_lossy(&bytes));
        }
    }
}
