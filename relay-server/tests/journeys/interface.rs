//! The JSON interface: what it makes, what it shows, and how it refuses.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use towline_shared::api::{
    ConsumerList, EndpointView, EventDetail, EventList, Replays, TokenList, WhoAmI,
};
use towline_shared::id::Seq;
use towline_shared::outcome::Delivery;
use towline_shared::wire::FromClient;

use crate::relay::{Relay, Reply};
use crate::wire::{Client, report};

#[tokio::test]
async fn a_token_learns_who_it_is() {
    let relay = Relay::start().await;

    let who: WhoAmI = relay.get("/v1/whoami").await;

    assert_eq!(who.scopes, ["admin"]);
    assert_eq!(who.public_url, relay.running.public_url());
    assert!(who.relay.starts_with("towline/"));
}

#[tokio::test]
async fn an_endpoint_is_made_changed_and_deleted() {
    let relay = Relay::start().await;
    let asked = json!({"name": "gh", "provider": "github", "secrets": [{"name": "live", "secret": "s3cr3t"}]});
    let made = relay.json("POST", "/v1/endpoints", &asked).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.headers["cache-control"], "no-store");

    let change = json!({"on_failure": "deliver", "max_body": 1000, "provider": null});
    let changed = relay.json("PATCH", "/v1/endpoints/gh", &change).await;
    let view: EndpointView = serde_json::from_slice(&changed.body).unwrap();
    assert_eq!((view.provider, view.max_body), (None, 1000));
    assert_eq!(view.secrets.len(), 1);

    let deleted = relay
        .call("DELETE", "/v1/endpoints/gh", &relay.admin, None)
        .await;
    assert_eq!(deleted.status, 204);
    let gone = relay
        .call("GET", "/v1/endpoints/gh", &relay.admin, None)
        .await;
    assert_eq!(
        (gone.status.as_u16(), gone.code().as_str()),
        (404, "unknown_endpoint")
    );
}

#[tokio::test]
async fn secrets_are_put_replaced_and_removed_and_never_come_back() {
    let relay = &Relay::start().await.with_line().await;
    let path = "/v1/endpoints/line/secrets/live";
    let put = |body: Value| async move { relay.json("PUT", path, &body).await };

    let first = put(json!({"secret": "hush-hush"})).await;
    let again = put(json!({"secret": "hush-again"})).await;
    let replaced = put(json!({"secret": "hush-again", "replace": true})).await;
    let all = relay.call("GET", "/v1/endpoints", &relay.admin, None).await;
    let removed = relay.call("DELETE", path, &relay.admin, None).await;
    let missing = relay.call("DELETE", path, &relay.admin, None).await;

    assert_eq!(
        (first.status.as_u16(), replaced.status.as_u16()),
        (200, 200)
    );
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (409, "secret_exists")
    );
    assert_eq!(removed.status, 200);
    assert_eq!(
        (missing.status.as_u16(), missing.code().as_str()),
        (404, "unknown_secret")
    );
    for reply in [first, again, replaced, all, removed] {
        assert!(!reply.text().contains("hush"), "{}", reply.text());
    }
}

#[tokio::test]
async fn the_last_secret_stays_while_a_provider_is_checked_with_it() {
    let relay = &Relay::start().await;
    let asked =
        json!({"name": "gh", "provider": "github", "secrets": [{"name": "old", "secret": "a"}]});
    relay.json("POST", "/v1/endpoints", &asked).await;
    let path = |secret: &str| format!("/v1/endpoints/gh/secrets/{secret}");
    let remove = |secret: &'static str| async move {
        let path = path(secret);
        relay.call("DELETE", &path, &relay.admin, None).await
    };

    let last = remove("old").await;
    let unknown = remove("none").await;
    relay
        .json("PUT", &path("new"), &json!({"secret": "b"}))
        .await;
    let one_of_two = remove("old").await;
    let last_again = remove("new").await;
    let clear = json!({"provider": null});
    relay.json("PATCH", "/v1/endpoints/gh", &clear).await;
    let without_provider = remove("new").await;

    assert_eq!(
        (last.status.as_u16(), last_again.status.as_u16()),
        (422, 422)
    );
    assert!(
        last.text().contains("set another secret first"),
        "{}",
        last.text()
    );
    assert_eq!(unknown.status, 404);
    assert_eq!(one_of_two.status, 200, "{}", one_of_two.text());
    assert_eq!(without_provider.status, 200, "{}", without_provider.text());
}

