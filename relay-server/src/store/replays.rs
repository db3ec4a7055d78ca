//! Rows of replays: kept events that somebody asked to have delivered again, some with a request of their own.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, named_params};
use serde::{Deserialize, Serialize};
use towline_shared::hop::Change;
use towline_shared::id::{EventId, ReplayId};
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;

use super::error::Failure;
use super::events::{self, damaged};
use super::readers::StoreReadError;
use super::writer::Writing;
use super::{
    Body, BodyFile, ConsumerId, PendingReplay, ReplayRequest, Store, StoreError, StoredEvent,
};

const ADD_REPLAY: &str = "INSERT INTO replay (id, place, consumer, asked_at, is_settled,
        request_head, request_facts, request_has_body, request_body_length, request_body_file, request_body)
    VALUES (:id, :place, :consumer, :now, :is_settled,
        :head, :facts, :has_body, :body_length, :body_file, :body)";
const COUNT_PENDING: &str =
    "SELECT count(*) FROM replay WHERE consumer = :consumer AND is_settled = 0";
const PENDING_REPLAYS: &str = "SELECT replay.id, event.id, replay.attempts
    FROM replay JOIN event ON event.place = replay.place
    WHERE replay.consumer = :consumer AND is_settled = 0 ORDER BY replay_id LIMIT :limit";
const REQUEST: &str = "SELECT request_head, request_facts, request_has_body, request_body_length,
        request_body_file, request_body
    FROM replay WHERE id = :id AND length(request_head) > 0";
const FACTS: &str = "SELECT request_facts FROM replay WHERE id = :id AND length(request_head) > 0";

/// Stands for the consumer of replays that were handed out to a caller.
const NO_CONSUMER: ConsumerId = ConsumerId(0);

/// A replay to add.
struct NewReplay {
    id: ReplayId,
    event: EventId,
    /// Who gets it; `None` when it was handed out to the caller.
    consumer: Option<ConsumerId>,
    now: Timestamp,
    request: Option<ReplayRequest>,
}

/// What stands in the row of a replay with a request of its own as JSON.
#[derive(Serialize, Deserialize)]
struct Facts {
    changes: Vec<Change>,
    verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery_id: Option<String>,
}

impl NewReplay {
    /// How many bytes it holds.
    fn size(&self) -> usize {
        self.request.as_ref().map_or(0, |request| {
            let body = match &request.body {
                Some(Body::Inline(bytes)) => bytes.len(),
                Some(Body::File(_)) | None => 0,
            };
            request.head.as_bytes().len() + body
        })
    }
}

/// Replays.
impl Store {
    /// Asks for a kept event to be delivered again to a consumer, with `request` in place of the captured one.
    /// Without a consumer it is only kept: the caller makes the call.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when consumer or event do not exist or do not belong together.
    pub async fn add_replay(
        &self,
        id: ReplayId,
        event: EventId,
        consumer: Option<ConsumerId>,
        now: Timestamp,
        request: Option<ReplayRequest>,
    ) -> Result<(), StoreError> {
        let new = NewReplay {
            id,
            event,
            consumer,
            now,
            request,
        };
        self.writer()?
            .write(new.size(), move |writing| add_replay(writing, &new))
            .await
    }

    /// An event as a replay delivers it: with the replay's own request where it has one.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn replayed_event(
        &self,
        replay: ReplayId,
        event: EventId,
    ) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        let bodies = Arc::clone(&self.inner.bodies);
        let readers = &self.inner.readers;
        readers
            .read(move |connection| replayed_event(connection, &bodies, replay, event))
            .await
    }

    /// How many replays wait for a consumer.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn count_pending_replays(&self, consumer: ConsumerId) -> Result<usize, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| count_pending(connection, consumer))
            .await
    }

    /// The replays that wait for a consumer, oldest first.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn pending_replays(
        &self,
        consumer: ConsumerId,
        limit: usize,
    ) -> Result<Vec<PendingReplay>, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| pending_replays(connection, consumer, limit))
            .await
    }
}

