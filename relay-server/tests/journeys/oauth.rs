//! An OAuth sender's way: a token for its client credentials, webhooks with the token, a new secret beside the old.

use bytes::Bytes;
use data_encoding::BASE64;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use towline_shared::api::{EndpointView, EventList};
use towline_shared::verdict::{Cause, Verdict};

use crate::relay::{Relay, Reply};

const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &str = "grant_type=client_credentials";
const SECRET: &str = "a long and random secret";

#[tokio::test]
async fn a_token_opens_its_endpoint_and_says_so_in_the_verdict() {
    let relay = Relay::start().await;
    let endpoint = oauth_endpoint(&relay, "orders", &json!({})).await;
    let reply = by_basic(&relay, &client_id(&endpoint, 0), SECRET, GRANT).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(reply.headers["pragma"], "no-cache");
    assert_eq!(reply.headers["content-type"], "application/json");
    assert!(!reply.headers.contains_key("access-control-allow-origin"));
    let given: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(given["token_type"], "Bearer");
    assert_eq!(given["expires_in"], 3600);
    assert_eq!(given.get("scope"), None);
    let token = given["access_token"].as_str().unwrap();

    let kept = webhook(&relay, &endpoint, &format!("Bearer {token}")).await;

    assert_eq!(kept.status, 200, "{}", kept.text());
    let Verdict::Authenticated(found) = latest_verdict(&relay).await else {
        panic!("not authenticated");
    };
    assert_eq!(found.scheme.as_deref(), Some("oauth"));
    assert_eq!(found.secret, Some("first".parse().unwrap()));
}

#[tokio::test]
async fn a_webhook_without_a_usable_token_is_challenged_for_a_new_one() {
    let relay = Relay::start().await;
    let endpoint = oauth_endpoint(&relay, "orders", &json!({})).await;
    let other = oauth_endpoint(&relay, "other", &json!({})).await;
    let token = token_of(&relay, &other, 0, SECRET).await;
    let invalid = "Bearer realm=\"towline\", error=\"invalid_token\"";
    let missing = "Bearer realm=\"towline\"";

    for (what, authorization, challenge, cause) in [
        (
            "another endpoint's",
            format!("Bearer {token}"),
            invalid,
            Cause::TokenMismatch,
        ),
        (
            "the secret",
            format!("Bearer {SECRET}"),
            invalid,
            Cause::TokenMismatch,
        ),
        (
            "an API token",
            format!("Bearer {}", relay.admin),
            invalid,
            Cause::TokenMismatch,
        ),
        (
            "by Basic",
            format!("Basic {token}"),
            missing,
            Cause::MissingSignature,
        ),
        ("nothing", String::new(), missing, Cause::MissingSignature),
    ] {
        let reply = webhook(&relay, &endpoint, &authorization).await;

        assert_eq!(reply.status, 401, "{what}");
        assert_eq!(reply.headers["www-authenticate"], challenge, "{what}");
        assert!(!reply.text().contains(SECRET), "{what}");
        let Verdict::Failed(failure) = latest_verdict(&relay).await else {
            panic!("{what}: not failed");
        };
        assert_eq!(failure.cause, cause, "{what}");
    }
    let own = webhook(&relay, &other, &format!("Bearer {token}")).await;
    assert_eq!(own.status, 200);
}

