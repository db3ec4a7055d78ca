//! Requests that the relay turned away: no consumer gets them, and the person who waits for them hears of them.

use towline_tests::app::App;
use towline_tests::desk::Desk;
use towline_tests::eventually::eventually;
use towline_tests::sender::{post, send};

#[tokio::test]
async fn listen_tells_of_a_wrong_signature_and_why_it_is_wrong() {
    let desk = Desk::new().await;
    let path = checking_endpoint(&desk).await;
    let app = App::start().await;
    let mut listen = desk.start(&["listen", &app.url(), "--endpoint", "shop", "--as", "me"]);
    listen
        .wait_for_line("the session", |line| {
            line.starts_with("http://").then_some(())
        })
        .await;

    // The listener hears of what is turned away on a second way, which may open a moment later.
    eventually("the rejection is told", async || {
        send_in_vain(&desk, &post(&path, b"{}")).await;
        let told = listen.stdout().iter().any(|line| line.contains("--x POST"));
        told.then_some(())
    })
    .await;

    let stdout = listen.stdout().join("\n");
    assert!(stdout.contains("FAILED github"), "{stdout}");
    assert!(stdout.contains("cause:"), "{stdout}");
    assert_eq!(app.count(), 0, "the app got a rejected request");
    listen.signal("INT").await;
    assert_eq!(listen.end().await.code(), Some(0));
}

#[tokio::test]
async fn a_tail_of_rejected_events_is_silent_about_all_others() {
    let desk = Desk::new().await;
    let open = desk.endpoint("open").await;
    let path = checking_endpoint(&desk).await;
    let mut tail = desk.start(&["events", "tail", "--rejected", "--json"]);

    eventually("the rejection is told", async || {
        desk.send(&post(&open, b"fine")).await;
        send_in_vain(&desk, &post(&path, b"{}")).await;
        (!tail.stdout().is_empty()).then_some(())
    })
    .await;

    for line in tail.stdout() {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["is_deliverable"], false, "{line}");
    }
    tail.kill().await;
}

async fn checking_endpoint(desk: &Desk) -> String {
    std::fs::write(desk.home().join("secret"), "a secret").unwrap();
    let made = desk
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
    let url = made["url"].as_str().unwrap();
    format!("/{}", url.splitn(4, '/').nth(3).unwrap())
}

/// Sends a request that is to be turned away.
async fn send_in_vain(desk: &Desk, request: &[u8]) {
    let reply = send(desk.relay.address(), request).await;
    assert_eq!(reply.status(), 401);
}
