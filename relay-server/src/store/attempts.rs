//! Rows of attempts: what came of each, kept once, with the delivery that it settles.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, named_params};
use towline_shared::api::LastOutcome;
use towline_shared::id::{ConsumerName, EventId, ReplayId};
use towline_shared::outcome::Attempt;
use towline_shared::time::Timestamp;
use towline_shared::wire::Report;

use super::consumers::{parsed, settle};
use super::error::Failure;
use super::events;
use super::memory::trimmed;
use super::place::{MAX_SEQ, Place};
use super::progress::MOST_AHEAD;
use super::readers::StoreReadError;
use super::replays;
use super::writer::Writing;
use super::{ConsumerId, StoreError, StoredAttempt};

const EVENT_AT: &str = "SELECT id FROM event WHERE place = :place";
const INSERT_ATTEMPT: &str = "INSERT OR IGNORE INTO attempt
    (place, consumer, line, number, made_by, recorded_at, facts, sent_head, reply_head, reply_body)
    VALUES (:place, :consumer, :line, :number,
        coalesce((SELECT name FROM consumer WHERE consumer_id = :consumer), :made_by),
        :recorded_at, :facts, :sent_head, :reply_head, :reply_body)";
const ATTEMPTS: &str = "SELECT made_by, facts, sent_head, reply_head, reply_body, recorded_at
    FROM attempt WHERE attempt_id IN (SELECT attempt_id FROM attempt
        WHERE place = (SELECT place FROM event WHERE id = :id) ORDER BY attempt_id DESC LIMIT 100)
    ORDER BY attempt_id DESC";
const ATTEMPTS_OF_LINE: &str = "SELECT facts FROM attempt
    WHERE place = :place AND consumer = :consumer AND line = :line";
const FIND_REPLAY: &str = "SELECT EXISTS (SELECT 1 FROM replay WHERE id = :id AND consumer = :consumer AND place = :place)";
const COUNT_REPLAY: &str = "UPDATE replay SET attempts = attempts + :more,
    is_settled = max(is_settled, :is_settled) WHERE id = :id";

/// What the attempts of one answer may hold in memory; older ones are left out. One is always given.
const MOST_ATTEMPT_BYTES: usize = 4 * 1024 * 1024;

/// An attempt to be kept, made ready by the caller so that the writer has less to do.
pub(super) struct NewAttempt {
    report: Report,
    facts: String,
    recorded_at: Timestamp,
}

impl NewAttempt {
    /// Takes what a client reported.
    pub(super) fn new(report: Report, now: Timestamp) -> Self {
        let facts = serde_json::to_string(&report.attempt).expect("attempts are plain data");
        Self {
            report,
            facts,
            recorded_at: now,
        }
    }

    /// What the consumer's row keeps of it, while it is the last.
    fn outcome(&self) -> LastOutcome {
        let attempt = &self.report.attempt;
        LastOutcome {
            event: attempt.event,
            at: self.recorded_at,
            result: attempt.outcome.name().to_owned(),
            status: attempt.outcome.status(),
            settled: attempt.settled,
        }
    }

    /// How many bytes it holds.
    pub(super) fn size(&self) -> usize {
        let report = &self.report;
        let parts = [&report.sent_head, &report.reply_head, &report.reply_body];
        self.facts.len() + parts.map(|part| part.len()).iter().sum::<usize>()
    }
}

/// Keeps an attempt in a consumer's line, or of a replay for it.
pub(super) fn record(
    writing: &mut Writing<'_>,
    consumer: ConsumerId,
    new: &NewAttempt,
) -> Result<(), Failure> {
    let connection = writing.connection;
    let Some(remembered) = writing.memory.consumer(connection, consumer)? else {
        return Err(StoreError::missing("consumer", &consumer.0).into());
    };
    let endpoint = remembered.endpoint;
    let attempt = &new.report.attempt;
    let delivery = attempt.delivery;
    let place = Place::new(endpoint, delivery.seq);
    let seq = delivery.seq.0;
    if seq > MAX_SEQ {
        return Err(StoreError::missing("event", &attempt.event).into());
    }
    if !remembered.progress.has_room_for(seq) {
        let scattered = format!("more than {MOST_AHEAD} outcomes of a consumer are scattered");
        return Err(StoreError::Failed(scattered).into());
    }
    if !is_event_at(connection, place, attempt.event)? {
        // What was trimmed while the app worked on it has no rows any more; its delivery still ends.
        return match delivery.replay {
            _ if seq > trimmed(connection, endpoint)?.seq => {
                Err(StoreError::missing("event", &attempt.event).into())
            }
            Some(_) => Ok(()),
            None => Ok(settle(writing, consumer, seq, seq)?),
        };
    }
    writing
        .memory
        .note_outcome(connection, consumer, new.outcome())?;
    if let Some(replay) = delivery.replay {
        return record_of_replay(writing, consumer, place, replay, new);
    }
    let line = Line {
        place,
        consumer,
        name: "",
        made_by: "",
    };
    let is_inserted = keep_attempt(connection, &line, new)?;
    // Settling twice changes nothing, and what a report settles is settled even when its attempt was kept before.
    if attempt.settled.is_some() {
        settle(writing, consumer, seq, seq)?;
    } else if is_inserted {
        writing.memory.change(connection, consumer, |progress| {
            progress.count_attempt(seq);
        })?;
    }
    Ok(())
}

