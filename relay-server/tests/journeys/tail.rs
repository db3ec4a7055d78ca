//! Server-sent events: they begin with what comes next, resume behind the last one, and end with the relay.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use towline_shared::api::EventSummary;
use towline_shared::id::EventId;

use crate::relay::Relay;

#[tokio::test]
async fn a_tail_gets_what_comes_and_resumes_behind_what_it_had() {
    let relay = Relay::start().await.with_line().await;
    relay.post("before").await;
    let mut tail = Tail::open(&relay, "?endpoint=line", None).await;
    let first = relay.post("0").await;
    assert_eq!(tail.next().await, Some(first));
    drop(tail);
    let missed = [relay.post("1").await, relay.post("2").await];

    let mut tail = Tail::open(&relay, "?endpoint=line", Some(first)).await;
    assert_eq!(tail.next().await, Some(missed[0]));
    assert_eq!(tail.next().await, Some(missed[1]));
    let last = relay.post("3").await;

    assert_eq!(tail.next().await, Some(last));
}

#[tokio::test]
async fn a_tail_without_an_endpoint_gets_the_events_of_all() {
    let relay = Relay::start().await.with_line().await;
    relay
        .json("POST", "/v1/endpoints", &json!({"name": "other"}))
        .await;
    let mut all = Tail::open(&relay, "", None).await;
    let mut other = Tail::open(&relay, "?endpoint=other", None).await;

    let event = relay.post("0").await;

    assert_eq!(all.next().await, Some(event));
    relay.running.stop().await;
    assert_eq!(other.next().await, None);
    assert_eq!(all.next().await, None);
}

#[tokio::test]
async fn a_tail_of_an_unknown_endpoint_or_behind_nonsense_is_refused() {
    let relay = Relay::start().await;

    let unknown = relay
        .call("GET", "/v1/events/stream?endpoint=none", &relay.admin, None)
        .await;
    let request = Request::get("/v1/events/stream")
        .header("authorization", format!("Bearer {}", relay.admin))
        .header("last-event-id", "nonsense");
    let nonsense = relay.send(request.body(Bytes::new().into()).unwrap()).await;

    assert_eq!(
        (unknown.status.as_u16(), nonsense.status.as_u16()),
        (404, 400)
    );
}

/// One reader.
struct Tail {
    reply: Response<Incoming>,
    read: String,
}

impl Tail {
    async fn open(relay: &Relay, query: &str, last: Option<EventId>) -> Self {
        let mut request = Request::get(format!("/v1/events/stream{query}"))
            .header("host", relay.running.address().to_string())
            .header("authorization", format!("Bearer {}", relay.admin));
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let stream = TcpStream::connect(relay.running.address()).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let reply = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
        let reply = reply.await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        Self {
            reply,
            read: String::new(),
        }
    }

    /// The next event's id; `None` at the end of the stream.
    async fn next(&mut self) -> Option<EventId> {
        loop {
            while let Some((piece, rest)) = self.read.split_once("\n\n") {
                let (piece, rest) = (piece.to_owned(), rest.to_owned());
                self.read = rest;
                if !piece.starts_with(':') {
                    return Some(read_event(&piece));
                }
            }
            let frame = timeout(Duration::from_secs(20), self.reply.body_mut().frame()).await;
            let frame = frame.expect("the stream goes on")?.unwrap();
            let bytes = frame.into_data().unwrap();
            self.read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

fn read_event(piece: &str) -> EventId {
    let field = |name: &str| {
        let line = piece.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{piece} has no {name}"))
    };
    assert_eq!(field("event: "), "event");
    let summary: EventSummary = serde_json::from_str(field("data: ")).unwrap();
    assert_eq!(field("id: "), summary.info.id.to_string());
    summary.info.id
}
