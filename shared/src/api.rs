//! The JSON of the relay's HTTP interface under `/v1`, one type for both sides.
//!
//! | request | scope | body | answer |
//! |---|---|---|---|
//! | `GET /v1/whoami` | any | – | [`WhoAmI`] |
//! | `GET /v1/endpoints` | read | – | [`EndpointList`] |
//! | `POST /v1/endpoints` | write | [`CreateEndpoint`] | 201 [`EndpointView`] |
//! | `GET /v1/endpoints/{name}` | read | – | [`EndpointView`] |
//! | `PATCH /v1/endpoints/{name}` | write | [`ChangeEndpoint`] | [`EndpointView`] |
//! | `DELETE /v1/endpoints/{name}` | write | – | 204 |
//! | `PUT /v1/endpoints/{name}/secrets/{secret}` | write | [`PutSecret`] | [`EndpointView`] |
//! | `DELETE /v1/endpoints/{name}/secrets/{secret}` | write | – | [`EndpointView`] |
//! | `POST /v1/endpoints/{name}/secrets/captured/reveal` | write | – | [`RevealedSecret`], once and within an hour of its capture; else 409 |
//! | `GET /v1/endpoints/{name}/consumers` | read | – | [`ConsumerList`] |
//! | `POST /v1/endpoints/{name}/consumers/{consumer}/reset` | write | [`ResetConsumer`] | [`ConsumerView`]; its session begins anew |
//! | `DELETE /v1/endpoints/{name}/consumers/{consumer}` | write | – | 204, with the replays that wait for it; 409 while it is connected |
//! | `GET /v1/endpoints/{name}/usage` | read | – | [`Usage`] |
//! | `DELETE /v1/endpoints/{name}/events?through=SEQ` | write | – | [`Trimmed`]; pinned events stay |
//! | `GET /v1/events?endpoint=&before=&rejected=&limit=&filter=` | read | – | [`EventList`]; with `rejected=true` only those that consumers do not get |
//! | `GET /v1/events/{id}` | read | – | [`EventDetail`] |
//! | `GET /v1/events/{id}/raw` | read | – | head as received, then body (`application/http`, streamed) |
//! | `GET /v1/events/{id}/body` | read | – | the body (`application/octet-stream`, streamed) |
//! | `GET /v1/events/stream?endpoint=&rejected=true&filter=` | read | – | server-sent events: `event` with an [`EventSummary`], its id as `id`; `gap` where events are left out |
//! | `PUT /v1/events/{id}/pin` | write | – | 204; retention leaves the event alone; 409 when 1,000 of the endpoint are pinned |
//! | `DELETE /v1/events/{id}/pin` | write | – | [`Unpinned`] |
//! | `POST /v1/events/{id}/attempts` | listen | an `outcome` frame of the wire | [`RecordedAttempt`]; an attempt made outside any consumer's line |
//! | `POST /v1/replays` | write | [`AskReplays`] | 201 [`Replays`] |
//! | `GET /v1/tokens` | admin | – | [`TokenList`] |
//! | `POST /v1/tokens` | admin | [`CreateToken`] | 201 [`CreatedToken`] |
//! | `DELETE /v1/tokens/{id}` | admin | – | 204 |
//! | `POST /oauth/token` | – | client credentials (RFC 6749 §4.4) | an access token for the sender of one endpoint; errors as in RFC 6749 §5.2 |
//!
//! A token may do what its scopes name and nothing else, but that `admin` includes all of them.
//!
//! A stream that is asked for with `Last-Event-ID` goes on behind that event in its endpoint. Events of other
//! endpoints that came at about the same time may come again, so that none is missed.
//!
//! A `filter` is an expression of [`crate::filter`]; one that cannot be read is refused with 422, and the lines of its
//! `detail` point at the place. A list with a filter looks at a bounded number of events at a time: its pages may be
//! short, or empty, and `next` goes on.
//!
//! Every error is [`Problem`] as `application/problem+json` (RFC 9457).

