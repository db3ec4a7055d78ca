//! `/v1/endpoints/{name}/consumers`: who reads an endpoint, and the end of those who do not any more.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use http::StatusCode;
use towline_shared::api::{ConsumerList, ConsumerView, ResetConsumer, SessionView};
use towline_shared::id::{ConsumerName, EndpointName};
use towline_shared::time::Timestamp;
use towline_shared::wire::Start;

use super::access::{Allowed, Read, Write};
use super::endpoints::find;
use super::input::{Json, Segment, Segments};
use super::refusal::Refusal;
use super::whole::whole;
use crate::endpoints::LiveEndpoint;
use crate::relay::Relay;
use crate::store::ConsumerInfo;

pub(super) async fn list(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Segment(name): Segment<EndpointName>,
) -> Result<Json<ConsumerList>, Refusal> {
    let live = find(&relay, &name)?;
    let consumers = relay.store.consumers(live.endpoint.id).await?;
    let views = consumers.into_iter().map(|consumer| view(&relay, consumer));
    Ok(Json(ConsumerList {
        consumers: views.collect(),
    }))
}

/// The session ends before the cursor moves, and once more if it came back in between: what it settles belongs
/// to the old place.
pub(super) async fn reset(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segments(endpoint, name): Segments<EndpointName, ConsumerName>,
    Json(ResetConsumer { to }): Json<ResetConsumer>,
) -> Result<Json<ConsumerView>, Refusal> {
    let now = Timestamp::from(SystemTime::now());
    if let Start::Time(time) = to
        && time > now
    {
        let problem = format!("{time} lies ahead; a consumer goes on with events that have come");
        return Err(Refusal::invalid("to", problem));
    }
    let live = find(&relay, &endpoint)?;
    let consumer = find_consumer(&relay, &live, &name).await?.id;
    let resetting = Arc::clone(&relay);
    let of = live.endpoint.id;
    let resetting = async move {
        let sessions = &resetting.sessions;
        sessions.begin_anew(consumer, of, &name).await;
        resetting.store.reset_consumer(consumer, to).await?;
        sessions.begin_anew(consumer, of, &name).await;
        tracing::info!(%endpoint, consumer = %name, ?to, "consumer reset");
        let found = find_consumer(&resetting, &live, &name).await?;
        Ok(Json(view(&resetting, found)))
    };
    whole(&relay, resetting).await
}

async fn find_consumer(
    relay: &Relay,
    live: &LiveEndpoint,
    name: &ConsumerName,
) -> Result<ConsumerInfo, Refusal> {
    let consumers = relay.store.consumers(live.endpoint.id).await?;
    let found = consumers
        .into_iter()
        .find(|consumer| consumer.name == *name);
    found.ok_or_else(|| Refusal::missing("consumer", name))
}

fn view(relay: &Relay, consumer: ConsumerInfo) -> ConsumerView {
    let session = relay.sessions.serving(consumer.id);
    ConsumerView {
        is_connected: session.is_some(),
        session: session.map(|session| SessionView {
            id: session.id,
            token: session.token,
            remote: session.remote,
            client: session.client,
            since: session.since,
        }),
        name: consumer.name,
        cursor: consumer.cursor,
        backlog: consumer.backlog,
        oldest_waiting: consumer.oldest_waiting,
        last_outcome: consumer.last_outcome,
        filter: consumer.filter,
        filtered: consumer.filtered,
        created_at: consumer.created_at,
    }
}

/// A consumer that is connected stays: its session would go on without it.
pub(super) async fn remove(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segments(endpoint, name): Segments<EndpointName, ConsumerName>,
) -> Result<StatusCode, Refusal> {
    let live = find(&relay, &endpoint)?;
    let consumer = find_consumer(&relay, &live, &name).await?.id;
    if relay.sessions.is_connected(consumer) {
        return Err(Refusal::Conflict {
            code: "consumer_connected",
            title: "the consumer is connected",
            detail: format!("`{name}` has a live session: end that first"),
        });
    }
    relay.store.remove_consumer(consumer).await?;
    tracing::info!(%endpoint, consumer = %name, "consumer deleted");
    Ok(StatusCode::NO_CONTENT)
}