#[tokio::test]
async fn mistakes_in_an_endpoint_are_named() {
    let relay = Relay::start().await.with_line().await;
    for (asked, status, named) in [
        (json!({"name": "line"}), 409, "`line`"),
        (json!({"name": "No Slug"}), 422, "endpoint name"),
        (json!({"name": "a", "color": "red"}), 422, "color"),
        (json!({"name": "a", "provider": "nobody"}), 422, "`nobody`"),
        (
            json!({"name": "a", "provider": "github", "variant": "x"}),
            422,
            "`variant`",
        ),
        (
            json!({"name": "a", "provider": "mine", "own_scheme": "[mine"}),
            422,
            "`own_scheme`",
        ),
        (
            json!({"name": "a", "own_scheme": "[mine]"}),
            422,
            "`own_scheme`",
        ),
        (
            json!({"name": "a", "ack": {"status": 301}}),
            422,
            "`ack.status`",
        ),
        (
            json!({"name": "a", "ack": {"status": 200, "headers": [["A", "b\r\nC: d"]]}}),
            422,
            "`ack.headers`",
        ),
        (
            json!({"name": "a", "max_body": 999_999_999_999_u64}),
            422,
            "`max_body`",
        ),
        (
            json!({"name": "a", "secrets": [{"name": "s", "secret": ""}]}),
            422,
            "`secret`",
        ),
    ] {
        let reply = relay.json("POST", "/v1/endpoints", &asked).await;

        assert_eq!(reply.status, status, "{asked}: {}", reply.text());
        reply.code();
        assert!(reply.text().contains(named), "{asked}: {}", reply.text());
    }
    let all = relay.get::<Value>("/v1/endpoints").await;
    assert_eq!(all["endpoints"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_that_would_leave_an_endpoint_unchecked_is_refused() {
    let relay = Relay::start().await;
    let asked = json!({"name": "gh", "provider": "github"});
    relay.json("POST", "/v1/endpoints", &asked).await;

    let refused = relay
        .json("PATCH", "/v1/endpoints/gh", &json!({"provider": "githup"}))
        .await;

    assert_eq!(refused.status, 422, "{}", refused.text());
    let view: EndpointView = relay.get("/v1/endpoints/gh").await;
    assert_eq!(view.provider.as_deref(), Some("github"));
}

#[tokio::test]
async fn requests_that_are_not_of_the_interface_are_problems() {
    let relay = Relay::start().await.with_line().await;
    let bearer = format!("Bearer {}", relay.admin);
    let request = |method: &str, path: &str, kind: &str, body: Vec<u8>| {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("authorization", &bearer)
            .header("content-type", kind);
        request.body(Full::new(Bytes::from(body))).unwrap()
    };
    let json_kind = "application/json";
    for (asked, status, code) in [
        (
            request("GET", "/v1/nothing", json_kind, vec![]),
            404,
            "unknown_path",
        ),
        (request("GET", "/", json_kind, vec![]), 404, "unknown_path"),
        (
            request("PUT", "/v1/endpoints", json_kind, vec![]),
            405,
            "method_not_allowed",
        ),
        (
            request("POST", "/v1/endpoints", "text/plain", b"{}".to_vec()),
            415,
            "unsupported_media_type",
        ),
        (
            request("POST", "/v1/endpoints", json_kind, b"{".to_vec()),
            400,
            "malformed_request",
        ),
        (
            request(
                "POST",
                "/v1/endpoints",
                json_kind,
                vec![b' '; 1024 * 1024 + 1],
            ),
            413,
            "body_too_large",
        ),
        (
            request("GET", "/v1/events/evt_short", json_kind, vec![]),
            400,
            "malformed_request",
        ),
        (
            request("GET", "/v1/events?limit=0", json_kind, vec![]),
            422,
            "invalid_field",
        ),
        (
            request("GET", "/v1/events?limit=1001", json_kind, vec![]),
            422,
            "invalid_field",
        ),
        (
            request("GET", "/v1/events?limit=x", json_kind, vec![]),
            400,
            "malformed_request",
        ),
        (
            request("GET", "/v1/events?color=red", json_kind, vec![]),
            400,
            "malformed_request",
        ),
        (
            request("GET", "/v1/events?endpoint=none", json_kind, vec![]),
            404,
            "unknown_endpoint",
        ),
        (
            request(
                "GET",
                "/v1/events/evt_00000000000000000000000000",
                json_kind,
                vec![],
            ),
            404,
            "unknown_event",
        ),
        (
            request("GET", "/v1/endpoints/%ff", json_kind, vec![]),
            400,
            "malformed_request",
        ),
    ] {
        let what = format!("{} {}", asked.method(), asked.uri());
        let reply = relay.send(asked).await;

        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_eq!(reply.code(), code, "{what}");
    }
    let reply = relay
        .send(request("PUT", "/v1/endpoints", json_kind, vec![]))
        .await;
    assert!(reply.headers.contains_key("allow"), "{:?}", reply.headers);
}

#[tokio::test]
async fn tokens_do_what_their_scopes_say_until_they_are_revoked() {
    let relay = Relay::start().await.with_line().await;
    let created = relay
        .token(&json!({"name": "reader", "scopes": ["read"]}))
        .await;
    let get = |path: &'static str| relay.call("GET", path, &created.token, None);
    assert!(created.token.starts_with("twl_"));

    assert_eq!(get("/v1/endpoints").await.status, 200);
    let forbidden = get("/v1/tokens").await;
    assert_eq!(
        (forbidden.status.as_u16(), forbidden.code().as_str()),
        (403, "missing_scope")
    );
    assert!(forbidden.text().contains(r#""missing_scope":"admin""#));
    let path = format!("/v1/tokens/{}", created.view.id);
    relay.call("DELETE", &path, &relay.admin, None).await;

    let refused = get("/v1/endpoints").await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (401, "unauthorised")
    );
    assert!(refused.headers.contains_key("www-authenticate"));
    let list: TokenList = relay.get("/v1/tokens").await;
    let listed = list
        .tokens
        .iter()
        .find(|it| it.id == created.view.id)
        .unwrap();
    assert!(listed.revoked_at.is_some());
}

#[tokio::test]
async fn mistakes_in_a_token_are_named() {
    let relay = Relay::start().await;
    for (asked, named) in [
        (json!({"name": "", "scopes": ["read"]}), "`name`"),
        (json!({"name": "a", "scopes": []}), "`scopes`"),
        (json!({"name": "a", "scopes": ["root"]}), "`root`"),
        (
            json!({"name": "a", "scopes": ["read"], "expires_at": 1}),
            "`expires_at`",
        ),
    ] {
        let reply = relay.json("POST", "/v1/tokens", &asked).await;

        assert_eq!(reply.status, 422, "{}", reply.text());
        assert!(reply.text().contains(named), "{}", reply.text());
    }
}

#[tokio::test]
async fn events_are_listed_page_by_page_newest_first() {
    let relay = Relay::start().await.with_line().await;
    for number in 0..5 {
        relay.post(number.to_string()).await;
    }

    let first: EventList = relay.get("/v1/events?endpoint=line&limit=3").await;
    let before = first.next.unwrap();
    let second: EventList = relay
        .get(&format!("/v1/events?limit=3&before={before}"))
        .await;
    let whole: EventList = relay.get("/v1/events?limit=5").await;

    let seqs = |list: &EventList| {
        list.events
            .iter()
            .map(|it| it.info.seq.0)
            .collect::<Vec<_>>()
    };
    assert_eq!((seqs(&first), seqs(&second)), (vec![5, 4, 3], vec![2, 1]));
    assert_eq!((second.next, whole.next), (None, None));
    assert_eq!(first.events[0].method, "POST");
    assert!(first.events[0].target.starts_with("/in/"));
}

#[tokio::test]
async fn an_event_shows_its_bytes_and_its_attempts() {
    let relay = Relay::start().await.with_line().await;
    for body in [Bytes::from_static(b"small"), vec![7; 200_000].into()] {
        let id = relay.post(body.clone()).await;
        let detail: EventDetail = relay.get(&format!("/v1/events/{id}")).await;
        let path = format!("/v1/events/{id}/raw");
        let raw = relay.call("GET", &path, &relay.admin, None).await;
        let path = format!("/v1/events/{id}/body");
        let only_body = relay.call("GET", &path, &relay.admin, None).await;

        assert_eq!(detail.body_sha256, HEXLOWER.encode(&Sha256::digest(&body)));
        assert_eq!(only_body.body, body);
        let head = data_encoding::BASE64
            .decode(detail.head_base64.as_bytes())
            .unwrap();
        assert_eq!(raw.body, [&head[..], &body].concat());
        assert_eq!(raw.headers["content-length"], raw.body.len().to_string());
        assert_eq!(raw.headers["x-content-type-options"], "nosniff");
    }
    let mut client = Client::listen(&relay, 1).await;
    let event = client.event().await;
    client.settle(&event).await;

    let detail: EventDetail = relay
        .get(&format!("/v1/events/{}", event.header.event.id))
        .await;
    assert_eq!(detail.attempts.len(), 1);
    assert_eq!(detail.attempts[0].consumer.as_str(), "laptop");
    assert_eq!(detail.summary.latest_attempt.unwrap().number, 1);
}

#[tokio::test]
async fn an_attempt_made_by_hand_is_kept_with_the_name_of_its_token() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    let other = relay.post("1").await;
    let delivery = Delivery {
        seq: Seq(1),
        replay: None,
    };
    let frame = FromClient::Outcome(Box::new(report(id, delivery, 1, true))).encode();
    let send = |path: String, body: Bytes| {
        let request =
            Request::post(path).header("authorization", format!("Bearer {}", relay.admin));
        relay.send(request.body(Full::new(body)).unwrap())
    };

    let kept = send(format!("/v1/events/{id}/attempts"), frame.clone()).await;
    let elsewhere = send(format!("/v1/events/{other}/attempts"), frame).await;
    let nonsense = send(
        format!("/v1/events/{id}/attempts"),
        Bytes::from_static(b"?"),
    )
    .await;

    assert_eq!(kept.status, 200, "{}", kept.text());
    assert_eq!(kept.text(), "{\"findings\":[]}");
    assert_eq!(
        (elsewhere.status.as_u16(), nonsense.status.as_u16()),
        (422, 400)
    );
    let detail: EventDetail = relay.get(&format!("/v1/events/{id}")).await;
    assert_eq!(detail.attempts[0].consumer.as_str(), "admin");
}

#[tokio::test]
async fn replays_are_refused_as_a_whole() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    let unknown = "evt_00000000000000000000000000";
    let too_many = vec![id.to_string(); 1001];
    let (relay, path) = (&relay, "/v1/replays");
    let ask = |body: Value| async move { relay.json("POST", path, &body).await };

    let without_consumer = ask(json!({"events": [id]})).await;
    drop(Client::listen(relay, 1).await);
    for (asked, status) in [
        (json!({"events": []}), 422),
        (json!({"events": too_many}), 422),
        (json!({"events": [id, unknown]}), 404),
        (json!({"events": [id], "consumer": "nobody"}), 404),
    ] {
        assert_eq!(ask(asked.clone()).await.status, status, "{asked}");
    }

    assert_eq!(without_consumer.status, 422);
    let mut client = Client::listen(relay, 1).await;
    assert_eq!(client.event().await.header.delivery.replay, None);
}

#[tokio::test]
async fn a_replay_goes_to_who_is_connected_or_to_who_is_named() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    for name in ["old", "laptop"] {
        let (client, _) = Client::listen_as(&relay, &relay.admin, name, 1).await;
        client.leave(&relay, name).await;
    }

    let nobody = ask_replays(&relay, json!({"events": [id]})).await;
    let named = ask_replays(&relay, json!({"events": [id], "consumer": "old"})).await;
    let _client = Client::listen(&relay, 1).await;
    let connected = ask_replays(&relay, json!({"events": [id]})).await;

    assert_eq!(
        (nobody.status.as_u16(), nobody.code().as_str()),
        (409, "no_consumer_connected")
    );
    assert!(
        nobody.text().contains("`laptop`, `old`"),
        "{}",
        nobody.text()
    );
    for (asked, consumer) in [(named, "old"), (connected, "laptop")] {
        let replays: Replays = serde_json::from_slice(&asked.body).unwrap();
        let names: Vec<_> = replays
            .replays
            .iter()
            .map(|it| it.consumer.as_str())
            .collect();
        assert_eq!(names, [consumer]);
    }
}

#[tokio::test]
async fn no_more_replays_wait_for_a_consumer_than_there_is_room_for() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    let _client = Client::listen(&relay, 1).await;
    for _ in 0..9 {
        let full = json!({"events": vec![id; 1000], "consumer": "laptop"});
        assert_eq!(ask_replays(&relay, full).await.status, 201);
    }

    let all_but_one = json!({"events": vec![id; 999], "consumer": "laptop"});
    let two = json!({"events": [id, id], "consumer": "laptop"});
    let one = json!({"events": [id], "consumer": "laptop"});

    assert_eq!(ask_replays(&relay, all_but_one).await.status, 201);
    let refused = ask_replays(&relay, two).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (409, "too_many_replays")
    );
    assert_eq!(ask_replays(&relay, one).await.status, 201);
}

