//! Times and their percentiles.

use std::time::Duration;

/// Times that were measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    /// Adds one, in nanoseconds.
    pub(crate) fn add(&mut self, nanos: u64) {
        self.0.push(nanos);
    }

    /// Adds all of another series.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many.
    pub(crate) const fn count(&self) -> usize {
        self.0.len()
    }

    /// The time below which `share` (0 to 1) of them lie; zero when there are none.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list of some millions"
        )]
        let place = (sorted.len() as f64 * share) as usize;
        let nanos = sorted.get(place.min(sorted.len().saturating_sub(1)));
        Duration::from_nanos(nanos.copied().unwrap_or(0))
    }
}
