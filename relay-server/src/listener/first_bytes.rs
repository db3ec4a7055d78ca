//! Reads the first bytes of a connection to tell HTTP/2 from HTTP/1, and gives them back to whoever reads on.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// What every HTTP/2 client sends first (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that were read ahead.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstBytes {
    bytes: [u8; HTTP2_PREFACE.len()],
    given: usize,
    read: usize,
}

impl FirstBytes {
    /// Reads until the protocol is certain; `None` when the connection ends before its first byte.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut first = Self::default();
        while first.is_undecided() {
            let count = stream.read(&mut first.bytes[first.read..]).await?;
            if count == 0 {
                break;
            }
            first.read += count;
        }
        Ok((first.read > 0).then_some(first))
    }

    /// Whether they are the preface of HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.bytes[..self.read] == HTTP2_PREFACE[..]
    }

    /// Puts what is left of them into the buffer; false when nothing is.
    pub(super) fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let left = &self.bytes[self.given..self.read];
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        self.given += count;
        count > 0
    }

    fn is_undecided(&self) -> bool {
        self.read < HTTP2_PREFACE.len() && self.bytes[..self.read] == HTTP2_PREFACE[..self.read]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_preface_is_recognised_in_pieces() {
        let mut stream = (&HTTP2_PREFACE[..3])
            .chain(&HTTP2_PREFACE[3..])
            .chain(&b"more"[..]);

        let first = FirstBytes::read(&mut stream).await.unwrap().unwrap();

        assert!(first.is_http2());
    }

    #[tokio::test]
    async fn other_bytes_are_http_1_and_are_given_back() {
        for text in [
            "P",
            "GET / HTTP/1.1\r\n\r\n",
            "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            let mut stream = text.as_bytes();
            let mut first = FirstBytes::read(&mut stream).await.unwrap().unwrap();
            let mut space = [0; 64];
            let mut buffer = ReadBuf::new(&mut space);

            assert!(!first.is_http2());
            assert!(first.give(&mut buffer));
            assert!(text.as_bytes().starts_with(buffer.filled()));
            assert!(!first.give(&mut buffer));
        }
    }

    #[tokio::test]
    async fn a_connection_without_a_byte_gives_nothing() {
        assert!(FirstBytes::read(&mut &b""[..]).await.unwrap().is_none());
    }
}
