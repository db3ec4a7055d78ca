//! The filters of templates: `{source|filter|filter}`, applied from left to right.

use std::borrow::Cow;

use super::delivery::Delivery;
use super::digest::{Crc32, Digester, Hash};
use super::encoding::Encoding;
use super::evaluate::Value;
use super::json::{self, Pointer};
use super::nearest::did_you_mean;
use super::signed_names;
use super::special;
use super::template::Source;
use super::trouble::Trouble;
use crate::verdict::Cause;

/// The names of all filters, for those who mistype one.
const NAMES: [&str; 20] = [
    "lower",
    "trim",
    "hex",
    "b64",
    "unhex",
    "unb64",
    "unpem",
    "sha1",
    "sha256",
    "sha384",
    "sha512",
    "crc32",
    "json",
    "strip",
    "scheme",
    "maybe_scheme",
    "header_values",
    "nfkd",
    "hubspot_uri",
    "hmac-sha256",
];

/// One step that changes a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Lower,
    Hex,
    Base64,
    Unhex,
    Unbase64,
    /// The bytes inside a PEM block, or of bare base64.
    Unpem,
    Hash(Hash),
    /// HMAC under the endpoint's first secret; only handshakes have it.
    Hmac(Hash),
    /// CRC-32 as a decimal number.
    Crc32,
    /// The value as a JSON string with its quotes.
    JsonText,
    /// `json:/POINTER`: the value is JSON, take that part.
    JsonPart(Pointer),
    Trim,
    /// `strip:PREFIX`: without the prefix, if it is there.
    Strip(String),
    /// `scheme:WORD`: without the leading authentication scheme; absent when that is another.
    Scheme {
        word: String,
        /// `maybe_scheme:WORD` leaves other values as they are.
        is_optional: bool,
    },
    /// `header_values:SEPARATOR`: the value lists header names; takes their values, joined.
    HeaderValues(String),
    /// Unicode normalisation form KD.
    Nfkd,
    /// Decodes the percent escapes that HubSpot decodes.
    HubspotUri,
}

/// What a filter may look at besides its value.
#[derive(Clone, Copy)]
pub(super) struct FilterContext<'a> {
    pub(super) delivery: &'a Delivery<'a>,
    pub(super) hmac_key: Option<&'a [u8]>,
    pub(super) source: &'a Source,
}

