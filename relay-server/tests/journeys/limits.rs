//! What endpoints take in: 429 with a time, heads of what nobody sends again, floods of rejected requests.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use towline_server::Config;
use towline_shared::api::{EndpointLimits, EndpointView, EventList, Usage};
use towline_shared::verdict::{Cause, Verdict};

use crate::relay::{Relay, Reply};

#[tokio::test]
async fn beyond_its_events_a_second_an_endpoint_says_when_to_come_again() {
    let relay = Relay::start().await;
    make(&relay, json!({"limits": {"events_per_second": 1}})).await;
    for _ in 0..2 {
        assert_eq!(post(&relay, "x", &[]).await.status, 200);
    }

    let over = post(&relay, "x", &[]).await;

    assert_eq!(
        (over.status.as_u16(), over.code().as_str()),
        (429, "over_limit")
    );
    assert_eq!(over.headers["retry-after"], "1");
    assert!(over.text().contains("1 events a second"), "{}", over.text());
    let list: EventList = relay.get("/v1/events?endpoint=line").await;
    assert_eq!(list.events.len(), 2);
}

#[tokio::test]
async fn a_limited_endpoint_leaves_another_alone() {
    let relay = Relay::start().await.with_line().await;
    let noisy = json!({"name": "noisy", "limits": {"bytes_per_second": 1}});
    let made = relay.json("POST", "/v1/endpoints", &noisy).await;
    let noisy: EndpointView = serde_json::from_slice(&made.body).unwrap();
    let path = noisy.url.strip_prefix(relay.running.public_url()).unwrap();
    let send = async || {
        let body = Full::new(Bytes::from_static(b"longer than that"));
        relay.send(Request::post(path).body(body).unwrap()).await
    };
    assert_eq!(send().await.status, 200);
    assert_eq!(send().await.status, 429);

    relay.post("x").await;
}

#[tokio::test]
async fn the_head_is_kept_of_what_nobody_sends_again() {
    let relay = Relay::start().await;
    make(
        &relay,
        json!({"provider": "github", "limits": {"events_per_second": 1}}),
    )
    .await;
    let fields = [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "d1")];
    for _ in 0..2 {
        post(&relay, "{}", &fields).await;
    }

    let over = post(&relay, "{}", &fields).await;

    assert_eq!(over.status, 429);
    let list: EventList = relay.get("/v1/events?endpoint=line&rejected=true").await;
    let [event] = &list.events[..] else {
        panic!("expected one rejected event: {list:?}");
    };
    let Verdict::Failed(failure) = &event.info.verdict else {
        panic!("expected a failed verdict: {event:?}");
    };
    assert_eq!(failure.cause, Cause::OverLimit);
    assert_eq!(event.info.event_type.as_deref(), Some("push"));
    assert_eq!(
        (event.info.body_length, event.info.is_deliverable),
        (0, false)
    );
}

#[tokio::test]
async fn a_flood_of_rejected_requests_is_answered_and_not_kept() {
    let relay = Relay::start().await;
    let secrets = json!([{"name": "live", "secret": "s"}]);
    let limits = json!({"rejected_per_minute": 2});
    make(
        &relay,
        json!({"provider": "github", "secrets": secrets, "limits": limits}),
    )
    .await;

    let mut answers = Vec::new();
    for _ in 0..4 {
        let reply = post(&relay, "{}", &[("X-Hub-Signature-256", "sha256=00")]).await;
        assert_eq!(reply.status, 401);
        answers.push(reply.body);
    }

    assert!(answers.windows(2).all(|two| two[0] == two[1]));
    let list: EventList = relay.get("/v1/events?endpoint=line").await;
    assert_eq!(list.events.len(), 2);
    let usage: Usage = relay.get("/v1/endpoints/line/usage").await;
    assert_eq!(usage.rejected_not_kept, 2);
}

#[tokio::test]
async fn a_change_of_something_else_does_not_fill_the_meters_again() {
    let relay = Relay::start().await;
    make(&relay, json!({"limits": {"events_per_second": 1}})).await;
    for _ in 0..2 {
        post(&relay, "x", &[]).await;
    }

    let change = json!({"max_body": 500});
    relay.json("PATCH", "/v1/endpoints/line", &change).await;
    let still = post(&relay, "x", &[]).await.status;
    let change = json!({"limits": {}});
    relay.json("PATCH", "/v1/endpoints/line", &change).await;

    assert_eq!(still, 429);
    assert_eq!(post(&relay, "x", &[]).await.status, 200);
}

#[tokio::test]
async fn the_relay_itself_limits_what_an_endpoint_asks_for() {
    let strict = |config: &mut Config| {
        config.endpoint_limits = EndpointLimits {
            events_per_second: Some(1),
            ..EndpointLimits::default()
        };
    };
    let relay = Relay::start_with(strict).await;

    let view = make(&relay, json!({"limits": {"events_per_second": 1000}})).await;

    assert_eq!(view.limits.events_per_second, Some(1));
    for status in [200, 200, 429] {
        assert_eq!(post(&relay, "x", &[]).await.status, status);
    }
}

async fn make(relay: &Relay, mut settings: Value) -> EndpointView {
    settings["name"] = "line".into();
    let made = relay.json("POST", "/v1/endpoints", &settings).await;
    assert_eq!(made.status, 201, "{}", made.text());
    serde_json::from_slice(&made.body).unwrap()
}

async fn post(relay: &Relay, body: &'static str, fields: &[(&str, &str)]) -> Reply {
    let line: EndpointView = relay.get("/v1/endpoints/line").await;
    let path = line.url.strip_prefix(relay.running.public_url()).unwrap();
    let mut request = Request::post(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from_static(body.as_bytes())));
    relay.send(request.unwrap()).await
}
