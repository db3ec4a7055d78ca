//! An OAuth sender's whole way, as a person sets it up: the command makes the endpoint, curl asks for a token and
//! sends with it, the secret is rotated while the sender goes on.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use towline_shared::api::CreateEndpoint;
use towline_shared::verdict::{Cause, Verdict};
use towline_tests::api::{checked, path_of};
use towline_tests::desk::Desk;
use towline_tests::process::{Finished, run_command};
use towline_tests::sender::send;

#[tokio::test]
async fn a_sender_with_curl_gets_a_token_and_sends_with_it() {
    let desk = Desk::new().await;
    let create = [
        "endpoints",
        "create",
        "rewards",
        "--provider",
        "extole",
        "--variant",
        "oauth",
    ];
    let printed = desk.done(&create).await;
    let url = printed.lines().next().unwrap();
    let [token_url, id, secret] =
        ["token URL", "client id", "client secret"].map(|label| value_of(&printed, label));

    let reply = curl(
        &desk,
        &format!("--user '{id}:{secret}' -d grant_type=client_credentials '{token_url}'"),
    )
    .await;
    let given: Value = serde_json::from_str(&reply.stdout).unwrap();
    let token = given["access_token"].as_str().unwrap();
    assert_eq!(given["expires_in"], 3600);
    let webhook = format!("-H 'Authorization: Bearer {token}' -d '{{\"event_id\":\"7\"}}' '{url}'");
    let kept = curl(&desk, &webhook).await;

    assert!(kept.stdout.contains("evt_"), "{kept:?}");
    let event = desk.api.events("rewards").await.remove(0);
    assert!(
        matches!(event.info.verdict, Verdict::Authenticated(_)),
        "{event:?}"
    );
    let shown = desk.done(&["endpoints", "show", "rewards"]).await;
    assert!(shown.contains(&id) && shown.contains(&token_url), "{shown}");
    assert!(!shown.contains(&secret), "a secret is shown once: {shown}");
}

#[tokio::test]
async fn a_secret_is_rotated_while_the_sender_goes_on() {
    let desk = Desk::new().await;
    let create = [
        "endpoints",
        "create",
        "rewards",
        "--provider",
        "extole",
        "--variant",
        "oauth",
    ];
    let made = desk.json(&create).await;
    let old = token(&desk, &made, "default").await;

    let rotate = [
        "endpoints",
        "rotate-secret",
        "rewards",
        "--generate",
        "--secret-name",
        "next",
    ];
    let rotated = desk.json(&rotate).await;

    assert_ne!(rotated["generated_secret"], made["generated_secret"]);
    let new = token(&desk, &rotated, "next").await;
    let url = made["url"].as_str().unwrap();
    assert_eq!(status(&desk, url, &old).await, "200");
    assert_eq!(status(&desk, url, &new).await, "200");
    desk.done(&[
        "endpoints",
        "rotate-secret",
        "rewards",
        "--remove",
        "default",
    ])
    .await;
    assert_eq!(status(&desk, url, &old).await, "401");
    assert_eq!(status(&desk, url, &new).await, "200");
}

#[tokio::test]
async fn a_secret_can_be_made_for_any_provider_and_is_shown_once() {
    let desk = Desk::new().await;
    let create = [
        "endpoints",
        "create",
        "code",
        "--provider",
        "github",
        "--generate",
    ];

    let printed = desk.done(&create).await;

    let secret = value_of(&printed, "secret");
    assert_eq!(secret.len(), 43, "{printed}");
    assert!(!printed.contains("client id"), "{printed}");
    let both = [
        "endpoints",
        "create",
        "two",
        "--provider",
        "github",
        "--generate",
        "--secret-env",
        "X",
    ];
    assert_eq!(desk.run(&both).await.code, 2);
}

