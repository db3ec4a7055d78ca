//! A session's life: resume, window, take-over, gaps, replays, and every way to its end.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use towline_shared::api::{ConsumerList, ConsumerView, Replays};
use towline_shared::id::Seq;
use towline_shared::outcome::{Delivery, Settled};
use towline_shared::time::Timestamp;
use towline_shared::wire::{FromClient, FromRelay, Goodbye, MAX_FRAME_BYTES, Reason};

use crate::relay::Relay;
use crate::wire::{Client, report};

#[tokio::test]
async fn a_consumer_resumes_behind_its_last_settled_event() {
    let relay = Relay::start().await.with_line().await;
    for body in ["0", "1", "2"] {
        relay.post(body).await;
    }
    let mut client = Client::listen(&relay, 1).await;
    let first = client.event().await;
    assert_eq!(first.body, "0");
    client.settle(&first).await;
    drop(client);

    let (mut client, welcome) = Client::listen_as(&relay, &relay.admin, "laptop", 9).await;

    assert_eq!(
        (welcome.cursor, welcome.backlog, welcome.is_new),
        (Seq(1), 2, false)
    );
    assert_eq!(client.event().await.body, "1");
    assert_eq!(client.event().await.body, "2");
}

#[tokio::test]
async fn an_event_without_a_settling_outcome_comes_again_with_its_attempts() {
    let relay = Relay::start().await.with_line().await;
    relay.post("0").await;
    let mut client = Client::listen(&relay, 1).await;
    let event = client.event().await;
    assert_eq!(event.header.attempts, 0);
    client.report(&event, 1, false).await;
    client.stored().await;
    drop(client);

    let mut client = Client::listen(&relay, 1).await;

    let again = client.event().await;
    assert_eq!(again.header.delivery, event.header.delivery);
    assert_eq!(again.header.attempts, 1);
}

#[tokio::test]
async fn no_more_than_the_window_is_in_hand() {
    let relay = Relay::start().await.with_line().await;
    for body in ["0", "1", "2"] {
        relay.post(body).await;
    }
    let mut client = Client::listen(&relay, 2).await;
    let (first, second) = (client.event().await, client.event().await);

    // An answer to something else comes, and no third event before it.
    client.report(&second, 1, false).await;
    client.stored().await;
    client.report(&first, 1, true).await;

    let mut kinds = Vec::new();
    for _ in 0..2 {
        kinds.push(match client.next().await {
            FromRelay::Event(event) => format!("event {}", event.header.delivery.seq),
            FromRelay::Stored(stored) => format!("stored {}", stored.delivery.seq),
            other => panic!("{other:?}"),
        });
    }
    kinds.sort();
    assert_eq!(kinds, ["event 3", "stored 1"]);
}

#[tokio::test]
async fn outcomes_may_come_in_any_order() {
    let relay = Relay::start().await.with_line().await;
    for body in ["0", "1", "2"] {
        relay.post(body).await;
    }
    let mut client = Client::listen(&relay, 3).await;
    let (_, second, third) = (
        client.event().await,
        client.event().await,
        client.event().await,
    );
    client.settle(&third).await;
    client.settle(&second).await;
    drop(client);

    let (mut client, welcome) = Client::listen_as(&relay, &relay.admin, "laptop", 3).await;

    assert_eq!((welcome.cursor, welcome.backlog), (Seq(0), 1));
    assert_eq!(client.event().await.body, "0");
    relay.post("3").await;
    assert_eq!(client.event().await.body, "3");
}

#[tokio::test]
async fn an_outcome_from_the_journal_is_stored_and_its_event_not_sent() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    let mut client = Client::connect(&relay).await;
    let delivery = Delivery {
        seq: Seq(1),
        replay: None,
    };
    client.hello("laptop", 1).await;
    assert!(matches!(client.next().await, FromRelay::Welcome(_)));
    let outcome = FromClient::Outcome(Box::new(report(id, delivery, 1, true)));
    client.send(&outcome).await;

    // The event may have been on its way already; it is settled all the same, once and for both reports.
    client.send(&outcome).await;
    let mut stored = 0;
    while stored < 2 {
        if let FromRelay::Stored(answer) = client.next().await {
            assert_eq!(answer.delivery, delivery);
            stored += 1;
        }
    }
    let consumers: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
    assert_eq!(consumers.consumers[0].cursor, Seq(1));
}

#[tokio::test]
async fn the_newer_session_of_a_consumer_takes_over() {
    let relay = Relay::start().await.with_line().await;
    relay.post("0").await;
    let mut older = Client::listen(&relay, 1).await;
    let event = older.event().await;
    older.report(&event, 1, true).await;

    let connecting = Client::listen_as(&relay, &relay.admin, "laptop", 1);
    let ((mut newer, welcome), (goodbye, code)) = tokio::join!(connecting, older.goodbye());

    assert_eq!(goodbye.reason, Reason::TakenOver);
    assert_eq!(goodbye.reconnect_after_millis, None);
    assert_eq!(code, CloseCode::Normal);
    // What the older one had reported counts, so its event does not go to the newer one.
    assert_eq!(welcome.cursor, Seq(1));
    relay.post("1").await;
    assert_eq!(newer.event().await.body, "1");
}