mod consumers;
mod events;
mod secrets;
mod tokens;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{EndpointName, SecretName};
use crate::time::Timestamp;
pub use consumers::{ConsumerList, ConsumerView, LastOutcome, ResetConsumer, SessionView};
pub use events::{
    AskReplays, AttemptView, DeliveryIdChoice, EventDetail, EventList, EventSummary,
    RecordedAttempt, ReplayView, Replays, Resign,
};
pub use secrets::{NewSecret, PutSecret, RevealedSecret, SecretView};
pub use tokens::{CreateToken, CreatedToken, TokenList, TokenView};

/// An error (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable code such as `unknown_endpoint`, as the URN `urn:towline:problem:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of this type.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What went wrong this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The scope that the token lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_scope: Option<String>,
}

/// Who a token is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoAmI {
    /// The token's name.
    pub token: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Name and version of the relay, such as `towline/0.1.0`.
    pub relay: String,
    /// Where providers reach the relay.
    pub public_url: String,
    /// The relay's clock.
    pub now: Timestamp,
}

/// What an endpoint shows of itself; never a secret's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its name.
    pub name: EndpointName,
    /// Its public URL.
    pub url: String,
    /// The provider's slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Whether `provider` names a scheme file of the user's own.
    #[serde(default)]
    pub has_own_scheme: bool,
    /// The only scheme of the provider that may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Parameters of the scheme.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// What the sender gets after the commit.
    pub ack: Ack,
    /// What happens to requests whose check fails.
    pub on_failure: OnFailure,
    /// Whether it takes a secret that a challenge of the provider hands over: while it has none, and once more when asked to.
    #[serde(default)]
    pub awaits_secret: bool,
    /// Whether a secret that it captured can be shown, once.
    #[serde(default)]
    pub can_reveal: bool,
    /// Whether consumers get repeats: verified requests whose signed content has come before.
    #[serde(default)]
    pub deliver_duplicates: bool,
    /// The longest body in bytes.
    pub max_body: u64,
    /// What it keeps, the relay's own limits included.
    #[serde(default)]
    pub retention: Retention,
    /// What it takes in, the relay's own limits included.
    #[serde(default)]
    pub limits: EndpointLimits,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its secrets by name. While there is none, requests of a provider that is checked with secrets go
    /// unchecked: so it is between `POST` and the first `PUT` of a secret. The last one cannot be removed (422).
    pub secrets: Vec<SecretView>,
    /// How its sender gets access tokens, where its scheme takes those that the relay gives out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OauthView>,
}

/// What an OAuth sender is set up with (RFC 6749 §4.4), beside a client secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthView {
    /// Where it asks for tokens: `POST`, client credentials.
    pub token_url: String,
    /// One client for each secret of the endpoint.
    pub clients: Vec<OauthClient>,
}

/// An OAuth client; its client secret is the endpoint's secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OauthClient {
    /// The name of the secret.
    pub secret: SecretName,
    /// Its id.
    pub client_id: String,
}

/// The answer that a sender gets once its event is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Status code, 200 to 299.
    pub status: u16,
    /// Header fields in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body; `None` gives `{"id":"evt_…"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Default for Ack {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: None,
        }
    }
}

/// What happens to requests whose check fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// 401 to the sender; kept as rejected, not delivered.
    #[default]
    Reject,
    /// The usual answer; delivered with its verdict.
    Deliver,
}

/// What an endpoint keeps; the oldest events beyond any of it are removed, unless they are pinned. Events that
/// consumers do not get count towards none but the age. What is
/// absent is not bounded. A consumer that had not read them gets a `gap` frame that says from where to where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Seconds after an event's arrival, 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// Deliverable events, 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u64>,
    /// Bytes of heads and bodies of deliverable events, 1 or more; the newest is kept whatever its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// The stricter of both, bound by bound.
    pub fn within(self, other: Self) -> Self {
        Self {
            max_age_seconds: stricter(self.max_age_seconds, other.max_age_seconds),
            max_events: stricter(self.max_events, other.max_events),
            max_bytes: stricter(self.max_bytes, other.max_bytes),
        }
    }
}

