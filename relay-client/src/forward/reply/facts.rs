//! What a reply's head says about status, framing and the connection.

use towline_shared::head::MAX_FIELDS;

use super::ReplyError;

/// What the head says about status and framing.
pub(super) struct HeadFacts {
    pub(super) status: u16,
    /// With a `Transfer-Encoding`: whether `chunked` is its last coding.
    pub(super) is_chunked: Option<bool>,
    pub(super) length: Option<u64>,
    pub(super) can_stay_open: bool,
}

impl HeadFacts {
    pub(super) fn parse(head: &[u8]) -> Result<Self, ReplyError> {
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
