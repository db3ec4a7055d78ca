//! Removes the oldest events of an endpoint in small steps beside live writes. Pinned ones stay.

use rusqlite::{Connection, named_params};
use towline_shared::id::Seq;

use super::EndpointId;
use super::error::Failure;
use super::memory::{counter_at, trimmed};
use super::place::Place;

/// How many events one step of a trim that a person waits for removes; LIMITS.md: larger steps make live
/// writes wait.
pub(super) const TRIM_STEP: usize = 100;

const STEP_END: &str = "SELECT MAX(place) FROM (SELECT place FROM event
    WHERE place > :after AND place <= :through ORDER BY place LIMIT :step)";
const FILES: &str = "SELECT body_file FROM event
    WHERE place > :after AND place <= :through AND body_file <> ''
    AND NOT EXISTS (SELECT 1 FROM pin WHERE pin.place = event.place)
    UNION SELECT request_body_file FROM replay
    WHERE place > :after AND place <= :through AND request_body_file <> ''
    AND NOT EXISTS (SELECT 1 FROM pin WHERE pin.place = replay.place)";
const REMOVE_ATTEMPTS: &str = "DELETE FROM attempt WHERE place > :after AND place <= :through
    AND NOT EXISTS (SELECT 1 FROM pin WHERE pin.place = attempt.place)";
const REMOVE_REPLAYS: &str = "DELETE FROM replay WHERE place > :after AND place <= :through
    AND NOT EXISTS (SELECT 1 FROM pin WHERE pin.place = replay.place)";
const REMOVE_EVENTS: &str = "DELETE FROM event WHERE place > :after AND place <= :through
    AND NOT EXISTS (SELECT 1 FROM pin WHERE pin.place = event.place)";
const REMOVE_PINS: &str = "DELETE FROM pin WHERE place > :after AND place <= :through";
const TRIMMED: &str = "UPDATE endpoint SET trimmed_through = :through, trimmed_ordinal = :ordinal,
    trimmed_volume = :volume WHERE endpoint_id = :endpoint";

/// What a step has removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// How many events; pinned ones are not among them.
    pub(super) events: u64,
    /// The files of their bodies, to be removed when the step is durable.
    pub(super) body_files: Vec<String>,
    /// Whether there was nothing left to look at.
    pub(super) is_done: bool,
}

/// Goes over the next `step` events up to `through` and removes those that are not pinned, with their attempts
/// and replays.
pub(super) fn trim_step(
    connection: &Connection,
    endpoint: EndpointId,
    through: Seq,
    step: usize,
) -> Result<Removed, Failure> {
    let after = Place::new(endpoint, Seq(trimmed(connection, endpoint)?.seq));
    let through = Place::new(endpoint, through);
    let Some(end) = step_end(connection, after, through, step)? else {
        return Ok(done());
    };
    let counter = counter_at(connection, endpoint, end)?;
    let removed = remove_between(connection, after, end)?;
    connection.prepare_cached(TRIMMED)?.execute(named_params! {
        ":through": counter.seq.cast_signed(),
        ":ordinal": counter.ordinal.cast_signed(),
        ":volume": counter.volume.cast_signed(),
        ":endpoint": endpoint.0,
    })?;
    Ok(removed)
}

/// Removes a few events of an endpoint that is deleted, pinned ones too.
pub(super) fn clear_step(
    connection: &Connection,
    endpoint: EndpointId,
) -> Result<Removed, Failure> {
    let after = Place::first(endpoint);
    let Some(end) = step_end(connection, after, Place::last(endpoint), TRIM_STEP)? else {
        return Ok(done());
    };
    let range = named_params! { ":after": after, ":through": end };
    connection.prepare_cached(REMOVE_PINS)?.execute(range)?;
    remove_between(connection, after, end)
}

/// Removes one event with what belongs to it.
pub(super) fn remove_one(connection: &Connection, place: Place) -> Result<Removed, Failure> {
    let before = Place::new(place.endpoint(), Seq(place.seq().0 - 1));
    remove_between(connection, before, place)
}

fn step_end(
    connection: &Connection,
    after: Place,
    through: Place,
    step: usize,
) -> rusqlite::Result<Option<Place>> {
    let end: Option<i64> = connection.prepare_cached(STEP_END)?.query_row(
        named_params! {
            ":after": after,
            ":through": through,
            ":step": i64::try_from(step).unwrap_or(i64::MAX),
        },
        |row| row.get(0),
    )?;
    Ok(end.map(Place::from_row))
}

fn remove_between(
    connection: &Connection,
    after: Place,
    through: Place,
) -> Result<Removed, Failure> {
    let range = named_params! { ":after": after, ":through": through };
    let body_files = connection
        .prepare_cached(FILES)?
        .query_map(range, |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    connection.prepare_cached(REMOVE_ATTEMPTS)?.execute(range)?;
    connection.prepare_cached(REMOVE_REPLAYS)?.execute(range)?;
    let events = connection.prepare_cached(REMOVE_EVENTS)?.execute(range)?;
    Ok(Removed {
        events: events as u64,
        body_files,
        is_done: false,
    })
}

fn done() -> Removed {
    Removed {
        is_done: true,
        ..Removed::default()
    }
}
