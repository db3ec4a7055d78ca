//! `/v1/endpoints/{name}/consumers`: who reads an endpoint, and the end of those who do not any more.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use towline_shared::api::{ConsumerList, ConsumerView};
use towline_shared::id::{ConsumerName, EndpointName};

use super::access::{Allowed, Read, Write};
use super::endpoints::find;
use super::input::{Json, Segment, Segments};
use super::refusal::Refusal;
use crate::relay::Relay;

pub(super) async fn list(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Segment(name): Segment<EndpointName>,
) -> Result<Json<ConsumerList>, Refusal> {
    let live = find(&relay, &name)?;
    let consumers = relay.store.consumers(live.endpoint.id).await?;
    let views = consumers.into_iter().map(|consumer| ConsumerView {
        is_connected: relay.sessions.is_connected(consumer.id),
        name: consumer.name,
        cursor: consumer.cursor,
        backlog: consumer.backlog,
        created_at: consumer.created_at,
        filter: consumer.filter,
        filtered: consumer.filtered,
    });
    Ok(Json(ConsumerList {
        consumers: views.collect(),
    }))
}

/// A consumer that is connected stays: its session would go on without it.
pub(super) async fn remove(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segments(endpoint, name): Segments<EndpointName, ConsumerName>,
) -> Result<StatusCode, Refusal> {
    let live = find(&relay, &endpoint)?;
    let consumers = relay.store.consumers(live.endpoint.id).await?;
    let found = consumers.iter().find(|consumer| consumer.name == name);
    let consumer = found.ok_or_else(|| Refusal::missing("consumer", &name))?.id;
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
