//! Rows of the memory of signatures: what one commit has remembered of one endpoint.

use rusqlite::{Connection, named_params};
use towline_shared::id::EventId;
use towline_shared::time::Timestamp;
use towline_shared::verify::Fingerprint;

use super::super::EndpointId;
use super::super::place::Place;

/// The length of a fingerprint and of an event's id.
const PART_BYTES: usize = 16;

/// How many pages of a deleted endpoint go in one step; a page is a row of 32 bytes to 16 KiB.
const CLEAR_STEP: i64 = 256;

const INSERT: &str = "INSERT INTO signature_memory (place, entries) VALUES (:place, :entries)";
const ALL: &str = "SELECT place, entries FROM signature_memory ORDER BY place";
const REMOVE: &str = "DELETE FROM signature_memory WHERE place = :place";
const CLEAR: &str =
    "DELETE FROM signature_memory WHERE place IN (SELECT place FROM signature_memory
    WHERE place > :first AND place <= :last ORDER BY place LIMIT :step)";

/// What one commit has remembered of one endpoint.
pub(super) struct Page {
    /// The place of its first event, which names it.
    pub(super) place: Place,
    /// Signed contents and their events, in order.
    pub(super) entries: Vec<(Fingerprint, EventId)>,
}

impl Page {
    /// A page that begins with an event at this place.
    pub(super) const fn empty(place: Place) -> Self {
        Self {
            place,
            entries: Vec::new(),
        }
    }

    /// Its last event.
    pub(super) fn last_event(&self) -> Option<EventId> {
        self.entries.last().map(|&(_, event)| event)
    }

    /// When its last event was received.
    pub(super) fn newest(&self) -> Timestamp {
        self.last_event()
            .map(|event| event.made_at())
            .unwrap_or_default()
    }
}

/// Writes a page.
pub(super) fn insert(connection: &Connection, page: &Page) -> rusqlite::Result<()> {
    let mut entries = Vec::with_capacity(page.entries.len() * 2 * PART_BYTES);
    for (fingerprint, event) in &page.entries {
        entries.extend_from_slice(fingerprint.as_bytes());
        entries.extend_from_slice(event.as_bytes());
    }
    connection
        .prepare_cached(INSERT)?
        .execute(named_params! { ":place": page.place, ":entries": entries })?;
    Ok(())
}

/// Reads all pages, each endpoint's oldest first. What is left of a damaged one is taken.
pub(super) fn read_all(
    connection: &Connection,
    mut take: impl FnMut(Page),
) -> rusqlite::Result<()> {
    let mut query = connection.prepare(ALL)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (entries, _) = row.get_ref(1)?.as_blob()?.as_chunks::<PART_BYTES>();
        let (entries, _) = entries.as_chunks::<2>();
        let entry = |&[fingerprint, event]: &[[u8; PART_BYTES]; 2]| {
            (
                Fingerprint::from_bytes(fingerprint),
                EventId::from_bytes(event),
            )
        };
        take(Page {
            place: Place::from_row(row.get(0)?),
            entries: entries.iter().map(entry).collect(),
        });
    }
    Ok(())
}

/// Removes a page.
pub(super) fn remove(connection: &Connection, place: Place) -> rusqlite::Result<()> {
    connection
        .prepare_cached(REMOVE)?
        .execute(named_params! { ":place": place })?;
    Ok(())
}

/// Removes a few pages of an endpoint that is deleted; false when there was none.
pub(in super::super) fn clear_step(
    connection: &Connection,
    endpoint: EndpointId,
) -> rusqlite::Result<bool> {
    let removed = connection.prepare_cached(CLEAR)?.execute(named_params! {
        ":first": Place::first(endpoint),
        ":last": Place::last(endpoint),
        ":step": CLEAR_STEP,
    })?;
    Ok(removed > 0)
}
