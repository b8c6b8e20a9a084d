//! A range of addresses, as the setting `trusted_proxies` lists them: text in, membership out.

use std::net::IpAddr;
use std::str::FromStr;

/// An address with the number of leading bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is neither an address nor `address/bits`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading network {text:?}: expected an address, or address/bits such as 10.0.0.0/8")]
pub struct NotANetwork {
    /// What was found.
    pub text: String,
}

impl Network {
    /// Whether `address` is in the range; an IPv4 address mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = u32::from(ours) ^ u32::from(theirs);
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = u128::from(ours) ^ u128::from(theirs);
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork { text: text.to_owned() };
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if prefix <= most { Ok(Self { address, prefix }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: ranges of both families with addresses in and beside them, and broken texts.
    /// Guarantees: only the leading bits count, families never mix, and what is no range is named.
    #[test]
    fn ranges_hold_their_addresses() {
        let check = |network: &str, address: &str, expect: bool| {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expect, "{network:?} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.1", "10.0.0.1", true);
        check("0.0.0.0/0", "203.0.113.7", true);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("fd00::/8", "fd12::1", true);
        check("fd00::/8", "10.0.0.1", false);
        for bad in ["", "10.0.0.0/33", "10.0.0.0/x", "proxy.example"] {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork { text: bad.into() }));
        }
    }
}
