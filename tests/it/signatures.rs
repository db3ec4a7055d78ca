//! Signatures at the door: good ones are delivered; bad ones get 401 with the class of the cause, are kept as
//! rejected, listed, and not delivered.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use towline_shared::api::{CreateEndpoint, OnFailure};
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_tests::api::{checked, path_of};
use towline_tests::app::App;
use towline_tests::eventually::eventually;
use towline_tests::listening::{Listening, options};
use towline_tests::relay::Relay;
use towline_tests::sender::send;

const SECRET: &str = "It's a Secret to Everybody";
const BODY: &str = "{\"n\":1}";

#[tokio::test]
async fn a_bad_signature_is_refused_with_its_class_kept_and_not_delivered() {
    let relay = Relay::start().await;
    let api = relay.api();
    let github = path_of(
        &api.create_endpoint(&checked("github", "github", SECRET))
            .await,
    );
    let stripe = path_of(
        &api.create_endpoint(&checked("stripe", "stripe", SECRET))
            .await,
    );
    let good = format!("sha256={}", sign(BODY));
    let now = Timestamp::from(std::time::SystemTime::now()).as_seconds();
    let hour_ago = now - 3600;
    let expired = format!("t={hour_ago},v1={}", sign(&format!("{hour_ago}.{BODY}")));
    let rows = [
        ("no signature", &github, String::new(), "missing"),
        (
            "of another body",
            &github,
            format!("X-Hub-Signature-256: sha256={}\r\n", sign("other")),
            "mismatch",
        ),
        (
            "no hex",
            &github,
            "X-Hub-Signature-256: sha256=zz\r\n".to_owned(),
            "malformed",
        ),
        (
            "cut short",
            &github,
            format!("X-Hub-Signature-256: {}\r\n", &good[..60]),
            "m",
        ),
        (
            "without its prefix",
            &github,
            format!("X-Hub-Signature-256: {}\r\n", &good[7..]),
            "malformed",
        ),
        (
            "an hour old",
            &stripe,
            format!("Stripe-Signature: {expired}\r\n"),
            "expired",
        ),
        (
            "no time in it",
            &stripe,
            format!("Stripe-Signature: v1={}\r\n", sign(BODY)),
            "m",
        ),
    ];

    let mut rejected = 0;
    for (what, path, fields, class) in &rows {
        let reply = send(relay.address(), &request(path, fields)).await;

        assert_eq!(reply.status(), 401, "{what}: {}", reply.text());
        let detail = reply.text().to_lowercase();
        assert!(detail.contains(class), "{what}: not `{class}` but {detail}");
        assert!(!detail.contains(&sign(BODY)), "{what}: tells the signature");
        rejected += 1;
        let kept = api.events("github").await.len() + api.events("stripe").await.len();
        assert_eq!(kept, rejected, "{what} is not kept");
    }

    for event in api
        .events("github")
        .await
        .into_iter()
        .chain(api.events("stripe").await)
    {
        assert!(
            matches!(event.info.verdict, Verdict::Failed(_)),
            "{event:?}"
        );
        assert!(!event.info.is_deliverable);
    }
}

#[tokio::test]
async fn a_rejected_event_never_reaches_the_app_and_the_next_good_one_does() {
    let relay = Relay::start().await;
    let api = relay.api();
    let github = CreateEndpoint {
        deliver_duplicates: true,
        ..checked("github", "github", SECRET)
    };
    let path = path_of(&api.create_endpoint(&github).await);
    let app = App::start().await;
    let state = relay.folder().join("state");
    let client = Listening::start(options(
        relay.address(),
        api.token(),
        "github",
        &app.url(),
        &state,
    ))
    .await;
    let good = format!(
        "X-Good: yes\r\nX-Hub-Signature-256: sha256={}\r\n",
        sign(BODY)
    );

    assert_eq!(
        send(relay.address(), &request(&path, "")).await.status(),
        401
    );
    assert_eq!(
        send(relay.address(), &request(&path, &good)).await.status(),
        200
    );
    assert_eq!(
        send(
            relay.address(),
            &request(&path, "X-Hub-Signature-256: sha256=00\r\n")
        )
        .await
        .status(),
        401
    );
    assert_eq!(
        send(relay.address(), &request(&path, &good)).await.status(),
        200
    );
    client.wait_for_attempts(2).await;

    let seen = app.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|message| message.value("X-Good").is_some()));
    let verdicts: Vec<_> = api
        .events("github")
        .await
        .iter()
        .map(|event| event.info.verdict.is_accepted())
        .collect();
    assert_eq!(verdicts, [true, false, true, false], "newest first");
    eventually("nothing waits", async || {
        let consumer = api.consumers("github").await.consumers.remove(0);
        (consumer.backlog == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_may_ask_for_failed_events_too() {
    let relay = Relay::start().await;
    let api = relay.api();
    let lenient = CreateEndpoint {
        on_failure: OnFailure::Deliver,
        ..checked("github", "github", SECRET)
    };
    let path = path_of(&api.create_endpoint(&lenient).await);
    let app = App::start().await;
    let state = relay.folder().join("state");
    let _client = Listening::start(options(
        relay.address(),
        api.token(),
        "github",
        &app.url(),
        &state,
    ))
    .await;

    assert_eq!(
        send(relay.address(), &request(&path, "")).await.status(),
        200
    );

    app.wait_for(1).await;
    let event = api.events("github").await.remove(0);
    assert!(event.info.is_deliverable && !event.info.verdict.is_accepted());
}

#[tokio::test]
async fn no_answer_of_the_interface_tells_a_secret() {
    let relay = Relay::start().await;
    let api = relay.api();
    api.create_endpoint(&checked("github", "github", SECRET))
        .await;
    let path = path_of(&api.get("/v1/endpoints/github").await);
    send(
        relay.address(),
        &request(&path, "X-Hub-Signature-256: sha256=00\r\n"),
    )
    .await;
    let event = api.events("github").await.remove(0);

    for path in [
        "/v1/endpoints",
        "/v1/endpoints/github",
        "/v1/events?rejected=true",
        &format!("/v1/events/{}", event.info.id),
    ] {
        let text = api.call("GET", path, None).await.text();
        assert!(!text.contains("Secret to"), "{path}: {text}");
        assert!(
            !text.contains(&sign(BODY)),
            "{path} tells the expected signature"
        );
    }
}

fn sign(message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn request(path: &str, fields: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
    .into_bytes()
}
