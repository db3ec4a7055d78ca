//! Bodies: small ones stand in their event's row, large ones in files of their own.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::StoreError;

/// The body of an event.
#[derive(Clone, Debug)]
pub enum Body {
    /// At most 64 KiB, in memory.
    Inline(Bytes),
    /// Longer, in a file of the store.
    File(BodyFile),
}

/// A body in a file of the store, synced and complete.
#[derive(Clone, Debug)]
pub struct BodyFile {
    path: PathBuf,
    length: u64,
}

impl Body {
    /// The length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File(file) => file.length,
        }
    }
}

impl BodyFile {
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The length in bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }
}

/// A body file while it is being received; dropping it removes the file.
#[derive(Debug)]
pub struct BodyWriter {}

impl BodyWriter {
    /// Appends bytes.
    pub async fn write(&mut self, _bytes: Bytes) -> Result<(), StoreError> {
        todo!()
    }

    /// Syncs the file and gives it its name in the store.
    pub async fn finish(self) -> Result<BodyFile, StoreError> {
        todo!()
    }
}