#[tokio::test]
async fn a_consumer_is_deleted_when_it_is_away() {
    let relay = Relay::start().await.with_line().await;
    let id = relay.post("0").await;
    let client = Client::listen(&relay, 1).await;
    let path = "/v1/endpoints/line/consumers/laptop";
    let delete = || relay.call("DELETE", path, &relay.admin, None);

    let connected = delete().await;
    client.leave(&relay, "laptop").await;
    let replay = json!({"events": [id], "consumer": "laptop"});
    assert_eq!(ask_replays(&relay, replay).await.status, 201);
    let away = delete().await;
    let gone = delete().await;

    assert_eq!(
        (connected.status.as_u16(), connected.code().as_str()),
        (409, "consumer_connected")
    );
    assert_eq!(away.status, 204);
    assert_eq!(
        (gone.status.as_u16(), gone.code().as_str()),
        (404, "unknown_consumer")
    );
    let all: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
    assert!(all.consumers.is_empty());
    let mut anew = Client::listen(&relay, 2).await;
    assert_eq!(anew.event().await.header.delivery.replay, None);
}

async fn ask_replays(relay: &Relay, asked: Value) -> Reply {
    relay.json("POST", "/v1/replays", &asked).await
}

#[tokio::test]
async fn a_relay_is_healthy_and_ready() {
    let relay = Relay::start().await;

    let alive = relay.call("GET", "/healthz", "", None).await;
    let ready = relay.call("GET", "/readyz", "", None).await;

    assert_eq!((alive.status.as_u16(), ready.status.as_u16()), (200, 200));
}
