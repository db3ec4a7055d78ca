//! Heads are kept as they came, whatever the framing; what two readers may read in two ways is refused.

use towline_shared::event::HeadSource;

use super::TestRelay;
use crate::store::Body;

/// Requests whose head must be kept to the byte, with their body. `KEY` stands for the endpoint's key.
const KEPT: &[(&str, &str)] = &[
    (
        "POST /in/KEY HTTP/1.1\r\nHOST: a\r\nX-b:  two  \r\nx-B:\r\nContent-Length: 2\r\n\r\nhi",
        "hi",
    ),
    (
        "post /in/KEY/a//b/../c?x=%2F&x=2&y HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "",
    ),
    ("GET http://Example.com:80/in/KEY?q HTTP/1.1\r\n\r\n", ""),
    ("GET /in/KEY#fragment HTTP/1.1\r\n\r\n", ""),
    (
        "PUT /in/KEY HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhe\r\n03\r\nllo\r\n0\r\nT: x\r\n\r\n",
        "hello",
    ),
    (
        "DELETE /in/KEY HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
        "",
    ),
    (
        "M-SEARCH /in/KEY/@evil HTTP/1.1\r\nA: 1\r\nB: 2\r\na: 3\r\nb: 4\r\n\r\n",
        "",
    ),
    ("POST /in/KEY HTTP/1.1\r\nContent-Length: 0\r\n\r\n", ""),
    (
        "\r\n\r\nPOST /in/KEY HTTP/1.1\r\nContent-Length: 003\r\n\r\nabc",
        "abc",
    ),
];

