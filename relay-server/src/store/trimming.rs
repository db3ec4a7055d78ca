//! Removes the oldest events of an endpoint in small steps beside live writes.

use rusqlite::{Connection, named_params};
use towline_shared::id::Seq;

use super::EndpointId;
use super::error::Failure;
use super::memory::counter_at;
use super::place::Place;

/// How many events one step of a trim removes; LIMITS.md: larger steps make live writes wait.
const TRIM_STEP: i64 = 100;

const TRIM_FILES: &str = "SELECT body_file FROM event
    WHERE place > :first AND place <= :through AND body_file <> ''";
const TRIM_END: &str = "SELECT MAX(place) FROM (SELECT place FROM event
    WHERE place > :first AND place <= :through ORDER BY place LIMIT :step)";
const TRIM_ATTEMPTS: &str = "DELETE FROM attempt WHERE place > :first AND place <= :through";
const TRIM_REPLAYS: &str = "DELETE FROM replay WHERE place > :first AND place <= :through";
const TRIM_EVENTS: &str = "DELETE FROM event WHERE place > :first AND place <= :through";
const TRIMMED: &str = "UPDATE endpoint SET trimmed_through = :through, trimmed_ordinal = :ordinal
    WHERE endpoint_id = :endpoint";

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
