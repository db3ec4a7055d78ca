//! Follows the framing of a request body (RFC 9112 §6 and §7.1) byte by byte, as strictly as the HTTP library does.

use towline_shared::head::Head;

use super::Refusal;

/// How a body is framed, and where in it the follower stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Framing {
    /// So many bytes are to come.
    Length(u64),
    /// Chunks, each with its size in front.
    Chunked(Chunk),
}

/// Where in a chunked body the follower stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Chunk {
    /// Before the first digit of a size.
    Start,
    /// Inside a size.
    Size(u64),
    /// In spaces after a size.
    SizeSpace(u64),
    /// In an extension.
    Extension(u64),
    /// After the CR of a size line.
    SizeLineFeed(u64),
    /// In data; so many bytes are to come.
    Data(u64),
    /// After the last data byte.
    DataCarriageReturn,
    /// After the CR behind the data.
    DataLineFeed,
    /// At the start of a trailer line or of the final empty line.
    LineStart,
    /// In a trailer line.
    Trailer,
    /// After the CR of a trailer line.
    TrailerLineFeed,
    /// After the CR of the final empty line.
    EndLineFeed,
}

/// What became of some bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// All belong to the body, which goes on.
    Inside,
    /// The first so many belong to the body, which has ended.
    Ended(usize),
    /// The framing is malformed.
    Broken,
}

