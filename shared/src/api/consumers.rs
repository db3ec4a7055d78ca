//! Who reads an endpoint: the JSON of `/v1/endpoints/{name}/consumers`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{ConsumerName, EventId, Seq, SessionId};
use crate::outcome::Settled;
use crate::time::Timestamp;
use crate::wire::Start;

/// The consumers of an endpoint, at most 1,000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the only field")]
pub struct ConsumerList {
    pub consumers: Vec<ConsumerView>,
}

/// A consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerView {
    /// Its name.
    pub name: ConsumerName,
    /// The highest place below which everything is settled.
    pub cursor: Seq,
    /// Deliverable events that wait.
    pub backlog: u64,
    /// When the oldest event that waits came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it has a live session.
    pub is_connected: bool,
    /// Which events it wants, as its last session said; `backlog` counts the others too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How many events its filters have left out.
    #[serde(default)]
    pub filtered: u64,
    /// That session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionView>,
    /// What came of the last attempt that it reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_outcome: Option<LastOutcome>,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// The name of the token that opened it.
    pub token: String,
    /// Where it came from.
    pub remote: IpAddr,
    /// Name and version of the client, as it says itself.
    pub client: String,
    /// Since when.
    pub since: Timestamp,
}

/// What came of the last attempt of a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOutcome {
    /// The event.
    pub event: EventId,
    /// When the relay kept it.
    pub at: Timestamp,
    /// `answered`, `refused`, `timed_out`, `reset`, `cut_off` or `no_route`.
    pub result: String,
    /// The app's status code, when it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether and how it settled the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// Where a consumer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetConsumer {
    /// What it had settled behind this comes again; what waits before it does not come. A time must not lie ahead.
    pub to: Start,
}
