//! Listeners that want some events only: each app gets its own, also after restarts, and a mistake is pointed at.

use towline_shared::api::ConsumerView;
use towline_shared::filter::Filter;
use towline_shared::id::Seq;
use towline_tests::api::path_of;
use towline_tests::app::App;
use towline_tests::desk::Desk;
use towline_tests::eventually::eventually;
use towline_tests::listening::{Listening, options};
use towline_tests::nodes::is_line;
use towline_tests::sender::post;

const INVALID_INPUT: i32 = 13;

#[tokio::test]
async fn two_listeners_with_different_filters_both_get_theirs() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let (billing, users) = (App::start().await, App::start().await);
    let invoices = r#"json("/type") startsWith "invoice.""#;
    let others = r#"not (json("/type") startsWith "invoice.")"#;
    let mut listening = Vec::new();
    for (name, app, filter) in [("billing", &billing, invoices), ("users", &users, others)] {
        let url = app.url();
        let arguments = [
            "listen",
            &url,
            "--endpoint",
            "shop",
            "--as",
            name,
            "--filter",
            filter,
        ];
        let mut process = desk.start(&arguments);
        process
            .wait_for_line("the public URL", |line| {
                line.starts_with("http://").then_some(())
            })
            .await;
        listening.push(process);
    }

    for kind in ["invoice.paid", "user.new", "invoice.void", "user.gone"] {
        desk.send(&post(&path, typed(kind).as_bytes())).await;
    }

    billing.wait_for(2).await;
    users.wait_for(2).await;
    assert_eq!(
        bodies(&billing),
        [typed("invoice.paid"), typed("invoice.void")]
    );
    assert_eq!(bodies(&users), [typed("user.new"), typed("user.gone")]);
    assert_eq!(settled(&desk, "billing", 4).await.filtered, 2);
    let notices = listening[0].stderr().join("\n");
    assert!(notices.contains(invoices), "{notices}");
}

#[tokio::test]
async fn a_filter_resumes_after_restarts_and_counts_what_it_left_out() {
    let mut desk = Desk::new().await;
    let path = path_of(&desk.api.open_endpoint("shop").await);
    let app = App::start().await;
    let state = desk.relay.folder().join("state");
    let mut wishes = options(
        desk.relay.address(),
        desk.api.token(),
        "shop",
        &app.url(),
        &state,
    );
    wishes.filter = Some(Filter::parse(r#"body contains "invoice""#).unwrap());
    let client = Listening::start(wishes.clone()).await;
    desk.send(&post(&path, b"user")).await;
    desk.send(&post(&path, b"invoice 1")).await;
    client.wait_for_attempts(1).await;
    let first = client.stop().await.unwrap();
    desk.send(&post(&path, b"user")).await;
    desk.relay.stop().await;
    desk.relay.start_again().await;

    let client = Listening::start(wishes).await;
    desk.send(&post(&path, b"invoice 2")).await;
    desk.send(&post(&path, b"user")).await;
    client.wait_for_attempts(1).await;
    assert_eq!(settled(&desk, "laptop", 5).await.filtered, 3);
    let second = client.stop().await.unwrap();

    assert_eq!(bodies(&app), ["invoice 1", "invoice 2"]);
    assert_eq!((first.done, second.done), (1, 1));
}

#[tokio::test]
async fn what_is_left_out_is_a_json_line() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let app = App::start().await;
    let url = app.url();
    let arguments = [
        "listen",
        &url,
        "--endpoint",
        "shop",
        "-e",
        "push,issues",
        "--json",
    ];
    let mut listen = desk.start(&arguments);
    listen
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;

    desk.send(&post(&path, b"{}")).await;

    let line = listen
        .wait_for_line("a filtered line", |line| {
            is_line(line, "filtered").then(|| line.to_owned())
        })
        .await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["more"], &line["through"]), (&1.into(), &1.into()));
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_pointed_at_before_anything_is_connected() {
    let desk = Desk::new().await;

    let finished = desk
        .run(&[
            "listen",
            "3000",
            "--filter",
            r#"json("/type") startWith "invoice.""#,
        ])
        .await;

    assert_eq!(finished.code, INVALID_INPUT, "{finished:?}");
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert!(lines[0].contains("`--filter` cannot be read"), "{lines:?}");
    assert!(lines[0].contains("startsWith"), "{lines:?}");
    assert_eq!(lines[1], r#"    json("/type") startWith "invoice.""#);
    assert_eq!(lines[2], "                  ^");
    std::fs::write(
        desk.home().join(".towline.toml"),
        "events = [\"push\", \"\"]\n",
    )
    .unwrap();
    let finished = desk.run(&["listen", "3000"]).await;
    assert_eq!(finished.code, INVALID_INPUT, "{finished:?}");
    assert!(finished.stderr.contains("`events` in `"), "{finished:?}");
}

#[tokio::test]
async fn lists_and_tails_give_only_what_the_filter_means() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let arguments = ["events", "tail", "--filter", "body contains \"7\""];
    let mut tail = desk.start(&arguments);
    tail.wait_for_line("the stream", |line| {
        line.contains("waiting for events").then_some(())
    })
    .await;
    let mut ids = Vec::new();
    for number in 0..20 {
        let body = format!("{{\"n\":{number}}}");
        ids.push(desk.send(&post(&path, body.as_bytes())).await);
    }

    let over = r#"json("/n") >= 17"#;
    let listed = desk
        .done(&["events", "list", "--json", "--limit", "2", "--filter", over])
        .await;

    assert_eq!(listed_ids(&listed), [ids[19].clone(), ids[18].clone()]);
    let all = desk
        .done(&["events", "list", "--json", "--all", "--filter", over])
        .await;
    assert_eq!(
        listed_ids(&all),
        [ids[19].clone(), ids[18].clone(), ids[17].clone()]
    );
    let none = desk.run(&["events", "list", "--filter", "size > 99"]).await;
    assert!(none.stderr.contains("no events"), "{none:?}");
    for id in [&ids[7], &ids[17]] {
        tail.wait_for_line("a tailed event", |line| {
            line.contains(id.as_str()).then_some(())
        })
        .await;
    }
    let shown = tail.stdout().join("\n");
    assert!(
        !shown.contains(&ids[6]) && !shown.contains(&ids[16]),
        "{shown}"
    );
    let refused = desk.api.call("GET", "/v1/events?filter=size", None).await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().contains("column 5"), "{}", refused.text());
}

fn typed(kind: &str) -> String {
    format!("{{\"type\":\"{kind}\"}}")
}

fn bodies(app: &App) -> Vec<String> {
    app.seen().iter().map(|message| message.text()).collect()
}

/// The consumer, once everything up to this place is settled.
async fn settled(desk: &Desk, consumer: &str, seq: u64) -> ConsumerView {
    eventually("the cursor moves", async || {
        let consumers = desk.api.consumers("shop").await.consumers;
        consumers
            .into_iter()
            .find(|view| view.name.as_str() == consumer && view.cursor == Seq(seq))
    })
    .await
}

fn listed_ids(lines: &str) -> Vec<String> {
    let id = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["id"].as_str().unwrap().to_owned()
    };
    lines.lines().map(id).collect()
}
