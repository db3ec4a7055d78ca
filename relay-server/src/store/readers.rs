//! A few read-only connections, used on the runtime's blocking threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{StoreError, schema};

/// How many reads run at once; further ones wait.
const CONNECTIONS: usize = 4;

/// The connections; clones share them.
#[derive(Clone)]
pub(super) struct Readers {
    database: Arc<Path>,
    folder: Arc<Path>,
    turns: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// Connections are opened when they are first needed.
    pub(super) fn new(database: PathBuf, folder: &Path) -> Self {
        Self {
            database: database.into(),
            folder: folder.into(),
            turns: Arc::new(Semaphore::new(CONNECTIONS)),
            idle: Arc::default(),
        }
    }

    /// Runs a read on one connection, which sees one state of the database for each statement.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| StoreError::Closed)?;
        let readers = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            readers.read_here(read)
        });
        task.await
            .unwrap_or_else(|failure| Err(StoreError::Failed(failure.to_string())))
    }

    fn read_here<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreReadError>,
    ) -> Result<T, StoreError> {
        let database = |error: &rusqlite::Error| StoreError::database(&self.folder, error);
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::connect_reader(&self.database).map_err(|error| database(&error))?,
        };
        let result = read(&connection);
        self.idle.lock().push(connection);
        result.map_err(|error| match error {
            StoreReadError::Database(error) => database(&error),
            StoreReadError::Store(error) => error,
        })
    }

    /// Refuses further reads and closes what is idle.
    pub(super) fn close(&self) {
        self.turns.close();
        self.idle.lock().clear();
    }
}

/// Why a read failed.
#[derive(Debug)]
pub(super) enum StoreReadError {
    Database(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for StoreReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for StoreReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
