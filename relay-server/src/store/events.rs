//! Rows of events: written at the end of their endpoint, read by place and by id.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};
use towline_shared::event::{DeliveredRepeat, EventInfo, EventKind, HeadSource};
use towline_shared::id::{EndpointName, EventId, Seq};
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;

use super::error::Failure;
use super::memory::Counter;
use super::place::Place;
use super::readers::StoreReadError;
use super::repeats::sighting::{self, Sighting};
use super::writer::Writing;
use super::{Body, BodyFile, EndpointId, NewEvent, StoreError, StoredEvent};

/// What a page of events may hold in memory: the event that takes it over this is its last.
const PAGE_BYTES: usize = 256 * 1024;

const INSERT: &str = "INSERT INTO event
    (place, id, received_at, is_deliverable, ordinal, volume, facts, body_length, body_file, head, body)
    VALUES (:place, :id, :received_at, :is_deliverable, :ordinal, :volume, :facts, :body_length, :body_file,
            :head, :body)";

/// Columns that [`read_event`] takes, in its order.
macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT event.place, event.id, event.received_at, event.is_deliverable, event.facts, \
             event.body_length, event.body_file, event.head, event.body, endpoint.name \
             FROM event JOIN endpoint ON endpoint.endpoint_id = event.place >> 40 \
             AND endpoint.is_deleted = 0 ",
            $rest
        )
    };
}

const AFTER: &str = select_events!(
    "WHERE event.place > :after AND event.place <= :last ORDER BY event.place LIMIT :limit"
);
const BY_ID: &str = select_events!("WHERE event.id = :id");
const PLACE_OF: &str = "SELECT place FROM event WHERE id = :id";

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivered_repeat: Option<DeliveredRepeat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answered: Option<u16>,
}

/// Gives an event its place and writes its row; `facts` are those of [`facts_of`] for one that is no repeat.
pub(super) fn append(
    writing: &mut Writing<'_>,
    new: &NewEvent,
    facts: &str,
) -> Result<Arc<StoredEvent>, Failure> {
    let connection = writing.connection;
    let sighting = match new.remember {
        Some(what) => sighting::of(writing, new, what)?,
        None => Sighting::default(),
    };
    let Some(counter) = writing.memory.counter(connection, new.endpoint)? else {
        return Err(StoreError::missing("endpoint", &new.endpoint_name).into());
    };
    let is_deliverable = new.is_deliverable && !sighting.is_held_back();
    let size = new.head.as_bytes().len() as u64 + new.body.length();
    let next = Counter {
        seq: counter.seq + 1,
        ordinal: counter.ordinal + u64::from(is_deliverable),
        volume: counter.volume + u64::from(is_deliverable) * size,
    };
    let (file_name, inline) = match &new.body {
        Body::Inline(bytes) => ("", bytes.as_ref()),
        Body::File(file) => (file.name(), &[][..]),
    };
    let place = Place::new(new.endpoint, Seq(next.seq));
    let facts = match sighting.first {
        None => Cow::Borrowed(facts),
        Some(_) => Cow::Owned(facts_with(new, &sighting)),
    };
    connection.prepare_cached(INSERT)?.execute(named_params! {
        ":place": place,
        ":id": new.id.as_bytes(),
        ":received_at": new.received_at.as_millis().cast_signed(),
        ":is_deliverable": is_deliverable,
        ":ordinal": next.ordinal.cast_signed(),
        ":volume": next.volume.cast_signed(),
        ":facts": facts,
        ":body_length": new.body.length().cast_signed(),
        ":body_file": file_name,
        ":head": new.head.as_bytes().as_ref(),
        ":body": inline,
    })?;
    *counter = next;
    writing.memory.uses.count(new);
    for &mark in sighting.unknown.iter().flatten() {
        writing.memory.repeats.remember(place, mark, new.id);
    }
    let mut event = stored(new, Seq(next.seq));
    event.info.is_deliverable = is_deliverable;
    event.info.duplicate_of = sighting.first;
    event.info.delivered_repeat = sighting.delivered;
    let event = Arc::new(event);
    writing.events.push(Arc::clone(&event));
    Ok(event)
}

/// What stands in the row as JSON of an event that is no repeat, made by the caller so that the writer has less to do.
pub(super) fn facts_of(new: &NewEvent) -> String {
    facts_with(new, &Sighting::default())
}

fn facts_with(new: &NewEvent, sighting: &Sighting) -> String {
    let facts = Facts {
        remote: new.remote,
        tls: new.tls,
        kind: new.kind,
        verdict: Cow::Borrowed(&new.verdict),
        head_source: new.head_source,
        delivery_id: new.delivery_id.as_deref().map(Cow::Borrowed),
        event_type: new.event_type.as_deref().map(Cow::Borrowed),
        duplicate_of: sighting.first,
        delivered_repeat: sighting.delivered,
        answered: new.answered,
    };
    serde_json::to_string(&facts).expect("facts are plain data")
}

fn stored(new: &NewEvent, seq: Seq) -> StoredEvent {
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
            duplicate_of: None,
            delivered_repeat: None,
            answered: new.answered,
        },
        head: new.head.as_bytes().clone(),
        body: new.body.clone(),
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
    let mut bytes = 0;
    while bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let event = read_event(row, bodies)?;
        bytes += event.head.len();
        if let Body::Inline(inline) = &event.body {
            bytes += inline.len();
        }
        events.push(Arc::new(event));
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

/// Reads an event of a row whose columns stand in the order of [`select_events`].
pub(super) fn read_event(row: &Row<'_>, bodies: &Path) -> Result<StoredEvent, StoreReadError> {
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
            duplicate_of: facts.duplicate_of,
            delivered_repeat: facts.delivered_repeat,
            answered: facts.answered,
        },
        head: Bytes::from(row.get::<_, Vec<u8>>(7)?),
        body,
    })
}

/// A row that is not as it was written.
pub(super) fn damaged(error: impl std::fmt::Display) -> StoreReadError {
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
