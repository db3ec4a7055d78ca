//! What goes into the store and what comes out of it.

use std::net::IpAddr;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use towline_shared::api::LastOutcome;
use towline_shared::event::{DeliveredRepeat, EventInfo, EventKind, HeadSource};
use towline_shared::head::Head;
use towline_shared::hop::Change;
use towline_shared::id::{
    ConsumerName, EndpointKey, EndpointName, EventId, ReplayId, SecretName, Seq, TokenId,
};
use towline_shared::outcome::Attempt;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::Fingerprint;

use super::{Body, EndpointSettings};

/// An endpoint inside this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub(crate) i64);

/// A consumer inside this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub(crate) i64);

/// A public URL with its provider scheme, secrets, and rule for answering the sender.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its id in the store.
    pub id: EndpointId,
    /// Its name.
    pub name: EndpointName,
    /// The unguessable part of its URL.
    pub key: EndpointKey,
    /// What its owner decides about it.
    pub settings: EndpointSettings,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its signing secrets.
    pub secrets: Vec<NamedSecret>,
}

/// One signing secret of an endpoint.
#[derive(Clone, Debug)]
pub struct NamedSecret {
    /// Its name, such as `live` or `2026-11`.
    pub name: SecretName,
    /// The secret as the provider shows it.
    pub secret: Secret,
    /// When it was added.
    pub created_at: Timestamp,
}

/// An endpoint to make.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// Its name.
    pub name: EndpointName,
    /// Its key.
    pub key: EndpointKey,
    /// Its settings.
    pub settings: EndpointSettings,
    /// Now.
    pub created_at: Timestamp,
    /// Its first secrets.
    pub secrets: Vec<NamedSecret>,
}

/// A captured request that is not kept yet; the store gives it its place.
#[derive(Debug)]
pub struct NewEvent {
    /// The endpoint that took it.
    pub endpoint: EndpointId,
    /// The endpoint's name.
    pub endpoint_name: EndpointName,
    /// Its new id.
    pub id: EventId,
    /// When it was read.
    pub received_at: Timestamp,
    /// Who sent it.
    pub remote: IpAddr,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Webhook or challenge.
    pub kind: EventKind,
    /// The status of the answer to a challenge.
    pub answered: Option<u16>,
    /// What the check said.
    pub verdict: Verdict,
    /// Whether consumers get it.
    pub is_deliverable: bool,
    /// Its head.
    pub head: Head,
    /// Where the head's bytes come from.
    pub head_source: HeadSource,
    /// Its body, inline or in a synced file of this store.
    pub body: Body,
    /// The provider's id of the delivery.
    pub delivery_id: Option<String>,
    /// The provider's name of what happened.
    pub event_type: Option<String>,
    /// What to remember of it, and whether it is a repeat itself; nothing for an event that cannot be told from others.
    pub remember: Option<Remember>,
}

/// What is remembered of a verified event, so that a repeat of it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remember {
    /// Its signed content.
    pub fingerprint: Fingerprint,
    /// Its names as the provider's copy, where a repeat with other names is delivered.
    pub copy: Option<Fingerprint>,
    /// Why consumers get it even when it is a repeat with nothing new about it.
    pub delivers_repeats: Option<DeliveredRepeat>,
}

/// A kept event.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// The endpoint that took it.
    pub endpoint: EndpointId,
    /// Its facts.
    pub info: EventInfo,
    /// Its head's bytes.
    pub head: Bytes,
    /// Its body.
    pub body: Body,
}

/// Which events to list; newest first.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Only those of this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Only those older than this one.
    pub before: Option<EventId>,
    /// Only those that consumers do not get.
    pub rejected_only: bool,
    /// The most to return, 1 to 1,000.
    pub limit: usize,
}

/// What a search has found so far.
#[derive(Clone, Debug, Default)]
pub struct FoundEvents {
    /// The events, newest first.
    pub events: Vec<EventSummary>,
    /// Where to go on when not everything was looked at.
    pub next: Option<EventId>,
}

