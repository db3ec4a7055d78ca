//! A relay that a test plays, over a real WebSocket.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use towline_shared::credit::{CONNECTION_CREDIT, STREAM_CREDIT};
use towline_shared::event::{EventInfo, EventKind, HeadSource};
use towline_shared::id::{EventId, Seq, SessionId};
use towline_shared::outcome;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::wire::{
    Data, EventFrame, EventHeader, FromClient, FromRelay, Goodbye, Hello, Reason, Report, Stored,
    Welcome,
};

use super::client::patiently;

const KEY: &str = "0123456789abcdefghjkmnpqrstvwxyz";
pub(super) const TOKEN: &str = "twl_test";

pub(super) struct Relay {
    pub(super) url: String,
    listener: TcpListener,
}

impl Relay {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            listener,
        }
    }

    /// Upgrades the next connection and welcomes it.
    pub(super) async fn accept(&self) -> Session {
        self.accept_for("x").await
    }

    /// The same for an endpoint with this key.
    pub(super) async fn accept_for(&self, key: &str) -> Session {
        let (stream, _) = patiently(self.listener.accept()).await.unwrap();
        let mut socket = patiently(accept_hdr_async(stream, check_upgrade))
            .await
            .unwrap();
        let hello = patiently(socket.next()).await.unwrap().unwrap().into_data();
        let FromClient::Hello(hello) = FromClient::decode(&hello).unwrap() else {
            panic!("no hello");
        };
        let mut session = Session {
            socket,
            hello,
            credit: HashMap::new(),
            attempts: BTreeMap::new(),
        };
        let welcome = Welcome {
            public_url: format!("https://relay.test/in/{key}"),
            ..welcome()
        };
        session.send(&FromRelay::Welcome(welcome)).await;
        session
    }

    /// Refuses the next connection.
    pub(super) async fn refuse(&self, status: u16) {
        let (mut stream, _) = patiently(self.listener.accept()).await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        let problem = r#"{"detail":"the token was revoked"}"#;
        let reply = format!(
            "HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n{problem}",
            problem.len()
        );
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the library asks for this signature"
)]
pub(super) fn check_upgrade(
    request: &Request,
    mut response: Response,
) -> Result<Response, ErrorResponse> {
    assert_eq!(request.uri().path(), "/v1/connect");
    assert_eq!(
        request.headers()["authorization"],
        format!("Bearer {TOKEN}")
    );
    assert_eq!(request.headers()["sec-websocket-protocol"], "towline.v1");
    response
        .headers_mut()
        .insert("sec-websocket-protocol", "towline.v1".parse().unwrap());
    Ok(response)
}

pub(super) fn welcome() -> Welcome {
    Welcome {
        relay: "test".into(),
        session: SessionId::from_bytes([9; 16]),
        cursor: Seq(0),
        backlog: 0,
        is_new: true,
        earlier: 0,
        public_url: "https://relay.test/in/x".into(),
        provider: None,
        secrets: Vec::new(),
        filter: None,
    }
}

pub(super) struct Session {
    pub(super) socket: WebSocketStream<TcpStream>,
    pub(super) hello: Hello,
    /// What may be sent on each stream; stream 0 is the connection.
    credit: HashMap<u32, u64>,
    /// How many attempts of an event are on record.
    pub(super) attempts: BTreeMap<u64, u32>,
}

impl Session {
    pub(super) async fn send(&mut self, frame: &FromRelay) {
        patiently(self.socket.send(Message::Binary(frame.encode())))
            .await
            .unwrap();
    }

