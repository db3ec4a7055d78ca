//! How many new places an endpoint's requests may have the relay ask in a time: the sender names them, and is not
//! known before the key is there. No IO and no clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::store::EndpointId;

/// Places that may be new at once: a provider rotates one key, in a few regions.
const MOST_AT_ONCE: u32 = 10;

/// How often one more may be new.
const ONE_MORE_EVERY: Duration = Duration::from_secs(6);

/// What each endpoint has used of its ration; one that has all of it again takes no room.
#[derive(Default)]
pub(super) struct Rations {
    /// When the ration is whole again.
    whole_at: HashMap<EndpointId, Instant>,
}

impl Rations {
    /// Takes one of the endpoint's ration, when there is one.
    pub(super) fn take(&mut self, endpoint: EndpointId, now: Instant) -> bool {
        self.whole_at.retain(|_, whole_at| *whole_at > now);
        let whole_at = self.whole_at.get(&endpoint).copied().unwrap_or(now);
        let after = whole_at + ONE_MORE_EVERY;
        if after > now + ONE_MORE_EVERY * MOST_AT_ONCE {
            return false;
        }
        self.whole_at.insert(endpoint, after);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_places_may_be_new_at_once_and_one_more_every_six_seconds() {
        let mut rations = Rations::default();
        let (one, other) = (EndpointId(1), EndpointId(2));
        let start = Instant::now();

        for _ in 0..MOST_AT_ONCE {
            assert!(rations.take(one, start));
        }

        assert!(!rations.take(one, start));
        assert!(rations.take(other, start));
        assert!(!rations.take(one, start + ONE_MORE_EVERY - Duration::from_millis(1)));
        assert!(rations.take(one, start + ONE_MORE_EVERY));
        assert!(!rations.take(one, start + ONE_MORE_EVERY));
    }

    #[test]
    fn an_endpoint_at_rest_takes_no_room() {
        let mut rations = Rations::default();
        let start = Instant::now();
        rations.take(EndpointId(1), start);

        rations.take(EndpointId(2), start + ONE_MORE_EVERY);

        assert_eq!(rations.whole_at.len(), 1);
    }
}
