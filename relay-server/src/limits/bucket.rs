//! A token bucket: so much a second over time, and so much at once.

use std::time::{Duration, Instant};

/// What may be taken now and how fast more comes.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    most: f64,
    level: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket that takes `per_second` over time and `most` at once; both above zero.
    pub(crate) fn full(per_second: f64, most: f64, now: Instant) -> Self {
        Self {
            per_second,
            most,
            level: most,
            filled_at: now,
        }
    }

    /// Whether something is left, however little; else how long that takes.
    pub(crate) fn has_some(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        // What would be less than a whole one is left by rounding.
        if self.level > ROUNDING {
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (ROUNDING - self.level) / self.per_second,
        ))
    }

    /// Takes one, or says how long it takes until there is one.
    pub(crate) fn take_one(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        if self.level >= 1.0 - ROUNDING {
            self.level -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64(
            (1.0 - self.level) / self.per_second,
        ))
    }

    /// Takes an amount that is known only after the fact, so that the level may fall below zero, or gives one back.
    pub(crate) fn owe(&mut self, amount: f64, now: Instant) {
        self.fill(now);
        self.level = (self.level - amount).min(self.most);
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at);
        self.level = (self.level + passed.as_secs_f64() * self.per_second).min(self.most);
        self.filled_at = self.filled_at.max(now);
    }
}

/// Sums of fractions of a second are not exact.
const ROUNDING: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_one_more_after_its_time() {
        let start = Instant::now();
        let mut bucket = Bucket::full(2.0, 3.0, start);
        for _ in 0..3 {
            assert_eq!(bucket.take_one(start), Ok(()));
        }

        let wait = bucket.take_one(start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        let almost = start + Duration::from_millis(499);
        assert!(bucket.take_one(almost).is_err());

        assert_eq!(bucket.take_one(start + wait), Ok(()));
        assert!(bucket.take_one(start + wait).is_err());
    }

    #[test]
    fn it_never_holds_more_than_its_most() {
        let start = Instant::now();
        let mut bucket = Bucket::full(1000.0, 2.0, start);
        let later = start + Duration::from_secs(3600);

        assert!(bucket.take_one(later).is_ok());
        assert!(bucket.take_one(later).is_ok());
        assert!(bucket.take_one(later).is_err());
    }

    #[test]
    fn debt_is_paid_back_first() {
        let start = Instant::now();
        let mut bucket = Bucket::full(100.0, 50.0, start);
        bucket.owe(250.0, start);

        let wait = bucket.has_some(start).unwrap_err();

        assert!(wait >= Duration::from_secs(2), "{wait:?}");
        assert!(bucket.has_some(start + Duration::from_secs(2)).is_err());
        let later = start + Duration::from_millis(2010);
        assert_eq!(bucket.has_some(later), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::full(1.0, 1.0, start);
        assert!(bucket.take_one(start).is_ok());

        assert!(bucket.take_one(start - Duration::from_secs(5)).is_err());
        assert!(bucket.take_one(start).is_err());
    }
}
