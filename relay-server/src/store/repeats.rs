//! The memory of recent signatures: says whether a verified event has come before, in its endpoint.
//!
//! Only the writer asks, so that of two equal requests at once exactly one is the first. What is remembered is written
//! in the transaction that keeps the event (`pages`) and read again at the start. It is bounded by number and age; the
//! oldest go first, and of all endpoints the one that remembers most gives way, so that a busy one takes nothing from
//! the others.

mod pages;
pub(super) mod sighting;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use rusqlite::Connection;
use towline_shared::id::EventId;
use towline_shared::time::Timestamp;
use towline_shared::verify::Fingerprint;

use super::EndpointId;
use super::place::Place;
use pages::Page;
pub(super) use pages::clear_step;

/// The bounds of a memory.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Events of one endpoint.
    of_one: usize,
    /// Events of all endpoints.
    in_all: usize,
    /// How long one is remembered.
    age: Duration,
}

/// At 200 events a second five minutes are remembered, which is the tolerance of most timestamps, and at one a second
/// all of it; half as many where names count, which take a place of their own. In all it takes about 25 MB. Twenty hours are longer than most providers go on trying with the same
/// signature, and shorter than a day, so that a webhook with the very same content every morning is no repeat.
const BOUNDS: Bounds = Bounds {
    of_one: 65_536,
    in_all: 262_144,
    age: Duration::from_secs(20 * 60 * 60),
};

/// How many copies of one content are remembered by their names. Whoever has captured a request can make up ids without
/// end: beyond this they push nothing else out, and are delivered each time.
const MOST_COPIES: usize = 64;

/// How many pages go in one commit because of their age alone; those above the number always go.
const STALE_STEP: usize = 64;

/// The memory.
pub(super) struct Repeats {
    bounds: Bounds,
    known: BTreeMap<Key, EventId>,
    lines: HashMap<EndpointId, Line>,
    /// Events in all lines.
    number: usize,
    /// The events of the transaction under way, which are in no page yet.
    fresh: BTreeMap<EndpointId, Page>,
    /// What the transaction under way has changed, so that it can be undone.
    steps: Vec<Step>,
}

type Key = (EndpointId, Fingerprint);

/// The pages of an endpoint, oldest first.
#[derive(Default)]
struct Line {
    pages: VecDeque<Page>,
    number: usize,
}

enum Step {
    Remembered(Key, Option<EventId>),
    Added(EndpointId),
    Dropped(EndpointId, Page),
    Forgotten(EndpointId, Option<Line>, Vec<(Key, EventId)>),
}

impl Default for Repeats {
    fn default() -> Self {
        Self::within(BOUNDS)
    }
}

impl Repeats {
    fn within(bounds: Bounds) -> Self {
        Self {
            bounds,
            known: BTreeMap::new(),
            lines: HashMap::new(),
            number: 0,
            fresh: BTreeMap::new(),
            steps: Vec::new(),
        }
    }

