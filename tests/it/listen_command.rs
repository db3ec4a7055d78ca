//! `towline listen` as a person types it: what it prints, what ^C does, and what it does without a relay.

use std::time::Duration;

use towline_tests::app::{App, Reply};
use towline_tests::desk::Desk;
use towline_tests::nodes::is_line;
use towline_tests::process::Process;
use towline_tests::sender::{post, send};

const TAKEN_OVER: i32 = 18;
const INTERRUPTED: i32 = 130;

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
