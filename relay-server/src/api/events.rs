//! `/v1/events`: lists, shows and trims events.

use std::sync::Arc;

use axum::extract::State;
use data_encoding::{BASE64, HEXLOWER};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use towline_shared::api::{EventDetail, EventList, EventSummary, Trimmed};
use towline_shared::id::{EndpointName, EventId, Seq};

use super::access::{Allowed, Read, Write};
use super::endpoints::find;
use super::input::{Asked, Json, Segment, filter};
use super::refusal::Refusal;
use super::views;
use super::whole::whole;
use crate::relay::Relay;
use crate::store::{self, Body, EventQuery, StoreError, StoredEvent};

/// How many events a list has when the request does not say.
const USUAL_LIMIT: usize = 50;

/// How many events a list has at most.
const LARGEST_LIMIT: usize = 1000;

/// How much of a body file is hashed at a time.
const HASHED_PIECE_BYTES: usize = 64 * 1024;

/// The query of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    endpoint: Option<EndpointName>,
    before: Option<EventId>,
    #[serde(default)]
    rejected: bool,
    limit: Option<usize>,
    filter: Option<String>,
}

/// The query of a trim.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrimQuery {
    through: Seq,
}

pub(super) async fn list(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Asked(asked): Asked<ListQuery>,
) -> Result<Json<EventList>, Refusal> {
    let limit = asked.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        let problem = format!("{limit} is not from 1 to {LARGEST_LIMIT}");
        return Err(Refusal::invalid("limit", problem));
    }
    let endpoint = match &asked.endpoint {
        Some(name) => Some(find(&relay, name)?.endpoint.id),
        None => None,
    };
    let query = EventQuery {
        endpoint,
        before: asked.before,
        rejected_only: asked.rejected,
        limit,
    };
    if let Some(filter) = filter(asked.filter.as_deref())? {
        let found = relay.store.search_events(query, filter).await?;
        return Ok(Json(EventList {
            events: views(&relay, found.events),
            next: found.next,
        }));
    }
    let events = relay.store.list_events(query.clone()).await?;
    let next = match events.last() {
        Some(last) if events.len() == limit => next_page(&relay, query, last.info.id).await?,
        _ => None,
    };
    Ok(Json(EventList {
        events: views(&relay, events),
        next,
    }))
}

fn views(relay: &Relay, events: Vec<store::EventSummary>) -> Vec<EventSummary> {
    let events = events.into_iter();
    events.map(|event| views::event(relay, event)).collect()
}

/// What `before` is for the next page, if there is one.
async fn next_page(
    relay: &Relay,
    query: EventQuery,
    last: EventId,
) -> Result<Option<EventId>, StoreError> {
    let query = EventQuery {
        before: Some(last),
        limit: 1,
        ..query
    };
    let more = relay.store.list_events(query).await?;
    Ok((!more.is_empty()).then_some(last))
}

pub(super) async fn show(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Segment(id): Segment<EventId>,
) -> Result<Json<EventDetail>, Refusal> {
    let event = find_event(&relay, id).await?;
    let attempts = relay.store.attempts(id).await?;
    let (method, target) = request_line(&event.head);
    let latest = attempts.iter().max_by_key(|attempt| attempt.recorded_at);
    let summary = EventSummary {
        info: event.info.clone(),
        method,
        target,
        latest_attempt: latest.map(|latest| latest.attempt.clone()),
    };
    Ok(Json(EventDetail {
        summary: views::masked(&relay, summary),
        head_base64: BASE64.encode(&event.head),
        body_sha256: body_sha256(&event.body).await?,
        pinned_at: relay.store.pinned_at(id).await?,
        attempts: attempts.into_iter().map(views::attempt).collect(),
    }))
}

pub(super) async fn trim(
    _: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    Segment(name): Segment<EndpointName>,
    Asked(TrimQuery { through }): Asked<TrimQuery>,
) -> Result<Json<Trimmed>, Refusal> {
    let endpoint = find(&relay, &name)?.endpoint.id;
    let trimming = Arc::clone(&relay);
    let trimming = async move {
        let trimmed = trimming.store.trim(endpoint, through).await;
        // Also when it failed half-way: what was removed must not come from memory.
        trimming.fanout.forget(endpoint);
        let removed = trimmed?;
        tracing::info!(endpoint = %name, through = through.0, removed, "events removed");
        Ok(Json(Trimmed { removed }))
    };
    whole(&relay, trimming).await
}

/// The event with this id.
pub(super) async fn find_event(relay: &Relay, id: EventId) -> Result<Arc<StoredEvent>, Refusal> {
    let found = relay.store.event(id).await?;
    found.ok_or_else(|| Refusal::missing("event", &id))
}

/// Method and target of a head; bytes that are not UTF-8 are replaced. The head was validated when it was kept.
pub(super) fn request_line(head: &[u8]) -> (String, String) {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let (method, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let target = rest.rsplit_once(' ').map_or(rest, |(target, _)| target);
    (method.to_owned(), target.to_owned())
}

async fn body_sha256(body: &Body) -> Result<String, StoreError> {
    let mut hash = Sha256::new();
    match body {
        Body::Inline(bytes) => hash.update(bytes),
        Body::File(file) => {
            let read = hash_file(file.path(), &mut hash).await;
            read.map_err(|error| StoreError::Failed(error.to_string()))?;
        }
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

async fn hash_file(path: &std::path::Path, hash: &mut Sha256) -> std::io::Result<()> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut piece = vec![0; HASHED_PIECE_BYTES];
    loop {
        let length = file.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        hash.update(&piece[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_taken_apart() {
        let (method, target) = request_line(b"POST /in/k?a=%2F HTTP/1.1\r\nA: b\r\n\r\n");

        assert_eq!((method.as_str(), target.as_str()), ("POST", "/in/k?a=%2F"));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        let (_, target) = request_line(b"GET /\xff HTTP/1.1\r\n\r\n");

        assert_eq!(target, "/\u{fffd}");
    }
}
