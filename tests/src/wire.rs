//! Both ends of the wire by hand: a client that may say anything to a relay, and a relay that may say anything
//! to a client.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config, client_async_with_config};
use towline_shared::wire::{FromClient, FromRelay, Hello, SUBPROTOCOL, Start, Welcome};

use crate::eventually::in_time;

/// What one end hears of the other.
#[derive(Debug)]
pub enum Heard<F> {
    /// A frame that can be read.
    Frame(F),
    /// The end, with the code of the close frame if there was one.
    End(Option<u16>),
}

/// A client by hand.
pub struct WireClient {
    socket: WebSocketStream<TcpStream>,
}

impl WireClient {
    /// Connects with a token.
    ///
    /// # Panics
    /// When the relay does not upgrade.
    pub async fn connect(relay: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(relay).await.expect("the relay listens");
        let request = http::Request::get(format!("ws://{relay}/v1/connect"))
            .header("Host", relay.to_string())
            .header("Authorization", format!("Bearer {token}"))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Protocol", SUBPROTOCOL)
            .body(())
            .expect("the request is well formed");
        let upgrading = client_async_with_config(request, stream, Some(without_limits()));
        let (socket, _) = in_time("the upgrade", upgrading)
            .await
            .expect("the relay upgrades");
        Self { socket }
    }

    /// Connects, says hello as the consumer `by-hand`, and waits for the welcome.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn welcomed(relay: SocketAddr, token: &str, endpoint: &str) -> (Self, Welcome) {
        let mut client = Self::connect(relay, token).await;
        client.say(hello(endpoint, 1).encode()).await;
        match client.hear().await {
            Heard::Frame(FromRelay::Welcome(welcome)) => (client, welcome),
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// Sends one binary message.
    pub async fn say(&mut self, bytes: Bytes) {
        self.say_message(Message::Binary(bytes)).await;
    }

    /// Sends any message; a relay that is gone already is no error here.
    pub async fn say_message(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    /// The next frame or the end.
    ///
    /// # Panics
    /// When neither comes, or what comes cannot be read.
    pub async fn hear(&mut self) -> Heard<FromRelay> {
        hear(&mut self.socket, FromRelay::decode).await
    }
}

/// A relay by hand.
pub struct WireRelay {
    listener: TcpListener,
}

/// One session of a relay by hand.
pub struct WireSession {
    socket: WebSocketStream<TcpStream>,
}

impl WireRelay {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        Self { listener }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never: a bound socket has an address.
    pub fn address(&self) -> SocketAddr {
        self.listener
            .local_addr()
            .expect("a bound socket has an address")
    }

    /// Upgrades the next connection and waits for its hello.
    ///
    /// # Panics
    /// When none comes or it says something else.
    pub async fn session(&self) -> (WireSession, Hello) {
        let (stream, _) = in_time("a client connects", self.listener.accept())
            .await
            .expect("loopback works");
        let upgrading = accept_hdr_async_with_config(stream, agree, Some(without_limits()));
        let socket = in_time("the upgrade", upgrading)
            .await
            .expect("the client upgrades");
        let mut session = WireSession { socket };
        match session.hear().await {
            Heard::Frame(FromClient::Hello(hello)) => (session, hello),
            other => panic!("no hello but {other:?}"),
        }
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the library's callback has this shape"
)]
fn agree(
    _request: &Request,
    mut response: Response,
) -> Result<Response, http::Response<Option<String>>> {
    let agreed = HeaderValue::from_static(SUBPROTOCOL);
    response
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", agreed);
    Ok(response)
}

impl WireSession {
    /// Sends one binary message.
    pub async fn say(&mut self, bytes: Bytes) {
        self.say_message(Message::Binary(bytes)).await;
    }

    /// Sends any message; a client that is gone already is no error here.
    pub async fn say_message(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    /// The next frame or the end.
    ///
    /// # Panics
    /// When neither comes, or what comes cannot be read.
    pub async fn hear(&mut self) -> Heard<FromClient> {
        hear(&mut self.socket, FromClient::decode).await
    }
}

/// A hello of the consumer `by-hand` from the beginning.
///
/// # Panics
/// When the endpoint's name is none.
pub fn hello(endpoint: &str, window: u32) -> FromClient {
    FromClient::Hello(Hello {
        client: "by-hand/1".to_owned(),
        endpoint: endpoint.parse().expect("the name is valid"),
        consumer: "by-hand".parse().expect("the name is valid"),
        start: Start::Beginning,
        window,
        filter: None,
    })
}

/// Bytes of a frame: kind, header, payload, whether they make sense or not.
pub fn frame(kind: u8, header: &[u8], payload: &[u8]) -> Bytes {
    let length = u32::try_from(header.len()).expect("the header is short");
    [&[kind][..], &length.to_be_bytes(), header, payload]
        .concat()
        .into()
}

async fn hear<F>(
    socket: &mut WebSocketStream<TcpStream>,
    decode: impl Fn(&Bytes) -> Result<F, towline_shared::wire::WireError>,
) -> Heard<F> {
    loop {
        match in_time("a frame or the end", socket.next()).await {
            Some(Ok(Message::Binary(bytes))) => {
                return Heard::Frame(decode(&bytes).expect("the other side speaks the wire"));
            }
            Some(Ok(Message::Close(close))) => {
                return Heard::End(close.map(|close| close.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Heard::End(None),
        }
    }
}

/// Limits are what is tried here.
fn without_limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None)
}
