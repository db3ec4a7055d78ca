//! `GET /v1/events/stream`: events as they are kept, as server-sent events. Rejected ones are among them, or are
//! all that it is asked for.
//!
//! Nothing is queued for a slow reader beside a bounded number of events for all: what it misses there it
//! reads from the store, as one that comes back with `Last-Event-ID`.

mod progress;
mod wanted;

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, interval};
use towline_shared::api::EventSummary;
use towline_shared::id::{EndpointName, EventId};
use towline_shared::time::Timestamp;

use super::access::{Allowed, Needs, Read, allow};
use super::endpoints::find;
use super::events::request_line;
use super::input::{self, Asked};
use super::refusal::Refusal;
use super::views;
use crate::relay::Relay;
use crate::store::{EndpointId, EventQuery, StoreError, StoredEvent};
use progress::Progress;
use wanted::Wanted;

/// How often a silent stream shows that it is alive, and whether its token still holds is looked at.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many missed events are read from the store; older ones stay out of the stream.
const MOST_MISSED: usize = 1000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Stands where events are left out.
const GAP: &[u8] = b"event: gap\ndata: {}\n\n";

/// The query of a stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TailQuery {
    endpoint: Option<EndpointName>,
    /// Only those that consumers do not get.
    #[serde(default)]
    rejected: bool,
    /// Only those that this expression means.
    filter: Option<String>,
}

pub(super) async fn stream(
    _: Allowed<Read>,
    State(relay): State<Arc<Relay>>,
    Asked(asked): Asked<TailQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let endpoint = match &asked.endpoint {
        Some(name) => Some(find(&relay, name)?.endpoint.id),
        None => None,
    };
    let last = last_event_id(&headers)?;
    let mut tail = Tail::begin(relay, headers, endpoint);
    tail.rejected_only = asked.rejected;
    tail.wanted = Wanted::new(input::filter(asked.filter.as_deref())?);
    if let Some(last) = last {
        tail.resume(last).await?;
    }
    let pieces = stream::unfold(tail, |mut tail| async move {
        let piece = tail.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), tail))
    });
    let mut response = Response::new(axum::body::Body::from_stream(pieces));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>, Refusal> {
    let Some(value) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let id = text.parse();
    id.map(Some)
        .map_err(|error| Refusal::Malformed(format!("`Last-Event-ID`: {error}")))
}

/// One reader's stream.
struct Tail {
    relay: Arc<Relay>,
    headers: HeaderMap,
    endpoint: Option<EndpointId>,
    /// Whether events that consumers get are passed over.
    rejected_only: bool,
    wanted: Wanted,
    live: broadcast::Receiver<Arc<StoredEvent>>,
    /// Whether events are left out here, before those that are missed.
    is_gap: bool,
    /// Events read from the store, oldest first, with their endpoints.
    missed: VecDeque<(EndpointId, EventSummary)>,
    progress: Progress,
    heartbeat: Interval,
}

impl Tail {
    /// A stream of what comes from now on.
    fn begin(relay: Arc<Relay>, headers: HeaderMap, endpoint: Option<EndpointId>) -> Self {
        Self {
            live: relay.fanout.tail(),
            relay,
            headers,
            endpoint,
            rejected_only: false,
            wanted: Wanted::default(),
            is_gap: false,
            missed: VecDeque::new(),
            progress: Progress::from(Timestamp::from(SystemTime::now())),
            heartbeat: interval(HEARTBEAT),
        }
    }

