//! A captured secret is shown once, to who may write, and not after a restart.

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use towline_shared::api::EndpointView;

use crate::relay::{Relay, Reply};

const SECRET: &str = "secret_0123456789abcdef0123456789abcdef";
const REVEAL: &str = "/v1/endpoints/pages/secrets/captured/reveal";

/// An endpoint for Notion that has been handed a secret.
async fn with_captured() -> Relay {
    let relay = Relay::start().await;
    let new = json!({"name": "pages", "provider": "notion"});
    let made = relay.json("POST", "/v1/endpoints", &new).await;
    assert_eq!(made.status, 201, "{}", made.text());
    hand_over(&relay, SECRET).await;
    relay
}

async fn hand_over(relay: &Relay, secret: &str) {
    let path = view(relay).await.url;
    let path = path.strip_prefix(relay.running.public_url()).unwrap();
    let body = json!({"verification_token": secret}).to_string();
    let request = Request::post(path).body(Full::from(body)).unwrap();
    assert_eq!(relay.send(request).await.status, 200);
}

async fn view(relay: &Relay) -> EndpointView {
    relay.get("/v1/endpoints/pages").await
}

async fn reveal(relay: &Relay) -> Reply {
    relay.call("POST", REVEAL, &relay.admin, None).await
}

fn refused(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.code())
}

fn nothing() -> (u16, String) {
    (409, "nothing_to_reveal".to_owned())
}

#[tokio::test]
async fn a_captured_secret_is_shown_once() {
    let relay = with_captured().await;
    assert!(view(&relay).await.can_reveal);

    let shown = reveal(&relay).await;
    let again = reveal(&relay).await;

    assert_eq!(shown.status, 200, "{}", shown.text());
    let body: Value = serde_json::from_slice(&shown.body).unwrap();
    assert_eq!(body, json!({"name": "captured", "secret": SECRET}));
    assert_eq!(shown.headers["cache-control"], "no-store");
    assert_eq!(refused(&again), nothing());
    assert!(again.text().contains("once already"), "{}", again.text());
    assert!(!view(&relay).await.can_reveal);
}

#[tokio::test]
async fn a_captured_secret_is_not_shown_after_a_restart_and_checks_all_the_same() {
    let relay = with_captured().await.restarted().await;

    let refusal = reveal(&relay).await;

    assert_eq!(refused(&refusal), nothing());
    assert_eq!(view(&relay).await.secrets[0].name.as_str(), "captured");
}

#[tokio::test]
async fn a_secret_that_the_owner_gave_is_never_shown() {
    let relay = with_captured().await;
    let put = json!({"secret": "another-secret-of-the-owner", "replace": true});
    let path = "/v1/endpoints/pages/secrets/captured";
    assert_eq!(relay.json("PUT", path, &put).await.status, 200);

    let refusal = reveal(&relay).await;
    let unknown = "/v1/endpoints/other/secrets/captured/reveal";
    let unknown = relay.call("POST", unknown, &relay.admin, None).await;

    assert_eq!(refused(&refusal), nothing());
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn the_next_captured_secret_is_shown_again() {
    let relay = with_captured().await;
    assert_eq!(reveal(&relay).await.status, 200);
    let change = json!({"await_secret": true});
    relay.json("PATCH", "/v1/endpoints/pages", &change).await;
    let next = "secret_ffffffffffffffffffffffffffffffff";
    hand_over(&relay, next).await;

    let shown = reveal(&relay).await;

    assert!(shown.text().contains(next), "{}", shown.text());
}

#[tokio::test]
async fn who_may_not_write_sees_no_secret_and_uses_nothing_up() {
    let relay = with_captured().await;
    let asked = json!({"name": "reader", "scopes": ["read", "listen"]});
    let reader = relay.token(&asked).await;

    let refusal = relay.call("POST", REVEAL, &reader.token, None).await;

    assert_eq!(refusal.status, 403);
    assert!(!refusal.text().contains(SECRET));
    assert_eq!(reveal(&relay).await.status, 200);
}
