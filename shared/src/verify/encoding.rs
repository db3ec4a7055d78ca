//! Hex and base64 as signatures use them: strict alphabets, padding optional but right where it stands.

use std::sync::LazyLock;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding as Alphabet, HEXLOWER_PERMISSIVE};

/// Padding is cut off before; left-over bits of the last character are ignored, as SDKs do.
static STANDARD: LazyLock<Alphabet> = LazyLock::new(|| lenient(&BASE64_NOPAD));
static URL_SAFE: LazyLock<Alphabet> = LazyLock::new(|| lenient(&BASE64URL_NOPAD));

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Hexadecimal, letters in any case.
    Hex,
    /// Base64 with `+` and `/`.
    Base64,
    /// Base64 with `-` and `_`.
    Base64Url,
}

impl Encoding {
    /// Its name in the scheme language.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }

    /// The bytes, when `text` is written in this encoding.
    pub(super) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text).ok(),
            Self::Base64 => STANDARD.decode(without_padding(text)?).ok(),
            Self::Base64Url => URL_SAFE.decode(without_padding(text)?).ok(),
        }
    }

    /// The text of `bytes` as providers write it.
    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.encode(bytes),
            Self::Base64 => data_encoding::BASE64.encode(bytes),
            Self::Base64Url => BASE64URL_NOPAD.encode(bytes),
        }
    }
}

/// The text before its padding; `None` when there is padding, but not as much as the length asks for.
fn without_padding(text: &[u8]) -> Option<&[u8]> {
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return None;
    }
    Some(&text[..text.len() - padding])
}

fn lenient(alphabet: &Alphabet) -> Alphabet {
    let mut specification = alphabet.specification();
    specification.check_trailing_bits = false;
    specification
        .encoding()
        .expect("a built-in alphabet without its check for trailing bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_takes_both_cases_and_nothing_else() {
        assert_eq!(Encoding::Hex.decode(b"0aFF"), Some(vec![10, 255]));
        for bad in [&b"0aF"[..], b"0x0a", b"0a ff", b" 0a"] {
            assert_eq!(Encoding::Hex.decode(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn base64_padding_is_optional_but_must_be_right() {
        for good in [&b"AQI="[..], b"AQI"] {
            assert_eq!(Encoding::Base64.decode(good), Some(vec![1, 2]));
        }
        for bad in [
            &b"AQI=="[..],
            b"AQ=",
            b"AQI=\n",
            b"A",
            b"====",
            b"AQ I",
            b"A=QI",
        ] {
            assert_eq!(Encoding::Base64.decode(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn the_two_base64_alphabets_are_distinct() {
        assert!(Encoding::Base64.decode(b"+/+/").is_some());
        assert!(Encoding::Base64.decode(b"-_-_").is_none());
        assert!(Encoding::Base64Url.decode(b"-_-_").is_some());
        assert!(Encoding::Base64Url.decode(b"+/+/").is_none());
    }
}
