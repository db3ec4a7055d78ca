//! Rows of consumers: where each began, how far it has come, how much waits for it.

use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use towline_shared::id::{ConsumerName, Seq};
use towline_shared::time::Timestamp;
use towline_shared::wire::Start;

use super::error::Failure;
use super::events;
use super::kept::Kept;
use super::memory::{Counter, counter_at, trimmed};
use super::place::Place;
use super::progress::Progress;
use super::readers::StoreReadError;
use super::writer::Writing;
use super::{ConsumerId, ConsumerInfo, EndpointId, OpenedConsumer, Store, StoreError};

const FIND: &str =
    "SELECT consumer_id, filter FROM consumer WHERE endpoint = :endpoint AND name = :name";
const SET_FILTER: &str = "UPDATE consumer SET filter = :filter WHERE consumer_id = :consumer";
const CREATE: &str = "INSERT INTO consumer (endpoint, name, cursor, ahead, created_at)
    VALUES (:endpoint, :name, :cursor, '{\"settled\":[],\"attempts\":{}}', :now)";
const COUNT: &str = "SELECT count(*) FROM consumer WHERE endpoint = :endpoint";
const REMOVE: &str = "DELETE FROM consumer WHERE consumer_id = :consumer";
const PENDING_FILES: &str = "SELECT request_body_file FROM replay
    WHERE consumer = :consumer AND is_settled = 0 AND request_body_file <> ''";
const REMOVE_PENDING: &str = "DELETE FROM replay WHERE consumer = :consumer AND is_settled = 0";
const LIST: &str =
    "SELECT consumer_id, name, cursor, ahead, created_at, filter, last_outcome FROM consumer
    WHERE endpoint = :endpoint ORDER BY name";

const RECEIVED_AT: &str = "SELECT received_at FROM event WHERE place = :place";

/// Consumers of one endpoint. Each is a row that stays until somebody deletes it, and clients choose their names.
const MOST_CONSUMERS: u32 = 1000;

/// Moving and removing consumers.
impl Store {
    /// Moves a consumer to another place of its endpoint. What it had settled behind that comes again, and what
    /// waits before it does not come. A session that serves the consumer must begin anew after it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such consumer, or the event to go on with is not one of its
    /// endpoint.
    pub async fn reset_consumer(
        &self,
        consumer: ConsumerId,
        start: Start,
    ) -> Result<(), StoreError> {
        self.write(move |writing| reset(writing, consumer, start))
            .await
    }

    /// Removes a consumer and the replays that wait for it.
    ///
    /// # Errors
    /// [`StoreError::Missing`].
    pub async fn remove_consumer(&self, consumer: ConsumerId) -> Result<(), StoreError> {
        let body_files = self.write(move |writing| remove(writing, consumer)).await?;
        self.remove_bodies(body_files).await;
        Ok(())
    }
}

