//! Counts connections, in all and by address, and says when one is too many.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The counters of one listener.
#[derive(Debug)]
pub(super) struct Caps {
    most: usize,
    most_per_address: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One counted connection; dropping it gives its place back.
#[derive(Debug)]
pub(super) struct Place {
    caps: Arc<Caps>,
    address: IpAddr,
}

impl Caps {
    /// Counters with these limits.
    pub(super) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_address,
            open: Mutex::default(),
        })
    }

    /// A place for a connection of this address, if there is one.
    pub(super) fn try_enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = counted_address(address);
        let mut open = self.open.lock();
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if open.all >= self.most || of_address >= self.most_per_address {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, of_address + 1);
        Some(Place {
            caps: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.caps.open.lock();
        open.all -= 1;
        if let Some(of_address) = open.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// An IPv6 sender has a network of 64 bits to itself, so that counts as one address.
fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_connection_more_than_an_address_may_have_is_refused() {
        let caps = Caps::new(10, 2);
        let first = caps.try_enter(address("10.0.0.1")).unwrap();
        let _second = caps.try_enter(address("::ffff:10.0.0.1")).unwrap();

        assert!(caps.try_enter(address("10.0.0.1")).is_none());
        assert!(caps.try_enter(address("10.0.0.2")).is_some());
        drop(first);
        assert!(caps.try_enter(address("10.0.0.1")).is_some());
    }

    #[test]
    fn one_connection_more_than_the_relay_may_have_is_refused() {
        let caps = Caps::new(2, 2);
        let first = caps.try_enter(address("10.0.0.1")).unwrap();
        let _second = caps.try_enter(address("10.0.0.2")).unwrap();

        assert!(caps.try_enter(address("10.0.0.3")).is_none());
        drop(first);
        assert!(caps.try_enter(address("10.0.0.3")).is_some());
    }

    #[test]
    fn an_ipv6_network_of_64_bits_counts_as_one_address() {
        let caps = Caps::new(10, 1);
        let _first = caps.try_enter(address("2001:db8:0:1::1")).unwrap();

        assert!(caps.try_enter(address("2001:db8:0:1:ffff::2")).is_none());
        assert!(caps.try_enter(address("2001:db8:0:2::1")).is_some());
    }

    #[test]
    fn nothing_is_remembered_of_closed_connections() {
        let caps = Caps::new(10, 1);

        drop(caps.try_enter(address("10.0.0.1")));

        assert!(caps.open.lock().by_address.is_empty());
    }
}
