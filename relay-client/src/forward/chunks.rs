//! Reads a chunked body (RFC 9112 §7.1) piece by piece, wherever its bytes are cut.

use super::reply::ReplyError;

/// The longest line of a chunk's size with its extensions.
const MAX_SIZE_LINE: usize = 4 * 1024;

/// The most bytes of trailer fields, as many as a head may have.
const MAX_TRAILER_BYTES: usize = 64 * 1024;

/// Where in the coding the next byte stands.
#[derive(Debug)]
enum Place {
    SizeLine,
    Data { left: u64 },
    DataEnd,
    Trailer { is_line_empty: bool },
    Done,
}

/// The decoder; it keeps no body bytes.
#[derive(Debug)]
pub(super) struct ChunkDecoder {
    place: Place,
    line: Vec<u8>,
    trailer_bytes: usize,
}

impl ChunkDecoder {
    pub(super) const fn new() -> Self {
        Self {
            place: Place::SizeLine,
            line: Vec::new(),
            trailer_bytes: 0,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.place, Place::Done)
    }

    /// Takes input and hands body bytes to `sink`; returns what follows the body's end.
    pub(super) fn decode<'a>(
        &mut self,
        mut input: &'a [u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), ReplyError>,
    ) -> Result<&'a [u8], ReplyError> {
        while !input.is_empty() && !self.is_done() {
            if let Place::Data { left } = self.place {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                sink(&input[..length])?;
                input = &input[length..];
                let left = left - length as u64;
                self.place = if left == 0 {
                    Place::DataEnd
                } else {
                    Place::Data { left }
                };
            } else {
                self.take_byte(input[0])?;
                input = &input[1..];
            }
        }
        Ok(input)
    }

    fn take_byte(&mut self, byte: u8) -> Result<(), ReplyError> {
        match self.place {
            Place::SizeLine if byte == b'\n' => self.end_size_line()?,
            Place::SizeLine => self.push(byte)?,
            Place::DataEnd if byte == b'\r' && self.line.is_empty() => self.line.push(byte),
            Place::DataEnd if byte == b'\n' => {
                self.line.clear();
                self.place = Place::SizeLine;
            }
            Place::DataEnd => return Err(ReplyError::Chunk("a chunk is longer than its size")),
            Place::Trailer { is_line_empty } => self.take_trailer_byte(byte, is_line_empty)?,
            Place::Data { .. } | Place::Done => {}
        }
        Ok(())
    }

    fn push(&mut self, byte: u8) -> Result<(), ReplyError> {
        if self.line.len() == MAX_SIZE_LINE {
            return Err(ReplyError::Chunk("the line of a chunk's size does not end"));
        }
        self.line.push(byte);
        Ok(())
    }

    fn end_size_line(&mut self) -> Result<(), ReplyError> {
        let left =
            chunk_size(&self.line).ok_or(ReplyError::Chunk("a chunk's size is not a number"))?;
        self.line.clear();
        self.place = match left {
            0 => Place::Trailer {
                is_line_empty: true,
            },
            _ => Place::Data { left },
        };
        Ok(())
    }

    fn take_trailer_byte(&mut self, byte: u8, is_line_empty: bool) -> Result<(), ReplyError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return Err(ReplyError::Chunk("the trailer does not end"));
        }
        self.place = match byte {
            b'\n' if is_line_empty => Place::Done,
            b'\n' => Place::Trailer {
                is_line_empty: true,
            },
            b'\r' => Place::Trailer { is_line_empty },
            _ => Place::Trailer {
                is_line_empty: false,
            },
        };
        Ok(())
    }
}

/// `HEX [; extension]`, at most 16 digits.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line
        .iter()
        .position(|&byte| byte == b';')
        .unwrap_or(line.len());
    let digits = line[..end].trim_ascii();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body, what follows it, and whether the end was seen.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), ReplyError> {
        let mut decoder = ChunkDecoder::new();
        let (mut body, mut rest) = (Vec::new(), Vec::new());
        for piece in pieces {
            let more = decoder.decode(piece, |bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            })?;
            rest.extend_from_slice(more);
        }
        Ok((body, rest, decoder.is_done()))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_taken_off() {
        let (body, rest, is_done) =
            decode(&[b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: 1\r\nY: 2\r\n\r\nnext"]).unwrap();

        assert_eq!(body, b"abc0123456789");
        assert_eq!(rest, b"next");
        assert!(is_done);
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for bad in [
            &b"x\r\n"[..],
            b"\r\n",
            b"3\r\nabcd\r\n",
            b"-1\r\n",
            b"11111111111111111\r\n",
        ] {
            assert!(decode(&[bad]).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn the_size_line_and_the_trailer_have_a_limit() {
        let line = |length: usize| format!("1;{}", "x".repeat(length - 2));
        let trailer = |length: usize| format!("0\r\n{}", "x".repeat(length));

        assert!(decode(&[line(MAX_SIZE_LINE).as_bytes()]).is_ok());
        assert!(decode(&[line(MAX_SIZE_LINE + 1).as_bytes()]).is_err());
        assert!(decode(&[trailer(MAX_TRAILER_BYTES).as_bytes()]).is_ok());
        assert!(decode(&[trailer(MAX_TRAILER_BYTES + 1).as_bytes()]).is_err());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let (left, right) = text.split_at(cut.index(text.len()));

            let (body, rest, is_done) = decode(&[left, right]).unwrap();

            prop_assert_eq!(body, chunks.concat());
            prop_assert!(rest.is_empty() && is_done);
        }

        #[test]
        fn it_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[&bytes]);
        }
    }
}
