//! The command as a person types it, against a real relay: what it prints, where, and how it ends.
//! `listen` has a file of its own.

use towline_tests::app::App;
use towline_tests::desk::Desk;
use towline_tests::eventually::eventually;
use towline_tests::nodes::is_line;
use towline_tests::process::{Finished, run_command};
use towline_tests::sender::post;

const USAGE: i32 = 2;
const UNAUTHORISED: i32 = 10;
const FORBIDDEN: i32 = 11;
const NOT_FOUND: i32 = 12;
const INVALID_INPUT: i32 = 13;
const VERIFICATION_FAILED: i32 = 15;
const TARGET_UNREACHABLE: i32 = 16;
const RELAY_UNREACHABLE: i32 = 17;

const NO_EVENT: &str = "evt_06000000000000000000000000";

#[tokio::test]
async fn an_endpoint_is_made_shown_given_a_new_secret_and_deleted() {
    let desk = Desk::new().await;
    std::fs::write(desk.home().join("secret"), "first secret\n").unwrap();
    std::fs::write(desk.home().join("new"), "second secret\n").unwrap();

    let created = desk
        .json(&[
            "endpoints",
            "create",
            "shop",
            "--provider",
            "github",
            "--secret-file",
            "secret",
        ])
        .await;
    let shown = desk.done(&["endpoints", "show", "shop"]).await;
    let listed = desk.done(&["endpoints", "list"]).await;
    desk.done(&[
        "endpoints",
        "rotate-secret",
        "shop",
        "--secret-file",
        "new",
        "--secret-name",
        "new",
    ])
    .await;
    let rotated = desk.json(&["endpoints", "show", "shop"]).await;
    desk.done(&["endpoints", "delete", "shop", "--yes"]).await;
    let gone = desk.run(&["endpoints", "show", "shop"]).await;

    let url = created["url"].as_str().unwrap();
    assert!(
        shown.contains(url) && listed.contains("shop"),
        "{shown}{listed}"
    );
    let rotated = rotated.to_string();
    assert!(
        rotated.contains("\"new\"") && !rotated.contains("second secret"),
        "{rotated}"
    );
    assert_explained(&gone, NOT_FOUND, "shop");
}

#[tokio::test]
async fn an_event_is_listed_shown_raw_compared_and_given_as_curl() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
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
    let sent = format!(
        "PUT {path}/a?b=%2F HTTP/1.1\r\nhOST: h\r\nX-Twice: 1\r\nX-Keep:  spaces \r\nx-twice: 2\r\nConnection: close\r\nContent-Length: 4\r\n\r\n\0\x01\n'"
    );
    let id = desk.send(sent.as_bytes()).await;
    listen
        .wait_for_line("an outcome", |line| is_line(line, "outcome").then_some(()))
        .await;
    eventually("the outcome is kept", async || {
        let event = desk.api.event(id.parse().unwrap()).await;
        (!event.attempts.is_empty()).then_some(())
    })
    .await;

    let listed = desk.done(&["events", "list", "--endpoint", "shop"]).await;
    let raw = desk.done(&["events", "show", &id, "--raw"]).await;
    let shown = desk.done(&["events", "show", &id]).await;
    let diff = desk.json(&["events", "diff", &id]).await;
    let diff_text = desk.done(&["events", "diff", &id]).await;
    let curl = desk
        .done(&["events", "curl", &id, "--to", &app.url()])
        .await;

    assert!(listed.contains(&id) && listed.contains("200"), "{listed}");
    assert_eq!(raw, sent);
    assert!(shown.contains("X-Twice: 1"), "{shown}");
    assert_eq!(
        (
            diff["is_as_sent"].as_bool(),
            diff["body"]["is_identical"].as_bool()
        ),
        (Some(true), Some(true)),
        "{diff}"
    );
    assert!(
        diff_text.contains("Connection") && diff_text.contains("RFC 9110"),
        "{diff_text}"
    );
    assert!(
        curl.contains("curl") && curl.contains("X-Twice: 1"),
        "{curl}"
    );
}

