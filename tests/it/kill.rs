//! `kill -9` of the relay and of the client at random moments: every acknowledged event reaches the app, in
//! order, and none twice but what the app had in hand when the client died, which is marked as cut off.
//!
//! `TOWLINE_KILL_ROUNDS` asks for more rounds, `TOWLINE_TEST_SEED` for the same moments again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use towline_shared::id::EventId;
use towline_shared::outcome::Outcome;
use towline_tests::api::path_of;
use towline_tests::app::{App, Reply};
use towline_tests::eventually::{eventually, in_time};
use towline_tests::message::Message;
use towline_tests::nodes::{ClientProcess, RelayProcess};
use towline_tests::seed::Seed;
use towline_tests::sender::{Sender, post};

/// Rounds of the suite; each kills one of the two.
const ROUNDS: usize = 160;

/// Rounds with several deliveries in hand at a time.
const ROUNDS_IN_PARALLEL: usize = 40;

/// The longest that the app takes for a reply, so that most kills meet a request in its hands.
const LONGEST_REPLY: Duration = Duration::from_millis(8);

/// How far the sender may run ahead of the app.
const AHEAD: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_when_either_side_is_killed() {
    let journey = Journey::run("kill in order", rounds(ROUNDS), 1).await;

    journey.assert_all_acknowledged_arrived();
    journey.assert_order();
    journey.assert_repeats_were_in_hand_and_are_marked(1).await;
    journey.assert_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_with_eight_deliveries_in_hand() {
    let journey = Journey::run("kill in parallel", rounds(ROUNDS_IN_PARALLEL), 8).await;

    journey.assert_all_acknowledged_arrived();
    journey.assert_repeats_were_in_hand_and_are_marked(8).await;
    journey.assert_settled().await;
}

/// One death of the client.
#[derive(Debug)]
struct Death {
    /// How many requests the app had answered before.
    answered: usize,
    /// How many had arrived when nothing more could come.
    arrived: usize,
}

/// What happened.
struct Journey {
    relay: RelayProcess,
    client: ClientProcess,
    acknowledged: BTreeMap<u64, EventId>,
    /// The numbers that arrived, in order.
    arrived: Vec<u64>,
    /// The places of requests in the order in which the app answered them.
    answered: Vec<usize>,
    deaths: Vec<Death>,
    /// Goes on answering to the end.
    _app: Arc<App>,
    _folder: tempfile::TempDir,
}

impl Journey {
    async fn run(name: &str, rounds: usize, concurrency: usize) -> Self {
        let mut seed = Seed::of_this_run(name);
        let folder = tempfile::tempdir().unwrap();
        let relay = RelayProcess::start(folder.path(), &[]).await;
        let path = path_of(&relay.api().open_endpoint("kill").await);
        let replies = Mutex::new(seed.clone());
        let app = Arc::new(
            App::replying(move |_, _| {
                let delay = replies.lock().duration(LONGEST_REPLY);
                Reply::After(delay, Box::new(Reply::Status(200)))
            })
            .await,
        );
        let concurrency = concurrency.to_string();
        let client = ClientProcess::start(
            &folder.path().join("home"),
            &relay,
            "kill",
            &app.url(),
            &["--concurrency", &concurrency],
        );
        let sending = Sending::start(relay.address(), path, Arc::clone(&app));

        let mut journey = Self {
            relay,
            client,
            acknowledged: BTreeMap::new(),
            arrived: Vec::new(),
            answered: Vec::new(),
            deaths: Vec::new(),
            _app: Arc::clone(&app),
            _folder: folder,
        };
        let mut relay_deaths = 0;
        for round in 0..rounds {
            let before = app.count();
            eventually(&format!("progress in round {round}"), async || {
                (app.count() > before).then_some(())
            })
            .await;
            seed.pass_time(LONGEST_REPLY * 3).await;
            // A client that loses its relay again and again waits ever longer; a new one starts afresh.
            if relay_deaths < 2 && seed.below(2) == 0 {
                relay_deaths += 1;
                journey.kill_relay().await;
            } else {
                relay_deaths = 0;
                journey.kill_client(&app).await;
            }
        }
        journey.acknowledged = sending.stop().await;
        let last = *journey.acknowledged.keys().next_back().unwrap();
        eventually("the last acknowledged event arrives", async || {
            numbers(&app.seen()).contains(&last).then_some(())
        })
        .await;
        journey.arrived = numbers(&app.seen());
        journey.answered = app.answered();
        journey
    }

    async fn kill_relay(&mut self) {
        self.relay.kill().await;
        self.relay.start_again();
    }

    async fn kill_client(&mut self, app: &App) {
        let answered = app.answered().len();
        self.client.kill().await;
        app.wait_until_alone().await;
        self.deaths.push(Death {
            answered,
            arrived: app.count(),
        });
        self.client.start_again();
    }

    fn assert_all_acknowledged_arrived(&self) {
        let lost: Vec<_> = self
            .acknowledged
            .keys()
            .filter(|number| !self.arrived.contains(number))
            .collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }

    fn assert_order(&self) {
        for pair in self.arrived.windows(2) {
            assert!(pair[0] <= pair[1], "{} came before {}", pair[0], pair[1]);
        }
    }

    async fn assert_repeats_were_in_hand_and_are_marked(&self, in_hand: usize) {
        let api = self.relay.api();
        let mut first = BTreeMap::new();
        let mut repeats = 0;
        for (place, number) in self.arrived.iter().enumerate() {
            let Some(earlier) = first.insert(*number, place) else {
                continue;
            };
            let answered_as = self.answered.iter().position(|place| *place == earlier);
            // An answer that the app has written may not have been read, nor written down. With one delivery in
            // hand nothing is answered after it; with several, the others may run ahead of the one that reads late.
            let was_in_hand = self.deaths.iter().any(|death| {
                let is_last = answered_as.is_none_or(|order| order + 1 >= death.answered);
                (earlier < death.arrived && death.arrived <= place) && (in_hand > 1 || is_last)
            });
            assert!(
                was_in_hand,
                "{number} arrived at {earlier} and {place}, answered as {answered_as:?}; deaths {:?}",
                self.deaths
            );
            repeats += 1;
            let Some(id) = self.acknowledged.get(number) else {
                continue;
            };
            let attempts = api.event(*id).await.attempts;
            let outcomes: Vec<_> = attempts.iter().map(|one| &one.attempt.outcome).collect();
            assert!(
                matches!(
                    outcomes[..],
                    [Outcome::CutOff, .., Outcome::Answered { .. }]
                ),
                "{number} was delivered twice and is not marked: {outcomes:?}"
            );
        }
        println!(
            "{} acknowledged, {} arrived, {} deaths of the client, {repeats} cut off",
            self.acknowledged.len(),
            self.arrived.len(),
            self.deaths.len()
        );
    }

    /// Nothing waits any more, and no delivery was settled twice.
    async fn assert_settled(&self) {
        let api = self.relay.api();
        let consumer = eventually("the line is empty", async || {
            let consumers = api.consumers("kill").await.consumers;
            let consumer = consumers.into_iter().next()?;
            (consumer.backlog == 0).then_some(consumer)
        })
        .await;
        for event in api.events("kill").await {
            assert!(event.info.seq <= consumer.cursor);
            let attempts = api.event(event.info.id).await.attempts;
            let settled = attempts.iter().filter(|one| one.attempt.settled.is_some());
            assert_eq!(
                settled.count(),
                1,
                "event {} of {attempts:?}",
                event.info.seq
            );
        }
    }
}

/// A sender that numbers its events, one after the other, whatever becomes of the relay.
struct Sending {
    stopping: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<BTreeMap<u64, EventId>>,
}

impl Sending {
    fn start(relay: std::net::SocketAddr, path: String, app: Arc<App>) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn({
            let stopping = Arc::clone(&stopping);
            async move {
                let mut acknowledged = BTreeMap::new();
                let mut connection = None;
                let mut number = 0_u64;
                while !stopping.load(Ordering::SeqCst) {
                    let sender = match &mut connection {
                        Some(sender) => sender,
                        None => connection.insert(Sender::connect_when_up(relay).await),
                    };
                    number += 1;
                    sender
                        .send(&post(&path, format!("{{\"n\":{number}}}").as_bytes()))
                        .await;
                    match in_time("an answer or the end of the connection", sender.try_reply())
                        .await
                    {
                        Ok(reply) if reply.status() == 200 => {
                            acknowledged.insert(number, acknowledged_id(&reply));
                        }
                        Ok(reply) => assert_eq!(reply.status(), 503, "{}", reply.text()),
                        Err(_) => connection = None,
                    }
                    if acknowledged.len() >= AHEAD {
                        app.wait_for_more_than(acknowledged.len() - AHEAD).await;
                    }
                }
                acknowledged
            }
        });
        Self { stopping, task }
    }

    async fn stop(self) -> BTreeMap<u64, EventId> {
        self.stopping.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

fn acknowledged_id(reply: &Message) -> EventId {
    serde_json::from_value(reply.json()["id"].clone()).unwrap()
}

fn numbers(seen: &[Message]) -> Vec<u64> {
    seen.iter()
        .map(|message| message.json()["n"].as_u64().unwrap())
        .collect()
}

fn rounds(usual: usize) -> usize {
    std::env::var("TOWLINE_KILL_ROUNDS")
        .ok()
        .map_or(usual, |text| {
            text.parse().expect("TOWLINE_KILL_ROUNDS is a number")
        })
}
