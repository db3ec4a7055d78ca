//! Who may do what: bad tokens get 401, good ones without the scope get 403 that names it.

use towline::listen::ListenError;
use towline_shared::api::Problem;
use towline_shared::wire::Reason;
use towline_tests::api::Api;
use towline_tests::listening::{Listening, options};
use towline_tests::relay::Relay;

/// Requests and the scope that each asks for.
const REQUESTS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/endpoints", "read"),
    ("GET", "/v1/events?endpoint=e", "read"),
    ("GET", "/v1/endpoints/e/consumers", "read"),
    ("GET", "/v1/events/stream?endpoint=e", "read"),
    ("POST", "/v1/endpoints", "write"),
    ("PATCH", "/v1/endpoints/e", "write"),
    ("DELETE", "/v1/endpoints/e", "write"),
    ("DELETE", "/v1/endpoints/e/events?through=1", "write"),
    ("PUT", "/v1/endpoints/e/secrets/live", "write"),
    ("DELETE", "/v1/endpoints/e/consumers/c", "write"),
    ("POST", "/v1/replays", "write"),
    ("GET", "/v1/connect", "listen"),
    ("GET", "/v1/tokens", "admin"),
    ("POST", "/v1/tokens", "admin"),
];

#[tokio::test]
async fn every_request_without_a_good_token_gets_401() {
    let relay = Relay::start().await;
    relay.api().open_endpoint("e").await;
    let admin = relay.api().token().to_owned();
    let mut altered = admin.clone();
    let last = altered.pop().unwrap();
    altered.push(if last == '0' { '1' } else { '0' });

    for token in [
        "",
        "twl_",
        "nonsense",
        &altered,
        "twl_00000000000000000000000000000000",
    ] {
        for (method, path, _) in REQUESTS {
            let reply = Api::new(relay.address(), token)
                .call(method, path, None)
                .await;
            assert_eq!(reply.status(), 401, "{method} {path} with `{token}`");
            let problem: Problem = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(problem.status, 401);
            assert!(!reply.text().contains(&admin));
        }
    }
}

#[tokio::test]
async fn a_token_without_the_scope_gets_403_that_names_it() {
    let relay = Relay::start().await;
    let admin = relay.api();
    admin.open_endpoint("e").await;

    for (method, path, needed) in REQUESTS {
        let others: Vec<_> = ["read", "listen", "write"]
            .into_iter()
            .filter(|scope| scope != needed)
            .collect();
        let reply = admin
            .with_scopes(&others)
            .await
            .call(method, path, None)
            .await;

        assert_eq!(
            reply.status(),
            403,
            "{method} {path} with {others:?}: {}",
            reply.text()
        );
        let problem: Problem = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            problem.missing_scope.as_deref(),
            Some(*needed),
            "{method} {path}"
        );
        assert_eq!(
            reply.value("content-type").as_deref(),
            Some("application/problem+json")
        );
    }
}

#[tokio::test]
async fn a_client_says_that_its_token_is_bad_or_may_not_listen() {
    let relay = Relay::start().await;
    let admin = relay.api();
    admin.open_endpoint("e").await;
    let reader = admin.with_scopes(&["read"]).await;
    let state = relay.folder().join("state");

    let bad = Listening::begin(options(relay.address(), "twl_nonsense", "e", "9", &state))
        .end()
        .await;
    let wrong = Listening::begin(options(relay.address(), reader.token(), "e", "9", &state))
        .end()
        .await;

    assert!(matches!(bad, Err(ListenError::Unauthorised(_))), "{bad:?}");
    let Err(ListenError::Forbidden(detail)) = &wrong else {
        panic!("{wrong:?}");
    };
    assert!(detail.contains("listen"), "{detail}");
}

#[tokio::test]
async fn a_revoked_token_ends_its_session_and_works_no_more() {
    let relay = Relay::start().await;
    let admin = relay.api();
    admin.open_endpoint("e").await;
    let listener = admin.with_scopes(&["listen", "read"]).await;
    let state = relay.folder().join("state");
    let mut client =
        Listening::start(options(relay.address(), listener.token(), "e", "9", &state)).await;
    let list = admin.call("GET", "/v1/tokens", None).await.json();
    let tokens = list["tokens"].as_array().unwrap();
    let id = tokens
        .iter()
        .find(|token| token["name"] == "listen-read")
        .unwrap()["id"]
        .as_str()
        .unwrap();

    let revoked = admin
        .call("DELETE", &format!("/v1/tokens/{id}"), None)
        .await;

    assert_eq!(revoked.status(), 204);
    let ended = client.end().await;
    assert!(
        matches!(
            ended,
            Err(ListenError::Ended {
                reason: Reason::Unauthorised,
                ..
            } | ListenError::Unauthorised(_))
        ),
        "{ended:?}"
    );
    assert_eq!(
        listener.call("GET", "/v1/endpoints", None).await.status(),
        401
    );
}
