//! Keeps endpoints, events, consumers, attempts, replays and tokens durably.
//! A narrow interface; SQLite stands behind it, and no SQLite idea shows through.

mod body;
mod types;

use std::path::PathBuf;
use std::sync::Arc;

pub use body::{Body, BodyFile, BodyWriter};
use towline_shared::id::{ConsumerName, EndpointName, EventId, ReplayId, SecretName, Seq, TokenId};
use towline_shared::time::Timestamp;
use towline_shared::wire::{Report, Start};
pub use types::{
    ConsumerId, ConsumerInfo, Endpoint, EndpointChange, EndpointId, EventQuery, EventSummary,
    NamedSecret, NewEndpoint, NewEvent, NewToken, OpenedConsumer, PendingReplay, Scope,
    StoredAttempt, StoredEvent, TokenInfo,
};

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

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue of the writer is full; the caller may try again soon.
    #[error("store is busy: its queue is full")]
    Busy,
    /// The disk is full or cannot be written; recovers by itself when there is room again.
    #[error("store cannot write to `{folder}`: {detail}")]
    Unwritable {
        /// The data folder.
        folder: PathBuf,
        /// What the operating system said.
        detail: String,
    },
    /// The database was made by a newer version.
    #[error("database has schema {found}, this version knows up to {known}")]
    Newer {
        /// The schema number in the file.
        found: u32,
        /// The newest number known here.
        known: u32,
    },
    /// The key file that encrypts secrets cannot be used.
    #[error("key file `{path}` cannot be used: {detail}")]
    Key {
        /// The key file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// A name is taken already.
    #[error("{what} `{name}` exists already")]
    Exists {
        /// `endpoint`, `secret` or `token`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The thing asked for does not exist.
    #[error("no {what} `{name}`")]
    Missing {
        /// `endpoint`, `secret`, `event`, `consumer` or `token`.
        what: &'static str,
        /// The name or id.
        name: String,
    },
    /// The store was closed.
    #[error("store is closed")]
    Closed,
    /// Anything else that the database or the file system said.
    #[error("store failed: {0}")]
    Failed(String),
}

/// The store; clones share it.
#[derive(Clone)]
pub struct Store {
    _inner: Arc<()>,
}

/// Opening and closing.
impl Store {
    /// Opens the store in its folder, migrating an older schema and sweeping bodies that no event names.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Key`], [`StoreError::Unwritable`] and [`StoreError::Failed`].
    pub fn open(_options: &StoreOptions, _on_committed: OnCommitted) -> Result<Self, StoreError> {
        todo!()
    }

    /// Commits what waits, then ends the threads. Later calls give [`StoreError::Closed`].
    pub async fn close(&self) {
        todo!()
    }

    /// Writes and syncs a probe row, so that `/readyz` tells the truth about the disk.
    pub async fn probe(&self) -> Result<(), StoreError> {
        todo!()
    }
}

/// Events.
impl Store {
    /// Starts the file of a body that is too long to stand in its row.
    pub async fn new_body(&self) -> Result<BodyWriter, StoreError> {
        todo!()
    }

    /// Gives the event its place and keeps it; returns when it is on disk.
    ///
    /// # Errors
    /// [`StoreError::Busy`] at once when the queue is full; then nothing was kept.
    pub async fn append(&self, _event: NewEvent) -> Result<Arc<StoredEvent>, StoreError> {
        todo!()
    }

    /// Up to `limit` events of an endpoint behind `after`, in order, heads and inline bodies included.
    pub async fn events_after(
        &self,
        _endpoint: EndpointId,
        _after: Seq,
        _limit: usize,
    ) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        todo!()
    }

    /// One event by its id.
    pub async fn event(&self, _id: EventId) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        todo!()
    }

    /// A page of events, newest first, with how their latest delivery ended.
    pub async fn list_events(&self, _query: EventQuery) -> Result<Vec<EventSummary>, StoreError> {
        todo!()
    }

    /// Removes the events of an endpoint up to and including `through`, in small steps; returns how many.
    pub async fn trim(&self, _endpoint: EndpointId, _through: Seq) -> Result<u64, StoreError> {
        todo!()
    }
}

