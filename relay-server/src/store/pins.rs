//! Events that retention leaves alone, because somebody pinned them.

use rusqlite::{Connection, OptionalExtension, named_params};
use towline_shared::id::EventId;
use towline_shared::time::Timestamp;

use super::StoreError;
use super::error::Failure;
use super::events::place_of;
use super::memory::trimmed;
use super::place::Place;
use super::trimming::{Removed, remove_one};
use super::writer::Writing;

/// Pinned events of one endpoint: they count towards no other limit.
pub(super) const MOST_PINS: u32 = 1000;

const PIN: &str = "INSERT INTO pin (place, pinned_at, pinned_by) VALUES (:place, :now, :by)
    ON CONFLICT (place) DO NOTHING";
const UNPIN: &str = "DELETE FROM pin WHERE place = :place";
const COUNT: &str = "SELECT count(*) FROM pin WHERE place > :first AND place <= :last";
const PINNED_AT: &str = "SELECT pinned_at FROM pin JOIN event USING (place) WHERE event.id = :id";

/// Pins an event; pinning it again changes nothing.
pub(super) fn pin(
    writing: &mut Writing<'_>,
    id: EventId,
    by: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let connection = writing.connection;
    let place = place_of_kept(connection, id)?;
    if pinned_at(connection, id)?.is_some() {
        return Ok(());
    }
    let endpoint = place.endpoint();
    let pinned: u32 = connection.prepare_cached(COUNT)?.query_row(
        named_params! { ":first": Place::first(endpoint), ":last": Place::last(endpoint) },
        |row| row.get(0),
    )?;
    if pinned >= MOST_PINS {
        let (what, most) = ("pinned events", MOST_PINS);
        return Err(StoreError::TooMany { what, most }.into());
    }
    connection.prepare_cached(PIN)?.execute(named_params! {
        ":place": place,
        ":now": now.as_millis().cast_signed(),
        ":by": by,
    })?;
    Ok(())
}

/// Unpins an event. One that retention would have removed without its pin goes at once, and is what is returned.
pub(super) fn unpin(writing: &mut Writing<'_>, id: EventId) -> Result<Removed, Failure> {
    let connection = writing.connection;
    let place = place_of_kept(connection, id)?;
    let unpinned = connection
        .prepare_cached(UNPIN)?
        .execute(named_params! { ":place": place })?;
    let is_overdue = place.seq().0 <= trimmed(connection, place.endpoint())?.seq;
    if unpinned == 0 || !is_overdue {
        return Ok(Removed::default());
    }
    remove_one(connection, place)
}

/// When an event was pinned.
pub(super) fn pinned_at(
    connection: &Connection,
    id: EventId,
) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached(PINNED_AT)?
        .query_row(named_params! { ":id": id.as_bytes() }, |row| {
            let millis: i64 = row.get(0)?;
            Ok(Timestamp::from_millis(millis.cast_unsigned()))
        })
        .optional()
}

fn place_of_kept(connection: &Connection, id: EventId) -> Result<Place, Failure> {
    let place = place_of(connection, id)?;
    place.ok_or_else(|| StoreError::missing("event", &id).into())
}