/// How much an endpoint takes in; two seconds of it may come at once. What is beyond it gets 429 with `Retry-After`;
/// of a provider that does not send again, the head is kept as a rejected event. What is absent is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointLimits {
    /// Events a second, 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_per_second: Option<u32>,
    /// Bytes of bodies a second, 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Rejected requests that are kept in a minute, 1 or more; 600 when absent. The others get the same answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_per_minute: Option<u32>,
}

impl EndpointLimits {
    /// The stricter of both, limit by limit.
    pub fn within(self, other: Self) -> Self {
        Self {
            events_per_second: stricter(self.events_per_second, other.events_per_second),
            bytes_per_second: stricter(self.bytes_per_second, other.bytes_per_second),
            rejected_per_minute: stricter(self.rejected_per_minute, other.rejected_per_minute),
        }
    }
}

fn stricter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

/// All endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the only field")]
pub struct EndpointList {
    pub endpoints: Vec<EndpointView>,
}

/// An endpoint to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateEndpoint {
    /// Its name.
    pub name: EndpointName,
    /// The provider's slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// A scheme file of the user's own (TOML); `provider` names its table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_scheme: Option<String>,
    /// The only scheme of the provider that may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Parameters of the scheme.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What the sender gets after the commit.
    #[serde(default)]
    pub ack: Ack,
    /// What happens to requests whose check fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Whether consumers get repeats.
    #[serde(default)]
    pub deliver_duplicates: bool,
    /// The longest body in bytes; the relay's default when absent, and never above the relay's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<u64>,
    /// What it keeps, within the relay's own limits.
    #[serde(default)]
    pub retention: Retention,
    /// What it takes in, within the relay's own limits.
    #[serde(default)]
    pub limits: EndpointLimits,
    /// Its first secrets. Without any, requests go unchecked until one is put, and the view shows `[]`.
    #[serde(default)]
    pub secrets: Vec<NewSecret>,
}

/// A change of an endpoint; absent fields stay, `null` clears.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeEndpoint {
    /// As in [`CreateEndpoint`].
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    pub provider: Option<Option<String>>,
    /// As in [`CreateEndpoint`].
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    pub own_scheme: Option<Option<String>>,
    /// As in [`CreateEndpoint`].
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    pub variant: Option<Option<String>>,
    /// As in [`CreateEndpoint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<BTreeMap<String, String>>,
    /// As in [`CreateEndpoint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Ack>,
    /// As in [`CreateEndpoint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Whether one more secret is taken from a challenge of the provider, beside those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub await_secret: Option<bool>,
    /// As in [`CreateEndpoint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_duplicates: Option<bool>,
    /// As in [`CreateEndpoint`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<u64>,
    /// As in [`CreateEndpoint`], all of it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// As in [`CreateEndpoint`], all of it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<EndpointLimits>,
}

/// Tells an absent field (`None`) from `null` (`Some(None)`).
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Option<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value
            .as_ref()
            .and_then(Option::as_ref)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<String>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}

/// What an endpoint keeps now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Deliverable events; pinned ones that are older than the oldest of these are not among them.
    pub events: u64,
    /// Those that consumers do not get: rejected ones, challenges, repeats. They count towards no bound of
    /// [`Retention`], and go with the deliverable ones around them.
    #[serde(default)]
    pub others: u64,
    /// Bytes of the deliverable ones, heads and bodies.
    pub bytes: u64,
    /// When the oldest event came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// Pinned events.
    pub pinned: u64,
    /// Rejected requests that were answered and not kept since the relay started.
    #[serde(default)]
    pub rejected_not_kept: u64,
}

/// What came of taking a pin away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpinned {
    /// Whether the event is gone: only its pin had kept it.
    pub is_removed: bool,
}

/// How many events were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the only field")]
pub struct Trimmed {
    pub removed: u64,
}