/// Finds the consumer, or makes it at `start`.
pub(super) fn open(
    writing: &mut Writing<'_>,
    endpoint: EndpointId,
    name: &ConsumerName,
    start: Start,
    now: Timestamp,
) -> Result<OpenedConsumer, Failure> {
    let connection = writing.connection;
    let Some(&mut newest) = writing.memory.counter(connection, endpoint)? else {
        return Err(StoreError::missing("endpoint", &endpoint.0).into());
    };
    let trimmed = trimmed(connection, endpoint)?;
    let found: Option<(i64, String)> = connection
        .prepare_cached(FIND)?
        .query_row(
            named_params! { ":endpoint": endpoint.0, ":name": name.as_str() },
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let is_new = found.is_none();
    let (id, filter) = match found {
        Some((id, filter)) => (ConsumerId(id), filter),
        None => {
            check_room(connection, endpoint)?;
            let cursor = start_cursor(connection, endpoint, start, trimmed, newest)?;
            connection.prepare_cached(CREATE)?.execute(named_params! {
                ":endpoint": endpoint.0,
                ":name": name.as_str(),
                ":cursor": cursor.cast_signed(),
                ":now": now.as_millis().cast_signed(),
            })?;
            (ConsumerId(connection.last_insert_rowid()), String::new())
        }
    };
    pass_to_next_deliverable(writing, id, trimmed, newest)?;
    let Some(remembered) = writing.memory.consumer(connection, id)? else {
        return Err(StoreError::missing("consumer", name).into());
    };
    let progress = &remembered.progress;
    let before_start = ordinal_at(connection, endpoint, progress.cursor, trimmed)?;
    Ok(OpenedConsumer {
        id,
        cursor: Seq(progress.cursor),
        settled_ahead: pairs(progress),
        is_new,
        backlog: backlog(connection, endpoint, progress, trimmed, newest)?,
        earlier: if is_new {
            before_start.saturating_sub(trimmed.ordinal)
        } else {
            0
        },
        attempts: attempts_of(progress),
        oldest_kept: Seq(trimmed.seq + 1),
        filter,
    })
}

fn check_room(connection: &Connection, endpoint: EndpointId) -> Result<(), Failure> {
    let count: u32 = connection
        .prepare_cached(COUNT)?
        .query_row(named_params! { ":endpoint": endpoint.0 }, |row| row.get(0))?;
    if count >= MOST_CONSUMERS {
        let (what, most) = ("consumers", MOST_CONSUMERS);
        return Err(StoreError::TooMany { what, most }.into());
    }
    Ok(())
}

/// Removes a consumer with the replays that wait for it; what it did stays on record with its name. Returns the files
/// of bodies that those replays had.
pub(super) fn remove(
    writing: &mut Writing<'_>,
    consumer: ConsumerId,
) -> Result<Vec<String>, Failure> {
    let which = named_params! { ":consumer": consumer.0 };
    let removed = writing.connection.prepare_cached(REMOVE)?.execute(which)?;
    if removed == 0 {
        return Err(StoreError::missing("consumer", &consumer.0).into());
    }
    let body_files = writing
        .connection
        .prepare_cached(PENDING_FILES)?
        .query_map(which, |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    writing
        .connection
        .prepare_cached(REMOVE_PENDING)?
        .execute(which)?;
    writing.memory.forget_consumer(consumer);
    Ok(body_files)
}

/// Moves the cursor to right before the next deliverable event, so that no session reads over a long run of
/// rejected ones again. A gap that retention left stays, for the session to tell of.
fn pass_to_next_deliverable(
    writing: &mut Writing<'_>,
    consumer: ConsumerId,
    trimmed: Counter,
    newest: Counter,
) -> Result<(), Failure> {
    let connection = writing.connection;
    while let Some(remembered) = writing.memory.consumer(connection, consumer)? {
        let endpoint = remembered.endpoint;
        let cursor = remembered.progress.cursor;
        if cursor < trimmed.seq {
            break;
        }
        let ordinal = ordinal_at(connection, endpoint, cursor, trimmed)?;
        let behind = Kept {
            endpoint,
            oldest: cursor + 1,
            newest: newest.seq,
        };
        let next = match ordinal < newest.ordinal {
            true => behind.first_with_ordinal(connection, ordinal + 1)?,
            false => newest.seq + 1,
        };
        if next <= cursor + 1 {
            break;
        }
        writing.memory.change(connection, consumer, |progress| {
            progress.settle(cursor + 1, next - 1);
        })?;
    }
    Ok(())
}

fn pairs(progress: &Progress) -> Vec<(Seq, Seq)> {
    let ranges = progress.ahead.settled.iter();
    ranges.map(|&(from, to)| (Seq(from), Seq(to))).collect()
}

fn attempts_of(progress: &Progress) -> Vec<(Seq, u32)> {
    let attempts = progress.ahead.attempts.iter();
    attempts.map(|(&seq, &count)| (Seq(seq), count)).collect()
}

/// The cursor of a consumer that starts there.
fn start_cursor(
    connection: &Connection,
    endpoint: EndpointId,
    start: Start,
    trimmed: Counter,
    newest: Counter,
) -> Result<u64, Failure> {
    let before = |seq: u64| seq.saturating_sub(1).max(trimmed.seq);
    let kept = Kept {
        endpoint,
        oldest: trimmed.seq + 1,
        newest: newest.seq,
    };
    Ok(match start {
        Start::Now => newest.seq,
        Start::Beginning => trimmed.seq,
        Start::Last if newest.ordinal == trimmed.ordinal => newest.seq,
        Start::Last => before(kept.first_with_ordinal(connection, newest.ordinal)?),
        Start::Time(time) => before(kept.first_received_at(connection, time)?),
        Start::Event(id) => match events::place_of(connection, id)? {
            Some(place) if place.endpoint() == endpoint => before(place.seq().0),
            _ => return Err(StoreError::missing("event", &id).into()),
        },
    })
}

/// How many deliverable events there were up to a place.
fn ordinal_at(
    connection: &Connection,
    endpoint: EndpointId,
    seq: u64,
    trimmed: Counter,
) -> rusqlite::Result<u64> {
    if seq <= trimmed.seq {
        return Ok(trimmed.ordinal);
    }
    Ok(counter_at(connection, endpoint, Place::new(endpoint, Seq(seq)))?.ordinal)
}

/// Deliverable events that wait: all after the cursor without those that are settled ahead of it.
fn backlog(
    connection: &Connection,
    endpoint: EndpointId,
    progress: &Progress,
    trimmed: Counter,
    newest: Counter,
) -> rusqlite::Result<u64> {
    let behind = ordinal_at(connection, endpoint, progress.cursor, trimmed)?;
    let mut waiting = newest.ordinal.saturating_sub(behind);
    for &(from, to) in &progress.ahead.settled {
        let before = ordinal_at(connection, endpoint, from - 1, trimmed)?;
        let through = ordinal_at(connection, endpoint, to, trimmed)?;
        waiting = waiting.saturating_sub(through - before);
    }
    Ok(waiting)
}

/// When the first deliverable event after the cursor came. The cursor stands before one that is not settled.
fn oldest_waiting(
    connection: &Connection,
    endpoint: EndpointId,
    progress: &Progress,
    trimmed: Counter,
    newest: Counter,
) -> rusqlite::Result<Option<Timestamp>> {
    let ordinal = ordinal_at(connection, endpoint, progress.cursor, trimmed)?;
    let behind = Kept {
        endpoint,
        oldest: progress.cursor.max(trimmed.seq) + 1,
        newest: newest.seq,
    };
    let first = behind.first_with_ordinal(connection, ordinal + 1)?;
    connection
        .prepare_cached(RECEIVED_AT)?
        .query_row(
            named_params! { ":place": Place::new(endpoint, Seq(first)) },
            |row| row.get::<_, i64>(0),
        )
        .optional()
        .map(|millis| millis.map(|millis| Timestamp::from_millis(millis.cast_unsigned())))
}

/// Moves a consumer to another place of its endpoint: what it had settled behind that comes again.
pub(super) fn reset(
    writing: &mut Writing<'_>,
    consumer: ConsumerId,
    start: Start,
) -> Result<(), Failure> {
    let connection = writing.connection;
    let Some(remembered) = writing.memory.consumer(connection, consumer)? else {
        return Err(StoreError::missing("consumer", &consumer.0).into());
    };
    let endpoint = remembered.endpoint;
    let Some(&mut newest) = writing.memory.counter(connection, endpoint)? else {
        return Err(StoreError::missing("endpoint", &endpoint.0).into());
    };
    let trimmed = trimmed(connection, endpoint)?;
    let cursor = start_cursor(connection, endpoint, start, trimmed, newest)?;
    writing.memory.change(connection, consumer, |progress| {
        *progress = Progress {
            cursor,
            ..Progress::default()
        };
    })?;
    Ok(())
}

/// The consumers of an endpoint.
pub(super) fn list(
    connection: &Connection,
    endpoint: EndpointId,
) -> Result<Vec<ConsumerInfo>, StoreReadError> {
    let newest = counter_at(connection, endpoint, Place::last(endpoint))?;
    let trimmed = trimmed(connection, endpoint)?;
    let mut query = connection.prepare_cached(LIST)?;
    let mut rows = query.query(named_params! { ":endpoint": endpoint.0 })?;
    let mut consumers = Vec::new();
    while let Some(row) = rows.next()? {
        let ahead: String = row.get(3)?;
        let progress = Progress {
            cursor: row.get::<_, i64>(2)?.cast_unsigned(),
            ahead: serde_json::from_str(&ahead).unwrap_or_default(),
        };
        let backlog = backlog(connection, endpoint, &progress, trimmed, newest)?;
        let oldest_waiting = match backlog {
            0 => None,
            _ => oldest_waiting(connection, endpoint, &progress, trimmed, newest)?,
        };
        let last_outcome: String = row.get(6)?;
        consumers.push(ConsumerInfo {
            id: ConsumerId(row.get(0)?),
            name: parsed(row, 1)?,
            cursor: Seq(progress.cursor),
            backlog,
            oldest_waiting,
            last_outcome: serde_json::from_str(&last_outcome).ok(),
            created_at: Timestamp::from_millis(row.get::<_, i64>(4)?.cast_unsigned()),
            filter: Some(row.get(5)?).filter(|filter: &String| !filter.is_empty()),
            filtered: progress.ahead.filtered,
        });
    }
    Ok(consumers)
}

/// Notes which events the consumer wants; empty for all.
pub(super) fn set_filter(
    writing: &Writing<'_>,
    consumer: ConsumerId,
    filter: &str,
) -> Result<(), Failure> {
    writing
        .connection
        .prepare_cached(SET_FILTER)?
        .execute(named_params! { ":filter": filter, ":consumer": consumer.0 })?;
    Ok(())
}

/// Settles places that the consumer does not get, both ends included; never one that no event has had yet. So many
/// of them were left out by its filter.
pub(super) fn skip(
    writing: &mut Writing<'_>,
    consumer: ConsumerId,
    (from, to): (Seq, Seq),
    filtered: u64,
) -> Result<(), Failure> {
    let connection = writing.connection;
    let Some(remembered) = writing.memory.consumer(connection, consumer)? else {
        return Err(StoreError::missing("consumer", &consumer.0).into());
    };
    let endpoint = remembered.endpoint;
    let newest = writing.memory.counter(connection, endpoint)?;
    if newest.is_none_or(|newest| to.0 > newest.seq) {
        return Err(StoreError::missing("event", &to).into());
    }
    Ok(writing.memory.change(connection, consumer, |progress| {
        progress.settle(from.0, to.0);
        progress.ahead.filtered += filtered;
    })?)
}

/// Settles places, both ends included.
pub(super) fn settle(
    writing: &mut Writing<'_>,
    consumer: ConsumerId,
    from: u64,
    to: u64,
) -> rusqlite::Result<()> {
    writing
        .memory
        .change(writing.connection, consumer, |progress| {
            progress.settle(from, to);
        })
}

/// Reads a name from a row.
pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> Result<T, StoreReadError> {
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|_| StoreError::Failed(format!("a row holds the malformed name `{text}`")).into())
}
