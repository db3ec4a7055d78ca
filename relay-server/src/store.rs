//! Keeps endpoints, events, consumers, attempts, replays and tokens durably.
//! A narrow interface; SQLite stands behind it, and no SQLite idea shows through.

mod body;
mod types;
mod error;
mod folder;
mod schema;
mod sealing;
mod writer;
mod checkpoint;
mod memory;
mod progress;
mod place;
mod events;
mod repeats;
mod uses;
mod kept;
mod listing;
mod trimming;
mod pins;
mod retention;
mod consumers;
mod attempts;
mod replays;
mod settings;
mod endpoints;
mod capture;
mod tokens;
mod readers;
mod sweeper;
mod probe;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;

pub use body::{Body, BodyFile, BodyWriter};
pub use error::StoreError;
use parking_lot::Mutex;
pub use retention::Usage;
pub use settings::EndpointSettings;
use tokio_util::sync::CancellationToken;
use towline_shared::filter::Filter;
use towline_shared::id::{ConsumerName, EventId, Seq};
use towline_shared::time::Timestamp;
use towline_shared::wire::{Report, Start};
pub use types::{
    ConsumerId, ConsumerInfo, Endpoint, EndpointId, EventQuery, EventSummary, FoundEvents,
    NamedSecret, NewEndpoint, NewEvent, NewToken, OpenedConsumer, PendingReplay, Remember,
    ReplayRequest, Scope, StoredAttempt, StoredEvent, TokenInfo,
};
pub use uses::{SecretUse, SecretUses};

use attempts::NewAttempt;
use checkpoint::{Checkpointer, LOG_LIMITS, Log};
use folder::Folder;
use memory::Memory;
use readers::Readers;
use sealing::Sealer;
use sweeper::Sweeper;
use trimming::TRIM_STEP;
use writer::{Writer, WriterThread, Writing};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data folder; made when it is not there.
    pub folder: PathBuf,
    /// How many writes may wait for the writer; one more is answered with [`StoreError::Busy`].
    pub queue: usize,
}

/// Is told of events right after they are durable, in `seq` order for each endpoint.
pub type OnCommitted = Box<dyn Fn(&[Arc<StoredEvent>]) + Send + Sync>;

/// The store; clones share it. One data folder is held by one store at a time.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Mutex<Option<Arc<Writer>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    sweeper: Mutex<Option<Sweeper>>,
    readers: Readers,
    bodies: Arc<Path>,
    broken: CancellationToken,
}

impl Inner {
    /// Commits what waits and waits for the writer's end.
    fn stop_writing(&self) {
        drop(self.writer.lock().take());
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        // What the writer calls may hold the last clone of the store: then the threads end after that call.
        if thread.thread().id() == std::thread::current().id() {
            return;
        }
        let sweeper = self.sweeper.lock().take();
        if let Some(sweeper) = sweeper {
            sweeper.stop();
        }
        let _ = thread.join();
    }
}

/// A store that is dropped without being closed still commits what it took; its folder is free after that.
impl Drop for Inner {
    fn drop(&mut self) {
        self.stop_writing();
    }
}

