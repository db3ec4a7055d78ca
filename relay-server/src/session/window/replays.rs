//! The replays that wait for a consumer. The store is the queue; this is the session's page of it.
//!
//! The store lists a replay until its settling outcome is durable, and a read may have begun before that.
//! So a replay that was settled while its outcome or a read was under way is not taken from that read.

use std::collections::{HashMap, HashSet, VecDeque};

use towline_shared::id::ReplayId;

use crate::store::PendingReplay;

/// How many replays one read asks for, beside those that are known, which the store lists too.
const PAGE: usize = 64;

/// The session's page of the waiting replays.
pub(super) struct Replays {
    queue: VecDeque<PendingReplay>,
    prepared: Option<PendingReplay>,
    /// Queued, prepared or in flight; also those whose event is gone, so that they are not queued again.
    known: HashSet<ReplayId>,
    /// Settled, but perhaps still listed by the store or by a read under way; whether it is durable.
    settling: HashMap<ReplayId, bool>,
    is_reading: bool,
    /// Whether the store may have more than what is known here.
    may_have_more: bool,
    asked_for: usize,
}

impl Default for Replays {
    /// Nothing is known, so the store must be asked.
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            prepared: None,
            known: HashSet::new(),
            settling: HashMap::new(),
            is_reading: false,
            may_have_more: true,
            asked_for: 0,
        }
    }
}

impl Replays {
    pub(super) fn changed(&mut self) {
        self.may_have_more = true;
    }

    /// How many replays to read, when it is time to.
    pub(super) fn begin_reading(&mut self) -> Option<usize> {
        if self.is_reading || !self.may_have_more || !self.queue.is_empty() {
            return None;
        }
        self.is_reading = true;
        self.may_have_more = false;
        self.asked_for = self.known.len() + self.settling.len() + PAGE;
        Some(self.asked_for)
    }

    pub(super) fn end_reading(&mut self, found: Vec<PendingReplay>) {
        self.is_reading = false;
        self.may_have_more |= found.len() >= self.asked_for;
        for replay in found {
            if !self.settling.contains_key(&replay.id) && self.known.insert(replay.id) {
                self.queue.push_back(replay);
            }
        }
        self.settling.retain(|_, is_durable| !*is_durable);
    }

    pub(super) fn is_preparing(&self) -> bool {
        self.prepared.is_some()
    }

    pub(super) fn prepare(&mut self) -> Option<PendingReplay> {
        if self.prepared.is_some() {
            return None;
        }
        self.prepared = self.queue.pop_front();
        self.prepared.clone()
    }

    pub(super) fn take_prepared(&mut self) -> Option<PendingReplay> {
        let replay = self.prepared.take()?;
        let was_settled = !self.known.contains(&replay.id);
        (!was_settled).then_some(replay)
    }

    pub(super) fn settled(&mut self, id: ReplayId) {
        self.known.remove(&id);
        self.queue.retain(|replay| replay.id != id);
        self.settling.insert(id, false);
    }

    pub(super) fn recorded(&mut self, id: ReplayId) {
        if self.is_reading {
            if let Some(is_durable) = self.settling.get_mut(&id) {
                *is_durable = true;
            }
        } else {
            self.settling.remove(&id);
        }
    }

    pub(super) fn attempted(&mut self, id: ReplayId, number: u32) {
        let queued = self.queue.iter_mut().chain(self.prepared.as_mut());
        for replay in queued.filter(|replay| replay.id == id) {
            replay.attempts = replay.attempts.max(number);
        }
    }
}