#[tokio::test]
async fn a_replay_goes_to_the_consumer_or_to_a_target_of_ones_own() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let (app, other) = (App::start().await, App::start().await);
    let id = desk.send(&post(&path, b"again")).await;
    let mut listen = desk.start(&[
        "listen",
        &app.url(),
        "--endpoint",
        "shop",
        "--as",
        "me",
        "--since",
        "beginning",
        "--json",
    ]);
    listen
        .wait_for_line("an outcome", |line| is_line(line, "outcome").then_some(()))
        .await;

    desk.done(&["replay", &id]).await;
    desk.done(&["replay", &id, "--to", &other.url()]).await;
    let nowhere = desk.run(&["replay", NO_EVENT]).await;
    let (mut down, id_of_down) = (App::start().await, id.clone());
    down.stop().await;
    let refused = desk
        .run(&["replay", &id_of_down, "--to", &down.url()])
        .await;

    assert_eq!(app.wait_for(2).await[1].text(), "again");
    assert_eq!(other.wait_for(1).await[0].text(), "again");
    assert_eq!(nowhere.code, NOT_FOUND, "{nowhere:?}");
    assert_eq!(refused.code, TARGET_UNREACHABLE, "{refused:?}");
    let attempts = desk.api.event(id.parse().unwrap()).await.attempts;
    assert!(
        attempts.len() >= 3,
        "an attempt outside the line is kept too: {}",
        attempts.len()
    );
}

#[tokio::test]
async fn tail_prints_events_as_they_come() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let mut tail = desk.start(&["events", "tail", "--endpoint", "shop", "--json"]);

    // The tail begins with what comes after it; events are sent until one is told.
    let api = desk.api.clone();
    let told = eventually("the tail tells an event", async || {
        desk.send(&post(&path, b"{}")).await;
        tail.stdout().into_iter().next()
    })
    .await;

    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let ids: Vec<_> = api
        .events("shop")
        .await
        .iter()
        .map(|event| event.info.id.to_string())
        .collect();
    assert!(ids.iter().any(|id| told["id"] == id.as_str()), "{told}");
    tail.kill().await;
}

#[tokio::test]
async fn a_token_is_made_listed_and_revoked() {
    let desk = Desk::new().await;

    let token = desk
        .done(&[
            "tokens", "create", "laptop", "--scope", "listen", "--scope", "read",
        ])
        .await;
    let listed = desk.json(&["tokens", "list"]).await.to_string();
    let mut other = desk.towline(&["whoami", "--json"]);
    other.env("TOWLINE_TOKEN", token.trim());
    let who = run_command(&mut other).await;
    let mut may_not = desk.towline(&["tokens", "list"]);
    may_not.env("TOWLINE_TOKEN", token.trim());
    let may_not = run_command(&mut may_not).await;
    let ids: Vec<_> = listed
        .match_indices("tok_")
        .map(|(at, _)| listed[at..at + 30].to_owned())
        .collect();
    desk.done(&["tokens", "revoke", &ids[0]]).await;
    let mut revoked = desk.towline(&["whoami"]);
    revoked.env("TOWLINE_TOKEN", token.trim());
    let revoked = run_command(&mut revoked).await;

    assert!(
        token.starts_with("twl_") && token.lines().count() == 1,
        "{token}"
    );
    assert!(listed.contains("laptop") && !listed.contains(token.trim()));
    assert!(who.stdout.contains("laptop"), "{who:?}");
    assert_explained(&may_not, FORBIDDEN, "admin");
    assert_eq!(revoked.code, UNAUTHORISED, "{revoked:?}");
}

