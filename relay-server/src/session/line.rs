//! What a session sends next and what it must read for that: the window with its page of events. Does no IO.

use std::collections::VecDeque;
use std::sync::Arc;

use towline_shared::id::{EventId, Seq};
use towline_shared::outcome::Delivery;
use towline_shared::wire::Gap;

use super::window::{Turn, Window};
use crate::fanout::Subscription;
use crate::store::{Body, OpenedConsumer, PendingReplay, StoredEvent};

/// The most events of one page.
const LONGEST_PAGE: usize = 64;

/// What an event is taken for until one was seen: the largest that stands in the database.
const LARGEST_EVENT_BYTES: usize = 128 * 1024;

/// Ranges that wait to be settled in the store; at the bound the line waits for it.
const MOST_SKIPS: usize = 1024;

/// The next thing to send.
pub(super) enum Next {
    /// Events that are not kept any more.
    Gap(Gap),
    /// A delivery, which is in flight from now on.
    Delivery(Sending),
}

/// A delivery to send.
pub(super) struct Sending {
    pub(super) delivery: Delivery,
    /// Attempts on record.
    pub(super) attempts: u32,
    pub(super) event: Arc<StoredEvent>,
}

/// A consumer's line of events and its replays.
pub(super) struct Line {
    pub(super) window: Window,
    /// Events behind the window that were read and not sent.
    page: VecDeque<Arc<StoredEvent>>,
    page_bytes: usize,
    average_bytes: usize,
    is_reading: bool,
    may_have_more: bool,
    /// Up to here the store was read, as the bell counts.
    checked: Seq,
    heard_rings: u64,
    ready_replay: Option<Arc<StoredEvent>>,
    gaps: VecDeque<Gap>,
    /// Places that the store must settle, as ranges.
    skips: VecDeque<(Seq, Seq)>,
    is_skipping: bool,
}

impl Line {
    /// Goes on where the consumer was; `page_bytes` is what one read of the store aims at.
    pub(super) fn open(consumer: &OpenedConsumer, window: u32, page_bytes: usize) -> Self {
        let mut line = Self {
            window: Window::open(consumer, window),
            page: VecDeque::new(),
            page_bytes,
            average_bytes: LARGEST_EVENT_BYTES,
            is_reading: false,
            may_have_more: true,
            checked: Seq::default(),
            heard_rings: 0,
            ready_replay: None,
            gaps: VecDeque::new(),
            skips: VecDeque::new(),
            is_skipping: false,
        };
        line.pass_gap_before(consumer.oldest_kept);
        line
    }

    /// The next thing to send, when the window has a place for it and it was read.
    pub(super) fn next(&mut self) -> Option<Next> {
        if let Some(gap) = self.gaps.pop_front() {
            return Some(Next::Gap(gap));
        }
        if let Some(sending) = self.next_replay() {
            return Some(Next::Delivery(sending));
        }
        while self.window.free() > 0 && self.skips.len() < MOST_SKIPS {
            let seq = self.page.front()?.info.seq;
            if self.pass_gap_before(seq) {
                return self.gaps.pop_front().map(Next::Gap);
            }
            let event = self.page.pop_front()?;
            if seq <= self.window.reached() {
                continue;
            }
            match self.window.take(seq, event.info.is_deliverable) {
                Turn::Deliver(attempts) => {
                    let delivery = Delivery { seq, replay: None };
                    return Some(Next::Delivery(Sending {
                        delivery,
                        attempts,
                        event,
                    }));
                }
                Turn::Skip => self.skip(seq, seq),
                Turn::Settled => {}
            }
        }
        None
    }

    /// Takes what the bell has to say, and the events that are in memory.
    pub(super) fn listen(&mut self, bell: &Subscription) {
        let news = bell.news();
        if news.rings != self.heard_rings {
            self.heard_rings = news.rings;
            self.window.replays_changed();
        }
        let lacks_events = self.page.is_empty() && !self.is_reading && self.window.free() > 0;
        if lacks_events && news.newest > self.window.reached() {
            let limit = self.window.free().min(LONGEST_PAGE);
            let recent = bell.recent_after(self.window.reached(), limit);
            self.page.extend(recent);
        }
    }

