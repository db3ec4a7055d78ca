//! Signed requests that come again: kept, answered as before, delivered once; and the use of secrets as the interface
//! shows it.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use towline_shared::api::{EndpointView, EventList, EventSummary};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verify::{Provider, Settings, Unsigned};

use crate::relay::{Relay, Reply};
use crate::wire::Client;

const SALT: &str = "the salt";

/// The endpoint `line` of a provider, with one secret.
async fn line(relay: &Relay, provider: &str, more: serde_json::Value) {
    let mut asked = json!({
        "name": "line", "provider": provider, "secrets": [{"name": "live", "secret": SALT}],
    });
    asked
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let made = relay.json("POST", "/v1/endpoints", &asked).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

/// HMAC-SHA256 of a body, as GitHub signs it.
fn mac(secret: &str, body: &str) -> Vec<u8> {
    let unsigned = Unsigned {
        method: "POST",
        url: "https://hooks.example.com/",
        fields: &[],
        body: body.as_bytes(),
    };
    let settings = Settings {
        secrets: &[("live".parse().unwrap(), Secret::new(secret))],
        parameters: &BTreeMap::new(),
        variant: Some("sha256"),
        now: Timestamp::default(),
        fetched: &BTreeMap::new(),
    };
    let github = Provider::builtin("github").unwrap();
    let fields = github.sign(&unsigned, &settings).unwrap();
    let (_, hex) = fields[0].1.split_once('=').unwrap();
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

async fn send(relay: &Relay, fields: &[(&str, &str)], body: &str) -> Reply {
    send_below(relay, "", fields, body).await
}

/// A request to the endpoint's URL with a suffix.
async fn send_below(relay: &Relay, suffix: &str, fields: &[(&str, &str)], body: &str) -> Reply {
    let line: EndpointView = relay.get("/v1/endpoints/line").await;
    let path = line.url.strip_prefix(relay.running.public_url()).unwrap();
    let path = format!("{path}{suffix}");
    let request = fields
        .iter()
        .fold(Request::post(path), |request, (name, value)| {
            request.header(*name, *value)
        });
    relay
        .send(request.body(Full::new(body.to_owned().into())).unwrap())
        .await
}

/// A request of Benji, dated so many seconds ago.
async fn send_benji(relay: &Relay, signature: &str, age: u64, body: &str) -> Reply {
    let now = Timestamp::from(std::time::SystemTime::now()).as_seconds();
    let date = (now.cast_unsigned() - age).to_string();
    let fields = [
        ("x-benji-signature", signature),
        ("x-webhook-datetime", &date),
    ];
    send(relay, &fields, body).await
}

async fn send_github(relay: &Relay, secret: &str, id: &str, body: &str) -> Reply {
    let signature = format!("sha256={}", HEXLOWER.encode(&mac(secret, body)));
    let fields = [
        ("X-Hub-Signature-256", &*signature),
        ("X-GitHub-Delivery", id),
    ];
    send(relay, &fields, body).await
}

/// The kept events, oldest first.
async fn events(relay: &Relay) -> Vec<EventSummary> {
    let mut list: EventList = relay.get("/v1/events?endpoint=line").await;
    list.events.reverse();
    list.events
}

#[tokio::test]
async fn a_captured_benji_request_with_a_fresh_date_is_kept_answered_and_not_delivered() {
    let relay = Relay::start().await;
    let ack = json!({"ack": {"status": 202, "body": "thanks", "headers": [["X-Ack", "yes"]]}});
    line(&relay, "benji", ack).await;
    let mut client = Client::listen(&relay, 8).await;
    let body = r#"{"event":"user.created"}"#;
    let mac = mac(SALT, body);

    let first = send_benji(&relay, &HEXLOWER.encode(&mac), 200, body).await;
    let fresh = send_benji(&relay, &HEXUPPER.encode(&mac), 0, body).await;
    let base64 = send_benji(&relay, &BASE64.encode(&mac), 1, body).await;
    let end = r#"{"event":"end"}"#;
    send_benji(&relay, &HEXLOWER.encode(&self::mac(SALT, end)), 0, end).await;

    for reply in [&fresh, &base64] {
        assert_eq!((reply.status, &reply.body), (first.status, &first.body));
        assert_eq!(reply.headers["x-ack"], "yes");
    }
    let kept = events(&relay).await;
    let first = kept[0].info.id;
    let marks: Vec<_> = kept.iter().map(|event| event.info.duplicate_of).collect();
    assert_eq!(marks, [None, Some(first), Some(first), None]);
    assert!(kept[1].info.verdict == kept[0].info.verdict, "{kept:?}");
    for expected in [body, end] {
        let event = client.event().await;
        assert_eq!(event.body, expected);
        client.settle(&event).await;
    }
}

#[tokio::test]
async fn of_fifty_equal_requests_at_once_one_is_delivered() {
    let relay = &Relay::start().await;
    line(relay, "github", json!({})).await;

    let replies = (0..50).map(|_| send_github(relay, SALT, "72d3162e", "{}"));
    let replies = join_all(replies).await;

    assert!(replies.iter().all(|reply| reply.status == 200));
    let kept = events(relay).await;
    let delivered: Vec<_> = kept
        .iter()
        .filter(|event| event.info.is_deliverable)
        .collect();
    assert_eq!((kept.len(), delivered.len()), (50, 1));
    assert!(
        kept.iter()
            .all(|event| event.info.delivery_id.as_deref() == Some("72d3162e"))
    );
}

#[tokio::test]
async fn a_repeat_is_known_after_a_restart() {
    let relay = Relay::start().await;
    line(&relay, "github", json!({})).await;
    send_github(&relay, SALT, "1", "{}").await;

    let relay = relay.restarted().await;
    send_github(&relay, SALT, "1", "{}").await;

    let kept = events(&relay).await;
    assert_eq!(kept[1].info.duplicate_of, Some(kept[0].info.id));
    assert!(!kept[1].info.is_deliverable);
}

#[tokio::test]
async fn duplicates_are_delivered_where_that_is_asked_for() {
    let relay = Relay::start().await;
    line(&relay, "github", json!({"deliver_duplicates": true})).await;
    send_github(&relay, SALT, "1", "{}").await;
    send_github(&relay, SALT, "1", "{}").await;
    let change = json!({"deliver_duplicates": false});
    let changed = relay.json("PATCH", "/v1/endpoints/line", &change).await;
    send_github(&relay, SALT, "1", "{}").await;

    let view: EndpointView = serde_json::from_slice(&changed.body).unwrap();
    assert!(!view.deliver_duplicates);
    let kept = events(&relay).await;
    let delivered: Vec<_> = kept.iter().map(|event| event.info.is_deliverable).collect();
    assert_eq!(delivered, [true, true, false]);
    let first = Some(kept[0].info.id);
    assert_eq!(
        (kept[1].info.duplicate_of, kept[2].info.duplicate_of),
        (first, first)
    );
}

#[tokio::test]
async fn a_rejected_request_is_not_remembered_and_a_credential_marks_nothing() {
    let relay = Relay::start().await;
    line(&relay, "github", json!({})).await;
    let wrong = format!("sha256={}", "0".repeat(64));
    let rejected = send(&relay, &[("X-Hub-Signature-256", &wrong)], "{}").await;
    send_github(&relay, SALT, "1", "{}").await;
    let kept = events(&relay).await;
    assert_eq!(
        (rejected.status.as_u16(), kept[1].info.is_deliverable),
        (401, true)
    );

    let telegram = json!({"provider": "telegram"});
    relay.json("PATCH", "/v1/endpoints/line", &telegram).await;
    for _ in 0..2 {
        let token = [("X-Telegram-Bot-Api-Secret-Token", SALT)];
        assert_eq!(send(&relay, &token, "{}").await.status, 200);
    }

    let kept = events(&relay).await;
    assert!(
        kept.iter().all(|event| event.info.duplicate_of.is_none()),
        "{kept:?}"
    );
}

#[tokio::test]
async fn the_use_of_each_secret_is_shown_and_outlives_a_restart() {
    let relay = Relay::start().await;
    line(&relay, "github", json!({})).await;
    let put = json!({"secret": "the next"});
    let put = relay
        .json("PUT", "/v1/endpoints/line/secrets/next", &put)
        .await;
    assert_eq!(put.status, 200);

    for number in 0..3 {
        send_github(&relay, SALT, "1", &number.to_string()).await;
    }
    send_github(&relay, "another", "1", "{}").await;
    let relay = relay.restarted().await;
    let line: EndpointView = relay.get("/v1/endpoints/line").await;

    let live = line
        .secrets
        .iter()
        .find(|secret| secret.name.as_str() == "live")
        .unwrap();
    let next = line
        .secrets
        .iter()
        .find(|secret| secret.name.as_str() == "next")
        .unwrap();
    let kept = events(&relay).await;
    assert_eq!(
        (live.uses, live.last_used_at),
        (3, Some(kept[2].info.received_at))
    );
    assert_eq!((next.uses, next.last_used_at), (0, None));
}

/// A request of Shopify with this topic and id, below the endpoint's URL.
async fn send_shopify(relay: &Relay, topic: &str, id: &str, body: &str) -> Reply {
    let signature = BASE64.encode(&mac(SALT, body));
    let fields = [
        ("X-Shopify-Hmac-Sha256", &*signature),
        ("X-Shopify-Topic", topic),
        ("X-Shopify-Webhook-Id", id),
    ];
    send(relay, &fields, body).await
}

/// Which of the kept events consumers get, and which are marked as repeats of the first.
async fn fates(relay: &Relay) -> Vec<(bool, bool)> {
    let kept = events(relay).await;
    let first = Some(kept[0].info.id);
    let fate = |event: &EventSummary| {
        let duplicate_of = event.info.duplicate_of;
        assert!(duplicate_of.is_none() || duplicate_of == first, "{event:?}");
        (event.info.is_deliverable, duplicate_of.is_some())
    };
    kept.iter().map(fate).collect()
}

const FIRST: (bool, bool) = (true, false);
const DELIVERED: (bool, bool) = (true, true);
const HELD: (bool, bool) = (false, true);

#[tokio::test]
async fn equal_bodies_with_other_topics_or_ids_are_delivered_and_their_retries_held() {
    let relay = Relay::start().await;
    line(&relay, "shopify", json!({})).await;

    send_shopify(&relay, "orders/create", "1", "{}").await;
    send_shopify(&relay, "orders/paid", "1", "{}").await;
    send_shopify(&relay, "orders/paid", "2", "{}").await;
    for (topic, id) in [
        ("orders/create", "1"),
        ("orders/paid", "1"),
        ("orders/paid", "2"),
    ] {
        send_shopify(&relay, topic, id, "{}").await;
    }
    let relay = relay.restarted().await;
    send_shopify(&relay, "orders/paid", "2", "{}").await;
    send_shopify(&relay, "orders/paid", "3", "{}").await;

    let expected = [
        FIRST, DELIVERED, DELIVERED, HELD, HELD, HELD, HELD, DELIVERED,
    ];
    assert_eq!(fates(&relay).await, expected);
}

#[tokio::test]
async fn a_copy_with_other_unsigned_parts_does_not_hold_back_the_providers_own() {
    let relay = Relay::start().await;
    line(&relay, "github", json!({})).await;
    let signature = format!("sha256={}", HEXLOWER.encode(&mac(SALT, "{}")));
    let copy = [
        ("X-Hub-Signature-256", &*signature),
        ("X-GitHub-Event", "ping"),
        ("X-GitHub-Delivery", "1"),
    ];
    send_below(&relay, "", &copy[..2], "{}").await;
    send_below(&relay, "/x", &copy, "{}").await;

    let own = [copy[0], ("X-GitHub-Event", "push"), copy[2]];
    send(&relay, &own, "{}").await;
    send(&relay, &own, "{}").await;
    send_below(&relay, "", &[copy[0]], "{}").await;

    let expected = [FIRST, DELIVERED, DELIVERED, HELD, HELD];
    assert_eq!(fates(&relay).await, expected);
}

#[tokio::test]
async fn another_path_tells_apart_only_beside_a_delivery_id() {
    let relay = Relay::start().await;
    line(&relay, "github", json!({})).await;
    let signature = format!("sha256={}", HEXLOWER.encode(&mac(SALT, "{}")));
    let own = [
        ("X-Hub-Signature-256", &*signature),
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "1"),
    ];
    send_below(&relay, "/x", &own, "{}").await;
    send(&relay, &own, "{}").await;
    assert_eq!(fates(&relay).await, [FIRST, DELIVERED]);

    let relay = Relay::start().await;
    line(&relay, "benji", json!({})).await;
    let body = r#"{"event":"user.created"}"#;
    let signature = HEXLOWER.encode(&mac(SALT, body));
    let now = Timestamp::from(std::time::SystemTime::now()).as_seconds();
    let fields = [
        ("x-benji-signature", &*signature),
        ("x-webhook-datetime", &now.to_string()),
    ];
    send(&relay, &fields, body).await;
    send_below(&relay, "/x", &fields, body).await;
    assert_eq!(fates(&relay).await, [FIRST, HELD]);
}

#[tokio::test]
async fn a_provider_that_only_says_that_something_has_changed_is_delivered_each_time() {
    let relay = Relay::start().await;
    line(&relay, "dropbox", json!({})).await;
    let signature = HEXLOWER.encode(&mac(SALT, "{}"));

    for _ in 0..3 {
        send(&relay, &[("X-Dropbox-Signature", &*signature)], "{}").await;
    }

    assert_eq!(fates(&relay).await, [FIRST, DELIVERED, DELIVERED]);
}

#[tokio::test]
async fn the_retry_of_an_event_that_is_deleted_is_an_event_again() {
    let relay = Relay::start().await;
    line(&relay, "github", json!({})).await;
    send_github(&relay, SALT, "1", "{}").await;
    let deleted = relay
        .json("DELETE", "/v1/endpoints/line/events?through=1", &json!({}))
        .await;
    assert!(deleted.status.is_success(), "{}", deleted.text());

    send_github(&relay, SALT, "1", "{}").await;
    send_github(&relay, SALT, "1", "{}").await;

    assert_eq!(fates(&relay).await, [FIRST, HELD]);
}

#[tokio::test]
async fn a_sender_never_learns_that_the_secret_is_another_endpoints_and_the_owner_does() {
    let relay = Relay::start().await;
    line(&relay, "github", json!({"on_failure": "reject"})).await;
    let billing = json!({
        "name": "billing", "provider": "github", "secrets": [{"name": "live", "secret": "theirs"}],
    });
    assert_eq!(
        relay.json("POST", "/v1/endpoints", &billing).await.status,
        201
    );

    let theirs = send_github(&relay, "theirs", "1", "{}").await;
    let nobodys = send_github(&relay, "nobody's", "2", "{}").await;

    let seen = |reply: &Reply| {
        let mut headers = reply.headers.clone();
        headers.remove("date");
        (reply.status, headers, reply.body.clone())
    };
    assert_eq!(theirs.status, 401);
    assert_eq!(seen(&theirs), seen(&nobodys));
    let list: EventList = relay.get("/v1/events?endpoint=line&rejected=true").await;
    let told = format!("{list:?}");
    assert!(told.contains("`billing/live`"), "{told}");
    assert!(!theirs.text().contains("billing"));
}
