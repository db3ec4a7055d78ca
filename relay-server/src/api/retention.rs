//! What an endpoint keeps, and the pins of events that retention leaves alone.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use http::StatusCode;
use towline_shared::api::{Unpinned, Usage};
use towline_shared::id::{EndpointName, EventId};
use towline_shared::time::Timestamp;

use super::access::{Allowed, Read, Write};
use super::endpoints::find;
use super::input::{Json, Segment};
use super::refusal::Refusal;
use super::whole::whole;
use crate::relay::Relay;

pub(super) async fn usage(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Segment(name): Segment<EndpointName>,
) -> Result<Json<Usage>, Refusal> {
    let live = find(&relay, &name)?;
    let usage = relay.store.usage(live.endpoint.id).await?;
    Ok(Json(Usage {
        events: usage.events,
        others: usage.others,
        bytes: usage.bytes,
        oldest: usage.oldest,
        pinned: usage.pinned,
        rejected_not_kept: live.meters.rejected_not_kept(),
    }))
}

pub(super) async fn pin(
    Allowed { token, .. }: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segment(id): Segment<EventId>,
) -> Result<StatusCode, Refusal> {
    let now = Timestamp::from(SystemTime::now());
    relay.store.pin(id, token.name, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn unpin(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segment(id): Segment<EventId>,
) -> Result<Json<Unpinned>, Refusal> {
    let unpinning = Arc::clone(&relay);
    let unpinning = async move {
        let is_removed = unpinning.store.unpin(id).await?;
        Ok(Json(Unpinned { is_removed }))
    };
    whole(&relay, unpinning).await
}
