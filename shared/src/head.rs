//! The head of a request as the bytes that came: request line and ordered field lines.
//! Its one encoding, in the store, on the wire and in capture files, is HTTP/1.1 text (RFC 9112).

mod fields;
mod reply;

use bytes::Bytes;

pub use fields::{Field, FieldError, is_token, is_value_byte, trim};
use fields::{FieldSpan, parse_fields};
pub use reply::ReplyHead;

/// The longest head that is accepted, request line and final empty line included.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most field lines that a head may have.
pub const MAX_FIELDS: usize = 128;

/// A request head, validated once when it is built; every view is a slice of the original bytes.
///
/// `Head::parse(head.as_bytes())` gives the same head to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    raw: Bytes,
    method_end: usize,
    target_end: usize,
    version: Version,
    fields: Vec<FieldSpan>,
}

/// The protocol version named in a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2; the head was rebuilt from its pseudo-header fields.
    Http2,
}

impl Version {
    /// The version as it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// The bytes are not a request head that this relay takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The head is longer than [`MAX_HEAD_BYTES`].
    #[error("head has more than {MAX_HEAD_BYTES} bytes")]
    TooLarge,
    /// The first line is not `METHOD SP TARGET SP VERSION` (RFC 9112 §3).
    #[error("request line is not `METHOD TARGET HTTP/1.1`")]
    RequestLine,
    /// The first line is not `VERSION SP STATUS SP [REASON]` (RFC 9112 §4).
    #[error("status line is not `HTTP/1.1 STATUS REASON`")]
    StatusLine,
    /// The head does not end with exactly one empty line.
    #[error("head does not end with one empty line")]
    Unterminated,
    /// A field line is malformed.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl Head {
    /// Reads a head from its HTTP/1.1 text, which must end with the empty line.
    ///
    /// # Errors
    /// Names the part that is malformed: lines end in CRLF only, names are tokens (RFC 9110 §5.6.2),
    /// values have no control character but the tab (RFC 9110 §5.5).
    pub fn parse(raw: impl Into<Bytes>) -> Result<Self, HeadError> {
        let raw = raw.into();
        if raw.len() > MAX_HEAD_BYTES {
            return Err(HeadError::TooLarge);
        }
        let line_end = memchr_crlf(&raw).ok_or(HeadError::RequestLine)?;
        let line = &raw[..line_end];
        let method_end = line
            .iter()
            .position(|&byte| byte == b' ')
            .ok_or(HeadError::RequestLine)?;
        let target_end = line
            .iter()
            .rposition(|&byte| byte == b' ')
            .ok_or(HeadError::RequestLine)?;
        if target_end <= method_end + 1 || !is_token(&line[..method_end]) {
            return Err(HeadError::RequestLine);
        }
        if !line[method_end + 1..target_end]
            .iter()
            .all(|&byte| is_target_byte(byte))
        {
            return Err(HeadError::RequestLine);
        }
        let version = match &line[target_end + 1..] {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            b"HTTP/2" => Version::Http2,
            _ => return Err(HeadError::RequestLine),
        };
        let fields = parse_fields(&raw, line_end + 2)?;
        Ok(Self {
            raw,
            method_end,
            target_end,
            version,
            fields,
        })
    }

    /// Builds a head from its parts; each field gets one space after the colon.
    ///
    /// # Errors
    /// As [`Head::parse`]: a part with a forbidden byte is refused, never escaped or dropped.
    pub fn build<'a>(
        method: &str,
        target: &[u8],
        version: Version,
        fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, HeadError> {
        // A line end in a part would begin a line of its own, which reads as another field.
        if !is_token(method.as_bytes()) || !target.iter().all(|&byte| is_target_byte(byte)) {
            return Err(HeadError::RequestLine);
        }
        let mut raw = Vec::with_capacity(512);
        raw.extend_from_slice(method.as_bytes());
        raw.push(b' ');
        raw.extend_from_slice(target);
        raw.push(b' ');
        raw.extend_from_slice(version.as_str().as_bytes());
        raw.extend_from_slice(b"\r\n");
        for (index, (name, value)) in fields.into_iter().enumerate() {
            push_field(&mut raw, index + 1, name, value)?;
        }
        raw.extend_from_slice(b"\r\n");
        Self::parse(raw)
    }

    /// The whole head as it came, the final empty line included.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// The method token, in its own letter case.
    pub fn method(&self) -> &str {
        std::str::from_utf8(&self.raw[..self.method_end]).unwrap_or_default()
    }

    /// The request target as it came: origin, absolute, authority or asterisk form (RFC 9112 §3.2).
    pub fn target(&self) -> &[u8] {
        &self.raw[self.method_end + 1..self.target_end]
    }

    /// The version that the request line names.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The field lines in order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = Field<'_>> {
        self.fields.iter().map(|span| span.view(&self.raw))
    }

    /// The values of all fields with this name, in order; letter case does not matter.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields()
            .filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value)
    }

    /// The request line as it came, its line end included.
    pub fn request_line(&self) -> &[u8] {
        let end = self.target_end + 1 + self.version.as_str().len() + 2;
        &self.raw[..end]
    }

    /// The same head with another value in the first field of this name; further ones of the name are left out.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub fn with_value(&self, name: &str, value: &[u8]) -> Result<Self, HeadError> {
        let mut raw = self.request_line().to_vec();
        let mut is_written = false;
        for (index, field) in self.fields().enumerate() {
            if !field.name.eq_ignore_ascii_case(name.as_bytes()) {
                raw.extend_from_slice(field.line);
                raw.extend_from_slice(b"\r\n");
            } else if !std::mem::replace(&mut is_written, true) {
                push_field(&mut raw, index + 1, field.name, value)?;
            }
        }
        raw.extend_from_slice(b"\r\n");
        Self::parse(raw)
    }

    /// Whether the last transfer coding is `chunked` (RFC 9112 §6.1).
    pub fn is_chunked(&self) -> bool {
        self.values("transfer-encoding")
            .last()
            .is_some_and(|value| {
                let last = value
                    .rsplit(|&byte| byte == b',')
                    .next()
                    .unwrap_or_default();
                trim(last).eq_ignore_ascii_case(b"chunked")
            })
    }
}

