//! The line of deliveries in hand: starts them in the order of arrival, a limited number at once, and lets
//! each go on until it is settled. Lives longer than a session with the relay; reports go to the journal.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use towline_shared::outcome::Delivery;
use towline_shared::wire::EventHeader;

use super::routes::Routes;
use super::tries::Patience;
use super::work::Ended;
use super::{News, Summary};
use crate::body::Body;
use crate::seen::{Journal, JournalError};

/// An event that is wholly on this machine.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// The header of its frame.
    pub(crate) header: EventHeader,
    /// The sender's head, not read yet.
    pub(crate) head: Bytes,
    /// The body.
    pub(crate) body: Body,
}

/// What became of an offered event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in the line.
    Taken,
    /// It is in hand already, or was settled before and is reported from the journal.
    Known,
    /// The line ends; it is for next time.
    Stopping,
    /// The relay sends more than was asked for.
    TooMany,
}

/// The line.
pub(crate) struct Line {
    shared: Arc<Shared>,
    tracker: TaskTracker,
}

/// What all deliveries work with.
pub(super) struct Shared {
    concurrency: usize,
    pub(super) patience: Patience,
    pub(super) routes: Routes,
    pub(super) journal: Arc<Journal>,
    pub(super) news: mpsc::Sender<News>,
    /// Cancelled when nothing new may be begun.
    pub(super) stop: CancellationToken,
    /// Cancelled when everything ends at once.
    abort: CancellationToken,
    pub(super) state: Mutex<State>,
}

/// What changes while the line runs.
#[derive(Default)]
pub(super) struct State {
    in_hand: HashSet<Delivery>,
    queue: VecDeque<Arrived>,
    pub(super) summary: Summary,
    pub(super) failure: Option<JournalError>,
}

impl Line {
    /// A line whose journal is open. `stop` lets it end what the app has in hand, `abort` does not.
    pub(super) fn new(
        concurrency: u32,
        patience: Patience,
        routes: Routes,
        journal: Arc<Journal>,
        news: mpsc::Sender<News>,
        (stop, abort): (CancellationToken, CancellationToken),
    ) -> Self {
        let shared = Shared {
            concurrency: concurrency as usize,
            patience,
            routes,
            journal,
            news,
            stop,
            abort,
            state: Mutex::new(State::default()),
        };
        Self {
            shared: Arc::new(shared),
            tracker: TaskTracker::new(),
        }
    }

    /// Whether an event need not be offered: it is in hand or settled.
    pub(crate) fn knows(&self, delivery: Delivery) -> bool {
        self.shared.state.lock().knows(delivery) || self.shared.journal.is_settled(delivery)
    }

    /// Takes an event into the line.
    pub(crate) fn offer(&self, arrived: Arrived) -> Offered {
        let delivery = arrived.header.delivery;
        let mut state = self.shared.state.lock();
        if state.knows(delivery) || self.shared.journal.is_settled(delivery) {
            return Offered::Known;
        }
        if self.shared.stop.is_cancelled() {
            return Offered::Stopping;
        }
        if state.in_hand.len() < self.shared.concurrency {
            state.in_hand.insert(delivery);
            self.tracker.spawn(Arc::clone(&self.shared).work(arrived));
            return Offered::Taken;
        }
        // What is in hand may belong to a former session, so that a whole window can wait behind it.
        if state.queue.len() >= self.shared.concurrency {
            return Offered::TooMany;
        }
        state.queue.push_back(arrived);
        Offered::Taken
    }

    /// Counts events that the filter left out.
    pub(crate) fn filtered(&self, more: u64) {
        self.shared.state.lock().summary.filtered += more;
    }

    /// Forgets what is not begun: the session is over, and the relay sends it again in the next.
    pub(crate) fn forget_queue(&self) {
        self.shared.state.lock().queue.clear();
    }

    /// Waits until nothing is in hand. Only after `stop` or `abort` nothing new comes.
    pub(crate) async fn idle(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// What was done so far; what is in hand counts as left.
    pub(crate) fn summary(&self) -> Summary {
        let state = self.shared.state.lock();
        let left = state.summary.left + (state.in_hand.len() + state.queue.len()) as u64;
        Summary {
            left,
            ..state.summary.clone()
        }
    }

    /// Why the line stopped by itself.
    pub(crate) fn failure(&self) -> Option<JournalError> {
        self.shared.state.lock().failure.take()
    }
}

impl State {
    fn knows(&self, delivery: Delivery) -> bool {
        self.in_hand.contains(&delivery)
            || self
                .queue
                .iter()
                .any(|arrived| arrived.header.delivery == delivery)
    }
}

impl Shared {
    /// Works on a delivery, then on what waits in the queue.
    async fn work(self: Arc<Self>, first: Arrived) {
        let mut next = Some(first);
        while let Some(arrived) = next {
            let delivery = arrived.header.delivery;
            let ended = tokio::select! {
                biased;
                () = self.abort.cancelled() => Ended::Left,
                ended = self.deliver(arrived) => ended,
            };
            next = self.release(delivery, &ended);
        }
    }

    /// Puts a delivery out of hand and takes the next one.
    fn release(&self, delivery: Delivery, ended: &Ended) -> Option<Arrived> {
        let mut state = self.state.lock();
        state.in_hand.remove(&delivery);
        if matches!(ended, Ended::Left) {
            state.summary.left += 1;
        }
        if self.stop.is_cancelled() || self.abort.is_cancelled() {
            return None;
        }
        let next = state.queue.pop_front()?;
        state.in_hand.insert(next.header.delivery);
        Some(next)
    }
}
