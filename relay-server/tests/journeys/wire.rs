//! A client of the wire that does what a test says and nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use towline_shared::api::ConsumerList;
use towline_shared::id::EventId;
use towline_shared::outcome::{Attempt, Delivery, Outcome, Settled};
use towline_shared::time::Timestamp;
use towline_shared::wire::{
    EventFrame, FromClient, FromRelay, Goodbye, Report, SUBPROTOCOL, Stored, Welcome,
};

use crate::relay::Relay;

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// One WebSocket.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Frames that came while another was waited for.
    waiting: VecDeque<FromRelay>,
}

impl Client {
    /// Connects, or returns the status of the refusal.
    pub(crate) async fn try_connect(relay: &Relay, token: &str) -> Result<Self, u16> {
        let address = relay.running.address();
        let url = format!("ws://{address}/v1/connect");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        let bearer = format!("Bearer {token}").parse().unwrap();
        headers.insert("authorization", bearer);
        let subprotocol = SUBPROTOCOL.parse().unwrap();
        headers.insert("sec-websocket-protocol", subprotocol);
        let stream = TcpStream::connect(address).await.unwrap();
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self {
                socket,
                waiting: VecDeque::new(),
            }),
            Err(Error::Http(reply)) => Err(reply.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Connects as the admin and says nothing.
    pub(crate) async fn connect(relay: &Relay) -> Self {
        Self::try_connect(relay, &relay.admin).await.unwrap()
    }

    /// A session of the consumer `laptop` of `line` from the beginning.
    pub(crate) async fn listen(relay: &Relay, window: u32) -> Self {
        let (client, _) = Self::listen_as(relay, &relay.admin.clone(), "laptop", window).await;
        client
    }

    /// A session of a consumer of `line` from the beginning.
    pub(crate) async fn listen_as(
        relay: &Relay,
        token: &str,
        consumer: &str,
        window: u32,
    ) -> (Self, Welcome) {
        let mut client = Self::try_connect(relay, token).await.unwrap();
        client.hello(consumer, window).await;
        match client.next().await {
            FromRelay::Welcome(welcome) => (client, welcome),
            other => panic!("expected a welcome, got {other:?}"),
        }
    }

    /// A session of a consumer of `line` that wants some events only.
    pub(crate) async fn filtered(relay: &Relay, consumer: &str, filter: &str) -> Self {
        let mut client = Self::connect(relay).await;
        client.filtered_hello(consumer, filter).await;
        match client.next().await {
            FromRelay::Welcome(welcome) => assert_eq!(welcome.filter.as_deref(), Some(filter)),
            other => panic!("expected a welcome, got {other:?}"),
        }
        client
    }

    /// Sends `hello` for `line` with a filter.
    pub(crate) async fn filtered_hello(&mut self, consumer: &str, filter: &str) {
        let hello = json!({
            "client": "test/1",
            "endpoint": "line",
            "consumer": consumer,
            "start": "beginning",
            "window": 1,
            "filter": filter,
        });
        self.send_frame(1, hello.to_string().as_bytes()).await;
    }

    /// The next event, whatever is said of those that are left out.
    pub(crate) async fn wanted(&mut self) -> EventFrame {
        loop {
            match self.next().await {
                FromRelay::Event(event) => return *event,
                FromRelay::Filtered(_) => {}
                other => panic!("expected an event, got {other:?}"),
            }
        }
    }

    /// Goes away, and waits until the relay has noticed.
    pub(crate) async fn leave(self, relay: &Relay, consumer: &str) {
        drop(self);
        loop {
            let all: ConsumerList = relay.get("/v1/endpoints/line/consumers").await;
            let mut all = all.consumers.iter();
            let Some(mine) = all.find(|it| it.name.as_str() == consumer) else {
                return;
            };
            if !mine.is_connected {
                return;
            }
        }
    }

    /// Sends `hello` for `line`.
    pub(crate) async fn hello(&mut self, consumer: &str, window: u32) {
        let hello = json!({
            "client": "test/1",
            "endpoint": "line",
            "consumer": consumer,
            "start": "beginning",
            "window": window,
            "a field of a later version": true,
        });
        self.send_frame(1, hello.to_string().as_bytes()).await;
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: &FromClient) {
        self.send_bytes(frame.encode()).await;
    }

    /// Sends a frame that is built by hand and has no payload.
    pub(crate) async fn send_frame(&mut self, kind: u8, header: &[u8]) {
        let mut frame = vec![kind];
        frame.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(header);
        self.send_bytes(frame.into()).await;
    }

    /// Sends a binary message.
    pub(crate) async fn send_bytes(&mut self, bytes: Bytes) {
        self.send_message(Message::Binary(bytes)).await;
    }

    /// Sends any message.
    pub(crate) async fn send_message(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> FromRelay {
        match self.waiting.pop_front() {
            Some(frame) => frame,
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> FromRelay {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await;
            match message
                .expect("a frame comes")
                .expect("the session is open")
                .unwrap()
            {
                Message::Binary(bytes) => return FromRelay::decode(&bytes).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a frame, got {other:?}"),
            }
        }
    }

    /// The next frame, which is an event.
    pub(crate) async fn event(&mut self) -> EventFrame {
        match self.next().await {
            FromRelay::Event(event) => *event,
            other => panic!("expected an event, got {other:?}"),
        }
    }

    /// The next frame, which is `stored`.
    pub(crate) async fn stored(&mut self) -> Stored {
        match self.next().await {
            FromRelay::Stored(stored) => stored,
            other => panic!("expected `stored`, got {other:?}"),
        }
    }

    /// The goodbye, whatever comes before it, and the code of the close that follows.
    pub(crate) async fn goodbye(&mut self) -> (Goodbye, CloseCode) {
        let goodbye = loop {
            if let FromRelay::Goodbye(goodbye) = self.next().await {
                break goodbye;
            }
        };
        let message = timeout(PATIENCE, self.socket.next()).await.unwrap();
        match message.unwrap().unwrap() {
            Message::Close(Some(close)) => (goodbye, close.code),
            other => panic!("expected a close, got {other:?}"),
        }
    }

    /// Reports an attempt; `settled` ends its delivery.
    pub(crate) async fn report(&mut self, event: &EventFrame, number: u32, settled: bool) {
        let report = report(
            event.header.event.id,
            event.header.delivery,
            number,
            settled,
        );
        self.send(&FromClient::Outcome(Box::new(report))).await;
    }

    /// Answers an event with success and waits until that is durable; other frames are read later.
    pub(crate) async fn settle(&mut self, event: &EventFrame) {
        self.report(event, event.header.attempts + 1, true).await;
        loop {
            match self.receive().await {
                FromRelay::Stored(stored) => {
                    assert_eq!(stored.delivery, event.header.delivery);
                    return;
                }
                other => self.waiting.push_back(other),
            }
        }
    }
}

/// An attempt that the app answered with 200.
pub(crate) fn report(event: EventId, delivery: Delivery, number: u32, settled: bool) -> Report {
    Report {
        attempt: Attempt {
            event,
            delivery,
            number,
            started_at: Timestamp::from_millis(1),
            duration_micros: 900,
            target: "http://localhost:3000/".into(),
            outcome: Outcome::Answered {
                status: 200,
                body_length: 2,
                first_byte_micros: 800,
            },
            settled: settled.then_some(Settled::Done),
            retry_after_millis: None,
            changes: Vec::new(),
            sent_body_sha256: None,
            sent_body_length: 0,
            findings: Vec::new(),
        },
        sent_head: Bytes::from_static(b"POST / HTTP/1.1\r\n\r\n"),
        reply_head: Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n"),
        reply_body: Bytes::from_static(b"ok"),
    }
}