    /// The memory as it was when the database was written last.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut repeats = Self::default();
        pages::read_all(connection, |page| {
            let endpoint = page.place.endpoint();
            for &(fingerprint, event) in &page.entries {
                repeats.known.insert((endpoint, fingerprint), event);
            }
            repeats.push(page);
        })?;
        Ok(repeats)
    }

    /// The first event with this signed content, while it is remembered at `now`.
    pub(super) fn first(
        &self,
        endpoint: EndpointId,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Option<EventId> {
        let first = *self.known.get(&(endpoint, fingerprint))?;
        (!self.is_stale(first, now)).then_some(first)
    }

    /// Whether one more copy of this content may be remembered.
    pub(super) fn has_room_for_copy(&self, endpoint: EndpointId, fingerprint: Fingerprint) -> bool {
        let (first, last) = fingerprint.copies();
        let copies = self.known.range((endpoint, first)..=(endpoint, last));
        copies.take(MOST_COPIES + 1).count() <= MOST_COPIES
    }

    /// Remembers an event that is kept at this place by the transaction under way.
    pub(super) fn remember(&mut self, place: Place, fingerprint: Fingerprint, event: EventId) {
        let key = (place.endpoint(), fingerprint);
        let before = self.known.insert(key, event);
        self.steps.push(Step::Remembered(key, before));
        let page = self.fresh.entry(place.endpoint());
        let page = page.or_insert_with(|| Page::empty(place));
        page.entries.push((fingerprint, event));
    }

    /// Writes what the transaction has remembered, and removes what is too much or too old.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for (endpoint, page) in std::mem::take(&mut self.fresh) {
            pages::insert(connection, &page)?;
            let newest = page.newest();
            self.push(page);
            self.steps.push(Step::Added(endpoint));
            self.trim(connection, endpoint, newest)?;
        }
        while self.number > self.bounds.in_all
            && let Some(endpoint) = self.fullest()
        {
            self.drop_oldest(connection, endpoint)?;
        }
        Ok(())
    }

    /// Takes the changes of the transaction as made.
    pub(super) fn committed(&mut self) {
        self.steps.clear();
    }

    /// Takes the changes of the transaction back.
    pub(super) fn undo(&mut self) {
        self.fresh.clear();
        while let Some(step) = self.steps.pop() {
            self.undo_step(step);
        }
    }

    /// Forgets an endpoint that is deleted; its pages are removed in steps, with its events.
    pub(super) fn forget_endpoint(&mut self, endpoint: EndpointId) {
        self.fresh.remove(&endpoint);
        let line = self.lines.remove(&endpoint);
        self.number -= line.as_ref().map_or(0, |line| line.number);
        let gone = self.known.extract_if(.., |(of, _), _| *of == endpoint);
        let gone = gone.collect();
        self.steps.push(Step::Forgotten(endpoint, line, gone));
    }

    fn trim(
        &mut self,
        connection: &Connection,
        endpoint: EndpointId,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let mut stale = 0;
        loop {
            let Some(line) = self.lines.get(&endpoint) else {
                return Ok(());
            };
            if line.number <= self.bounds.of_one {
                let oldest = line.pages.front().and_then(Page::last_event);
                let is_stale = oldest.is_some_and(|event| self.is_stale(event, now));
                if !is_stale || stale == STALE_STEP {
                    return Ok(());
                }
                stale += 1;
            }
            self.drop_oldest(connection, endpoint)?;
        }
    }

    fn drop_oldest(
        &mut self,
        connection: &Connection,
        endpoint: EndpointId,
    ) -> rusqlite::Result<()> {
        let Some(line) = self.lines.get_mut(&endpoint) else {
            return Ok(());
        };
        let Some(page) = line.pages.pop_front() else {
            return Ok(());
        };
        line.number -= page.entries.len();
        self.number -= page.entries.len();
        if line.pages.is_empty() {
            self.lines.remove(&endpoint);
        }
        for &(fingerprint, event) in &page.entries {
            // One that came again after its time is remembered by a newer page.
            let key = (endpoint, fingerprint);
            if self.known.get(&key) == Some(&event) {
                self.known.remove(&key);
            }
        }
        let removed = pages::remove(connection, page.place);
        self.steps.push(Step::Dropped(endpoint, page));
        removed
    }

    /// The endpoint that remembers most. There are at most 10,000, and this is looked for only at the bound.
    fn fullest(&self) -> Option<EndpointId> {
        let lines = self.lines.iter();
        let fullest = lines.max_by_key(|(endpoint, line)| (line.number, **endpoint));
        fullest.map(|(&endpoint, _)| endpoint)
    }

    fn is_stale(&self, event: EventId, now: Timestamp) -> bool {
        let age = now.as_millis().saturating_sub(event.made_at().as_millis());
        u128::from(age) > self.bounds.age.as_millis()
    }

    fn push(&mut self, page: Page) {
        self.number += page.entries.len();
        let line = self.lines.entry(page.place.endpoint()).or_default();
        line.number += page.entries.len();
        line.pages.push_back(page);
    }

    fn undo_step(&mut self, step: Step) {
        match step {
            Step::Remembered(key, Some(before)) => {
                self.known.insert(key, before);
            }
            Step::Remembered(key, None) => {
                self.known.remove(&key);
            }
            Step::Added(endpoint) => {
                let Some(line) = self.lines.get_mut(&endpoint) else {
                    return;
                };
                let number = line.pages.pop_back().map_or(0, |page| page.entries.len());
                line.number -= number;
                self.number -= number;
                if line.pages.is_empty() {
                    self.lines.remove(&endpoint);
                }
            }
            Step::Dropped(endpoint, page) => {
                for &(fingerprint, event) in &page.entries {
                    self.known.entry((endpoint, fingerprint)).or_insert(event);
                }
                let line = self.lines.entry(endpoint).or_default();
                line.number += page.entries.len();
                self.number += page.entries.len();
                line.pages.push_front(page);
            }
            Step::Forgotten(endpoint, line, known) => {
                self.known.extend(known);
                if let Some(line) = line {
                    self.number += line.number;
                    self.lines.insert(endpoint, line);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
