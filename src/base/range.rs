//! Ranges of IP addresses.

use std::net::IpAddr;

/// A range of addresses in CIDR form (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    network: IpAddr,
    bits: u8,
}

impl IpRange {
    /// `ADDRESS/BITS`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (network, bits) = text.split_once('/')?;
        let (network, bits) = (network.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
        let longest = if network.is_ipv4() { 32 } else { 128 };
        (bits <= longest).then_some(Self { network, bits })
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        Self::same_prefix(self.network, ip, self.bits)
    }

    /// Whether two addresses of one family agree in their first `bits`.
    pub fn same_prefix(a: IpAddr, b: IpAddr, bits: u8) -> bool {
        let differing = match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing >= u32::from(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_strictly() {
        for text in ["", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/-1", "::/129", "1.2.3/8", "a/b"] {
            assert_eq!(IpRange::parse(text), None, "{text}");
        }
        assert!(IpRange::parse("fd00::/8").unwrap().contains("fd12::1".parse().unwrap()));
        assert!(!IpRange::parse("fd00::/8").unwrap().contains("10.0.0.1".parse().unwrap()));
    }
}
