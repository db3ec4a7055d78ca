//! Which addresses the relay may connect to by itself: those of the public internet alone. A sender who could
//! have it speak to its own network would see through its firewall.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Not one of the networks of the IANA special-purpose registry (RFC 6890).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = match (first, second) {
        // This network, private, loopback.
        (0 | 10 | 127, _) => true,
        // Between a carrier and its customers (RFC 6598).
        (100, 64..=127) => true,
        // Link-local: the metadata services of clouds are here.
        (169, 254) | (172, 16..=31) | (192, 168) => true,
        // Protocol assignments and the first documentation network; 6to4 relays.
        (192, 0) if matches!(third, 0 | 2) => true,
        (192, 88) if third == 99 => true,
        // Benchmarks, and the other documentation networks.
        (198, 18 | 19) => true,
        (198, 51) if third == 100 => true,
        (203, 0) if third == 113 => true,
        // Multicast, reserved, broadcast.
        (224..=255, _) => true,
        _ => false,
    };
    !is_special
}

/// Global unicast (`2000::/3`) is all that is routed; of it, what carries an IPv4 address or stands for none.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    if first & 0xe000 != 0x2000 {
        // Among them: loopback, v4-mapped, v4-translated (64:ff9b::/96), unique local, link-local, multicast.
        return false;
    }
    let is_special = match (first, second) {
        // Protocol assignments with Teredo and ORCHID, and documentation.
        (0x2001, 0..=0x01ff | 0x0db8) => true,
        // 6to4 carries any IPv4 address.
        (0x2002, _) => true,
        // The newer documentation network (RFC 9637).
        (0x3fff, 0..=0x0fff) => true,
        _ => false,
    };
    !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_public_internet_are_allowed() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2001:200::",
            "2606:4700::1111",
            "3fff:1000::",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn every_other_network_is_refused_from_its_first_address_to_its_last() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.2.255",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "224.0.0.0",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "100::1",
            "1fff::1",
            "2001::1",
            "2001:1ff:ffff::",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "3fff:fff::",
            "4000::",
            "fc00::1",
            "fdff:ffff::",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }
}
