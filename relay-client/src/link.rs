//! The link to the relay: one WebSocket that speaks `towline.v1` (shared/src/wire.rs). Connects and greets
//! here; a greeted link runs as a session.

mod clock;
mod heard;
mod keep;
mod refusal;
mod session;
mod streams;
mod told;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::time;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message, http::Uri};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use towline_shared::secret::Secret;
use towline_shared::wire::{
    FromClient, FromRelay, Goodbye, Hello, MAX_FRAME_BYTES, SUBPROTOCOL, Welcome,
};

use crate::dial::{self, RelayAddress, Stream};
pub(crate) use clock::ClockWatch;
pub(crate) use keep::keep;
pub(crate) use session::{Ended, Session};

/// How long the relay may take to answer the upgrade, and then the greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection that speaks WebSocket.
pub(crate) type Socket = WebSocketStream<Box<dyn Stream>>;

/// A link that the relay has welcomed.
pub(crate) struct Link {
    pub(crate) socket: Socket,
    pub(crate) welcome: Welcome,
}

impl Link {
    /// Says that it ends, as far as the relay still listens.
    pub(crate) async fn close(mut self) {
        let close = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let _ = time::timeout(session::CLOSING_TIMEOUT, self.socket.close(Some(close))).await;
    }
}

/// There is no link.
#[derive(Debug)]
pub(crate) enum NoLink {
    /// Trying again may help.
    Away(String),
    /// The relay refused the token (401).
    Unauthorised(String),
    /// The token may not listen (403).
    Forbidden(String),
    /// Something else than a relay answers.
    NotARelay(String),
    /// The relay said goodbye instead of welcome.
    Goodbye(Goodbye),
}

/// Connects, upgrades and greets.
pub(crate) async fn connect(
    relay: &RelayAddress,
    token: &Secret,
    hello: &Hello,
) -> Result<Link, NoLink> {
    let stream = dial::dial(relay)
        .await
        .map_err(|error| NoLink::Away(error.to_string()))?;
    let mut socket = upgrade(stream, relay, token).await?;
    let welcome = time::timeout(GREETING_TIMEOUT, greet(&mut socket, hello)).await;
    let welcome =
        welcome.map_err(|_| NoLink::Away("the relay does not answer the greeting".into()))??;
    Ok(Link { socket, welcome })
}

async fn upgrade(
    stream: Box<dyn Stream>,
    relay: &RelayAddress,
    token: &Secret,
) -> Result<Socket, NoLink> {
    let request = request(relay, token).map_err(NoLink::NotARelay)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let upgrade = client_async_with_config(request, stream, Some(config));
    match time::timeout(GREETING_TIMEOUT, upgrade).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(WebSocketError::Http(reply))) => Err(refusal::read(&reply)),
        Ok(Err(WebSocketError::Io(error))) => Err(NoLink::Away(format!(
            "the relay broke the connection: {error}"
        ))),
        Ok(Err(error)) => Err(NoLink::NotARelay(error.to_string())),
        Err(_) => Err(NoLink::Away("the relay does not answer the upgrade".into())),
    }
}

fn request(relay: &RelayAddress, token: &Secret) -> Result<ClientRequestBuilder, String> {
    let url = &relay.url;
    let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
    let host = url.host_str().ok_or("it names no host")?;
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let path = url.path().trim_end_matches('/');
    let uri: Uri = format!("{scheme}://{host}{port}{path}/v1/connect")
        .parse()
        .map_err(|error| format!("its address cannot be asked for: {error}"))?;
    let token = std::str::from_utf8(token.expose()).map_err(|_| "the token is not text")?;
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the token has a character that no token has".into());
    }
    Ok(ClientRequestBuilder::new(uri)
        .with_header("Authorization", format!("Bearer {token}"))
        .with_header("User-Agent", client_name())
        .with_sub_protocol(SUBPROTOCOL))
}

async fn greet(socket: &mut Socket, hello: &Hello) -> Result<Welcome, NoLink> {
    let lost = |error: WebSocketError| NoLink::Away(format!("the link broke: {error}"));
    let hello = FromClient::Hello(hello.clone()).encode();
    socket.send(Message::Binary(hello)).await.map_err(lost)?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(frame))) => return welcome(&frame),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_)) | None => return Err(NoLink::Away("the relay closed the link".into())),
            Some(Err(error)) => return Err(lost(error)),
        }
    }
}

fn welcome(frame: &Bytes) -> Result<Welcome, NoLink> {
    match FromRelay::decode(frame) {
        Ok(FromRelay::Welcome(welcome)) => Ok(welcome),
        Ok(FromRelay::Goodbye(goodbye)) => Err(NoLink::Goodbye(goodbye)),
        Ok(_) => Err(NoLink::Away(
            "the relay did not begin with `welcome`".into(),
        )),
        Err(error) => Err(NoLink::Away(format!(
            "the relay's first frame cannot be read: {error}"
        ))),
    }
}

/// Name and version of this client, as the relay sees it.
pub(crate) fn client_name() -> String {
    concat!("towline/", env!("CARGO_PKG_VERSION")).to_owned()
}
