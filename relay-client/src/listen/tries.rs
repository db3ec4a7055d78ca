//! What follows from one call of the app: whether the delivery is over, how long to wait before the next
//! call, and which calls are worth a record. Pure rules (DESIGN.md §8).

use std::time::{Duration, Instant};

use towline_shared::backoff::Backoff;
use towline_shared::outcome::{Outcome, Phase, Settled};

use crate::forward::{Delivery, Tried};

/// How often a call that ends like an earlier one is recorded: an app that is down over night must not
/// leave thousands of attempts.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// What follows from a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The delivery is over.
    Settle(Settled),
    /// The app is not there: wait at the gate.
    WaitForApp { why: String },
    /// Call again after a while.
    Again { wait: Duration, why: String },
}

/// How long a delivery is tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    retries: u32,
    park_after: Option<u32>,
}

impl Patience {
    /// As the person asked for it.
    pub(super) const fn of(delivery: &Delivery) -> Self {
        Self {
            retries: delivery.retries,
            park_after: delivery.park_after,
        }
    }
}

/// The calls of one delivery so far.
#[derive(Debug)]
pub(super) struct Tries {
    retries_left: u32,
    /// How many more calls may go without an answer.
    unanswered_left: Option<u32>,
    backoff: Backoff,
    recorded: Vec<(Kind, Instant)>,
}

/// Outcomes that settle nothing, as far as they differ for a reader of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refused,
    TimedOut(Phase),
    Reset,
    Answered(u16),
}

impl Tries {
    pub(super) const fn new(patience: Patience) -> Self {
        Self {
            retries_left: patience.retries,
            unanswered_left: patience.park_after,
            backoff: Backoff::target(),
            recorded: Vec::new(),
        }
    }

    /// Decides what follows. `random` gives a number uniform in 0..1.
    pub(super) fn next(&mut self, tried: &Tried, now: Instant, random: fn() -> f64) -> Next {
        match &tried.outcome {
            _ if tried.is_hopeless => Next::Settle(Settled::Failed),
            &Outcome::Answered { status, .. }
                if is_worth_a_retry(status) && self.retries_left > 0 =>
            {
                self.retries_left -= 1;
                let own_wait = self.backoff.next_wait(now, random());
                Next::Again {
                    wait: tried.retry_after.unwrap_or(own_wait),
                    why: format!("the app answered {status}"),
                }
            }
            &Outcome::Answered { status, .. } => Next::Settle(Settled::by_status(status)),
            Outcome::Refused { detail } => Next::WaitForApp {
                why: detail.clone(),
            },
            Outcome::TimedOut {
                phase: Phase::Connect,
            } => Next::WaitForApp {
                why: "the app does not accept the connection in time".into(),
            },
            Outcome::TimedOut { phase } => self.unanswered(now, random, timed_out(*phase)),
            Outcome::Reset { detail } => self.unanswered(now, random, detail.clone()),
            Outcome::NoRoute => Next::Settle(Settled::Skipped),
            Outcome::CutOff => self.unanswered(now, random, "the attempt was cut off".into()),
        }
    }

    /// Whether a call that settles nothing gets a record: the first of its kind, then at most one a minute.
    pub(super) fn is_worth_a_record(&mut self, outcome: &Outcome, now: Instant) -> bool {
        let Some(kind) = Kind::of(outcome) else {
            return true;
        };
        match self
            .recorded
            .iter_mut()
            .find(|(recorded, _)| *recorded == kind)
        {
            Some((_, at))
                if now.duration_since(*at) < RECORD_EVERY && !matches!(kind, Kind::Answered(_)) =>
            {
                false
            }
            Some((_, at)) => {
                *at = now;
                true
            }
            None => {
                self.recorded.push((kind, now));
                true
            }
        }
    }

    /// The app had the request and did not answer: call again, or park the delivery (DESIGN.md §8).
    fn unanswered(&mut self, now: Instant, random: fn() -> f64, why: String) -> Next {
        if let Some(left) = &mut self.unanswered_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Next::Settle(Settled::Parked);
            }
        }
        Next::Again {
            wait: self.backoff.next_wait(now, random()),
            why,
        }
    }
}

impl Kind {
    const fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Answered { status, .. } => Some(Self::Answered(*status)),
            Outcome::Refused { .. } => Some(Self::Refused),
            Outcome::TimedOut { phase } => Some(Self::TimedOut(*phase)),
            Outcome::Reset { .. } => Some(Self::Reset),
            Outcome::CutOff | Outcome::NoRoute => None,
        }
    }
}

