//! Consumers as a person sees and moves them.

use towline_tests::app::App;
use towline_tests::desk::Desk;
use towline_tests::nodes::is_line;
use towline_tests::process::Process;
use towline_tests::sender::post;

const NOT_FOUND: i32 = 12;
const INVALID_INPUT: i32 = 13;

#[tokio::test]
async fn a_consumer_is_listed_shown_moved_back_and_its_app_gets_everything_again() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let app = App::start().await;
    let mut listen = start(&desk, &app).await;
    for body in [b"1", b"2"] {
        desk.send(&post(&path, body)).await;
    }
    app.wait_for(2).await;

    let status = desk.done(&["status"]).await;
    let list = desk.done(&["consumers", "list"]).await;
    let reset = ["consumers", "reset", "shop", "me", "--to", "beginning"];
    desk.done(&reset).await;
    let seen = app.wait_for(4).await;
    let shown = desk.json(&["consumers", "show", "shop", "me"]).await;

    assert!(status.contains("shop"), "{status}");
    assert!(status.contains("1 connected consumer"), "{status}");
    assert!(list.contains("me") && list.contains("admin"), "{list}");
    let bodies: Vec<_> = seen.iter().map(|message| message.text()).collect();
    assert_eq!(bodies, ["1", "2", "1", "2"]);
    assert_eq!(shown["endpoint"], "shop");
    assert_eq!(shown["session"]["token"], "admin");
    listen.kill().await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let desk = Desk::new().await;
    desk.endpoint("shop").await;

    let nobody = desk.run(&["consumers", "show", "shop", "me"]).await;
    let nowhere = desk.run(&["consumers", "list", "nowhere"]).await;

    assert_eq!(nobody.code, NOT_FOUND);
    assert!(nobody.stderr.contains("no consumer `me`"), "{nobody:?}");
    assert!(nobody.stderr.contains("hint: it has none"), "{nobody:?}");
    assert_eq!(nowhere.code, NOT_FOUND, "{nowhere:?}");
}

#[tokio::test]
async fn a_time_that_lies_ahead_is_refused() {
    let desk = Desk::new().await;
    let app = App::start().await;
    desk.endpoint("shop").await;
    let mut listen = start(&desk, &app).await;
    listen.signal("INT").await;
    listen.end().await;

    let future = "2999-01-01T00:00:00Z";
    let refused = desk
        .run(&["consumers", "reset", "shop", "me", "--to", future])
        .await;
    let deleted = desk
        .done(&["consumers", "delete", "shop", "me", "--json"])
        .await;

    assert_eq!(refused.code, INVALID_INPUT, "{refused:?}");
    assert!(refused.stderr.contains("lies ahead"), "{refused:?}");
    assert!(deleted.contains("me"), "{deleted}");
}

async fn start(desk: &Desk, app: &App) -> Process {
    let url = app.url();
    let arguments = ["listen", &url, "--endpoint", "shop", "--as", "me", "--json"];
    let mut listen = desk.start(&arguments);
    listen
        .wait_for_line("ready", |line| is_line(line, "ready").then_some(()))
        .await;
    listen
}