/// Opening and closing.
impl Store {
    /// Opens the store in its folder, migrating an older schema and sweeping bodies that no event names.
    /// It blocks on the disk.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::Newer`], [`StoreError::Key`], [`StoreError::Unwritable`]
    /// and [`StoreError::Failed`].
    pub fn open(options: &StoreOptions, on_committed: OnCommitted) -> Result<Self, StoreError> {
        let folder = Folder::open(&options.folder)?;
        let failed = |error: rusqlite::Error| StoreError::database(&options.folder, &error);
        folder.make_database()?;
        let mut connection = schema::connect(&folder.database()).map_err(failed)?;
        schema::migrate(&mut connection, &options.folder)?;
        let has_secrets = endpoints::has_secrets(&connection).map_err(failed)?;
        let sealer = Sealer::open(&folder.key_file(), has_secrets)?;
        body::sweep(&connection, &folder.bodies())?;
        let readers = Readers::new(folder.database(), folder.path());
        let bodies: Arc<Path> = folder.bodies().into();
        let log = Log::new(LOG_LIMITS);
        log.follow(&mut connection).map_err(failed)?;
        let memory = Memory::at_start(&connection).map_err(failed)?;
        let thread = WriterThread {
            connection,
            memory,
            sealer,
            _checkpointer: Checkpointer::start(&folder.database(), Arc::clone(&log))
                .map_err(failed)?,
            log,
            on_committed,
            folder,
        };
        thread.check_secrets()?;
        let no_thread = |error: std::io::Error| StoreError::Failed(error.to_string());
        let broken = CancellationToken::new();
        let (writer, handle) =
            Writer::start(thread, options.queue, broken.clone()).map_err(no_thread)?;
        let writer = Arc::new(writer);
        let sweeper = Sweeper::start(&writer, Arc::clone(&bodies)).map_err(no_thread)?;
        let inner = Inner {
            writer: Mutex::new(Some(writer)),
            thread: Mutex::new(Some(handle)),
            sweeper: Mutex::new(Some(sweeper)),
            readers,
            bodies,
            broken,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Whether a store has this data folder open, in this process or another.
    pub fn is_held(folder: &Path) -> bool {
        Folder::is_held(folder)
    }

    /// Waits until a panic has ended the writer: then nothing can be kept any more, and only a new start helps.
    /// Cancel-safe.
    pub async fn broken(&self) {
        self.inner.broken.cancelled().await;
    }

    /// Commits what waits, then ends the threads. Later calls give [`StoreError::Closed`].
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        // The writer has reported a panic of its own by then.
        let _ = tokio::task::spawn_blocking(move || inner.stop_writing()).await;
        self.inner.readers.close();
    }

    fn writer(&self) -> Result<Arc<Writer>, StoreError> {
        self.inner.writer.lock().clone().ok_or(StoreError::Closed)
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl FnMut(&mut Writing<'_>) -> Result<T, error::Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer()?.write(0, write).await
    }
}

fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// Events.
impl Store {
    /// Starts the file of a body that is too long to stand in its row.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`].
    pub async fn new_body(&self) -> Result<BodyWriter, StoreError> {
        BodyWriter::start(&self.inner.bodies).await
    }

    /// Gives the event its place and keeps it; returns when it is on disk.
    ///
    /// # Errors
    /// [`StoreError::Busy`] at once when the queue is full, [`StoreError::Unwritable`] when the disk is;
    /// then nothing was kept, and the file of its body is removed.
    pub async fn append(&self, event: NewEvent) -> Result<Arc<StoredEvent>, StoreError> {
        let inline = match &event.body {
            Body::Inline(bytes) => bytes.len(),
            Body::File(_) => 0,
        };
        let facts = events::facts_of(&event);
        let bytes = event.head.as_bytes().len() + inline + facts.len();
        self.writer()?
            .try_write(bytes, move |writing| {
                events::append(writing, &event, &facts)
            })
            .await
    }

    /// Up to `limit` events of an endpoint behind `after`, in order, heads and inline bodies included.
    ///
    /// A page ends with the event that takes it over 256 KiB, so it may have fewer than `limit`; it is empty
    /// only when there is nothing behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Closed`]; so for every reading call.
    pub async fn events_after(
        &self,
        endpoint: EndpointId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let bodies = Arc::clone(&self.inner.bodies);
        let readers = &self.inner.readers;
        readers
            .read(move |connection| events::after(connection, &bodies, endpoint, after, limit))
            .await
    }

    /// One event by its id.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn event(&self, id: EventId) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        let bodies = Arc::clone(&self.inner.bodies);
        let readers = &self.inner.readers;
        readers
            .read(move |connection| events::by_id(connection, &bodies, id))
            .await
    }

    /// A page of events, newest first, with how their latest delivery ended.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn list_events(&self, query: EventQuery) -> Result<Vec<EventSummary>, StoreError> {
        let bodies = Arc::clone(&self.inner.bodies);
        let readers = &self.inner.readers;
        readers
            .read(move |connection| listing::list(connection, &bodies, &query))
            .await
    }

