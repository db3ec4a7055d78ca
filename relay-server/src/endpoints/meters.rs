//! How much an endpoint takes in: events and bytes a second, and rejected events that are kept.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use towline_shared::api::EndpointLimits;

use crate::limits::Bucket;

/// What may come at once, as seconds of the rate: senders come in bursts.
const BURST_SECONDS: f64 = 2.0;

/// Rejected events that are kept in a minute when nobody says otherwise: a person reads the first few, and a
/// flood of them fills no disk.
pub(super) const USUAL_REJECTED_PER_MINUTE: u32 = 600;

/// Failed checks a second, over time and at once, whose reasons are looked for: a person reads a few, and a flood of
/// bad requests must not cost more than its checks. At 2 ms each this is 4 % of one core.
const EXPLAINED_PER_SECOND: f64 = 20.0;
const EXPLAINED_AT_ONCE: f64 = 40.0;

/// Deliveries a second, over time and at once, that are looked at again when the app turned them away.
const LOOKS_PER_SECOND: f64 = 5.0;
const LOOKS_AT_ONCE: f64 = 20.0;

/// Bytes of rejected bodies that are kept: enough for a person who looks for a mistake, 1.4 GB a day at most.
const REJECTED_BYTES_PER_SECOND: f64 = 16.0 * 1024.0;
const REJECTED_BYTES_AT_ONCE: f64 = 64.0 * 1024.0 * 1024.0;

/// The meters of one endpoint; they go on when it is changed, unless its limits are.
pub(crate) struct Meters {
    limits: EndpointLimits,
    buckets: Mutex<Buckets>,
}

struct Buckets {
    events: Option<Bucket>,
    bytes: Option<Bucket>,
    rejected: Bucket,
    rejected_bytes: Bucket,
    explained: Bucket,
    looks: Bucket,
    /// Rejected requests that were not kept, since the relay started.
    not_kept: u64,
}

/// An endpoint takes nothing more for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverLimit {
    /// Which limit, and what it is.
    pub(crate) limit: Limit,
    /// When there is room again.
    pub(crate) retry_after: Duration,
}

/// A limit of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// So many events a second.
    Events(u32),
    /// So many bytes of bodies a second.
    Bytes(u64),
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Events(most) => write!(f, "the endpoint takes {most} events a second"),
            Self::Bytes(most) => write!(f, "the endpoint takes {most} bytes a second"),
        }
    }
}

impl Meters {
    /// Full meters.
    pub(crate) fn new(limits: EndpointLimits, now: Instant) -> Self {
        let bucket = |rate: f64| Bucket::full(rate, (rate * BURST_SECONDS).max(1.0), now);
        let rejected = limits
            .rejected_per_minute
            .unwrap_or(USUAL_REJECTED_PER_MINUTE);
        let rejected = f64::from(rejected);
        let buckets = Buckets {
            events: limits.events_per_second.map(|rate| bucket(f64::from(rate))),
            #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
            bytes: limits.bytes_per_second.map(|rate| bucket(rate as f64)),
            rejected: Bucket::full(rejected / 60.0, rejected, now),
            rejected_bytes: Bucket::full(REJECTED_BYTES_PER_SECOND, REJECTED_BYTES_AT_ONCE, now),
            explained: Bucket::full(EXPLAINED_PER_SECOND, EXPLAINED_AT_ONCE, now),
            looks: Bucket::full(LOOKS_PER_SECOND, LOOKS_AT_ONCE, now),
            not_kept: 0,
        };
        Self {
            limits,
            buckets: Mutex::new(buckets),
        }
    }

    /// What they measure by.
    pub(crate) const fn limits(&self) -> EndpointLimits {
        self.limits
    }