/// The framing that a head announces; `None` when it names transfer codings besides `chunked`.
pub(super) fn framing_of(head: &Head) -> Result<Option<Framing>, Refusal> {
    let mut lengths = head.values("content-length");
    let mut codings = head.values("transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Some(Framing::Length(0))),
        (Some(_), Some(_)) => Err(Refusal::TwoFramings),
        (Some(length), None) => match (lengths.next(), number(length)) {
            (Some(_), _) => Err(Refusal::TwoLengths),
            (None, None) => Err(Refusal::Length),
            (None, Some(length)) => Ok(Some(Framing::Length(length))),
        },
        (None, Some(coding)) if codings.next().is_none() => Ok(coding
            .eq_ignore_ascii_case(b"chunked")
            .then_some(Framing::Chunked(Chunk::Start))),
        (None, Some(_)) => Err(Refusal::TwoCodings),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Framing {
    /// Whether there is no body at all.
    pub(super) const fn is_done(self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Follows the next bytes.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Follow {
        match self {
            Self::Length(left) => {
                let here = (*left).min(bytes.len() as u64);
                *left -= here;
                if *left == 0 {
                    Follow::Ended(usize::try_from(here).unwrap_or(bytes.len()))
                } else {
                    Follow::Inside
                }
            }
            Self::Chunked(chunk) => chunk.follow(bytes),
        }
    }
}

impl Chunk {
    fn follow(&mut self, bytes: &[u8]) -> Follow {
        let mut at = 0;
        while at < bytes.len() {
            if let Self::Data(left) = *self {
                let here = left.min((bytes.len() - at) as u64);
                at += usize::try_from(here).unwrap_or(bytes.len());
                *self = if here == left {
                    Self::DataCarriageReturn
                } else {
                    Self::Data(left - here)
                };
                continue;
            }
            let byte = bytes[at];
            at += 1;
            if (*self, byte) == (Self::EndLineFeed, b'\n') {
                return Follow::Ended(at);
            }
            match self.after(byte) {
                Some(next) => *self = next,
                None => return Follow::Broken,
            }
        }
        Follow::Inside
    }

    /// The place after one byte outside the data; `None` when it may not stand there.
    fn after(self, byte: u8) -> Option<Self> {
        let is_space = matches!(byte, b' ' | b'\t');
        match self {
            Self::Start => Some(Self::Size(digit(byte)?)),
            Self::Size(size) if byte.is_ascii_hexdigit() => {
                let size = size.checked_mul(16)?.checked_add(digit(byte)?)?;
                Some(Self::Size(size))
            }
            Self::Size(size) | Self::SizeSpace(size) => match byte {
                b';' => Some(Self::Extension(size)),
                b'\r' => Some(Self::SizeLineFeed(size)),
                _ => is_space.then_some(Self::SizeSpace(size)),
            },
            Self::Extension(size) => match byte {
                b'\r' => Some(Self::SizeLineFeed(size)),
                b'\n' => None,
                _ => Some(self),
            },
            Self::SizeLineFeed(0) => (byte == b'\n').then_some(Self::LineStart),
            Self::SizeLineFeed(size) => (byte == b'\n').then_some(Self::Data(size)),
            Self::DataCarriageReturn => (byte == b'\r').then_some(Self::DataLineFeed),
            Self::DataLineFeed => (byte == b'\n').then_some(Self::Start),
            Self::LineStart if byte == b'\r' => Some(Self::EndLineFeed),
            Self::Trailer if byte == b'\r' => Some(Self::TrailerLineFeed),
            Self::LineStart | Self::Trailer => (byte != b'\n').then_some(Self::Trailer),
            Self::TrailerLineFeed => (byte == b'\n').then_some(Self::LineStart),
            Self::EndLineFeed | Self::Data(_) => None,
        }
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked_end(body: &[u8]) -> Follow {
        Framing::Chunked(Chunk::Start).follow(body)
    }

    #[test]
    fn a_chunked_body_ends_behind_its_final_empty_line() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"5\r\nhello\r\n0\r\n\r\n",
            b"05\r\nhello\r\n000\r\n\r\n",
            b"A \t;x=y;z=\"\xff\"\r\n0123456789\r\n0;last\r\n\r\n",
            b"1\r\n\n\r\n1\r\n\r\r\n0\r\nTrailer: a\r\nX:\r\n\r\n",
        ] {
            let mut more = body.to_vec();
            more.extend_from_slice(b"GET ");

            assert_eq!(
                chunked_end(&more),
                Follow::Ended(body.len()),
                "{}",
                body.escape_ascii()
            );
        }
    }

    #[test]
    fn malformed_chunks_are_broken() {
        for body in [
            &b"\r\n"[..],
            b"g\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhello0\r\n",
            b"5\r\nhello\n",
            b"5;a\nb\r\n",
            b"5 6\r\n",
            b"10000000000000000\r\n",
            b"0\r\n\n",
            b"0\r\na: b\n",
            b"0\r\n\rx",
        ] {
            assert_eq!(chunked_end(body), Follow::Broken, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let mut framing = Framing::Length(5);

        assert_eq!(framing.follow(b"hel"), Follow::Inside);
        assert_eq!(framing.follow(b"loGET"), Follow::Ended(2));
    }

    #[test]
    fn a_head_with_two_framings_is_refused() {
        let framing = |fields: &str| {
            let head = Head::parse(format!("POST / HTTP/1.1\r\n{fields}\r\n")).unwrap();
            framing_of(&head)
        };

        assert_eq!(framing(""), Ok(Some(Framing::Length(0))));
        assert_eq!(
            framing("Content-Length: 5\r\n"),
            Ok(Some(Framing::Length(5)))
        );
        assert_eq!(
            framing("transfer-encoding: CHUNKED\r\n"),
            Ok(Some(Framing::Chunked(Chunk::Start)))
        );
        assert_eq!(framing("Transfer-Encoding: gzip, chunked\r\n"), Ok(None));
        assert_eq!(
            framing("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            Err(Refusal::TwoFramings)
        );
        assert_eq!(
            framing("Content-Length: 5\r\nContent-Length: 5\r\n"),
            Err(Refusal::TwoLengths)
        );
        assert_eq!(
            framing("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            Err(Refusal::TwoCodings)
        );
        for odd in ["+5", "-5", "5,5", "0x5", "5 5", "", "99999999999999999999"] {
            assert_eq!(
                framing(&format!("Content-Length: {odd}\r\n")),
                Err(Refusal::Length),
                "{odd}"
            );
        }
    }
}