/// Consumers, attempts and replays.
impl Store {
    /// Opens a consumer for a session; makes it at `start` when it is new.
    pub async fn open_consumer(
        &self,
        _endpoint: EndpointId,
        _name: &ConsumerName,
        _start: Start,
        _now: Timestamp,
    ) -> Result<OpenedConsumer, StoreError> {
        todo!()
    }

    /// The consumers of an endpoint.
    pub async fn consumers(&self, _endpoint: EndpointId) -> Result<Vec<ConsumerInfo>, StoreError> {
        todo!()
    }

    /// Keeps an attempt and, when it settles its delivery, moves the consumer's cursor; returns when
    /// both are on disk. An attempt that is on record already is not kept twice and is not an error.
    pub async fn record(&self, _consumer: ConsumerId, _report: Report) -> Result<(), StoreError> {
        todo!()
    }

    /// Settles events that this consumer does not get (rejected ones, trimmed ones), both ends included.
    pub async fn skip(
        &self,
        _consumer: ConsumerId,
        _from: Seq,
        _to: Seq,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// Keeps an attempt that a person made outside any consumer's line (`towline replay --to`).
    pub async fn record_outside(
        &self,
        _made_by: &ConsumerName,
        _report: Report,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// Asks for a kept event to be delivered again to a consumer.
    pub async fn add_replay(
        &self,
        _id: ReplayId,
        _event: EventId,
        _consumer: ConsumerId,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        todo!()
    }

    /// The replays that wait for a consumer, oldest first.
    pub async fn pending_replays(
        &self,
        _consumer: ConsumerId,
        _limit: usize,
    ) -> Result<Vec<PendingReplay>, StoreError> {
        todo!()
    }

    /// The attempts of an event, oldest first.
    pub async fn attempts(&self, _event: EventId) -> Result<Vec<StoredAttempt>, StoreError> {
        todo!()
    }
}

/// Endpoints and tokens.
impl Store {
    /// All endpoints with their secrets decrypted.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        todo!()
    }

    /// Makes an endpoint.
    pub async fn create_endpoint(&self, _endpoint: NewEndpoint) -> Result<Endpoint, StoreError> {
        todo!()
    }

    /// Changes an endpoint: its provider, parameters, answer or rule for failures.
    pub async fn change_endpoint(
        &self,
        _name: &EndpointName,
        _change: EndpointChange,
    ) -> Result<Endpoint, StoreError> {
        todo!()
    }

    /// Adds a named secret, replacing one of the same name only when `replace` is set.
    pub async fn put_secret(
        &self,
        _name: &EndpointName,
        _secret: NamedSecret,
        _replace: bool,
    ) -> Result<Endpoint, StoreError> {
        todo!()
    }

    /// Removes a named secret.
    pub async fn remove_secret(
        &self,
        _name: &EndpointName,
        _secret: &SecretName,
    ) -> Result<Endpoint, StoreError> {
        todo!()
    }

    /// Deletes an endpoint with all that belongs to it. Its key never works again.
    pub async fn delete_endpoint(&self, _name: &EndpointName) -> Result<(), StoreError> {
        todo!()
    }

    /// Keeps a token's hash.
    pub async fn create_token(&self, _token: NewToken) -> Result<TokenInfo, StoreError> {
        todo!()
    }

    /// The token with this SHA-256, unless it was revoked or has expired at `now`.
    pub async fn token(
        &self,
        _sha256: [u8; 32],
        _now: Timestamp,
    ) -> Result<Option<TokenInfo>, StoreError> {
        todo!()
    }

    /// All tokens, revoked ones included, newest first.
    pub async fn tokens(&self) -> Result<Vec<TokenInfo>, StoreError> {
        todo!()
    }

    /// Revokes a token.
    pub async fn revoke_token(&self, _id: TokenId, _now: Timestamp) -> Result<(), StoreError> {
        todo!()
    }
}
