//! Field lines of a head: strict parsing (RFC 9112 §5) and views that are slices of the original.

use super::{HeadError, MAX_FIELDS};

/// One field line, as slices of the head it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name in its own letter case.
    pub name: &'a [u8],
    /// The value without the spaces and tabs around it.
    pub value: &'a [u8],
    /// The whole line without its CRLF, spaces around the value included.
    pub line: &'a [u8],
}

/// Where one field line stands in its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldSpan {
    start: usize,
    name_end: usize,
    end: usize,
}

impl FieldSpan {
    pub(super) fn view<'a>(&self, raw: &'a [u8]) -> Field<'a> {
        Field {
            name: &raw[self.start..self.name_end],
            value: trim(&raw[self.name_end + 1..self.end]),
            line: &raw[self.start..self.end],
        }
    }
}

/// A field line that this relay does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// There are more than [`MAX_FIELDS`] field lines.
    #[error("head has more than {MAX_FIELDS} fields")]
    TooMany,
    /// The name is not a token, or is not followed directly by a colon.
    #[error("name of field {index} is not a token followed by `:`")]
    Name {
        /// Its place, counted from 1.
        index: usize,
    },
    /// The value has a control character; a bare CR or LF and a folded line end here too.
    #[error("value of field {index} has a forbidden character")]
    Value {
        /// Its place, counted from 1.
        index: usize,
    },
}

/// Reads field lines from `start` up to the empty line, which must end the bytes.
pub(super) fn parse_fields(raw: &[u8], start: usize) -> Result<Vec<FieldSpan>, HeadError> {
    let mut fields = Vec::with_capacity(16);
    let mut start = start;
    loop {
        let rest = raw.get(start..).unwrap_or_default();
        if rest == b"\r\n" {
            return Ok(fields);
        }
        if rest.is_empty() || rest.starts_with(b"\r\n") {
            return Err(HeadError::Unterminated);
        }
        let index = fields.len() + 1;
        if index > MAX_FIELDS {
            return Err(FieldError::TooMany.into());
        }
        let length = rest
            .iter()
            .position(|&byte| byte == b'\r')
            .ok_or(HeadError::Unterminated)?;
        if rest.get(length + 1) != Some(&b'\n') {
            return Err(FieldError::Value { index }.into());
        }
        let line = &rest[..length];
        let colon = line
            .iter()
            .position(|&byte| byte == b':')
            .ok_or(FieldError::Name { index })?;
        if !is_token(&line[..colon]) {
            return Err(FieldError::Name { index }.into());
        }
        if !line[colon + 1..].iter().all(|&byte| is_value_byte(byte)) {
            return Err(FieldError::Value { index }.into());
        }
        fields.push(FieldSpan {
            start,
            name_end: start + colon,
            end: start + length,
        });
        start += length + 2;
    }
}

/// Whether the bytes are a token (RFC 9110 §5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    let is_token_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_token_byte)
}

/// Whether the byte may stand in a field value: tab, space, visible ASCII or `obs-text` (RFC 9110 §5.5).
pub const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The bytes without the spaces and tabs around them.
pub fn trim(bytes: &[u8]) -> &[u8] {
    let is_content = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let Some(start) = bytes.iter().position(is_content) else {
        return &[];
    };
    let end = bytes
        .iter()
        .rposition(is_content)
        .map_or(start, |last| last + 1);
    &bytes[start..end]
}
