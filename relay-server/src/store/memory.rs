//! What the writer remembers between commits, so that an event and an outcome each cost one row: the counters of
//! endpoints and the progress of consumers, read from the database when needed and forgotten after a rollback; recent
//! signatures and the use of secrets, which have rules of their own (`repeats`, `uses`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, named_params};
use towline_shared::api::LastOutcome;
use towline_shared::id::Seq;

use super::place::Place;
use super::progress::{Ahead, Progress};
use super::repeats::Repeats;
use super::uses::BatchUses;
use super::{ConsumerId, EndpointId};

/// Beyond this many consumers the memory starts anew: about 1 MB.
const MOST_CONSUMERS: usize = 4096;

const NEWEST: &str =
    "SELECT place, ordinal, volume FROM event WHERE place > :first AND place <= :through
    ORDER BY place DESC LIMIT 1";
const IS_LIVE: &str =
    "SELECT EXISTS (SELECT 1 FROM endpoint WHERE endpoint_id = :endpoint AND is_deleted = 0)";
const TRIMMED: &str = "SELECT trimmed_through, trimmed_ordinal, trimmed_volume FROM endpoint
    WHERE endpoint_id = :endpoint";
const CONSUMER: &str = "SELECT endpoint, cursor, ahead FROM consumer WHERE consumer_id = :consumer";
const WRITE_CONSUMER: &str = "UPDATE consumer SET cursor = :cursor, ahead = :ahead,
    last_outcome = coalesce(:last_outcome, last_outcome) WHERE consumer_id = :consumer";

/// What an endpoint had up to a place, that one included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) seq: u64,
    /// Deliverable events.
    pub(super) ordinal: u64,
    /// Bytes of heads and bodies.
    pub(super) volume: u64,
}

/// A consumer's progress, and whether its row must be written.
pub(super) struct Remembered {
    pub(super) endpoint: EndpointId,
    pub(super) progress: Progress,
    /// What came of its last attempt, when that is not in its row yet.
    last_outcome: Option<LastOutcome>,
    is_changed: bool,
}

/// The memory of the writer.
#[derive(Default)]
pub(super) struct Memory {
    counters: HashMap<EndpointId, Counter>,
    consumers: HashMap<ConsumerId, Remembered>,
    changed: Vec<ConsumerId>,
    /// Recent signatures.
    pub(super) repeats: Repeats,
    /// What the batch has used of the secrets.
    pub(super) uses: BatchUses,
}

