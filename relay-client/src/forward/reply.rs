//! Reads an app's reply as its bytes come: head by httparse, body by its framing (RFC 9112 §6.3).
//! Keeps the head and the first part of the body, counts the rest, and knows no sockets.

mod facts;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use towline_shared::head::{MAX_FIELDS, MAX_HEAD_BYTES};
use towline_shared::outcome::KEPT_REPLY_BYTES;

use self::facts::HeadFacts;
use super::chunks::ChunkDecoder;

/// The most bytes of a reply's body that are read: far more than any answer to a webhook, and an end to
/// one that has none.
const MAX_REPLY_BYTES: u64 = 1024 * 1024 * 1024;

/// The most interim replies (1xx) before the real one.
const MAX_INTERIM_REPLIES: u32 = 16;

/// The bytes are not a reply, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReplyError {
    #[error("the app closed the connection without a reply")]
    NoReply,
    #[error("the app closed the connection in the middle of the reply's head")]
    HalfHead,
    #[error("the app closed the connection after {got} bytes of the reply's body, before its end")]
    HalfBody { got: u64 },
    #[error("the reply's head has more than {MAX_HEAD_BYTES} bytes")]
    HeadTooLarge,
    #[error("the reply's head has more than {MAX_FIELDS} fields")]
    TooManyFields,
    #[error("the app sent something that is not an HTTP reply ({0})")]
    NotHttp(httparse::Error),
    #[error("the app sent more than {MAX_INTERIM_REPLIES} interim replies")]
    TooManyInterim,
    #[error("the app switched protocols (101), which nobody asked for")]
    Upgraded,
    #[error("the reply has a `Content-Length` that is not one number")]
    Length,
    #[error("the reply's chunked body is malformed: {0}")]
    Chunk(&'static str),
    #[error("the reply's body has more than {MAX_REPLY_BYTES} bytes")]
    BodyTooLarge,
}

/// How the body ends.
#[derive(Debug)]
enum Framing {
    Length { left: u64 },
    Chunked(ChunkDecoder),
    UntilClose,
}

#[derive(Debug)]
enum State {
    Head,
    Body(Framing),
    Done,
}

/// The reader of one reply.
#[derive(Debug)]
pub(super) struct ReplyReader {
    is_head_request: bool,
    state: State,
    pending: BytesMut,
    interim: u32,
    head: Bytes,
    status: u16,
    can_stay_open: bool,
    kept: Vec<u8>,
    body_length: u64,
}

impl ReplyReader {
    pub(super) fn new(method: &str) -> Self {
        Self {
            is_head_request: method == "HEAD",
            state: State::Head,
            pending: BytesMut::new(),
            interim: 0,
            head: Bytes::new(),
            status: 0,
            can_stay_open: true,
            kept: Vec::new(),
            body_length: 0,
        }
    }

