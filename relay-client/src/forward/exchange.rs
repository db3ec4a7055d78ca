//! One request and its reply on a connection: writes and reads at once, so that an early reply is heard
//! while the body is still on its way, and counts what was really written.

use std::future::Future;
use std::io;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::reply::{ReplyError, ReplyReader};
use crate::body::BodyReader;

/// How much of a reply is read at once.
const READ_BYTES: usize = 16 * 1024;

/// What was written so far; kept outside of the futures, so that a time limit does not lose it.
#[derive(Default)]
pub(super) struct Sent {
    hash: Sha256,
    length: u64,
    /// Whether the whole request was written.
    pub(super) is_whole: bool,
}

impl Sent {
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of the body bytes; nothing when there were none.
    pub(super) fn sha256(self) -> Option<String> {
        (self.length > 0).then(|| HEXLOWER.encode(&self.hash.finalize()))
    }

    fn count(&mut self, body: &[u8]) {
        self.hash.update(body);
        self.length += body.len() as u64;
    }
}

/// Why an exchange has no whole reply.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection failed.
    Io(io::Error),
    /// What came is not a reply.
    Reply(ReplyError),
    /// The body on this machine cannot be read.
    Body(io::Error),
}

/// Writes the request and reads the reply to its end. `first_byte_at` is set when the reply begins.
///
/// Dropping the future leaves the connection unusable.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    request: Request<'_>,
    sent: &mut Sent,
    reply: &mut ReplyReader,
    first_byte_at: &mut Option<Instant>,
) -> Result<(), Broken> {
    let (mut reading, mut writing) = tokio::io::split(socket);
    let mut write = std::pin::pin!(request.write(&mut writing, sent));
    let mut read = std::pin::pin!(read_reply(&mut reading, reply, first_byte_at));
    tokio::select! {
        biased;
        written = &mut write => match written {
            Ok(()) => read.await,
            Err(Broken::Io(error)) => heard_after(error, read).await,
            Err(broken) => Err(broken),
        },
        // An early reply: the app does not want the rest of the body.
        ended = &mut read => ended,
    }
}

/// The app stopped reading. It may have said why before: that reply counts, and only without one the
/// failed write does.
async fn heard_after(
    error: io::Error,
    read: impl Future<Output = Result<(), Broken>>,
) -> Result<(), Broken> {
    match read.await {
        Err(Broken::Io(_) | Broken::Reply(ReplyError::NoReply)) => Err(Broken::Io(error)),
        ended => ended,
    }
}

async fn read_reply<R: AsyncRead + Unpin>(
    reading: &mut R,
    reply: &mut ReplyReader,
    first_byte_at: &mut Option<Instant>,
) -> Result<(), Broken> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    while !reply.is_done() {
        buffer.clear();
        buffer.reserve(READ_BYTES);
        let count = reading.read_buf(&mut buffer).await.map_err(Broken::Io)?;
        if count == 0 {
            return reply.end().map_err(Broken::Reply);
        }
        first_byte_at.get_or_insert_with(Instant::now);
        reply.feed(&buffer).map_err(Broken::Reply)?;
    }
    Ok(())
}

/// A request ready to be written.
pub(super) struct Request<'a> {
    pub(super) head: &'a Bytes,
    pub(super) body: BodyReader<'a>,
    /// Whether the head says that the body is chunked.
    pub(super) is_chunked: bool,
}

impl Request<'_> {
    /// Writes the head together with the first piece of the body, then the rest.
    async fn write<W: AsyncWrite + Unpin>(
        mut self,
        writing: &mut W,
        sent: &mut Sent,
    ) -> Result<(), Broken> {
        let mut prefix = self.head.clone();
        loop {
            let piece = self.body.next().await.map_err(Broken::Body)?;
            let is_last = self.body.is_at_end();
            let part = Part::frame(&prefix, &piece, self.is_chunked, is_last);
            part.write(writing, sent).await.map_err(Broken::Io)?;
            if is_last {
                break;
            }
            prefix = Bytes::new();
        }
        writing.flush().await.map_err(Broken::Io)?;
        sent.is_whole = true;
        Ok(())
    }
}

/// Bytes that are written together, and where the body's stand in them.
struct Part {
    bytes: BytesMut,
    body_start: usize,
    body_end: usize,
}

impl Part {
    fn frame(prefix: &[u8], piece: &[u8], is_chunked: bool, is_last: bool) -> Self {
        let mut bytes = BytesMut::with_capacity(prefix.len() + piece.len() + 32);
        bytes.put_slice(prefix);
        let is_chunk = is_chunked && !piece.is_empty();
        if is_chunk {
            bytes.put_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        }
        let body_start = bytes.len();
        bytes.put_slice(piece);
        let body_end = bytes.len();
        if is_chunk {
            bytes.put_slice(b"\r\n");
        }
        if is_chunked && is_last {
            bytes.put_slice(b"0\r\n\r\n");
        }
        Self {
            bytes,
            body_start,
            body_end,
        }
    }

    async fn write<W: AsyncWrite + Unpin>(
        &self,
        writing: &mut W,
        sent: &mut Sent,
    ) -> io::Result<()> {
        let mut start = 0;
        while start < self.bytes.len() {
            let count = writing.write(&self.bytes[start..]).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let within = |place: usize| place.clamp(self.body_start, self.body_end);
            sent.count(&self.bytes[within(start)..within(start + count)]);
            start += count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(part: &Part) -> String {
        String::from_utf8(part.bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_chunked_body_gets_chunks_of_our_own_size_and_an_end() {
        assert_eq!(
            text(&Part::frame(b"HEAD", b"0123456789", true, false)),
            "HEADa\r\n0123456789\r\n"
        );
        assert_eq!(
            text(&Part::frame(b"", b"x", true, true)),
            "1\r\nx\r\n0\r\n\r\n"
        );
        assert_eq!(
            text(&Part::frame(b"HEAD", b"", true, true)),
            "HEAD0\r\n\r\n"
        );
        assert_eq!(text(&Part::frame(b"HEAD", b"x", false, true)), "HEADx");
    }

    #[tokio::test]
    async fn only_body_bytes_are_counted_wherever_a_write_stops() {
        let part = Part::frame(b"HEAD\r\n\r\n", b"body", true, true);
        for buffer_size in 1..part.bytes.len() {
            let (mut near, mut far) = tokio::io::duplex(buffer_size);
            let mut sent = Sent::default();
            let reading = tokio::spawn(async move {
                let mut all = Vec::new();
                far.read_to_end(&mut all).await.unwrap();
            });

            part.write(&mut near, &mut sent).await.unwrap();
            drop(near);

            reading.await.unwrap();
            assert_eq!(sent.length(), 4);
            assert_eq!(
                sent.sha256().unwrap(),
                HEXLOWER.encode(&Sha256::digest(b"body"))
            );
        }
    }
}
