//! Chance that can be repeated: every random test prints its seed and takes it back from `TOWLINE_TEST_SEED`.

use std::time::Duration;

/// A small generator (SplitMix64), the same on every machine.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The seed of `TOWLINE_TEST_SEED`, else a fresh one; prints which.
    ///
    /// # Panics
    /// When the variable is not a number.
    pub fn of_this_run(test: &str) -> Self {
        let seed = match std::env::var("TOWLINE_TEST_SEED") {
            Ok(text) => text.parse().expect("TOWLINE_TEST_SEED is a number"),
            Err(_) => getrandom::u64().expect("the operating system has random numbers"),
        };
        println!("{test}: TOWLINE_TEST_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A time up to `longest`.
    pub fn duration(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.max(1)))
    }

    /// Lets a random time up to `longest` pass, so that what comes next comes at a random moment.
    pub async fn pass_time(&mut self, longest: Duration) {
        tokio::time::sleep(self.duration(longest)).await;
    }
}
