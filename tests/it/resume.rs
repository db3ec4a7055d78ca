//! A consumer takes up where it was: after its own restart, the relay's, and whatever the network does.

use std::time::Duration;

use towline::listen::{ListenError, News, Options};
use towline_shared::api::Trimmed;
use towline_shared::id::Seq;
use towline_shared::outcome::Outcome;
use towline_shared::wire::{Reason, Start};
use towline_tests::api::{Api, path_of};
use towline_tests::app::{App, Reply};
use towline_tests::eventually::eventually;
use towline_tests::fault_proxy::{Fault, FaultProxy};
use towline_tests::listening::{Listening, options};
use towline_tests::relay::Relay;
use towline_tests::sender::{post, send};

#[tokio::test]
async fn events_that_come_while_nobody_listens_wait_in_order() {
    let journey = Journey::start().await;
    let client = Listening::start(journey.options()).await;
    journey.post(0..3).await;
    journey.app.wait_for(3).await;
    client.wait_for_attempts(3).await;
    client.stop().await.unwrap();

    journey.post(3..8).await;
    let client = Listening::start(journey.options()).await;
    journey.app.wait_for(8).await;

    assert_eq!(journey.bodies(), numbers(0..8));
    let backlog = client.wait_for("welcome", |news| match news.first() {
        Some(News::Ready { welcome, .. }) => Some(welcome.backlog),
        _ => None,
    });
    assert_eq!(backlog.await, 5);
}

#[tokio::test]
async fn a_restart_of_the_relay_goes_unnoticed_by_the_app() {
    let mut journey = Journey::start().await;
    let client = Listening::start(journey.options()).await;
    journey.post(0..3).await;
    client.wait_for_attempts(3).await;

    let drained = journey.relay.stop().await;
    client
        .wait_for("news of reconnecting", |news| {
            news.iter().any(is_reconnecting).then_some(())
        })
        .await;
    journey.relay.start_again().await;
    client.wait_for_ready(2).await;
    journey.post(3..6).await;
    client.wait_for_attempts(6).await;

    assert_eq!(journey.bodies(), numbers(0..6));
    assert_eq!((drained.requests, drained.sessions), (0, 0));
}

#[tokio::test]
async fn a_network_that_is_cut_again_and_again_loses_and_repeats_nothing() {
    let journey = Journey::start().await;
    let network = FaultProxy::start(journey.relay.address()).await;
    let client = Listening::start(journey.options_through(&network)).await;

    for round in 0..6_usize {
        journey.post(round * 5..round * 5 + 5).await;
        eventually("some of them arrive", async || {
            (journey.app.count() > round * 5).then_some(())
        })
        .await;
        network.cut();
        client.wait_for_ready(round + 2).await;
    }
    client.wait_for_attempts(30).await;

    assert_eq!(journey.bodies(), numbers(0..30));
}

#[tokio::test]
async fn a_flipped_bit_in_a_frame_ends_the_session_and_nothing_is_lost() {
    let journey = Journey::start().await;
    let network = FaultProxy::start(journey.relay.address()).await;
    let client = Listening::start(journey.options_through(&network)).await;

    for (round, fault) in [Fault::CorruptTowardsClient, Fault::CorruptTowardsServer]
        .into_iter()
        .enumerate()
    {
        network.set(fault);
        journey.post(round * 3..round * 3 + 3).await;
        client.wait_for_ready(round + 2).await;
        client.wait_for_attempts(round * 3 + 3).await;
        assert_eq!(network.fault(), Fault::None, "no bit was flipped");
    }

    assert_eq!(journey.bodies(), numbers(0..6));
}

#[tokio::test]
async fn a_slow_network_carries_everything() {
    let journey = Journey::start().await;
    let network = FaultProxy::start(journey.relay.address()).await;
    network.set(Fault::Trickle {
        bytes: 7,
        pause: Duration::from_micros(10),
    });
    let client = Listening::start(journey.options_through(&network)).await;

    journey.post(0..5).await;
    client.wait_for_attempts(5).await;

    assert_eq!(journey.bodies(), numbers(0..5));
}