#[tokio::test]
async fn pipelined_requests_are_kept_as_they_came() {
    let relay = TestRelay::start().await;
    let key = relay.endpoint.endpoint.key.as_str();
    let requests: Vec<_> = KEPT
        .iter()
        .map(|(request, _)| request.replace("KEY", key))
        .collect();

    let mut sender = relay.connect().await;
    sender.send(requests.concat().as_bytes()).await;
    for request in &requests {
        assert_eq!(sender.reply().await.status, 200, "{request}");
    }

    let events = relay.events().await;
    assert_eq!(events.len(), KEPT.len());
    for ((event, request), (_, body)) in events.iter().zip(&requests).zip(KEPT) {
        let request = request.trim_start();
        let head_end = request.find("\r\n\r\n").unwrap() + 4;
        assert_eq!(event.head, request[..head_end], "{request}");
        assert_eq!(event.info.head_source, HeadSource::Recorded, "{request}");
        let Body::Inline(kept) = &event.body else {
            panic!("short bodies are inline");
        };
        assert_eq!(kept, body, "{request}");
    }
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_kept_as_they_came() {
    let relay = TestRelay::start().await;
    let key = relay.endpoint.endpoint.key.as_str();

    for (request, body) in KEPT {
        let request = request.replace("KEY", key);
        let mut sender = relay.connect().await;
        for byte in request.as_bytes().chunks(1) {
            sender.send(byte).await;
        }
        assert_eq!(sender.reply().await.status, 200, "{request}");

        let event = relay.events().await.pop().unwrap();
        let head = request
            .trim_start()
            .split_inclusive("\r\n\r\n")
            .next()
            .unwrap();
        assert_eq!(event.head, head);
        assert_eq!(event.info.body_length, body.len() as u64);
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_nothing_is_kept() {
    let many_fields = format!("GET /in/KEY HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(129));
    let long_head = format!(
        "GET /in/KEY HTTP/1.1\r\na: {}\r\n\r\n",
        "b".repeat(64 * 1024)
    );
    let table = [
        (
            "bare LF",
            400,
            "POST /in/KEY HTTP/1.1\nContent-Length: 2\n\nhi",
        ),
        (
            "one bare LF",
            400,
            "POST /in/KEY HTTP/1.1\r\nA: b\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "bare LF before",
            400,
            "\nPOST /in/KEY HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "obs-fold",
            400,
            "POST /in/KEY HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        ),
        (
            "CL and TE",
            400,
            "POST /in/KEY HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "TE and CL",
            400,
            "POST /in/KEY HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        ),
        (
            "two CL",
            400,
            "POST /in/KEY HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        ),
        (
            "two equal CL",
            400,
            "POST /in/KEY HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            "CL list",
            400,
            "POST /in/KEY HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\nhi",
        ),
        (
            "+5",
            400,
            "POST /in/KEY HTTP/1.1\r\nContent-Length: +2\r\n\r\nhi",
        ),
        (
            "0x2",
            400,
            "POST /in/KEY HTTP/1.1\r\nContent-Length: 0x2\r\n\r\nhi",
        ),
        (
            "huge CL",
            400,
            "POST /in/KEY HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nhi",
        ),
        (
            "two TE",
            400,
            "POST /in/KEY HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "unknown TE",
            400,
            "POST /in/KEY HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "TE with VT",
            400,
            "POST /in/KEY HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "TE not last",
            400,
            "POST /in/KEY HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        ),
        (
            "TE in 1.0",
            400,
            "POST /in/KEY HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("NUL", 400, "POST /in/KEY HTTP/1.1\r\nA: \0\r\n\r\n"),
        ("CR", 400, "POST /in/KEY HTTP/1.1\r\nA: b\rc\r\n\r\n"),
        (
            "space before colon",
            400,
            "POST /in/KEY HTTP/1.1\r\nA : b\r\n\r\n",
        ),
        ("no name", 400, "POST /in/KEY HTTP/1.1\r\n: b\r\n\r\n"),
        ("no version", 400, "POST /in/KEY\r\n\r\n"),
        ("version", 400, "POST /in/KEY HTTP/3.0\r\n\r\n"),
        ("space in target", 400, "POST /in/KEY /b HTTP/1.1\r\n\r\n"),
        (
            "bad chunk size",
            400,
            "POST /in/KEY HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nhi\r\n0\r\n\r\n",
        ),
        (
            "bare LF in chunk",
            400,
            "POST /in/KEY HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n",
        ),
        (
            "chunk too long",
            400,
            "POST /in/KEY HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiii\r\n0\r\n\r\n",
        ),
        ("too many fields", 431, &many_fields),
        ("too long", 431, &long_head),
    ];
    let relay = TestRelay::start().await;
    let key = relay.endpoint.endpoint.key.as_str();

    for (what, status, request) in table {
        let mut sender = relay.connect().await;
        sender.send(request.replace("KEY", key).as_bytes()).await;
        let reply = sender.reply().await;
        let rest = sender.end().await;

        assert_eq!(reply.status, status, "{what}: {reply:?}");
        assert!(reply.has("connection: close"), "{what}: {reply:?}");
        assert_eq!(rest, b"", "{what}");
        assert_eq!(relay.events().await.len(), 0, "{what}");
    }
    relay.assert_next_connection_works().await;
}

#[tokio::test]
async fn heads_at_the_limits_are_taken() {
    let relay = TestRelay::start().await;
    let path = relay.path();
    let full_head = {
        let frame = format!("GET {path} HTTP/1.1\r\nA: \r\n\r\n").len();
        format!(
            "GET {path} HTTP/1.1\r\nA: {}\r\n\r\n",
            "b".repeat(64 * 1024 - frame)
        )
    };
    let many_fields = format!("GET {path} HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(128));

    for request in [full_head, many_fields] {
        let mut sender = relay.connect().await;
        sender.send(request.as_bytes()).await;

        assert_eq!(sender.reply().await.status, 200);
        assert_eq!(relay.events().await.pop().unwrap().head, request);
    }
}

#[tokio::test]
async fn other_codings_than_chunked_keep_the_librarys_view_and_end_the_connection() {
    let relay = TestRelay::start().await;
    let request = format!(
        "POST {} HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        relay.path()
    );

    let mut sender = relay.connect().await;
    sender.send(request.as_bytes()).await;
    let reply = sender.reply().await;
    sender.end().await;

    assert_eq!(reply.status, 200);
    assert!(reply.has("connection: close"));
    let event = relay.events().await.pop().unwrap();
    assert_eq!(event.info.head_source, HeadSource::Normalised);
    assert!(
        event
            .head
            .ends_with(b"transfer-encoding: gzip, chunked\r\n\r\n")
    );
}
