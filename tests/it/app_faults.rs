//! An app that is down, slow, resets, answers garbage or without end: the outcome says which, nothing is lost,
//! and the line goes on in order.

use std::time::{Duration, Instant};

use towline::listen::{News, Options};
use towline_shared::api::AttemptView;
use towline_shared::outcome::{Attempt, Outcome, Phase, Settled};
use towline_tests::api::{Api, path_of};
use towline_tests::app::{App, Reply, plain, with_body};
use towline_tests::eventually::eventually;
use towline_tests::listening::{Listening, options};
use towline_tests::relay::Relay;
use towline_tests::sender::{post, send};

/// A time limit of an attempt that a test can wait for.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn events_wait_for_an_app_that_is_down_and_arrive_in_order() {
    let mut journey = Journey::start(App::start().await, SHORT).await;
    journey.app.stop().await;

    for number in 0..5 {
        journey.post(&format!("{number}")).await;
    }
    let refused = journey
        .client
        .wait_for_outcome("a refused attempt", is_refused)
        .await;
    journey
        .client
        .wait_for("news of waiting", |news| {
            news.iter().any(is_waiting).then_some(())
        })
        .await;
    journey.app.start_again().await;

    let bodies: Vec<_> = journey
        .app
        .wait_for(5)
        .await
        .iter()
        .map(|message| message.text())
        .collect();
    assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
    assert_eq!(refused.settled, None);
    assert!(refused.retry_after_millis.is_some());
}

#[tokio::test]
async fn an_app_that_does_not_answer_times_out_and_is_tried_again() {
    let app = App::replying(|place, _| {
        if place == 0 {
            Reply::Hold
        } else {
            Reply::Status(200)
        }
    })
    .await;
    let journey = Journey::start(app, SHORT).await;

    journey.post("slow").await;

    let attempts = journey.settled().await;
    assert_eq!(
        attempts[0].outcome,
        Outcome::TimedOut {
            phase: Phase::Reply
        }
    );
    assert_eq!((attempts[0].number, attempts[0].settled), (1, None));
    assert_eq!(
        (attempts[1].number, attempts[1].settled),
        (2, Some(Settled::Done))
    );
}

#[tokio::test]
async fn an_app_that_is_slow_but_in_time_is_waited_for() {
    let app = App::replying(|_, _| Reply::After(SHORT / 2, Box::new(Reply::Status(201)))).await;
    let journey = Journey::start(app, SHORT * 20).await;

    journey.post("slow").await;

    let attempts = journey.settled().await;
    assert!(
        matches!(
            attempts[..],
            [Attempt {
                outcome: Outcome::Answered { status: 201, .. },
                ..
            }]
        ),
        "{attempts:?}"
    );
}

#[tokio::test]
async fn an_app_that_resets_answers_garbage_or_ends_early_is_tried_again() {
    for (what, reply) in [
        ("resets", Reply::Reset),
        ("closes without a word", Reply::RawThenClose(Vec::new())),
        (
            "answers garbage",
            Reply::RawThenClose(b"I am not HTTP\r\n\r\n".to_vec()),
        ),
        ("answers with bytes", Reply::RawThenClose(vec![0xff; 100])),
        (
            "ends within its head",
            Reply::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        ),
        (
            "ends within its body",
            Reply::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()),
        ),
        (
            "ends within a chunk",
            Reply::RawThenClose(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf".to_vec(),
            ),
        ),
        (
            "names a status of two digits",
            Reply::RawThenClose(b"HTTP/1.1 20 OK\r\n\r\n".to_vec()),
        ),
        (
            "names two lengths",
            Reply::RawThenClose(
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_vec(),
            ),
        ),
    ] {
        let first = reply.clone();
        let app = App::replying(move |place, _| {
            if place == 0 {
                first.clone()
            } else {
                Reply::Status(200)
            }
        })
        .await;
        let journey = Journey::start(app, SHORT * 20).await;

        journey.post("x").await;

        let attempts = journey.settled().await;
        assert!(
            matches!(attempts[0].outcome, Outcome::Reset { .. }),
            "{what}: {attempts:?}"
        );
        assert_eq!(
            attempts[1].settled,
            Some(Settled::Done),
            "{what}: {attempts:?}"
        );
        assert_eq!(journey.kept_attempts().await.len(), 2, "{what}");
    }
}

#[tokio::test]
async fn an_endless_body_times_out_and_the_next_event_goes_on() {
    let app = App::replying(|place, _| {
        if place == 0 {
            Reply::Endless
        } else {
            Reply::Status(200)
        }
    })
    .await;
    let journey = Journey::start(app, SHORT).await;

    journey.post("endless").await;

    let attempts = journey.settled().await;
    assert_eq!(
        attempts[0].outcome,
        Outcome::TimedOut { phase: Phase::Body }
    );
    assert_eq!(attempts[1].settled, Some(Settled::Done));
}

