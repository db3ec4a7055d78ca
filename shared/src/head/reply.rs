//! The head of a reply: status line and ordered field lines, kept like a request's.

use bytes::Bytes;

use super::fields::{FieldSpan, parse_fields};
use super::{Field, HeadError, MAX_HEAD_BYTES, is_value_byte, memchr_crlf};

/// A reply head as the bytes that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyHead {
    raw: Bytes,
    status: u16,
    fields: Vec<FieldSpan>,
}

impl ReplyHead {
    /// Reads a reply head from its HTTP/1.x text, which must end with the empty line.
    ///
    /// # Errors
    /// Names the part that is malformed, by the same rules as a request head.
    pub fn parse(raw: impl Into<Bytes>) -> Result<Self, HeadError> {
        let raw = raw.into();
        if raw.len() > MAX_HEAD_BYTES {
            return Err(HeadError::TooLarge);
        }
        let line_end = memchr_crlf(&raw).ok_or(HeadError::StatusLine)?;
        let status = parse_status_line(&raw[..line_end]).ok_or(HeadError::StatusLine)?;
        let fields = parse_fields(&raw, line_end + 2)?;
        Ok(Self {
            raw,
            status,
            fields,
        })
    }

    /// The whole head as it came, the final empty line included.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// The status code, 100 to 999.
    pub const fn status(&self) -> u16 {
        self.status
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
}

/// `HTTP/1.x SP 3DIGIT [SP reason]`; some servers leave the last space out with the reason.
fn parse_status_line(line: &[u8]) -> Option<u16> {
    let rest = line
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, reason) = rest.split_at_checked(3)?;
    let is_well_formed = digits.iter().all(u8::is_ascii_digit)
        && (reason.is_empty() || reason[0] == b' ')
        && reason.iter().all(|&byte| is_value_byte(byte));
    let status: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (is_well_formed && status >= 100).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_head_reads_its_status_and_fields() {
        let head = ReplyHead::parse(&b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\n\r\n"[..]).unwrap();

        assert_eq!(head.status(), 404);
        assert_eq!(head.values("x-a").collect::<Vec<_>>(), [b"1"]);
    }

    #[test]
    fn a_reason_may_be_absent() {
        assert_eq!(
            ReplyHead::parse(&b"HTTP/1.0 200\r\n\r\n"[..])
                .unwrap()
                .status(),
            200
        );
        assert!(ReplyHead::parse(&b"HTTP/1.1 20 OK\r\n\r\n"[..]).is_err());
        assert!(ReplyHead::parse(&b"HTTP/1.1 2000\r\n\r\n"[..]).is_err());
    }
}
