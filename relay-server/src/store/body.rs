//! Bodies: small ones stand in their event's row, large ones in files of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use rusqlite::{Connection, named_params};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::StoreError;
use super::folder::{remove_file, sync_folder};

const IS_NAMED: &str = "SELECT EXISTS (SELECT 1 FROM event
    WHERE body_file = :name AND body_file <> '')
    OR EXISTS (SELECT 1 FROM replay WHERE request_body_file = :name AND request_body_file <> '')";

/// The body of an event.
#[derive(Clone, Debug)]
pub enum Body {
    /// At most 64 KiB, in memory.
    Inline(Bytes),
    /// Longer, in a file of the store.
    File(BodyFile),
}

/// A body in a file of the store, synced and complete. Until an event is kept that has it, the file is removed
/// with the last clone of this value.
#[derive(Clone, Debug)]
pub struct BodyFile {
    path: PathBuf,
    length: u64,
    unkept: Option<Arc<Unkept>>,
}

/// Removes a file that no event came to name.
#[derive(Debug)]
struct Unkept {
    path: PathBuf,
    is_kept: AtomicBool,
}

impl Drop for Unkept {
    fn drop(&mut self) {
        if !self.is_kept.load(Ordering::Acquire)
            && let Err(error) = remove_file(&self.path)
        {
            tracing::warn!(%error, "body file left behind; it is swept at the next start");
        }
    }
}

impl Body {
    /// The length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File(file) => file.length,
        }
    }

    /// Notes that a durable event names the file, if there is one.
    pub(super) fn keep(&self) {
        if let Self::File(BodyFile {
            unkept: Some(unkept),
            ..
        }) = self
        {
            unkept.is_kept.store(true, Ordering::Release);
        }
    }
}

impl BodyFile {
    /// A file that an event names.
    pub(crate) const fn kept(path: PathBuf, length: u64) -> Self {
        Self {
            path,
            length,
            unkept: None,
        }
    }

    /// The file's name in the folder of bodies.
    pub(super) fn name(&self) -> &str {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }

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
pub struct BodyWriter {
    folder: PathBuf,
    file: File,
    temporary: Unkept,
    length: u64,
}

impl BodyWriter {
    /// Starts a file in the folder of bodies.
    pub(super) async fn start(folder: &Path) -> Result<Self, StoreError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| StoreError::Failed(error.to_string()))?;
        let temporary = folder.join(format!("{}.tmp", HEXLOWER.encode(&random)));
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .await
            .map_err(|error| StoreError::writing(folder, &error))?;
        Ok(Self {
            folder: folder.to_owned(),
            file,
            temporary: Unkept {
                path: temporary,
                is_kept: AtomicBool::new(false),
            },
            length: 0,
        })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`]; the body is lost then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let written = self.file.write_all(&bytes).await;
        written.map_err(|error| StoreError::writing(&self.folder, &error))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Syncs the file and gives it its name in the store.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`]; the file is removed then.
    pub async fn finish(mut self) -> Result<BodyFile, StoreError> {
        let folder = self.folder.clone();
        let unwritable = |error: std::io::Error| StoreError::writing(&folder, &error);
        self.file.flush().await.map_err(unwritable)?;
        let file = self.file.into_std().await;
        let (temporary, length, bodies) = (self.temporary, self.length, self.folder);
        // One step from here to the guarded file, whether somebody still waits for it or not: dropped
        // between the two names, the file would be left behind.
        let named = tokio::task::spawn_blocking(move || -> std::io::Result<BodyFile> {
            file.sync_all()?;
            let path = temporary.path.with_extension("body");
            std::fs::rename(&temporary.path, &path)?;
            temporary.is_kept.store(true, Ordering::Release);
            let unkept = Unkept {
                path: path.clone(),
                is_kept: AtomicBool::new(false),
            };
            sync_folder(&bodies)?;
            Ok(BodyFile {
                path,
                length,
                unkept: Some(Arc::new(unkept)),
            })
        });
        let named = named.await.map_err(std::io::Error::other);
        named.and_then(|result| result).map_err(unwritable)
    }
}

/// Removes the files of events that are gone, durably. One that stays is swept at the next start.
pub(super) fn remove(folder: &Path, names: &[String]) {
    for name in names {
        if let Err(error) = remove_file(&folder.join(name)) {
            tracing::warn!(%error, "body file left behind; it is swept at the next start");
        }
    }
}

/// Removes the files that neither event nor replay names, left by a relay that was stopped in the middle.
pub(super) fn sweep(connection: &Connection, folder: &Path) -> Result<(), StoreError> {
    let unwritable = |error: std::io::Error| StoreError::writing(folder, &error);
    for entry in std::fs::read_dir(folder).map_err(unwritable)? {
        let entry = entry.map_err(unwritable)?;
        let name = entry.file_name();
        let is_named: bool = connection
            .prepare_cached(IS_NAMED)
            .and_then(|mut query| {
                query.query_row(named_params! { ":name": name.to_string_lossy() }, |row| {
                    row.get(0)
                })
            })
            .map_err(|error| StoreError::database(folder, &error))?;
        if !is_named {
            remove_file(&entry.path()).map_err(unwritable)?;
        }
    }
    Ok(())
}
