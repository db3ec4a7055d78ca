//! The wait for an app that is not there, shared by all deliveries in hand: one of them tries again after
//! a growing wait, the oldest first, and the others follow when it got through.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time;
use towline_shared::backoff::Backoff;
use towline_shared::outcome::Delivery;

/// The gate and who waits at it.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::new()),
            changed: Notify::new(),
        }
    }

    /// Waits until this delivery may call the app. Dropping the future leaves the gate.
    pub(super) async fn enter(&self, delivery: Delivery) -> Pass<'_> {
        let mut place = Place {
            gate: self,
            delivery,
            is_waiting: true,
        };
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let entry = self.state.lock().try_enter(delivery, Instant::now());
            match entry {
                Entry::Pass { is_probe } => {
                    place.is_waiting = false;
                    return Pass {
                        gate: self,
                        is_probe,
                    };
                }
                Entry::WaitUntil(at) => {
                    let _ = time::timeout_at(at.into(), changed).await;
                }
                Entry::WaitForChange => changed.await,
            }
        }
    }
}

/// The right to call the app once. Tell what came of it; dropping it without a word lets another try.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    is_probe: bool,
}

impl Pass<'_> {
    /// The app is there.
    pub(super) fn connected(mut self) {
        self.is_probe = false;
        if self.gate.state.lock().open() {
            self.gate.changed.notify_waiters();
        }
    }

    /// The app is not there. Returns the wait until the next try, and whether this is news.
    pub(super) fn refused(mut self, why: &str, now: Instant, random: f64) -> (Duration, bool) {
        let is_probe = std::mem::take(&mut self.is_probe);
        let closed = self.gate.state.lock().close(is_probe, why, now, random);
        self.gate.changed.notify_waiters();
        closed
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.gate.state.lock().end_probe();
            self.gate.changed.notify_waiters();
        }
    }
}

/// A place among those who wait; given up when the wait is.
struct Place<'a> {
    gate: &'a Gate,
    delivery: Delivery,
    is_waiting: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.is_waiting {
            self.gate.state.lock().waiting.remove(&self.delivery);
            self.gate.changed.notify_waiters();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Pass { is_probe: bool },
    WaitUntil(Instant),
    WaitForChange,
}

/// The rules, without a clock.
#[derive(Debug)]
struct State {
    closed: Option<Closed>,
    waiting: BTreeSet<Delivery>,
    backoff: Backoff,
}

#[derive(Debug)]
struct Closed {
    until: Instant,
    is_probed: bool,
    why: String,
}

impl State {
    const fn new() -> Self {
        Self {
            closed: None,
            waiting: BTreeSet::new(),
            backoff: Backoff::target(),
        }
    }

    fn try_enter(&mut self, delivery: Delivery, now: Instant) -> Entry {
        let Some(closed) = &mut self.closed else {
            self.waiting.remove(&delivery);
            return Entry::Pass { is_probe: false };
        };
        self.waiting.insert(delivery);
        if closed.is_probed || self.waiting.first() != Some(&delivery) {
            return Entry::WaitForChange;
        }
        if now < closed.until {
            return Entry::WaitUntil(closed.until);
        }
        closed.is_probed = true;
        self.waiting.remove(&delivery);
        Entry::Pass { is_probe: true }
    }

    /// Closes the gate, or keeps it closed for longer when the one that tried was refused. Those that were
    /// under way when it closed change nothing.
    fn close(&mut self, is_probe: bool, why: &str, now: Instant, random: f64) -> (Duration, bool) {
        if let Some(closed) = &self.closed
            && !is_probe
        {
            return (closed.until.saturating_duration_since(now), false);
        }
        let is_news = self.closed.as_ref().is_none_or(|closed| closed.why != why);
        let wait = self.backoff.next_wait(now, random);
        self.closed = Some(Closed {
            until: now + wait,
            is_probed: false,
            why: why.to_owned(),
        });
        (wait, is_news)
    }

    /// Opens the gate; returns whether it was closed.
    fn open(&mut self) -> bool {
        self.backoff = Backoff::target();
        self.closed.take().is_some()
    }

