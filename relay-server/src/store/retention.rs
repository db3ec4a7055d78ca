//! Up to where an endpoint's events are past what it may keep, and what it keeps now. Counts no rows.

use rusqlite::{Connection, OptionalExtension, named_params};
use towline_shared::api::Retention;
use towline_shared::id::{EventId, Seq};
use towline_shared::time::Timestamp;

use super::kept::Kept;
use super::memory::{Counter, counter_at, trimmed};
use super::place::Place;
use super::{EndpointId, Store, StoreError, pins, trimming};

const RECEIVED_AT: &str = "SELECT received_at FROM event WHERE place = :place";
const PINNED: &str = "SELECT count(*) FROM pin WHERE place > :first AND place <= :last";

/// What an endpoint keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Deliverable events, without pinned ones that are older than the oldest of these.
    pub events: u64,
    /// Those that consumers do not get: rejected ones, challenges, repeats.
    pub others: u64,
    /// Bytes of the deliverable ones, heads and bodies.
    pub bytes: u64,
    /// When the oldest of them came.
    pub oldest: Option<Timestamp>,
    /// Pinned events.
    pub pinned: u64,
}

/// Retention and pins.
impl Store {
    /// The newest event of an endpoint that is past what it may keep, when there is one.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn overdue(
        &self,
        endpoint: EndpointId,
        keep: Retention,
        now: Timestamp,
    ) -> Result<Option<Seq>, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| Ok(overdue(connection, endpoint, keep, now)?))
            .await
    }

    /// Goes over the next `step` events up to `through` and removes those that are not pinned. Returns how many,
    /// and nothing when there was none to look at.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`].
    pub async fn trim_step(
        &self,
        endpoint: EndpointId,
        through: Seq,
        step: usize,
    ) -> Result<Option<u64>, StoreError> {
        let removed = self
            .write(move |writing| trimming::trim_step(writing.connection, endpoint, through, step))
            .await?;
        self.remove_bodies(removed.body_files).await;
        Ok((!removed.is_done).then_some(removed.events))
    }

    /// What an endpoint keeps now.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn usage(&self, endpoint: EndpointId) -> Result<Usage, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| Ok(usage(connection, endpoint)?))
            .await
    }

    /// Keeps an event from being removed, except with its endpoint. `by` is who asked for it.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::TooMany`] when 1,000 events of the endpoint are pinned.
    pub async fn pin(&self, event: EventId, by: String, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |writing| pins::pin(writing, event, &by, now))
            .await
    }

    /// Lets an event go with the others again. One that would be gone without its pin goes at once: then true.
    ///
    /// # Errors
    /// [`StoreError::Missing`].
    pub async fn unpin(&self, event: EventId) -> Result<bool, StoreError> {
        let removed = self
            .write(move |writing| pins::unpin(writing, event))
            .await?;
        self.remove_bodies(removed.body_files).await;
        Ok(removed.events > 0)
    }

    /// When an event was pinned.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn pinned_at(&self, event: EventId) -> Result<Option<Timestamp>, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| Ok(pins::pinned_at(connection, event)?))
            .await
    }
}

/// The newest event that may go, when there is one.
pub(super) fn overdue(
    connection: &Connection,
    endpoint: EndpointId,
    keep: Retention,
    now: Timestamp,
) -> rusqlite::Result<Option<Seq>> {
    // One state of the database for all of it: the places between must not go meanwhile.
    let snapshot = connection.unchecked_transaction()?;
    let (trimmed, newest) = ends(&snapshot, endpoint)?;
    let kept = Kept {
        endpoint,
        oldest: trimmed.seq + 1,
        newest: newest.seq,
    };
    let mut through = trimmed.seq;
    // What nobody was to get counts towards neither: a stranger's requests push out no webhook.
    if let Some(max_events) = keep.max_events
        && newest.ordinal - trimmed.ordinal > max_events
    {
        let first = newest.ordinal - max_events + 1;
        through = through.max(kept.first_with_ordinal(&snapshot, first)? - 1);
    }
    if let Some(max_bytes) = keep.max_bytes
        && newest.volume - trimmed.volume > max_bytes
    {
        let last = kept.first_with_volume(&snapshot, newest.volume - max_bytes)?;
        let newest = kept.first_with_ordinal(&snapshot, newest.ordinal)?;
        through = through.max(last.min(newest - 1));
    }
    if let Some(max_age) = keep.max_age_seconds {
        let age = max_age.saturating_mul(1000);
        let since = Timestamp::from_millis(now.as_millis().saturating_sub(age));
        if received_at(&snapshot, kept)?.is_some_and(|oldest| oldest < since) {
            through = through.max(kept.first_received_at(&snapshot, since)? - 1);
        }
    }
    Ok((through > trimmed.seq).then_some(Seq(through)))
}

/// What an endpoint keeps now.
pub(super) fn usage(connection: &Connection, endpoint: EndpointId) -> rusqlite::Result<Usage> {
    let snapshot = connection.unchecked_transaction()?;
    let (trimmed, newest) = ends(&snapshot, endpoint)?;
    let kept = Kept {
        endpoint,
        oldest: trimmed.seq + 1,
        newest: newest.seq,
    };
    let pinned: i64 = snapshot.prepare_cached(PINNED)?.query_row(
        named_params! { ":first": Place::first(endpoint), ":last": Place::last(endpoint) },
        |row| row.get(0),
    )?;
    Ok(Usage {
        events: newest.ordinal - trimmed.ordinal,
        others: (newest.seq - trimmed.seq) - (newest.ordinal - trimmed.ordinal),
        bytes: newest.volume - trimmed.volume,
        oldest: received_at(&snapshot, kept)?,
        pinned: pinned.cast_unsigned(),
    })
}

/// The newest event that was trimmed, and the newest of all; equal when nothing is kept.
fn ends(connection: &Connection, endpoint: EndpointId) -> rusqlite::Result<(Counter, Counter)> {
    let trimmed = trimmed(connection, endpoint)?;
    let newest = counter_at(connection, endpoint, Place::last(endpoint))?;
    Ok((trimmed, newest))
}

/// When the oldest of these events came.
fn received_at(connection: &Connection, kept: Kept) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached(RECEIVED_AT)?
        .query_row(
            named_params! { ":place": Place::new(kept.endpoint, Seq(kept.oldest)) },
            |row| row.get::<_, i64>(0),
        )
        .optional()
        .map(|millis| millis.map(|millis| Timestamp::from_millis(millis.cast_unsigned())))
}