    /// Takes bytes that arrived. The reply is whole when [`ReplyReader::is_done`] says so.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), ReplyError> {
        match self.state {
            State::Head => {
                self.pending.extend_from_slice(bytes);
                self.read_heads()
            }
            State::Body(_) => self.read_body(bytes),
            State::Done => {
                self.can_stay_open &= bytes.is_empty();
                Ok(())
            }
        }
    }

    /// The app closed its side.
    pub(super) fn end(&mut self) -> Result<(), ReplyError> {
        self.can_stay_open = false;
        match &self.state {
            State::Done => Ok(()),
            State::Body(Framing::UntilClose) => {
                self.state = State::Done;
                Ok(())
            }
            State::Body(_) => Err(ReplyError::HalfBody {
                got: self.body_length,
            }),
            State::Head if self.pending.is_empty() => Err(ReplyError::NoReply),
            State::Head => Err(ReplyError::HalfHead),
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the head of the real reply is there.
    pub(super) const fn has_head(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    /// Whether the connection can carry another request.
    pub(super) const fn can_stay_open(&self) -> bool {
        self.is_done() && self.can_stay_open
    }

    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    pub(super) const fn body_length(&self) -> u64 {
        self.body_length
    }

    /// The head as it came and the first part of the body.
    pub(super) fn into_parts(self) -> (Bytes, Bytes) {
        (self.head, self.kept.into())
    }

    fn read_heads(&mut self) -> Result<(), ReplyError> {
        while let Some(length) = self.whole_head()? {
            let head = self.pending.split_to(length).freeze();
            let facts = HeadFacts::parse(&head)?;
            if facts.status == 101 {
                return Err(ReplyError::Upgraded);
            }
            if facts.status < 200 {
                self.interim += 1;
                if self.interim > MAX_INTERIM_REPLIES {
                    return Err(ReplyError::TooManyInterim);
                }
                continue;
            }
            self.status = facts.status;
            self.head = head;
            self.begin_body(&facts)?;
            let first = self.pending.split();
            return self.feed(&first);
        }
        Ok(())
    }

    /// The length of the head at the start of the buffer, when it is whole.
    fn whole_head(&self) -> Result<Option<usize>, ReplyError> {
        let end = head_end(&self.pending);
        if end.unwrap_or(self.pending.len()) > MAX_HEAD_BYTES {
            return Err(ReplyError::HeadTooLarge);
        }
        if end.is_none() {
            check_beginning(&self.pending)?;
        }
        Ok(end)
    }

    fn begin_body(&mut self, facts: &HeadFacts) -> Result<(), ReplyError> {
        self.can_stay_open = facts.can_stay_open;
        if self.is_head_request || matches!(self.status, 204 | 304) {
            self.state = State::Done;
            return Ok(());
        }
        self.state = match (facts.is_chunked, facts.length) {
            (Some(true), length) => {
                self.can_stay_open &= length.is_none();
                State::Body(Framing::Chunked(ChunkDecoder::new()))
            }
            (Some(false), _) | (None, None) => State::Body(Framing::UntilClose),
            (None, Some(0)) => State::Done,
            (None, Some(length)) if length > MAX_REPLY_BYTES => {
                return Err(ReplyError::BodyTooLarge);
            }
            (None, Some(left)) => State::Body(Framing::Length { left }),
        };
        Ok(())
    }

    fn read_body(&mut self, bytes: &[u8]) -> Result<(), ReplyError> {
        let State::Body(framing) = &mut self.state else {
            return Ok(());
        };
        let (kept, count) = (&mut self.kept, &mut self.body_length);
        let (is_done, rest) = match framing {
            Framing::Length { left } => {
                let length = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                keep(kept, count, &bytes[..length])?;
                *left -= length as u64;
                (*left == 0, &bytes[length..])
            }
            Framing::Chunked(decoder) => {
                let rest = decoder.decode(bytes, |piece| keep(kept, count, piece))?;
                (decoder.is_done(), rest)
            }
            Framing::UntilClose => {
                keep(kept, count, bytes)?;
                (false, &[][..])
            }
        };
        if is_done {
            self.state = State::Done;
            self.can_stay_open &= rest.is_empty();
        }
        Ok(())
    }
}

fn keep(kept: &mut Vec<u8>, count: &mut u64, bytes: &[u8]) -> Result<(), ReplyError> {
    *count += bytes.len() as u64;
    if *count > MAX_REPLY_BYTES {
        return Err(ReplyError::BodyTooLarge);
    }
    let room = KEPT_REPLY_BYTES - kept.len();
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    Ok(())
}

/// The end of the first empty line; lone line feeds count, as httparse takes them.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let strict = memmem::find(bytes, b"\n\r\n").map(|start| start + 3);
    let searched = strict.map_or(bytes, |end| &bytes[..end]);
    memmem::find(searched, b"\n\n")
        .map(|start| start + 2)
        .or(strict)
}

/// Refuses at once what cannot become a reply, such as a TLS alert or a line of another protocol.
fn check_beginning(bytes: &[u8]) -> Result<(), ReplyError> {
    let expected = b"HTTP/1.";
    let length = bytes.len().min(expected.len());
    if bytes[..length] == expected[..length] {
        Ok(())
    } else {
        Err(ReplyError::NotHttp(httparse::Error::Version))
    }
}

#[cfg(test)]
mod tests;
