//! Rows of events: written at the end of their endpoint, read by place and by id, trimmed from the front.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};
use towline_shared::event::{EventInfo, EventKind, HeadSource};
use towline_shared::head::Head;
use towline_shared::id::{EndpointName, EventId, Seq};
use towline_shared::outcome::Attempt;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;

use super::error::Failure;
use super::memory::{Counter, counter_at};
use super::place::Place;
use super::readers::StoreReadError;
use super::writer::Writing;
use super::{
    Body, BodyFile, EndpointId, EventQuery, EventSummary, NewEvent, StoreError, StoredEvent,
};

/// How many events one step of a trim removes; LIMITS.md: larger steps make live writes wait.
const TRIM_STEP: i64 = 100;

const INSERT: &str = "INSERT INTO event
    (place, id, received_at, is_deliverable, ordinal, facts, body_length, body_file, head, body)
    VALUES (:place, :id, :received_at, :is_deliverable, :ordinal, :facts, :body_length, :body_file, :head, :body)";
const ENDPOINT_EXISTS: &str =
    "SELECT EXISTS (SELECT 1 FROM endpoint WHERE endpoint_id = :endpoint AND is_deleted = 0)";

/// Columns that [`read_event`] takes, in its order.
macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT event.place, event.id, event.received_at, event.is_deliverable, event.facts, \
             event.body_length, event.body_file, event.head, event.body, endpoint.name \
             FROM event JOIN endpoint ON endpoint.endpoint_id = event.place >> 40 ",
            $rest
        )
    };
}

/// Columns that [`read_summary`] takes, in its order: no body.
macro_rules! select_summaries {
    ($rest:literal) => {
        concat!(
            "SELECT event.place, event.id, event.received_at, event.is_deliverable, event.facts, \
             event.body_length, event.body_file, event.head, x'', endpoint.name, \
             (SELECT facts FROM attempt WHERE attempt.place = event.place \
              ORDER BY attempt_id DESC LIMIT 1) \
             FROM event JOIN endpoint ON endpoint.endpoint_id = event.place >> 40 ",
            $rest
        )
    };
}

const AFTER: &str = select_events!(
    "WHERE event.place > :after AND event.place <= :last ORDER BY event.place LIMIT :limit"
);
const BY_ID: &str = select_events!("WHERE event.id = :id");
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

const PLACE_OF: &str = "SELECT place FROM event WHERE id = :id";
const RECEIVED_AT: &str = "SELECT received_at FROM event WHERE place = :place";
const LAST_DELIVERABLE: &str = "SELECT place FROM event WHERE place > :first AND place <= :last
    AND is_deliverable = 1 ORDER BY place DESC LIMIT 1";

const TRIM_FILES: &str = "SELECT body_file FROM event
    WHERE place > :first AND place <= :through AND body_file <> ''";
const TRIM_END: &str = "SELECT MAX(place) FROM (SELECT place FROM event
    WHERE place > :first AND place <= :through ORDER BY place LIMIT :step)";
const TRIM_ATTEMPTS: &str = "DELETE FROM attempt WHERE place > :first AND place <= :through";
const TRIM_REPLAYS: &str = "DELETE FROM replay WHERE place > :first AND place <= :through";
const TRIM_EVENTS: &str = "DELETE FROM event WHERE place > :first AND place <= :through";
const TRIMMED: &str = "UPDATE endpoint SET trimmed_through = :through, trimmed_ordinal = :ordinal
    WHERE endpoint_id = :endpoint";

/// What stands in an event's row as JSON.
#[derive(Serialize, Deserialize)]
struct Facts<'a> {
    remote: IpAddr,
    tls: bool,
    kind: EventKind,
    verdict: Cow<'a, Verdict>,
    head_source: HeadSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_type: Option<Cow<'a, str>>,
}

