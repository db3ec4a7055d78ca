//! The challenges of providers, answered by a real relay: every shared vector, and what an attacker makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};
use towline_shared::api::{EndpointView, EventList};
use towline_shared::event::EventKind;
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Failure, Verdict};
use towline_shared::verify::{Provider, Settings, Unsigned};

use crate::relay::{Relay, Reply};

const SECRET: &str = "b537207f20cbfa02357cf448134da559";
const OTHER_SECRET: &str = "00000000000000000000000000000000";

#[derive(Deserialize)]
struct Case {
    name: String,
    provider: String,
    variant: Option<String>,
    secrets: Vec<String>,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    request: CaseRequest,
    expect_response: Option<Expected>,
}

#[derive(Deserialize)]
struct CaseRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body_base64: String,
}

#[derive(Deserialize)]
struct Expected {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    body_compare: Option<String>,
    captured_secret: Option<String>,
}

/// The cases with a challenge, but those of SNS: it signs with certificates, and has a file of its own.
fn cases() -> Vec<Case> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/tests/vectors");
    let folder = std::env::var("TOWLINE_VECTORS").unwrap_or_else(|_| own.to_owned());
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        cases.extend(serde_json::from_slice::<Vec<Case>>(&text).unwrap());
    }
    cases.retain(|case| case.expect_response.is_some() && case.provider != "aws_sns");
    cases
}

#[tokio::test]
async fn every_challenge_of_the_vectors_is_answered_by_a_relay() {
    let relay = Relay::start().await;
    let mut differences = Vec::new();
    let cases = cases();

    for (number, case) in cases.iter().enumerate() {
        let endpoint = format!("case-{number}");
        case.make_endpoint(&relay, &endpoint).await;
        let reply = relay.send(case.request(&relay, &endpoint).await).await;
        if let Err(problem) = case.compare(&relay, &endpoint, &reply).await {
            differences.push(format!("{}/{}: {problem}", case.provider, case.name));
        }
    }

    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(cases.len() >= 43, "{}", cases.len());
}

