//! Two sides of a failed check: what the relay says when the app turns a delivery away, and how little a sender learns
//! of why its request was turned away.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use towline_shared::api::NewSecret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_tests::api::{checked, path_of};
use towline_tests::app::{App, Reply};
use towline_tests::desk::Desk;
use towline_tests::nodes::is_line;
use towline_tests::process::{Process, run_command};
use towline_tests::sender::send;

const SECRET: &str = "It's a Secret to Everybody";
const BODY: &str = "{\"n\":1}";

#[tokio::test]
async fn an_app_that_turns_a_good_delivery_away_hears_whose_side_it_is() {
    let desk = Desk::new().await;
    let stripe = desk
        .api
        .create_endpoint(&checked("shop", "stripe", SECRET))
        .await;
    let app = App::replying(|place, _| Reply::Status(if place == 1 { 200 } else { 401 })).await;
    let mut listen = desk.start(&[
        "listen",
        &app.url(),
        "--endpoint",
        "shop",
        "--as",
        "me",
        "--json",
    ]);
    listen
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;
    let time = Timestamp::from(SystemTime::now()).as_seconds();
    let signed = |time: i64| {
        let signature = mac(SECRET, &format!("{time}.{BODY}"));
        format!("Stripe-Signature: t={time},v1={signature}\r\n")
    };
    let signature = mac(SECRET, &format!("{time}.{BODY}"));

    let id = desk
        .send(&request(&path_of(&stripe), &signed(time), BODY))
        .await;
    let line = listen
        .wait_for_line("the second look", |line| {
            is_line(line, "recheck").then(|| line.to_owned())
        })
        .await;
    let taken = desk
        .send(&request(&path_of(&stripe), &signed(time - 1), BODY))
        .await;
    app.wait_for(2).await;
    let edited = ["replay", &id, "--set", "/n=2"];
    desk.done(&edited).await;
    let of_edited = listen
        .wait_for_line("the look at the edited one", |line| {
            line.contains("not_valid_as_delivered")
                .then(|| line.to_owned())
        })
        .await;

    assert!(
        line.contains(&id) && line.contains("valid_as_delivered"),
        "{line}"
    );
    assert!(
        line.contains("for secret `live`; your app used another secret or other bytes"),
        "{line}"
    );
    assert!(
        !line.contains(SECRET) && !line.contains(&signature),
        "{line}"
    );
    assert!(of_edited.contains(&id), "{of_edited}");
    let shown = desk.done(&["events", "show", &id]).await;
    assert!(shown.contains("your app used another secret"), "{shown}");
    let direct = desk
        .done(&["replay", &id, "--to", &app.url(), "--json"])
        .await;
    assert!(direct.contains("valid_as_delivered"), "{direct}");
    let shown = desk.done(&["events", "show", &taken]).await;
    assert!(!shown.contains("your app used another secret"), "{shown}");
}

#[tokio::test]
async fn an_app_with_a_secret_of_its_own_gets_what_was_verified_signed_for_it() {
    let desk = Desk::new().await;
    let stripe = desk
        .api
        .create_endpoint(&checked("shop", "stripe", SECRET))
        .await;
    let app = App::replying(|_, _| Reply::Status(403)).await;
    let mut listen = Process::start_with(
        desk.towline(&[
            "listen",
            &app.url(),
            "--endpoint",
            "shop",
            "--as",
            "me",
            "--json",
            "--resign-with-env",
            "LOCAL",
        ])
        .env("LOCAL", "local secret"),
    );
    listen
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;
    let time = Timestamp::from(SystemTime::now()).as_seconds() - 200;
    let signature = mac(SECRET, &format!("{time}.{BODY}"));
    let signed = format!("A: 1\r\nSTRIPE-Signature: t={time},v1={signature}\r\nB: 2\r\n");

    let id = desk.send(&request(&path_of(&stripe), &signed, BODY)).await;
    let line = listen
        .wait_for_line("the second look", |line| {
            is_line(line, "recheck").then(|| line.to_owned())
        })
        .await;

    let seen = app.wait_for(1).await.remove(0);
    let value = seen.value("stripe-signature").unwrap();
    let fresh = value.strip_prefix("t=").unwrap().split(',').next().unwrap();
    assert_ne!(fresh, time.to_string());
    let expected = mac("local secret", &format!("{fresh}.{BODY}"));
    assert_eq!(value, format!("t={fresh},v1={expected}"));
    assert!(seen.lines()[2].starts_with(b"STRIPE-Signature: "));
    assert!(
        line.contains("resigned_locally") && line.contains("variable LOCAL"),
        "{line}"
    );
    let diff = desk.done(&["events", "diff", &id]).await;
    assert!(
        diff.contains("signed again on this machine with variable LOCAL"),
        "{diff}"
    );
}

#[tokio::test]
async fn a_signature_that_only_the_provider_can_make_is_refused_at_the_start() {
    let desk = Desk::new().await;
    let key = "a".repeat(64);
    desk.api
        .create_endpoint(&checked("bot", "discord", &key))
        .await;

    let refused = run_command(
        desk.towline(&[
            "listen",
            "3000",
            "--endpoint",
            "bot",
            "--resign-with-env",
            "LOCAL",
        ])
        .env("LOCAL", "x"),
    )
    .await;

    assert_eq!(refused.code, 13, "{refused:?}");
    assert!(refused.stderr.contains("towline keys new"), "{refused:?}");
}

#[tokio::test]
async fn a_sender_never_learns_whether_another_secret_would_have_matched() {
    let desk = Desk::new().await;
    let mut endpoint = checked("hub", "github", SECRET);
    endpoint.secrets.push(NewSecret {
        name: "spaced".parse().unwrap(),
        secret: " another one \n".to_owned(),
    });
    let path = path_of(&desk.api.create_endpoint(&endpoint).await);
    // One matches a secret in another form, one the body with a line end, one nothing at all.
    let signatures = [
        mac("another one", BODY),
        mac(SECRET, &format!("{BODY}\n")),
        mac("wrong", BODY),
    ];

    let mut answers = Vec::new();
    for signature in &signatures {
        let field = format!("X-Hub-Signature-256: sha256={signature}\r\n");
        let answer = send(desk.relay.address(), &request(&path, &field, BODY)).await;
        assert_eq!(answer.status(), 401, "{}", answer.text());
        let head = String::from_utf8(answer.head).unwrap();
        let head: Vec<_> = head
            .lines()
            .filter(|line| !line.to_ascii_lowercase().starts_with("date:"))
            .map(str::to_owned)
            .collect();
        answers.push((head, answer.body));
    }

    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    let codes: Vec<_> = desk
        .api
        .events("hub")
        .await
        .into_iter()
        .map(|event| match event.info.verdict {
            Verdict::Failed(failure) => failure.findings[0].code.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        codes,
        ["nothing_matches", "missing_newline", "other_secret_form"]
    );
}

fn mac(secret: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn request(path: &str, fields: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
