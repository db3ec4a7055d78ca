//! Reads an app's reply as its bytes come: head by httparse, body by its framing (RFC 9112 §6.3).
//! Keeps the head and the first part of the body, counts the rest, and knows no sockets.

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use towline_shared::head::{MAX_FIELDS, MAX_HEAD_BYTES};
use towline_shared::outcome::KEPT_REPLY_BYTES;

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

/// What the head says about status and framing.
struct HeadFacts {
    status: u16,
    /// With a `Transfer-Encoding`: whether `chunked` is its last coding.
    is_chunked: Option<bool>,
    length: Option<u64>,
    can_stay_open: bool,
}

impl HeadFacts {
    fn parse(head: &[u8]) -> Result<Self, ReplyError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut reply = httparse::Response::new(&mut fields);
        match reply.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => {
                return Err(ReplyError::NotHttp(httparse::Error::NewLine));
            }
            Err(httparse::Error::TooManyHeaders) => return Err(ReplyError::TooManyFields),
            Err(error) => return Err(ReplyError::NotHttp(error)),
        }
        let is_http_11 = reply.version == Some(1);
        let mut facts = Self {
            status: reply
                .code
                .filter(|&code| code >= 100)
                .ok_or(ReplyError::NotHttp(httparse::Error::Status))?,
            is_chunked: None,
            length: None,
            can_stay_open: is_http_11,
        };
        for field in reply.headers.iter() {
            facts.note(field)?;
        }
        Ok(facts)
    }

    fn note(&mut self, field: &httparse::Header<'_>) -> Result<(), ReplyError> {
        let last = |value: &[u8]| last_option(value).eq_ignore_ascii_case(b"chunked");
        match field.name.len() {
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                self.is_chunked = Some(last(field.value));
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let length = one_length(field.value).ok_or(ReplyError::Length)?;
                if self.length.is_some_and(|earlier| earlier != length) {
                    return Err(ReplyError::Length);
                }
                self.length = Some(length);
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                for option in field.value.split(|&byte| byte == b',') {
                    let option = option.trim_ascii();
                    if option.eq_ignore_ascii_case(b"close") {
                        self.can_stay_open = false;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn last_option(value: &[u8]) -> &[u8] {
    value
        .rsplit(|&byte| byte == b',')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

/// One number, or the same number several times in a list (RFC 9112 §6.3).
fn one_length(value: &[u8]) -> Option<u64> {
    let mut found = None;
    for part in value.split(|&byte| byte == b',') {
        let digits = part.trim_ascii();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
        if found.is_some_and(|earlier: u64| earlier != length) {
            return None;
        }
        found = Some(length);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(method: &str, bytes: &[u8]) -> Result<ReplyReader, ReplyError> {
        let mut reader = ReplyReader::new(method);
        reader.feed(bytes)?;
        if !reader.is_done() {
            reader.end()?;
        }
        Ok(reader)
    }

    fn error(bytes: impl AsRef<[u8]>) -> ReplyError {
        read("POST", bytes.as_ref()).unwrap_err()
    }

    #[test]
    fn a_body_ends_by_its_length_by_chunks_or_by_the_close() {
        for (text, can_stay_open) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true),
            ("HTTP/1.1 200\r\ncontent-length: 2, 2\r\n\r\nhi", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                false,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhi", false),
            ("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nhi",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more",
                false,
            ),
        ] {
            let reader = read("POST", text.as_bytes()).unwrap();

            assert_eq!((reader.status(), reader.body_length()), (200, 2), "{text}");
            assert_eq!(reader.can_stay_open(), can_stay_open, "{text}");
            assert_eq!(reader.into_parts().1, "hi", "{text}");
        }
    }

    #[test]
    fn replies_without_a_body_end_with_their_head() {
        let text = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");

        for (method, status) in [
            ("HEAD", "200 OK"),
            ("POST", "204 No Content"),
            ("POST", "304 Not Modified"),
        ] {
            let reader = read(method, text(status).as_bytes()).unwrap();
            assert!(
                reader.can_stay_open() && reader.body_length() == 0,
                "{method} {status}"
            );
        }
        assert_eq!(error(text("200 OK")), ReplyError::HalfBody { got: 0 });
    }

    #[test]
    fn interim_replies_are_skipped_up_to_a_limit() {
        let text = |count: u32| {
            format!(
                "{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 103 Hints\r\n\r\n".repeat(count as usize)
            )
        };

        let reader = read("POST", text(MAX_INTERIM_REPLIES).as_bytes()).unwrap();

        assert_eq!(reader.status(), 200);
        assert!(reader.into_parts().0.starts_with(b"HTTP/1.1 200"));
        assert_eq!(
            error(text(MAX_INTERIM_REPLIES + 1)),
            ReplyError::TooManyInterim
        );
    }

    #[test]
    fn what_is_no_reply_is_named() {
        assert_eq!(error(""), ReplyError::NoReply);
        assert_eq!(error("HTTP/1.1 200"), ReplyError::HalfHead);
        assert!(matches!(error("SSH-2.0-x\r\n"), ReplyError::NotHttp(_)));
        assert!(matches!(
            error("HTTP/1.1 2x0 OK\r\n\r\n"),
            ReplyError::NotHttp(_)
        ));
        assert!(matches!(
            error("HTTP/1.1 099 OK\r\n\r\n"),
            ReplyError::NotHttp(_)
        ));
        assert!(matches!(
            error("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
            ReplyError::NotHttp(_)
        ));
        assert_eq!(
            error("HTTP/1.1 101 Switching\r\n\r\n"),
            ReplyError::Upgraded
        );
        for length in ["-1", "+5", "1, 2", "", "x", "99999999999999999999"] {
            assert_eq!(
                error(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
                )),
                ReplyError::Length,
                "{length}"
            );
        }
        assert_eq!(
            error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            ReplyError::Length
        );
    }

    #[test]
    fn a_head_has_its_limits() {
        let fields = |count: usize| format!("HTTP/1.1 204 x\r\n{}\r\n", "a: b\r\n".repeat(count));
        let bytes =
            |length: usize| format!("HTTP/1.1 204 x\r\na: {}\r\n\r\n", "b".repeat(length - 23));

        assert!(read("GET", fields(MAX_FIELDS).as_bytes()).is_ok());
        assert_eq!(error(fields(MAX_FIELDS + 1)), ReplyError::TooManyFields);
        assert_eq!(bytes(MAX_HEAD_BYTES).len(), MAX_HEAD_BYTES);
        assert!(read("GET", bytes(MAX_HEAD_BYTES).as_bytes()).is_ok());
        assert_eq!(error(bytes(MAX_HEAD_BYTES + 1)), ReplyError::HeadTooLarge);
        assert_eq!(
            error(format!("HTTP/1.1 200 x\r\n{}", "a".repeat(MAX_HEAD_BYTES))),
            ReplyError::HeadTooLarge
        );
    }

    #[test]
    fn a_long_body_is_counted_and_its_beginning_kept() {
        let mut reader = ReplyReader::new("POST");
        reader.feed(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();

        for _ in 0..5 {
            reader.feed(&[b'x'; 100_000]).unwrap();
        }
        reader.end().unwrap();

        assert_eq!(reader.body_length(), 500_000);
        assert_eq!(reader.into_parts().1.len(), KEPT_REPLY_BYTES);
    }

    #[test]
    fn a_body_at_the_limit_is_read_and_a_longer_one_is_not() {
        let head = |length: u64| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let mut count = MAX_REPLY_BYTES - 1;

        assert!(
            ReplyReader::new("POST")
                .feed(head(MAX_REPLY_BYTES).as_bytes())
                .is_ok()
        );
        assert_eq!(error(head(MAX_REPLY_BYTES + 1)), ReplyError::BodyTooLarge);
        assert!(keep(&mut Vec::new(), &mut count, b"x").is_ok());
        assert_eq!(
            keep(&mut Vec::new(), &mut count, b"x"),
            Err(ReplyError::BodyTooLarge)
        );
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5)) {
            let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let mut reader = ReplyReader::new("POST");
            for pair in places.windows(2) {
                reader.feed(&text[pair[0]..pair[1]]).unwrap();
            }

            prop_assert!(reader.can_stay_open());
            prop_assert_eq!(reader.into_parts(), (Bytes::from_static(&text[25..78]), Bytes::from_static(b"hello")));
        }

        #[test]
        fn it_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read("POST", &bytes);
            let _ = read("POST", &[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat());
        }
    }
}
