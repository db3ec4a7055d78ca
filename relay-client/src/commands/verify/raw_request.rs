//! A raw HTTP request as people keep it in files: as it came over the wire, or typed and saved by an editor.

use towline_shared::head::{Head, HeadError};

/// Head and body.
#[derive(Debug)]
pub(super) struct RawRequest {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    /// What had to be understood to read it.
    pub(super) notes: Vec<String>,
}

/// The bytes are not a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum RawRequestError {
    /// There is no empty line.
    #[error("there is no empty line between head and body")]
    NoEmptyLine,
    /// The head is malformed.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The body is shorter than its length says.
    #[error("the body has {found} bytes, `Content-Length` says {said}")]
    Short {
        /// What is there.
        found: usize,
        /// What should be.
        said: usize,
    },
}

impl RawRequest {
    /// Reads head and body. A head with bare line feeds is an editor's and is read as if it had CRLF; bytes behind
    /// the length that `Content-Length` gives are not part of the body. A chunked body stands without its chunks,
    /// as captured requests are written.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, RawRequestError> {
        let (head_end, body_start) = split(bytes).ok_or(RawRequestError::NoEmptyLine)?;
        let mut notes = Vec::new();
        let head = &bytes[..head_end];
        let text = with_crlf(head);
        if text.len() != head.len() {
            notes.push("the head has line ends without CR; read as CRLF".to_owned());
        }
        let head = Head::parse([text.as_slice(), b"\r\n"].concat())?;
        let rest = &bytes[body_start..];
        let body = body(&head, rest, &mut notes)?;
        Ok(Self { head, body, notes })
    }

    /// The URL that the `Host` field and the target give, over https.
    pub(super) fn url_by_host(&self) -> String {
        let target = String::from_utf8_lossy(self.head.target());
        if target.contains("://") {
            return target.into_owned();
        }
        let host = self.head.values("host").next().unwrap_or_default();
        format!("https://{}{target}", String::from_utf8_lossy(host))
    }
}

/// The end of the last line of the head, its line end included, and the start of the body.
fn split(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut start = 0;
    while let Some(length) = memchr::memchr(b'\n', &bytes[start..]) {
        let line = &bytes[start..start + length];
        let next = start + length + 1;
        if matches!(line, b"" | b"\r") {
            return (start > 0).then_some((start, next));
        }
        start = next;
    }
    // A head alone may lack the empty line behind it.
    (start > 0 && start == bytes.len()).then_some((start, start))
}

fn with_crlf(head: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(head.len() + 64);
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        text.extend_from_slice(content.strip_suffix(b"\r").unwrap_or(content));
        text.extend_from_slice(b"\r\n");
    }
    text
}

fn body(head: &Head, rest: &[u8], notes: &mut Vec<String>) -> Result<Vec<u8>, RawRequestError> {
    let said = head.values("content-length").next();
    let said = said.and_then(|value| std::str::from_utf8(value).ok()?.parse::<usize>().ok());
    let Some(said) = said.filter(|_| !head.is_chunked()) else {
        return Ok(rest.to_vec());
    };
    let Some(body) = rest.get(..said) else {
        return Err(RawRequestError::Short {
            found: rest.len(),
            said,
        });
    };
    if rest.len() > said {
        let more = rest.len() - said;
        notes.push(format!(
            "{more} bytes behind the length that `Content-Length` gives are left out"
        ));
    }
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_of_the_wire_is_read_to_the_byte() {
        let request = RawRequest::parse(b"POST /a HTTP/1.1\r\nHost: h\r\n\r\n{\"a\":1}\n").unwrap();

        assert_eq!(
            request.head.as_bytes().as_ref(),
            b"POST /a HTTP/1.1\r\nHost: h\r\n\r\n"
        );
        assert_eq!(request.body, b"{\"a\":1}\n");
        assert!(request.notes.is_empty());
        assert_eq!(request.url_by_host(), "https://h/a");
    }

    #[test]
    fn an_editors_line_ends_are_understood_and_told() {
        let request = RawRequest::parse(b"POST /a HTTP/1.1\nHost: h\n\nbody\n").unwrap();

        assert_eq!(request.body, b"body\n");
        assert_eq!(request.notes.len(), 1);
    }

    #[test]
    fn the_editors_last_line_end_is_not_part_of_a_body_with_a_length() {
        let request =
            RawRequest::parse(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody\n").unwrap();

        assert_eq!(request.body, b"body");
        assert_eq!(request.notes.len(), 1);
    }

    #[test]
    fn a_body_shorter_than_its_length_is_refused() {
        let error =
            RawRequest::parse(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nbody").unwrap_err();

        assert_eq!(
            error.to_string(),
            "the body has 4 bytes, `Content-Length` says 5"
        );
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        for bad in [
            &b""[..],
            b"\n",
            b"hello\r\n\r\n",
            b"POST / HTTP/1.1",
            b"POST / HTTP/1.1\r\nbad name: 1\r\n\r\n",
        ] {
            assert!(RawRequest::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RawRequest::parse(&bytes);
        }
    }
}