    /// Where and how much to read of the line, when that is needed; the answer goes to [`Line::page_read`].
    pub(super) fn page_to_read(&mut self, bell: &Subscription) -> Option<(Seq, usize)> {
        if self.is_reading || !self.page.is_empty() || self.window.free() == 0 {
            return None;
        }
        let newest = bell.news().newest;
        let reached = self.window.reached();
        if !self.may_have_more && newest <= self.checked.max(reached) {
            return None;
        }
        self.is_reading = true;
        self.checked = newest;
        Some((reached, self.page_length()))
    }

    /// Takes a page of the line, for which `limit` events were asked.
    pub(super) fn page_read(&mut self, events: Vec<Arc<StoredEvent>>) {
        self.is_reading = false;
        // A page is never longer than asked for, so only an empty one proves that there is no more.
        self.may_have_more = !events.is_empty();
        let bytes: usize = events.iter().map(|event| size(event)).sum();
        if let Some(average) = bytes.checked_div(events.len()) {
            self.average_bytes = average.max(1);
        }
        self.page.extend(events);
    }

    /// How many waiting replays to read, when that is needed.
    pub(super) fn replays_to_read(&mut self) -> Option<usize> {
        self.window.begin_reading_replays()
    }

    /// Which event to read for the next replay; the answer goes to [`Line::replay_event_read`].
    pub(super) fn replay_event_to_read(&mut self) -> Option<PendingReplay> {
        let line_waits = !self.page.is_empty();
        self.window.prepare_replay(line_waits)
    }

    /// Takes the event of the next replay; it may be gone.
    pub(super) fn replay_event_read(&mut self, event: Option<Arc<StoredEvent>>) {
        match event {
            Some(event) => self.ready_replay = Some(event),
            None => self.window.drop_replay(),
        }
    }

    /// Which places the store must settle; then [`Line::skipped`] is called. One range at a time.
    pub(super) fn range_to_skip(&mut self) -> Option<(Seq, Seq)> {
        if self.is_skipping {
            return None;
        }
        let range = self.skips.pop_front()?;
        self.is_skipping = true;
        Some(range)
    }

    /// The store has settled the range.
    pub(super) fn skipped(&mut self) {
        self.is_skipping = false;
    }

    /// A delivery in flight cannot be completed, because its event was removed.
    pub(super) fn lost(&mut self, delivery: Delivery, event: EventId) {
        tracing::debug!(event.id = %event, "event was removed while it was sent");
        self.window.release(delivery);
        if delivery.replay.is_none() {
            self.add_gap(delivery.seq, delivery.seq);
        }
    }

    /// Whether there were places without events before `seq`, which are now passed.
    fn pass_gap_before(&mut self, seq: Seq) -> bool {
        let Some((from, to)) = self.window.gap_before(seq) else {
            return false;
        };
        self.add_gap(from, to);
        true
    }

    fn add_gap(&mut self, from: Seq, to: Seq) {
        self.gaps.push_back(Gap { from, to });
        self.skip(from, to);
    }

    fn skip(&mut self, from: Seq, to: Seq) {
        match self.skips.back_mut() {
            Some(last) if last.1.next() == from => last.1 = to,
            _ => self.skips.push_back((from, to)),
        }
    }

    fn next_replay(&mut self) -> Option<Sending> {
        let event = self.ready_replay.take()?;
        let (delivery, attempts) = self.window.take_replay(event.info.seq)?;
        Some(Sending {
            delivery,
            attempts,
            event,
        })
    }

    fn page_length(&self) -> usize {
        let fitting = (self.page_bytes / self.average_bytes).max(1);
        fitting.min(LONGEST_PAGE).min(self.window.free())
    }
}