/// Gives an event its place and writes its row.
pub(super) fn append(
    writing: &mut Writing<'_>,
    new: &NewEvent,
) -> Result<Arc<StoredEvent>, Failure> {
    let connection = writing.connection;
    let exists: bool = connection
        .prepare_cached(ENDPOINT_EXISTS)?
        .query_row(named_params! { ":endpoint": new.endpoint.0 }, |row| {
            row.get(0)
        })?;
    if !exists {
        return Err(StoreError::missing("endpoint", &new.endpoint_name).into());
    }
    let counter = writing.memory.counter(connection, new.endpoint)?;
    let next = Counter {
        seq: counter.seq + 1,
        ordinal: counter.ordinal + u64::from(new.is_deliverable),
    };
    let (file_name, inline) = match &new.body {
        Body::Inline(bytes) => ("", bytes.as_ref()),
        Body::File(file) => (file.name(), &[][..]),
    };
    connection.prepare_cached(INSERT)?.execute(named_params! {
        ":place": Place::new(new.endpoint, Seq(next.seq)),
        ":id": new.id.as_bytes(),
        ":received_at": new.received_at.as_millis().cast_signed(),
        ":is_deliverable": new.is_deliverable,
        ":ordinal": next.ordinal.cast_signed(),
        ":facts": facts_of(new),
        ":body_length": new.body.length().cast_signed(),
        ":body_file": file_name,
        ":head": new.head.as_bytes().as_ref(),
        ":body": inline,
    })?;
    *counter = next;
    let event = Arc::new(stored(new, Seq(next.seq)));
    writing.events.push(Arc::clone(&event));
    Ok(event)
}

fn facts_of(new: &NewEvent) -> String {
    let facts = Facts {
        remote: new.remote,
        tls: new.tls,
        kind: new.kind,
        verdict: Cow::Borrowed(&new.verdict),
        head_source: new.head_source,
        delivery_id: new.delivery_id.as_deref().map(Cow::Borrowed),
        event_type: new.event_type.as_deref().map(Cow::Borrowed),
    };
    serde_json::to_string(&facts).expect("facts are plain data")
}

fn stored(new: &NewEvent, seq: Seq) -> StoredEvent {
    let body = match &new.body {
        Body::Inline(bytes) => Body::Inline(bytes.clone()),
        Body::File(file) => Body::File(BodyFile::kept(file.path().to_owned(), file.length())),
    };
    StoredEvent {
        endpoint: new.endpoint,
        info: EventInfo {
            id: new.id,
            seq,
            endpoint: new.endpoint_name.clone(),
            received_at: new.received_at,
            remote: new.remote,
            tls: new.tls,
            kind: new.kind,
            verdict: new.verdict.clone(),
            is_deliverable: new.is_deliverable,
            head_source: new.head_source,
            body_length: new.body.length(),
            delivery_id: new.delivery_id.clone(),
            event_type: new.event_type.clone(),
        },
        head: new.head.as_bytes().clone(),
        body,
    }
}

/// Reads on from a place.
pub(super) fn after(
    connection: &Connection,
    bodies: &Path,
    endpoint: EndpointId,
    after: Seq,
    limit: usize,
) -> Result<Vec<Arc<StoredEvent>>, StoreReadError> {
    let mut query = connection.prepare_cached(AFTER)?;
    let mut rows = query.query(named_params! {
        ":after": Place::new(endpoint, after),
        ":last": Place::last(endpoint),
        ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
    })?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(Arc::new(read_event(row, bodies)?));
    }
    Ok(events)
}

/// Reads one event.
pub(super) fn by_id(
    connection: &Connection,
    bodies: &Path,
    id: EventId,
) -> Result<Option<Arc<StoredEvent>>, StoreReadError> {
    let mut query = connection.prepare_cached(BY_ID)?;
    let mut rows = query.query(named_params! { ":id": id.as_bytes() })?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(Arc::new(read_event(row, bodies)?)))
}

/// Reads a page, newest first.
pub(super) fn list(
    connection: &Connection,
    bodies: &Path,
    query: &EventQuery,
) -> Result<Vec<EventSummary>, StoreReadError> {
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
        ":limit": i64::try_from(query.limit).unwrap_or(i64::MAX),
    })?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read_summary(row, bodies)?);
    }
    Ok(events)
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
        _ => (Place::last(endpoint), before),
    })
}

