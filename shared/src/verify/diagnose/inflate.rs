//! Unpacks a body that was compressed after it was signed, within a bound.

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};

use super::budget::Budget;

/// The most bytes that are unpacked: small bodies can grow a thousandfold.
const MAX_INFLATED_BYTES: u64 = 256 * 1024;

/// The unpacked body, where it begins like gzip (RFC 1952) or zlib (RFC 1950) and is whole.
pub(super) fn inflated(body: &[u8], budget: &mut Budget) -> Option<Vec<u8>> {
    if is_gzip(body) {
        return bounded(GzDecoder::new(body), budget);
    }
    is_zlib(body)
        .then(|| bounded(ZlibDecoder::new(body), budget))
        .flatten()
}

/// Whether a body is compressed in a form that is known here.
pub(super) fn is_compressed(body: &[u8]) -> bool {
    is_gzip(body) || is_zlib(body)
}

fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(&[0x1f, 0x8b, 0x08])
}

/// The two bytes are, as one number, a multiple of 31.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [0x78, flags, ..] if (0x7800 + u16::from(*flags)).is_multiple_of(31))
}

/// Half of what is left is for the unpacking, the other for the MAC of what comes out.
fn bounded(decoder: impl Read, budget: &mut Budget) -> Option<Vec<u8>> {
    let most = MAX_INFLATED_BYTES.min(budget.bytes / 2);
    let mut output = Vec::new();
    let read = decoder.take(most + 1).read_to_end(&mut output);
    let length = output.len() as u64;
    if length > most {
        budget.left_something_out = true;
    }
    if !budget.spend_bytes(length.min(most)) || length > most {
        return None;
    }
    read.is_ok().then_some(output)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn gzip_and_zlib_are_unpacked_up_to_a_bound_that_is_told() {
        let most = usize::try_from(MAX_INFLATED_BYTES).unwrap();
        for (length, is_unpacked) in [(1000, true), (most, true), (most + 1, false)] {
            let text = vec![b'a'; length];
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(&text).unwrap();
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
            zlib.write_all(&text).unwrap();
            for packed in [gzip.finish().unwrap(), zlib.finish().unwrap()] {
                let mut budget = Budget::full();
                let unpacked = inflated(&packed, &mut budget);

                assert!(is_compressed(&packed));
                assert_eq!(unpacked, is_unpacked.then(|| text.clone()));
                assert_eq!(budget.left_something_out, !is_unpacked);
            }
        }
    }

    #[test]
    fn what_is_not_compressed_or_broken_is_left_alone() {
        for body in [&b""[..], b"x", b"{}", b"\x1f\x8b\x08", b"\x78\x9c\xff\xff"] {
            assert_eq!(inflated(body, &mut Budget::full()), None);
        }
    }
}