#[tokio::test]
async fn a_jwt_by_the_shared_secret_is_checked_with_issuer_and_audience() {
    let desk = Desk::new().await;
    let secret = "a shared secret of some length";
    let endpoint = CreateEndpoint {
        variant: Some("jwt".to_owned()),
        parameters: [
            ("issuer", "https://extole.example"),
            ("audience", "towline"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..checked("rewards", "extole", secret)
    };
    let path = path_of(&desk.api.create_endpoint(&endpoint).await);
    let expiry = now_in_seconds() + 300;
    let claims = |change: Value| {
        let mut claims =
            json!({"iss": "https://extole.example", "aud": ["towline"], "exp": expiry});
        claims
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        claims
    };
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});
    let rows = [
        ("good", hs256.clone(), claims(json!({})), None),
        (
            "another audience",
            hs256.clone(),
            claims(json!({"aud": "other"})),
            Some(Cause::ClaimMismatch),
        ),
        (
            "another issuer",
            hs256.clone(),
            claims(json!({"iss": "evil"})),
            Some(Cause::ClaimMismatch),
        ),
        (
            "no issuer",
            hs256.clone(),
            claims(json!({"iss": null})),
            Some(Cause::ClaimMismatch),
        ),
        (
            "expired",
            hs256.clone(),
            claims(json!({"exp": expiry - 900})),
            Some(Cause::TimestampExpired),
        ),
        (
            "no algorithm",
            json!({"alg": "none"}),
            claims(json!({})),
            Some(Cause::UnsupportedAlgorithm),
        ),
        (
            "a longer HMAC",
            json!({"alg": "HS512"}),
            claims(json!({})),
            Some(Cause::UnsupportedAlgorithm),
        ),
    ];

    for (what, header, claims, cause) in rows {
        let token = signed(&header, &claims, secret.as_bytes());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let reply = send(desk.relay.address(), request.as_bytes()).await;

        let verdict = desk.api.events("rewards").await.remove(0).info.verdict;
        match cause {
            None => {
                assert_eq!(reply.status(), 200, "{what}: {}", reply.text());
                assert!(
                    matches!(verdict, Verdict::Authenticated(_)),
                    "{what}: {verdict:?}"
                );
            }
            Some(cause) => {
                assert_eq!(reply.status(), 401, "{what}");
                let Verdict::Failed(failure) = verdict else {
                    panic!("{what}: {verdict:?}");
                };
                assert_eq!(failure.cause, cause, "{what}: {}", failure.detail);
            }
        }
    }
}

#[tokio::test]
async fn a_public_key_is_never_an_hmac_key_of_a_jwt() {
    let desk = Desk::new().await;
    let key = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n";
    let endpoint = CreateEndpoint {
        variant: Some("jwt".to_owned()),
        ..checked("rewards", "extole", key)
    };
    let path = path_of(&desk.api.create_endpoint(&endpoint).await);
    let claims = json!({"exp": now_in_seconds() + 300});
    let token = signed(&json!({"alg": "HS256"}), &claims, key.as_bytes());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    );

    let reply = send(desk.relay.address(), request.as_bytes()).await;

    assert_eq!(reply.status(), 401, "{}", reply.text());
    let verdict = desk.api.events("rewards").await.remove(0).info.verdict;
    assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
}

/// The value behind a label at the start of a line.
fn value_of(printed: &str, label: &str) -> String {
    let value = printed.lines().find_map(|line| line.strip_prefix(label));
    value
        .unwrap_or_else(|| panic!("no `{label}` in {printed}"))
        .trim()
        .to_owned()
}

/// A token for the client with the secret that was just made.
async fn token(desk: &Desk, made: &Value, name: &str) -> String {
    let clients = made["oauth"]["clients"].as_array().unwrap();
    let client = clients
        .iter()
        .find(|client| client["secret"] == name)
        .unwrap();
    let form = format!(
        "-d grant_type=client_credentials -d client_id={} -d client_secret={} '{}'",
        client["client_id"].as_str().unwrap(),
        made["generated_secret"].as_str().unwrap(),
        made["oauth"]["token_url"].as_str().unwrap(),
    );
    let reply = curl(desk, &form).await;
    let given: Value = serde_json::from_str(&reply.stdout).unwrap();
    given["access_token"].as_str().unwrap().to_owned()
}

async fn status(desk: &Desk, url: &str, token: &str) -> String {
    let webhook =
        format!("-o answer -w '%{{http_code}}' -H 'Authorization: Bearer {token}' -d x '{url}'");
    curl(desk, &webhook).await.stdout
}

async fn curl(desk: &Desk, arguments: &str) -> Finished {
    let script = format!("curl --silent --noproxy '*' {arguments}");
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(desk.home());
    let finished = run_command(&mut shell).await;
    assert_eq!(finished.code, 0, "{finished:?}");
    finished
}

/// A token as RFC 7515 writes it, signed by HMAC-SHA256 whatever its header says.
fn signed(header: &Value, claims: &Value, key: &[u8]) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    format!(
        "{text}.{}",
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
    )
}

fn now_in_seconds() -> i64 {
    towline_shared::time::Timestamp::from(std::time::SystemTime::now()).as_seconds()
}