/// What the vectors lack: a challenge that is answered, of every provider that has one.
#[tokio::test]
async fn every_other_provider_with_a_challenge_is_answered_too() {
    let relay = Relay::start().await;
    let all = json!([
        {"provider": "meta", "params": {"verify_token": "v"}, "method": "GET", "headers": [],
         "query": "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=v", "answer": "1158201444"},
        {"provider": "onfleet", "method": "GET", "headers": [], "query": "check=abc", "answer": "abc"},
        // SHA-256 of "cte": the code, the token and the endpoint.
        {"provider": "ebay", "params": {"verification_token": "t", "endpoint": "e"}, "method": "GET",
         "headers": [], "query": "challenge_code=c",
         "answer": "{\"challengeResponse\":\"2170b99d2ac56eecf21639c61b039ebca20f4bc191439f9ed64d1becbb686ccb\"}"},
        {"provider": "twitch", "method": "POST", "body": {"challenge": "pogchamp"}, "answer": "pogchamp",
         "headers": [["Twitch-Eventsub-Message-Type", "webhook_callback_verification"],
                     ["Twitch-Eventsub-Message-Id", "1"], ["Twitch-Eventsub-Message-Timestamp", ""],
                     ["Twitch-Eventsub-Message-Signature", ""]]},
        {"provider": "front", "method": "POST", "body": {}, "answer": "{\"challenge\":\"abc\"}",
         "headers": [["X-Front-Challenge", "abc"], ["X-Front-Request-Timestamp", ""], ["X-Front-Signature", ""]]},
        {"provider": "zoom", "method": "POST", "answer": "\"plainToken\":\"abc\",\"encryptedToken\":",
         "body": {"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}},
         "headers": [["X-Zm-Request-Timestamp", ""], ["X-Zm-Signature", ""]]},
    ]);

    for one in all.as_array().unwrap() {
        let body = one.get("body").map(Value::to_string).unwrap_or_default();
        let query = one["query"].as_str().unwrap_or_default();
        let case: Case = serde_json::from_value(json!({
            "name": "own", "provider": one["provider"], "secrets": [SECRET],
            "params": one.get("params").cloned().unwrap_or_else(|| json!({})),
            "request": {"method": one["method"], "url": format!("https://a.example/?{query}"),
                        "headers": one["headers"], "body_base64": data_encoding::BASE64.encode(body.as_bytes())},
            "expect_response": {"status": 200},
        }))
        .unwrap();
        let endpoint = case.provider.clone();
        case.make_endpoint(&relay, &endpoint).await;

        let reply = relay.send(case.request(&relay, &endpoint).await).await;

        assert_eq!(reply.status, 200, "{endpoint}: {}", reply.text());
        let answer = one["answer"].as_str().unwrap();
        assert!(
            reply.text().contains(answer),
            "{endpoint}: {}",
            reply.text()
        );
        let kept: EventList = relay.get(&format!("/v1/events?endpoint={endpoint}")).await;
        assert_eq!(kept.events[0].info.kind, EventKind::Handshake, "{endpoint}");
    }
}

impl Case {
    async fn make_endpoint(&self, relay: &Relay, endpoint: &str) {
        let secrets: Vec<Value> = self
            .secrets
            .iter()
            .enumerate()
            .map(|(number, secret)| json!({"name": format!("s{number}"), "secret": secret}))
            .collect();
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(words) => {
                let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                words.join(" ")
            }
            other => other.to_string(),
        };
        let parameters: BTreeMap<_, _> = self
            .params
            .iter()
            .map(|(name, value)| (name, text(value)))
            .collect();
        let new = json!({
            "name": endpoint, "provider": self.provider, "variant": self.variant,
            "parameters": parameters, "secrets": secrets,
        });
        let made = relay.json("POST", "/v1/endpoints", &new).await;
        assert_eq!(made.status, 201, "{}: {}", self.name, made.text());
    }

    async fn request(&self, relay: &Relay, endpoint: &str) -> Request<Full<Bytes>> {
        let query = self
            .request
            .url
            .split_once('?')
            .map_or("", |(_, query)| query);
        let separator = if query.is_empty() { "" } else { "?" };
        let view: EndpointView = relay.get(&format!("/v1/endpoints/{endpoint}")).await;
        let url = format!("{}{separator}{query}", view.url);
        let path = url
            .strip_prefix(relay.running.public_url())
            .unwrap()
            .to_owned();
        let body = data_encoding::BASE64
            .decode(self.request.body_base64.as_bytes())
            .unwrap();
        let mut fields = self.request.headers.clone();
        let expected = self.expect_response.as_ref().unwrap();
        if !matches!(expected.status, 401 | 403) {
            self.sign_again(&url, &mut fields, &body);
        }
        let mut request = Request::builder()
            .method(self.request.method.as_str())
            .uri(path);
        for (name, value) in fields {
            request = request.header(name, value);
        }
        request.body(Full::new(body.into())).unwrap()
    }

    /// The vectors have their own time, and the relay has the clock's: what is valid is signed for today.
    fn sign_again(&self, url: &str, fields: &mut Vec<(String, String)>, body: &[u8]) {
        let named = |(number, secret): (usize, &String)| {
            let name: SecretName = format!("s{number}").parse().unwrap();
            (name, Secret::new(secret.as_bytes()))
        };
        let secrets: Vec<_> = self.secrets.iter().enumerate().map(named).collect();
        let settings = Settings {
            secrets: &secrets,
            parameters: &BTreeMap::new(),
            variant: self.variant.as_deref(),
            now: Timestamp::from(SystemTime::now()),
            fetched: &BTreeMap::new(),
        };
        let unsigned = Unsigned {
            method: &self.request.method,
            url,
            fields: &[],
            body,
        };
        let provider = Provider::builtin(&self.provider).unwrap();
        let is_signed = |name: &str| {
            let mut fields = fields.iter();
            fields.any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        // What only the provider can sign, and what carries no signature, stays as it is.
        let Ok(made) = provider.sign(&unsigned, &settings) else {
            return;
        };
        if !made.iter().all(|(name, _)| is_signed(name)) {
            return;
        }
        fields.retain(|(name, _)| {
            !made
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        });
        fields.extend(made);
    }

    async fn compare(&self, relay: &Relay, endpoint: &str, reply: &Reply) -> Result<(), String> {
        let expected = self.expect_response.as_ref().unwrap();
        same("status", &reply.status.as_u16(), &expected.status)?;
        let kept: EventList = relay.get(&format!("/v1/events?endpoint={endpoint}")).await;
        let kind = kept.events.first().map(|event| event.info.kind);
        let is_challenge = self.is_answered_challenge();
        let wanted = if is_challenge {
            EventKind::Handshake
        } else {
            EventKind::Webhook
        };
        same("kind", &kind, &Some(wanted))?;
        let info = &kept.events[0].info;
        if is_challenge {
            same("answered", &info.answered, &Some(expected.status))?;
            same("deliverable", &info.is_deliverable, &false)?;
            let is_good = expected.status < 300;
            same("good", &info.is_answered_challenge(), &is_good)?;
        }
        if is_challenge && expected.status >= 300 {
            let is_failed = matches!(info.verdict, Verdict::Failed(_));
            same("failed", &is_failed, &true)?;
        }
        if !is_challenge {
            return Ok(());
        }
        for (name, value) in &expected.headers {
            let found = reply
                .headers
                .get(name)
                .and_then(|found| found.to_str().ok());
            same(name, &found, &Some(value.as_str()))?;
        }
        if self.request.method != "HEAD" && expected.status < 300 {
            let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
            match expected.body_compare.as_deref() {
                Some("json") => same("body", &json(&reply.body), &json(expected.body.as_bytes()))?,
                _ => same("body", &reply.text(), &expected.body)?,
            }
        }
        let view: EndpointView = relay.get(&format!("/v1/endpoints/{endpoint}")).await;
        let captured = view
            .secrets
            .iter()
            .any(|secret| secret.name.as_str() == "captured");
        same("captured", &captured, &expected.captured_secret.is_some())
    }

    /// Whether the case is a challenge and not a delivery that looks like one.
    fn is_answered_challenge(&self) -> bool {
        let no_challenge = [
            "handshake_webhook_event_is_no_ping",
            "handshake_console_verify_button",
            "handshake_intent_to_receive_right_signature",
            "handshake_event_with_challenge_field_is_no_handshake",
        ];
        !no_challenge.contains(&self.name.as_str())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is {found:?} instead of {expected:?}"))
}

/// An endpoint for a provider, with these secrets.
async fn endpoint(relay: &Relay, provider: &str, secrets: &[&str]) -> EndpointView {
    let named =
        |(number, secret): (usize, &&str)| json!({"name": format!("s{number}"), "secret": secret});
    let secrets: Vec<Value> = secrets.iter().enumerate().map(named).collect();
    let new = json!({"name": "line", "provider": provider, "secrets": secrets});
    let made = relay.json("POST", "/v1/endpoints", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    serde_json::from_slice(&made.body).unwrap()
}

fn path(relay: &Relay, view: &EndpointView) -> String {
    view.url
        .strip_prefix(relay.running.public_url())
        .unwrap()
        .to_owned()
}

/// The challenge with which Asana hands over a secret.
async fn hand_over(relay: &Relay, view: &EndpointView, secret: &str) -> Reply {
    let request = Request::post(path(relay, view)).header("x-hook-secret", secret);
    relay.send(request.body(Full::default()).unwrap()).await
}

async fn names(relay: &Relay) -> BTreeSet<String> {
    let view: EndpointView = relay.get("/v1/endpoints/line").await;
    view.secrets
        .iter()
        .map(|secret| secret.name.to_string())
        .collect()
}

async fn await_secret(relay: &Relay) {
    let change = json!({"await_secret": true});
    let changed = relay.json("PATCH", "/v1/endpoints/line", &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
}

/// A delivery that Asana signs with the secret.
async fn deliver(relay: &Relay, view: &EndpointView, secret: &str) -> u16 {
    let secrets = [("s".parse().unwrap(), Secret::new(secret))];
    let settings = Settings {
        secrets: &secrets,
        parameters: &BTreeMap::new(),
        variant: None,
        now: Timestamp::from(SystemTime::now()),
        fetched: &BTreeMap::new(),
    };
    let unsigned = Unsigned {
        method: "POST",
        url: &view.url,
        fields: &[],
        body: b"{\"events\":[]}",
    };
    let fields = Provider::builtin("asana")
        .unwrap()
        .sign(&unsigned, &settings)
        .unwrap();
    let mut request = Request::post(path(relay, view));
    for (name, value) in fields {
        request = request.header(name, value);
    }
    let body = Full::from(&b"{\"events\":[]}"[..]);
    relay
        .send(request.body(body).unwrap())
        .await
        .status
        .as_u16()
}

#[tokio::test]
async fn a_captured_secret_checks_what_comes_after_it_and_is_shown_nowhere() {
    let relay = Relay::start().await;
    let view = endpoint(&relay, "asana", &[]).await;
    assert!(view.awaits_secret);

    let reply = hand_over(&relay, &view, SECRET).await;

    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["x-hook-secret"], SECRET);
    assert_eq!(deliver(&relay, &view, SECRET).await, 200);
    assert_eq!(deliver(&relay, &view, OTHER_SECRET).await, 401);
    let view: EndpointView = relay.get("/v1/endpoints/line").await;
    assert!(!view.awaits_secret);
    let kept: EventList = relay.get("/v1/events?endpoint=line").await;
    for event in &kept.events {
        let raw = format!("/v1/events/{}/raw", event.info.id);
        let raw = relay.call("GET", &raw, &relay.admin, None).await;
        assert!(!raw.text().contains(SECRET), "{}", raw.text());
    }
    let first = kept.events.last().unwrap();
    assert_eq!(first.info.kind, EventKind::Handshake);
    assert!(!first.info.is_deliverable);
}

#[tokio::test]
async fn nobody_can_put_a_secret_over_one_that_is_there() {
    let relay = Relay::start().await;
    let view = endpoint(&relay, "asana", &[SECRET]).await;
    assert!(!view.awaits_secret);

    let refused = hand_over(&relay, &view, OTHER_SECRET).await;

    assert_eq!(refused.status, 403);
    assert!(refused.headers.get("x-hook-secret").is_none());
    assert_eq!(names(&relay).await, BTreeSet::from(["s0".to_owned()]));
    assert_eq!(deliver(&relay, &view, OTHER_SECRET).await, 401);
    assert_eq!(deliver(&relay, &view, SECRET).await, 200);
}

#[tokio::test]
async fn of_many_secrets_that_come_at_once_one_is_taken() {
    let relay = Relay::start().await;
    let view = endpoint(&relay, "asana", &[]).await;
    let secrets: Vec<String> = (0..16).map(|number| format!("{number:032}")).collect();

    let replies = join_all(
        secrets
            .iter()
            .map(|secret| hand_over(&relay, &view, secret)),
    )
    .await;

    let taken: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(names(&relay).await, BTreeSet::from(["captured".to_owned()]));
    let winner = taken[0].headers["x-hook-secret"].to_str().unwrap();
    assert_eq!(deliver(&relay, &view, winner).await, 200);
}

#[tokio::test]
async fn an_owner_may_wait_for_one_more_secret_once() {
    let relay = Relay::start().await;
    let view = endpoint(&relay, "asana", &[SECRET]).await;
    await_secret(&relay).await;
    let waiting: EndpointView = relay.get("/v1/endpoints/line").await;
    assert!(waiting.awaits_secret);

    let taken = hand_over(&relay, &view, OTHER_SECRET).await;
    let late = hand_over(&relay, &view, &"1".repeat(32)).await;

    assert_eq!((taken.status.as_u16(), late.status.as_u16()), (200, 403));
    assert_eq!(deliver(&relay, &view, SECRET).await, 200);
    assert_eq!(deliver(&relay, &view, OTHER_SECRET).await, 200);
}

#[tokio::test]
async fn a_secret_too_short_to_keep_anybody_out_is_refused() {
    let relay = Relay::start().await;
    let view = endpoint(&relay, "asana", &[]).await;

    let refused = hand_over(&relay, &view, "0123456789abcde").await;
    let taken = hand_over(&relay, &view, "0123456789abcdef").await;

    assert_eq!((refused.status.as_u16(), taken.status.as_u16()), (403, 200));
}

#[tokio::test]
async fn no_challenge_makes_the_relay_sign_a_body_for_a_stranger() {
    let relay = Relay::start().await;
    let view = endpoint(&relay, "x_twitter", &[SECRET]).await;
    let forged = "%7B%22for_user_id%22%3A%221%22%7D";

    let request = Request::get(format!("{}?crc_token={forged}", path(&relay, &view)));
    let refused = relay.send(request.body(Full::default()).unwrap()).await;

    assert_eq!(refused.status, 400);
    assert!(!refused.text().contains("sha256="));
    let failure = refused_challenge(&relay).await;
    assert_eq!(failure.cause, Cause::ConditionFailed);
    assert!(failure.detail.contains("crc_token"), "{}", failure.detail);
}

#[tokio::test]
async fn a_refused_challenge_is_kept_with_its_reason_and_shows_no_token() {
    let relay = Relay::start().await;
    let view = endpoint(&relay, "meta", &[SECRET]).await;
    let ask = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
        let request = Request::get(format!("{}?{query}", path(&relay, &view)));
        relay.send(request.body(Full::default()).unwrap())
    };

    let unset = ask("right-token").await;
    assert_eq!(unset.status, 403);
    let failure = refused_challenge(&relay).await;
    assert_eq!(failure.cause, Cause::ConfigError);
    assert!(
        failure.detail.contains("verify_token"),
        "{}",
        failure.detail
    );

    let set = json!({"parameters": {"verify_token": "right-token"}});
    let changed = relay.json("PATCH", "/v1/endpoints/line", &set).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(ask("wrong-token").await.status, 403);
    let failure = refused_challenge(&relay).await;
    assert_eq!(failure.cause, Cause::TokenMismatch);
    assert!(!failure.detail.contains("right-token"));
    assert!(!failure.detail.contains("wrong-token"));

    assert_eq!(ask("right-token").await.status, 200);
    let kept: EventList = relay.get("/v1/events?endpoint=line").await;
    let newest = &kept.events[0];
    assert!(newest.info.is_answered_challenge());
    assert_eq!(newest.info.answered, Some(200));
    assert!(
        newest.target.ends_with("hub.verify_token=[hidden]"),
        "{}",
        newest.target
    );
    let raw = format!("/v1/events/{}/raw", newest.info.id);
    let raw = relay.call("GET", &raw, &relay.admin, None).await;
    assert!(raw.text().contains("hub.verify_token=right-token"));
}

#[tokio::test]
async fn challenges_are_answered_as_ever_when_too_many_are_rejected_to_keep_them() {
    let relay = Relay::start().await;
    let view = endpoint(&relay, "meta", &[SECRET]).await;
    let change = json!({
        "parameters": {"verify_token": "t"}, "limits": {"rejected_per_minute": 1},
    });
    let changed = relay.json("PATCH", "/v1/endpoints/line", &change).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let ask = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
        let request = Request::get(format!("{}?{query}", path(&relay, &view)));
        relay.send(request.body(Full::default()).unwrap())
    };

    let statuses = [
        ask("wrong").await.status.as_u16(),
        ask("wrong").await.status.as_u16(),
        ask("t").await.status.as_u16(),
    ];

    assert_eq!(statuses, [403, 403, 200]);
    let kept: EventList = relay.get("/v1/events?endpoint=line").await;
    assert_eq!(kept.events.len(), 1);
}

/// Why the newest event of `line`, a challenge, was refused.
async fn refused_challenge(relay: &Relay) -> Failure {
    let kept: EventList = relay.get("/v1/events?endpoint=line").await;
    let info = &kept.events[0].info;
    assert_eq!(info.kind, EventKind::Handshake);
    assert!(!info.is_answered_challenge());
    match &info.verdict {
        Verdict::Failed(failure) => failure.clone(),
        other => panic!("{other:?}"),
    }
}