    /// The next frame of the client.
    pub(super) async fn next(&mut self) -> FromClient {
        loop {
            match patiently(self.socket.next()).await.unwrap().unwrap() {
                Message::Binary(frame) => return FromClient::decode(&frame).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) async fn report(&mut self) -> Report {
        loop {
            match self.next().await {
                FromClient::Outcome(report) => return *report,
                FromClient::Credit(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) async fn stored(&mut self, report: &Report) {
        let stored = Stored {
            delivery: report.attempt.delivery,
            attempt: report.attempt.number,
        };
        self.send(&FromRelay::Stored(stored)).await;
    }

    pub(super) async fn goodbye(&mut self, reason: Reason, reconnect_after_millis: Option<u64>) {
        self.send(&FromRelay::Goodbye(Goodbye {
            reason,
            detail: "test".into(),
            reconnect_after_millis,
        }))
        .await;
    }

    pub(super) async fn close_code(&mut self) -> u16 {
        loop {
            match patiently(self.socket.next()).await {
                Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
                Some(Ok(_)) => {}
                other => panic!("no close but {other:?}"),
            }
        }
    }

    pub(super) async fn send_event(&mut self, seq: u64, body: &[u8]) {
        self.send_event_with_head(seq, &head(), body).await;
    }

    pub(super) async fn send_event_with_head(&mut self, seq: u64, head: &str, body: &[u8]) {
        self.send_frame(seq, head, body, body.len()).await;
    }

    /// Sends the event frame of a long body; its stream has the number of the event.
    pub(super) async fn begin_long_event(&mut self, seq: u64, body: &[u8]) {
        self.send_frame(seq, &head(), &body[..65_536], body.len())
            .await;
    }

    pub(super) async fn send_long_event(&mut self, seq: u64, body: &[u8]) {
        self.begin_long_event(seq, body).await;
        let stream = u32::try_from(seq).unwrap();
        self.credit = HashMap::from([(0, CONNECTION_CREDIT), (stream, STREAM_CREDIT)]);
        let pieces: Vec<_> = body[65_536..].chunks(65_536).collect();
        for (index, piece) in pieces.iter().enumerate() {
            while self.credit.values().any(|&left| left < piece.len() as u64) {
                match self.next().await {
                    FromClient::Credit(credit) => {
                        *self.credit.get_mut(&credit.stream).unwrap() += credit.bytes;
                    }
                    other => panic!("{other:?}"),
                }
            }
            self.credit
                .values_mut()
                .for_each(|left| *left -= piece.len() as u64);
            self.data(stream, piece, index + 1 == pieces.len()).await;
        }
    }

    pub(super) async fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.send(&FromRelay::Data(Data {
            stream,
            end,
            bytes: Bytes::copy_from_slice(bytes),
        }))
        .await;
    }

    pub(super) async fn send_frame(
        &mut self,
        seq: u64,
        head: &str,
        body: &[u8],
        body_length: usize,
    ) {
        let event = EventInfo {
            id: EventId::from_bytes([1; 16]),
            seq: Seq(seq),
            endpoint: "orders".parse().unwrap(),
            received_at: Timestamp::from_millis(1),
            remote: "127.0.0.1".parse().unwrap(),
            tls: false,
            kind: EventKind::Webhook,
            verdict: Verdict::Unchecked,
            is_deliverable: true,
            head_source: HeadSource::Recorded,
            body_length: body_length as u64,
            delivery_id: None,
            event_type: None,
            duplicate_of: None,
            delivered_repeat: None,
            answered: None,
        };
        let header = EventHeader {
            stream: u32::try_from(seq).unwrap(),
            delivery: outcome::Delivery {
                seq: Seq(seq),
                replay: None,
            },
            attempts: self.attempts.get(&seq).copied().unwrap_or(0),
            event,
            head_length: u32::try_from(head.len()).unwrap(),
        };
        let head = Bytes::copy_from_slice(head.as_bytes());
        self.send(&FromRelay::Event(Box::new(EventFrame {
            header,
            head,
            body: Bytes::copy_from_slice(body),
        })))
        .await;
    }
}

pub(super) fn head() -> String {
    format!("POST /in/{KEY}/x HTTP/1.1\r\nhost: relay.test\r\n\r\n")
}
