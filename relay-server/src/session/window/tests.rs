//! Single rules, and a model of a consumer's whole life that checks the promises of the window.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use towline_shared::id::{EventId, ReplayId};
use towline_shared::time::Timestamp;

use super::*;
use crate::store::ConsumerId;

#[test]
fn a_full_window_waits_for_a_settling_outcome() {
    let mut window = Window::open(&consumer(0), 2);
    assert_eq!(window.take(Seq(1), true), Turn::Deliver(0));
    assert_eq!(window.take(Seq(2), true), Turn::Deliver(0));
    assert_eq!(window.free(), 0);

    window.reported(line(1), 1, false);
    assert_eq!(window.free(), 0);
    window.reported(line(2), 1, true);

    assert_eq!(window.free(), 1);
    assert_eq!(window.reached(), Seq(2));
}

#[test]
fn a_resumed_consumer_skips_what_it_settled_and_counts_attempts() {
    let opened = OpenedConsumer {
        settled_ahead: vec![(Seq(6), Seq(6))],
        attempts: vec![(Seq(5), 3)],
        ..consumer(4)
    };
    let mut window = Window::open(&opened, 8);

    assert_eq!(window.take(Seq(5), true), Turn::Deliver(3));
    assert_eq!(window.take(Seq(6), true), Turn::Settled);
    assert_eq!(window.take(Seq(7), true), Turn::Deliver(0));
}

#[test]
fn an_outcome_from_the_journal_settles_an_event_that_was_not_sent_yet() {
    let mut window = Window::open(&consumer(0), 8);

    window.reported(line(2), 1, true);
    window.reported(line(1), 4, false);

    assert_eq!(window.take(Seq(1), true), Turn::Deliver(4));
    assert_eq!(window.take(Seq(2), true), Turn::Settled);
}

#[test]
fn trimmed_places_are_a_gap_unless_all_are_settled() {
    let opened = OpenedConsumer {
        settled_ahead: vec![(Seq(6), Seq(7))],
        ..consumer(2)
    };
    let mut window = Window::open(&opened, 8);

    assert_eq!(window.gap_before(Seq(3)), None);
    assert_eq!(window.gap_before(Seq(6)), Some((Seq(3), Seq(5))));
    assert_eq!(window.gap_before(Seq(8)), None);
    assert_eq!(window.reached(), Seq(7));
}

#[test]
fn a_rejected_event_takes_no_place() {
    let mut window = Window::open(&consumer(0), 1);

    assert_eq!(window.take(Seq(1), false), Turn::Skip);

    assert_eq!(window.free(), 1);
}

#[test]
fn a_replay_takes_a_place_from_the_moment_it_is_prepared() {
    let mut window = Window::open(&consumer(0), 1);
    assert_eq!(window.begin_reading_replays(), Some(64));
    window.replays_read(vec![replay(1, 2)]);

    let prepared = window.prepare_replay(false).unwrap();
    assert_eq!(window.free(), 0);
    let (delivery, attempts) = window.take_replay(Seq(9)).unwrap();

    assert_eq!(delivery.replay, Some(prepared.id));
    assert_eq!((delivery.seq, attempts), (Seq(9), 2));
    assert_eq!(window.free(), 0);
}

#[test]
fn replays_and_the_line_take_turns() {
    let mut window = Window::open(&consumer(0), 8);
    window.begin_reading_replays();
    window.replays_read(vec![replay(1, 0), replay(2, 0)]);

    assert!(window.prepare_replay(true).is_some());
    window.take_replay(Seq(1));
    assert!(window.prepare_replay(true).is_none());
    window.take(Seq(1), true);

    assert!(window.prepare_replay(true).is_some());
}

#[test]
fn a_read_that_began_before_an_outcome_was_durable_does_not_bring_its_replay_back() {
    let mut window = Window::open(&consumer(0), 8);
    window.begin_reading_replays();
    window.replays_read(vec![replay(1, 0)]);
    window.prepare_replay(false);
    let (delivery, _) = window.take_replay(Seq(1)).unwrap();

    window.replays_changed();
    assert!(window.begin_reading_replays().is_some());
    window.reported(delivery, 1, true);
    window.recorded(delivery);
    window.replays_read(vec![replay(1, 1)]);

    assert!(window.prepare_replay(false).is_none());
}