    /// Looks for events that a filter means, newest first, within bounds on what one call looks at.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn search_events(
        &self,
        query: EventQuery,
        filter: Filter,
    ) -> Result<FoundEvents, StoreError> {
        let bodies = Arc::clone(&self.inner.bodies);
        let readers = &self.inner.readers;
        readers
            .read(move |connection| listing::search(connection, &bodies, &query, &filter))
            .await
    }

    /// Removes the events of an endpoint up to and including `through`, in small steps; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`]; what was removed until then stays removed.
    pub async fn trim(&self, endpoint: EndpointId, through: Seq) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let step = self
                .write(move |writing| {
                    trimming::trim_step(writing.connection, endpoint, through, TRIM_STEP)
                })
                .await?;
            if step.is_done {
                return Ok(removed);
            }
            removed += step.events;
            self.remove_bodies(step.body_files).await;
        }
    }

    /// Removes files away from the writer, whose callers would wait for it.
    async fn remove_bodies(&self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        let bodies = Arc::clone(&self.inner.bodies);
        let removing = tokio::task::spawn_blocking(move || body::remove(&bodies, &names));
        // A panic has been reported by then.
        let _ = removing.await;
    }
}

/// Consumers and attempts; replays are in their own file.
impl Store {
    /// Opens a consumer for a session; makes it at `start` when it is new.
    ///
    /// Events that consumers do not get count as settled by themselves.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the endpoint, or the event to start at, does not exist;
    /// [`StoreError::TooMany`] when the endpoint has 1,000 consumers and this would be another.
    pub async fn open_consumer(
        &self,
        endpoint: EndpointId,
        name: &ConsumerName,
        start: Start,
        now: Timestamp,
    ) -> Result<OpenedConsumer, StoreError> {
        let name = name.clone();
        self.write(move |writing| consumers::open(writing, endpoint, &name, start, now))
            .await
    }

    /// The consumers of an endpoint.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn consumers(&self, endpoint: EndpointId) -> Result<Vec<ConsumerInfo>, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| consumers::list(connection, endpoint))
            .await
    }

    /// Keeps an attempt and, when it settles its delivery, moves the consumer's cursor; returns when
    /// both are on disk. An attempt that is on record already is not kept twice and is not an error.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when consumer, event or replay do not exist or do not belong together.
    pub async fn record(&self, consumer: ConsumerId, report: Report) -> Result<(), StoreError> {
        let new = NewAttempt::new(report, now());
        self.writer()?
            .write(new.size(), move |writing| {
                attempts::record(writing, consumer, &new)
            })
            .await
    }

    /// Settles events that this consumer will not get, such as trimmed ones, both ends included; `filtered` of them
    /// because its filter does not want them.
    /// Rejected events need no skipping: the cursor passes them by itself.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such consumer, or no event has had the place `to` yet.
    pub async fn skip(
        &self,
        consumer: ConsumerId,
        (from, to): (Seq, Seq),
        filtered: u64,
    ) -> Result<(), StoreError> {
        self.write(move |writing| consumers::skip(writing, consumer, (from, to), filtered))
            .await
    }

    /// Notes which events a consumer wants, as its session says; empty for all.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`].
    pub async fn set_filter(&self, consumer: ConsumerId, filter: &str) -> Result<(), StoreError> {
        let filter = filter.to_owned();
        self.write(move |writing| consumers::set_filter(writing, consumer, &filter))
            .await
    }

    /// Keeps an attempt that a person made outside any consumer's line (`towline replay --to`).
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the event does not exist.
    pub async fn record_outside(
        &self,
        made_by: &ConsumerName,
        report: Report,
    ) -> Result<(), StoreError> {
        let made_by = made_by.clone();
        let new = NewAttempt::new(report, now());
        self.writer()?
            .write(new.size(), move |writing| {
                attempts::record_outside(writing, &made_by, &new)
            })
            .await
    }

    /// The attempts of an event, oldest first; of more than 100, or more than 4 MiB, the newest.
    ///
    /// # Errors
    /// As [`Store::events_after`].
    pub async fn attempts(&self, event: EventId) -> Result<Vec<StoredAttempt>, StoreError> {
        let readers = &self.inner.readers;
        readers
            .read(move |connection| attempts::attempts(connection, event))
            .await
    }
}

#[cfg(test)]
mod tests;
