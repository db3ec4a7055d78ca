//! The one thread that writes: takes what waits in its bounded queue, commits it as one transaction, then answers.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpointer, Log};
use super::error::{Failure, is_the_disks_fault};
use super::folder::Folder;
use super::memory::Memory;
use super::sealing::Sealer;
use super::{OnCommitted, StoreError, StoredEvent, endpoints};

/// What may wait for the writer, in KiB of heads and bodies: 8 MiB, so that a flood cannot fill the memory.
const QUEUE_KIB: u32 = 8 * 1024;

/// The most writes in one transaction; more only makes the first ones wait longer.
const BATCH_WRITES: usize = 512;

/// The most KiB in one transaction.
const BATCH_KIB: u32 = 4 * 1024;

/// What a write works with.
pub(super) struct Writing<'a> {
    /// The database, inside a transaction.
    pub(super) connection: &'a Connection,
    /// What the writer remembers of counters and cursors.
    pub(super) memory: &'a mut Memory,
    /// Encrypts secrets.
    pub(super) sealer: &'a Sealer,
    /// Events to tell of after the commit.
    pub(super) events: &'a mut Vec<Arc<StoredEvent>>,
}

/// One write; runs again on its own when the transaction that it stood in could not be made.
type Write<T> = Box<dyn FnMut(&mut Writing<'_>) -> Result<T, Failure> + Send>;

/// A write that waits, whatever its result is.
trait Waiting: Send {
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), rusqlite::Error>;
    fn fail(&mut self, error: StoreError);
    fn answer(self: Box<Self>);
    fn kib(&self) -> u32;
}

struct Job<T> {
    write: Write<T>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    /// What it takes of the queue's room; nothing for one that waits alone.
    room: Option<OwnedSemaphorePermit>,
}

