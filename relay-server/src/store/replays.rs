//! Rows of replays: kept events that somebody asked to have delivered again.

use rusqlite::{Connection, named_params};
use towline_shared::id::{EventId, ReplayId};
use towline_shared::time::Timestamp;

use super::error::Failure;
use super::events;
use super::readers::StoreReadError;
use super::writer::Writing;
use super::{ConsumerId, PendingReplay, StoreError};

const ADD_REPLAY: &str = "INSERT INTO replay (id, place, consumer, asked_at)
    VALUES (:id, :place, :consumer, :now)";
const COUNT_PENDING: &str =
    "SELECT count(*) FROM replay WHERE consumer = :consumer AND is_settled = 0";
const PENDING_REPLAYS: &str = "SELECT replay.id, event.id, replay.attempts
    FROM replay JOIN event ON event.place = replay.place
    WHERE replay.consumer = :consumer AND is_settled = 0 ORDER BY replay_id LIMIT :limit";

/// Asks for an event again.
pub(super) fn add_replay(
    writing: &mut Writing<'_>,
    id: ReplayId,
    event: EventId,
    consumer: ConsumerId,
    now: Timestamp,
) -> Result<(), Failure> {
    let connection = writing.connection;
    let Some(remembered) = writing.memory.consumer(connection, consumer)? else {
        return Err(StoreError::missing("consumer", &consumer.0).into());
    };
    let place = events::place_of(connection, event)?
        .filter(|place| place.endpoint() == remembered.endpoint)
        .ok_or_else(|| StoreError::missing("event", &event))?;
    connection
        .prepare_cached(ADD_REPLAY)?
        .execute(named_params! {
            ":id": id.as_bytes(),
            ":place": place,
            ":consumer": consumer.0,
            ":now": now.as_millis().cast_signed(),
        })?;
    Ok(())
}

/// How many replays wait.
pub(super) fn count_pending(
    connection: &Connection,
    consumer: ConsumerId,
) -> Result<usize, StoreReadError> {
    let count: u32 = connection
        .prepare_cached(COUNT_PENDING)?
        .query_row(named_params! { ":consumer": consumer.0 }, |row| row.get(0))?;
    Ok(count as usize)
}

/// Replays that wait, oldest first.
pub(super) fn pending_replays(
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