fn push_field(
    raw: &mut Vec<u8>,
    index: usize,
    name: &[u8],
    value: &[u8],
) -> Result<(), FieldError> {
    if !is_token(name) {
        return Err(FieldError::Name { index });
    }
    if !value.iter().all(|&byte| is_value_byte(byte)) {
        return Err(FieldError::Value { index });
    }
    raw.extend_from_slice(name);
    raw.extend_from_slice(b": ");
    raw.extend_from_slice(value);
    raw.extend_from_slice(b"\r\n");
    Ok(())
}

/// Visible ASCII and bytes from 0x80: what hyper takes in a request target.
const fn is_target_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

fn memchr_crlf(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ODD: &[u8] = b"pOsT /in/k?a=%2F&a=2&b HTTP/1.1\r\nHOST: x\r\nX-a:  two  \r\nx-A:\r\nBin: \xff\xfe\r\n\r\n";

    #[test]
    fn a_head_keeps_case_order_repeats_and_spaces() {
        let head = Head::parse(ODD).unwrap();

        assert_eq!(head.as_bytes(), ODD);
        assert_eq!(head.method(), "pOsT");
        assert_eq!(head.target(), b"/in/k?a=%2F&a=2&b");
        let names: Vec<_> = head.fields().map(|field| field.name).collect();
        assert_eq!(names, [&b"HOST"[..], b"X-a", b"x-A", b"Bin"]);
        assert_eq!(head.values("x-a").collect::<Vec<_>>(), [&b"two"[..], b""]);
        assert_eq!(head.fields().nth(1).unwrap().line, b"X-a:  two  ");
    }

    #[test]
    fn a_value_is_replaced_in_its_place_and_everything_else_stays() {
        let head = Head::parse(ODD).unwrap();

        let changed = head.with_value("X-A", b"new").unwrap();

        let expected =
            b"pOsT /in/k?a=%2F&a=2&b HTTP/1.1\r\nHOST: x\r\nX-a: new\r\nBin: \xff\xfe\r\n\r\n";
        assert_eq!(changed.as_bytes(), &expected[..]);
        assert_eq!(head.with_value("absent", b"1").unwrap(), head);
        assert!(head.with_value("host", b"a\r\nb: 1").is_err());
    }

    #[test]
    fn no_part_of_a_built_head_can_bring_a_line_of_its_own() {
        let build = |method: &str, target: &[u8], name: &[u8], value: &[u8]| {
            Head::build(method, target, Version::Http11, [(name, value)])
        };

        assert!(build("GET", b"/", b"A", b"1").is_ok());
        for (method, target, name, value) in [
            ("GET", &b"/"[..], &b"A"[..], &b"1\r\nB: 2"[..]),
            ("GET", b"/", b"A: 1\r\nB", b"2"),
            ("GET", b"/ HTTP/1.1\r\nB: 2\r\nC:", b"A", b"1"),
            ("GET / HTTP/1.1\r\nB:", b"x", b"A", b"1"),
        ] {
            assert!(build(method, target, name, value).is_err());
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        for bad in [
            &b"GET / HTTP/1.1\n\n"[..],
            b"GET / HTTP/1.1\r\n",
            b"GET  HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.2\r\n\r\n",
            b"GET / HTTP/1.1\r\na: 1\nb: 2\r\n\r\n",
            b"GET / HTTP/1.1\r\na: 1\r\n folded\r\n\r\n",
            b"GET / HTTP/1.1\r\na : 1\r\n\r\n",
            b"GET / HTTP/1.1\r\na: \0\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\nmore",
            b"GET /a b HTTP/1.1\r\n\r\n",
        ] {
            assert!(Head::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn one_field_more_than_the_limit_is_refused() {
        let head = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));

        assert!(Head::parse(head(MAX_FIELDS)).is_ok());
        assert!(Head::parse(head(MAX_FIELDS + 1)).is_err());
    }

    #[test]
    fn only_a_final_chunked_is_chunked() {
        let is_chunked = |value: &str| {
            Head::parse(format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: {value}\r\n\r\n"
            ))
            .unwrap()
            .is_chunked()
        };

        assert!(is_chunked("Chunked"));
        assert!(is_chunked("gzip, chunked"));
        assert!(!is_chunked("chunked, gzip"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Head::parse(bytes);
        }

        #[test]
        fn what_is_built_reads_back(
            method in "[A-Za-z!#$]{1,12}",
            target in "/[!-~]{0,40}",
            fields in proptest::collection::vec(("[A-Za-z0-9-]{1,12}", "[ -~\t]{0,30}"), 0..20),
        ) {
            let pairs = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let head = Head::build(&method, target.as_bytes(), Version::Http11, pairs).unwrap();

            let again = Head::parse(head.as_bytes().clone()).unwrap();

            prop_assert_eq!(&again, &head);
            prop_assert_eq!(again.method(), method);
            prop_assert_eq!(again.fields().len(), fields.len());
        }
    }
}