/// One line of a list of events.
#[derive(Clone, Debug)]
pub struct EventSummary {
    /// The event's facts.
    pub info: EventInfo,
    /// The method of its request line.
    pub method: String,
    /// Its request target; bytes that are not UTF-8 are replaced.
    pub target: String,
    /// Its latest attempt, by any consumer.
    pub latest_attempt: Option<Attempt>,
}

/// A consumer that a session has opened.
#[derive(Clone, Debug)]
pub struct OpenedConsumer {
    /// Its id in the store.
    pub id: ConsumerId,
    /// The highest place below which everything is settled.
    pub cursor: Seq,
    /// Settled places above the cursor, as ranges with both ends included, in order.
    pub settled_ahead: Vec<(Seq, Seq)>,
    /// Whether it was made just now.
    pub is_new: bool,
    /// Deliverable events that wait.
    pub backlog: u64,
    /// For a new one: kept events before its start.
    pub earlier: u64,
    /// How many attempts are on record for places that are not settled.
    pub attempts: Vec<(Seq, u32)>,
    /// The oldest place that is still kept; the next one to come when nothing is.
    pub oldest_kept: Seq,
    /// The filter of the session before, empty when it had none.
    pub filter: String,
}

/// A consumer as lists show it.
#[derive(Clone, Debug)]
pub struct ConsumerInfo {
    /// Its id in the store.
    pub id: ConsumerId,
    /// Its name.
    pub name: ConsumerName,
    /// Its cursor.
    pub cursor: Seq,
    /// Deliverable events that wait, those that its filter would leave out among them.
    pub backlog: u64,
    /// When the oldest of them came.
    pub oldest_waiting: Option<Timestamp>,
    /// What came of the last attempt that it reported.
    pub last_outcome: Option<LastOutcome>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Which events it wants, as its last session said.
    pub filter: Option<String>,
    /// How many events its filters have left out.
    pub filtered: u64,
}

/// A replay that waits for its consumer.
#[derive(Clone, Debug)]
pub struct PendingReplay {
    /// Its id.
    pub id: ReplayId,
    /// The event to deliver again.
    pub event: EventId,
    /// Attempts on record.
    pub attempts: u32,
}

/// A request that a replay delivers in place of the captured one.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// Its head.
    pub head: Head,
    /// Its body; `None` for the captured one.
    pub body: Option<Body>,
    /// What differs from the captured request.
    pub changes: Vec<Change>,
    /// What the check says of it.
    pub verdict: Verdict,
    /// The provider's id of the delivery.
    pub delivery_id: Option<String>,
}

/// One attempt of an event, as it was reported.
#[derive(Clone, Debug)]
pub struct StoredAttempt {
    /// Who made it.
    pub consumer: ConsumerName,
    /// Its facts.
    pub attempt: Attempt,
    /// What the replay that it is of had changed of the captured request.
    pub replay_changes: Vec<Change>,
    /// The head that was written to the target; empty when none was.
    pub sent_head: Bytes,
    /// The reply's head; empty when there was none.
    pub reply_head: Bytes,
    /// The kept part of the reply's body.
    pub reply_body: Bytes,
    /// When the relay kept it.
    pub recorded_at: Timestamp,
}

/// A token to keep; only its hash.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its id.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Now.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// A token as lists show it.
#[derive(Clone, Debug)]
pub struct TokenInfo {
    /// Its id.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// See endpoints and events.
    Read,
    /// Connect as a consumer and report outcomes.
    Listen,
    /// Make and change endpoints, ask for replays.
    Write,
    /// Everything, tokens included.
    Admin,
}

impl Scope {
    /// The scope's name, as in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Listen => "listen",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Read, Self::Listen, Self::Write, Self::Admin]
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a scope (read, listen, write or admin)"))
    }
}