impl Memory {
    /// The memory at the start: recent signatures; the rest is read when it is needed.
    pub(super) fn at_start(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            repeats: Repeats::load(connection)?,
            ..Self::default()
        })
    }

    /// Writes what the batch has left to be written once: progress, signatures, uses.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.write_consumers(connection)?;
        self.repeats.write(connection)?;
        self.uses.write(connection)
    }

    /// Takes what the batch has changed as made, after it was committed.
    pub(super) fn committed(&mut self) {
        self.repeats.committed();
    }

    /// Forgets what a transaction that was rolled back may have changed; recent signatures are taken back.
    pub(super) fn forget(&mut self) {
        let mut repeats = std::mem::take(&mut self.repeats);
        repeats.undo();
        *self = Self {
            repeats,
            ..Self::default()
        };
    }

    /// Forgets the counter, the consumers and the signatures of an endpoint that is deleted.
    pub(super) fn forget_endpoint(&mut self, endpoint: EndpointId) {
        self.counters.remove(&endpoint);
        self.repeats.forget_endpoint(endpoint);
        self.consumers
            .retain(|_, remembered| remembered.endpoint != endpoint);
    }

    /// Forgets a consumer that is removed.
    pub(super) fn forget_consumer(&mut self, consumer: ConsumerId) {
        self.consumers.remove(&consumer);
    }

    /// The counter of an endpoint, to be moved on; nothing when there is no such endpoint.
    pub(super) fn counter(
        &mut self,
        connection: &Connection,
        endpoint: EndpointId,
    ) -> rusqlite::Result<Option<&mut Counter>> {
        match self.counters.entry(endpoint) {
            Entry::Occupied(known) => Ok(Some(known.into_mut())),
            Entry::Vacant(_) if !is_live(connection, endpoint)? => Ok(None),
            Entry::Vacant(unknown) => {
                let counter = counter_at(connection, endpoint, Place::last(endpoint))?;
                Ok(Some(unknown.insert(counter)))
            }
        }
    }

    /// A consumer's progress to look at; nothing when there is no such consumer.
    pub(super) fn consumer(
        &mut self,
        connection: &Connection,
        consumer: ConsumerId,
    ) -> rusqlite::Result<Option<&Remembered>> {
        self.load(connection, consumer)?;
        Ok(self.consumers.get(&consumer))
    }

    /// Changes a consumer's progress; the row is written with the batch.
    pub(super) fn change(
        &mut self,
        connection: &Connection,
        consumer: ConsumerId,
        change: impl FnOnce(&mut Progress),
    ) -> rusqlite::Result<()> {
        self.load(connection, consumer)?;
        let Some(remembered) = self.consumers.get_mut(&consumer) else {
            return Ok(());
        };
        change(&mut remembered.progress);
        if !std::mem::replace(&mut remembered.is_changed, true) {
            self.changed.push(consumer);
        }
        Ok(())
    }

    /// Notes what came of a consumer's attempt; the row is written with the batch.
    pub(super) fn note_outcome(
        &mut self,
        connection: &Connection,
        consumer: ConsumerId,
        outcome: LastOutcome,
    ) -> rusqlite::Result<()> {
        self.change(connection, consumer, |_| {})?;
        if let Some(remembered) = self.consumers.get_mut(&consumer) {
            remembered.last_outcome = Some(outcome);
        }
        Ok(())
    }

    /// Writes the rows of all consumers whose progress changed, once each.
    fn write_consumers(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for consumer in std::mem::take(&mut self.changed) {
            let Some(remembered) = self.consumers.get_mut(&consumer) else {
                continue;
            };
            remembered.is_changed = false;
            pass_undeliverable(connection, remembered)?;
            let last_outcome = remembered.last_outcome.take();
            let last_outcome = last_outcome
                .map(|last| serde_json::to_string(&last).expect("an outcome is plain data"));
            let progress = &remembered.progress;
            let ahead = serde_json::to_string(&progress.ahead).expect("ranges are plain data");
            connection
                .prepare_cached(WRITE_CONSUMER)?
                .execute(named_params! {
                    ":cursor": progress.cursor.cast_signed(),
                    ":ahead": ahead,
                    ":last_outcome": last_outcome,
                    ":consumer": consumer.0,
                })?;
        }
        if self.consumers.len() > MOST_CONSUMERS {
            self.consumers.clear();
        }
        Ok(())
    }

    fn load(&mut self, connection: &Connection, consumer: ConsumerId) -> rusqlite::Result<()> {
        if self.consumers.contains_key(&consumer) {
            return Ok(());
        }
        let row = connection
            .prepare_cached(CONSUMER)?
            .query_row(named_params! { ":consumer": consumer.0 }, |row| {
                let endpoint = EndpointId(row.get(0)?);
                let cursor: i64 = row.get(1)?;
                Ok((endpoint, cursor.cast_unsigned(), row.get::<_, String>(2)?))
            })
            .optional()?;
        if let Some((endpoint, cursor, ahead)) = row {
            let ahead: Ahead = serde_json::from_str(&ahead).unwrap_or_default();
            let remembered = Remembered {
                endpoint,
                progress: Progress { cursor, ahead },
                last_outcome: None,
                is_changed: false,
            };
            self.consumers.insert(consumer, remembered);
        }
        Ok(())
    }
}

/// Moves the cursor over events that no consumer gets, when they alone keep it from what is settled above them.
fn pass_undeliverable(
    connection: &Connection,
    remembered: &mut Remembered,
) -> rusqlite::Result<()> {
    let ordinal_at = |seq| {
        let place = Place::new(remembered.endpoint, Seq(seq));
        Ok::<_, rusqlite::Error>(counter_at(connection, remembered.endpoint, place)?.ordinal)
    };
    while let Some((from, to)) = remembered.progress.first_hole() {
        if ordinal_at(to)? > ordinal_at(from - 1)? {
            break;
        }
        remembered.progress.settle(from, to);
    }
    Ok(())
}

fn is_live(connection: &Connection, endpoint: EndpointId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(IS_LIVE)?
        .query_row(named_params! { ":endpoint": endpoint.0 }, |row| row.get(0))
}

/// The last event of an endpoint at `through` or before it, or what trimming left in its place.
pub(super) fn counter_at(
    connection: &Connection,
    endpoint: EndpointId,
    through: Place,
) -> rusqlite::Result<Counter> {
    let kept = connection
        .prepare_cached(NEWEST)?
        .query_row(
            named_params! { ":first": Place::first(endpoint), ":through": through },
            |row| {
                Ok(Counter {
                    seq: Place::from_row(row.get(0)?).seq().0,
                    ordinal: row.get::<_, i64>(1)?.cast_unsigned(),
                    volume: row.get::<_, i64>(2)?.cast_unsigned(),
                })
            },
        )
        .optional()?;
    // A pinned event may lie behind what was trimmed: then the trim was the later of the two.
    let trimmed = trimmed(connection, endpoint)?;
    Ok(match kept {
        Some(kept) if kept.seq > trimmed.seq => kept,
        _ => trimmed,
    })
}

/// The newest event that was trimmed.
pub(super) fn trimmed(connection: &Connection, endpoint: EndpointId) -> rusqlite::Result<Counter> {
    let found = connection
        .prepare_cached(TRIMMED)?
        .query_row(named_params! { ":endpoint": endpoint.0 }, |row| {
            Ok(Counter {
                seq: row.get::<_, i64>(0)?.cast_unsigned(),
                ordinal: row.get::<_, i64>(1)?.cast_unsigned(),
                volume: row.get::<_, i64>(2)?.cast_unsigned(),
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}
