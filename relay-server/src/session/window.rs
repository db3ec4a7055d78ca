//! Decides what a consumer gets next: in order, within its window, nothing twice. Knows no socket and no store.

mod replays;
mod settled;

use std::collections::{HashMap, HashSet};

use towline_shared::id::Seq;
use towline_shared::outcome::Delivery;

use crate::store::{OpenedConsumer, PendingReplay};
use replays::Replays;
use settled::SettledAhead;

/// The deliveries of one consumer, as far as its session must know them.
pub(super) struct Window {
    size: usize,
    /// The first place of the line that was not looked at.
    next: Seq,
    /// Sent, and without a settling outcome.
    in_flight: HashSet<Delivery>,
    settled: SettledAhead,
    /// Attempts on record for places from `next` on.
    attempts: HashMap<Seq, u32>,
    replays: Replays,
    was_replay: bool,
}

/// What becomes of the event at the head of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is to be sent, and is in flight; so many attempts of it are on record.
    Deliver(u32),
    /// Consumers do not get it: the store must settle it.
    Skip,
    /// It was settled before.
    Settled,
}

impl Window {
    /// Continues where the consumer was.
    pub(super) fn open(consumer: &OpenedConsumer, size: u32) -> Self {
        Self {
            size: usize::try_from(size).unwrap_or(usize::MAX),
            next: consumer.cursor.next(),
            in_flight: HashSet::new(),
            settled: SettledAhead::new(&consumer.settled_ahead),
            attempts: consumer.attempts.iter().copied().collect(),
            replays: Replays::default(),
            was_replay: false,
        }
    }

    /// How many more deliveries may be in flight. A replay that is being prepared has its place already.
    pub(super) fn free(&self) -> usize {
        let taken = self.in_flight.len() + usize::from(self.replays.is_preparing());
        self.size.saturating_sub(taken)
    }

    /// The last place that was looked at: the line goes on directly behind it.
    pub(super) fn reached(&self) -> Seq {
        Seq(self.next.0 - 1)
    }

    /// Moves up to `seq`, the next event that is kept, and returns the places before it that are not.
    pub(super) fn gap_before(&mut self, seq: Seq) -> Option<(Seq, Seq)> {
        if seq <= self.next {
            return None;
        }
        let gap = (self.next, Seq(seq.0 - 1));
        let is_news = !self.settled.covers(gap.0, gap.1);
        self.move_to(seq);
        is_news.then_some(gap)
    }

    /// Takes the event at the head of the line; the caller has seen that there is a free place.
    pub(super) fn take(&mut self, seq: Seq, is_deliverable: bool) -> Turn {
        debug_assert!(seq == self.next && self.free() > 0);
        let is_settled = self.settled.contains(seq);
        let attempts = self.attempts.remove(&seq).unwrap_or(0);
        self.move_to(seq.next());
        if is_settled {
            return Turn::Settled;
        }
        if !is_deliverable {
            return Turn::Skip;
        }
        self.in_flight.insert(Delivery { seq, replay: None });
        self.was_replay = false;
        Turn::Deliver(attempts)
    }

    /// Whether the store must be asked for replays; then the answer goes to [`Window::replays_read`].
    pub(super) fn begin_reading_replays(&mut self) -> Option<usize> {
        self.replays.begin_reading()
    }

    /// There may be new replays in the store.
    pub(super) fn replays_changed(&mut self) {
        self.replays.changed();
    }

    /// Takes the replays that wait in the store.
    pub(super) fn replays_read(&mut self, found: Vec<PendingReplay>) {
        self.replays.end_reading(found);
    }

    /// The next replay, when there is a free place and none is being prepared. Its event must be read
    /// before it is taken with [`Window::take_replay`], or let go with [`Window::drop_replay`].
    /// While the line waits too, the two take turns.
    pub(super) fn prepare_replay(&mut self, line_waits: bool) -> Option<PendingReplay> {
        if self.free() == 0 || (line_waits && self.was_replay) {
            return None;
        }
        self.replays.prepare()
    }

    /// The prepared replay is sent now: it is in flight. `None` when it was settled meanwhile.
    pub(super) fn take_replay(&mut self, seq: Seq) -> Option<(Delivery, u32)> {
        let replay = self.replays.take_prepared()?;
        let delivery = Delivery {
            seq,
            replay: Some(replay.id),
        };
        self.in_flight.insert(delivery);
        self.was_replay = true;
        Some((delivery, replay.attempts))
    }

    /// The prepared replay cannot be sent: its event is gone.
    pub(super) fn drop_replay(&mut self) {
        self.replays.take_prepared();
    }

    /// An attempt was reported. One that settles frees its place at once; it need not be durable for the
    /// next event to go, since the client keeps it in its journal until it is.
    pub(super) fn reported(&mut self, delivery: Delivery, number: u32, is_settled: bool) {
        let was_in_flight = self.in_flight.contains(&delivery);
        if is_settled {
            self.in_flight.remove(&delivery);
            match delivery.replay {
                Some(replay) => self.replays.settled(replay),
                None if !was_in_flight && delivery.seq >= self.next => {
                    self.settled.add(delivery.seq);
                }
                None => {}
            }
            return;
        }
        if was_in_flight {
            return;
        }
        match delivery.replay {
            Some(replay) => self.replays.attempted(replay, number),
            None => self.attempted(delivery.seq, number),
        }
    }

    /// A settling report of this delivery is durable.
    pub(super) fn recorded(&mut self, delivery: Delivery) {
        if let Some(replay) = delivery.replay {
            self.replays.recorded(replay);
        }
    }

    /// A delivery is over without an outcome: its event is gone.
    pub(super) fn release(&mut self, delivery: Delivery) {
        self.in_flight.remove(&delivery);
    }

    /// How many deliveries are in flight.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn attempted(&mut self, seq: Seq, number: u32) {
        // Only places that `opened` may know of: what a client makes up must not fill the memory.
        if seq >= self.next
            && (self.attempts.contains_key(&seq) || self.attempts.len() < MOST_PLACES)
        {
            let known = self.attempts.entry(seq).or_default();
            *known = number.max(*known);
        }
    }

    fn move_to(&mut self, next: Seq) {
        self.next = next;
        self.settled.forget_before(next);
        if !self.attempts.is_empty() {
            self.attempts.retain(|&seq, _| seq >= next);
        }
    }
}

/// Places above the line that are remembered; a client has at most a window of them in its journal.
const MOST_PLACES: usize = 4096;

#[cfg(test)]
mod tests;