    const fn end_probe(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use towline_shared::id::Seq;

    use super::*;

    fn delivery(seq: u64) -> Delivery {
        Delivery {
            seq: Seq(seq),
            replay: None,
        }
    }

    #[test]
    fn an_open_gate_lets_everybody_through() {
        let mut state = State::new();

        for seq in 1..=3 {
            assert_eq!(
                state.try_enter(delivery(seq), Instant::now()),
                Entry::Pass { is_probe: false }
            );
        }
    }

    #[test]
    fn a_closed_gate_lets_the_oldest_try_alone_after_the_wait() {
        let mut state = State::new();
        let start = Instant::now();
        let (wait, is_news) = state.close(false, "nobody listens", start, 1.0);
        assert!(is_news);

        assert_eq!(
            state.try_enter(delivery(2), start),
            Entry::WaitUntil(start + wait)
        );
        assert_eq!(
            state.try_enter(delivery(1), start),
            Entry::WaitUntil(start + wait)
        );
        assert_eq!(
            state.try_enter(delivery(2), start + wait),
            Entry::WaitForChange
        );
        assert_eq!(
            state.try_enter(delivery(1), start + wait),
            Entry::Pass { is_probe: true }
        );
        assert_eq!(
            state.try_enter(delivery(2), start + wait),
            Entry::WaitForChange
        );
    }

    #[test]
    fn waits_grow_while_the_app_is_away_and_start_again_when_it_is_back() {
        let mut state = State::new();
        let now = Instant::now();

        let first = state.close(false, "down", now, 1.0);
        let meanwhile = state.close(false, "down", now, 1.0);
        let second = state.close(true, "down", now, 1.0);
        let other_cause = state.close(true, "TLS", now, 1.0);
        state.open();
        let again = state.close(false, "down", now, 1.0);

        assert_eq!(first, (Duration::from_millis(100), true));
        assert_eq!(meanwhile, (Duration::from_millis(100), false));
        assert_eq!(second, (Duration::from_millis(200), false));
        assert_eq!(other_cause, (Duration::from_millis(400), true));
        assert_eq!(again, (Duration::from_millis(100), true));
    }

    #[tokio::test]
    async fn giving_up_the_first_place_or_the_try_lets_the_next_one_in() {
        let gate = Gate::new();
        gate.state.lock().close(false, "down", Instant::now(), 0.0);
        let mut first = Box::pin(gate.enter(delivery(1)));
        let mut second = Box::pin(gate.enter(delivery(2)));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        assert!(futures_util::poll!(second.as_mut()).is_pending());

        drop(first);
        let probe = second.await;
        let mut third = Box::pin(gate.enter(delivery(3)));
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        drop(probe);

        assert!(third.await.is_probe);
    }

    #[tokio::test]
    async fn everybody_follows_when_the_first_got_through() {
        let gate = Gate::new();
        gate.state.lock().close(false, "down", Instant::now(), 0.0);
        let mut first = Box::pin(gate.enter(delivery(1)));
        let mut second = Box::pin(gate.enter(delivery(2)));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        assert!(futures_util::poll!(second.as_mut()).is_pending());

        first.await.connected();

        assert!(!second.await.is_probe);
        assert!(gate.state.lock().waiting.is_empty());
    }

    proptest! {
        #[test]
        fn a_closed_gate_never_lets_two_try_at_once_and_never_gets_stuck(steps in proptest::collection::vec((0_u8..4, 1_u64..6), 1..60)) {
            let mut state = State::new();
            let mut now = Instant::now();
            let mut probing = false;
            state.close(false, "down", now, 1.0);
            for (step, seq) in steps {
                match step {
                    0 => {
                        now += Duration::from_secs(1);
                        let was_closed = state.closed.is_some();
                        if state.try_enter(delivery(seq), now) == (Entry::Pass { is_probe: true }) {
                            prop_assert!(was_closed && !probing);
                            probing = true;
                        }
                    }
                    1 if probing => {
                        state.close(true, "down", now, 1.0);
                        probing = false;
                    }
                    2 if probing => {
                        state.open();
                        probing = false;
                    }
                    _ => {
                        state.close(false, "down", now, 1.0);
                    }
                }
            }
            if !probing {
                let first = state.waiting.first().copied().unwrap_or(delivery(9));
                let passes = matches!(state.try_enter(first, now + Duration::from_secs(9)), Entry::Pass { .. });
                prop_assert!(passes);
            }
        }
    }
}
