//! The journal: what this machine has begun and what came of it, so that nothing reaches an app twice.
//!
//! An attempt is written down before the app can have the request, and its outcome before it is reported;
//! both are forgotten when the relay has stored the outcome. Each record is handed to the operating system
//! with one `write`, without a sync: that survives the end of this process by any signal, which is the case
//! to guard against; after a loss of power an app on the same machine has lost its state too.

mod file;
mod lock;
mod records;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use towline_shared::id::EventId;
use towline_shared::outcome::{Attempt, Delivery, Outcome};
use towline_shared::time::Timestamp;
use towline_shared::wire::{FromClient, Report, Stored};

use file::JournalFile;
pub use lock::{JournalLock, JournalPlace};
use records::{Reading, Record};

/// The most outcomes of one delivery that wait for the relay; further attempts that settle nothing are
/// not recorded until it has taken some.
const MAX_WAITING_OUTCOMES: usize = 8;

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
pub struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
    changed: Notify,
    emptied: Notify,
    _lock: JournalLock,
}

struct Inner {
    file: JournalFile,
    begun: HashMap<Delivery, Begun>,
    outcomes: BTreeMap<u64, Waiting>,
    next_place: u64,
    /// Attempts of former processes that were cut off and are not told yet.
    cut_off: HashMap<Delivery, Attempt>,
    /// The highest number of an attempt of former processes. Kept when the relay has stored it: an event
    /// that it sent before does not count it.
    former: HashMap<Delivery, u32>,
}

/// An outcome that the relay has not stored yet.
struct Waiting {
    delivery: Delivery,
    number: u32,
    is_settled: bool,
    frame: Bytes,
}

impl Journal {
    /// Reads the journal whose lock is held. Attempts that a former process began and did not end become
    /// outcomes [`Outcome::CutOff`].
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
        let reading = records::read(&bytes).map_err(failed)?;
        let file = JournalFile::open(&path).map_err(|error| failed(error.to_string()))?;
        let mut inner = Inner {
            file,
            begun: HashMap::new(),
            outcomes: BTreeMap::new(),
            next_place: 1,
            cut_off: HashMap::new(),
            former: HashMap::new(),
        };
        inner
            .start_from(reading)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            path,
            inner: Mutex::new(inner),
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
        let mut inner = self.inner.lock();
        let written = inner.write(&Record::Begun(&begun));
        inner.begun.insert(begun.delivery, begun);
        written.map_err(|error| self.failed(&error))
    }

    /// Writes down what came of an attempt; call it before reporting it. Whoever waits for
    /// [`Journal::changed`] is woken.
    ///
    /// # Errors
    /// When it cannot be written. It is reported all the same as long as this process lives.
    pub fn finish(&self, report: Report) -> Result<(), JournalError> {
        let Report {
            attempt:
                Attempt {
                    delivery,
                    number,
                    settled,
                    ..
                },
            ..
        } = report;
        let frame = FromClient::Outcome(Box::new(report)).encode();
        let mut inner = self.inner.lock();
        let written = inner.write(&Record::Outcome(&frame));
        inner.begun.remove(&delivery);
        inner.wait(delivery, number, settled.is_some(), frame);
        drop(inner);
        self.changed.notify_one();
        written.map_err(|error| self.failed(&error))
    }

    /// Takes a begun attempt back that ended but is not recorded.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_back(&self, delivery: Delivery, number: u32) -> Result<(), JournalError> {
        let mut inner = self.inner.lock();
        if inner.begun.remove(&delivery).is_none() {
            return Ok(());
        }
        let written = inner.write(&Record::Forgotten(&Stored {
            delivery,
            attempt: number,
        }));
        written.map_err(|error| self.failed(&error))
    }

    /// Forgets an outcome that the relay has stored.
    pub fn forget(&self, stored: Stored) {
        let mut inner = self.inner.lock();
        let place = inner
            .outcomes
            .iter()
            .find(|(_, waiting)| {
                waiting.delivery == stored.delivery && waiting.number == stored.attempt
            })
            .map(|(&place, _)| place);
        if let Some(place) = place {
            inner.outcomes.remove(&place);
            inner.file.write_later(&Record::Forgotten(&stored));
        }
        if inner.outcomes.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// What is known of a delivery that the relay sends.
    pub fn recall(&self, delivery: Delivery) -> Recollection {
        let mut inner = self.inner.lock();
        let cut_off = inner.cut_off.remove(&delivery);
        let mut recollection = Recollection {
            last_number: inner.former.get(&delivery).copied().unwrap_or(0),
            is_settled: false,
            cut_off,
        };
        for waiting in inner
            .outcomes
            .values()
            .filter(|waiting| waiting.delivery == delivery)
        {
            recollection.last_number = recollection.last_number.max(waiting.number);
            recollection.is_settled |= waiting.is_settled;
        }
        recollection
    }

    /// Whether an outcome that settles the delivery waits for the relay.
    pub fn is_settled(&self, delivery: Delivery) -> bool {
        let inner = self.inner.lock();
        inner
            .outcomes
            .values()
            .any(|waiting| waiting.delivery == delivery && waiting.is_settled)
    }

    /// Whether another attempt of the delivery that settles nothing may be recorded.
    pub fn has_room(&self, delivery: Delivery) -> bool {
        let inner = self.inner.lock();
        let waiting = inner
            .outcomes
            .values()
            .filter(|waiting| waiting.delivery == delivery);
        waiting.count() < MAX_WAITING_OUTCOMES
    }

    /// Outcomes behind a place, oldest first, as frames with their places; start from 0.
    pub fn outcomes_after(&self, place: u64, most: usize) -> Vec<(u64, Bytes)> {
        let inner = self.inner.lock();
        let behind = inner.outcomes.range(place + 1..);
        behind
            .take(most)
            .map(|(&place, waiting)| (place, waiting.frame.clone()))
            .collect()
    }

    /// Waits until the relay has stored every outcome.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.inner.lock().outcomes.is_empty() {
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
        let _ = self.inner.lock().file.flush();
    }

    fn failed(&self, error: &io::Error) -> JournalError {
        JournalError {
            path: self.path.clone(),
            detail: error.to_string(),
        }
    }
}