    /// Goes back to right behind an event that the reader had.
    async fn resume(&mut self, last: EventId) -> Result<(), StoreError> {
        match self.relay.store.event(last).await? {
            Some(event) => self.progress = Progress::behind(&event),
            // It was removed, and what followed it may have been as well.
            None => {
                self.progress = Progress::behind_removed(last);
                self.is_gap = true;
            }
        }
        self.read_missed().await
    }

    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if std::mem::take(&mut self.is_gap) {
                return Some(Bytes::from_static(GAP));
            }
            if let Some((endpoint, summary)) = self.missed.pop_front() {
                if self
                    .wanted
                    .wants_kept(&self.relay.store, summary.info.id)
                    .await
                {
                    return Some(self.show(endpoint, &summary));
                }
                let info = &summary.info;
                self.progress.show(endpoint, info.seq, info.received_at);
                continue;
            }
            tokio::select! {
                biased;
                () = self.relay.stopping.cancelled() => return None,
                event = self.live.recv() => match event {
                    Ok(event) => {
                        if let Some(piece) = self.live_event(&event).await {
                            return Some(piece);
                        }
                    }
                    Err(RecvError::Lagged(_)) => self.read_missed().await.ok()?,
                    Err(RecvError::Closed) => return None,
                },
                _ = self.heartbeat.tick() => return self.beat().await,
            }
        }
    }

    async fn live_event(&mut self, event: &Arc<StoredEvent>) -> Option<Bytes> {
        let is_meant = self
            .endpoint
            .is_none_or(|endpoint| endpoint == event.endpoint);
        if !is_meant || !self.progress.is_new(event.endpoint, event.info.seq) {
            return None;
        }
        let is_left_out = self.rejected_only && event.info.is_deliverable;
        if is_left_out || !self.wanted.wants(event).await {
            self.progress
                .show(event.endpoint, event.info.seq, event.info.received_at);
            return None;
        }
        let (method, target) = request_line(&event.head);
        let summary = EventSummary {
            info: event.info.clone(),
            method,
            target,
            latest_attempt: None,
        };
        let summary = views::masked(&self.relay, summary);
        Some(self.show(event.endpoint, &summary))
    }

    /// Reads what was kept since the events that were shown.
    async fn read_missed(&mut self) -> Result<(), StoreError> {
        let query = EventQuery {
            endpoint: self.endpoint,
            before: None,
            rejected_only: false,
            limit: MOST_MISSED,
        };
        let newest_first = self.relay.store.list_events(query).await?;
        let known = self.endpoint.and_then(|id| self.progress.shown_of(id));
        let recent: Vec<_> = newest_first
            .into_iter()
            .take_while(|event| match known {
                Some(shown) => event.info.seq > shown,
                None => self.progress.is_recent(event.info.received_at),
            })
            .collect();
        self.is_gap |= match (known, recent.last()) {
            (Some(shown), Some(oldest)) => oldest.info.seq > shown.next(),
            _ => recent.len() == MOST_MISSED,
        };
        let missed = recent.into_iter().rev().filter_map(|event| {
            // One that was deleted meanwhile has no events any more.
            let endpoint = self.relay.endpoints.by_name(&event.info.endpoint)?;
            let endpoint = endpoint.endpoint.id;
            let is_meant = !(self.rejected_only && event.info.is_deliverable);
            let is_new = self.progress.is_new(endpoint, event.info.seq);
            (is_meant && is_new).then(|| (endpoint, views::event(&self.relay, event)))
        });
        self.missed = missed.collect();
        Ok(())
    }

    /// A comment, while the token still holds and the endpoint is there.
    async fn beat(&self) -> Option<Bytes> {
        allow(&self.relay, &self.headers, Read::SCOPE).await.ok()?;
        if let Some(endpoint) = self.endpoint {
            self.relay.endpoints.by_id(endpoint)?;
        }
        Some(Bytes::from_static(b": waiting for events\n\n"))
    }

    fn show(&mut self, endpoint: EndpointId, summary: &EventSummary) -> Bytes {
        let info = &summary.info;
        self.progress.show(endpoint, info.seq, info.received_at);
        // JSON has no line breaks of its own, so one `data` line holds it.
        let json = serde_json::to_string(summary).expect("a summary is plain data");
        let mut piece = String::with_capacity(json.len() + 64);
        let _ = write!(piece, "id: {}\nevent: event\ndata: {json}\n\n", info.id);
        piece.into()
    }
}

#[cfg(test)]
mod tests;
