//! Counts how often each secret has checked an event, and when last, so that one is seen to be out of use before it is
//! removed. The writer adds up a batch and writes one row for each secret in it, in the transaction that keeps the
//! events: what is acknowledged is counted, through any crash.

use std::collections::HashMap;

use rusqlite::{Connection, named_params};
use towline_shared::id::SecretName;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;

use super::events::damaged;
use super::readers::StoreReadError;
use super::{EndpointId, NewEvent, Store, StoreError};

const COUNT: &str = "UPDATE secret_use
    SET uses = uses + :more, last_used_at = MAX(last_used_at, :last)
    WHERE endpoint = :endpoint AND name = :name";
const BEGIN: &str = "INSERT OR REPLACE INTO secret_use (endpoint, name, uses, last_used_at)
    VALUES (:endpoint, :name, 0, 0)";
const END: &str = "DELETE FROM secret_use WHERE endpoint = :endpoint AND name = :name";
const END_ALL: &str = "DELETE FROM secret_use WHERE endpoint = :endpoint";
const ALL: &str = "SELECT endpoint, name, uses, last_used_at FROM secret_use";

/// How much a secret was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretUse {
    /// How many kept events it has checked, repeats and handshakes included.
    pub uses: u64,
    /// When the latest of them was received.
    pub last_used_at: Option<Timestamp>,
}

/// The use of every secret, by its endpoint and name.
pub type SecretUses = HashMap<(EndpointId, SecretName), SecretUse>;

impl Store {
    /// How much each secret was used, of all endpoints.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn secret_uses(&self) -> Result<SecretUses, StoreError> {
        self.inner.readers.read(all).await
    }
}

/// What a batch has used; its rows are written with it.
#[derive(Default)]
pub(super) struct BatchUses(SecretUses);

impl BatchUses {
    /// Counts the secret that has checked an event, if one has.
    pub(super) fn count(&mut self, event: &NewEvent) {
        let (Verdict::Verified(found) | Verdict::Authenticated(found)) = &event.verdict else {
            return;
        };
        let Some(name) = &found.secret else {
            return;
        };
        let used = self.0.entry((event.endpoint, name.clone())).or_default();
        used.uses += 1;
        used.last_used_at = used.last_used_at.max(Some(event.received_at));
    }

    /// Writes what was counted.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for ((endpoint, name), used) in self.0.drain() {
            connection.prepare_cached(COUNT)?.execute(named_params! {
                ":endpoint": endpoint.0,
                ":name": name.as_str(),
                ":more": used.uses.cast_signed(),
                ":last": used.last_used_at.unwrap_or_default().as_millis().cast_signed(),
            })?;
        }
        Ok(())
    }
}

/// Begins to count at nothing, for a secret that is new or has another content.
pub(super) fn begin(
    connection: &Connection,
    endpoint: EndpointId,
    name: &SecretName,
) -> rusqlite::Result<()> {
    let which = named_params! { ":endpoint": endpoint.0, ":name": name.as_str() };
    connection.prepare_cached(BEGIN)?.execute(which)?;
    Ok(())
}

/// Forgets the use of a secret that is removed.
pub(super) fn end(
    connection: &Connection,
    endpoint: EndpointId,
    name: &SecretName,
) -> rusqlite::Result<()> {
    let which = named_params! { ":endpoint": endpoint.0, ":name": name.as_str() };
    connection.prepare_cached(END)?.execute(which)?;
    Ok(())
}

/// Forgets the use of all secrets of an endpoint that is deleted.
pub(super) fn end_all(connection: &Connection, endpoint: EndpointId) -> rusqlite::Result<()> {
    let which = named_params! { ":endpoint": endpoint.0 };
    connection.prepare_cached(END_ALL)?.execute(which)?;
    Ok(())
}

/// The use of every secret.
pub(super) fn all(connection: &Connection) -> Result<SecretUses, StoreReadError> {
    let mut query = connection.prepare_cached(ALL)?;
    let mut rows = query.query([])?;
    let mut uses = SecretUses::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str().map_err(damaged)?;
        let last: i64 = row.get(3)?;
        let used = SecretUse {
            uses: row.get::<_, i64>(2)?.cast_unsigned(),
            last_used_at: (last > 0).then(|| Timestamp::from_millis(last.cast_unsigned())),
        };
        uses.insert(
            (EndpointId(row.get(0)?), name.parse().map_err(damaged)?),
            used,
        );
    }
    Ok(uses)
}
