//! Replays that are signed again, edited or both: what the app gets passes the provider's own check, the secret stays
//! at the relay, and who may only read or listen gets nothing signed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use towline_shared::head::Head;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings};
use towline_tests::api::{checked, path_of};
use towline_tests::app::App;
use towline_tests::desk::Desk;
use towline_tests::message::Message;
use towline_tests::nodes::is_line;
use towline_tests::process::Process;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &str = "{\"id\":\"evt_1\", \"amount\": 100}";

/// Older than any app's tolerance by the time it is replayed, and not by then too old for the relay.
const SECONDS_AGO: i64 = 200;

#[tokio::test]
async fn a_replay_that_is_signed_again_passes_the_check_and_keeps_every_other_line() {
    let desk = Desk::new().await;
    let (id, app, _listen) = captured(&desk).await;
    let before = now();

    desk.done(&["replay", &id, "--resign"]).await;

    let seen = app.wait_for(2).await;
    let signed_at = verified_at(&seen[1]);
    assert!(signed_at >= before, "{signed_at} is older than {before}");
    assert_eq!(seen[1].text(), BODY);
    let kept = |message: &Message| -> Vec<Vec<u8>> {
        let lines = message.lines().into_iter();
        lines
            .filter(|line| !line.starts_with(b"STRIPE"))
            .map(<[u8]>::to_vec)
            .collect()
    };
    assert_eq!(kept(&seen[1]), kept(&seen[0]));
    let places = |message: &Message| {
        message
            .lines()
            .iter()
            .position(|line| line.starts_with(b"STRIPE-signature: "))
    };
    assert_eq!(places(&seen[1]), places(&seen[0]));
    wait_for_attempts(&desk, &id, 2).await;
    let diff = desk.done(&["events", "diff", &id]).await;
    assert!(
        diff.contains("signed again with the endpoint's secret"),
        "{diff}"
    );
    let shown = desk.done(&["events", "show", &id]).await;
    assert!(
        shown.contains("STRIPE-signature replaced: signed again"),
        "{shown}"
    );
}

#[tokio::test]
async fn an_edited_body_is_signed_short_or_long() {
    let desk = Desk::new().await;
    let (id, app, _listen) = captured(&desk).await;
    let long = format!("{{\"text\":\"{}\"}}", "x".repeat(200_000));
    std::fs::write(desk.home().join("long.json"), &long).unwrap();

    desk.done(&["replay", &id, "--resign", "--set", "/amount=250"])
        .await;
    desk.done(&["replay", &id, "--resign", "--body-file", "long.json"])
        .await;

    let seen = app.wait_for(3).await;
    assert_eq!(seen[1].text(), "{\"id\":\"evt_1\", \"amount\": 250}");
    assert_eq!(seen[2].text(), long);
    for message in &seen[1..] {
        verified_at(message);
    }
    wait_for_attempts(&desk, &id, 3).await;
    let diff = desk.json(&["events", "diff", &id]).await;
    assert_eq!(diff["is_as_sent"], true, "{diff}");
    assert_eq!(diff["body"]["reason"], "edited for this replay", "{diff}");
}

#[tokio::test]
async fn an_edit_without_a_new_signature_is_sent_with_a_warning() {
    let desk = Desk::new().await;
    let (id, app, _listen) = captured(&desk).await;

    let edited = desk.run(&["replay", &id, "--set", "/amount=250"]).await;

    assert_eq!(edited.code, 0, "{edited:?}");
    assert!(
        edited.stderr.contains("does not match the edited body"),
        "{edited:?}"
    );
    let seen = app.wait_for(2).await;
    assert!(matches!(verdict(&seen[1]), Verdict::Failed(_)));
}

#[tokio::test]
async fn a_request_to_a_target_of_ones_own_is_signed_too_and_kept_as_a_replay() {
    let desk = Desk::new().await;
    let (id, _app, _listen) = captured(&desk).await;
    let other = App::start().await;

    let options = ["--resign", "--set", "/amount=1", "--to", &other.url()];
    desk.done(&[&["replay", &id], &options[..]].concat()).await;

    verified_at(&other.wait_for(1).await[0]);
    let event = desk.api.event(id.parse().unwrap()).await;
    let changes: Vec<_> = event
        .attempts
        .iter()
        .flat_map(|attempt| &attempt.replay_changes)
        .map(|change| change.part.as_str())
        .collect();
    assert_eq!(changes, ["body", "Content-Length", "STRIPE-signature"]);
}

#[tokio::test]
async fn a_new_delivery_id_stands_in_the_place_of_the_old_one() {
    let desk = Desk::new().await;
    let api = &desk.api;
    let path = path_of(&api.create_endpoint(&checked("hub", "github", SECRET)).await);
    let id = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
    let fields = format!(
        "X-GitHub-Delivery: {id}\r\nX-Hub-Signature-256: sha256={}\r\n",
        mac(BODY)
    );
    let event = desk.send(&request(&path, &fields)).await;
    let app = App::start().await;
    let target = app.url();

    let new = ["--resign", "--delivery-id", "new", "--to", &target];
    desk.done(&[&["replay", &event], &new[..]].concat()).await;
    let (stripe, _, _listen) = captured(&desk).await;
    let in_body = desk
        .run(&["replay", &stripe, "--resign", "--delivery-id", "new"])
        .await;

    let seen = app.wait_for(1).await.remove(0);
    let fresh = seen.value("X-GitHub-Delivery").unwrap();
    assert!(fresh != id && fresh.len() == id.len(), "{fresh}");
    assert_eq!(
        seen.value("X-Hub-Signature-256").unwrap(),
        format!("sha256={}", mac(BODY))
    );
    assert_eq!(in_body.code, 13, "{in_body:?}");
    assert!(
        in_body.stderr.contains("the JSON field `/id`") && in_body.stderr.contains("--set"),
        "{in_body:?}"
    );
}

