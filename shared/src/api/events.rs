//! Events, their attempts and their replays, as the interface shows them.

use serde::{Deserialize, Serialize};

use crate::event::EventInfo;
use crate::hop::Change;
use crate::id::{ConsumerName, EventId, ReplayId};
use crate::outcome::Attempt;
use crate::time::Timestamp;
use crate::verdict::{Finding, Verdict};

/// A page of events, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventList {
    /// The events.
    pub events: Vec<EventSummary>,
    /// What `before` must be for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<EventId>,
}

/// One line of a list of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSummary {
    /// The event's facts.
    #[serde(flatten)]
    pub info: EventInfo,
    /// The method of its request line.
    pub method: String,
    /// Its request target; bytes that are not UTF-8 are replaced.
    pub target: String,
    /// Its latest attempt, by any consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_attempt: Option<Attempt>,
}

/// An event with everything but its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDetail {
    /// As in the list.
    #[serde(flatten)]
    pub summary: EventSummary,
    /// The head as received, in base64.
    pub head_base64: String,
    /// SHA-256 of the body, in lower-case hex.
    pub body_sha256: String,
    /// When it was pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_at: Option<Timestamp>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Who made it.
    pub consumer: ConsumerName,
    /// Its facts.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// What the relay had changed of the captured request, when it was a replay with a request of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replay_changes: Vec<Change>,
    /// The head that was written to the target, in base64; empty when none was.
    pub sent_head_base64: String,
    /// The reply's head, in base64; empty when there was none.
    pub reply_head_base64: String,
    /// The kept part of the reply's body, in base64.
    pub reply_body_base64: String,
    /// When the relay kept it.
    pub recorded_at: Timestamp,
}

/// What the relay says to an attempt that was made outside any consumer's line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedAttempt {
    /// Both sides of one that the app turned away for its signature, most likely reason first.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// Events to deliver again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskReplays {
    /// The events, 1 to 1,000, of any endpoints.
    pub events: Vec<EventId>,
    /// The consumer that gets them, now or when it is back; when absent, every consumer of the event's endpoint
    /// that is connected, and 409 when none is. At most 10,000 replays may wait for a consumer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<ConsumerName>,
    /// Signs the requests again with the endpoint's secret, at most 100 of them; the secret stays at the relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resign: Option<Resign>,
    /// The body to deliver in place of the captured one, in base64: of one event, at most 10 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Nobody's line gets them: the answer has their heads, and the caller makes the calls. They are kept like
    /// other replays. Not with `consumer`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hand_out: bool,
    /// Answers (200) what would be delivered to whom, without the new heads, and keeps nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// How a request is signed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resign {
    /// What becomes of the provider's id of the delivery.
    #[serde(default)]
    pub delivery_id: DeliveryIdChoice,
}

/// What becomes of the provider's id of a delivery that is signed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryIdChoice {
    /// It stays: an app that remembers ids takes the request for a repeat.
    #[default]
    Same,
    /// Another one of the same shape takes its place, when it stands in a header field of its own.
    New,
}

/// The replays that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the only field")]
pub struct Replays {
    pub replays: Vec<ReplayView>,
}

/// One replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayView {
    /// Its id.
    pub id: ReplayId,
    /// The event.
    pub event: EventId,
    /// Who gets it.
    pub consumer: ConsumerName,
    /// Whether that consumer has a live session.
    pub is_connected: bool,
    /// What the relay changed of the captured request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What the check says of a changed request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The head to send, in base64, when the replay was handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_base64: Option<String>,
}