fn size(event: &StoredEvent) -> usize {
    let body = match &event.body {
        Body::Inline(bytes) => bytes.len(),
        Body::File(_) => 0,
    };
    event.head.len() + body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::Fanout;
    use crate::fanout::tests::event;
    use crate::store::{ConsumerId, EndpointId};

    const ORDERS: EndpointId = EndpointId(1);

    #[test]
    fn the_store_is_read_until_it_has_no_more_and_again_after_a_ring() {
        let fanout = Fanout::default();
        let bell = fanout.subscribe(ORDERS);
        let mut line = line(0, 8);
        assert_eq!(line.page_to_read(&bell), Some((Seq(0), 8)));
        assert_eq!(line.page_to_read(&bell), None);
        line.page_read(vec![event(ORDERS, 1, 10), event(ORDERS, 2, 10)]);
        assert_eq!(sent(&mut line), [1, 2]);
        assert_eq!(line.page_to_read(&bell), Some((Seq(2), 6)));
        line.page_read(Vec::new());
        assert_eq!(line.page_to_read(&bell), None);

        fanout.committed(&[event(ORDERS, 3, 10)]);
        fanout.forget(ORDERS);
        line.listen(&bell);

        assert_eq!(line.page_to_read(&bell), Some((Seq(2), 6)));
    }

    #[test]
    fn new_events_come_from_memory() {
        let fanout = Fanout::default();
        let bell = fanout.subscribe(ORDERS);
        let mut line = line(0, 8);
        line.page_to_read(&bell);
        line.page_read(Vec::new());

        fanout.committed(&[event(ORDERS, 1, 10), event(ORDERS, 2, 10)]);
        line.listen(&bell);

        assert_eq!(sent(&mut line), [1, 2]);
        assert_eq!(line.page_to_read(&bell), None);
    }

    #[test]
    fn a_ring_for_events_that_were_removed_is_read_once() {
        let fanout = Fanout::default();
        let bell = fanout.subscribe(ORDERS);
        let mut line = line(0, 8);
        fanout.committed(&[event(ORDERS, 1, 10)]);
        fanout.forget(ORDERS);
        assert!(line.page_to_read(&bell).is_some());

        line.page_read(Vec::new());

        assert_eq!(line.page_to_read(&bell), None);
    }

    #[test]
    fn a_full_window_reads_nothing() {
        let bell = Fanout::default().subscribe(ORDERS);
        let mut line = line(0, 1);
        line.page_to_read(&bell);
        line.page_read(vec![event(ORDERS, 1, 10)]);
        assert_eq!(sent(&mut line), [1]);

        assert_eq!(line.page_to_read(&bell), None);
    }

    #[test]
    fn removed_events_are_a_gap_and_are_settled_in_the_store() {
        let bell = Fanout::default().subscribe(ORDERS);
        let mut line = line(0, 8);
        line.page_to_read(&bell);
        line.page_read(vec![event(ORDERS, 4, 10)]);

        let Some(Next::Gap(gap)) = line.next() else {
            panic!("expected a gap");
        };

        assert_eq!((gap.from, gap.to), (Seq(1), Seq(3)));
        assert_eq!(sent(&mut line), [4]);
        assert_eq!(line.range_to_skip(), Some((Seq(1), Seq(3))));
        assert_eq!(line.range_to_skip(), None);
    }

    #[test]
    fn rejected_events_in_a_row_are_settled_as_one_range() {
        let bell = Fanout::default().subscribe(ORDERS);
        let mut line = line(0, 8);
        line.page_to_read(&bell);
        let rejected = |seq| {
            let mut event = StoredEvent::clone(&event(ORDERS, seq, 10));
            event.info.is_deliverable = false;
            Arc::new(event)
        };
        line.page_read(vec![rejected(1), rejected(2), event(ORDERS, 3, 10)]);

        assert_eq!(sent(&mut line), [3]);

        assert_eq!(line.range_to_skip(), Some((Seq(1), Seq(2))));
    }

    #[test]
    fn the_pages_of_large_events_are_short() {
        let bell = Fanout::default().subscribe(ORDERS);
        let mut line = line(0, 1024);
        assert_eq!(line.page_to_read(&bell), Some((Seq(0), 8)));
        line.page_read(vec![event(ORDERS, 1, 100)]);
        sent(&mut line);
        assert_eq!(line.page_to_read(&bell), Some((Seq(1), LONGEST_PAGE)));
        line.page_read(vec![event(ORDERS, 2, 600_000)]);
        sent(&mut line);

        assert_eq!(line.page_to_read(&bell), Some((Seq(2), 1)));
    }

    fn line(cursor: u64, window: u32) -> Line {
        let consumer = OpenedConsumer {
            id: ConsumerId(1),
            cursor: Seq(cursor),
            settled_ahead: Vec::new(),
            is_new: false,
            backlog: 0,
            earlier: 0,
            attempts: Vec::new(),
            oldest_kept: Seq(1),
        };
        Line::open(&consumer, window, 1024 * 1024)
    }

    fn sent(line: &mut Line) -> Vec<u64> {
        std::iter::from_fn(|| line.next())
            .map(|next| match next {
                Next::Delivery(sending) => sending.delivery.seq.0,
                Next::Gap(gap) => panic!("gap {gap:?}"),
            })
            .collect()
    }
}
