//! The relay's JSON interface (`towline_shared::api`) as typed calls.

mod error;
mod exchange;
mod tail;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use towline_shared::api::{
    AskReplays, ChangeEndpoint, ConsumerList, ConsumerView, CreateEndpoint, CreateToken,
    CreatedToken, EndpointList, EndpointView, EventDetail, EventList, PutSecret, RecordedAttempt,
    Replays, ResetConsumer, RevealedSecret, TokenList, Trimmed, Unpinned, Usage, WhoAmI,
};
use towline_shared::filter::Filter;
use towline_shared::id::{ConsumerName, EndpointName, EventId, SecretName, Seq, TokenId};
use towline_shared::secret::Secret;
use towline_shared::wire::{FromClient, Report};

pub use error::ApiError;
use exchange::{Call, Exchange};
pub use exchange::{Download, shown};
pub use tail::{Tail, TailItem};

use crate::dial::RelayAddress;

/// How long the relay may take for an answer of JSON.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A relay and the token for it.
#[derive(Clone, Debug)]
pub struct RelayApi {
    exchange: Exchange,
}

/// Which events to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only those of this endpoint.
    pub endpoint: Option<EndpointName>,
    /// Only those before this one.
    pub before: Option<EventId>,
    /// Only those that consumers do not get.
    pub rejected: bool,
    /// Only those that it means; then pages may be short, and only the last one has no next.
    pub filter: Option<Filter>,
    /// The most to return.
    pub limit: u32,
}

impl EventQuery {
    fn path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(endpoint) = &self.endpoint {
            query.append_pair("endpoint", endpoint.as_str());
        }
        if let Some(before) = &self.before {
            query.append_pair("before", &before.to_string());
        }
        if self.rejected {
            query.append_pair("rejected", "true");
        }
        if let Some(filter) = &self.filter {
            query.append_pair("filter", filter.as_str());
        }
        query.append_pair("limit", &self.limit.to_string());
        format!("/v1/events?{}", query.finish())
    }
}

fn tail_query(endpoint: Option<&EndpointName>, rejected: bool, filter: Option<&Filter>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("rejected", if rejected { "true" } else { "false" });
    if let Some(name) = endpoint {
        query.append_pair("endpoint", name.as_str());
    }
    if let Some(filter) = filter {
        query.append_pair("filter", filter.as_str());
    }
    query.finish()
}

type Answer<T> = Result<T, ApiError>;

impl RelayApi {
    /// Speaks to this relay; nothing is connected before the first call.
    pub const fn new(relay: RelayAddress, token: Option<Secret>) -> Self {
        Self {
            exchange: Exchange::new(relay, token),
        }
    }

    /// The relay's address.
    pub const fn relay(&self) -> &RelayAddress {
        self.exchange.relay()
    }

    /// The relay's address in words, without the final `/`.
    pub fn address(&self) -> String {
        shown(&self.relay().url)
    }

    /// The token for it.
    pub const fn token(&self) -> Option<&Secret> {
        self.exchange.token()
    }

    /// `GET /v1/whoami`
    pub async fn whoami(&self) -> Answer<WhoAmI> {
        self.get("/v1/whoami").await
    }

    /// `GET /v1/endpoints`
    pub async fn endpoints(&self) -> Answer<EndpointList> {
        self.get("/v1/endpoints").await
    }

    /// `GET /v1/endpoints/{name}`
    pub async fn endpoint(&self, name: &EndpointName) -> Answer<EndpointView> {
        self.get(&format!("/v1/endpoints/{name}")).await
    }

    /// `POST /v1/endpoints`
    pub async fn create_endpoint(&self, new: &CreateEndpoint) -> Answer<EndpointView> {
        self.send("POST", "/v1/endpoints", new).await
    }

    /// `PATCH /v1/endpoints/{name}`
    pub async fn change_endpoint(
        &self,
        name: &EndpointName,
        change: &ChangeEndpoint,
    ) -> Answer<EndpointView> {
        self.send("PATCH", &format!("/v1/endpoints/{name}"), change)
            .await
    }

    /// `DELETE /v1/endpoints/{name}`
    pub async fn delete_endpoint(&self, name: &EndpointName) -> Answer<()> {
        self.call(Call::new("DELETE", &format!("/v1/endpoints/{name}")))
            .await
            .map(drop)
    }

    /// `PUT /v1/endpoints/{name}/secrets/{secret}`
    pub async fn put_secret(
        &self,
        name: &EndpointName,
        secret: &SecretName,
        put: &PutSecret,
    ) -> Answer<EndpointView> {
        self.send(
            "PUT",
            &format!("/v1/endpoints/{name}/secrets/{secret}"),
            put,
        )
        .await
    }

    /// `DELETE /v1/endpoints/{name}/secrets/{secret}`
    pub async fn delete_secret(
        &self,
        name: &EndpointName,
        secret: &SecretName,
    ) -> Answer<EndpointView> {
        let call = Call::new("DELETE", &format!("/v1/endpoints/{name}/secrets/{secret}"));
        self.read(call).await
    }

    /// `POST /v1/endpoints/{name}/secrets/captured/reveal`
    pub async fn reveal_secret(&self, name: &EndpointName) -> Answer<RevealedSecret> {
        let path = format!("/v1/endpoints/{name}/secrets/captured/reveal");
        self.read(Call::new("POST", &path)).await
    }

    /// `GET /v1/endpoints/{name}/consumers`
    pub async fn consumers(&self, name: &EndpointName) -> Answer<ConsumerList> {
        self.get(&format!("/v1/endpoints/{name}/consumers")).await
    }

