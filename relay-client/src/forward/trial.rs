//! One call while it is made, and what came of it.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::time;
use towline_shared::hop::Change;
use towline_shared::id::EventId;
use towline_shared::outcome::{self, Attempt, Outcome, Settled};
use towline_shared::time::Timestamp;
use towline_shared::wire::Report;

use super::exchange::Sent;

/// What came of one call.
#[derive(Clone, Debug)]
pub struct Tried {
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The URL that was called.
    pub target: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the request cannot be forwarded at all, now or later.
    pub is_hopeless: bool,
    /// When the app wants to be called again, if it said so.
    pub retry_after: Option<Duration>,
    /// What may help the person at the terminal.
    pub hint: Option<String>,
    /// What was changed of the sender's request.
    pub changes: Vec<Change>,
    /// The head that was written; empty when none was.
    pub sent_head: Bytes,
    /// SHA-256 of the body bytes that were written.
    pub sent_body_sha256: Option<String>,
    /// How many body bytes were written.
    pub sent_body_length: u64,
    /// The reply's head; empty when there was none.
    pub reply_head: Bytes,
    /// The first part of the reply's body.
    pub reply_body: Bytes,
}

impl Tried {
    /// What came of a call that was never made.
    pub fn without_call(outcome: Outcome) -> Self {
        Trial::begin(Duration::ZERO).end(String::new(), outcome)
    }

    /// The call as the report of an attempt.
    pub fn into_report(
        self,
        event: EventId,
        delivery: outcome::Delivery,
        number: u32,
        settled: Option<Settled>,
    ) -> Report {
        Report {
            attempt: Attempt {
                event,
                delivery,
                number,
                started_at: self.started_at,
                duration_micros: micros(self.duration),
                target: self.target,
                outcome: self.outcome,
                settled,
                retry_after_millis: None,
                changes: self.changes,
                sent_body_sha256: self.sent_body_sha256,
                sent_body_length: self.sent_body_length,
                findings: Vec::new(),
            },
            sent_head: self.sent_head,
            reply_head: self.reply_head,
            reply_body: self.reply_body,
        }
    }
}

/// A call while it is made.
pub(super) struct Trial {
    started_at: Timestamp,
    start: Instant,
    pub(super) deadline: time::Instant,
    pub(super) first_byte_at: Option<Instant>,
    pub(super) sent: Sent,
    pub(super) reply: (Bytes, Bytes),
}

impl Trial {
    pub(super) fn begin(timeout: Duration) -> Self {
        /// Stands for "never": longer than a process lives, and no clock overflows.
        const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        let start = Instant::now();
        Self {
            started_at: Timestamp::from(SystemTime::now()),
            start,
            deadline: time::Instant::from_std(start + timeout.min(LONGEST)),
            first_byte_at: None,
            sent: Sent::default(),
            reply: (Bytes::new(), Bytes::new()),
        }
    }

    pub(super) fn first_byte_micros(&self) -> u64 {
        let at = self.first_byte_at.unwrap_or(self.start);
        micros(at.duration_since(self.start))
    }

    pub(super) fn end(self, target: String, outcome: Outcome) -> Tried {
        let (reply_head, reply_body) = self.reply;
        Tried {
            started_at: self.started_at,
            duration: self.start.elapsed(),
            target,
            outcome,
            is_hopeless: false,
            retry_after: None,
            hint: None,
            changes: Vec::new(),
            sent_head: Bytes::new(),
            sent_body_length: self.sent.length(),
            sent_body_sha256: self.sent.sha256(),
            reply_head,
            reply_body,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
