//! Reads HTTP/1 messages off a socket as raw bytes: the head as it came, the body with its framing taken off.
//! Written for the tests alone and on purpose not the product's parser.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest head that is read.
const MAX_HEAD: usize = 1024 * 1024;

/// One request or reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// From the first line to the empty line, both included.
    pub head: Vec<u8>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The sizes of its chunks, when it came chunked.
    pub chunks: Vec<usize>,
}

/// How a body ends when the head names neither a length nor chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unframed {
    /// There is none: a request.
    Empty,
    /// With the connection: a reply.
    UntilClose,
}

impl Message {
    /// The words of the first line.
    pub fn first_line(&self) -> Vec<String> {
        let end = find(&self.head, b"\r\n").unwrap_or(self.head.len());
        String::from_utf8_lossy(&self.head[..end])
            .splitn(3, ' ')
            .map(str::to_owned)
            .collect()
    }

    /// The status code of a reply; 0 when there is none.
    pub fn status(&self) -> u16 {
        self.first_line()
            .get(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0)
    }

    /// The field lines in order, without their CRLF.
    pub fn lines(&self) -> Vec<&[u8]> {
        split_lines(&self.head).skip(1).collect()
    }

    /// The first value of a field, without the spaces around it.
    pub fn value(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }
}

/// A stream with what was read of it too early.
#[derive(Debug)]
pub struct Reader<S> {
    stream: S,
    ahead: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Reads from the beginning of a stream.
    pub const fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// The stream itself, to write to.
    pub const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The next message; `None` at a clean end of the stream.
    ///
    /// # Errors
    /// When the stream fails or ends within a message.
    pub async fn message(&mut self, unframed: Unframed) -> io::Result<Option<Message>> {
        let Some(head) = self.head().await? else {
            return Ok(None);
        };
        self.rest_of(head, unframed).await.map(Some)
    }

    /// The next head alone; `None` at a clean end of the stream.
    ///
    /// # Errors
    /// When the stream fails or ends within a head.
    pub async fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                return Ok(Some(self.ahead.drain(..end + 4).collect()));
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(io::Error::other("head without end"));
            }
            if !self.more().await? {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(cut_short())
                };
            }
        }
    }

    /// The body that belongs to a head.
    ///
    /// # Errors
    /// When the stream fails or ends within the body.
    pub async fn rest_of(&mut self, head: Vec<u8>, unframed: Unframed) -> io::Result<Message> {
        let mut chunks = Vec::new();
        let is_chunked = field(&head, "transfer-encoding")
            .is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"));
        let length = field(&head, "content-length").and_then(|value| value.parse().ok());
        let body = match (is_chunked, length) {
            (true, _) => self.chunked(&mut chunks).await?,
            (false, Some(length)) => self.exactly(length).await?,
            (false, None) if is_bodiless(&head) || unframed == Unframed::Empty => Vec::new(),
            (false, None) => self.until_close().await?,
        };
        Ok(Message { head, body, chunks })
    }

    /// Everything up to the end of the stream.
    ///
    /// # Errors
    /// When the stream fails.
    pub async fn until_close(&mut self) -> io::Result<Vec<u8>> {
        while self.more().await? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    async fn chunked(&mut self, sizes: &mut Vec<usize>) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let digits = String::from_utf8_lossy(&line);
            let digits = digits.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16)
                .map_err(|_| io::Error::other(format!("`{digits}` is not a chunk size")))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            sizes.push(size);
            body.extend(self.exactly(size).await?);
            if !self.line().await?.is_empty() {
                return Err(io::Error::other("chunk is longer than its size"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line = self.ahead.drain(..end + 2).take(end).collect();
                return Ok(line);
            }
            if !self.more().await? {
                return Err(cut_short());
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if !self.more().await? {
                return Err(cut_short());
            }
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    async fn more(&mut self) -> io::Result<bool> {
        let before = self.ahead.len();
        self.ahead.reserve(64 * 1024);
        let read = self.stream.read_buf(&mut self.ahead).await?;
        debug_assert_eq!(self.ahead.len(), before + read);
        Ok(read > 0)
    }
}

/// The first value of a field in a head.
pub fn field(head: &[u8], name: &str) -> Option<String> {
    split_lines(head).skip(1).find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        line[..colon]
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| {
                String::from_utf8_lossy(&line[colon + 1..])
                    .trim()
                    .to_owned()
            })
    })
}

/// Where `needle` begins.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(hay, needle)
}

fn split_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    std::iter::from_fn(move || {
        let end = find(rest, b"\r\n")?;
        let line = &rest[..end];
        rest = &rest[end + 2..];
        (!line.is_empty()).then_some(line)
    })
}

fn is_bodiless(head: &[u8]) -> bool {
    let status = head.get(9..12).unwrap_or_default();
    head.starts_with(b"HTTP/1") && (status.starts_with(b"1") || matches!(status, b"204" | b"304"))
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "ended within a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8], unframed: Unframed) -> io::Result<Option<Message>> {
        Reader::new(bytes).message(unframed).await
    }

    #[tokio::test]
    async fn chunks_are_taken_off_and_their_sizes_kept() {
        let sent = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n01\r\nc\r\n0\r\nT: 1\r\n\r\n";

        let message = read(sent, Unframed::Empty).await.unwrap().unwrap();

        assert_eq!(
            (message.body, message.chunks),
            (b"abc".to_vec(), vec![2, 1])
        );
    }

    #[tokio::test]
    async fn a_message_that_is_cut_short_is_an_error_and_a_clean_end_is_not() {
        let cut = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nabc";

        assert!(read(cut, Unframed::Empty).await.is_err());
        assert!(read(b"", Unframed::Empty).await.unwrap().is_none());
    }
}