fn record_of_replay(
    writing: &Writing<'_>,
    consumer: ConsumerId,
    place: Place,
    replay: ReplayId,
    new: &NewAttempt,
) -> Result<(), Failure> {
    let connection = writing.connection;
    let exists: bool = connection.prepare_cached(FIND_REPLAY)?.query_row(
        named_params! { ":id": replay.as_bytes(), ":consumer": consumer.0, ":place": place },
        |row| row.get(0),
    )?;
    if !exists {
        return Err(StoreError::missing("replay", &replay).into());
    }
    let line = Line {
        place,
        consumer,
        name: &replay.to_string(),
        made_by: "",
    };
    let is_inserted = keep_attempt(connection, &line, new)?;
    connection
        .prepare_cached(COUNT_REPLAY)?
        .execute(named_params! {
            ":more": is_inserted,
            ":is_settled": new.report.attempt.settled.is_some(),
            ":id": replay.as_bytes(),
        })?;
    Ok(())
}

fn is_event_at(connection: &Connection, place: Place, id: EventId) -> rusqlite::Result<bool> {
    let found: Option<[u8; 16]> = connection
        .prepare_cached(EVENT_AT)?
        .query_row(named_params! { ":place": place }, |row| row.get(0))
        .optional()?;
    Ok(found.is_some_and(|found| found == *id.as_bytes()))
}

/// Which attempts an attempt is one of.
struct Line<'a> {
    place: Place,
    consumer: ConsumerId,
    /// Empty in the consumer's line; else the replay, or who made it and when.
    name: &'a str,
    /// Empty when the consumer made it.
    made_by: &'a str,
}

/// Keeps an attempt; false when it is on record. Another attempt of the same number, made by a client that
/// did not know of this one, keeps its number, and this one gets the next free one.
fn keep_attempt(
    connection: &Connection,
    line: &Line<'_>,
    new: &NewAttempt,
) -> Result<bool, Failure> {
    if insert_attempt(connection, line, new)? {
        return Ok(true);
    }
    let mut query = connection.prepare_cached(ATTEMPTS_OF_LINE)?;
    let kept = query.query_map(
        named_params! { ":place": line.place, ":consumer": line.consumer.0, ":line": line.name },
        |row| row.get::<_, String>(0),
    )?;
    let attempt = &new.report.attempt;
    let mut last_number = 0;
    for facts in kept {
        let kept: Attempt = serde_json::from_str(&facts?)
            .map_err(|error| StoreError::Failed(format!("an attempt cannot be read: {error}")))?;
        let is_the_same = kept.started_at == attempt.started_at && kept.outcome == attempt.outcome;
        if is_the_same {
            return Ok(false);
        }
        last_number = kept.number.max(last_number);
    }
    let mut renumbered = new.report.clone();
    renumbered.attempt.number = last_number.saturating_add(1);
    let renumbered = NewAttempt::new(renumbered, new.recorded_at);
    Ok(insert_attempt(connection, line, &renumbered)?)
}

/// Writes an attempt's row; false when its line has one of the same number.
fn insert_attempt(
    connection: &Connection,
    line: &Line<'_>,
    new: &NewAttempt,
) -> rusqlite::Result<bool> {
    let report = &new.report;
    let inserted = connection
        .prepare_cached(INSERT_ATTEMPT)?
        .execute(named_params! {
            ":place": line.place,
            ":consumer": line.consumer.0,
            ":line": line.name,
            ":number": report.attempt.number,
            ":made_by": line.made_by,
            ":recorded_at": new.recorded_at.as_millis().cast_signed(),
            ":facts": new.facts,
            ":sent_head": report.sent_head.as_ref(),
            ":reply_head": report.reply_head.as_ref(),
            ":reply_body": report.reply_body.as_ref(),
        })?;
    Ok(inserted == 1)
}

/// Keeps an attempt outside any consumer's line.
pub(super) fn record_outside(
    writing: &Writing<'_>,
    made_by: &ConsumerName,
    new: &NewAttempt,
) -> Result<(), Failure> {
    let connection = writing.connection;
    let Some(place) = events::place_of(connection, new.report.attempt.event)? else {
        return Err(StoreError::missing("event", &new.report.attempt.event).into());
    };
    let line = Line {
        place,
        consumer: ConsumerId(0),
        name: &format!("{made_by} {}", new.report.attempt.started_at.as_millis()),
        made_by: made_by.as_str(),
    };
    keep_attempt(connection, &line, new)?;
    Ok(())
}

/// The attempts of an event, oldest first; of many, the newest.
pub(super) fn attempts(
    connection: &Connection,
    event: EventId,
) -> Result<Vec<StoredAttempt>, StoreReadError> {
    let mut query = connection.prepare_cached(ATTEMPTS)?;
    let mut rows = query.query(named_params! { ":id": event.as_bytes() })?;
    let mut attempts = Vec::new();
    let mut bytes = 0;
    while bytes < MOST_ATTEMPT_BYTES
        && let Some(row) = rows.next()?
    {
        let facts: String = row.get(1)?;
        let facts: Attempt = serde_json::from_str(&facts)
            .map_err(|error| StoreError::Failed(format!("an attempt cannot be read: {error}")))?;
        let replay_changes = match facts.delivery.replay {
            Some(replay) => replays::changes_of(connection, replay)?,
            None => Vec::new(),
        };
        let attempt = StoredAttempt {
            consumer: parsed(row, 0)?,
            attempt: facts,
            replay_changes,
            sent_head: Bytes::from(row.get::<_, Vec<u8>>(2)?),
            reply_head: Bytes::from(row.get::<_, Vec<u8>>(3)?),
            reply_body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
            recorded_at: Timestamp::from_millis(row.get::<_, i64>(5)?.cast_unsigned()),
        };
        bytes += attempt.sent_head.len() + attempt.reply_head.len() + attempt.reply_body.len();
        attempts.push(attempt);
    }
    attempts.reverse();
    Ok(attempts)
}
