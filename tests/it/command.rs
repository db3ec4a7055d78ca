//! The command as a person types it, against a real relay: what it prints, where, and how it ends.

use std::time::Duration;

use towline_tests::app::{App, Reply};
use towline_tests::desk::Desk;
use towline_tests::eventually::eventually;
use towline_tests::nodes::is_line;
use towline_tests::process::{Finished, Process, run_command};
use towline_tests::sender::{post, send};

const USAGE: i32 = 2;
const UNAUTHORISED: i32 = 10;
const FORBIDDEN: i32 = 11;
const NOT_FOUND: i32 = 12;
const INVALID_INPUT: i32 = 13;
const VERIFICATION_FAILED: i32 = 15;
const TARGET_UNREACHABLE: i32 = 16;
const RELAY_UNREACHABLE: i32 = 17;
const TAKEN_OVER: i32 = 18;
const INTERRUPTED: i32 = 130;

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
async fn listen_prints_the_url_first_then_two_lines_an_event() {
    let desk = Desk::new().await;
    let app = App::start().await;
    let mut listen = desk.start(&["listen", &app.url(), "--endpoint", "shop"]);
    let url = listen
        .wait_for_line("the public URL", |line| {
            line.starts_with("http://").then(|| line.to_owned())
        })
        .await;
    let path = url.splitn(4, '/').nth(3).unwrap();

    desk.send(&post(&format!("/{path}/orders"), b"{}")).await;
    listen
        .wait_for_line("the outcome", |line| line.contains("<-- 200").then_some(()))
        .await;

    let stdout = listen.stdout();
    assert_eq!(stdout[0], url, "the URL stands alone on the first line");
    assert!(
        stdout
            .iter()
            .any(|line| line.contains("--> POST /orders") || line.contains("--> POST /in/")),
        "{stdout:?}"
    );
    listen.signal("INT").await;
    assert_eq!(listen.end().await.code(), Some(0));
    assert!(
        stdout.iter().all(|line| !line.contains('\u{1b}')),
        "colours without a terminal"
    );
}

#[tokio::test]
async fn listen_writes_a_json_line_for_everything_that_happens() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let mut app = App::start().await;
    let arguments = [
        "listen",
        &app.url(),
        "--endpoint",
        "shop",
        "--as",
        "me",
        "--json",
    ];
    let mut listen = desk.start(&arguments);
    listen
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;

    desk.send(&post(&path, b"{}")).await;
    listen
        .wait_for_line("an outcome", |line| is_line(line, "outcome").then_some(()))
        .await;
    app.stop().await;
    desk.send(&post(&path, b"{}")).await;
    listen
        .wait_for_line("a wait", |line| is_line(line, "waiting").then_some(()))
        .await;
    listen.signal("INT").await;
    let status = listen.end().await;
    listen
        .wait_for_line("the summary", |line| is_line(line, "summary").then_some(()))
        .await;

    assert_eq!(status.code(), Some(0));
    for line in listen.stdout() {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["v"], 1, "{line}");
        assert!(value["type"].is_string(), "{line}");
    }
    let event = listen
        .stdout()
        .into_iter()
        .find(|line| is_line(line, "event"))
        .unwrap();
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    assert_eq!(
        (event["method"].as_str(), event["endpoint"].as_str()),
        (Some("POST"), Some("shop"))
    );
}

#[tokio::test]
async fn listen_without_a_relay_starts_one_here_and_says_so() {
    let desk = Desk::new().await;
    let app = App::start().await;
    let mut listen = Process::start_with(&mut desk.bare(&[
        "listen",
        &app.url(),
        "--endpoint",
        "shop",
        "--data",
        "own",
    ]));
    let url = listen
        .wait_for_line("the public URL", |line| {
            line.starts_with("http://127.0.0.1:")
                .then(|| line.to_owned())
        })
        .await;
    let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap();

    let reply = send(address.parse().unwrap(), &post(&format!("/{path}"), b"{}")).await;

    assert_eq!(reply.status(), 200);
    app.wait_for(1).await;
    let notices = listen.stderr().join("\n");
    assert!(
        notices.contains("only this machine") && notices.contains("towline serve"),
        "{notices}"
    );
    listen.signal("INT").await;
    assert_eq!(listen.end().await.code(), Some(0));
}

#[tokio::test]
async fn the_first_interrupt_waits_for_the_app_and_the_second_does_not() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let app = App::replying(|_, _| Reply::Hold).await;
    let arguments = [
        "listen",
        &app.url(),
        "--endpoint",
        "shop",
        "--as",
        "me",
        "--json",
    ];
    let mut listen = desk.start(&arguments);
    listen
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;
    desk.send(&post(&path, b"{}")).await;
    app.wait_for(1).await;

    listen.signal("INT").await;
    listen
        .wait_for_line("news of the drain", |line| {
            (line.contains("^C") || line.contains("notice") || line.contains("wait")).then_some(())
        })
        .await;
    listen.signal("INT").await;

    assert_eq!(listen.end().await.code(), Some(INTERRUPTED));
}

#[tokio::test]
async fn an_interrupt_lets_the_app_finish() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let app = App::replying(|_, _| {
        Reply::After(Duration::from_millis(300), Box::new(Reply::Status(200)))
    })
    .await;
    let arguments = [
        "listen",
        &app.url(),
        "--endpoint",
        "shop",
        "--as",
        "me",
        "--json",
    ];
    let mut listen = desk.start(&arguments);
    listen
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;
    desk.send(&post(&path, b"{}")).await;
    app.wait_for(1).await;

    listen.signal("INT").await;

    assert_eq!(listen.end().await.code(), Some(0));
    let summary = listen
        .wait_for_line("the summary", |line| {
            is_line(line, "summary").then(|| line.to_owned())
        })
        .await;
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(
        (summary["done"].as_u64(), summary["left"].as_u64()),
        (Some(1), Some(0)),
        "{summary}"
    );
}

#[tokio::test]
async fn a_client_whose_consumer_is_taken_over_ends_with_18() {
    let desk = Desk::new().await;
    desk.endpoint("shop").await;
    let arguments = ["listen", "9", "--endpoint", "shop", "--as", "me", "--json"];
    let mut first = desk.start(&arguments);
    first
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;

    let mut elsewhere = desk.towline(&arguments);
    elsewhere.env("HOME", desk.relay.folder());
    let mut second = Process::start_with(&mut elsewhere);
    second
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;

    assert_eq!(first.end().await.code(), Some(TAKEN_OVER));
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
