//! Pages of events, newest first, each with its latest attempt: all of them, or those that a filter means.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, named_params};
use towline_shared::filter::{Facts, Filter, MAX_FILTER_BODY_BYTES};
use towline_shared::head::Head;
use towline_shared::id::{EventId, Seq};
use towline_shared::outcome::Attempt;

use super::events::{damaged, place_of, read_event};
use super::kept::Kept;
use super::memory::{counter_at, trimmed};
use super::place::Place;
use super::readers::StoreReadError;
use super::{Body, EndpointId, EventQuery, EventSummary, FoundEvents, StoredEvent};

/// The most events of a list.
const MOST_LISTED: usize = 1000;

/// What one search looks through at most before it says where to go on: events, bytes of bodies, and time. A reader
/// serves others as well.
const MOST_SEARCHED: usize = 5000;
const MOST_SEARCHED_BYTES: u64 = 32 * 1024 * 1024;
const SEARCH_TIME: Duration = Duration::from_millis(250);

/// Columns that [`each`] takes, in its order; the body only when it is asked for.
macro_rules! select_summaries {
    ($rest:literal) => {
        concat!(
            "SELECT event.place, event.id, event.received_at, event.is_deliverable, event.facts, \
             event.body_length, event.body_file, event.head, \
             iif(:with_body, event.body, x''), endpoint.name, \
             (SELECT facts FROM attempt WHERE attempt.place = event.place \
              ORDER BY attempt_id DESC LIMIT 1) \
             FROM event JOIN endpoint ON endpoint.endpoint_id = event.place >> 40 \
             AND endpoint.is_deleted = 0 ",
            $rest
        )
    };
}
const LIST: &str = select_summaries!(
    "WHERE event.id < :before AND :first < :last ORDER BY event.id DESC LIMIT :limit"
);
const LIST_REJECTED: &str = select_summaries!(
    "WHERE event.id < :before AND :first < :last AND event.is_deliverable = 0 ORDER BY event.id DESC LIMIT :limit"
);
const LIST_OF_ENDPOINT: &str = select_summaries!(
    "WHERE event.place > :first AND event.place <= :last AND event.id < :before
     ORDER BY event.place DESC LIMIT :limit"
);
const LIST_REJECTED_OF_ENDPOINT: &str = select_summaries!(
    "WHERE event.place > :first AND event.place <= :last AND event.id < :before
     AND event.is_deliverable = 0 ORDER BY event.place DESC LIMIT :limit"
);
const ID_AT: &str = "SELECT id FROM event WHERE place = :place";

/// Reads a page, newest first.
pub(super) fn list(
    connection: &Connection,
    bodies: &Path,
    query: &EventQuery,
) -> Result<Vec<EventSummary>, StoreReadError> {
    let mut events = Vec::new();
    let limit = query.limit.clamp(1, MOST_LISTED);
    each(
        connection,
        bodies,
        query,
        (limit, false),
        |event, latest| {
            events.push(summary(event, latest)?);
            Ok(true)
        },
    )?;
    Ok(events)
}

/// Looks for events that a filter means, newest first.
pub(super) fn search(
    connection: &Connection,
    bodies: &Path,
    query: &EventQuery,
    filter: &Filter,
) -> Result<FoundEvents, StoreReadError> {
    let start = Instant::now();
    let mut found = FoundEvents::default();
    let (mut searched, mut bytes) = (0, 0);
    each(
        connection,
        bodies,
        query,
        (MOST_SEARCHED, filter.reads_body()),
        |event, latest| {
            let id = event.info.id;
            searched += 1;
            bytes += event.info.body_length.min(MAX_FILTER_BODY_BYTES);
            if is_meant(filter, &event) {
                found.events.push(summary(event, latest)?);
            }
            let is_enough = found.events.len() >= query.limit.clamp(1, MOST_LISTED)
                || searched >= MOST_SEARCHED
                || bytes >= MOST_SEARCHED_BYTES
                || start.elapsed() >= SEARCH_TIME;
            found.next = is_enough.then_some(id);
            Ok(!is_enough)
        },
    )?;
    Ok(found)
}