impl Filter {
    /// Compiles a filter by its name and argument.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = text.split_once(':').unwrap_or((text, ""));
        let argument_is_right = matches!(
            name,
            "strip" | "scheme" | "maybe_scheme" | "header_values" | "json"
        ) || argument.is_empty();
        if !argument_is_right {
            return Err(format!("the filter `{name}` takes no argument"));
        }
        Ok(match name {
            "lower" => Self::Lower,
            "hex" => Self::Hex,
            "b64" => Self::Base64,
            "unhex" => Self::Unhex,
            "unb64" => Self::Unbase64,
            "unpem" => Self::Unpem,
            "crc32" => Self::Crc32,
            "json" if argument.is_empty() => Self::JsonText,
            "json" => Self::JsonPart(Pointer::parse(argument)?),
            "trim" => Self::Trim,
            "strip" => Self::Strip(argument.to_owned()),
            "scheme" | "maybe_scheme" => Self::Scheme {
                word: argument.to_owned(),
                is_optional: name == "maybe_scheme",
            },
            "header_values" => Self::HeaderValues(argument.to_owned()),
            "nfkd" => Self::Nfkd,
            "hubspot_uri" => Self::HubspotUri,
            _ => Self::parse_digest(name).ok_or_else(|| {
                let near = did_you_mean(name, NAMES);
                format!("`{name}` is no filter of the scheme language{near}")
            })?,
        })
    }

    fn parse_digest(name: &str) -> Option<Self> {
        match name.strip_prefix("hmac-") {
            Some(hash) => Hash::parse(hash).map(Self::Hmac),
            None => Hash::parse(name).map(Self::Hash),
        }
    }

    /// How many times longer a value can become; 0 where its length does not matter any more.
    pub(super) const fn growth(&self) -> usize {
        match self {
            Self::Hash(_) | Self::Hmac(_) | Self::Crc32 => 0,
            Self::Hex | Self::Base64 => 2,
            // A control character is written as six letters.
            Self::JsonText => 6,
            // The longest decomposition: U+FDFA, three bytes, becomes 33.
            Self::Nfkd => 11,
            Self::Lower | Self::Unhex | Self::Unbase64 | Self::Unpem | Self::JsonPart(_) => 1,
            Self::Trim | Self::Strip(_) | Self::Scheme { .. } => 1,
            Self::HeaderValues(_) | Self::HubspotUri => 1,
        }
    }

    /// Begins to digest, when the filter reduces its value to a digest: the value may then come in pieces.
    pub(super) fn begin_digest(&self) -> Option<RunningDigest> {
        match self {
            Self::Hash(hash) => Some(RunningDigest::Hash(Box::new(hash.begin()))),
            Self::Crc32 => Some(RunningDigest::Crc32(Crc32::begin())),
            _ => None,
        }
    }

    /// The changed value.
    pub(super) fn apply<'v>(
        &self,
        value: Cow<'v, [u8]>,
        context: FilterContext<'_>,
    ) -> Result<Value<'v>, Trouble> {
        let output: Cow<'v, [u8]> = match self {
            Self::Lower => lower(&value).into(),
            Self::Hex => Encoding::Hex.encode(&value).into_bytes().into(),
            Self::Base64 => Encoding::Base64.encode(&value).into_bytes().into(),
            Self::Unhex => decoded(Encoding::Hex, &value, context.source)?.into(),
            Self::Unbase64 => decoded(Encoding::Base64, &value, context.source)?.into(),
            Self::Unpem => unpem(&value)
                .ok_or_else(|| undecodable(context.source, "PEM or base64"))?
                .into(),
            Self::Hash(_) | Self::Crc32 => {
                let mut running = self.begin_digest().expect("these two digest");
                running.update(&value);
                running.finish().into()
            }
            Self::Hmac(hash) => {
                let key = context.hmac_key.ok_or(Trouble::Absent(Source::Secret))?;
                hash.hmac(key, &value).into()
            }
            Self::JsonText => json::quoted(as_text(&value, context.source)?).into(),
            Self::JsonPart(pointer) => return json_part(pointer, &value, context.source),
            Self::Trim => trimmed(value),
            Self::Strip(prefix) => without_prefix(value, prefix.as_bytes()),
            Self::Scheme { word, is_optional } => {
                return match (without_scheme(&value, word), is_optional) {
                    (Some(credential), _) => Ok(Value::Bytes(credential.to_vec().into())),
                    (None, true) => Ok(Value::Bytes(value)),
                    (None, false) => Err(Trouble::Absent(context.source.clone())),
                };
            }
            Self::HeaderValues(separator) => {
                header_values(&value, separator, context.delivery)?.into()
            }
            Self::Nfkd => special::decomposed(as_text(&value, context.source)?)
                .into_bytes()
                .into(),
            Self::HubspotUri => special::hubspot_uri(&value).into(),
        };
        Ok(Value::Bytes(output))
    }
}

/// A digest that is fed piece by piece.
pub(super) enum RunningDigest {
    Hash(Box<Digester>),
    Crc32(Crc32),
}

impl RunningDigest {
    pub(super) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Hash(digester) => digester.update(piece),
            Self::Crc32(crc) => crc.update(piece),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Hash(digester) => digester.finish(),
            Self::Crc32(crc) => crc.finish().to_string().into_bytes(),
        }
    }
}

fn undecodable(source: &Source, form: &str) -> Trouble {
    Trouble::Undecodable(format!("{source} is not {form}"))
}

fn decoded(encoding: Encoding, value: &[u8], source: &Source) -> Result<Vec<u8>, Trouble> {
    encoding
        .decode(value)
        .ok_or_else(|| undecodable(source, encoding.name()))
}

fn as_text<'v>(value: &'v [u8], source: &Source) -> Result<&'v str, Trouble> {
    std::str::from_utf8(value)
        .map_err(|_| Trouble::fatal(Cause::MalformedBody, format!("{source} is not UTF-8 text")))
}

fn lower(value: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => value.to_ascii_lowercase(),
    }
}

