//! A request body that must not come too slowly.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::alarm::Alarm;
use crate::limits::Limits;

/// A body with a floor under its speed.
pub(crate) struct PacedBody {
    body: Incoming,
    pace: Pace,
    alarm: Alarm,
}

/// A body that does not arrive as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PacedBodyError {
    /// It came below the floor.
    #[error("body came in more slowly than {floor} bytes per second")]
    TooSlow {
        /// The floor.
        floor: u64,
    },
    /// It ended early or its framing is malformed.
    #[error("body ended early or is malformed")]
    Broken(#[from] hyper::Error),
}

impl PacedBody {
    /// Watches the speed of a body.
    pub(crate) fn new(body: Incoming, limits: &Limits) -> Self {
        Self {
            body,
            pace: Pace::new(limits.body_window, limits.body_floor_bytes_per_second),
            alarm: Alarm::default(),
        }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = PacedBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PacedBodyError>>> {
        let paced = self.get_mut();
        let frame = Pin::new(&mut paced.body).poll_frame(context);
        if let Poll::Ready(frame) = frame {
            let length = match &frame {
                Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                _ => 0,
            };
            paced.pace.came(length as u64, Instant::now);
            return Poll::Ready(frame.map(|frame| frame.map_err(PacedBodyError::from)));
        }
        let mut deadline = paced.pace.waits(Instant::now());
        loop {
            ready!(paced.alarm.poll_passed(deadline, context));
            match paced.pace.next_window(deadline) {
                Some(next) => deadline = next,
                None => {
                    let floor = paced.pace.floor;
                    return Poll::Ready(Some(Err(PacedBodyError::TooSlow { floor })));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The rule: in each window of waiting for the sender, so many bytes come. Time in which the relay
/// itself is busy does not count, so that a slow disk is not taken for a slow sender.
#[derive(Debug)]
struct Pace {
    window: Duration,
    floor: u64,
    came: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl Pace {
    const fn new(window: Duration, floor: u64) -> Self {
        Self {
            window,
            floor,
            came: 0,
            waited: Duration::ZERO,
            waiting_since: None,
        }
    }

    /// Bytes came; the clock is read only if they were waited for.
    fn came(&mut self, bytes: u64, now: impl Fn() -> Instant) {
        self.came += bytes;
        if let Some(since) = self.waiting_since.take() {
            self.waited += now().saturating_duration_since(since);
        }
    }

    /// Nothing is there; gives the end of the window if nothing comes from here on.
    fn waits(&mut self, now: Instant) -> Instant {
        let since = *self.waiting_since.get_or_insert(now);
        since + self.window.saturating_sub(self.waited)
    }

    /// The window ended at `end`; gives the end of the next one, unless too little came in this one.
    fn next_window(&mut self, end: Instant) -> Option<Instant> {
        let least = self.window.as_secs_f64() * self.floor as f64;
        if (self.came as f64) < least {
            return None;
        }
        self.came = 0;
        self.waited = Duration::ZERO;
        self.waiting_since = Some(end);
        Some(end + self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn second(from: Instant, seconds: u64) -> Instant {
        from + Duration::from_secs(seconds)
    }

    #[test]
    fn a_body_at_the_floor_goes_on_and_one_byte_less_does_not() {
        for (bytes, goes_on) in [(1000, true), (999, false)] {
            let start = Instant::now();
            let mut pace = Pace::new(WINDOW, 100);
            let end = pace.waits(start);
            pace.came(bytes, || second(start, 4));

            assert_eq!(end, second(start, 10));
            assert_eq!(pace.waits(second(start, 4)), end);
            assert_eq!(pace.next_window(end).is_some(), goes_on, "{bytes}");
        }
    }

    #[test]
    fn time_in_which_the_relay_is_busy_does_not_count() {
        let start = Instant::now();
        let mut pace = Pace::new(WINDOW, 100);
        pace.waits(start);
        pace.came(1, || second(start, 4));

        let end = pace.waits(second(start, 60));

        assert_eq!(end, second(start, 66));
    }

    #[test]
    fn a_fast_start_does_not_pay_for_a_stall() {
        let start = Instant::now();
        let mut pace = Pace::new(WINDOW, 100);
        let first = pace.waits(start);
        pace.came(1_000_000, || start);

        let second = pace.next_window(first).unwrap();

        assert_eq!(pace.next_window(second), None);
    }
}
