//! `GET /v1/events/stream`: events as they are kept, as server-sent events. Rejected ones are among them.
//!
//! Nothing is queued for a slow reader beside a bounded number of events for all: what it misses there it
//! reads from the store, as one that comes back with `Last-Event-ID`.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

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

use super::access::{Allowed, Needs, Read, allow};
use super::endpoints::find;
use super::events::request_line;
use super::input::Asked;
use super::refusal::Refusal;
use super::views;
use crate::relay::Relay;
use crate::store::{EndpointId, EventQuery, StoreError, StoredEvent};

/// How often a silent stream shows that it is alive, and whether its token still holds is looked at.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many missed events are read from the store; older ones stay out of the stream.
const MOST_MISSED: usize = 1000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The query of a stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TailQuery {
    endpoint: Option<EndpointName>,
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
    let mut tail = Tail {
        live: relay.fanout.tail(),
        relay,
        headers,
        endpoint,
        missed: VecDeque::new(),
        read: HashSet::new(),
        last,
        heartbeat: interval(HEARTBEAT),
    };
    if last.is_some() {
        tail.read_missed().await?;
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

/// One reader's place.
struct Tail {
    relay: Arc<Relay>,
    headers: HeaderMap,
    endpoint: Option<EndpointId>,
    live: broadcast::Receiver<Arc<StoredEvent>>,
    /// Events read from the store, oldest first.
    missed: VecDeque<EventSummary>,
    /// What the last read of the store gave: live events overlap with it.
    read: HashSet<EventId>,
    /// The newest event that was sent.
    last: Option<EventId>,
    heartbeat: Interval,
}

impl Tail {
    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(summary) = self.missed.pop_front() {
                return Some(self.show(&summary));
            }
            tokio::select! {
                biased;
                () = self.relay.stopping.cancelled() => return None,
                event = self.live.recv() => match event {
                    Ok(event) => {
                        if let Some(piece) = self.live_event(&event) {
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

    fn live_event(&mut self, event: &StoredEvent) -> Option<Bytes> {
        let is_meant = self
            .endpoint
            .is_none_or(|endpoint| endpoint == event.endpoint);
        if !is_meant || self.read.contains(&event.info.id) {
            return None;
        }
        let (method, target) = request_line(&event.head);
        let summary = EventSummary {
            info: event.info.clone(),
            method,
            target,
            latest_attempt: None,
        };
        Some(self.show(&summary))
    }

    /// Reads what came after the newest event that was sent.
    async fn read_missed(&mut self) -> Result<(), StoreError> {
        let Some(last) = self.last else {
            return Ok(());
        };
        let query = EventQuery {
            endpoint: self.endpoint,
            before: None,
            rejected_only: false,
            limit: MOST_MISSED,
        };
        let newest_first = self.relay.store.list_events(query).await?;
        let missed = newest_first.into_iter().take_while(|it| it.info.id > last);
        self.missed = missed.map(views::event).collect();
        self.missed.make_contiguous().reverse();
        self.read = self.missed.iter().map(|it| it.info.id).collect();
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

    fn show(&mut self, summary: &EventSummary) -> Bytes {
        let id = summary.info.id;
        self.last = self.last.max(Some(id));
        // JSON has no line breaks of its own, so one `data` line holds it.
        let json = serde_json::to_string(summary).expect("a summary is plain data");
        let mut piece = String::with_capacity(json.len() + 64);
        let _ = write!(piece, "id: {id}\nevent: event\ndata: {json}\n\n");
        piece.into()
    }
}
