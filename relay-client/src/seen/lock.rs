//! Where a journal lies, and that one process at a time has it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::time;
use towline_shared::id::{ConsumerName, EndpointName};

use super::JournalError;
use super::file::private;

/// How often a lock that somebody holds is tried.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// The files of one journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalPlace {
    /// The journal.
    pub journal: PathBuf,
    lock: PathBuf,
}

impl JournalPlace {
    /// The journal of a consumer in the folder of journals. The endpoint's key is the same under every name
    /// and address of its relay, and another one when the endpoint is deleted and made anew; its name is
    /// there for people. A hash stands for key and consumer, which may hold any character.
    pub fn new(
        folder: &Path,
        endpoint: &EndpointName,
        endpoint_key: &str,
        consumer: &ConsumerName,
    ) -> Self {
        let identity = format!("{endpoint_key}\n{consumer}");
        let hash = HEXLOWER.encode(&Sha256::digest(identity)[..8]);
        Self {
            journal: folder.join(format!("{endpoint}-{hash}.journal")),
            lock: folder.join(format!("{endpoint}-{hash}.lock")),
        }
    }

    /// Takes the lock, when nobody has it. Makes the folder if need be.
    ///
    /// # Errors
    /// When the folder or the lock file cannot be used.
    pub fn try_lock(&self) -> Result<Option<JournalLock>, JournalError> {
        let failed = |error: &io::Error| self.failed(error.to_string());
        if let Some(folder) = self.lock.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = private(&mut options)
            .open(&self.lock)
            .map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        note_owner(&mut file).map_err(|error| failed(&error))?;
        Ok(Some(JournalLock {
            _file: file,
            place: self.clone(),
        }))
    }

    /// Waits for the lock: the client before, whose session the relay ended for this one, first writes
    /// down what its app still has in hand. Cancel-safe.
    ///
    /// # Errors
    /// As [`JournalPlace::try_lock`].
    pub async fn lock(&self) -> Result<JournalLock, JournalError> {
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            time::sleep(TRY_EVERY).await;
        }
    }

    /// The number of the process that has the lock.
    pub fn owner(&self) -> Option<String> {
        let mut text = String::new();
        File::open(&self.lock)
            .ok()?
            .take(20)
            .read_to_string(&mut text)
            .ok()?;
        let owner = text.trim();
        (!owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| owner.to_owned())
    }

    fn failed(&self, detail: String) -> JournalError {
        JournalError {
            path: self.journal.clone(),
            detail,
        }
    }
}

/// The right to use a journal; given back when dropped, also by the end of the process.
#[derive(Debug)]
pub struct JournalLock {
    _file: File,
    place: JournalPlace,
}

impl JournalLock {
    /// The files that it locks.
    pub const fn place(&self) -> &JournalPlace {
        &self.place
    }
}

fn note_owner(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}
