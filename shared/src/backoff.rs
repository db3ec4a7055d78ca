//! Waiting times between tries: exponential with full jitter, so that many clients do not come back at once.

use std::time::{Duration, Instant};

/// A series of waits that doubles up to a ceiling and starts again after a stable time.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    stable: Duration,
    tries: u32,
    succeeded_at: Option<Instant>,
}

impl Backoff {
    /// The client's way back to its relay: 250 ms to 30 s, from the start again after a stable minute.
    pub const fn reconnect() -> Self {
        Self::new(
            Duration::from_millis(250),
            Duration::from_secs(30),
            Duration::from_secs(60),
        )
    }

    /// The wait for an app that is down: 100 ms to 5 s, so that it is called soon after it is back.
    pub const fn target() -> Self {
        Self::new(
            Duration::from_millis(100),
            Duration::from_secs(5),
            Duration::ZERO,
        )
    }

    /// Waits of up to `first`, doubling to `ceiling`; a success that lasts `stable` starts the series again.
    pub const fn new(first: Duration, ceiling: Duration, stable: Duration) -> Self {
        Self {
            first,
            ceiling,
            stable,
            tries: 0,
            succeeded_at: None,
        }
    }

    /// Notes that a try succeeded at `now`.
    pub const fn succeeded(&mut self, now: Instant) {
        self.succeeded_at = Some(now);
    }

    /// The next wait, after a try failed or a success ended at `now`. `random` is uniform in 0..1;
    /// the wait is between half of the current step and the whole of it.
    pub fn next_wait(&mut self, now: Instant, random: f64) -> Duration {
        if self
            .succeeded_at
            .take()
            .is_some_and(|since| now.duration_since(since) >= self.stable)
        {
            self.tries = 0;
        }
        let step = self
            .first
            .saturating_mul(2_u32.saturating_pow(self.tries))
            .min(self.ceiling);
        self.tries = self.tries.saturating_add(1);
        step.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_ceiling() {
        let mut backoff = Backoff::reconnect();
        let now = Instant::now();

        let waits: Vec<_> = (0..9)
            .map(|_| backoff.next_wait(now, 1.0).as_millis())
            .collect();

        assert_eq!(
            waits,
            [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
        );
    }

    #[test]
    fn a_stable_minute_starts_the_series_again_and_a_short_success_does_not() {
        let mut backoff = Backoff::reconnect();
        let start = Instant::now();
        backoff.next_wait(start, 1.0);

        backoff.succeeded(start);
        let after_short = backoff.next_wait(start + Duration::from_secs(59), 1.0);
        backoff.succeeded(start);
        let after_long = backoff.next_wait(start + Duration::from_secs(60), 1.0);

        assert_eq!(after_short.as_millis(), 500);
        assert_eq!(after_long.as_millis(), 250);
    }

    #[test]
    fn jitter_keeps_between_half_and_whole() {
        let mut backoff = Backoff::reconnect();

        assert_eq!(
            backoff.next_wait(Instant::now(), 0.0),
            Duration::from_millis(125)
        );
    }
}