/// Asks for an event again.
fn add_replay(writing: &mut Writing<'_>, new: &NewReplay) -> Result<(), Failure> {
    let connection = writing.connection;
    let place = events::place_of(connection, new.event)?
        .ok_or_else(|| StoreError::missing("event", &new.event))?;
    if let Some(consumer) = new.consumer {
        let Some(remembered) = writing.memory.consumer(connection, consumer)? else {
            return Err(StoreError::missing("consumer", &consumer.0).into());
        };
        if place.endpoint() != remembered.endpoint {
            return Err(StoreError::missing("event", &new.event).into());
        }
    }
    let request = new.request.as_ref();
    let body = request.and_then(|request| request.body.as_ref());
    let (body_file, inline) = match body {
        Some(Body::Inline(bytes)) => ("", bytes.as_ref()),
        Some(Body::File(file)) => (file.name(), &[][..]),
        None => ("", &[][..]),
    };
    connection
        .prepare_cached(ADD_REPLAY)?
        .execute(named_params! {
            ":id": new.id.as_bytes(),
            ":place": place,
            ":consumer": new.consumer.unwrap_or(NO_CONSUMER).0,
            ":now": new.now.as_millis().cast_signed(),
            ":is_settled": new.consumer.is_none(),
            ":head": request.map_or(&[][..], |request| request.head.as_bytes().as_ref()),
            ":facts": request.map(facts_of).unwrap_or_default(),
            ":has_body": body.is_some(),
            ":body_length": body.map_or(0, Body::length).cast_signed(),
            ":body_file": body_file,
            ":body": inline,
        })?;
    // Not after the commit: whoever asked may be gone by then, and its file with it. One that is left behind
    // by a failed commit is swept at the next start.
    if let Some(body) = body {
        body.keep();
    }
    Ok(())
}

fn facts_of(request: &ReplayRequest) -> String {
    let facts = Facts {
        changes: request.changes.clone(),
        verdict: request.verdict.clone(),
        delivery_id: request.delivery_id.clone(),
    };
    serde_json::to_string(&facts).expect("facts are plain data")
}

/// How many replays wait.
fn count_pending(connection: &Connection, consumer: ConsumerId) -> Result<usize, StoreReadError> {
    let count: u32 = connection
        .prepare_cached(COUNT_PENDING)?
        .query_row(named_params! { ":consumer": consumer.0 }, |row| row.get(0))?;
    Ok(count as usize)
}

/// Replays that wait, oldest first.
fn pending_replays(
    connection: &Connection,
    consumer: ConsumerId,
    limit: usize,
) -> Result<Vec<PendingReplay>, StoreReadError> {
    let mut query = connection.prepare_cached(PENDING_REPLAYS)?;
    let rows = query.query_map(
        named_params! {
            ":consumer": consumer.0,
            ":limit": i64::try_from(limit).unwrap_or(i64::MAX),
        },
        |row| {
            Ok(PendingReplay {
                id: ReplayId::from_bytes(row.get(0)?),
                event: EventId::from_bytes(row.get(1)?),
                attempts: row.get(2)?,
            })
        },
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The event as the replay delivers it: with the replay's own request where it has one.
fn replayed_event(
    connection: &Connection,
    bodies: &Path,
    replay: ReplayId,
    event: EventId,
) -> Result<Option<Arc<StoredEvent>>, StoreReadError> {
    let Some(captured) = events::by_id(connection, bodies, event)? else {
        return Ok(None);
    };
    let mut query = connection.prepare_cached(REQUEST)?;
    let mut rows = query.query(named_params! { ":id": replay.as_bytes() })?;
    let Some(row) = rows.next()? else {
        return Ok(Some(captured));
    };
    let mut event = Arc::unwrap_or_clone(captured);
    event.head = Bytes::from(row.get::<_, Vec<u8>>(0)?);
    let facts = row.get_ref(1)?.as_str().map_err(damaged)?;
    let facts: Facts = serde_json::from_str(facts).map_err(damaged)?;
    event.info.verdict = facts.verdict;
    event.info.delivery_id = facts.delivery_id;
    if row.get(2)? {
        let length = row.get::<_, i64>(3)?.cast_unsigned();
        let file_name = row.get_ref(4)?.as_str().map_err(damaged)?;
        event.info.body_length = length;
        event.body = if file_name.is_empty() {
            Body::Inline(Bytes::from(row.get::<_, Vec<u8>>(5)?))
        } else {
            Body::File(BodyFile::kept(bodies.join(file_name), length))
        };
    }
    Ok(Some(Arc::new(event)))
}

/// What a replay changed of the captured request; nothing when it has no request of its own.
pub(super) fn changes_of(
    connection: &Connection,
    replay: ReplayId,
) -> Result<Vec<Change>, StoreReadError> {
    let facts: Option<String> = connection
        .prepare_cached(FACTS)?
        .query_row(named_params! { ":id": replay.as_bytes() }, |row| row.get(0))
        .optional()?;
    let Some(facts) = facts else {
        return Ok(Vec::new());
    };
    let facts: Facts = serde_json::from_str(&facts).map_err(damaged)?;
    Ok(facts.changes)
}
