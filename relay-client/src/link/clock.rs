//! Notices that the machine slept: the wall clock then runs ahead of the one that stands still meanwhile.

use std::time::{Duration, Instant, SystemTime};

use tokio::time::{self, Interval, MissedTickBehavior};

/// How often the clocks are compared: what a person notices of a reconnect after a sleep.
const EVERY: Duration = Duration::from_secs(2);

/// How far the wall clock must run ahead. Clocks are set by less than this in normal life, and a sleep
/// that is shorter leaves connections alive.
const SLEPT: Duration = Duration::from_secs(15);

/// Watches the clocks.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    ticks: Interval,
    clocks: Clocks,
}

impl ClockWatch {
    pub(crate) fn new() -> Self {
        let mut ticks = time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            ticks,
            clocks: Clocks {
                wall: SystemTime::now(),
                steady: Instant::now(),
            },
        }
    }

    /// Waits until the machine has slept. May be dropped and called again.
    pub(crate) async fn slept(&mut self) {
        loop {
            self.ticks.tick().await;
            if self.clocks.advance(SystemTime::now(), Instant::now()) {
                return;
            }
        }
    }
}

#[derive(Debug)]
struct Clocks {
    wall: SystemTime,
    steady: Instant,
}

impl Clocks {
    /// Whether the wall clock ran ahead since the last call.
    fn advance(&mut self, wall: SystemTime, steady: Instant) -> bool {
        let wall_passed = wall.duration_since(self.wall).unwrap_or_default();
        let steady_passed = steady.duration_since(self.steady);
        *self = Self { wall, steady };
        wall_passed >= steady_passed + SLEPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_noticed_once_and_small_corrections_are_not() {
        let (wall, steady) = (SystemTime::now(), Instant::now());
        let mut clocks = Clocks { wall, steady };
        let second = Duration::from_secs(1);
        let almost = SLEPT.checked_sub(Duration::from_millis(1)).unwrap();

        assert!(!clocks.advance(wall + second + almost, steady + second));
        let (wall, steady) = (wall + second + almost, steady + second);
        assert!(clocks.advance(wall + second + SLEPT, steady + second));
        let (wall, steady) = (wall + second + SLEPT, steady + second);
        assert!(!clocks.advance(wall, steady + second));
        assert!(!clocks.advance(wall - Duration::from_secs(3600), steady + second));
    }
}
