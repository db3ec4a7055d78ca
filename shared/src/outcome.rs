//! What came of one attempt against the local target, as the client reports it and the relay keeps it.

use serde::{Deserialize, Serialize};

use crate::hop::Change;
use crate::id::{EventId, ReplayId, Seq};
use crate::time::Timestamp;
use crate::verdict::Finding;

/// The most bytes of a reply's body that are kept.
pub const KEPT_REPLY_BYTES: usize = 256 * 1024;

/// Which delivery of a consumer is meant: an event in its line, or a replay of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Delivery {
    /// The event's place in its endpoint.
    pub seq: Seq,
    /// The replay, when somebody asked for the event again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayId>,
}

/// One try against the local target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The event that was delivered.
    pub event: EventId,
    /// The delivery that was tried.
    pub delivery: Delivery,
    /// 1 for the first try of this delivery by this consumer.
    pub number: u32,
    /// When the try began, by the client's clock.
    pub started_at: Timestamp,
    /// The whole time of the try in microseconds.
    pub duration_micros: u64,
    /// The URL that was called.
    pub target: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether the delivery is over with this attempt.
    pub settled: Option<Settled>,
    /// The wait in milliseconds before the next attempt, when there will be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_millis: Option<u64>,
    /// What was changed of the sender's request on the way (DESIGN.md §5).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// SHA-256 of the body bytes written to the target, in lower-case hex; absent when none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_body_sha256: Option<String>,
    /// The number of body bytes written to the target.
    pub sent_body_length: u64,
    /// What the relay found when the app turned the delivery away and it checked the delivered bytes again. The relay
    /// alone writes this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// The app sent a whole reply.
    Answered {
        /// Its status code.
        status: u16,
        /// The length of its body in bytes; more than [`KEPT_REPLY_BYTES`] means that the kept copy is cut.
        body_length: u64,
        /// Microseconds to the first byte of the reply.
        first_byte_micros: u64,
    },
    /// Nobody listens at the target, its name has no address, or TLS failed.
    Refused {
        /// What the operating system or TLS said.
        detail: String,
    },
    /// The time limit passed.
    TimedOut {
        /// What the client waited for.
        phase: Phase,
    },
    /// The app closed the connection early or sent something that is not an HTTP reply.
    Reset {
        /// What happened.
        detail: String,
    },
    /// No route takes the event, and there is no target for others: nothing was called.
    NoRoute,
    /// The client ended while the app had the request: whether the app worked on it is not known.
    CutOff,
}

impl Outcome {
    /// Its name, as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Refused { .. } => "refused",
            Self::TimedOut { .. } => "timed_out",
            Self::Reset { .. } => "reset",
            Self::CutOff => "cut_off",
            Self::NoRoute => "no_route",
        }
    }

    /// The app's status code, when it answered.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// What an attempt waited for when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The connection.
    Connect,
    /// The writing of the request.
    Send,
    /// The head of the reply.
    Reply,
    /// The rest of the reply's body.
    Body,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// The app answered below 400.
    Done,
    /// The app answered 400 or above.
    Failed,
    /// The app had the request several times and did not answer; the person lets the rest go on
    /// (`--park-after`).
    Parked,
    /// Nobody is called with it, because no route takes it.
    Skipped,
}

impl Settled {
    /// How an answer with this status settles its delivery (DESIGN.md §8).
    pub const fn by_status(status: u16) -> Self {
        if status < 400 {
            Self::Done
        } else {
            Self::Failed
        }
    }
}
