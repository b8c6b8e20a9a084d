//! Addresses of hosts: one address has many spellings.

use std::net::{IpAddr, SocketAddr};

/// The one spelling of an IP address: without brackets, port and zone, in the short form of RFC 5952, and an IPv4
/// address that is mapped into IPv6 (RFC 4291, section 2.5.5.2) as what it is. `None` for what is no address.
///
/// A zone (RFC 4007) names an interface of whoever writes it, and so is no part of where the other is.
#[must_use]
pub fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    let address = text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address = address.or_else(|| bare(text).parse::<IpAddr>().ok())?;
    Some(address.to_canonical().to_string())
}

/// The address as written, in its one spelling if it is one.
#[must_use]
pub fn spelled(text: &str) -> String {
    canonical(text).unwrap_or_else(|| text.to_owned())
}

/// What stands between brackets and before a zone.
fn bare(text: &str) -> &str {
    let inner = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, port)) if is_port(port) => inner,
        _ => text,
    };
    // Only IPv6 addresses have zones.
    inner.split_once('%').filter(|(address, _)| address.contains(':')).map_or(inner, |(it, _)| it)
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: addresses of both families as logs, sockets, URLs and objects write them, and what is none.
    /// Guarantees: one address has one spelling; two addresses never have the same.
    #[test]
    fn one_address_is_one_text() {
        let of_one = |texts: &[&str], expected: Option<&str>| {
            for text in texts {
                assert_eq!(canonical(text).as_deref(), expected, "{text}");
            }
        };
        let v4 = ["10.0.0.7", "10.0.0.7:443", "::ffff:10.0.0.7", "[::ffff:a00:7]:443", " 10.0.0.7"];
        of_one(&v4, Some("10.0.0.7"));
        let v6 = ["fd00::7", "[fd00::7]", "[fd00::7]:443", "FD00:0:0:0:0:0:0:7", "fd00:0::0007"];
        of_one(&v6, Some("fd00::7"));
        of_one(
            &["fe80::1%eth0", "[fe80::1%25eth0]", "[fe80::1%3]:443", "fe80::1"],
            Some("fe80::1"),
        );
        // An IPv4-compatible address is none of IPv4.
        of_one(&["::10.0.0.7"], Some("::a00:7"));
        of_one(&["", "@", "10.0.0", "[fd00::7", "[fd00::7]x", "10.0.0.7%eth0", "host:443"], None);
        assert_eq!(spelled("unix:/run/x"), "unix:/run/x");
    }
}