#[test]
fn a_replay_that_was_settled_while_its_event_was_read_is_not_sent() {
    let mut window = Window::open(&consumer(0), 8);
    window.begin_reading_replays();
    window.replays_read(vec![replay(1, 0)]);
    let prepared = window.prepare_replay(false).unwrap();

    let delivery = Delivery {
        seq: Seq(1),
        replay: Some(prepared.id),
    };
    window.reported(delivery, 1, true);

    assert!(window.take_replay(Seq(1)).is_none());
}

#[test]
fn a_full_page_of_replays_is_followed_by_another_read() {
    let mut window = Window::open(&consumer(0), 1024);
    let asked_for = window.begin_reading_replays().unwrap();
    let page = |number: usize| (0..number).map(|id| replay(u8::try_from(id).unwrap(), 0));
    window.replays_read(page(asked_for).collect());
    for _ in 0..asked_for {
        window.prepare_replay(false).unwrap();
        window.take_replay(Seq(1)).unwrap();
    }

    assert_eq!(window.begin_reading_replays(), Some(asked_for + 64));
    window.replays_read(page(asked_for).collect());

    assert_eq!(window.begin_reading_replays(), None);
}

/// What can happen to a session, with a number that picks where.
#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    SendReplay,
    Answer(usize, bool),
    ReportUnsent(u64, bool),
    AskReplay,
    BeginRead,
    EndRead,
    Durable(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => Just(Step::Send),
        3 => Just(Step::SendReplay),
        5 => (any::<usize>(), any::<bool>()).prop_map(|(which, ends)| Step::Answer(which, ends)),
        1 => (1_u64..60, any::<bool>()).prop_map(|(seq, ends)| Step::ReportUnsent(seq, ends)),
        1 => Just(Step::AskReplay),
        2 => Just(Step::BeginRead),
        2 => Just(Step::EndRead),
        3 => any::<usize>().prop_map(Step::Durable),
    ]
}

/// The store and the client, as far as the window can tell.
struct Model {
    size: usize,
    /// Kept events and whether they are deliverable; what is absent was trimmed.
    kept: BTreeMap<u64, bool>,
    in_flight: Vec<Delivery>,
    settled: BTreeSet<Delivery>,
    /// Settled, but not durable yet.
    undurable: Vec<Delivery>,
    /// Replays as the store lists them.
    listed: Vec<ReplayId>,
    read: Option<Vec<ReplayId>>,
    asked: u8,
    sent: BTreeSet<Delivery>,
    passed: BTreeSet<u64>,
}

impl Model {
    fn run(&mut self, window: &mut Window, step: Step) {
        match step {
            Step::Send => self.send(window),
            Step::SendReplay => self.send_replay(window),
            Step::Answer(which, settles) => self.answer(window, which, settles),
            Step::ReportUnsent(seq, settles) => self.report(window, line(seq), settles),
            Step::AskReplay => self.ask_replay(window),
            Step::BeginRead => self.begin_read(window),
            Step::EndRead => self.end_read(window),
            Step::Durable(which) => self.make_durable(window, which),
        }
        assert!(self.in_flight.len() <= self.size);
        assert!(window.in_flight() == self.in_flight.len());
    }

    fn send(&mut self, window: &mut Window) {
        let reached = window.reached().0;
        let Some((&seq, &is_deliverable)) = self.kept.range(reached + 1..).next() else {
            return;
        };
        if window.free() == 0 {
            return;
        }
        if let Some((from, to)) = window.gap_before(Seq(seq)) {
            assert!((from, to) == (Seq(reached + 1), Seq(seq - 1)));
        }
        match window.take(Seq(seq), is_deliverable) {
            Turn::Deliver(_) => {
                assert!(is_deliverable);
                self.take_off(line(seq));
            }
            Turn::Skip => assert!(!is_deliverable),
            Turn::Settled => assert!(self.settled.contains(&line(seq))),
        }
        assert!(self.passed.insert(seq));
    }

