//! Builders of signed text that no template can express (schemes.md §4).

use std::fmt;

use super::delivery::Delivery;
use super::trouble::Trouble;

/// A builder, by its name in the scheme language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// `form_sorted`: unique pairs of the form, sorted, each key followed by its value.
    FormSorted,
}

impl Special {
    /// The builder with this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "form_sorted" => Some(Self::FormSorted),
            _ => None,
        }
    }

    /// Builds the text for a request.
    pub(super) fn build(&self, delivery: &Delivery<'_>, _url: &str) -> Result<Vec<u8>, Trouble> {
        match self {
            Self::FormSorted => form_sorted(delivery),
        }
    }
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FormSorted => "form_sorted",
        })
    }
}

fn form_sorted(delivery: &Delivery<'_>) -> Result<Vec<u8>, Trouble> {
    let mut pairs: Vec<_> = delivery.form_pairs()?.iter().collect();
    pairs.sort();
    pairs.dedup();
    let pieces = pairs
        .iter()
        .flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]);
    Ok(pieces.collect::<Vec<_>>().concat())
}

/// The text in Unicode normalisation form KD.
pub(super) fn decomposed(text: &str) -> String {
    icu_normalizer::DecomposingNormalizerBorrowed::new_nfkd()
        .normalize(text)
        .into_owned()
}

/// The URL with the percent escapes decoded that HubSpot decodes, and no others.
pub(super) fn hubspot_uri(url: &[u8]) -> Vec<u8> {
    const DECODED: &[u8] = b":/?@!$'()*,;";
    let mut output = Vec::with_capacity(url.len());
    let mut rest = url;
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).filter(|_| *first == b'%');
        let byte = escape.and_then(|digits| data_encoding::HEXLOWER_PERMISSIVE.decode(digits).ok());
        match byte.as_deref() {
            Some([byte]) if DECODED.contains(byte) => {
                output.push(*byte);
                rest = &tail[2..];
            }
            _ => {
                output.push(*first);
                rest = tail;
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_escapes_are_decoded() {
        assert_eq!(hubspot_uri(b"/a%3Ab%20c%2f%zz%"), b"/a:b%20c/%zz%");
    }

    #[test]
    fn letters_with_marks_are_decomposed() {
        assert_eq!(decomposed("s\u{e9}cret"), "se\u{301}cret");
    }
}
