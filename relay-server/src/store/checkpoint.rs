//! Moves the write-ahead log into the database in a thread of its own, so that no commit waits for it, and keeps
//! the log's length bounded.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rusqlite::Connection;

use super::schema;

const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// How long the log may become, in pages of 4 KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    /// With each so many new pages, a checkpoint begins beside the writer.
    pub(super) checkpoint: u32,
    /// At this length the writer waits for a checkpoint before it writes on.
    pub(super) longest: u32,
}

/// 16 MiB, which takes some 20 ms to move; and 256 MiB, which only a person's own tool that reads for
/// minutes, or a disk far slower than the writer, makes of it.
pub(super) const LOG_LIMITS: LogLimits = LogLimits {
    checkpoint: 4 * 1024,
    longest: 64 * 1024,
};

/// What the writer and the checkpointer know of the log.
pub(super) struct Log {
    limits: LogLimits,
    /// Held by the writer for a transaction, and by the checkpointer for what the writer has added while it
    /// moved the rest: only a log that is wholly moved starts anew.
    turn: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pages: u32,
    /// The length at which the next checkpoint begins.
    due_at: u32,
    rounds: u64,
    is_ending: bool,
}

impl Log {
    /// A log of which nothing is known yet.
    pub(super) fn new(limits: LogLimits) -> Arc<Self> {
        let state = State {
            due_at: limits.checkpoint,
            ..State::default()
        };
        Arc::new(Self {
            limits,
            turn: Mutex::new(()),
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Takes the turn to write.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// Lets the database tell after each commit of this connection how long the log is.
    pub(super) fn follow(self: &Arc<Self>, connection: &mut Connection) -> rusqlite::Result<()> {
        let log = Arc::clone(self);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            log.is_long(pages.unsigned_abs());
            Ok(())
        }))
    }

    /// Whether the log may grow. When it is as long as it may be, this waits for one checkpoint first.
    pub(super) fn has_room(&self) -> bool {
        let mut state = self.state.lock();
        if state.pages >= self.limits.longest {
            state.due_at = 0;
            self.changed.notify_all();
            let round = state.rounds;
            while state.rounds == round && !state.is_ending {
                self.changed.wait(&mut state);
            }
        }
        state.pages < self.limits.longest
    }

    fn is_long(&self, pages: u32) {
        let mut state = self.state.lock();
        if pages < state.pages {
            state.due_at = self.limits.checkpoint;
        }
        state.pages = pages;
        let is_due = state.is_due();
        drop(state);
        if is_due {
            self.changed.notify_all();
        }
    }

    /// Waits until a checkpoint is due; false when the store ends.
    fn wait_until_due(&self) -> bool {
        let mut state = self.state.lock();
        while !state.is_due() && !state.is_ending {
            self.changed.wait(&mut state);
        }
        !state.is_ending
    }

    fn end_round(&self, is_all_moved: bool) {
        let mut state = self.state.lock();
        if is_all_moved {
            state.pages = 0;
        }
        state.due_at = state.pages.saturating_add(self.limits.checkpoint);
        state.rounds += 1;
        drop(state);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.state.lock().is_ending = true;
        self.changed.notify_all();
    }
}

impl State {
    const fn is_due(&self) -> bool {
        self.pages >= self.due_at
    }
}

/// The thread that makes checkpoints; it ends with this value.
pub(super) struct Checkpointer {
    log: Arc<Log>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(database: &Path, log: Arc<Log>) -> rusqlite::Result<Self> {
        let connection = schema::connect(database)?;
        let of_thread = Arc::clone(&log);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || run(&connection, &of_thread))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        Ok(Self {
            log,
            thread: Some(thread),
        })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.log.end();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported by then.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, log: &Log) {
    // Should this thread panic, the writer must not wait for it.
    let _end = End(log);
    while log.wait_until_due() {
        let is_all_moved = checkpoint(connection, log).unwrap_or_else(|error| {
            tracing::warn!(%error, "checkpoint failed; the next one takes its work");
            false
        });
        log.end_round(is_all_moved);
    }
}

struct End<'a>(&'a Log);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Moves most of the log beside the writer and, in its turn, the rest. Whether all was moved: not what
/// somebody still reads.
fn checkpoint(connection: &Connection, log: &Log) -> rusqlite::Result<bool> {
    move_pages(connection)?;
    let _turn = log.turn();
    move_pages(connection)
}

fn move_pages(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached(CHECKPOINT)?.query_row([], |row| {
        let (length, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(length == moved)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FEW: LogLimits = LogLimits {
        checkpoint: 8,
        longest: 32,
    };

    /// A page of 4 KiB in the log, with what stands before it.
    const PAGE_BYTES: u64 = 4096 + 24;

    struct Fixture {
        folder: tempfile::TempDir,
        connection: Connection,
        log: Arc<Log>,
        _checkpointer: Checkpointer,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = folder.path().join("towline.db");
            let mut connection = schema::connect(&database).unwrap();
            connection.execute_batch("CREATE TABLE t (x BLOB)").unwrap();
            let log = Log::new(FEW);
            log.follow(&mut connection).unwrap();
            let checkpointer = Checkpointer::start(&database, Arc::clone(&log)).unwrap();
            Self {
                folder,
                connection,
                log,
                _checkpointer: checkpointer,
            }
        }

        /// Writes about two pages; false when the log has no room.
        fn write(&self) -> bool {
            let has_room = self.log.has_room();
            if has_room {
                let _turn = self.log.turn();
                let insert = "INSERT INTO t VALUES (zeroblob(3000))";
                self.connection.execute_batch(insert).unwrap();
            }
            has_room
        }

        fn log_bytes(&self) -> u64 {
            let log = self.folder.path().join("towline.db-wal");
            fs::metadata(log).unwrap().len()
        }
    }

    #[test]
    fn the_log_stays_bounded_while_there_are_writes() {
        let fixture = Fixture::new();

        for _ in 0..500 {
            assert!(fixture.write());
        }

        let longest = u64::from(FEW.longest + 8) * PAGE_BYTES;
        assert!(fixture.log_bytes() <= longest, "{}", fixture.log_bytes());
    }

    #[test]
    fn a_log_that_somebody_reads_has_no_room_beyond_the_limit_until_they_end() {
        let fixture = Fixture::new();
        let reader = schema::connect_reader(&fixture.folder.path().join("towline.db")).unwrap();
        assert!(fixture.write());
        let count = "SELECT count(*) FROM t";
        let reading = reader.unchecked_transaction().unwrap();
        let _: i64 = reading.query_row(count, [], |row| row.get(0)).unwrap();

        let written = (0..500).take_while(|_| fixture.write()).count();

        assert!(written < 40, "{written}");
        assert!(!fixture.write());
        drop(reading);
        assert!(fixture.write());
    }
}