#[tokio::test]
async fn what_must_not_be_signed_is_refused_and_says_why() {
    let desk = Desk::new().await;
    let api = &desk.api;
    let hub = path_of(&api.create_endpoint(&checked("hub", "github", SECRET)).await);
    let open = desk.endpoint("open").await;
    let unchecked = desk.send(&request(&open, "")).await;
    let forged = request(&hub, "X-Hub-Signature-256: sha256=00\r\n");
    let rejected = towline_tests::sender::send(desk.relay.address(), &forged).await;
    assert_eq!(rejected.status(), 401);
    let forged = api.events("hub").await.remove(0).info.id.to_string();

    for (id, words) in [(&forged, "failed its check"), (&unchecked, "no provider")] {
        let refused = desk
            .run(&["replay", id, "--resign", "--to", "http://127.0.0.1:9"])
            .await;

        assert_eq!(refused.code, 13, "{refused:?}");
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
    let edit = desk.run(&["replay", &unchecked, "--edit"]).await;
    assert_eq!(edit.code, 2, "{edit:?}");
    assert!(edit.stderr.contains("terminal"), "{edit:?}");
}

#[tokio::test]
async fn only_a_token_that_may_write_gets_anything_signed() {
    let desk = Desk::new().await;
    let (id, app, _listen) = captured(&desk).await;
    for scopes in [&["read"][..], &["listen"], &["read", "listen"]] {
        let api = desk.api.with_scopes(scopes).await;
        for wish in [
            json!({"hand_out": true}),
            json!({"dry_run": true, "hand_out": true}),
            json!({}),
        ] {
            let mut wish = wish;
            wish["events"] = json!([id]);
            wish["resign"] = json!({});
            let body = serde_json::to_vec(&wish).unwrap();

            let reply = api.call("POST", "/v1/replays", Some(&body)).await;

            assert_eq!(reply.status(), 403, "{scopes:?} {wish}: {}", reply.text());
            assert!(!reply.text().contains("head_base64"));
        }
    }
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn a_dry_run_tells_the_changes_and_gives_nothing_away() {
    let desk = Desk::new().await;
    let (id, app, _listen) = captured(&desk).await;

    let dry = desk
        .json(&["replay", &id, "--resign", "--dry-run", "--to", &app.url()])
        .await;
    let dry_line = desk.json(&["replay", &id, "--resign", "--dry-run"]).await;

    for dry in [dry, dry_line] {
        let replay = &dry["replays"][0];
        assert_eq!(replay["changes"][0]["part"], "STRIPE-signature", "{dry}");
        assert_eq!(replay["verdict"]["result"], "verified", "{dry}");
        assert_eq!(replay["head_base64"], Value::Null, "{dry}");
    }
    assert_eq!(app.count(), 1);
    let attempts = desk.api.event(id.parse().unwrap()).await.attempts;
    assert_eq!(attempts.len(), 1);
}

/// A Stripe event of some minutes ago that was delivered to a listening app.
async fn captured(desk: &Desk) -> (String, App, Process) {
    let endpoint = desk
        .api
        .create_endpoint(&checked("shop", "stripe", SECRET))
        .await;
    let app = App::start().await;
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
    let time = now() - SECONDS_AGO;
    let signature = mac(&format!("{time}.{BODY}"));
    let fields = format!("X-b:  two \r\nSTRIPE-signature: t={time},v1={signature}\r\nx-B: 2\r\n");
    let id = desk.send(&request(&path_of(&endpoint), &fields)).await;
    app.wait_for(1).await;
    wait_for_attempts(desk, &id, 1).await;
    (id, app, listen)
}

async fn wait_for_attempts(desk: &Desk, id: &str, count: usize) {
    towline_tests::eventually::eventually("the attempts are kept", async || {
        let event = desk.api.event(id.parse().unwrap()).await;
        (event.attempts.len() >= count).then_some(())
    })
    .await;
}

fn now() -> i64 {
    Timestamp::from(SystemTime::now()).as_seconds()
}

fn verdict(message: &Message) -> Verdict {
    let head = Head::parse(message.head.clone()).unwrap();
    let request = Request {
        head: &head,
        url: "https://shop.example/hooks",
        body: Body::Bytes(&message.body),
    };
    let settings = Settings {
        secrets: &[("app".parse().unwrap(), Secret::new(SECRET))],
        parameters: &BTreeMap::new(),
        variant: None,
        now: Timestamp::from(SystemTime::now()),
        fetched: &BTreeMap::new(),
    };
    Provider::builtin("stripe")
        .unwrap()
        .check(&request, &settings)
}

/// The time that a good signature has.
fn verified_at(message: &Message) -> i64 {
    let verdict = verdict(message);
    assert!(matches!(verdict, Verdict::Verified(_)), "{verdict:?}");
    let signature = message.value("Stripe-Signature").unwrap();
    let time = signature.strip_prefix("t=").unwrap();
    time.split(',').next().unwrap().parse().unwrap()
}

fn mac(message: &str) -> String {
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