/// The bytes inside the first PEM block, or of the whole text when there is none.
pub(super) fn unpem(value: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(value).ok()?;
    let inner = match text.split_once("-----BEGIN ") {
        Some((_, rest)) => {
            let (_label, rest) = rest.split_once("-----")?;
            rest.split_once("-----END")?.0
        }
        None => text,
    };
    let compact: String = inner.split_ascii_whitespace().collect();
    // Keys are copied by hand: padding too much or too little does no harm.
    Encoding::Base64.decode(compact.trim_end_matches('=').as_bytes())
}

fn json_part(pointer: &Pointer, value: &[u8], source: &Source) -> Result<Value<'static>, Trouble> {
    let document = json::document(value).ok_or_else(|| undecodable(source, "JSON"))?;
    let absent = || Trouble::Absent(Source::Json(pointer.clone()));
    let found = pointer.find(document).ok_or_else(absent)?;
    match json::scalar(found) {
        Some(json::Scalar::Text(text)) => Ok(Value::Bytes(text.into_bytes().into())),
        Some(json::Scalar::Container) => Ok(Value::Container),
        Some(json::Scalar::Null) => Err(absent()),
        None => Err(undecodable(source, "valid JSON text")),
    }
}

fn trimmed(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = value.iter().take_while(|byte| is_space(byte)).count();
    let end = value.len()
        - value[start..]
            .iter()
            .rev()
            .take_while(|byte| is_space(byte))
            .count();
    slice(value, start, end)
}

fn without_prefix<'v>(value: Cow<'v, [u8]>, prefix: &[u8]) -> Cow<'v, [u8]> {
    if value.starts_with(prefix) {
        let end = value.len();
        slice(value, prefix.len(), end)
    } else {
        value
    }
}

fn slice(value: Cow<'_, [u8]>, start: usize, end: usize) -> Cow<'_, [u8]> {
    match value {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[start..end]),
        Cow::Owned(bytes) => Cow::Owned(bytes[start..end].to_vec()),
    }
}

/// `Bearer abc` without `Bearer`; `None` when the word differs or nothing follows it.
fn without_scheme<'v>(value: &'v [u8], word: &str) -> Option<&'v [u8]> {
    let space = value.iter().position(|&byte| byte == b' ')?;
    let credential = value[space..].trim_ascii();
    let is_match = value[..space].eq_ignore_ascii_case(word.as_bytes());
    (is_match && !credential.is_empty()).then_some(credential)
}

fn header_values(
    names: &[u8],
    separator: &str,
    delivery: &Delivery<'_>,
) -> Result<Vec<u8>, Trouble> {
    let names = String::from_utf8_lossy(names);
    let names: Vec<&str> = names.split_whitespace().collect();
    signed_names::check(&names).map_err(Trouble::Fatal)?;
    let mut joined = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            joined.extend_from_slice(separator.as_bytes());
        }
        joined.extend_from_slice(delivery.header(name)?);
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_word_is_removed_in_any_case() {
        assert_eq!(without_scheme(b"bEARER  abc ", "Bearer"), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearer", b"Bearer ", b"Bearerabc"] {
            assert_eq!(without_scheme(other, "Bearer"), None);
        }
    }

    #[test]
    fn pem_armour_and_line_ends_are_removed() {
        let pem = b"-----BEGIN PUBLIC KEY-----\r\nAQ\nI=\n-----END PUBLIC KEY-----\n";

        assert_eq!(unpem(pem), Some(vec![1, 2]));
        assert_eq!(unpem(b"AQI="), Some(vec![1, 2]));
        assert_eq!(unpem(b"-----BEGIN X-----AQI="), None);
    }

    #[test]
    fn a_digest_of_pieces_is_the_digest_of_the_whole() {
        for name in ["sha1", "sha256", "sha384", "sha512", "crc32"] {
            let filter = Filter::parse(name).unwrap();
            let mut whole = filter.begin_digest().unwrap();
            whole.update(b"abc");
            let mut pieces = filter.begin_digest().unwrap();
            pieces.update(b"a");
            pieces.update(b"bc");

            assert_eq!(whole.finish(), pieces.finish(), "{name}");
        }
    }
}
