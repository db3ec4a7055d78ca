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
use super::memory::{Counter, counter_at, trimmed};
use super::place::Place;
use super::readers::StoreReadError;
use super::writer::Writing;
use super::{
    Body, BodyFile, EndpointId, EventQuery, EventSummary, NewEvent, StoreError, StoredEvent,
};

/// How many events one step of a trim removes; LIMITS.md: larger steps make live writes wait.
const TRIM_STEP: i64 = 100;

/// What a page of events may hold in memory: the event that takes it over this is its last.
const PAGE_BYTES: usize = 256 * 1024;

/// The most events of a list.
const MOST_LISTED: usize = 1000;

const INSERT: &str = "INSERT INTO event
    (place, id, received_at, is_deliverable, ordinal, facts, body_length, body_file, head, body)
    VALUES (:place, :id, :received_at, :is_deliverable, :ordinal, :facts, :body_length, :body_file, :head, :body)";

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

/// Columns that [`read_summary`] takes, in its order: no body.
macro_rules! select_summaries {
    ($rest:literal) => {
        concat!(
            "SELECT event.place, event.id, event.received_at, event.is_deliverable, event.facts, \
             event.body_length, event.body_file, event.head, x'', endpoint.name, \
             (SELECT facts FROM attempt WHERE attempt.place = event.place \
              ORDER BY attempt_id DESC LIMIT 1) \
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
const PLACE_OF: &str = "SELECT place FROM event WHERE id = :id";
const RECEIVED_AT: &str = "SELECT received_at FROM event WHERE place = :place";
const ORDINAL: &str = "SELECT ordinal FROM event WHERE place = :place";
const FIRST_RECEIVED_SINCE: &str = "SELECT MIN(place) FROM event
    WHERE place >= :first AND place <= :last AND received_at >= :time";

/// Events that are read at the same time may be kept in another order than they came in: a search by time
/// looks back over so many.
const DISORDER: u64 = 512;

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

/// Gives an event its place and writes its row; `facts` are those of [`facts_of`].
pub(super) fn append(
    writing: &mut Writing<'_>,
    new: &NewEvent,
    facts: &str,
) -> Result<Arc<StoredEvent>, Failure> {
    let connection = writing.connection;
    let Some(counter) = writing.memory.counter(connection, new.endpoint)? else {
        return Err(StoreError::missing("endpoint", &new.endpoint_name).into());
    };
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
        ":facts": facts,
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

/// What stands in the event's row as JSON, made by the caller so that the writer has less to do.
pub(super) fn facts_of(new: &NewEvent) -> String {
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
        ":limit": query.limit.clamp(1, MOST_LISTED) as i64,
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

/// The kept places of an endpoint, oldest and newest, both included.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) endpoint: EndpointId,
    pub(super) oldest: u64,
    pub(super) newest: u64,
}

impl Kept {
    /// The first kept event that is the `ordinal`-th deliverable one or lies behind it; `newest + 1` without one.
    pub(super) fn first_with_ordinal(
        self,
        connection: &Connection,
        ordinal: u64,
    ) -> rusqlite::Result<u64> {
        self.first_with(connection, ORDINAL, ordinal)
    }

    /// The first kept event that was received at `time` or later; `newest + 1` without one.
    pub(super) fn first_received_at(
        self,
        connection: &Connection,
        time: Timestamp,
    ) -> rusqlite::Result<u64> {
        let found = self.first_with(connection, RECEIVED_AT, time.as_millis())?;
        let first = found.saturating_sub(DISORDER).max(self.oldest);
        let earlier: Option<i64> = connection.prepare_cached(FIRST_RECEIVED_SINCE)?.query_row(
            named_params! {
                ":first": Place::new(self.endpoint, Seq(first)),
                ":last": Place::new(self.endpoint, Seq(found)),
                ":time": time.as_millis().cast_signed(),
            },
            |row| row.get(0),
        )?;
        Ok(earlier.map_or(found, |place| Place::from_row(place).seq().0))
    }

    /// The first place where `query` gives `least` or more.
    fn first_with(self, connection: &Connection, query: &str, least: u64) -> rusqlite::Result<u64> {
        let mut query = connection.prepare_cached(query)?;
        self.first_where(|place| {
            let value: i64 =
                query.query_row(named_params! { ":place": place }, |row| row.get(0))?;
            Ok(value.cast_unsigned() >= least)
        })
    }

    /// The first place from which on the claim is true, by halving; `newest + 1` when it is true nowhere.
    fn first_where(
        self,
        mut is_true: impl FnMut(Place) -> rusqlite::Result<bool>,
    ) -> rusqlite::Result<u64> {
        let (mut low, mut high) = (self.oldest, self.newest + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_true(Place::new(self.endpoint, Seq(middle)))? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }
}

/// What a step of a trim has removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// How many events; zero when none was left.
    pub(super) events: u64,
    /// The files of their bodies, to be removed when the step is durable.
    pub(super) body_files: Vec<String>,
}

/// Removes the next few events up to `through`, with their attempts and replays.
pub(super) fn trim_step(
    connection: &Connection,
    endpoint: EndpointId,
    through: Seq,
) -> Result<Removed, Failure> {
    let first = Place::first(endpoint);
    let end: Option<i64> = connection.prepare_cached(TRIM_END)?.query_row(
        named_params! { ":first": first, ":through": Place::new(endpoint, through), ":step": TRIM_STEP },
        |row| row.get(0),
    )?;
    let Some(end) = end.map(Place::from_row) else {
        return Ok(Removed::default());
    };
    let range = named_params! { ":first": first, ":through": end };
    let counter = counter_at(connection, endpoint, end)?;
    let body_files = connection
        .prepare_cached(TRIM_FILES)?
        .query_map(range, |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    connection.prepare_cached(TRIM_ATTEMPTS)?.execute(range)?;
    connection.prepare_cached(TRIM_REPLAYS)?.execute(range)?;
    let events = connection.prepare_cached(TRIM_EVENTS)?.execute(range)?;
    connection.prepare_cached(TRIMMED)?.execute(named_params! {
        ":through": counter.seq.cast_signed(),
        ":ordinal": counter.ordinal.cast_signed(),
        ":endpoint": endpoint.0,
    })?;
    Ok(Removed {
        events: events as u64,
        body_files,
    })
}