/// Statuses that say "not now" (RFC 9110 §15.5.9, §15.6; RFC 8470 §5.2; RFC 6585 §4).
const fn is_worth_a_retry(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

fn timed_out(phase: Phase) -> String {
    let words = match phase {
        Phase::Connect => "the app does not accept the connection in time",
        Phase::Send => "the app does not read the request in time",
        Phase::Reply => "the app does not answer in time",
        Phase::Body => "the app does not finish its answer in time",
    };
    words.into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use towline_shared::time::Timestamp;

    use super::*;

    fn tried(outcome: Outcome) -> Tried {
        Tried {
            started_at: Timestamp::from_millis(1),
            duration: Duration::ZERO,
            target: String::new(),
            outcome,
            is_hopeless: false,
            retry_after: None,
            hint: None,
            changes: Vec::new(),
            sent_head: Bytes::new(),
            sent_body_sha256: None,
            sent_body_length: 0,
            reply_head: Bytes::new(),
            reply_body: Bytes::new(),
        }
    }

    fn answered(status: u16) -> Tried {
        tried(Outcome::Answered {
            status,
            body_length: 0,
            first_byte_micros: 0,
        })
    }

    fn refused() -> Outcome {
        Outcome::Refused {
            detail: "nobody listens".into(),
        }
    }

    fn reset() -> Outcome {
        Outcome::Reset {
            detail: "closed".into(),
        }
    }

    fn retries(retries: u32) -> Patience {
        Patience {
            retries,
            park_after: None,
        }
    }

    #[test]
    fn a_delivery_is_parked_after_as_many_unanswered_calls_as_asked_for() {
        let mut tries = Tries::new(Patience {
            retries: 0,
            park_after: Some(2),
        });

        assert!(matches!(
            next(&mut tries, &tried(reset())),
            Next::Again { .. }
        ));
        assert!(matches!(
            next(&mut tries, &tried(refused())),
            Next::WaitForApp { .. }
        ));
        assert_eq!(
            next(&mut tries, &tried(reset())),
            Next::Settle(Settled::Parked)
        );
    }

    fn next(tries: &mut Tries, tried: &Tried) -> Next {
        tries.next(tried, Instant::now(), || 1.0)
    }

    #[test]
    fn every_answer_settles_when_no_retries_are_asked_for() {
        for (status, settled) in [
            (200, Settled::Done),
            (302, Settled::Done),
            (404, Settled::Failed),
            (503, Settled::Failed),
        ] {
            assert_eq!(
                next(&mut Tries::new(retries(0)), &answered(status)),
                Next::Settle(settled),
                "{status}"
            );
        }
    }

    #[test]
    fn answers_that_say_not_now_are_tried_again_as_often_as_asked_for() {
        for status in [408, 425, 429, 500, 599] {
            let mut tries = Tries::new(retries(2));

            assert!(
                matches!(next(&mut tries, &answered(status)), Next::Again { .. }),
                "{status}"
            );
            assert!(
                matches!(next(&mut tries, &answered(status)), Next::Again { .. }),
                "{status}"
            );
            assert_eq!(
                next(&mut tries, &answered(status)),
                Next::Settle(Settled::Failed),
                "{status}"
            );
        }
        assert_eq!(
            next(&mut Tries::new(retries(2)), &answered(404)),
            Next::Settle(Settled::Failed)
        );
    }

    #[test]
    fn the_app_names_the_wait_if_it_does() {
        let mut asking = answered(503);
        asking.retry_after = Some(Duration::from_secs(7));

        let Next::Again { wait, .. } = next(&mut Tries::new(retries(1)), &asking) else {
            panic!("settled");
        };

        assert_eq!(wait, Duration::from_secs(7));
    }

    #[test]
    fn no_answer_never_settles() {
        let mut tries = Tries::new(retries(0));

        assert!(matches!(
            next(&mut tries, &tried(refused())),
            Next::WaitForApp { .. }
        ));
        assert!(matches!(
            next(
                &mut tries,
                &tried(Outcome::TimedOut {
                    phase: Phase::Connect
                })
            ),
            Next::WaitForApp { .. }
        ));
        for outcome in [
            reset(),
            Outcome::TimedOut {
                phase: Phase::Reply,
            },
        ] {
            assert!(matches!(
                next(&mut tries, &tried(outcome)),
                Next::Again { .. }
            ));
        }
    }

    #[test]
    fn a_request_that_cannot_be_forwarded_settles_as_failed() {
        let mut hopeless = tried(refused());
        hopeless.is_hopeless = true;

        assert_eq!(
            next(&mut Tries::new(retries(9)), &hopeless),
            Next::Settle(Settled::Failed)
        );
    }

    #[test]
    fn the_first_of_each_kind_is_recorded_and_then_one_a_minute() {
        let mut tries = Tries::new(retries(0));
        let start = Instant::now();
        let minute = RECORD_EVERY;
        let almost = RECORD_EVERY.checked_sub(Duration::from_millis(1)).unwrap();

        assert!(tries.is_worth_a_record(&refused(), start));
        assert!(!tries.is_worth_a_record(&refused(), start + almost));
        assert!(tries.is_worth_a_record(&reset(), start + almost));
        assert!(!tries.is_worth_a_record(&reset(), start + minute));
        assert!(tries.is_worth_a_record(&refused(), start + minute));
        assert!(!tries.is_worth_a_record(&refused(), start + minute + almost));
        assert!(tries.is_worth_a_record(&Outcome::TimedOut { phase: Phase::Send }, start));
        assert!(tries.is_worth_a_record(&Outcome::TimedOut { phase: Phase::Body }, start));
    }

    #[test]
    fn every_answer_is_recorded() {
        let mut tries = Tries::new(retries(5));

        for _ in 0..3 {
            assert!(tries.is_worth_a_record(&answered(503).outcome, Instant::now()));
        }
    }
}
