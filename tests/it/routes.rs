//! Several apps behind one listener: each event goes to the first route that takes it, and what becomes of the rest.

use towline::listen::{Options, Route};
use towline_shared::outcome::{Outcome, Settled};
use towline_tests::app::App;
use towline_tests::desk::Desk;
use towline_tests::listening::{Listening, options};
use towline_tests::sender::post;

const INVALID_INPUT: i32 = 13;

#[tokio::test]
async fn each_event_goes_to_the_first_route_that_takes_it_and_the_rest_to_the_target() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let (rest, billing, users) = (App::start().await, App::start().await, App::start().await);
    let to_billing = format!(
        r#"json("/type") startsWith "invoice." = {}/billing"#,
        billing.url()
    );
    let to_users = format!(r#"json("/type") matches "*.new" = {}"#, users.url());
    let url = rest.url();
    let arguments = [
        "listen",
        &url,
        "--endpoint",
        "shop",
        "--route",
        &to_billing,
        "--route",
        &to_users,
    ];
    let mut listen = desk.start(&arguments);
    listen
        .wait_for_line("the public URL", |line| {
            line.starts_with("http://").then_some(())
        })
        .await;

    let mut ids = Vec::new();
    for kind in ["invoice.new", "user.new", "user.gone"] {
        ids.push(desk.send(&post(&path, typed(kind).as_bytes())).await);
    }

    assert_eq!(billing.wait_for(1).await[0].text(), typed("invoice.new"));
    assert_eq!(users.wait_for(1).await[0].text(), typed("user.new"));
    assert_eq!(rest.wait_for(1).await[0].text(), typed("user.gone"));
    listen
        .wait_for_line("the last outcome", |line| line.contains(&url).then_some(()))
        .await;
    let shown = desk.json(&["events", "show", &ids[0]]).await;
    let target = shown["attempts"][0]["target"].as_str().unwrap();
    assert!(
        target.starts_with(&format!("{}/billing", billing.url())),
        "{target}"
    );
}

#[tokio::test]
async fn what_no_route_takes_is_skipped_when_there_is_no_other_target() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let app = App::start().await;
    let file = format!(
        "endpoint = \"shop\"\n[[route]]\nwhen = 'body contains \"a\"'\nto = \"{}\"\n",
        app.url()
    );
    std::fs::write(desk.home().join(".towline.toml"), file).unwrap();
    let mut listen = desk.start(&["listen"]);
    listen
        .wait_for_line("the public URL", |line| {
            line.starts_with("http://").then_some(())
        })
        .await;

    desk.send(&post(&path, b"b")).await;
    desk.send(&post(&path, b"a")).await;

    listen
        .wait_for_line("a skipped event", |line| {
            line.contains("<-- skipped").then_some(())
        })
        .await;
    assert_eq!(app.wait_for(1).await[0].text(), "a");
    listen.signal("INT").await;
    assert_eq!(listen.end().await.code(), Some(0));
    listen
        .wait_for_line("what was skipped", |line| {
            line.contains("1 event skipped: no route takes")
                .then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_dead_target_holds_up_only_what_goes_there_when_order_is_given_up() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let (app, mut dead) = (App::start().await, App::start().await);
    let mut wishes = wishes(&desk, &app);
    wishes.routes = vec![Route {
        when: "body startsWith \"dead\"".parse().unwrap(),
        target: dead.url().parse().unwrap(),
    }];
    wishes.concurrency = 2;
    dead.stop().await;
    let client = Listening::start(wishes).await;

    for body in ["dead", "1", "2"] {
        desk.send(&post(&path, body.as_bytes())).await;
    }

    app.wait_for(2).await;
    dead.start_again().await;
    assert_eq!(dead.wait_for(1).await[0].text(), "dead");
    client.stop().await.unwrap();
}

#[tokio::test]
async fn a_skipped_event_is_settled_without_a_call() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let app = App::start().await;
    let mut wishes = wishes(&desk, &app);
    wishes.skips_unrouted = true;
    let client = Listening::start(wishes).await;

    desk.send(&post(&path, b"{}")).await;

    let attempts = client.wait_for_attempts(1).await;
    assert_eq!(attempts[0].outcome, Outcome::NoRoute);
    assert_eq!(attempts[0].settled, Some(Settled::Skipped));
    assert_eq!(client.stop().await.unwrap().skipped, 1);
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn a_target_that_is_not_on_this_machine_needs_leave() {
    let desk = Desk::new().await;
    let elsewhere = "http://192.0.2.1:3000";
    let route = format!("size > 1 = {elsewhere}");

    for arguments in [
        ["listen", elsewhere, "--endpoint", "shop"].as_slice(),
        &["listen", "3000", "--endpoint", "shop", "--route", &route],
    ] {
        let refused = desk.run(arguments).await;
        assert_eq!(refused.code, INVALID_INPUT, "{refused:?}");
        assert!(
            refused.stderr.contains("is not on this machine"),
            "{refused:?}"
        );
        assert!(
            refused.stderr.contains("--allow-remote-target"),
            "{refused:?}"
        );
        let allowed = [arguments, &["--allow-remote-target", "--print-url"]].concat();
        let allowed = desk.run(&allowed).await;
        assert_eq!(allowed.code, 0, "{allowed:?}");
        assert!(allowed.stderr.contains("warning:"), "{allowed:?}");
    }
    std::fs::write(
        desk.home().join(".towline.toml"),
        format!("target = \"{elsewhere}\"\n"),
    )
    .unwrap();
    let refused = desk.run(&["listen", "--endpoint", "shop"]).await;
    assert_eq!(refused.code, INVALID_INPUT, "{refused:?}");
}

fn wishes(desk: &Desk, app: &App) -> Options {
    let state = desk.relay.folder().join("state");
    options(
        desk.relay.address(),
        desk.api.token(),
        "shop",
        &app.url(),
        &state,
    )
}

fn typed(kind: &str) -> String {
    format!("{{\"type\":\"{kind}\"}}")
}
