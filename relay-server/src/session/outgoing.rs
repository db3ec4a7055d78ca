//! Writes frames ahead of a socket and frees their memory as they are sent.
//!
//! The WebSocket library copies all it sends into one buffer that never shrinks: after one large event an
//! idle session would keep its size. So data frames, which a server sends unmasked (RFC 6455 §5.2), are
//! queued here; the library's own frames (pong, close) pass between them.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Frames up to this size are copied together, so that many small ones are one write.
const COPIED_BYTES: usize = 8 * 1024;

/// First byte of a whole binary message, and of a ping.
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;

/// A socket with a queue of frames before it.
pub(super) struct Outgoing<T> {
    io: T,
    /// What is ready to be written, in order.
    chunks: VecDeque<Bytes>,
    /// Small frames behind `chunks`.
    tail: Vec<u8>,
    /// Bytes in `chunks` and `tail`.
    unsent: usize,
    /// Bytes that the library still has of a frame of which a part is written: nothing may come between.
    library_left: usize,
    /// When something was last written, or queued while nothing waited.
    moved_at: Instant,
}

impl<T> Outgoing<T> {
    /// Nothing is queued yet.
    pub(super) fn new(io: T) -> Self {
        Self {
            io,
            chunks: VecDeque::new(),
            tail: Vec::new(),
            unsent: 0,
            library_left: 0,
            moved_at: Instant::now(),
        }
    }

    /// Queues a binary message. The caller keeps the queue within its bound.
    pub(super) fn push_binary(&mut self, payload: Bytes) {
        self.push(BINARY, payload);
    }

    /// Queues an empty ping.
    pub(super) fn push_ping(&mut self) {
        self.push(PING, Bytes::new());
    }

    /// Bytes that are queued and not written.
    pub(super) fn unsent(&self) -> usize {
        self.unsent
    }

    /// Since when the other side takes nothing, while something waits for it.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        (self.unsent + self.library_left > 0).then_some(self.moved_at)
    }

    fn push(&mut self, first: u8, payload: Bytes) {
        if self.unsent + self.library_left == 0 {
            self.moved_at = Instant::now();
        }
        let (prefix, length) = prefix(first, payload.len());
        self.unsent += length + payload.len();
        let is_copied = payload.len() <= COPIED_BYTES;
        self.tail
            .reserve(length + if is_copied { payload.len() } else { 0 });
        self.tail.extend_from_slice(&prefix[..length]);
        if is_copied {
            self.tail.extend_from_slice(&payload);
        } else {
            self.seal_tail();
            self.chunks.push_back(payload);
        }
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(std::mem::take(&mut self.tail).into());
        }
    }
}

impl<T: AsyncWrite + Unpin> Outgoing<T> {
    /// Writes what is queued, as far as the socket takes it.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.chunks.is_empty() {
                self.seal_tail();
            }
            let Some(chunk) = self.chunks.front_mut() else {
                self.chunks = VecDeque::new();
                return Poll::Ready(Ok(()));
            };
            let written = ready!(Pin::new(&mut self.io).poll_write(context, chunk))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            chunk.advance(written);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
            self.unsent -= written;
            self.moved_at = Instant::now();
        }
    }
}

/// The library reads through here unchanged.
impl<T: AsyncRead + Unpin> AsyncRead for Outgoing<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

/// The library writes its own frames through here. It always offers all that it has, so what is left
/// after a write tells whether one of its frames is cut.
impl<T: AsyncWrite + Unpin> AsyncWrite for Outgoing<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.library_left == 0 {
            ready!(self.poll_drain(context))?;
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
        self.library_left = bytes.len() - written;
        self.moved_at = Instant::now();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.library_left == 0 {
            ready!(self.poll_drain(context))?;
        }
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// The bytes before an unmasked payload, and how many they are.
fn prefix(first: u8, length: usize) -> ([u8; 10], usize) {
    let mut prefix = [0; 10];
    prefix[0] = first;
    if let Some(short) = u8::try_from(length).ok().filter(|&length| length < 126) {
        prefix[1] = short;
        return (prefix, 2);
    }
    if let Ok(medium) = u16::try_from(length) {
        prefix[1] = 126;
        prefix[2..4].copy_from_slice(&medium.to_be_bytes());
        return (prefix, 4);
    }
    prefix[1] = 127;
    prefix[2..].copy_from_slice(&(length as u64).to_be_bytes());
    (prefix, 10)
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use proptest::prelude::*;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    #[test]
    fn lengths_are_written_as_the_rfc_says() {
        assert_eq!(
            prefix(BINARY, 125),
            ([0x82, 125, 0, 0, 0, 0, 0, 0, 0, 0], 2)
        );
        assert_eq!(prefix(BINARY, 126).1, 4);
        assert_eq!(prefix(BINARY, 65_535).0[..4], [0x82, 126, 255, 255]);
        assert_eq!(
            prefix(BINARY, 65_536).0[..],
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
    }

    #[tokio::test]
    async fn memory_is_free_again_when_all_is_sent() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let mut outgoing = Outgoing::new(near);
        outgoing.push_binary(vec![0; 100].into());
        outgoing.push_binary(vec![0; 100_000].into());
        assert!(outgoing.stalled_since().is_some());

        tokio::io::AsyncWriteExt::flush(&mut outgoing)
            .await
            .unwrap();

        assert_eq!((outgoing.unsent(), outgoing.tail.capacity()), (0, 0));
        assert_eq!(outgoing.chunks.capacity(), 0);
        assert!(outgoing.stalled_since().is_none());
        let mut sent = vec![0; 102 + 100_010];
        tokio::io::AsyncReadExt::read_exact(&mut far, &mut sent)
            .await
            .unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The pipe is narrower than a pong, so that the library's frames are cut again and again.
        #[test]
        fn frames_and_pongs_do_not_mix(
            lengths in proptest::collection::vec(prop_oneof![0_usize..300, 8_000_usize..9_000], 1..12),
            width in 3_usize..100,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let received = runtime.block_on(exchange(&lengths, width));
            prop_assert_eq!(received, lengths);
        }
    }

    /// Sends binary messages of these lengths while the other side pings, and returns the lengths that arrive.
    async fn exchange(lengths: &[usize], width: usize) -> Vec<usize> {
        let (near, far) = tokio::io::duplex(width);
        let near = Outgoing::new(near);
        let mut server = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
        let mut client = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        // Owned, because the client waits for the server to let go of the connection.
        let serve = async move {
            for &length in lengths {
                server.get_mut().push_binary(vec![7; length].into());
                let pinged = server.next().await.unwrap().unwrap();
                assert!(pinged.is_ping());
            }
            server.close(None).await.unwrap();
            while let Some(Ok(_)) = server.next().await {}
        };
        let (mut pings, mut messages) = (0, Vec::new());
        let receive = async {
            client
                .send(Message::Ping(vec![1; 100].into()))
                .await
                .unwrap();
            while let Some(Ok(message)) = client.next().await {
                match message {
                    Message::Binary(bytes) => {
                        assert!(bytes.iter().all(|&byte| byte == 7));
                        messages.push(bytes.len());
                    }
                    Message::Pong(bytes) => {
                        assert_eq!(bytes.len(), 100);
                        pings += 1;
                        if pings < lengths.len() {
                            client
                                .send(Message::Ping(vec![1; 100].into()))
                                .await
                                .unwrap();
                        }
                    }
                    _ => {}
                }
            }
        };
        tokio::join!(serve, receive);
        messages
    }
}