#[tokio::test]
async fn an_outcome_that_could_not_be_reported_is_not_a_second_call() {
    let app = App::replying(|_, _| Reply::Hold).await;
    let journey = Journey::with(app).await;
    let network = FaultProxy::start(journey.relay.address()).await;
    let client = Listening::start(journey.options_through(&network)).await;
    journey.post(0..1).await;
    journey.app.wait_for(1).await;

    network.set(Fault::Stall);
    journey.app.release();
    client.wait_for_attempts(1).await;
    network.cut();
    network.set(Fault::None);
    client.wait_for_ready(2).await;

    journey.wait_until_settled(1).await;
    assert_eq!(journey.app.count(), 1);
}

#[tokio::test]
async fn a_client_that_was_stopped_in_the_middle_marks_the_attempt_as_cut_off() {
    let app = App::replying(|place, _| {
        if place == 0 {
            Reply::Hold
        } else {
            Reply::Status(200)
        }
    })
    .await;
    let journey = Journey::with(app).await;
    let client = Listening::start(journey.options()).await;
    journey.post(0..1).await;
    journey.app.wait_for(1).await;
    let summary = client.abort().await.unwrap();
    journey.app.wait_until_alone().await;

    let client = Listening::start(journey.options()).await;
    client
        .wait_for_outcome("an answer", |outcome| {
            matches!(outcome, Outcome::Answered { .. })
        })
        .await;
    journey.wait_until_settled(1).await;

    let id = journey.api.events("line").await[0].info.id;
    let outcomes: Vec<_> = journey
        .api
        .event(id)
        .await
        .attempts
        .into_iter()
        .map(|one| one.attempt.outcome)
        .collect();
    assert!(
        matches!(outcomes[..], [Outcome::CutOff, Outcome::Answered { .. }]),
        "{outcomes:?}"
    );
    assert_eq!(journey.app.count(), 2);
    assert_eq!((summary.done, summary.left), (0, 1));
}

#[tokio::test]
async fn a_second_client_of_the_same_consumer_takes_over() {
    let journey = Journey::start().await;
    let mut first = Listening::start(journey.options()).await;
    journey.post(0..1).await;
    first.wait_for_attempts(1).await;

    let mut elsewhere = journey.options();
    elsewhere.state = journey.relay.folder().join("elsewhere");
    let second = Listening::start(elsewhere).await;
    journey.post(1..3).await;
    second.wait_for_attempts(2).await;

    let ended = first.end().await;
    assert!(
        matches!(
            ended,
            Err(ListenError::Ended {
                reason: Reason::TakenOver,
                ..
            })
        ),
        "{ended:?}"
    );
    assert_eq!(journey.bodies(), numbers(0..3));
}

#[tokio::test]
async fn two_consumers_each_get_everything_at_their_own_pace() {
    let journey = Journey::start().await;
    let other_app = App::replying(|place, _| {
        if place == 0 {
            Reply::Hold
        } else {
            Reply::Status(200)
        }
    })
    .await;
    let mut other_options = journey.options();
    other_options.consumer = "colleague".parse().unwrap();
    other_options.delivery.target = other_app.url().parse().unwrap();
    let first = Listening::start(journey.options()).await;
    let second = Listening::start(other_options).await;

    journey.post(0..4).await;
    first.wait_for_attempts(4).await;
    assert_eq!(other_app.count(), 1, "the other holds its first");
    other_app.release();
    second.wait_for_attempts(4).await;

    assert_eq!(journey.bodies(), numbers(0..4));
    let others: Vec<_> = other_app
        .seen()
        .iter()
        .map(|message| message.text())
        .collect();
    assert_eq!(others, numbers(0..4));
}

