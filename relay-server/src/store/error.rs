//! What can go wrong with the store, and which of its causes is the disk's.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

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
    /// Another relay has the data folder.
    #[error("data folder `{folder}` is in use by another relay")]
    InUse {
        /// The data folder.
        folder: PathBuf,
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
        /// `endpoint`, `secret`, `event`, `consumer`, `replay` or `token`.
        what: &'static str,
        /// The name or id.
        name: String,
    },
    /// There are as many as there may be.
    #[error("there are {most} {what} already, the most there may be")]
    TooMany {
        /// `consumers`.
        what: &'static str,
        /// How many there may be.
        most: u32,
    },
    /// The store was closed.
    #[error("store is closed")]
    Closed,
    /// Anything else that the database or the file system said.
    #[error("store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// The thing of this kind and name does not exist.
    pub(super) fn missing(what: &'static str, name: &impl ToString) -> Self {
        let name = name.to_string();
        Self::Missing { what, name }
    }

    /// The name is taken.
    pub(super) fn exists(what: &'static str, name: &impl ToString) -> Self {
        let name = name.to_string();
        Self::Exists { what, name }
    }

    /// The folder cannot be written.
    pub(super) fn unwritable(folder: &Path, detail: &impl ToString) -> Self {
        Self::Unwritable {
            folder: folder.to_owned(),
            detail: detail.to_string(),
        }
    }

    /// An error of the database, in a store that lives in `folder`.
    pub(super) fn database(folder: &Path, error: &rusqlite::Error) -> Self {
        if is_the_disks_fault(error) {
            Self::unwritable(folder, error)
        } else {
            Self::Failed(error.to_string())
        }
    }

    /// An error while a file in `folder` was written.
    pub(super) fn writing(folder: &Path, error: &io::Error) -> Self {
        Self::unwritable(folder, error)
    }
}

/// Why one write was not made.
#[derive(Debug)]
pub(super) enum Failure {
    /// The write itself cannot be: it has changed nothing, and the rest of its batch goes on.
    Refused(StoreError),
    /// The database failed: the whole batch is rolled back.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// Whether the disk is to blame, so that the same write may succeed later.
pub(super) fn is_the_disks_fault(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
        )
    )
}
