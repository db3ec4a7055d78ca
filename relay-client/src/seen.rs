//! The journal: what this machine has begun and what came of it, so that nothing reaches an app twice.
//!
//! An attempt is written down before the app can have the request, and its outcome before it is reported;
//! both are forgotten when the relay has stored the outcome. Each record is handed to the operating system
//! with one `write`, without a sync: that survives the end of this process by any signal, which is the case
//! to guard against; after a loss of power an app on the same machine has lost its state too.

mod file;
mod lock;
mod memory;
mod records;

use std::path::PathBuf;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use towline_shared::id::EventId;
use towline_shared::outcome::{Attempt, Delivery};
use towline_shared::time::Timestamp;
use towline_shared::wire::{Report, Stored};

use file::JournalFile;
pub use lock::{JournalLock, JournalPlace};
use memory::{Memory, Waiting};
use records::Record;

/// Room for a record without heads and bodies.
const RECORD_BYTES: usize = 512;

/// The journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the journal `{}`: {detail}", path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// Why, and what to do.
    pub detail: String,
}

/// An attempt that was begun: from here on the app may have the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The event.
    pub event: EventId,
    /// The delivery.
    pub delivery: Delivery,
    /// The attempt's number.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// The URL that is called.
    pub target: String,
}

/// What the journal knows of a delivery that the relay sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recollection {
    /// The highest number of an attempt in the journal; 0 for none.
    pub last_number: u32,
    /// Whether an outcome that settles the delivery waits for the relay: the app is not called again.
    pub is_settled: bool,
    /// An attempt of a former process that ended with that process; given once.
    pub cut_off: Option<Attempt>,
}

/// The journal of one consumer of one endpoint of one relay.
///
/// Locks are taken in the order of the fields. The file's is held while a record is written, the memory's
/// never, so that the reading and writing of the link do not wait for the disk.
pub struct Journal {
    file: Mutex<JournalFile>,
    memory: Mutex<Memory>,
    path: PathBuf,
    changed: Notify,
    emptied: Notify,
    _lock: JournalLock,
}

impl Journal {
    /// Reads the journal whose lock is held. Attempts that a former process began and did not end become
    /// outcomes `CutOff`.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is damaged elsewhere than at its end.
    pub fn open(lock: JournalLock) -> Result<Self, JournalError> {
        let path = lock.place().journal.clone();
        let failed = |detail: String| JournalError {
            path: path.clone(),
            detail,
        };
        let bytes = file::read(&path).map_err(|error| failed(error.to_string()))?;
        let memory = Memory::new(records::read(&bytes).map_err(failed)?);
        let mut file = JournalFile::open(&path).map_err(|error| failed(error.to_string()))?;
        file.replace(memory.records())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            file: Mutex::new(file),
            memory: Mutex::new(memory),
            path,
            changed: Notify::new(),
            emptied: Notify::new(),
            _lock: lock,
        })
    }

    /// Writes down that an attempt begins; call it before the app can have the request.
    ///
    /// # Errors
    /// When it cannot be written: then the app must not be called.
    pub fn begin(&self, begun: Begun) -> Result<(), JournalError> {
        let mut record = Vec::with_capacity(RECORD_BYTES);
        Record::Begun(&begun).append_to(&mut record);
        let mut file = self.file.lock();
        self.memory.lock().begin(begun);
        self.write(&mut file, &record)
    }

    /// Writes down what came of an attempt; call it before reporting it. Whoever waits for
    /// [`Journal::changed`] is woken.
    ///
    /// # Errors
    /// When it cannot be written. It is reported all the same as long as this process lives.
    pub fn finish(&self, report: Report) -> Result<(), JournalError> {
        let waiting = Waiting::of(report);
        let mut record = Vec::with_capacity(waiting.frame.len() + RECORD_BYTES);
        Record::Outcome(&waiting.frame).append_to(&mut record);
        let mut file = self.file.lock();
        let written = self.write(&mut file, &record);
        // Only a written outcome may be seen by the link; and the file is not written anew in between.
        self.memory.lock().finish(waiting);
        drop(file);
        self.changed.notify_one();
        written
    }

    /// Takes a begun attempt back that ended but is not recorded.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_back(&self, delivery: Delivery, number: u32) -> Result<(), JournalError> {
        let mut file = self.file.lock();
        if !self.memory.lock().take_back(delivery) {
            return Ok(());
        }
        let mut record = Vec::with_capacity(RECORD_BYTES);
        Record::Forgotten(&Stored {
            delivery,
            attempt: number,
        })
        .append_to(&mut record);
        self.write(&mut file, &record)
    }

    /// Forgets an outcome that the relay has stored.
    pub fn forget(&self, stored: Stored) {
        let is_empty = self.memory.lock().forget(stored);
        if is_empty {
            self.emptied.notify_waiters();
        }
    }

    /// What is known of a delivery that the relay sends.
    pub fn recall(&self, delivery: Delivery) -> Recollection {
        self.memory.lock().recall(delivery)
    }

    /// Whether an outcome that settles the delivery waits for the relay.
    pub fn is_settled(&self, delivery: Delivery) -> bool {
        self.memory.lock().is_settled(delivery)
    }

    /// Whether another attempt of the delivery that settles nothing may be recorded.
    pub fn has_room(&self, delivery: Delivery) -> bool {
        self.memory.lock().has_room(delivery)
    }

    /// Outcomes behind a place, oldest first, as frames with their places; start from 0.
    pub fn outcomes_after(&self, place: u64, most: usize) -> Vec<(u64, Bytes)> {
        self.memory.lock().outcomes_after(place, most)
    }

    /// Waits until the relay has stored every outcome.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.memory.lock().is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Waits until an outcome was added since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Writes what may be written later. Without it a next process reports stored outcomes once more,
    /// which the relay takes calmly.
    pub fn flush(&self) {
        let mut file = self.file.lock();
        let _ = self.write(&mut file, &[]);
    }

    /// Writes a record together with those that waited for it; the file anew when it grew long.
    fn write(&self, file: &mut JournalFile, record: &[u8]) -> Result<(), JournalError> {
        let mut bytes = self.memory.lock().take_later();
        bytes.extend_from_slice(record);
        let mut written = file.append(&bytes);
        if written.is_ok() && file.is_long() {
            let memory = self.memory.lock();
            if file.length() > 4 * memory.live_bytes() {
                // An outcome that was just written is not in memory yet: it follows once more.
                written = file
                    .replace(memory.records())
                    .and_then(|()| file.append(record));
            }
        }
        written.map_err(|error| JournalError {
            path: self.path.clone(),
            detail: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests;
