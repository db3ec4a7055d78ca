//! The WebSocket of a session: one message in, many frames out, both at the same time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, Stream, StreamExt};
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use towline_shared::wire::{FromRelay, Goodbye, MAX_FRAME_BYTES, Reason};

use super::outgoing::Outgoing;

/// The read buffer, which every idle session holds.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// What the library may hold of its own frames: pongs and a close.
const LIBRARY_BYTES: usize = 4 * 1024;

/// One session's socket.
pub(super) struct Socket<T> {
    stream: WebSocketStream<Outgoing<T>>,
    heard_at: Instant,
    most_unsent: usize,
    /// What came could not be read; nothing more is.
    is_broken: bool,
}

/// What came in, or became possible.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A binary message.
    Frame(Bytes),
    /// A ping or a pong.
    Sign,
    /// There is room for frames again.
    Room,
    /// Something that this wire does not know; the words say what.
    Unusable(String),
    /// The client has closed, or the connection broke.
    Gone,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// Takes a connection over after its upgrade; `most_unsent` bytes may be written ahead of it.
    pub(super) async fn new(io: T, most_unsent: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(LIBRARY_BYTES)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let io = Outgoing::new(io);
        Self {
            stream: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
            heard_at: Instant::now(),
            most_unsent,
            is_broken: false,
        }
    }

    /// Whether frames may be written. One more frame may exceed the bound, which keeps the rule simple.
    pub(super) fn has_room(&self) -> bool {
        self.stream.get_ref().unsent() < self.most_unsent
    }

    /// Writes a frame ahead; [`Socket::incoming`] sends it.
    pub(super) fn push(&mut self, frame: &FromRelay) {
        self.stream.get_mut().push_binary(frame.encode());
    }

    /// Writes a ping ahead.
    pub(super) fn push_ping(&mut self) {
        self.stream.get_mut().push_ping();
    }

    /// When something last came in.
    pub(super) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Since when the client has taken nothing, while something waits for it.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        self.stream.get_ref().stalled_since()
    }

    /// Waits for the next message, sending meanwhile what was written ahead; cancel-safe. Without
    /// `may_read` nothing is read. Reading goes on while the client takes nothing, so that two
    /// sides that both write cannot wait for each other.
    pub(super) async fn incoming(&mut self, may_read: bool) -> Incoming {
        let lacks_room = !self.has_room();
        poll_fn(|context| self.poll_incoming(context, may_read, lacks_room)).await
    }

    /// Says goodbye and closes: all that was written ahead, the goodbye and the close are sent, or `limit` passes.
    pub(super) async fn farewell(&mut self, goodbye: &Goodbye, limit: Duration) {
        self.push(&FromRelay::Goodbye(goodbye.clone()));
        let close = CloseFrame {
            code: close_code(goodbye.reason),
            reason: "see the goodbye frame".into(),
        };
        let _ = timeout(limit, self.stream.send(Message::Close(Some(close)))).await;
    }

    /// Waits for the client to close. Without this the kernel may drop the goodbye that the client has not
    /// read, because bytes of the client are still unread here.
    pub(super) async fn linger(&mut self, limit: Duration) {
        let until_closed = async {
            if self.is_broken {
                return self.discard().await;
            }
            while let Some(Ok(_)) = self.stream.next().await {}
        };
        let _ = timeout(limit, until_closed).await;
    }

    /// Reads on without looking, because the library reads nothing more after an error.
    async fn discard(&mut self) {
        let mut discarded = vec![0; 4096];
        while self
            .stream
            .get_mut()
            .read(&mut discarded)
            .await
            .is_ok_and(|length| length > 0)
        {}
    }

    /// Reads before it flushes: while messages wait, their answers are gathered for one write.
    fn poll_incoming(
        &mut self,
        context: &mut Context<'_>,
        may_read: bool,
        lacks_room: bool,
    ) -> Poll<Incoming> {
        if may_read && let Poll::Ready(read) = Pin::new(&mut self.stream).poll_next(context) {
            self.heard_at = Instant::now();
            let incoming = incoming(read);
            self.is_broken = matches!(incoming, Incoming::Unusable(_));
            return Poll::Ready(incoming);
        }
        if self.stalled_since().is_some()
            && let Poll::Ready(Err(_)) = self.stream.poll_flush_unpin(context)
        {
            return Poll::Ready(Incoming::Gone);
        }
        if lacks_room && self.has_room() {
            return Poll::Ready(Incoming::Room);
        }
        Poll::Pending
    }
}

fn incoming(read: Option<Result<Message, Error>>) -> Incoming {
    match read {
        Some(Ok(Message::Binary(frame))) => Incoming::Frame(frame),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Sign,
        Some(Ok(Message::Text(_))) => {
            Incoming::Unusable("a text message; every frame is a binary message".to_owned())
        }
        Some(Err(error @ (Error::Capacity(_) | Error::Protocol(_) | Error::Utf8(_)))) => {
            let is_cut = matches!(&error, Error::Protocol(protocol) if is_broken_off(protocol));
            if is_cut {
                Incoming::Gone
            } else {
                Incoming::Unusable(error.to_string())
            }
        }
        Some(Ok(Message::Close(_)) | Err(_)) | None => Incoming::Gone,
    }
}

/// The library counts a connection that ends without a close as an error of the protocol.
fn is_broken_off(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    matches!(error, ProtocolError::ResetWithoutClosingHandshake)
}

fn close_code(reason: Reason) -> CloseCode {
    match reason {
        Reason::Protocol => CloseCode::Protocol,
        Reason::ShuttingDown | Reason::Reset => CloseCode::Away,
        Reason::Overloaded => CloseCode::Again,
        Reason::TakenOver | Reason::NoEndpoint | Reason::Unauthorised | Reason::Filter => {
            CloseCode::Normal
        }
    }
}
