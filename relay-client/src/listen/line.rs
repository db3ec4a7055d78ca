//! The line of deliveries in hand: starts them in the order of arrival, a limited number at once, and lets
//! each go on until it is settled. Lives longer than a session with the relay; reports go to the journal.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use towline_shared::event::EventInfo;
use towline_shared::head::Head;
use towline_shared::outcome::{Delivery, Outcome, Settled};
use towline_shared::time::Timestamp;
use towline_shared::wire::{EventHeader, Report};

use super::gate::Gate;
use super::tries::{Next, Tries};
use super::{News, Summary};
use crate::body::Body;
use crate::forward::{Call, Forwarder, Tried};
use crate::seen::{Begun, Journal, JournalError};

/// An event that is wholly on this machine, or never will be.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// The header of its frame.
    pub(crate) header: EventHeader,
    /// The sender's head, not read yet.
    pub(crate) head: Bytes,
    /// The body, or why the relay cannot give it.
    pub(crate) body: Result<Body, String>,
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

struct Shared {
    concurrency: usize,
    retries: u32,
    forwarder: Forwarder,
    journal: Arc<Journal>,
    news: mpsc::Sender<News>,
    gate: Gate,
    /// Cancelled when nothing new may be begun.
    stop: CancellationToken,
    /// Cancelled when everything ends at once.
    abort: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_hand: HashSet<Delivery>,
    queue: VecDeque<Arrived>,
    summary: Summary,
    failure: Option<JournalError>,
}