#[tokio::test]
async fn a_new_consumer_starts_where_it_asks_to() {
    let journey = Journey::start().await;
    journey.post(0..4).await;
    let third = journey.api.events("line").await[1].info.clone();

    for (name, start, first, earlier) in [
        ("beginning", Start::Beginning, 0, 0),
        ("last", Start::Last, 3, 3),
        ("event", Start::Event(third.id), 2, 2),
        ("now", Start::Now, 4, 4),
    ] {
        let app = App::start().await;
        let mut options = journey.options();
        options.consumer = name.parse().unwrap();
        options.start = start;
        options.delivery.target = app.url().parse().unwrap();
        let client = Listening::start(options).await;

        let told = client.wait_for("welcome", |news| match news.first() {
            Some(News::Ready { welcome, .. }) => Some((welcome.is_new, welcome.earlier)),
            _ => None,
        });
        assert_eq!(told.await, (true, earlier), "{name}");
        let seen = app.wait_for(4 - first).await;
        let bodies: Vec<_> = seen.iter().map(|message| message.text()).collect();
        assert_eq!(bodies, numbers(first..4), "{name}");
    }
}

#[tokio::test]
async fn events_that_were_trimmed_are_told_as_a_gap_and_the_rest_arrives() {
    let journey = Journey::start().await;
    let client = Listening::start(journey.options()).await;
    journey.post(0..1).await;
    client.wait_for_attempts(1).await;
    client.stop().await.unwrap();
    journey.post(1..6).await;

    let reply = journey
        .api
        .call("DELETE", "/v1/endpoints/line/events?through=4", None)
        .await;
    let trimmed: Trimmed = serde_json::from_slice(&reply.body).unwrap();
    let client = Listening::start(journey.options()).await;
    client.wait_for_attempts(2).await;

    assert_eq!(trimmed.removed, 4);
    assert_eq!(journey.bodies(), ["0", "4", "5"]);
    let gap = client.news().into_iter().find_map(|news| match news {
        News::Gap { from, to } => Some((from, to)),
        _ => None,
    });
    assert_eq!(gap, Some((Seq(2), Seq(4))));
    journey.wait_until_settled(6).await;
}

#[tokio::test]
async fn a_replay_reaches_the_app_again_and_is_marked() {
    let journey = Journey::start().await;
    let mut options = journey.options();
    options.delivery.mark = true;
    let client = Listening::start(options).await;
    journey.post(0..2).await;
    client.wait_for_attempts(2).await;
    let first = journey.api.events("line").await[1].info.id;

    let asked = serde_json::json!({"events": [first]});
    let _: serde_json::Value = journey.api.post("/v1/replays", &asked).await;
    client.wait_for_attempts(3).await;

    let seen = journey.app.seen();
    assert_eq!(journey.bodies(), ["0", "1", "0"]);
    assert_eq!(seen[2].value("Towline-Event-Id"), Some(first.to_string()));
    assert!(seen[2].value("Towline-Replay").is_some());
    assert!(
        seen[0]
            .value("Towline-Replay")
            .is_none_or(|value| value != seen[2].value("Towline-Replay").unwrap())
    );
}

/// A relay, the endpoint `line`, and an app.
struct Journey {
    relay: Relay,
    api: Api,
    app: App,
    path: String,
}

impl Journey {
    async fn start() -> Self {
        Self::with(App::start().await).await
    }

    async fn with(app: App) -> Self {
        let relay = Relay::start().await;
        let api = relay.api();
        let path = path_of(&api.open_endpoint("line").await);
        Self {
            relay,
            api,
            app,
            path,
        }
    }

    fn options(&self) -> Options {
        let state = self.relay.folder().join("state");
        options(
            self.relay.address(),
            self.api.token(),
            "line",
            &self.app.url(),
            &state,
        )
    }

    fn options_through(&self, network: &FaultProxy) -> Options {
        let mut options = self.options();
        options.relay.url = format!("http://{}", network.address()).parse().unwrap();
        options
    }

    /// Sends events whose bodies are these numbers.
    async fn post(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let request = post(&self.path, number.to_string().as_bytes());
            assert_eq!(send(self.relay.address(), &request).await.status(), 200);
        }
    }

    fn bodies(&self) -> Vec<String> {
        self.app
            .seen()
            .iter()
            .map(|message| message.text())
            .collect()
    }

    async fn wait_until_settled(&self, seq: u64) {
        eventually("the cursor moves", async || {
            let consumers = self.api.consumers("line").await.consumers;
            (consumers[0].cursor == Seq(seq) && consumers[0].backlog == 0).then_some(())
        })
        .await;
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn is_reconnecting(news: &News) -> bool {
    matches!(news, News::Reconnecting { .. })
}
