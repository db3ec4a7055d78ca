//! Opens connections to the database and brings an older schema up to date.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// The migrations in order; the schema's number is how many have run. Appended to, never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_retention.sql"),
    include_str!("migrations/0003_replay_requests.sql"),
    include_str!("migrations/0004_consumer_filter.sql"),
    include_str!("migrations/0005_secret_use_and_signature_memory.sql"),
    include_str!("migrations/0006_consumer_outcome.sql"),
];

/// How long a connection waits for another one's lock. Only checkpoints ever make one wait.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Page caches in KiB: the hot pages are few, and the operating system caches the file anyway.
const WRITER_CACHE_KIB: i64 = 4096;
const READER_CACHE_KIB: i64 = 1024;

/// The file of a log that was longer is cut to this when the log starts anew.
const KEPT_LOG_BYTES: i64 = 32 * 1024 * 1024;

/// Opens a connection that writes.
pub(super) fn connect(database: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", KEPT_LOG_BYTES)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn connect_reader(database: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Runs the migrations that are missing, each in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, folder: &Path) -> Result<(), StoreError> {
    let database = |error: rusqlite::Error| StoreError::database(folder, &error);
    let known = u32::try_from(MIGRATIONS.len()).expect("there are few migrations");
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(database)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (number, migration) in (1..=known).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction().map_err(database)?;
        transaction.execute_batch(migration).map_err(database)?;
        transaction
            .pragma_update(None, "user_version", number)
            .map_err(database)?;
        transaction.commit().map_err(database)?;
    }
    Ok(())
}
