//! Bodies over the limit, and senders that take their time: each ends at its own limit and disturbs nobody else.

use std::time::Duration;

use towline_tests::api::{path_of, unchecked};
use towline_tests::fault_proxy::{Fault, FaultProxy};
use towline_tests::relay::Relay;
use towline_tests::sender::{Sender, post, send};

/// A limit that a test can wait for.
const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_its_length() {
    let relay = Relay::start().await;
    let api = relay.api();
    let limited = towline_shared::api::CreateEndpoint {
        max_body: Some(1000),
        ..unchecked("small")
    };
    let path = path_of(&api.create_endpoint(&limited).await);
    let in_chunks = |length: usize| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunks = "1\r\nx\r\n".repeat(length);
        format!("{head}{chunks}0\r\n\r\n").into_bytes()
    };

    assert_eq!(
        send(relay.address(), &post(&path, &[b'x'; 1000]))
            .await
            .status(),
        200
    );
    assert_eq!(send(relay.address(), &in_chunks(1000)).await.status(), 200);
    for too_long in [post(&path, &[b'x'; 1001]), in_chunks(1001)] {
        let mut sender = Sender::connect(relay.address()).await;
        let reply = sender.exchange(&too_long).await;
        assert_eq!(reply.status(), 413);
        assert_eq!(reply.json()["status"], 413);
        assert!(
            sender.read_to_end().await.is_empty(),
            "the connection goes on"
        );
    }

    let lengths: Vec<_> = api
        .events("small")
        .await
        .iter()
        .map(|event| event.info.body_length)
        .collect();
    assert_eq!(lengths, [1000, 1000]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_while_it_streams() {
    let relay = Relay::with(|config| config.limits.max_body_bytes = 1_000_000).await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("small").await);
    let mut sender = Sender::connect(relay.address()).await;

    let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    sender.send(head.as_bytes()).await;
    for _ in 0..11 {
        sender.send(b"186a0\r\n").await;
        sender.send(&[b'x'; 100_000]).await;
        sender.send(b"\r\n").await;
    }

    assert_eq!(
        sender.reply().await.status(),
        413,
        "without the end of the body"
    );
    assert!(api.events("small").await.is_empty());
    let bodies = std::fs::read_dir(relay.data().join("bodies"));
    let left = bodies.map_or(0, |folder| {
        folder
            .filter_map(Result::ok)
            .filter(|entry| entry.path().is_file())
            .count()
    });
    assert_eq!(left, 0, "files of refused bodies are left");
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_the_body() {
    let relay = Relay::start().await;
    let path = path_of(&relay.api().open_endpoint("small").await);

    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        25 * 1024 * 1024 + 1
    );
    let reply = send(relay.address(), head.as_bytes()).await;

    assert_eq!(reply.status(), 413);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let relay = Relay::with(|config| config.limits.first_byte_timeout = SHORT).await;

    let said = Sender::connect(relay.address()).await.read_to_end().await;

    assert!(said.is_empty(), "{}", said.escape_ascii());
}

#[tokio::test]
async fn a_head_that_stops_is_closed_at_the_limit_and_others_go_on() {
    let relay = Relay::with(|config| config.limits.head_timeout = SHORT).await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("slow").await);
    let mut slow = Sender::connect(relay.address()).await;

    slow.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nX-").as_bytes())
        .await;
    assert_eq!(
        send(relay.address(), &post(&path, b"other")).await.status(),
        200
    );
    slow.read_to_end().await;

    assert_eq!(api.events("slow").await.len(), 1);
}

#[tokio::test]
async fn a_head_that_trickles_is_closed_at_the_limit() {
    let relay = Relay::with(|config| config.limits.head_timeout = SHORT).await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("slow").await);
    let slow_line = FaultProxy::start(relay.address()).await;
    slow_line.set(Fault::Trickle {
        bytes: 1,
        pause: Duration::from_millis(20),
    });
    let mut slow = Sender::connect(slow_line.address()).await;

    slow.send(&post(&path, b"too slow")).await;
    slow.read_to_end().await;

    assert!(api.events("slow").await.is_empty());
}

#[tokio::test]
async fn a_body_below_the_floor_is_closed_and_others_go_on() {
    let relay = Relay::with(|config| config.limits.body_window = SHORT).await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("slow").await);
    let mut slow = Sender::connect(relay.address()).await;

    slow.send(
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nbeginning")
            .as_bytes(),
    )
    .await;
    assert_eq!(
        send(relay.address(), &post(&path, b"other")).await.status(),
        200
    );
    let answer = slow.read_to_end().await;

    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"),
        "{}",
        answer.escape_ascii()
    );
    let lengths: Vec<_> = api
        .events("slow")
        .await
        .iter()
        .map(|event| event.info.body_length)
        .collect();
    assert_eq!(lengths, [5]);
}

#[tokio::test]
async fn a_connection_between_two_requests_is_closed_at_the_limit() {
    let relay = Relay::with(|config| config.limits.keep_alive_timeout = SHORT).await;
    let path = path_of(&relay.api().open_endpoint("slow").await);
    let mut sender = Sender::connect(relay.address()).await;

    assert_eq!(sender.exchange(&post(&path, b"one")).await.status(), 200);

    assert!(sender.read_to_end().await.is_empty());
}

#[tokio::test]
async fn one_address_has_a_bounded_number_of_connections() {
    let relay = Relay::with(|config| config.limits.max_connections_per_address = 3).await;
    let path = path_of(&relay.api().open_endpoint("many").await);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut sender = Sender::connect(relay.address()).await;
        assert_eq!(sender.exchange(&post(&path, b"x")).await.status(), 200);
        held.push(sender);
    }

    let mut one_more = Sender::connect(relay.address()).await;
    one_more.send(&post(&path, b"x")).await;
    one_more.read_to_end().await;

    assert_eq!(
        held[0].exchange(&post(&path, b"x")).await.status(),
        200,
        "the others go on"
    );
}