    /// Lets an event in, before its body is read.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), OverLimit> {
        let mut buckets = self.buckets.lock();
        let limits = &self.limits;
        if let (Some(bucket), Some(most)) = (&mut buckets.bytes, limits.bytes_per_second) {
            let over = |retry_after| OverLimit {
                limit: Limit::Bytes(most),
                retry_after,
            };
            bucket.has_some(now).map_err(over)?;
        }
        if let (Some(bucket), Some(most)) = (&mut buckets.events, limits.events_per_second) {
            let over = |retry_after| OverLimit {
                limit: Limit::Events(most),
                retry_after,
            };
            bucket.take_one(now).map_err(over)?;
        }
        Ok(())
    }

    /// Gives the place of an event back whose check failed: who does not know the secret uses up no limit.
    pub(crate) fn give_back(&self, now: Instant) {
        if let Some(bucket) = &mut self.buckets.lock().events {
            bucket.owe(-1.0, now);
        }
    }

    /// Counts a body that was taken.
    pub(crate) fn took(&self, bytes: u64, now: Instant) {
        if let Some(bucket) = &mut self.buckets.lock().bytes {
            #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
            bucket.owe(bytes as f64, now);
        }
    }

    /// Whether the reason is looked for when a check fails now.
    pub(crate) fn explains(&self, now: Instant) -> bool {
        self.buckets.lock().explained.has_some(now).is_ok()
    }

    /// Counts a failure whose reason was looked for.
    pub(crate) fn explained(&self, now: Instant) {
        self.buckets.lock().explained.owe(1.0, now);
    }

    /// Whether a delivery that the app turned away is looked at again.
    pub(crate) fn looks_again(&self, now: Instant) -> bool {
        self.buckets.lock().looks.take_one(now).is_ok()
    }

    /// Whether the head of one more rejected request is kept; one that is not is counted.
    pub(crate) fn keeps_rejected(&self, now: Instant) -> bool {
        self.keeps_rejected_body(0, now)
    }

    /// Whether one more rejected request is kept with a body of so many bytes; one that is not is counted.
    pub(crate) fn keeps_rejected_body(&self, bytes: u64, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        let is_kept =
            buckets.rejected_bytes.has_some(now).is_ok() && buckets.rejected.take_one(now).is_ok();
        buckets.not_kept += u64::from(!is_kept);
        if is_kept {
            #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
            buckets.rejected_bytes.owe(bytes as f64, now);
        }
        is_kept
    }

    /// Rejected requests that were answered and not kept, since the relay started.
    pub(crate) fn rejected_not_kept(&self) -> u64 {
        self.buckets.lock().not_kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: EndpointLimits = EndpointLimits {
        events_per_second: None,
        bytes_per_second: None,
        rejected_per_minute: None,
    };

    #[test]
    fn a_flood_of_failures_is_explained_up_to_a_bound_and_again_later() {
        let start = Instant::now();
        let meters = Meters::new(EndpointLimits::default(), start);
        let explained = |now| {
            let is_explained = meters.explains(now);
            if is_explained {
                meters.explained(now);
            }
            is_explained
        };

        let at_once = (0..200).filter(|_| explained(start)).count();
        let a_second_later = start + Duration::from_secs(1);
        let later = (0..200).filter(|_| explained(a_second_later)).count();
        let looks = (0..200).filter(|_| meters.looks_again(start)).count();

        assert_eq!((at_once, later, looks), (40, 20, 20));
    }

    #[test]
    fn without_limits_everything_is_let_in() {
        let now = Instant::now();
        let meters = Meters::new(NONE, now);

        for _ in 0..100_000 {
            meters.took(1_000_000, now);
            assert_eq!(meters.admit(now), Ok(()));
        }
    }

    #[test]
    fn two_seconds_of_events_come_at_once_and_one_more_does_not() {
        let now = Instant::now();
        let limits = EndpointLimits {
            events_per_second: Some(5),
            ..NONE
        };
        let meters = Meters::new(limits, now);
        for _ in 0..10 {
            assert_eq!(meters.admit(now), Ok(()));
        }

        let over = meters.admit(now).unwrap_err();

        assert_eq!(over.limit, Limit::Events(5));
        assert_eq!(meters.admit(now + over.retry_after), Ok(()));
    }

    #[test]
    fn a_large_body_is_taken_and_what_follows_waits_for_it() {
        let now = Instant::now();
        let limits = EndpointLimits {
            bytes_per_second: Some(1000),
            ..NONE
        };
        let meters = Meters::new(limits, now);
        assert_eq!(meters.admit(now), Ok(()));
        meters.took(5000, now);

        let over = meters.admit(now).unwrap_err();

        assert_eq!(over.limit, Limit::Bytes(1000));
        assert!(over.retry_after >= Duration::from_secs(3));
        assert_eq!(meters.admit(now + Duration::from_millis(3001)), Ok(()));
    }

    #[test]
    fn rejected_bodies_beyond_the_bytes_are_not_kept() {
        let now = Instant::now();
        let meters = Meters::new(NONE, now);
        let mib = 1024 * 1024;
        for _ in 0..3 {
            assert!(meters.keeps_rejected_body(25 * mib, now));
        }

        assert!(!meters.keeps_rejected_body(1, now));
        assert_eq!(meters.rejected_not_kept(), 1);
        let paid_back = now + Duration::from_secs(11 * 64 + 1);
        assert!(meters.keeps_rejected_body(1, paid_back));
    }

    #[test]
    fn a_place_that_is_given_back_is_there_again() {
        let now = Instant::now();
        let limits = EndpointLimits {
            events_per_second: Some(1),
            ..NONE
        };
        let meters = Meters::new(limits, now);
        for _ in 0..100 {
            assert_eq!(meters.admit(now), Ok(()));
            meters.give_back(now);
        }

        assert_eq!(meters.admit(now), Ok(()));
        assert_eq!(meters.admit(now), Ok(()));
        assert!(meters.admit(now).is_err());
    }

    #[test]
    fn rejected_requests_beyond_the_bound_are_counted() {
        let now = Instant::now();
        let limits = EndpointLimits {
            rejected_per_minute: Some(2),
            ..NONE
        };
        let meters = Meters::new(limits, now);

        let kept: Vec<bool> = (0..4).map(|_| meters.keeps_rejected(now)).collect();

        assert_eq!(kept, [true, true, false, false]);
        assert_eq!(meters.rejected_not_kept(), 2);
        assert!(meters.keeps_rejected(now + Duration::from_secs(30)));
    }
}