#[tokio::test]
async fn two_clients_overlap_while_a_secret_is_rotated() {
    let relay = Relay::start().await;
    let endpoint = oauth_endpoint(&relay, "orders", &json!({})).await;
    let before = token_of(&relay, &endpoint, 0, SECRET).await;
    let put = json!({"secret": "the next secret"});
    let path = "/v1/endpoints/orders/secrets/second";
    let reply = relay.json("PUT", path, &put).await;
    let endpoint: EndpointView = serde_json::from_slice(&reply.body).unwrap();
    let after = token_of(&relay, &endpoint, 1, "the next secret").await;
    for token in [&before, &after] {
        let reply = webhook(&relay, &endpoint, &format!("Bearer {token}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    let first = "/v1/endpoints/orders/secrets/first";
    let removed = relay.call("DELETE", first, &relay.admin, None).await;
    assert_eq!(removed.status, 200, "{}", removed.text());

    let old = webhook(&relay, &endpoint, &format!("Bearer {before}")).await;
    let new = webhook(&relay, &endpoint, &format!("Bearer {after}")).await;
    assert_eq!((old.status.as_u16(), new.status.as_u16()), (401, 200));
    let gone = by_basic(&relay, &client_id(&endpoint, 0), SECRET, GRANT).await;
    assert_eq!(gone.status, 401);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_client_is_answered_alike() {
    let relay = Relay::start().await;
    let endpoint = oauth_endpoint(&relay, "orders", &json!({})).await;
    let id = client_id(&endpoint, 0);
    let key = id.split('.').next().unwrap();
    relay
        .json(
            "POST",
            "/v1/endpoints",
            &json!({"name": "plain", "provider": "github",
            "secrets": [{"name": "first", "secret": SECRET}]}),
        )
        .await;
    let plain: EndpointView = relay.get("/v1/endpoints/plain").await;
    assert_eq!(plain.oauth, None);
    let plain_key = plain.url.rsplit('/').next().unwrap();
    let expected = by_basic(&relay, &id, "wrong", GRANT).await;
    assert_eq!(expected.status, 401);
    assert_eq!(error(&expected), "invalid_client");
    assert_eq!(
        expected.headers["www-authenticate"],
        "Basic realm=\"towline\", charset=\"UTF-8\""
    );

    for (client, secret) in [
        (format!("{key}.other"), SECRET),
        (key.to_owned(), SECRET),
        (format!("{plain_key}.first"), SECRET),
        (format!("{}.first", "0".repeat(32)), SECRET),
        (String::new(), SECRET),
        (id.clone(), ""),
    ] {
        let reply = by_basic(&relay, &client, secret, GRANT).await;

        assert_eq!(reply.status, 401, "{client}");
        assert_eq!(reply.body, expected.body, "{client}");
        let names = |reply: &Reply| {
            let names = reply.headers.iter().filter(|(name, _)| *name != "date");
            names
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&reply), names(&expected), "{client}");
    }
    let in_body = form(
        &relay,
        &format!("{GRANT}&client_id={id}&client_secret=wrong"),
    )
    .await;
    assert_eq!(in_body.status, 401);
    assert_eq!(in_body.body, expected.body);
    assert!(!in_body.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn errors_are_those_of_the_rfc() {
    let relay = Relay::start().await;
    let scopes = json!({"scope": "events:write events:read"});
    let endpoint = oauth_endpoint(&relay, "orders", &scopes).await;
    let client = format!(
        "client_id={}&client_secret={SECRET}",
        client_id(&endpoint, 0)
    );
    let client = client.replace(' ', "+");

    for (body, status, code) in [
        (client.clone(), 400, "invalid_request"),
        (
            format!("grant_type=password&{client}"),
            400,
            "unsupported_grant_type",
        ),
        (
            format!("{GRANT}&{client}&scope=admin"),
            400,
            "invalid_scope",
        ),
        (
            format!("{GRANT}&{client}&x={}", "x".repeat(8200)),
            413,
            "invalid_request",
        ),
    ] {
        let reply = form(&relay, &body).await;

        assert_eq!(reply.status, status, "{code}");
        assert_eq!(error(&reply), code);
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
    let get = Request::get("/oauth/token").body(Full::default()).unwrap();
    let get = relay.send(get).await;
    assert_eq!(get.status, 405);
    assert_eq!(get.headers["allow"], "POST");
    for (asked, granted) in [
        ("", "events:write events:read"),
        ("&scope=events:read", "events:read"),
    ] {
        let reply = form(&relay, &format!("{GRANT}&{client}{asked}")).await;
        let given: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(given["scope"], granted, "{asked}");
    }
}

#[tokio::test]
async fn a_body_of_8_kib_is_read_and_one_byte_more_is_not() {
    let relay = Relay::start().await;
    let endpoint = oauth_endpoint(&relay, "orders", &json!({})).await;
    let client = format!(
        "client_id={}&client_secret={SECRET}",
        client_id(&endpoint, 0)
    );
    let start = format!("{GRANT}&{}&x=", client.replace(' ', "+"));
    let body = |length: usize| format!("{start}{}", "x".repeat(length - start.len()));

    assert_eq!(form(&relay, &body(8192)).await.status, 200);
    assert_eq!(form(&relay, &body(8193)).await.status, 413);
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_told_when_to_come_back() {
    let relay = Relay::start().await;
    let endpoint = oauth_endpoint(&relay, "orders", &json!({})).await;

    for (id, from) in [
        (client_id(&endpoint, 0), [127, 0, 0, 3]),
        ("unknown".to_owned(), [127, 0, 0, 4]),
    ] {
        let mut refused = None;
        for _ in 0..40 {
            let reply = relay.send_from(from, basic(&id, "wrong", GRANT)).await;
            if reply.status == 429 {
                refused = Some(reply);
                break;
            }
            assert_eq!(reply.status, 401, "{id}");
        }

        let refused = refused.expect("40 failures at once are too many");
        assert_eq!(error(&refused), "temporarily_unavailable");
        assert!(["1", "2"].contains(&refused.headers["retry-after"].to_str().unwrap()));
    }
}

#[tokio::test]
async fn nobody_holds_up_a_client_whose_id_he_knows() {
    let relay = Relay::start().await;
    let endpoint = oauth_endpoint(&relay, "orders", &json!({})).await;
    let id = client_id(&endpoint, 0);
    let stranger = [127, 0, 0, 2];
    let mut told = Vec::new();
    for _ in 0..40 {
        let reply = relay.send_from(stranger, basic(&id, "wrong", GRANT)).await;
        told.push(reply.status.as_u16());
    }
    assert!(told.contains(&429), "{told:?}");

    let genuine = by_basic(&relay, &id, SECRET, GRANT).await;
    let from_there = relay.send_from(stranger, basic(&id, SECRET, GRANT)).await;

    assert_eq!(genuine.status, 200, "{}", genuine.text());
    assert_eq!(from_there.status, 200, "{}", from_there.text());
}

#[tokio::test]
async fn a_webhook_is_challenged_also_when_too_many_are_rejected_to_keep_it() {
    let relay = Relay::start().await;
    let endpoint = oauth_endpoint(&relay, "orders", &json!({})).await;
    let limits = json!({"limits": {"rejected_per_minute": 1}});
    let changed = relay.json("PATCH", "/v1/endpoints/orders", &limits).await;
    assert_eq!(changed.status, 200, "{}", changed.text());

    let kept = webhook(&relay, &endpoint, "Bearer wrong").await;
    let not_kept = webhook(&relay, &endpoint, "Bearer wrong").await;

    let list: EventList = relay.get("/v1/events").await;
    assert_eq!(list.events.len(), 1);
    for reply in [kept, not_kept] {
        assert_eq!(reply.status, 401);
        assert_eq!(
            reply.headers["www-authenticate"],
            "Bearer realm=\"towline\", error=\"invalid_token\""
        );
    }
}

/// An endpoint whose sender asks for tokens, with one secret named `first`.
async fn oauth_endpoint(relay: &Relay, name: &str, parameters: &Value) -> EndpointView {
    let asked = json!({
        "name": name,
        "provider": "extole",
        "variant": "oauth",
        "parameters": parameters,
        "secrets": [{"name": "first", "secret": SECRET}],
    });
    let reply = relay.json("POST", "/v1/endpoints", &asked).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

fn client_id(endpoint: &EndpointView, place: usize) -> String {
    let oauth = endpoint.oauth.as_ref().unwrap();
    assert!(oauth.token_url.ends_with("/oauth/token"));
    oauth.clients[place].client_id.clone()
}

async fn token_of(relay: &Relay, endpoint: &EndpointView, place: usize, secret: &str) -> String {
    let reply = by_basic(relay, &client_id(endpoint, place), secret, GRANT).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let given: Value = serde_json::from_slice(&reply.body).unwrap();
    given["access_token"].as_str().unwrap().to_owned()
}

async fn by_basic(relay: &Relay, id: &str, secret: &str, body: &str) -> Reply {
    relay.send(basic(id, secret, body)).await
}

fn basic(id: &str, secret: &str, body: &str) -> Request<Full<Bytes>> {
    let secret = secret.replace(' ', "+");
    let credentials = BASE64.encode(format!("{id}:{secret}").as_bytes());
    let request = Request::post("/oauth/token")
        .header("content-type", FORM)
        .header("authorization", format!("Basic {credentials}"));
    request.body(Full::from(body.to_owned())).unwrap()
}

async fn form(relay: &Relay, body: &str) -> Reply {
    let request = Request::post("/oauth/token").header("content-type", FORM);
    relay
        .send(request.body(Full::from(body.to_owned())).unwrap())
        .await
}

async fn webhook(relay: &Relay, endpoint: &EndpointView, authorization: &str) -> Reply {
    let path = endpoint.url.strip_prefix(relay.running.public_url());
    let mut request = Request::post(path.unwrap());
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    relay
        .send(request.body(Full::from("{\"event_id\":\"1\"}")).unwrap())
        .await
}

async fn latest_verdict(relay: &Relay) -> Verdict {
    let list: EventList = relay.get("/v1/events?limit=1").await;
    list.events.into_iter().next().unwrap().info.verdict
}

fn error(reply: &Reply) -> String {
    let error: Value = serde_json::from_slice(&reply.body).unwrap();
    error["error"].as_str().unwrap().to_owned()
}