#[tokio::test]
async fn login_keeps_relay_and_token_for_its_owner_and_logout_forgets_them() {
    let desk = Desk::new().await;
    let relay = format!("http://{}", desk.relay.address());
    let mut login = desk.bare(&["login", &relay]);
    login.env("TOWLINE_TOKEN", desk.api.token());

    let logged_in = run_command(&mut login).await;
    let who = run_command(&mut desk.bare(&["whoami"])).await;
    let profile = desk.home().join(".config/towline/config.toml");
    let kept = std::fs::read_to_string(&profile);
    let logged_out = run_command(&mut desk.bare(&["logout"])).await;

    assert_eq!(logged_in.code, 0, "{logged_in:?}");
    assert!(who.stdout.contains(&relay), "{who:?}");
    assert!(kept.unwrap().contains(desk.api.token()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&profile).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    assert_eq!(logged_out.code, 0, "{logged_out:?}");
    assert!(
        !std::fs::read_to_string(&profile)
            .unwrap_or_default()
            .contains(desk.api.token())
    );
}

#[tokio::test]
async fn verify_reads_a_raw_request_and_says_why_it_fails() {
    let desk = Desk::new().await;
    std::fs::write(desk.home().join("secret"), "It's a Secret to Everybody").unwrap();
    let signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let request = |signature: &str| {
        format!(
            "POST / HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: sha256={signature}\r\nContent-Length: 13\r\n\r\nHello, World!"
        )
    };
    std::fs::write(desk.home().join("good.http"), request(signature)).unwrap();
    std::fs::write(
        desk.home().join("bad.http"),
        request(&signature.replace('7', "8")),
    )
    .unwrap();

    let good =
        run_command(&mut desk.bare(&["verify", "github", "good.http", "--secret-file", "secret"]))
            .await;
    let bad =
        run_command(&mut desk.bare(&["verify", "github", "bad.http", "--secret-file", "secret"]))
            .await;

    assert_eq!(good.code, 0, "{good:?}");
    assert_eq!(bad.code, VERIFICATION_FAILED, "{bad:?}");
    assert!(
        format!("{}{}", bad.stdout, bad.stderr).contains("mismatch"),
        "{bad:?}"
    );
    assert!(
        !format!("{}{}", bad.stdout, bad.stderr).contains("757107ea"),
        "tells the expected signature"
    );
}

#[tokio::test]
async fn every_failure_has_its_exit_code_and_an_explanation() {
    let desk = Desk::new().await;
    desk.endpoint("shop").await;
    let mut bad_token = desk.towline(&["events", "list"]);
    bad_token.env("TOWLINE_TOKEN", "twl_nonsense");
    let mut no_relay = desk.towline(&["events", "list"]);
    no_relay.env("TOWLINE_RELAY", "http://127.0.0.1:9");

    assert_explained(&run_command(&mut bad_token).await, UNAUTHORISED, "token");
    assert_explained(
        &run_command(&mut no_relay).await,
        RELAY_UNREACHABLE,
        "127.0.0.1:9",
    );
    assert_explained(
        &desk.run(&["events", "show", NO_EVENT]).await,
        NOT_FOUND,
        NO_EVENT,
    );
    for (arguments, code) in [
        (&["events", "show", "nonsense"][..], USAGE),
        (&["surprise"], USAGE),
        (&["listen", "not a target", "--endpoint", "shop"], USAGE),
        (&["endpoints", "create", "NO NAME"], USAGE),
        (
            &[
                "endpoints",
                "create",
                "shop2",
                "--provider",
                "nobody",
                "--secret-file",
                "nowhere",
            ],
            INVALID_INPUT,
        ),
    ] {
        let finished = desk.run(arguments).await;
        assert_eq!(finished.code, code, "towline {arguments:?}: {finished:?}");
        assert!(
            finished.stderr.contains("error: ") && finished.stdout.is_empty(),
            "{finished:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_pipe_is_no_failure() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let id = desk.send(&post(&path, &vec![b'x'; 1_000_000])).await;
    let towline = towline_tests::binaries::Binary::Towline.path();
    let mut shell = tokio::process::Command::new("sh");
    shell.arg("-c").arg(format!(
        "{{ '{}' events show {id} --raw; echo $? >&2; }} | head -c 10",
        towline.display()
    ));
    shell
        .env("TOWLINE_RELAY", format!("http://{}", desk.relay.address()))
        .env("TOWLINE_TOKEN", desk.api.token())
        .env("HOME", desk.home());

    let finished = run_command(&mut shell).await;

    assert_eq!(finished.stderr.trim(), "0", "{finished:?}");
    assert_eq!(finished.stdout.len(), 10);
}

#[tokio::test]
async fn the_demo_holds() {
    let desk = Desk::new().await;

    let finished = run_command(&mut desk.bare(&["demo"])).await;

    assert_eq!(finished.code, 0, "{}\n{}", finished.stdout, finished.stderr);
    for part in ["benji", "extole", "sent", "delivered"] {
        assert!(
            finished.stdout.to_lowercase().contains(part),
            "no `{part}` in\n{}",
            finished.stdout
        );
    }
    assert!(
        !finished.stdout.contains('\u{1b}'),
        "colours without a terminal"
    );
}

#[tokio::test]
async fn doctor_finds_nothing_wrong_here_and_names_what_is_wrong_elsewhere() {
    let desk = Desk::new().await;
    let mut no_relay = desk.towline(&["doctor"]);
    no_relay.env("TOWLINE_RELAY", "http://127.0.0.1:9");

    let well = desk.run(&["doctor"]).await;
    let ill = run_command(&mut no_relay).await;

    assert_eq!(well.code, 0, "{well:?}");
    assert_eq!(ill.code, RELAY_UNREACHABLE, "{ill:?}");
}

#[tokio::test]
async fn completions_are_written_for_every_shell() {
    let desk = Desk::new().await;

    for shell in ["bash", "zsh", "fish"] {
        let script = desk.done(&["completions", shell]).await;
        assert!(
            script.contains("towline") && script.contains("listen"),
            "{shell}: {script}"
        );
    }
}

fn assert_explained(finished: &Finished, code: i32, named: &str) {
    assert_eq!(finished.code, code, "{finished:?}");
    assert!(finished.stdout.is_empty(), "{finished:?}");
    assert!(finished.stderr.contains("error: "), "{finished:?}");
    assert!(
        finished.stderr.contains(named),
        "no `{named}` in {finished:?}"
    );
}
