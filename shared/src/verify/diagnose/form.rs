//! Says which part of a signature's value is not as the scheme writes it.

use crate::verdict::{Cause, Finding};
use crate::verify::Provider;
use crate::verify::delivery::Delivery;
use crate::verify::encoding::Encoding;
use crate::verify::evaluate::Evaluation;
use crate::verify::scheme::{Method, Scheme, Signed};

/// The first part that is wrong, in the first scheme whose signature is there.
pub(super) fn describe(provider: &Provider, delivery: &Delivery<'_>) -> Option<Finding> {
    let mut schemes = provider.schemes_of(delivery.settings);
    schemes.find_map(|scheme| {
        let Method::Signed(signed) = &scheme.method else {
            return None;
        };
        let values = scheme.signature_values(&Evaluation::new(delivery)).ok()?;
        let value = values.first()?;
        Some(Cause::MalformedSignature.finding(&sentence(scheme, signed, value)))
    })
}

fn sentence(scheme: &Scheme, signed: &Signed, value: &[u8]) -> String {
    let place = scheme.described_places();
    let rule = &signed.rule;
    let text = String::from_utf8_lossy(value);
    if let Some(key_value) = &rule.key_value {
        let keys: Vec<_> = key_value
            .signature_keys
            .iter()
            .map(|key| key.text.as_str())
            .collect();
        let separator = &key_value.separator;
        if !keys
            .iter()
            .any(|key| text.contains(&format!("{key}{separator}")))
        {
            return format!("{place} has no part `{}{separator}…`", keys.join("` or `"));
        }
    }
    let has_prefix = |prefix: &String| text.contains(prefix.as_str());
    if !rule.prefixes.is_empty()
        && !rule.prefix_is_optional
        && !rule.prefixes.iter().any(has_prefix)
    {
        return format!(
            "{place} does not begin with `{}`",
            rule.prefixes.join("` or `")
        );
    }
    let candidate = last_word(&text);
    let expected = signed.algorithm.signature_length();
    let lengths = signed.encodings.iter().filter_map(|encoding| {
        Some((
            encoding.name(),
            encoding.decode(candidate.as_bytes())?.len(),
        ))
    });
    if let (Some((encoding, length)), Some(expected)) = (lengths.clone().next(), expected)
        && length != expected
    {
        return format!(
            "the signature in {place} is {encoding} of {length} bytes, {expected} were expected"
        );
    }
    match decodable(candidate) {
        Some(other) => format!(
            "the signature in {place} is {}, {} was expected",
            other.name(),
            form(signed)
        ),
        None => format!("the signature in {place} is not {}", form(signed)),
    }
}

fn form(signed: &Signed) -> String {
    let names: Vec<_> = signed
        .encodings
        .iter()
        .map(|encoding| encoding.name())
        .collect();
    names.join(" or ")
}

/// What follows the last separator of any kind, padding aside.
pub(super) fn last_word(text: &str) -> &str {
    let without_padding = text.trim_end_matches('=').len();
    let start = text[..without_padding]
        .rfind(['=', ',', ' ', ':', ';', '|'])
        .map_or(0, |index| index + 1);
    &text[start..]
}

/// The encoding in which a text gives a digest of any usual length.
pub(super) fn decodable(text: &str) -> Option<Encoding> {
    let encodings = [Encoding::Hex, Encoding::Base64, Encoding::Base64Url];
    encodings.into_iter().find(|encoding| {
        let bytes = encoding.decode(text.as_bytes());
        bytes.is_some_and(|bytes| matches!(bytes.len(), 20 | 32 | 48 | 64))
    })
}
