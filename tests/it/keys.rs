//! Keys that open nothing: unknown, malformed and deleted ones look the same from outside.

use towline_tests::api::path_of;
use towline_tests::message::Message;
use towline_tests::relay::Relay;
use towline_tests::sender::{post, send};

#[tokio::test]
async fn unknown_malformed_and_deleted_keys_get_the_same_answer() {
    let relay = Relay::start().await;
    let api = relay.api();
    let deleted = path_of(&api.open_endpoint("gone").await);
    assert_eq!(
        send(relay.address(), &post(&deleted, b"x")).await.status(),
        200
    );
    assert_eq!(
        api.call("DELETE", "/v1/endpoints/gone", None)
            .await
            .status(),
        204
    );

    let mut answers = Vec::new();
    for path in [
        deleted.as_str(),
        "/in/00000000000000000000000000000000",
        "/in/short",
        "/in/",
        "/in/00000000000000000000000000000000/suffix?query",
        "/in/ILOU0000000000000000000000000000",
    ] {
        answers.push((
            path,
            without_date(&send(relay.address(), &post(path, b"x")).await),
        ));
    }

    for (path, answer) in &answers {
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert_eq!(answer, &answers[0].1, "{path} differs from a deleted key");
    }
}

#[tokio::test]
async fn the_same_name_made_again_has_another_key() {
    let relay = Relay::start().await;
    let api = relay.api();
    let first = path_of(&api.open_endpoint("again").await);
    api.call("DELETE", "/v1/endpoints/again", None).await;

    let second = path_of(&api.open_endpoint("again").await);

    assert_ne!(first, second);
    assert_eq!(
        send(relay.address(), &post(&first, b"x")).await.status(),
        404
    );
    assert_eq!(
        send(relay.address(), &post(&second, b"x")).await.status(),
        200
    );
    assert_eq!(api.events("again").await.len(), 1);
}

fn without_date(reply: &Message) -> String {
    let head: Vec<_> = String::from_utf8_lossy(&reply.head)
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("date:"))
        .map(str::to_owned)
        .collect();
    format!("{}\n{}", head.join("\n"), reply.text())
}
