//! A relay that forgets nothing over links that break at any frame: every event reaches the app exactly once.

use std::collections::BTreeMap;

use towline_shared::outcome::Settled;
use towline_shared::wire::{FromClient, Report};

use super::app::{App, AppCall};
use super::client::Run;
use super::relay::{Relay, Session};

const EVENTS: u64 = 40;
const WINDOW: u32 = 3;
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What the relay knows of its consumer, and what the app saw.
#[derive(Default)]
struct Facts {
    /// The number of the attempt that settled each event.
    settled: BTreeMap<u64, u32>,
    /// The highest number of an attempt on record.
    attempts: BTreeMap<u64, u32>,
    calls: BTreeMap<u64, u32>,
}

impl Facts {
    fn is_done(&self) -> bool {
        self.settled.len() as u64 == EVENTS
    }

    async fn answer(&mut self, call: AppCall) {
        let request = String::from_utf8_lossy(&call.request).into_owned();
        let seq = request.rsplit(' ').next().unwrap().parse().unwrap();
        *self.calls.entry(seq).or_default() += 1;
        call.answer(ANSWER).await;
    }

    /// The next frame of the client while the app answers what it has; nothing when the app was busy.
    async fn frame_or_call(&mut self, session: &mut Session, app: &mut App) -> Option<FromClient> {
        tokio::select! {
            frame = session.next() => Some(frame),
            call = app.call() => {
                self.answer(call).await;
                None
            }
        }
    }

    /// Plays the relay until a number of steps was made or all is settled.
    async fn serve(
        &mut self,
        session: &mut Session,
        app: &mut App,
        steps: u64,
        random: &mut Random,
    ) {
        let mut sent: Vec<u64> = Vec::new();
        session.attempts.clone_from(&self.attempts);
        for _ in 0..steps {
            let in_flight = sent
                .iter()
                .filter(|seq| !self.settled.contains_key(seq))
                .count();
            let next =
                (1..=EVENTS).find(|seq| !self.settled.contains_key(seq) && !sent.contains(seq));
            let is_sending =
                in_flight == 0 || (in_flight < WINDOW as usize && random.below(2) == 0);
            match next {
                Some(seq) if is_sending => {
                    session
                        .send_event(seq, format!("event {seq}").as_bytes())
                        .await;
                    sent.push(seq);
                }
                None if in_flight == 0 => return,
                _ => {
                    if let Some(FromClient::Outcome(report)) =
                        self.frame_or_call(session, app).await
                    {
                        self.store(session, &report, random).await;
                    }
                }
            }
        }
    }

    /// Makes an outcome durable; the word of it gets lost at times.
    async fn store(&mut self, session: &mut Session, report: &Report, random: &mut Random) {
        let attempt = &report.attempt;
        let recorded = self.attempts.entry(attempt.delivery.seq.0).or_default();
        *recorded = attempt.number.max(*recorded);
        if attempt.settled == Some(Settled::Done) {
            self.settled.insert(attempt.delivery.seq.0, attempt.number);
        }
        if random.below(3) > 0 {
            session.stored(report).await;
        }
    }
}

#[tokio::test]
async fn links_that_break_anywhere_lose_nothing_and_repeat_nothing() {
    for seed in 0..3 {
        let (mut random, mut facts) = (Random(seed), Facts::default());
        let mut app = App::start().await;
        let relay = Relay::start().await;
        let run = Run::start(&relay, &app, |options| options.concurrency = WINDOW);

        while !facts.is_done() {
            let mut session = relay.accept().await;
            let steps = 40 + random.below(40);
            facts
                .serve(&mut session, &mut app, steps, &mut random)
                .await;
        }

        assert!(
            facts.calls.values().all(|&calls| calls == 1),
            "seed {seed}: {:?}",
            facts.calls
        );
        assert!(
            facts.settled.values().all(|&number| number == 1),
            "seed {seed}: {:?}",
            facts.settled
        );
        run.abort().await.0.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_dies_anywhere_repeats_only_what_the_app_had_and_counts_it() {
    for seed in 0..8 {
        let (mut random, mut facts) = (Random(100 + seed), Facts::default());
        let mut app = App::start().await;
        let relay = Relay::start().await;
        let mut run = Run::start(&relay, &app, |options| options.concurrency = WINDOW);

        while !facts.is_done() {
            let mut session = relay.accept().await;
            let steps = 3 + random.below(20);
            facts
                .serve(&mut session, &mut app, steps, &mut random)
                .await;
            let state = run.abort().await.1;
            run = Run::start_in(state, &relay, &app, |options| options.concurrency = WINDOW);
        }

        for (seq, &number) in &facts.settled {
            let calls = facts.calls[seq];
            assert!(
                calls <= number,
                "seed {seed}, event {seq}: {calls} calls, {number} attempts"
            );
        }
        run.abort().await.0.unwrap();
    }
}

/// The same numbers for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