#[tokio::test]
async fn two_consumers_each_get_every_event() {
    let relay = Relay::start().await.with_line().await;
    let (mut one, _) = Client::listen_as(&relay, &relay.admin, "one", 1).await;
    let (mut other, _) = Client::listen_as(&relay, &relay.admin, "other", 1).await;

    relay.post("0").await;

    assert_eq!(one.event().await.body, "0");
    assert_eq!(other.event().await.body, "0");
}

#[tokio::test]
async fn removed_events_are_a_gap() {
    let relay = Relay::start().await.with_line().await;
    for body in ["0", "1", "2"] {
        relay.post(body).await;
    }
    drop(Client::listen(&relay, 1).await);
    let path = "/v1/endpoints/line/events?through=2";
    let trimmed = relay.call("DELETE", path, &relay.admin, None).await;
    assert_eq!(trimmed.text(), r#"{"removed":2}"#);

    let mut client = Client::listen(&relay, 1).await;

    let FromRelay::Gap(gap) = client.next().await else {
        panic!("expected a gap");
    };
    assert_eq!((gap.from, gap.to), (Seq(1), Seq(2)));
    assert_eq!(client.event().await.body, "2");
}

#[tokio::test]
async fn a_consumer_that_is_reset_begins_anew_and_gets_again_what_it_had() {
    let relay = Relay::start().await.with_line().await;
    let (mut client, _) = Client::listen_as(&relay, &relay.admin, "laptop", 1).await;
    for body in ["0", "1"] {
        relay.post(body).await;
        let event = client.event().await;
        client.settle(&event).await;
    }

    let path = "/v1/endpoints/line/consumers/laptop/reset";
    let to = json!({"to": "beginning"});
    let (reset, (goodbye, _)) = tokio::join!(relay.json("POST", path, &to), client.goodbye());
    let view: ConsumerView = serde_json::from_slice(&reset.body).unwrap();
    let (mut client, welcome) = Client::listen_as(&relay, &relay.admin, "laptop", 1).await;

    assert_eq!(goodbye.reason, Reason::Reset);
    assert!(goodbye.reconnect_after_millis.is_some());
    assert_eq!((view.cursor, view.backlog), (Seq(0), 2));
    assert!(view.oldest_waiting.is_some());
    assert_eq!((welcome.cursor, welcome.backlog), (Seq(0), 2));
    let event = client.event().await;
    assert_eq!(event.body, "0");
    client.settle(&event).await;
    let list: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
    assert_eq!(list.consumers[0].cursor, Seq(1));
}

#[tokio::test]
async fn a_reset_forwards_skips_what_waits() {
    let relay = Relay::start().await.with_line().await;
    drop(Client::listen_as(&relay, &relay.admin, "laptop", 1).await);
    relay.post("0").await;
    relay.post("1").await;

    let path = "/v1/endpoints/line/consumers/laptop/reset";
    relay.json("POST", path, &json!({"to": "now"})).await;
    relay.post("2").await;
    let (mut client, welcome) = Client::listen_as(&relay, &relay.admin, "laptop", 1).await;

    assert_eq!(welcome.backlog, 1);
    assert_eq!(client.event().await.body, "2");
}

#[tokio::test]
async fn a_reset_to_what_is_not_there_is_refused_and_moves_nothing() {
    let relay = Relay::start().await.with_line().await;
    relay.post("0").await;
    drop(Client::listen_as(&relay, &relay.admin, "laptop", 1).await);
    let path = "/v1/endpoints/line/consumers/laptop/reset";
    let ahead = Timestamp::from(SystemTime::now() + Duration::from_secs(3600));

    let future = relay
        .json("POST", path, &json!({"to": {"time": ahead}}))
        .await;
    let unknown = json!({"to": {"event": "evt_00000000000000000000000000"}});
    let unknown = relay.json("POST", path, &unknown).await;
    let nobody = path.replace("laptop", "nobody");
    let nobody = relay.json("POST", &nobody, &json!({"to": "now"})).await;
    let reader = relay
        .token(&json!({"name": "r", "scopes": ["read", "listen"]}))
        .await;
    let to = json!({"to": "beginning"});
    let reader = relay.call("POST", path, &reader.token, Some(&to)).await;

    assert_eq!(future.status, 422, "{}", future.text());
    assert!(future.text().contains("lies ahead"), "{}", future.text());
    assert_eq!(
        (unknown.status.as_u16(), unknown.code().as_str()),
        (404, "unknown_event")
    );
    assert_eq!(
        (nobody.status.as_u16(), nobody.code().as_str()),
        (404, "unknown_consumer")
    );
    assert_eq!(reader.status, 403);
    let list: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
    assert_eq!(list.consumers[0].cursor, Seq(0));
}

#[tokio::test]
async fn a_consumer_shows_its_session_and_its_last_outcome() {
    let relay = Relay::start().await.with_line().await;
    let (mut client, welcome) = Client::listen_as(&relay, &relay.admin, "laptop", 1).await;
    relay.post("0").await;
    let event = client.event().await;
    client.settle(&event).await;

    let list: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
    drop(client);

    let consumer = &list.consumers[0];
    let session = consumer.session.as_ref().unwrap();
    assert_eq!(
        (session.id, session.token.as_str()),
        (welcome.session, "admin")
    );
    assert!(session.remote.is_loopback());
    let last = consumer.last_outcome.as_ref().unwrap();
    assert_eq!(
        (last.event, last.result.as_str()),
        (event.header.event.id, "answered")
    );
    assert_eq!(last.settled, Some(Settled::Done));
    assert_eq!(consumer.oldest_waiting, None);
}

#[tokio::test]
async fn a_replay_is_delivered_once_and_takes_a_place_in_the_window() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    let mut client = Client::listen(&relay, 1).await;
    let event = client.event().await;
    client.settle(&event).await;

    let asked = relay
        .json("POST", "/v1/replays", &json!({"events": [id]}))
        .await;
    let replays: Replays = serde_json::from_slice(&asked.body).unwrap();
    assert!(replays.replays[0].is_connected);
    let again = client.event().await;
    assert_eq!(again.header.delivery.replay, Some(replays.replays[0].id));
    assert_eq!(
        (again.header.delivery.seq, &again.body[..]),
        (Seq(1), &b"0"[..])
    );
    client.settle(&again).await;
    drop(client);

    let mut client = Client::listen(&relay, 1).await;
    relay.post("1").await;
    assert_eq!(client.event().await.body, "1");
}

