//! What a session sends next and what it must read for that: the window with its page of events. Does no IO.

use std::collections::VecDeque;
use std::sync::Arc;

use towline_shared::filter::Filter;
use towline_shared::id::{EventId, Seq};
use towline_shared::outcome::Delivery;
use towline_shared::wire::Gap;

use super::wanted::{Judgement, Wanted};
use super::window::{Turn, Window};
use crate::fanout::Subscription;
use crate::store::{Body, OpenedConsumer, PendingReplay, StoredEvent};

/// The most events of one page.
const LONGEST_PAGE: usize = 64;

/// What an event is taken for until one was seen: the largest that stands in the database.
const LARGEST_EVENT_BYTES: usize = 128 * 1024;

/// Ranges that wait to be settled in the store; at the bound the line waits for it.
const MOST_SKIPS: usize = 1024;

/// How many events are taken ahead of a filter at least, whatever the window: most may be left out.
const FILTERED_PAGE: usize = 16;

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

/// Places that the store must settle, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skip {
    pub(super) from: Seq,
    pub(super) to: Seq,
    /// How many of them the filter left out.
    pub(super) filtered: u64,
}

/// A consumer's line of events and its replays.
pub(super) struct Line {
    pub(super) window: Window,
    pub(super) wanted: Wanted,
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
    skips: VecDeque<Skip>,
    skipping: Option<Skip>,
}

impl Line {
    /// Goes on where the consumer was; `page_bytes` is what one read of the store aims at.
    pub(super) fn open(
        consumer: &OpenedConsumer,
        window: u32,
        filter: Option<Arc<Filter>>,
        page_bytes: usize,
    ) -> Self {
        let mut line = Self {
            window: Window::open(consumer, window),
            wanted: Wanted::new(filter),
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
            skipping: None,
        };
        line.pass_gap_before(consumer.oldest_kept);
        line
    }

