//! Whatever a stranger puts into a request, nothing that it could do to a terminal reaches one.

use towline_tests::app::{App, Reply};
use towline_tests::desk::Desk;
use towline_tests::eventually::eventually;

#[tokio::test]
async fn control_characters_are_escaped_wherever_they_are_printed() {
    let desk = Desk::new().await;
    let path = desk.endpoint("shop").await;
    let hostile = "\u{9b}31m \u{202e}evil\u{2066} \u{200b}\u{feff}";
    let body = format!("\u{1b}[31mred\u{1b}]0;title\u{7}\r\u{8}\u{7f}\0{hostile}");
    let request = format!(
        "POST {path}/{}?\u{9b}2J HTTP/1.1\r\nHost: h\r\nX-Evil: {hostile}\r\nX-Github-Event: {hostile}\r\nContent-Length: {}\r\n\r\n{body}",
        "\u{202e}",
        body.len()
    );
    let app = App::replying(move |_, _| {
        let reply =
            "HTTP/1.1 418 \u{9b}31m\r\nX-Evil: \u{202e}\r\nContent-Length: 5\r\n\r\n\u{1b}[2J!";
        Reply::Raw(reply.into())
    })
    .await;
    let mut listen = desk.start(&["listen", &app.url(), "--endpoint", "shop", "--as", "me"]);
    listen
        .wait_for_line("the session", |line| {
            line.starts_with("http://").then_some(())
        })
        .await;

    let id = desk.send(request.as_bytes()).await;
    listen
        .wait_for_line("the outcome", |line| line.contains("418").then_some(()))
        .await;
    eventually("the outcome is kept", async || {
        let event = desk.api.event(id.parse().unwrap()).await;
        (!event.attempts.is_empty()).then_some(())
    })
    .await;

    for (what, text) in [
        (
            "listen",
            listen.stdout().join("\n") + &listen.stderr().join("\n"),
        ),
        ("events list", desk.done(&["events", "list"]).await),
        ("events show", desk.done(&["events", "show", &id]).await),
        (
            "events diff",
            desk.run(&["events", "diff", &id]).await.stdout,
        ),
        ("events curl", desk.done(&["events", "curl", &id]).await),
        (
            "events list --json",
            desk.done(&["events", "list", "--json"]).await,
        ),
    ] {
        let dangerous: Vec<_> = text
            .chars()
            .filter(|letter| is_dangerous(*letter))
            .collect();
        assert!(
            dangerous.is_empty(),
            "{what}: {dangerous:?} in {}",
            text.escape_debug()
        );
    }
}

/// Control characters but line ends, and those that turn the direction of text or hide in it.
fn is_dangerous(letter: char) -> bool {
    let is_hidden = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    (letter.is_control() && letter != '\n') || is_hidden
}