    /// `POST /v1/endpoints/{name}/consumers/{consumer}/reset`
    pub async fn reset_consumer(
        &self,
        name: &EndpointName,
        consumer: &ConsumerName,
        reset: &ResetConsumer,
    ) -> Answer<ConsumerView> {
        let consumer = segment(consumer);
        let path = format!("/v1/endpoints/{name}/consumers/{consumer}/reset");
        self.send("POST", &path, reset).await
    }

    /// `DELETE /v1/endpoints/{name}/consumers/{consumer}`
    pub async fn delete_consumer(
        &self,
        name: &EndpointName,
        consumer: &ConsumerName,
    ) -> Answer<()> {
        let consumer = segment(consumer);
        let call = Call::new(
            "DELETE",
            &format!("/v1/endpoints/{name}/consumers/{consumer}"),
        );
        self.call(call).await.map(drop)
    }

    /// `GET /v1/endpoints/{name}/usage`
    pub async fn usage(&self, name: &EndpointName) -> Answer<Usage> {
        self.get(&format!("/v1/endpoints/{name}/usage")).await
    }

    /// `PUT /v1/events/{id}/pin`
    pub async fn pin(&self, id: EventId) -> Answer<()> {
        let call = Call::new("PUT", &format!("/v1/events/{id}/pin"));
        self.call(call).await.map(drop)
    }

    /// `DELETE /v1/events/{id}/pin`
    pub async fn unpin(&self, id: EventId) -> Answer<Unpinned> {
        let call = Call::new("DELETE", &format!("/v1/events/{id}/pin"));
        self.read(call).await
    }

    /// `DELETE /v1/endpoints/{name}/events?through=SEQ`
    pub async fn trim(&self, name: &EndpointName, through: Seq) -> Answer<Trimmed> {
        let call = Call::new(
            "DELETE",
            &format!("/v1/endpoints/{name}/events?through={through}"),
        );
        self.read(call).await
    }

    /// `GET /v1/events`
    pub async fn events(&self, query: &EventQuery) -> Answer<EventList> {
        self.get(&query.path()).await
    }

    /// `GET /v1/events/{id}`
    pub async fn event(&self, id: EventId) -> Answer<EventDetail> {
        self.get(&format!("/v1/events/{id}")).await
    }

    /// `GET /v1/events/{id}/raw`: the head as received, then the body.
    pub async fn raw(&self, id: EventId) -> Answer<Download> {
        self.exchange
            .download(&format!("/v1/events/{id}/raw"))
            .await
    }

    /// `GET /v1/events/{id}/body`
    pub async fn body(&self, id: EventId) -> Answer<Download> {
        self.exchange
            .download(&format!("/v1/events/{id}/body"))
            .await
    }

    /// `GET /v1/events/stream`, from behind the event with this id when there is one; of all events, of those that
    /// consumers do not get, or of those that a filter means.
    pub async fn tail(
        &self,
        endpoint: Option<&EndpointName>,
        rejected: bool,
        filter: Option<&Filter>,
        last: Option<EventId>,
    ) -> Answer<Tail> {
        let query = tail_query(endpoint, rejected, filter);
        let call = Call {
            last_event: last,
            ..Call::new("GET", &format!("/v1/events/stream?{query}"))
        };
        Ok(Tail::new(self.exchange.stream(call).await?))
    }

    /// `POST /v1/events/{id}/attempts`
    pub async fn record_attempt(&self, id: EventId, report: Report) -> Answer<RecordedAttempt> {
        let frame = FromClient::Outcome(Box::new(report)).encode();
        let call = Call {
            body: frame,
            content_type: Some("application/octet-stream"),
            ..Call::new("POST", &format!("/v1/events/{id}/attempts"))
        };
        self.read(call).await
    }

    /// `POST /v1/replays`
    pub async fn ask_replays(&self, ask: &AskReplays) -> Answer<Replays> {
        self.send("POST", "/v1/replays", ask).await
    }

    /// `GET /v1/tokens`
    pub async fn tokens(&self) -> Answer<TokenList> {
        self.get("/v1/tokens").await
    }

    /// `POST /v1/tokens`
    pub async fn create_token(&self, new: &CreateToken) -> Answer<CreatedToken> {
        self.send("POST", "/v1/tokens", new).await
    }

    /// `DELETE /v1/tokens/{id}`
    pub async fn revoke_token(&self, id: TokenId) -> Answer<()> {
        self.call(Call::new("DELETE", &format!("/v1/tokens/{id}")))
            .await
            .map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.read(Call::new("GET", path)).await
    }

    async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: &'static str,
        path: &str,
        body: &B,
    ) -> Answer<T> {
        let body = serde_json::to_vec(body).map_err(|error| ApiError::Unreadable {
            what: "the request".to_owned(),
            detail: error.to_string(),
        })?;
        let call = Call {
            body: body.into(),
            content_type: Some("application/json"),
            ..Call::new(method, path)
        };
        self.read(call).await
    }

    async fn read<T: DeserializeOwned>(&self, call: Call) -> Answer<T> {
        let what = format!("the answer to {} {}", call.method, call.path);
        let body = self.call(call).await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::Unreadable {
            what,
            detail: error.to_string(),
        })
    }

    async fn call(&self, call: Call) -> Answer<bytes::Bytes> {
        match tokio::time::timeout(ANSWER_TIME, self.exchange.whole(call)).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::Broken {
                url: self.address(),
                detail: format!("no answer within {} s", ANSWER_TIME.as_secs()),
            }),
        }
    }
}

/// A consumer's name in a path: it may have any visible ASCII character, `/` and `?` among them.
fn segment(consumer: &ConsumerName) -> String {
    url::form_urlencoded::byte_serialize(consumer.as_str().as_bytes()).collect()
}
