//! One below and one above each limit of time, size and number.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use towline_shared::api::{Ack, ChangeEndpoint};
use towline_shared::event::INLINE_BODY_BYTES;

use super::{IN_TIME, MAX_BODY, TestRelay};
use crate::store::Body;

/// Short enough to wait for, long enough for a loaded machine to send one packet.
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_body_at_the_limit_is_kept_and_one_byte_more_is_not() {
    let relay = TestRelay::start().await;
    let path = relay.path();
    let body = |length: u64| "b".repeat(usize::try_from(length).unwrap());

    let mut sender = relay.connect().await;
    let request = format!("POST {path} HTTP/1.1\r\nContent-Length: {MAX_BODY}\r\n\r\n");
    sender.send((request + &body(MAX_BODY)).as_bytes()).await;
    assert_eq!(sender.reply().await.status, 200);
    let above = MAX_BODY + 1;
    let by_length = format!("POST {path} HTTP/1.1\r\nContent-Length: {above}\r\n\r\n");
    let by_chunks = format!(
        "POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n1\r\n",
        MAX_BODY,
        body(MAX_BODY)
    );
    for (request, more) in [(by_length, "b"), (by_chunks, "b\r\n0\r\n\r\n")] {
        let mut sender = relay.connect().await;
        sender.send(request.as_bytes()).await;
        sender.send(more.as_bytes()).await;
        let reply = sender.reply().await;
        sender.end().await;

        assert_eq!(reply.status, 413);
        assert!(reply.has("connection: close"));
        assert!(reply.body.contains("body_too_large"), "{}", reply.body);
    }

    let events = relay.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].info.body_length, MAX_BODY);
    let Body::File(file) = &events[0].body else {
        panic!("a long body has a file of its own");
    };
    assert_eq!(
        std::fs::read(file.path()).unwrap(),
        body(MAX_BODY).as_bytes()
    );
    relay.assert_next_connection_works().await;
}

#[tokio::test]
async fn a_body_of_64_kib_is_kept_inline_and_one_byte_more_in_a_file() {
    let relay = TestRelay::start().await;
    let mut sender = relay.connect().await;

    for length in [INLINE_BODY_BYTES, INLINE_BODY_BYTES + 1] {
        let head = format!(
            "POST {} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n",
            relay.path()
        );
        sender.send(head.as_bytes()).await;
        sender.send(&vec![b'b'; length]).await;
        assert_eq!(sender.reply().await.status, 200);
    }

    let events = relay.events().await;
    assert!(matches!(events[0].body, Body::Inline(_)));
    assert!(matches!(events[1].body, Body::File(_)));
}

#[tokio::test]
async fn a_refusal_reaches_a_sender_that_goes_on_sending() {
    let relay = TestRelay::start().await;
    let request = format!(
        "POST {} HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n",
        relay.path()
    );

    let mut sender = relay.connect().await;
    sender.send(request.as_bytes()).await;
    for _ in 0..80 {
        sender.send(&[b'b'; 100_000]).await;
    }

    assert_eq!(sender.reply().await.status, 413);
}

#[tokio::test]
async fn an_expectation_is_met_when_the_body_may_come_and_not_when_it_is_too_long() {
    let relay = TestRelay::start().await;
    let head = |length: u64| {
        let path = relay.path();
        format!("POST {path} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
    };

    let mut sender = relay.connect().await;
    sender.send(head(2).as_bytes()).await;
    assert_eq!(sender.reply().await.status, 100);
    sender.send(b"hi").await;
    assert_eq!(sender.reply().await.status, 200);
    sender.send(head(MAX_BODY + 1).as_bytes()).await;
    assert_eq!(sender.reply().await.status, 413);
    sender.end().await;

    let events = relay.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].head, head(2));
}

#[tokio::test]
async fn a_slow_head_a_slow_start_and_a_silent_connection_are_closed_and_others_go_on() {
    let relay = TestRelay::start_with(|limits| {
        limits.first_byte_timeout = SHORT;
        limits.head_timeout = SHORT;
        limits.keep_alive_timeout = SHORT;
    })
    .await;
    let path = relay.path();
    let mut silent = relay.connect().await;
    let mut slow_head = relay.connect().await;
    slow_head.send(b"POST /in/x HTTP/1.1\r\nA: ").await;
    let mut bare_line_feed = relay.connect().await;
    bare_line_feed.send(b"POST /in/x HTTP/1.1\nA: ").await;
    let mut half_a_preface = relay.connect().await;
    half_a_preface.send(b"PRI * HT").await;
    let mut idle = relay.connect().await;
    idle.send(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())
        .await;
    assert_eq!(idle.reply().await.status, 200);

    relay.assert_next_connection_works().await;
    for sender in [
        &mut silent,
        &mut slow_head,
        &mut bare_line_feed,
        &mut half_a_preface,
        &mut idle,
    ] {
        assert_eq!(sender.end().await, b"");
    }
    relay.assert_next_connection_works().await;
}

#[tokio::test]
async fn a_slow_body_gets_408_and_nothing_is_kept() {
    let relay = TestRelay::start_with(|limits| limits.body_window = SHORT).await;
    let request = format!(
        "POST {} HTTP/1.1\r\nContent-Length: 100\r\n\r\nslow",
        relay.path()
    );

    let mut sender = relay.connect().await;
    sender.send(request.as_bytes()).await;
    let reply = sender.reply().await;
    sender.end().await;

    assert_eq!(reply.status, 408);
    assert!(reply.has("connection: close"));
    assert_eq!(relay.events().await.len(), 0);
}

#[tokio::test]
async fn a_sender_that_does_not_read_its_answers_is_cut_off() {
    let relay = TestRelay::start_with(|limits| limits.write_stall_timeout = SHORT).await;
    let change = ChangeEndpoint {
        ack: Some(Ack {
            body: Some("a".repeat(60_000)),
            ..Ack::default()
        }),
        ..ChangeEndpoint::default()
    };
    let endpoints = &relay.running.relay().endpoints;
    let name = &relay.endpoint.endpoint.name;
    endpoints.change(name, change).await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\n\r\n", relay.path());

    let mut sender = relay.connect().await;
    let cut_off = timeout(IN_TIME, async {
        while sender.stream.write_all(request.as_bytes()).await.is_ok() {}
    });

    assert!(cut_off.await.is_ok());
    relay.assert_next_connection_works().await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_of_its_address_is_closed_at_once() {
    let relay = TestRelay::start_with(|limits| limits.max_connections_per_address = 2).await;
    let request = format!("GET {} HTTP/1.1\r\n\r\n", relay.path());
    let mut first = relay.connect().await;
    first.send(request.as_bytes()).await;
    assert_eq!(first.reply().await.status, 200);
    let mut second = relay.connect().await;
    second.send(request.as_bytes()).await;
    assert_eq!(second.reply().await.status, 200);

    let mut third = relay.connect().await;
    assert_eq!(third.end().await, b"");

    second.send(request.as_bytes()).await;
    assert_eq!(second.reply().await.status, 200);
    drop(first);
    loop {
        let mut again = relay.connect().await;
        again.send(request.as_bytes()).await;
        if again.is_served().await {
            break;
        }
    }
}

#[tokio::test]
async fn a_body_that_is_cut_off_keeps_nothing() {
    let relay = TestRelay::start().await;
    let path = relay.path();

    for request in [
        format!("POST {path} HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf"),
        format!("POST {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ] {
        let mut sender = relay.connect().await;
        sender.send(request.as_bytes()).await;
        sender.finish().await;
        sender.end().await;
    }

    assert_eq!(relay.events().await.len(), 0);
}
