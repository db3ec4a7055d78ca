//! How often somebody may ask: so many times at once, then once each so often. A rule without IO.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Askers that are remembered. Those who have all their turns back are forgotten first; if that is not
/// enough, all are, because whoever has so many names or addresses is not held up by a limit on each.
const MOST_ASKERS: usize = 10_000;

/// The pace of many askers.
#[derive(Debug)]
pub(super) struct Pace<Asker> {
    /// How far ahead of time an asker may be.
    most_ahead: Duration,
    every: Duration,
    /// When each asker has all its turns back.
    rested_at: HashMap<Asker, Instant>,
}

impl<Asker: Eq + Hash> Pace<Asker> {
    /// So many turns at once, and a new one each `every`.
    pub(super) fn new(burst: u32, every: Duration) -> Self {
        Self {
            most_ahead: every * burst.saturating_sub(1),
            every,
            rested_at: HashMap::new(),
        }
    }

    /// Takes a turn.
    ///
    /// # Errors
    /// How long it is until the next one. An asker that is refused loses nothing by it.
    pub(super) fn take(&mut self, asker: Asker, now: Instant) -> Result<(), Duration> {
        let rested_at = self.rested_at.get(&asker).copied().unwrap_or(now).max(now);
        let ahead = rested_at - now;
        if ahead > self.most_ahead {
            return Err(ahead - self.most_ahead);
        }
        self.make_room(now);
        self.rested_at.insert(asker, rested_at + self.every);
        Ok(())
    }

    fn make_room(&mut self, now: Instant) {
        if self.rested_at.len() < MOST_ASKERS {
            return;
        }
        self.rested_at.retain(|_, rested_at| *rested_at > now);
        if self.rested_at.len() >= MOST_ASKERS {
            self.rested_at.clear();
        }
    }
}

/// An IPv6 sender has a network of 64 bits to itself, so that counts as one address.
pub(super) fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    #[test]
    fn a_burst_is_let_through_and_then_one_turn_each_time() {
        let mut pace = Pace::new(3, EVERY);
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(pace.take("a", start), Ok(()));
        }

        assert_eq!(pace.take("a", start), Err(EVERY));
        let soon = start + Duration::from_millis(1500);
        assert_eq!(pace.take("a", soon), Err(Duration::from_millis(500)));
        assert_eq!(pace.take("b", soon), Ok(()));
        assert_eq!(pace.take("a", start + EVERY), Ok(()));
        assert_eq!(pace.take("a", start + EVERY), Err(EVERY));
    }

    #[test]
    fn after_a_rest_all_turns_are_back_and_no_more() {
        let mut pace = Pace::new(2, EVERY);
        let start = Instant::now();
        for _ in 0..2 {
            pace.take("a", start).unwrap();
        }
        let rested = start + EVERY * 100;
        for _ in 0..2 {
            assert_eq!(pace.take("a", rested), Ok(()));
        }

        assert_eq!(pace.take("a", rested), Err(EVERY));
    }

    #[test]
    fn the_memory_of_askers_is_bounded() {
        let mut pace = Pace::new(1, EVERY);
        let start = Instant::now();
        for asker in 0..MOST_ASKERS {
            pace.take(asker, start).unwrap();
        }
        assert_eq!(pace.take(0, start), Err(EVERY));

        pace.take(MOST_ASKERS, start).unwrap();

        assert_eq!(pace.rested_at.len(), 1);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_asker() {
        let counted = |text: &str| counted_address(text.parse().unwrap());

        assert_eq!(counted("2001:db8::1"), counted("2001:db8::ffff:1"));
        assert_ne!(counted("2001:db8::1"), counted("2001:db8:0:1::1"));
        assert_eq!(counted("::ffff:192.0.2.1"), counted("192.0.2.1"));
    }
}
