//! Requests that are not HTTP as it should be: refused by the parser, nothing kept, the connection closed, the
//! next one works.

use towline_tests::api::{Api, path_of};
use towline_tests::eventually::in_time;
use towline_tests::message::find;
use towline_tests::relay::Relay;
use towline_tests::sender::{Sender, post, send};

/// Requests and why they are refused; `{in}` stands for the endpoint's path.
const MALFORMED: &[(&str, &[u8])] = &[
    ("line ends without CR", b"POST {in} HTTP/1.1\nHost: h\nContent-Length: 0\n\n"),
    ("one line end without CR", b"POST {in} HTTP/1.1\r\nHost: h\nContent-Length: 0\r\n\r\n"),
    ("a folded line", b"POST {in} HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n"),
    ("a length and chunks", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunks and a length", b"POST {in} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("a list of lengths", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length: 2, 3\r\n\r\nabc"),
    ("a length with a sign", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nabcde"),
    ("a negative length", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"),
    ("a length in hex", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nabcde"),
    ("a length beyond any number", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
    ("an empty length", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n"),
    ("a coding that is not chunked", b"POST {in} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("chunked that is not last", b"POST {in} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("chunked twice", b"POST {in} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunks in HTTP/1.0", b"POST {in} HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("NUL in a value", b"POST {in} HTTP/1.1\r\nHost: h\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n"),
    ("CR in a value", b"POST {in} HTTP/1.1\r\nHost: h\r\nX-A: a\rb\r\nContent-Length: 0\r\n\r\n"),
    ("DEL in a value", b"POST {in} HTTP/1.1\r\nHost: h\r\nX-A: a\x7fb\r\nContent-Length: 0\r\n\r\n"),
    ("an escape in a value", b"POST {in} HTTP/1.1\r\nHost: h\r\nX-A: \x1b[31m\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in a name", b"POST {in} HTTP/1.1\r\nHost: h\r\nX\0A: 1\r\nContent-Length: 0\r\n\r\n"),
    ("a space in a name", b"POST {in} HTTP/1.1\r\nHost: h\r\nX A: 1\r\nContent-Length: 0\r\n\r\n"),
    ("a space before the colon", b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length : 0\r\n\r\n"),
    ("an empty name", b"POST {in} HTTP/1.1\r\nHost: h\r\n: 1\r\nContent-Length: 0\r\n\r\n"),
    ("a line without a colon", b"POST {in} HTTP/1.1\r\nHost: h\r\nX-A\r\nContent-Length: 0\r\n\r\n"),
    ("a name that is not ASCII", b"POST {in} HTTP/1.1\r\nHost: h\r\nX-\xc3\xa9: 1\r\nContent-Length: 0\r\n\r\n"),
    ("no version", b"POST {in}\r\nHost: h\r\n\r\n"),
    ("a version in small letters", b"POST {in} http/1.1\r\nHost: h\r\n\r\n"),
    ("an unknown version", b"POST {in} HTTP/3.7\r\nHost: h\r\n\r\n"),
    ("a method that is no token", b"P(ST {in} HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a control character in the target", b"POST {in}/\x01 HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a space in the target", b"POST {in}/a b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a chunk size that is none", b"POST {in} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size beyond any number", b"POST {in} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n"),
    ("a chunk longer than its size", b"POST {in} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n"),
];

#[tokio::test]
async fn a_malformed_request_is_refused_and_nothing_is_kept() {
    let (relay, api, path) = relay().await;

    let mut wrong = Vec::new();
    for (what, request) in MALFORMED {
        let answer = refused(&relay, &filled(request, &path)).await;
        if !matches!(answer, 400 | 413 | 414 | 431 | 501 | 505) {
            wrong.push(format!("{what}: {answer}"));
        }
        let kept = api.events("odd").await.len();
        if kept > 0 {
            wrong.push(format!("{what}: kept"));
            break;
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        send(relay.address(), &post(&path, b"good")).await.status(),
        200
    );
}

#[tokio::test]
async fn what_follows_a_malformed_request_on_its_connection_is_not_read() {
    let (relay, api, path) = relay().await;
    let smuggled = post(&path, b"smuggled");
    let head = b"POST {in} HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

    refused(&relay, &[&filled(head, &path)[..], &smuggled].concat()).await;

    assert!(api.events("odd").await.is_empty());
}

#[tokio::test]
async fn bytes_that_are_no_request_at_all_end_the_connection() {
    let (relay, api, path) = relay().await;

    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        &[0xff; 300],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame of HTTP/2",
    ] {
        let mut sender = Sender::connect(relay.address()).await;
        sender.send(garbage).await;
        sender.finish().await;
        sender.read_to_end().await;
    }

    assert!(api.events("odd").await.is_empty());
    assert_eq!(
        send(relay.address(), &post(&path, b"good")).await.status(),
        200
    );
}

#[tokio::test]
async fn a_head_has_at_most_128_fields() {
    let (relay, api, path) = relay().await;
    let with_fields = |count: usize| {
        let more = "X-A: 1\r\n".repeat(count - 2);
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n{more}\r\n").into_bytes()
    };

    assert_eq!(send(relay.address(), &with_fields(128)).await.status(), 200);
    let answer = refused(&relay, &with_fields(129)).await;

    assert!(matches!(answer, 400 | 431), "{answer}");
    assert_eq!(api.events("odd").await.len(), 1);
}

#[tokio::test]
async fn a_head_has_at_most_64_kib() {
    let (relay, api, path) = relay().await;
    let of_length = |length: usize| {
        let frame =
            format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nX-A: \r\n\r\n");
        frame
            .replace(
                "X-A: ",
                &format!("X-A: {}", "a".repeat(length - frame.len())),
            )
            .into_bytes()
    };

    assert_eq!(
        send(relay.address(), &of_length(64 * 1024)).await.status(),
        200
    );
    let answer = refused(&relay, &of_length(64 * 1024 + 1)).await;

    assert!(matches!(answer, 400 | 431), "{answer}");
    assert_eq!(api.events("odd").await.len(), 1);
}

/// Sends a request that must not be taken; gives the status, after the relay has closed the connection.
async fn refused(relay: &Relay, request: &[u8]) -> u16 {
    let mut sender = Sender::connect(relay.address()).await;
    sender.send(request).await;
    let answer = in_time(
        "the refusal and the end of the connection",
        sender.read_to_end(),
    )
    .await;
    assert!(
        find(&answer[answer.len().min(1)..], b"HTTP/1.1 ").is_none(),
        "more than one answer: {}",
        answer.escape_ascii()
    );
    let status = answer.get(9..12).unwrap_or_default();
    std::str::from_utf8(status)
        .unwrap_or_default()
        .parse()
        .unwrap_or(0)
}

fn filled(request: &[u8], path: &str) -> Vec<u8> {
    let at = find(request, b"{in}").unwrap();
    [&request[..at], path.as_bytes(), &request[at + 4..]].concat()
}

async fn relay() -> (Relay, Api, String) {
    let relay = Relay::start().await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("odd").await);
    (relay, api, path)
}