/// A long body is read from its file; one that is gone is missing.
fn is_meant(filter: &Filter, event: &StoredEvent) -> bool {
    let from_file = match &event.body {
        Body::File(file) if filter.reads_body() && file.length() <= MAX_FILTER_BODY_BYTES => {
            std::fs::read(file.path()).ok()
        }
        _ => None,
    };
    let body = match &event.body {
        Body::Inline(bytes) => Some(bytes.as_ref()),
        Body::File(_) => from_file.as_deref(),
    };
    filter.is_match(&Facts {
        info: &event.info,
        head: &event.head,
        body,
    })
}

/// Gives the events one by one with the facts of their latest attempts, newest first, as long as more are wanted.
fn each(
    connection: &Connection,
    bodies: &Path,
    query: &EventQuery,
    (limit, with_body): (usize, bool),
    mut take: impl FnMut(StoredEvent, Option<String>) -> Result<bool, StoreReadError>,
) -> Result<(), StoreReadError> {
    let statement = match (query.endpoint, query.rejected_only) {
        (None, false) => LIST,
        (None, true) => LIST_REJECTED,
        (Some(_), false) => LIST_OF_ENDPOINT,
        (Some(_), true) => LIST_REJECTED_OF_ENDPOINT,
    };
    let endpoint = query.endpoint.unwrap_or(EndpointId(0));
    let (last, before) = page_start(connection, endpoint, query.before)?;
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(named_params! {
        ":first": Place::first(endpoint),
        ":last": last,
        ":before": before.as_bytes(),
        ":limit": limit as i64,
        ":with_body": with_body,
    })?;
    while let Some(row) = rows.next()? {
        if !take(read_event(row, bodies)?, row.get(10)?)? {
            break;
        }
    }
    Ok(())
}

/// Where a page begins: by place within an endpoint, whose events are listed by `seq`; by id among all.
fn page_start(
    connection: &Connection,
    endpoint: EndpointId,
    before: Option<EventId>,
) -> rusqlite::Result<(Place, EventId)> {
    let newest = EventId::from_bytes([0xff; 16]);
    let Some(before) = before else {
        return Ok((Place::last(endpoint), newest));
    };
    Ok(match place_of(connection, before)? {
        Some(place) if place.endpoint() == endpoint => (
            Place::new(endpoint, Seq(place.seq().0.saturating_sub(1))),
            newest,
        ),
        // Of another endpoint, or trimmed: the page begins where its id would stand.
        _ if endpoint.0 != 0 => (place_before(connection, endpoint, before)?, newest),
        _ => (Place::last(endpoint), before),
    })
}

fn place_before(
    connection: &Connection,
    endpoint: EndpointId,
    id: EventId,
) -> rusqlite::Result<Place> {
    let kept = Kept {
        endpoint,
        oldest: trimmed(connection, endpoint)?.seq + 1,
        newest: counter_at(connection, endpoint, Place::last(endpoint))?.seq,
    };
    let mut id_at = connection.prepare_cached(ID_AT)?;
    let first = kept.first_where(|place| {
        let found: [u8; 16] =
            id_at.query_row(named_params! { ":place": place }, |row| row.get(0))?;
        Ok(found >= *id.as_bytes())
    })?;
    Ok(Place::new(endpoint, Seq(first.saturating_sub(1))))
}

fn summary(event: StoredEvent, latest: Option<String>) -> Result<EventSummary, StoreReadError> {
    let latest_attempt: Option<Attempt> = latest
        .map(|facts| serde_json::from_str(&facts).map_err(damaged))
        .transpose()?;
    let head = Head::parse(event.head).map_err(damaged)?;
    Ok(EventSummary {
        method: head.method().to_owned(),
        target: String::from_utf8_lossy(head.target()).into_owned(),
        info: event.info,
        latest_attempt,
    })
}