    fn send_replay(&mut self, window: &mut Window) {
        if window.prepare_replay(false).is_some()
            && let Some((delivery, _)) = window.take_replay(Seq(1))
        {
            self.take_off(delivery);
        }
    }

    fn take_off(&mut self, delivery: Delivery) {
        assert!(
            !self.settled.contains(&delivery),
            "sent after it was settled"
        );
        assert!(self.sent.insert(delivery), "sent twice in one session");
        self.in_flight.push(delivery);
    }

    fn answer(&mut self, window: &mut Window, which: usize, settles: bool) {
        if self.in_flight.is_empty() {
            return;
        }
        let delivery = self.in_flight[which % self.in_flight.len()];
        self.report(window, delivery, settles);
    }

    fn report(&mut self, window: &mut Window, delivery: Delivery, settles: bool) {
        window.reported(delivery, 1, settles);
        if settles {
            self.in_flight.retain(|&other| other != delivery);
            self.settled.insert(delivery);
            self.undurable.push(delivery);
        }
    }

    fn ask_replay(&mut self, window: &mut Window) {
        if let Some(next) = self.asked.checked_add(1) {
            self.asked = next;
            self.listed.push(replay(next, 0).id);
            window.replays_changed();
        }
    }

    fn begin_read(&mut self, window: &mut Window) {
        if let Some(limit) = window.begin_reading_replays() {
            self.read = Some(self.listed.iter().copied().take(limit).collect());
        }
    }

    fn end_read(&mut self, window: &mut Window) {
        if let Some(read) = self.read.take() {
            let pending = |id| PendingReplay { id, ..replay(0, 0) };
            window.replays_read(read.into_iter().map(pending).collect());
        }
    }

    fn make_durable(&mut self, window: &mut Window, which: usize) {
        if self.undurable.is_empty() {
            return;
        }
        let delivery = self.undurable.swap_remove(which % self.undurable.len());
        self.listed.retain(|&id| Some(id) != delivery.replay);
        window.recorded(delivery);
    }
}

proptest! {
    #[test]
    fn nothing_goes_twice_or_out_of_order_and_everything_goes_at_last(
        size in 1_u32..6,
        events in proptest::collection::btree_map(1_u64..60, any::<bool>(), 0..50),
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let mut window = Window::open(&consumer(0), size);
        let mut model = Model {
            size: size as usize,
            kept: events,
            in_flight: Vec::new(),
            settled: BTreeSet::new(),
            undurable: Vec::new(),
            listed: Vec::new(),
            read: None,
            asked: 0,
            sent: BTreeSet::new(),
            passed: BTreeSet::new(),
        };
        for step in steps {
            model.run(&mut window, step);
        }
        for _ in 0..2000 {
            for step in [
                Step::EndRead,
                Step::BeginRead,
                Step::EndRead,
                Step::SendReplay,
                Step::Send,
                Step::Answer(0, true),
                Step::Durable(0),
            ] {
                model.run(&mut window, step);
            }
        }
        prop_assert!(model.kept.keys().all(|seq| model.passed.contains(seq)));
        prop_assert!(model.in_flight.is_empty() && model.listed.is_empty());
    }
}

fn consumer(cursor: u64) -> OpenedConsumer {
    OpenedConsumer {
        id: ConsumerId(1),
        cursor: Seq(cursor),
        settled_ahead: Vec::new(),
        is_new: false,
        backlog: 0,
        earlier: 0,
        attempts: Vec::new(),
        oldest_kept: Seq(1),
        filter: String::new(),
    }
}

fn line(seq: u64) -> Delivery {
    Delivery {
        seq: Seq(seq),
        replay: None,
    }
}

fn replay(number: u8, attempts: u32) -> PendingReplay {
    let at = Timestamp::from_millis(1);
    PendingReplay {
        id: ReplayId::new(at, [number; 10]),
        event: EventId::new(at, [number; 10]),
        attempts,
    }
}
