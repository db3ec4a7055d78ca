//! What endpoints keep: bounds that take effect beside a live session, gaps, pins.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use towline_server::Config;
use towline_shared::api::{EventDetail, EventList, Retention, Usage};
use towline_shared::id::Seq;
use towline_shared::wire::FromRelay;

use crate::relay::Relay;
use crate::wire::Client;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_new_bound_takes_effect_at_once_and_an_away_consumer_is_told_of_the_gap() {
    let relay = Relay::start().await.with_line().await;
    drop(Client::listen(&relay, 1).await);
    for body in ["0", "1", "2", "3", "4"] {
        relay.post(body).await;
    }

    keep(&relay, json!({"max_events": 2})).await;
    wait_until_holding(&relay, 2).await;
    let mut client = Client::listen(&relay, 1).await;

    let FromRelay::Gap(gap) = client.next().await else {
        panic!("expected a gap");
    };
    assert_eq!((gap.from, gap.to), (Seq(1), Seq(3)));
    assert_eq!(client.event().await.body, "3");
}

#[tokio::test]
async fn events_go_on_to_a_session_whose_endpoint_keeps_one() {
    let relay = Relay::start().await.with_line().await;
    keep(&relay, json!({"max_events": 1})).await;
    let mut client = Client::listen(&relay, 1).await;

    for body in ["0", "1", "2", "3"] {
        relay.post(body).await;
        let event = client.event().await;
        assert_eq!(event.body, body);
        client.settle(&event).await;
        keep(&relay, json!({"max_events": 1})).await;
    }

    wait_until_holding(&relay, 1).await;
}

#[tokio::test]
async fn the_relay_itself_bounds_what_an_endpoint_asks_for() {
    let strict = |config: &mut Config| {
        config.retention = Retention {
            max_events: Some(3),
            ..Retention::default()
        };
    };
    let relay = Relay::start_with(strict).await.with_line().await;
    for body in ["0", "1", "2", "3"] {
        relay.post(body).await;
    }

    let view = keep(&relay, json!({"max_events": 100, "max_age_seconds": 60})).await;

    let bounds = json!({"max_events": 3, "max_age_seconds": 60});
    assert_eq!(view["retention"], bounds);
    wait_until_holding(&relay, 3).await;
}

#[tokio::test]
async fn a_pinned_event_stays_and_goes_with_its_pin() {
    let relay = Relay::start().await.with_line().await;
    let first = relay.post("0").await;
    relay.post("1").await;
    let path = format!("/v1/events/{first}/pin");
    let pinned = relay.call("PUT", &path, &relay.admin, None).await;
    assert_eq!(pinned.status, 204, "{}", pinned.text());

    keep(&relay, json!({"max_events": 1})).await;
    wait_until_holding(&relay, 1).await;
    let event: EventDetail = relay.get(&format!("/v1/events/{first}")).await;
    let unpinned = relay.call("DELETE", &path, &relay.admin, None).await;

    assert!(event.pinned_at.is_some());
    assert_eq!(unpinned.text(), r#"{"is_removed":true}"#);
    let list: EventList = relay.get("/v1/events?endpoint=line").await;
    assert_eq!(list.events.len(), 1);
    let again = relay.call("PUT", &path, &relay.admin, None).await;
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (404, "unknown_event")
    );
}

#[tokio::test]
async fn pins_and_bounds_need_the_scope_write() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    let reader = relay
        .token(&json!({"name": "r", "scopes": ["read", "listen"]}))
        .await;

    for (method, path) in [
        ("PUT", format!("/v1/events/{id}/pin")),
        ("DELETE", format!("/v1/events/{id}/pin")),
        ("PATCH", "/v1/endpoints/line".to_owned()),
    ] {
        let reply = relay
            .call(method, &path, &reader.token, Some(&json!({})))
            .await;
        assert_eq!(reply.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn a_bound_of_zero_is_refused_with_its_name() {
    let relay = Relay::start().await.with_line().await;

    let change = json!({"retention": {"max_bytes": 0}});
    let reply = relay.json("PATCH", "/v1/endpoints/line", &change).await;

    assert_eq!(reply.status, 422);
    assert!(
        reply.text().contains("retention.max_bytes"),
        "{}",
        reply.text()
    );
}

async fn keep(relay: &Relay, retention: Value) -> Value {
    let change = json!({ "retention": retention });
    let reply = relay.json("PATCH", "/v1/endpoints/line", &change).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

async fn wait_until_holding(relay: &Relay, events: u64) {
    let held = async {
        while relay.get::<Usage>("/v1/endpoints/line/usage").await.events != events {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, held).await.expect("retention");
}