impl<T: Send> Waiting for Job<T> {
    fn run(&mut self, writing: &mut Writing<'_>) -> Result<(), rusqlite::Error> {
        self.result = Some(match (self.write)(writing) {
            Ok(value) => Ok(value),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or(Err(StoreError::Closed));
        // A caller that has gone away needs no answer; what it asked for is kept all the same.
        let _ = self.reply.send(result);
    }

    fn kib(&self) -> u32 {
        let permits = self.room.as_ref().map_or(1, |room| room.num_permits());
        u32::try_from(permits).unwrap_or(u32::MAX)
    }
}

/// Hands writes to the writer's thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Waiting>>,
    room: Arc<Semaphore>,
}

impl Writer {
    /// Starts the thread. It ends when [`Writer`] is dropped and its queue is empty.
    /// `broken` is cancelled when a panic ends it.
    pub(super) fn start(
        mut thread: WriterThread,
        queue: usize,
        broken: CancellationToken,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = mpsc::channel(queue.max(1));
        let writer = Self {
            queue: sender,
            room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
        };
        let handle = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let _alarm = Alarm(broken);
                thread.run(receiver);
            })?;
        Ok((writer, handle))
    }

    /// Makes a write, or refuses it at once with [`StoreError::Busy`] when the queue is full.
    pub(super) async fn try_write<T: Send + 'static>(
        &self,
        bytes: usize,
        write: impl FnMut(&mut Writing<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(kib(bytes))
            .map_err(|_| StoreError::Busy)?;
        let place = self.queue.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(()) => StoreError::Closed,
        })?;
        let (reply, answer) = oneshot::channel();
        place.send(job(write, reply, Some(room)));
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Makes a write as soon as there is room in the queue.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        write: impl FnMut(&mut Writing<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let room = Arc::clone(&self.room)
            .acquire_many_owned(kib(bytes))
            .await
            .map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.queue
            .send(job(write, reply, Some(room)))
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Makes a small write from a thread of the store, which waits for it before it makes another.
    pub(super) fn write_and_wait<T: Send + 'static>(
        &self,
        write: impl FnMut(&mut Writing<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .blocking_send(job(write, reply, None))
            .map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

/// Tells of a panic in the thread that holds it.
struct Alarm(CancellationToken);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

fn job<T: Send + 'static>(
    write: impl FnMut(&mut Writing<'_>) -> Result<T, Failure> + Send + 'static,
    reply: oneshot::Sender<Result<T, StoreError>>,
    room: Option<OwnedSemaphorePermit>,
) -> Box<dyn Waiting> {
    Box::new(Job {
        write: Box::new(write),
        result: None,
        reply,
        room,
    })
}

/// One KiB for the row itself, and never more than the queue can hold.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024 + 1)
        .unwrap_or(QUEUE_KIB)
        .min(QUEUE_KIB)
}

/// What the thread owns.
pub(super) struct WriterThread {
    pub(super) connection: Connection,
    pub(super) memory: Memory,
    pub(super) sealer: Sealer,
    pub(super) log: Arc<Log>,
    /// Behind the connection: whoever closes the database last moves the rest of its log.
    pub(super) _checkpointer: Checkpointer,
    pub(super) on_committed: OnCommitted,
    // Last, so that its lock is released when the database is closed.
    pub(super) folder: Folder,
}

impl WriterThread {
    /// Opens every secret once, so that a wrong key file is found at the start and not by a webhook.
    pub(super) fn check_secrets(&self) -> Result<(), StoreError> {
        match endpoints::all(&self.connection, &self.sealer) {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.error_of(failure)),
        }
    }

    fn error_of(&self, failure: Failure) -> StoreError {
        match failure {
            Failure::Refused(error) => error,
            Failure::Database(error) => StoreError::database(self.folder.path(), &error),
        }
    }

    fn run(&mut self, mut queue: mpsc::Receiver<Box<dyn Waiting>>) {
        while let Some(first) = queue.blocking_recv() {
            let batch = gather(first, &mut queue);
            if self.log.has_room() {
                self.commit_all(batch);
            } else {
                self.refuse_all(batch);
            }
        }
    }

    fn refuse_all(&self, batch: Vec<Box<dyn Waiting>>) {
        let detail =
            "its write-ahead log is full, because another program has been reading for long";
        tracing::error!(detail, "batch refused");
        for mut waiting in batch {
            waiting.fail(StoreError::unwritable(self.folder.path(), &detail));
            waiting.answer();
        }
    }

    fn commit_all(&mut self, mut batch: Vec<Box<dyn Waiting>>) {
        match self.commit(&mut batch) {
            Ok(()) => {}
            // One write may be at fault: each gets a transaction of its own, so that it spoils no other.
            Err(error) if batch.len() > 1 && !is_the_disks_fault(&error) => {
                for waiting in batch {
                    self.commit_all(vec![waiting]);
                }
                return;
            }
            Err(error) => {
                for waiting in &mut batch {
                    waiting.fail(StoreError::database(self.folder.path(), &error));
                }
            }
        }
        for waiting in batch {
            waiting.answer();
        }
    }

    /// Runs the batch in one transaction. After an error nothing of it is kept.
    fn commit(&mut self, batch: &mut [Box<dyn Waiting>]) -> Result<(), rusqlite::Error> {
        let mut events = Vec::new();
        let log = Arc::clone(&self.log);
        let turn = log.turn();
        let result = self.transact(batch, &mut events);
        if let Err(error) = result {
            self.memory.forget();
            if !self.connection.is_autocommit() {
                // SQLite has rolled back by itself after most errors; a second failure changes nothing.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            return Err(error);
        }
        drop(turn);
        self.memory.committed();
        for event in &events {
            event.body.keep();
        }
        if !events.is_empty() {
            (self.on_committed)(&events);
        }
        Ok(())
    }

    fn transact(
        &mut self,
        batch: &mut [Box<dyn Waiting>],
        events: &mut Vec<Arc<StoredEvent>>,
    ) -> Result<(), rusqlite::Error> {
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])?;
        for waiting in batch {
            waiting.run(&mut Writing {
                connection: &self.connection,
                memory: &mut self.memory,
                sealer: &self.sealer,
                events,
            })?;
        }
        self.memory.write(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

/// The first write and what waits behind it, up to the bounds of a batch.
fn gather(
    first: Box<dyn Waiting>,
    queue: &mut mpsc::Receiver<Box<dyn Waiting>>,
) -> Vec<Box<dyn Waiting>> {
    let mut kib = first.kib();
    let mut batch = vec![first];
    while batch.len() < BATCH_WRITES && kib < BATCH_KIB {
        let Ok(next) = queue.try_recv() else { break };
        kib = kib.saturating_add(next.kib());
        batch.push(next);
    }
    batch
}
