//! What the journal's file says, in memory: attempts under way, outcomes that wait for the relay, and what is
//! known of former processes. No files.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use towline_shared::outcome::{Attempt, Delivery, Outcome};
use towline_shared::wire::{FromClient, Report, Stored};

use super::records::{Reading, Record};
use super::{Begun, Recollection};

/// The most outcomes of one delivery that wait for the relay; further attempts that settle nothing are
/// not recorded until it has taken some.
const MAX_WAITING_OUTCOMES: usize = 8;

/// The memory.
#[derive(Default)]
pub(super) struct Memory {
    begun: HashMap<Delivery, Begun>,
    /// Outcomes in the order in which they came.
    outcomes: BTreeMap<u64, Waiting>,
    /// Where the outcomes of a delivery stand.
    places: HashMap<Delivery, Vec<u64>>,
    last_place: u64,
    live_bytes: u64,
    /// Records that are written with the next one: that the relay has stored something.
    later: Vec<u8>,
    /// Attempts of former processes that were cut off and are not told yet.
    cut_off: HashMap<Delivery, Attempt>,
    /// The highest number of an attempt of former processes. Kept when the relay has stored it: an event
    /// that it sent before does not count it.
    former: HashMap<Delivery, u32>,
}

/// An outcome that the relay has not stored yet.
pub(super) struct Waiting {
    delivery: Delivery,
    number: u32,
    is_settled: bool,
    pub(super) frame: Bytes,
}

impl Waiting {
    pub(super) fn of(report: Report) -> Self {
        Self {
            delivery: report.attempt.delivery,
            number: report.attempt.number,
            is_settled: report.attempt.settled.is_some(),
            frame: FromClient::Outcome(Box::new(report)).encode(),
        }
    }
}

impl Memory {
    /// Takes over what a former process left.
    pub(super) fn new(reading: Reading) -> Self {
        let mut memory = Self::default();
        let cut_off = reading.begun.into_iter().map(cut_off);
        for report in reading.outcomes.into_iter().chain(cut_off) {
            let attempt = &report.attempt;
            let former = memory.former.entry(attempt.delivery).or_default();
            *former = attempt.number.max(*former);
            if attempt.outcome == Outcome::CutOff {
                memory.cut_off.insert(attempt.delivery, attempt.clone());
            }
            memory.finish(Waiting::of(report));
        }
        memory
    }

    pub(super) fn begin(&mut self, begun: Begun) {
        self.begun.insert(begun.delivery, begun);
    }

    /// Whether there was something to take back.
    pub(super) fn take_back(&mut self, delivery: Delivery) -> bool {
        self.begun.remove(&delivery).is_some()
    }

    pub(super) fn finish(&mut self, waiting: Waiting) {
        self.begun.remove(&waiting.delivery);
        self.last_place += 1;
        self.live_bytes += waiting.frame.len() as u64;
        self.places
            .entry(waiting.delivery)
            .or_default()
            .push(self.last_place);
        self.outcomes.insert(self.last_place, waiting);
    }

    /// Forgets an outcome; returns whether none is left.
    pub(super) fn forget(&mut self, stored: Stored) -> bool {
        if let Some(place) = self.place_of(stored) {
            self.remove(stored.delivery, place);
            Record::Forgotten(&stored).append_to(&mut self.later);
        }
        self.outcomes.is_empty()
    }

    pub(super) fn recall(&mut self, delivery: Delivery) -> Recollection {
        let former = self.former.get(&delivery).copied().unwrap_or(0);
        Recollection {
            last_number: self
                .waiting(delivery)
                .map(|waiting| waiting.number)
                .fold(former, u32::max),
            is_settled: self.is_settled(delivery),
            cut_off: self.cut_off.remove(&delivery),
        }
    }

    pub(super) fn is_settled(&self, delivery: Delivery) -> bool {
        self.waiting(delivery).any(|waiting| waiting.is_settled)
    }

    pub(super) fn has_room(&self, delivery: Delivery) -> bool {
        self.waiting(delivery).count() < MAX_WAITING_OUTCOMES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    pub(super) fn outcomes_after(&self, place: u64, most: usize) -> Vec<(u64, Bytes)> {
        let behind = self.outcomes.range(place + 1..).take(most);
        behind
            .map(|(&place, waiting)| (place, waiting.frame.clone()))
            .collect()
    }

    pub(super) const fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(super) fn take_later(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.later)
    }

    /// All that is alive, outcomes in their order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let begun = self.begun.values().map(Record::Begun);
        begun.chain(
            self.outcomes
                .values()
                .map(|waiting| Record::Outcome(&waiting.frame)),
        )
    }

    fn waiting(&self, delivery: Delivery) -> impl Iterator<Item = &Waiting> {
        let places = self.places.get(&delivery).into_iter().flatten();
        places.filter_map(|place| self.outcomes.get(place))
    }

    fn place_of(&self, stored: Stored) -> Option<u64> {
        let places = self.places.get(&stored.delivery)?;
        let is_meant = |place: &&u64| {
            self.outcomes
                .get(place)
                .is_some_and(|waiting| waiting.number == stored.attempt)
        };
        places.iter().find(is_meant).copied()
    }

    fn remove(&mut self, delivery: Delivery, place: u64) {
        if let Some(waiting) = self.outcomes.remove(&place) {
            self.live_bytes -= waiting.frame.len() as u64;
        }
        if let Some(places) = self.places.get_mut(&delivery) {
            places.retain(|&other| other != place);
            if places.is_empty() {
                self.places.remove(&delivery);
            }
        }
    }
}

/// The report of an attempt whose process ended while the app had the request.
pub(super) fn cut_off(begun: Begun) -> Report {
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
            findings: Vec::new(),
        },
        sent_head: Bytes::new(),
        reply_head: Bytes::new(),
        reply_body: Bytes::new(),
    }
}