    /// The next thing to send, when the window has a place for it and it was read. It may pass what is not to be
    /// sent and find nothing: then the window has reached further, and there may be more to read.
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
            if seq <= self.window.reached() {
                self.page.pop_front();
                continue;
            }
            let front = self.page.front()?;
            let is_wanted = !front.info.is_deliverable || self.wanted.wants(front)?;
            let event = self.page.pop_front()?;
            match self
                .window
                .take(seq, event.info.is_deliverable && is_wanted)
            {
                Turn::Deliver(attempts) => {
                    let delivery = Delivery { seq, replay: None };
                    return Some(Next::Delivery(Sending {
                        delivery,
                        attempts,
                        event,
                    }));
                }
                Turn::Skip => self.skip(seq, seq, u64::from(!is_wanted)),
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
            let limit = self.most_ahead().min(LONGEST_PAGE);
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

    /// What must be looked into before the next event can be taken; the answer goes to [`Wanted::judged`].
    pub(super) fn event_to_judge(&mut self) -> Option<Judgement> {
        if self.window.free() == 0 {
            return None;
        }
        self.wanted.begin_judging(self.page.front()?)
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
    pub(super) fn range_to_skip(&mut self) -> Option<Skip> {
        if self.skipping.is_some() {
            return None;
        }
        self.skipping = self.skips.pop_front();
        self.skipping
    }

    /// The store has settled the range.
    pub(super) fn skipped(&mut self) {
        if let Some(skip) = self.skipping.take() {
            self.wanted.left_out(skip.filtered, skip.to);
        }
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
        self.skip(from, to, 0);
    }

    fn skip(&mut self, from: Seq, to: Seq, filtered: u64) {
        match self.skips.back_mut() {
            Some(last) if last.to.next() == from => {
                last.to = to;
                last.filtered += filtered;
            }
            _ => self.skips.push_back(Skip { from, to, filtered }),
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
        fitting.min(LONGEST_PAGE).min(self.most_ahead())
    }

    /// How many events may wait behind the window; there is a free place.
    fn most_ahead(&self) -> usize {
        match self.wanted.is_filtered() {
            true => self.window.free().max(FILTERED_PAGE),
            false => self.window.free(),
        }
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
        assert_eq!(line.range_to_skip(), Some(skip(1, 3, 0)));
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

        assert_eq!(line.range_to_skip(), Some(skip(1, 2, 0)));
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

    #[test]
    fn what_the_filter_leaves_out_is_settled_and_counted_when_that_is_durable() {
        let bell = Fanout::default().subscribe(ORDERS);
        let mut line = filtered_line(0, 1, "size > 10");
        assert_eq!(line.page_to_read(&bell), Some((Seq(0), 8)));
        let mut page: Vec<_> = (1..=3).map(|seq| event(ORDERS, seq, 10)).collect();
        page.push(event(ORDERS, 4, 11));
        line.page_read(page);

        assert_eq!(sent(&mut line), [4]);

        assert_eq!(line.range_to_skip(), Some(skip(1, 3, 3)));
        assert_eq!(line.wanted.untold(), None);
        line.skipped();
        let told = line.wanted.untold().unwrap();
        assert_eq!((told.count, told.through), (3, Seq(3)));
    }

    #[test]
    fn a_line_that_only_passed_what_is_left_out_has_reached_further() {
        let fanout = Fanout::default();
        let bell = fanout.subscribe(ORDERS);
        let mut line = filtered_line(0, 1, "size > 10");
        line.page_to_read(&bell);
        line.page_read(Vec::new());
        let events: Vec<_> = (1..=40).map(|seq| event(ORDERS, seq, 10)).collect();
        fanout.committed(&events);

        line.listen(&bell);
        assert!(line.next().is_none());
        assert_eq!(line.window.reached(), Seq(FILTERED_PAGE as u64));
        while line.window.reached() < Seq(40) {
            line.listen(&bell);
            assert!(line.next().is_none());
        }

        assert_eq!(line.range_to_skip(), Some(skip(1, 40, 40)));
    }

    #[test]
    fn rejected_events_are_not_counted_as_left_out() {
        let bell = Fanout::default().subscribe(ORDERS);
        let mut line = filtered_line(0, 8, "size > 10");
        line.page_to_read(&bell);
        let mut rejected = StoredEvent::clone(&event(ORDERS, 1, 99));
        rejected.info.is_deliverable = false;
        line.page_read(vec![Arc::new(rejected), event(ORDERS, 2, 10)]);

        assert_eq!(sent(&mut line), [0_u64; 0]);

        assert_eq!(line.range_to_skip(), Some(skip(1, 2, 1)));
    }

    #[test]
    fn a_replay_comes_whatever_the_filter_says() {
        let mut line = filtered_line(5, 1, "size > 10");
        let replay = PendingReplay {
            id: "rpl_00000000000000000000000000".parse().unwrap(),
            event: event(ORDERS, 3, 0).info.id,
            attempts: 0,
        };
        line.replays_to_read().unwrap();
        line.window.replays_read(vec![replay]);

        let wanted = line.replay_event_to_read().unwrap();
        assert_eq!(wanted.event, event(ORDERS, 3, 0).info.id);
        line.replay_event_read(Some(event(ORDERS, 3, 0)));

        assert_eq!(sent(&mut line), [3]);
    }

    fn line(cursor: u64, window: u32) -> Line {
        line_with(cursor, window, None)
    }

    fn filtered_line(cursor: u64, window: u32, filter: &str) -> Line {
        line_with(cursor, window, Some(filter))
    }

    fn line_with(cursor: u64, window: u32, filter: Option<&str>) -> Line {
        let consumer = OpenedConsumer {
            id: ConsumerId(1),
            cursor: Seq(cursor),
            settled_ahead: Vec::new(),
            is_new: false,
            backlog: 0,
            earlier: 0,
            attempts: Vec::new(),
            oldest_kept: Seq(1),
            filter: String::new(),
        };
        let filter = filter.map(|filter| Arc::new(Filter::parse(filter).unwrap()));
        Line::open(&consumer, window, filter, 1024 * 1024)
    }

    fn skip(from: u64, to: u64, filtered: u64) -> Skip {
        Skip {
            from: Seq(from),
            to: Seq(to),
            filtered,
        }
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
