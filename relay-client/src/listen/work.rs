//! The work on one delivery: calls the app until the delivery is settled, journals and reports each attempt.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use tokio::time;
use towline_shared::event::EventInfo;
use towline_shared::head::Head;
use towline_shared::outcome::{Delivery, Outcome, Settled};
use towline_shared::time::Timestamp;
use towline_shared::wire::Report;

use super::News;
use super::line::{Arrived, Shared};
use super::routes::Lane;
use super::tries::{Next, Tries};
use crate::body::Body;
use crate::forward::{Call, Tried};
use crate::seen::{Begun, JournalError};

/// How the work on one delivery ended.
pub(super) enum Ended {
    Settled,
    /// It is made again next time.
    Left,
}

impl Shared {
    /// Calls the app until the delivery is settled.
    pub(super) async fn deliver(&self, arrived: Arrived) -> Ended {
        let Arrived {
            header,
            head,
            mut body,
        } = arrived;
        let recollection = self.journal.recall(header.delivery);
        if recollection.is_settled {
            return Ended::Settled;
        }
        let number = header.attempts.max(recollection.last_number) + 1;
        let lane = self.routes.lane(&header.event, &head, &mut body).await;
        let mut work = Work {
            shared: self,
            tries: Tries::new(self.patience),
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
        match lane {
            Ok(Some(lane)) => work.until_settled(lane, &head, &mut body).await,
            Ok(None) => work.skip().await,
            Err(error) => {
                let detail = format!("the body cannot be read for the routes: {error}");
                work.give_up(Outcome::Refused { detail }).await
            }
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
    async fn until_settled(&mut self, lane: &Lane, head: &Head, body: &mut Body) -> Ended {
        let shared = self.shared;
        loop {
            let pass = tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Ended::Left,
                pass = lane.gate.enter(self.delivery) => pass,
            };
            let signed = lane.forwarder.signed(head, body, &self.info.verdict).await;
            let (head_to_send, changes, trouble) = match signed {
                Some(Ok(signed)) => (Cow::Owned(signed.head), signed.changes, None),
                Some(Err(why)) => (Cow::Borrowed(head), Vec::new(), Some(why)),
                None => (Cow::Borrowed(head), Vec::new(), None),
            };
            let call = Call {
                event: self.info.id,
                delivery: self.delivery,
                number: self.number,
                head: &head_to_send,
                body: &mut *body,
            };
            let begun = |target: &str| self.begun(target);
            let mut tried = match lane
                .forwarder
                .deliver(call, |target| shared.journal.begin(begun(target)))
                .await
            {
                Ok(tried) => tried,
                Err(error) => return self.fail(error),
            };
            tried.changes.splice(0..0, changes);
            if let Some(why) = trouble {
                let hint = format!(
                    "it went as the provider signed it, and could not be signed here: {why}"
                );
                tried.hint.get_or_insert(hint);
            }
            let now = Instant::now();
            let next = self.tries.next(&tried, now, random);
            let is_gate_closed = matches!(next, Next::WaitForApp { .. });
            let (wait, why, is_news) = match next {
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
                self.tell_waiting(why, lane, wait).await;
            }
            // The wait of a closed gate may end earlier, when another delivery gets through.
            let own_wait = if is_gate_closed { Duration::ZERO } else { wait };
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Ended::Left,
                () = time::sleep(own_wait) => {}
            }
        }
    }

    async fn tell_waiting(&self, why: String, lane: &Lane, retry_in: Duration) {
        let info = self.info.clone();
        self.tell(News::Waiting {
            info,
            why,
            target: lane.target.clone(),
            retry_in,
        })
        .await;
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
                Settled::Parked => state.summary.parked += 1,
                Settled::Skipped => state.summary.skipped += 1,
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

    /// Settles a delivery that no route takes.
    async fn skip(&self) -> Ended {
        let tried = Tried::without_call(Outcome::NoRoute);
        self.settle(tried, Settled::Skipped).await
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
pub(super) fn random() -> f64 {
    let bits = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(bits) / f64::from(u32::MAX)
}