impl Line {
    /// A line whose journal is open. `stop` lets it end what the app has in hand, `abort` does not.
    pub(crate) fn new(
        concurrency: u32,
        retries: u32,
        forwarder: Forwarder,
        journal: Arc<Journal>,
        news: mpsc::Sender<News>,
        (stop, abort): (CancellationToken, CancellationToken),
    ) -> Self {
        let shared = Shared {
            concurrency: concurrency as usize,
            retries,
            forwarder,
            journal,
            news,
            gate: Gate::new(),
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

/// How the work on one delivery ended.
enum Ended {
    Settled,
    /// It is made again next time.
    Left,
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

    /// Calls the app until the delivery is settled.
    async fn deliver(&self, arrived: Arrived) -> Ended {
        let Arrived { header, head, body } = arrived;
        let recollection = self.journal.recall(header.delivery);
        if recollection.is_settled {
            return Ended::Settled;
        }
        let number = header.attempts.max(recollection.last_number) + 1;
        let mut work = Work {
            shared: self,
            tries: Tries::new(self.retries),
            number,
            told: None,
            info: Box::new(header.event),
            delivery: header.delivery,
        };
        let head = match Head::parse(head) {
            Ok(head) => head,
            Err(error) => {
                let detail = format!("the request cannot be forwarded: {error}");
                work.tell_event("?", b"?").await;
                return work.give_up(Outcome::Refused { detail }).await;
            }
        };
        work.tell_event(head.method(), head.target()).await;
        if let Some(attempt) = recollection.cut_off {
            work.tell(News::Outcome {
                info: work.info.clone(),
                attempt: Box::new(attempt),
                hint: None,
            })
            .await;
        }
        match body {
            Ok(mut body) => work.until_settled(&head, &mut body).await,
            Err(detail) => work.give_up(Outcome::Reset { detail }).await,
        }
    }
}

/// The work on one delivery.
struct Work<'a> {
    shared: &'a Shared,
    tries: Tries,
    /// The number of the next attempt that is recorded.
    number: u32,
    /// The cause of waiting that was told last.
    told: Option<String>,
    info: Box<EventInfo>,
    delivery: Delivery,
}

impl Work<'_> {
    async fn until_settled(&mut self, head: &Head, body: &mut Body) -> Ended {
        let shared = self.shared;
        loop {
            let pass = tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Ended::Left,
                pass = shared.gate.enter(self.delivery) => pass,
            };
            let call = Call {
                event: self.info.id,
                delivery: self.delivery,
                number: self.number,
                head,
                body: &mut *body,
            };
            let begun = |target: &str| self.begun(target);
            let tried = match shared
                .forwarder
                .deliver(call, |target| shared.journal.begin(begun(target)))
                .await
            {
                Ok(tried) => tried,
                Err(error) => return self.fail(error),
            };
            let now = Instant::now();
            let (wait, why, is_news) = match self.tries.next(&tried, now, random()) {
                Next::Settle(settled) => {
                    pass.connected();
                    return self.settle(tried, settled).await;
                }
                Next::WaitForApp { why } => {
                    let (wait, is_news) = pass.refused(&why, now, random());
                    (wait, why, is_news)
                }
                Next::Again { wait, why } => {
                    pass.connected();
                    let is_news = self.told.as_ref() != Some(&why);
                    (wait, why, is_news)
                }
            };
            self.record(tried, wait, now).await;
            self.told = Some(why.clone());
            if is_news {
                let info = self.info.clone();
                self.tell(News::Waiting {
                    info,
                    why,
                    retry_in: wait,
                })
                .await;
            }
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Ended::Left,
                () = time::sleep(wait) => {}
            }
        }
    }

    fn begun(&self, target: &str) -> Begun {
        Begun {
            event: self.info.id,
            delivery: self.delivery,
            number: self.number,
            started_at: Timestamp::from(SystemTime::now()),
            target: target.to_owned(),
        }
    }

    async fn settle(&self, tried: Tried, settled: Settled) -> Ended {
        {
            let mut state = self.shared.state.lock();
            match settled {
                Settled::Done => state.summary.done += 1,
                Settled::Failed => state.summary.failed += 1,
            }
        }
        let hint = tried.hint.clone();
        let report = tried.into_report(self.info.id, self.delivery, self.number, Some(settled));
        self.report(report, hint).await;
        Ended::Settled
    }

    /// Records a call that settled nothing, if it is worth it.
    async fn record(&mut self, tried: Tried, wait: Duration, now: Instant) {
        if !matches!(tried.outcome, Outcome::Answered { .. }) {
            self.shared.state.lock().summary.unanswered += 1;
        }
        let is_recorded = self.shared.journal.has_room(self.delivery)
            && self.tries.is_worth_a_record(&tried.outcome, now);
        if !is_recorded {
            if let Err(error) = self.shared.journal.take_back(self.delivery, self.number) {
                self.fail(error);
            }
            return;
        }
        let hint = tried.hint.clone();
        let mut report = tried.into_report(self.info.id, self.delivery, self.number, None);
        report.attempt.retry_after_millis = u64::try_from(wait.as_millis()).ok();
        self.number += 1;
        self.report(report, hint).await;
    }

    /// Settles a delivery that cannot be made at all.
    async fn give_up(&self, outcome: Outcome) -> Ended {
        let tried = Tried::without_call(outcome);
        self.settle(tried, Settled::Failed).await
    }

    async fn report(&self, report: Report, hint: Option<String>) {
        let attempt = Box::new(report.attempt.clone());
        if let Err(error) = self.shared.journal.finish(report) {
            self.fail(error);
        }
        self.tell(News::Outcome {
            info: self.info.clone(),
            attempt,
            hint,
        })
        .await;
    }

    /// The journal cannot be written: without it the app could be called twice, so the line ends.
    fn fail(&self, error: JournalError) -> Ended {
        self.shared.state.lock().failure.get_or_insert(error);
        self.shared.stop.cancel();
        Ended::Left
    }

    async fn tell_event(&self, method: &str, target: &[u8]) {
        let event = News::Event {
            info: self.info.clone(),
            method: method.to_owned(),
            target: String::from_utf8_lossy(target).into_owned(),
            is_replay: self.delivery.replay.is_some(),
        };
        self.tell(event).await;
    }

    async fn tell(&self, news: News) {
        // Nobody listens any more when the command ends; the line goes on to its own end.
        let _ = self.shared.news.send(news).await;
    }
}

/// Uniform in 0..1; a machine without randomness waits in step with others, which harms nothing here.
pub(crate) fn random() -> f64 {
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / f64::from(u32::MAX)
}