impl Inner {
    fn wait(&mut self, delivery: Delivery, number: u32, is_settled: bool, frame: Bytes) {
        let place = self.next_place;
        self.next_place += 1;
        self.outcomes.insert(
            place,
            Waiting {
                delivery,
                number,
                is_settled,
                frame,
            },
        );
    }

    /// Takes over what a former process left, and writes the file anew with it.
    fn start_from(&mut self, reading: Reading) -> io::Result<()> {
        let cut_off = reading.begun.into_iter().map(cut_off);
        for report in reading.outcomes.into_iter().chain(cut_off) {
            let attempt = report.attempt.clone();
            let (delivery, number) = (attempt.delivery, attempt.number);
            let former = self.former.entry(delivery).or_default();
            *former = number.max(*former);
            let is_settled = attempt.settled.is_some();
            if attempt.outcome == Outcome::CutOff {
                self.cut_off.insert(delivery, attempt);
            }
            self.wait(
                delivery,
                number,
                is_settled,
                FromClient::Outcome(Box::new(report)).encode(),
            );
        }
        self.compact()
    }

    fn live_bytes(&self) -> u64 {
        self.outcomes
            .values()
            .map(|waiting| waiting.frame.len() as u64)
            .sum()
    }

    fn write(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.file.write(record)?;
        if self.file.is_long() && self.file.length() > 4 * self.live_bytes() {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes the file anew with only what is alive.
    fn compact(&mut self) -> io::Result<()> {
        let begun = self.begun.values().map(Record::Begun);
        let outcomes = self
            .outcomes
            .values()
            .map(|waiting| Record::Outcome(&waiting.frame));
        self.file.replace(begun.chain(outcomes))
    }
}

/// The report of an attempt whose process ended while the app had the request.
fn cut_off(begun: Begun) -> Report {
    Report {
        attempt: Attempt {
            event: begun.event,
            delivery: begun.delivery,
            number: begun.number,
            started_at: begun.started_at,
            duration_micros: 0,
            target: begun.target,
            outcome: Outcome::CutOff,
            settled: None,
            retry_after_millis: None,
            changes: Vec::new(),
            sent_body_sha256: None,
            sent_body_length: 0,
        },
        sent_head: Bytes::new(),
        reply_head: Bytes::new(),
        reply_body: Bytes::new(),
    }
}

#[cfg(test)]
mod tests;