fn read_summary(row: &Row<'_>, bodies: &Path) -> Result<EventSummary, StoreReadError> {
    let event = read_event(row, bodies)?;
    let latest: Option<String> = row.get(10)?;
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

fn read_event(row: &Row<'_>, bodies: &Path) -> Result<StoredEvent, StoreReadError> {
    let place = Place::from_row(row.get(0)?);
    let facts = row.get_ref(4)?.as_str().map_err(damaged)?;
    let facts: Facts<'_> = serde_json::from_str(facts).map_err(damaged)?;
    let body_length = row.get::<_, i64>(5)?.cast_unsigned();
    let file_name = row.get_ref(6)?.as_str().map_err(damaged)?;
    let body = if file_name.is_empty() {
        Body::Inline(Bytes::from(row.get::<_, Vec<u8>>(8)?))
    } else {
        Body::File(BodyFile::kept(bodies.join(file_name), body_length))
    };
    let name = row.get_ref(9)?.as_str().map_err(damaged)?;
    Ok(StoredEvent {
        endpoint: place.endpoint(),
        info: EventInfo {
            id: EventId::from_bytes(row.get(1)?),
            seq: place.seq(),
            endpoint: name.parse::<EndpointName>().map_err(damaged)?,
            received_at: Timestamp::from_millis(row.get::<_, i64>(2)?.cast_unsigned()),
            remote: facts.remote,
            tls: facts.tls,
            kind: facts.kind,
            verdict: facts.verdict.into_owned(),
            is_deliverable: row.get(3)?,
            head_source: facts.head_source,
            body_length,
            delivery_id: facts.delivery_id.map(Cow::into_owned),
            event_type: facts.event_type.map(Cow::into_owned),
        },
        head: Bytes::from(row.get::<_, Vec<u8>>(7)?),
        body,
    })
}

fn damaged(error: impl std::fmt::Display) -> StoreReadError {
    StoreError::Failed(format!("a row of the database cannot be read: {error}")).into()
}

/// Where the event with this id lies.
pub(super) fn place_of(connection: &Connection, id: EventId) -> rusqlite::Result<Option<Place>> {
    connection
        .prepare_cached(PLACE_OF)?
        .query_row(named_params! { ":id": id.as_bytes() }, |row| {
            row.get(0).map(Place::from_row)
        })
        .optional()
}

/// The newest event that consumers get.
pub(super) fn last_deliverable(
    connection: &Connection,
    endpoint: EndpointId,
) -> rusqlite::Result<Option<Seq>> {
    connection
        .prepare_cached(LAST_DELIVERABLE)?
        .query_row(
            named_params! { ":first": Place::first(endpoint), ":last": Place::last(endpoint) },
            |row| row.get(0).map(|place| Place::from_row(place).seq()),
        )
        .optional()
}

/// The first place between `oldest` and `newest` whose event was received at `time` or later, by halving.
pub(super) fn first_received_at(
    connection: &Connection,
    endpoint: EndpointId,
    (oldest, newest): (u64, u64),
    time: Timestamp,
) -> rusqlite::Result<u64> {
    let (mut low, mut high) = (oldest, newest + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let received_at: Option<i64> = connection
            .prepare_cached(RECEIVED_AT)?
            .query_row(
                named_params! { ":place": Place::new(endpoint, Seq(middle)) },
                |row| row.get(0),
            )
            .optional()?;
        if received_at.is_some_and(|at| at.cast_unsigned() < time.as_millis()) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// Removes the next few events up to `through`, with their attempts and replays; zero when none is left.
pub(super) fn trim_step(
    writing: &mut Writing<'_>,
    bodies: &Path,
    endpoint: EndpointId,
    through: Seq,
) -> Result<u64, Failure> {
    let connection = writing.connection;
    let first = Place::first(endpoint);
    let end: Option<i64> = connection.prepare_cached(TRIM_END)?.query_row(
        named_params! { ":first": first, ":through": Place::new(endpoint, through), ":step": TRIM_STEP },
        |row| row.get(0),
    )?;
    let Some(end) = end.map(Place::from_row) else {
        return Ok(0);
    };
    let range = named_params! { ":first": first, ":through": end };
    let counter = counter_at(connection, endpoint, end)?;
    let mut files = connection.prepare_cached(TRIM_FILES)?;
    for name in files.query_map(range, |row| row.get::<_, String>(0))? {
        writing.unnamed_files.push(bodies.join(name?));
    }
    connection.prepare_cached(TRIM_ATTEMPTS)?.execute(range)?;
    connection.prepare_cached(TRIM_REPLAYS)?.execute(range)?;
    let removed = connection.prepare_cached(TRIM_EVENTS)?.execute(range)?;
    connection.prepare_cached(TRIMMED)?.execute(named_params! {
        ":through": counter.seq.cast_signed(),
        ":ordinal": counter.ordinal.cast_signed(),
        ":endpoint": endpoint.0,
    })?;
    Ok(removed as u64)
}
