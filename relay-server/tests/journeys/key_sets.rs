//! Tokens by keys of a JWK set that the endpoint's owner names: fetched from a server on loopback, and only from where the
//! relay may go.

use std::collections::BTreeMap;
use std::time::SystemTime;

use data_encoding::BASE64URL_NOPAD;
use http::Request;
use http_body_util::Full;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use towline_server::Outbound;
use towline_shared::api::{EndpointView, EventList};
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;

use crate::key_server::{KeyServer, ok, root, with_status};
use crate::relay::{Relay, Reply};

const HOST: &str = "keys.extole.example";
const SET: &str = "https://keys.extole.example/jwks.json";

/// Extole's rewards at a relay, which gets Extole's keys from a server on loopback.
struct Rewards {
    relay: Relay,
    server: KeyServer,
    key: EcdsaKeyPair,
}

impl Rewards {
    async fn start() -> Self {
        let key = key_pair();
        let set = json!({ "keys": [jwk(&key, "2026-11")] }).to_string();
        let root = root();
        let server = KeyServer::start(&root, &[HOST], move |target| match target {
            "/jwks.json" => ok(&set),
            _ => with_status("404 Not Found", ""),
        })
        .await;
        let outbound = Outbound::Only {
            hosts: BTreeMap::from([(HOST.to_owned(), server.address)]),
            roots: vec![root.der().clone()],
        };
        let relay = Relay::start_with(|config| config.outbound = outbound).await;
        Self { relay, server, key }
    }

    async fn make(&self, parameters: Value) -> Reply {
        let new = json!({
            "name": "rewards", "provider": "extole", "variant": "jwks", "parameters": parameters,
        });
        self.relay.json("POST", "/v1/endpoints", &new).await
    }

    async fn send(&self, token: &str) -> Reply {
        let view: EndpointView = self.relay.get("/v1/endpoints/rewards").await;
        let public_url = self.relay.running.public_url();
        let path = view.url.strip_prefix(public_url).unwrap();
        let request = Request::post(path).header("authorization", format!("Bearer {token}"));
        let body = Full::from(r#"{"event_id":"1","type":"reward_earned"}"#);
        self.relay.send(request.body(body).unwrap()).await
    }
}

#[tokio::test]
async fn a_token_by_a_key_of_the_set_is_valid_for_this_audience_alone() {
    let rewards = Rewards::start().await;
    let made = rewards
        .make(json!({"jwks_url": SET, "audience": "mine"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());

    let good = rewards.send(&token(&rewards.key, "2026-11", "mine")).await;
    let again = rewards.send(&token(&rewards.key, "2026-11", "mine")).await;
    let for_another = rewards
        .send(&token(&rewards.key, "2026-11", "another"))
        .await;
    let forged = rewards.send(&token(&key_pair(), "2026-11", "mine")).await;

    assert_eq!(
        (good.status.as_u16(), again.status.as_u16()),
        (200, 200),
        "{}",
        good.text()
    );
    assert_eq!(
        (for_another.status.as_u16(), forged.status.as_u16()),
        (401, 401)
    );
    assert_eq!(
        rewards.server.targets(),
        ["/jwks.json"],
        "one fetch for all"
    );
    let kept: EventList = rewards.relay.get("/v1/events?endpoint=rewards").await;
    let first = &kept.events.last().unwrap().info;
    assert!(
        matches!(first.verdict, Verdict::Authenticated(_)),
        "{:?}",
        first.verdict
    );
}

#[tokio::test]
async fn an_endpoint_is_not_made_without_what_tells_its_requests_from_those_for_others() {
    let rewards = Rewards::start().await;

    for (given, missing) in [
        (json!({"audience": "mine"}), "`jwks_url`"),
        (json!({"jwks_url": SET}), "`audience`"),
        (json!({"jwks_url": SET, "audience": ""}), "`audience`"),
    ] {
        let reply = rewards.make(given).await;

        let refused = (reply.status.as_u16(), reply.code());
        assert_eq!(refused, (422, "missing_parameter".to_owned()));
        assert!(reply.text().contains(missing), "{}", reply.text());
    }
}

#[tokio::test]
async fn an_endpoint_keeps_what_tells_its_requests_from_those_for_others() {
    let rewards = Rewards::start().await;
    let made = rewards
        .make(json!({"jwks_url": SET, "audience": "mine"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());

    let without = json!({"parameters": {"jwks_url": SET}});
    let refused = rewards
        .relay
        .json("PATCH", "/v1/endpoints/rewards", &without)
        .await;
    let another = json!({"parameters": {"jwks_url": SET, "audience": "other"}});
    let changed = rewards
        .relay
        .json("PATCH", "/v1/endpoints/rewards", &another)
        .await;

    assert_eq!(
        (refused.status.as_u16(), changed.status.as_u16()),
        (422, 200)
    );
}

#[tokio::test]
async fn keys_are_never_looked_for_in_the_relays_own_network() {
    let rewards = Rewards::start().await;

    for url in [
        "http://keys.extole.example/jwks.json",
        "https://127.0.0.1/jwks.json",
        "https://localhost/jwks.json",
        "https://metadata.google.internal/jwks.json",
        "https://keys.extole.example:8443/jwks.json",
    ] {
        let reply = rewards
            .make(json!({"jwks_url": url, "audience": "mine"}))
            .await;

        assert_eq!(reply.status, 422, "{url}: {}", reply.text());
        assert!(reply.text().contains("`jwks_url`"), "{}", reply.text());
    }
    assert!(rewards.server.targets().is_empty());
}

fn key_pair() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
}

fn jwk(key: &EcdsaKeyPair, id: &str) -> Value {
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let number = |number: &[u8]| BASE64URL_NOPAD.encode(number);
    json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id, "x": number(x), "y": number(y)})
}

fn token(key: &EcdsaKeyPair, id: &str, audience: &str) -> String {
    let expiry = Timestamp::from(SystemTime::now()).as_millis() / 1000 + 60;
    let part = |part: Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let header = part(json!({"alg": "ES256", "kid": id}));
    let claims = part(json!({"aud": audience, "exp": expiry}));
    let signed = format!("{header}.{claims}");
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}
