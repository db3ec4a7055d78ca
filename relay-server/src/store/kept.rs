//! Searches among the kept events of an endpoint, by halving: nothing that it does grows with their number.

use rusqlite::{Connection, named_params};
use towline_shared::id::Seq;
use towline_shared::time::Timestamp;

use super::EndpointId;
use super::place::Place;

const RECEIVED_AT: &str = "SELECT received_at FROM event WHERE place = :place";
const VOLUME: &str = "SELECT volume FROM event WHERE place = :place";
const ORDINAL: &str = "SELECT ordinal FROM event WHERE place = :place";
const FIRST_RECEIVED_SINCE: &str = "SELECT MIN(place) FROM event
    WHERE place >= :first AND place <= :last AND received_at >= :time";

/// Events that are read at the same time may be kept in another order than they came in: a search by time
/// looks back over so many.
const DISORDER: u64 = 512;

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

    /// The first kept event up to which the endpoint had `volume` bytes or more; `newest + 1` without one.
    pub(super) fn first_with_volume(
        self,
        connection: &Connection,
        volume: u64,
    ) -> rusqlite::Result<u64> {
        self.first_with(connection, VOLUME, volume)
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
    pub(super) fn first_where(
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
