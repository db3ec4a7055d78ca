//! Moves the write-ahead log into the database in a thread of its own, so that no commit waits for it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::schema;

/// A checkpoint is asked for when this many commits' pages have gathered: 4 MiB.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

/// When the log has grown to this, the writer makes a checkpoint itself and starts the log anew: 64 MiB.
const LARGEST_LOG_BYTES: u64 = 64 * 1024 * 1024;

/// How many commits pass between two looks at the log's size.
const COMMITS_BETWEEN_LOOKS: u32 = 64;

/// Tells the checkpoint thread when there is work.
pub(super) struct Checkpointer {
    log: PathBuf,
    bell: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    commits: u32,
}

impl Checkpointer {
    /// Starts the thread; it ends with the value.
    pub(super) fn start(database: &Path) -> Result<Self, rusqlite::Error> {
        let connection = schema::connect(database)?;
        // One ring that waits is enough: a checkpoint takes everything there is.
        let (bell, rung) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || {
                while rung.recv().is_ok() {
                    if let Err(error) = checkpoint(&connection, "PASSIVE") {
                        tracing::warn!(%error, "checkpoint failed; the next one takes its work");
                    }
                }
            })
            .ok();
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        Ok(Self {
            log: log.into(),
            bell: Some(bell),
            thread,
            commits: 0,
        })
    }

    /// Notes a commit of the writer, which `connection` belongs to.
    pub(super) fn committed(&mut self, connection: &Connection) {
        self.commits += 1;
        if self.commits < COMMITS_BETWEEN_LOOKS {
            return;
        }
        self.commits = 0;
        let length = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        if length > LARGEST_LOG_BYTES {
            if let Err(error) = checkpoint(connection, "TRUNCATE") {
                tracing::warn!(%error, "checkpoint failed; the write-ahead log grows");
            }
        } else if length > CHECKPOINT_BYTES
            && let Some(bell) = &self.bell
            && let Err(TrySendError::Disconnected(())) = bell.try_send(())
        {
            self.bell = None;
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by then.
            let _ = thread.join();
        }
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> Result<(), rusqlite::Error> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
}