#[tokio::test]
async fn an_answer_of_400_or_above_settles_as_failed_and_the_line_goes_on() {
    let app = App::replying(|place, _| Reply::Status([200, 302, 404, 500][place % 4])).await;
    let journey = Journey::start(app, SHORT * 20).await;

    for number in 0..4 {
        journey.post(&format!("{number}")).await;
    }

    let attempts = journey.client.wait_for_attempts(4).await;
    let settled: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt.settled.unwrap())
        .collect();
    assert_eq!(
        settled,
        [
            Settled::Done,
            Settled::Done,
            Settled::Failed,
            Settled::Failed
        ]
    );
    assert_eq!(
        journey.app.count(),
        4,
        "a redirect is not followed, a failure not repeated"
    );
}

#[tokio::test]
async fn a_wished_number_of_retries_is_made_and_no_more() {
    let app = App::replying(|_, message| match message.body.as_slice() {
        b"busy" => Reply::Status(503),
        _ => Reply::Status(200),
    })
    .await;
    let journey = Journey::with(app, |options| options.delivery.retries = 2).await;

    journey.post("busy").await;
    journey.post("fine").await;

    let attempts = journey.client.wait_for_attempts(4).await;
    let settled: Vec<_> = attempts.iter().map(|attempt| attempt.settled).collect();
    assert_eq!(
        settled,
        [None, None, Some(Settled::Failed), Some(Settled::Done)]
    );
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let app = App::replying(|place, _| match place {
        0 => {
            Reply::Raw(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_vec())
        }
        _ => Reply::Status(200),
    })
    .await;
    let journey = Journey::with(app, |options| options.delivery.retries = 1).await;
    let start = Instant::now();

    journey.post("busy").await;
    let attempts = journey.client.wait_for_attempts(2).await;

    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "it was called again too early"
    );
    assert!(
        attempts[0]
            .retry_after_millis
            .is_some_and(|millis| millis >= 1000),
        "{attempts:?}"
    );
}

#[tokio::test]
async fn what_the_app_said_is_kept_with_the_attempt() {
    let app = App::replying(|_, _| {
        Reply::Raw(b"HTTP/1.1 422 Not Today\r\nX-MiXed: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno,\r\n4\r\n no!\r\n0\r\n\r\n".to_vec())
    })
    .await;
    let journey = Journey::start(app, SHORT * 20).await;

    journey.post("x").await;
    journey.settled().await;

    let attempts = journey.kept_attempts().await;
    let reply = |text: &str| data_encoding::BASE64.decode(text.as_bytes()).unwrap();
    assert_eq!(attempts.len(), 1);
    assert!(
        reply(&attempts[0].reply_head_base64)
            .starts_with(b"HTTP/1.1 422 Not Today\r\nX-MiXed: 1\r\n")
    );
    assert_eq!(reply(&attempts[0].reply_body_base64), b"no, no!");
    assert!(reply(&attempts[0].sent_head_base64).starts_with(b"POST / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn interim_replies_are_passed_over_and_a_connection_that_ends_is_not_a_failure() {
    let app = App::replying(|place, _| match place {
        0 => Reply::Raw(
            [
                b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
                &plain(200)[..],
            ]
            .concat(),
        ),
        1 => Reply::RawThenClose(b"HTTP/1.0 200 OK\r\n\r\nuntil the end".to_vec()),
        2 => Reply::RawThenClose(with_body(b"closing")),
        _ => Reply::Status(204),
    })
    .await;
    let journey = Journey::start(app, SHORT * 20).await;

    for number in 0..4 {
        journey.post(&format!("{number}")).await;
    }

    let attempts = journey.client.wait_for_attempts(4).await;
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.settled == Some(Settled::Done)),
        "{attempts:?}"
    );
    assert_eq!(journey.app.count(), 4);
}

/// A relay, a client with short time limits, and an app.
struct Journey {
    relay: Relay,
    api: Api,
    app: App,
    client: Listening,
    path: String,
}

impl Journey {
    async fn start(app: App, timeout: Duration) -> Self {
        Self::with(app, |options| options.delivery.timeout = timeout).await
    }

    async fn with(app: App, change: impl FnOnce(&mut Options)) -> Self {
        let relay = Relay::start().await;
        let api = relay.api();
        let path = path_of(&api.open_endpoint("faults").await);
        let state = relay.folder().join("state");
        let mut options = options(relay.address(), api.token(), "faults", &app.url(), &state);
        change(&mut options);
        let client = Listening::start(options).await;
        Self {
            relay,
            api,
            app,
            client,
            path,
        }
    }

    async fn post(&self, body: &str) {
        let reply = send(self.relay.address(), &post(&self.path, body.as_bytes())).await;
        assert_eq!(reply.status(), 200);
    }

    /// The attempts up to the first that settles.
    async fn settled(&self) -> Vec<Attempt> {
        eventually("a settled delivery", async || {
            let attempts = self.client.attempts();
            attempts
                .iter()
                .any(|attempt| attempt.settled.is_some())
                .then_some(attempts)
        })
        .await
    }

    /// The attempts that the relay has on record of the newest event, once the last of them settles it.
    async fn kept_attempts(&self) -> Vec<AttemptView> {
        let id = self.api.events("faults").await[0].info.id;
        eventually("the relay keeps the outcome", async || {
            let attempts = self.api.event(id).await.attempts;
            attempts
                .last()
                .is_some_and(|one| one.attempt.settled.is_some())
                .then_some(attempts)
        })
        .await
    }
}

fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { .. })
}

fn is_waiting(news: &News) -> bool {
    matches!(news, News::Waiting { .. })
}