#[tokio::test]
async fn a_replay_that_was_not_answered_comes_again() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    let mut client = Client::listen(&relay, 1).await;
    let event = client.event().await;
    client.settle(&event).await;
    drop(client);
    relay
        .json(
            "POST",
            "/v1/replays",
            &json!({"events": [id], "consumer": "laptop"}),
        )
        .await;
    let mut client = Client::listen(&relay, 1).await;
    let first = client.event().await.header.delivery;
    assert!(first.replay.is_some());
    drop(client);

    let mut client = Client::listen(&relay, 1).await;

    assert_eq!(client.event().await.header.delivery, first);
}

#[tokio::test]
async fn frames_that_make_no_sense_end_the_session_with_the_part_at_fault() {
    let relay = Relay::start().await.with_line().await;
    for (kind, header, named) in [
        (1, &b"{}"[..], "hello"),
        (2, b"{}", "outcome"),
        (5, b"[]", "credit"),
        (99, b"{}", "99"),
        (130, b"{}", "130"),
        (5, br#"{"stream":0,"bytes":1}"#, "credit"),
    ] {
        let mut client = Client::listen(&relay, 1).await;

        client.send_frame(kind, header).await;

        is_protocol(client.goodbye().await, named);
    }
}

#[tokio::test]
async fn messages_that_are_not_frames_end_the_session() {
    let relay = Relay::start().await.with_line().await;
    for (message, named) in [
        (Message::Text("hello".into()), "text"),
        (Message::Binary(vec![1, 0, 0].into()), "shorter"),
        (
            Message::Binary(vec![1, 255, 255, 255, 255].into()),
            "shorter",
        ),
        (
            Message::Binary(vec![0; MAX_FRAME_BYTES + 1].into()),
            "too long",
        ),
    ] {
        let mut client = Client::listen(&relay, 1).await;

        client.send_message(message).await;

        is_protocol(client.goodbye().await, named);
    }
}

#[tokio::test]
async fn a_second_hello_ends_the_session() {
    let relay = Relay::start().await.with_line().await;
    let mut client = Client::listen(&relay, 1).await;

    client.hello("laptop", 1).await;

    is_protocol(client.goodbye().await, "hello");
}

#[tokio::test]
async fn the_window_of_a_hello_has_bounds() {
    let relay = Relay::start().await.with_line().await;
    for window in [0, 1025] {
        let mut client = Client::connect(&relay).await;
        client.hello("laptop", window).await;
        is_protocol(client.goodbye().await, "window");
    }
    for window in [1, 1024] {
        Client::listen(&relay, window).await;
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_is_sent_away() {
    let relay = Relay::start_with(|config| config.sessions.hello = Duration::from_millis(20)).await;
    let mut client = Client::connect(&relay).await;

    is_protocol(client.goodbye().await, "hello");
}

#[tokio::test]
async fn an_unknown_endpoint_is_named() {
    let relay = Relay::start().await;
    let mut client = Client::connect(&relay).await;

    client.hello("laptop", 1).await;

    let (goodbye, _) = client.goodbye().await;
    assert_eq!(goodbye.reason, Reason::NoEndpoint);
    assert!(goodbye.detail.contains("`line`"), "{}", goodbye.detail);
    assert_eq!(goodbye.reconnect_after_millis, None);
}

#[tokio::test]
async fn a_deleted_endpoint_ends_its_sessions() {
    let relay = Relay::start().await.with_line().await;
    let mut client = Client::listen(&relay, 1).await;

    let deleted = relay
        .call("DELETE", "/v1/endpoints/line", &relay.admin, None)
        .await;

    assert_eq!(deleted.status, 204);
    assert_eq!(client.goodbye().await.0.reason, Reason::NoEndpoint);
}

#[tokio::test]
async fn a_revoked_token_ends_its_sessions_and_opens_no_more() {
    let relay = Relay::start().await.with_line().await;
    let created = relay
        .token(&json!({"name": "laptop", "scopes": ["listen"]}))
        .await;
    let (mut client, _) = Client::listen_as(&relay, &created.token, "laptop", 1).await;

    let path = format!("/v1/tokens/{}", created.view.id);
    let revoked = relay.call("DELETE", &path, &relay.admin, None).await;

    assert_eq!(revoked.status, 204);
    assert_eq!(client.goodbye().await.0.reason, Reason::Unauthorised);
    let refused = Client::try_connect(&relay, &created.token).await;
    assert_eq!(refused.err(), Some(401));
}

#[tokio::test]
async fn a_session_ends_with_the_time_of_its_token() {
    let relay =
        Relay::start_with(|config| config.sessions.ping_every = Duration::from_millis(40)).await;
    let relay = relay.with_line().await;
    let expiry = Timestamp::from(SystemTime::now() + Duration::from_millis(1500));
    let asked = json!({"name": "short", "scopes": ["listen"], "expires_at": expiry});
    let created = relay.token(&asked).await;
    let (mut client, _) = Client::listen_as(&relay, &created.token, "laptop", 1).await;

    let (goodbye, _) = client.goodbye().await;

    assert_eq!(goodbye.reason, Reason::Unauthorised);
    assert!(goodbye.detail.contains("expired"), "{}", goodbye.detail);
}

#[tokio::test]
async fn a_token_without_the_scope_is_refused_before_the_upgrade() {
    let relay = Relay::start().await.with_line().await;
    let created = relay
        .token(&json!({"name": "reader", "scopes": ["read", "write"]}))
        .await;

    let refused = Client::try_connect(&relay, &created.token).await;

    assert_eq!(refused.err(), Some(403));
}

#[tokio::test]
async fn one_session_above_the_bound_is_refused() {
    let relay = Relay::start_with(|config| config.sessions.most_sessions = 1).await;
    let _first = Client::connect(&relay).await;

    let refused = Client::try_connect(&relay, &relay.admin).await;

    assert_eq!(refused.err(), Some(503));
}

#[tokio::test]
async fn a_relay_that_stops_says_when_to_come_back() {
    let relay = Relay::start().await.with_line().await;
    let mut client = Client::listen(&relay, 1).await;
    let mut silent = Client::connect(&relay).await;

    let stopping = relay.running.stop();
    let (drained, (goodbye, code), (to_silent, _)) =
        tokio::join!(stopping, client.goodbye(), silent.goodbye());

    assert_eq!((drained.requests, drained.sessions), (0, 0));
    assert_eq!(
        (goodbye.reason, code),
        (Reason::ShuttingDown, CloseCode::Away)
    );
    assert!(goodbye.reconnect_after_millis.is_some());
    assert_eq!(to_silent.reason, Reason::ShuttingDown);
}

#[tokio::test]
async fn a_silent_client_is_taken_for_gone() {
    let relay = Relay::start_with(|config| {
        config.sessions.ping_every = Duration::from_millis(40);
        config.sessions.silence = Duration::from_millis(100);
    });
    let relay = relay.await.with_line().await;

    // Nobody polls this client, so it answers no ping.
    let _client = Client::listen(&relay, 1).await;

    loop {
        let consumers: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
        if !consumers.consumers[0].is_connected {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn is_protocol((goodbye, code): (Goodbye, CloseCode), named: &str) {
    assert_eq!(
        (goodbye.reason, code),
        (Reason::Protocol, CloseCode::Protocol)
    );
    let detail = goodbye.detail.to_lowercase();
    assert!(detail.contains(named), "{detail} does not name {named}");
}
