//! What the sender wrote is what the app reads, byte for byte but for the listed changes of a hop
//! (ARCHITECTURE.md), through real sockets. The expectation is written by hand in the table, not computed.

mod rows;

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use towline_shared::event::HeadSource;
use towline_tests::api::{Api, path_of};
use towline_tests::app::App;
use towline_tests::eventually::in_time;
use towline_tests::listening::{Listening, options};
use towline_tests::message::Message;
use towline_tests::relay::Relay;
use towline_tests::sender::{Sender, send};

use rows::{Row, pattern};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn every_odd_request_arrives_as_it_was_sent() {
    let journey = Journey::start().await;
    let rows = rows::all();
    assert!(rows.len() >= 60, "the table has {} rows", rows.len());

    let mut wrong = Vec::new();
    for row in rows {
        if let Err(difference) = journey.deliver(&row).await {
            wrong.push(format!("{}: {difference}", row.name));
        }
    }

    assert!(
        wrong.is_empty(),
        "{} rows differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn every_head_is_the_recorded_one() {
    let journey = Journey::start().await;
    let rows = rows::all();

    let mut normalised = Vec::new();
    for row in rows {
        let before = journey.app.count();
        let mut sender = Sender::connect(journey.relay.address()).await;
        sender.send(&journey.filled(&row.sent)).await;
        journey.app.wait_for(before + 1).await;
        let newest = journey.api.events("odd").await.remove(0);
        if newest.info.head_source != HeadSource::Recorded {
            normalised.push(row.name);
        }
    }

    assert!(normalised.is_empty(), "not recorded: {normalised:?}");
}

#[tokio::test]
async fn a_head_and_body_that_come_byte_by_byte_arrive_whole() {
    let journey = Journey::start().await;
    let sent = journey.filled(b"POST {in}/shreds?a HTTP/1.1\r\nhOST: h\r\nX-Twice: 1\r\nTransfer-Encoding: chunked\r\nx-twice: 2\r\n\r\n4\r\nab\r\n\r\n1;x\r\nc\r\n0\r\n\r\n");
    let mut sender = Sender::connect(journey.relay.address()).await;

    for byte in sent {
        sender.send(&[byte]).await;
        tokio::task::yield_now().await;
    }

    assert_eq!(sender.reply().await.status(), 200);
    let seen = journey.app.wait_for(1).await;
    let head = "POST /shreds?a HTTP/1.1\r\nhOST: h\r\nX-Twice: 1\r\nTransfer-Encoding: chunked\r\nx-twice: 2\r\n\r\n";
    assert_eq!(String::from_utf8_lossy(&seen[0].head), head);
    assert_eq!(seen[0].body, b"ab\r\nc");
}

#[tokio::test]
async fn pipelined_requests_arrive_one_by_one_in_order() {
    let journey = Journey::start().await;
    let mut together = Vec::new();
    for number in 0..20 {
        let (framing, body) = match number % 3 {
            0 => ("Content-Length: 2\r\n", "ok"),
            1 => ("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
            _ => ("", ""),
        };
        let text = format!(
            "POST {{in}}/{number} HTTP/1.1\r\nX-N{number}: {number}\r\nhost: h\r\n{framing}\r\n{body}"
        );
        together.extend(journey.filled(text.as_bytes()));
    }
    let mut sender = Sender::connect(journey.relay.address()).await;

    sender.send(&together).await;
    for _ in 0..20 {
        assert_eq!(sender.reply().await.status(), 200);
    }

    let seen = journey.app.wait_for(20).await;
    for (number, message) in seen.iter().enumerate() {
        let head = String::from_utf8_lossy(&message.head);
        let start = format!("POST /{number} HTTP/1.1\r\nX-N{number}: {number}\r\nhost: h\r\n");
        assert!(head.starts_with(&start), "{head}");
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_open_carries_many_different_requests() {
    let journey = Journey::start().await;
    let mut sender = Sender::connect(journey.relay.address()).await;

    for number in 0..30 {
        let body = pattern(number * 700);
        let text = format!(
            "PUT {{in}}?n={number} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\nX-n: {number}\r\n\r\n",
            body.len()
        );
        let reply = sender
            .exchange(&[&journey.filled(text.as_bytes())[..], &body].concat())
            .await;
        assert_eq!(reply.status(), 200);
    }

    let seen = journey.app.wait_for(30).await;
    for (number, message) in seen.iter().enumerate() {
        assert_eq!(message.first_line()[1], format!("/?n={number}"));
        assert_eq!(message.body, pattern(number * 700));
    }
}

#[tokio::test]
async fn a_sender_that_expects_100_continue_gets_it_before_its_body() {
    let journey = Journey::start().await;
    let mut sender = Sender::connect(journey.relay.address()).await;

    let head =
        b"POST {in} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    sender.send(&journey.filled(head)).await;
    let interim = sender.interim_reply().await;
    sender.send(b"body").await;

    assert_eq!(interim.status(), 100);
    assert_eq!(sender.reply().await.status(), 200);
    assert_eq!(journey.app.wait_for(1).await[0].body, b"body");
}

#[tokio::test]
async fn a_body_of_25_mib_arrives_with_its_length_and_in_chunks() {
    let journey = Journey::start().await;
    let body = pattern(25 * MIB);
    let with_length = format!(
        "POST {{in}} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let with_length = [&journey.filled(with_length.as_bytes())[..], &body].concat();
    let mut in_chunks =
        journey.filled(b"POST {in} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in body.chunks(1_000_003) {
        in_chunks.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        in_chunks.extend_from_slice(part);
        in_chunks.extend_from_slice(b"\r\n");
    }
    in_chunks.extend_from_slice(b"0\r\n\r\n");

    assert_eq!(
        send(journey.relay.address(), &with_length).await.status(),
        200
    );
    assert_eq!(
        send(journey.relay.address(), &in_chunks).await.status(),
        200
    );

    let seen = journey.app.wait_for(2).await;
    assert!(seen[0].chunks.is_empty());
    assert!(!seen[1].chunks.is_empty());
    assert!(seen[0].body == body, "the body with a length differs");
    assert!(seen[1].body == body, "the body in chunks differs");
}

#[tokio::test]
async fn a_request_over_http_2_arrives_with_its_names_values_and_body() {
    let journey = Journey::start().await;
    let fields: [(&str, &[u8]); 6] = [
        ("x-zebra", b"1"),
        ("x-twice", b"b"),
        ("x-twice", b"a"),
        ("x-bytes", b"\xff\xfe"),
        ("x-empty", b""),
        ("content-type", b"application/x-own"),
    ];
    let body = pattern(MIB);
    let uri = format!(
        "http://{}{}/two?a=%2F&a=2&b",
        journey.relay.address(),
        journey.path
    );
    let mut request = Request::post(uri).version(Version::HTTP_2);
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request = request.header(name, HeaderValue::from_bytes(value).unwrap());
    }

    let status = over_http_2(
        journey.relay.address(),
        request.body(Full::from(body.clone())).unwrap(),
    )
    .await;

    assert_eq!(status, 200);
    let seen = journey.app.wait_for(1).await;
    assert_eq!(
        seen[0].first_line(),
        ["POST", "/two?a=%2F&a=2&b", "HTTP/1.1"]
    );
    for name in ["x-zebra", "x-twice", "x-bytes", "x-empty", "content-type"] {
        let sent: Vec<_> = fields
            .iter()
            .filter(|field| field.0 == name)
            .map(|field| field.1)
            .collect();
        assert_eq!(values(&seen[0], name), sent, "{name}");
    }
    assert_eq!(
        values(&seen[0], "host"),
        [journey.relay.address().to_string().as_bytes()]
    );
    assert!(seen[0].body == body, "the body differs");
    let newest = journey.api.events("odd").await.remove(0);
    assert_eq!(newest.info.head_source, HeadSource::Normalised);
}

#[tokio::test]
async fn an_asterisk_or_an_authority_names_no_endpoint() {
    let journey = Journey::start().await;

    for first in ["OPTIONS * HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1"] {
        let request = format!("{first}\r\nHost: h\r\n\r\n");
        let status = send(journey.relay.address(), request.as_bytes())
            .await
            .status();
        assert!((400..500).contains(&status), "{first} gave {status}");
    }

    assert!(journey.api.events("odd").await.is_empty());
}

/// A relay, a client, an app, and the endpoint `odd`.
struct Journey {
    relay: Relay,
    api: Api,
    app: App,
    path: String,
    _client: Listening,
}

impl Journey {
    async fn start() -> Self {
        let relay = Relay::start().await;
        let api = relay.api();
        let endpoint = api.open_endpoint("odd").await;
        let app = App::start().await;
        let state = relay.folder().join("state");
        let options = options(relay.address(), api.token(), "odd", &app.url(), &state);
        Self {
            path: path_of(&endpoint),
            _client: Listening::start(options).await,
            relay,
            api,
            app,
        }
    }

    async fn deliver(&self, row: &Row) -> Result<(), String> {
        let before = self.app.count();
        let mut sender = Sender::connect(self.relay.address()).await;
        sender.send(&self.filled(&row.sent)).await;
        let reply = if row.sent.starts_with(b"HEAD ") {
            sender.reply_to_head().await
        } else {
            sender.reply().await
        };
        if reply.status() != 200 {
            return Err(format!("answered {} {}", reply.status(), reply.text()));
        }
        let seen = self.app.wait_for(before + 1).await;
        let arrived = &seen[before];
        let head = self.filled(&row.head);
        if arrived.head != head {
            return Err(format!(
                "head\n     want {}\n      got {}",
                head.escape_ascii(),
                arrived.head.escape_ascii()
            ));
        }
        if arrived.body != row.body {
            return Err(format!(
                "body has {} bytes, not {}",
                arrived.body.len(),
                row.body.len()
            ));
        }
        Ok(())
    }

    /// The bytes with the names of this journey put in.
    fn filled(&self, bytes: &[u8]) -> Vec<u8> {
        let bytes = replace(bytes, b"{in}", self.path.as_bytes());
        let bytes = replace(
            &bytes,
            b"{relay}",
            self.relay.address().to_string().as_bytes(),
        );
        replace(&bytes, b"{app}", self.app.address().to_string().as_bytes())
    }
}

fn replace(bytes: &[u8], mark: &[u8], value: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    // Marks stand in heads only; bodies can be long.
    while let Some(at) = rest[..rest.len().min(64 * 1024)]
        .windows(mark.len())
        .position(|part| part == mark)
    {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(value);
        rest = &rest[at + mark.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

fn values<'a>(message: &'a Message, name: &str) -> Vec<&'a [u8]> {
    message
        .lines()
        .into_iter()
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            line[..colon]
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| line[colon + 1..].trim_ascii())
        })
        .collect()
}

async fn over_http_2(relay: SocketAddr, request: Request<Full<bytes::Bytes>>) -> u16 {
    let stream = TcpStream::connect(relay).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let reply = in_time("a reply over HTTP/2", sender.send_request(request))
        .await
        .unwrap();
    let status = reply.status().as_u16();
    in_time("its body", reply.into_body().collect())
        .await
        .unwrap();
    status
}
