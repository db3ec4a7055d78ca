//! Builders of signed text that no template can express, by their names in the scheme language.

mod atlassian;
mod contentful;
mod forms;
mod hubspot;
mod plivo;

use std::fmt;

use super::delivery::Delivery;
use super::trouble::Trouble;
use super::url::UrlParts;
pub(super) use hubspot::hubspot_uri;

/// A builder, by its name in the scheme language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// `form_sorted`: unique pairs of the form, sorted, each key followed by its value.
    FormSorted,
    /// `php_form:FIELD`: the form without one field, as PHP serialises an array.
    PhpForm(String),
    /// `plivo_v3`: URL, sorted query and sorted form.
    PlivoV3,
    /// `contentful`: Contentful's canonical request.
    Contentful,
    /// `atlassian_qsh`: Atlassian's query string hash.
    AtlassianQueryHash,
}

impl Special {
    /// The names of all builders without an argument.
    pub(super) const NAMES: [&str; 4] = ["form_sorted", "plivo_v3", "contentful", "atlassian_qsh"];

    /// The builder with this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "form_sorted" => Some(Self::FormSorted),
            "plivo_v3" => Some(Self::PlivoV3),
            "contentful" => Some(Self::Contentful),
            "atlassian_qsh" => Some(Self::AtlassianQueryHash),
            _ => {
                let left_out = name.strip_prefix("php_form:")?;
                Some(Self::PhpForm(left_out.to_owned()))
            }
        }
    }

    /// Header fields that the builder reads and a signer must set, with what is usual in them.
    pub(super) const fn signed_fields(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Contentful => contentful::SIGNED_FIELDS,
            _ => &[],
        }
    }

    /// Whether the builder's text always has the time in it.
    pub(super) const fn signs_time(&self) -> bool {
        matches!(self, Self::Contentful)
    }

    /// Whether the builder's text has the body in it, or a part of it.
    pub(super) const fn signs_body(&self) -> bool {
        !matches!(self, Self::AtlassianQueryHash)
    }

    /// Whether the builder's text has the public URL in it, or a part of it.
    pub(super) const fn signs_url(&self) -> bool {
        matches!(
            self,
            Self::PlivoV3 | Self::Contentful | Self::AtlassianQueryHash
        )
    }

    /// Builds the text for a request that was sent to `url`.
    pub(super) fn build(&self, delivery: &Delivery<'_>, url: &str) -> Result<Vec<u8>, Trouble> {
        let url = UrlParts::split(url);
        match self {
            Self::FormSorted => forms::sorted(delivery.form_pairs()?),
            Self::PhpForm(left_out) => forms::php_serialised(delivery.form_pairs()?, left_out),
            Self::PlivoV3 => plivo::signed_text(delivery, url),
            Self::Contentful => contentful::canonical_request(delivery, url),
            Self::AtlassianQueryHash => Ok(atlassian::query_hash(delivery, url)),
        }
    }
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FormSorted | Self::PhpForm(_) => "the form in the body",
            Self::PlivoV3 => "the public URL and form",
            Self::Contentful | Self::AtlassianQueryHash => "the canonical request",
        })
    }
}

/// The text in Unicode normalisation form KD.
pub(super) fn decomposed(text: &str) -> String {
    icu_normalizer::DecomposingNormalizerBorrowed::new_nfkd()
        .normalize(text)
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_with_marks_are_decomposed() {
        assert_eq!(decomposed("s\u{e9}cret"), "se\u{301}cret");
    }
}
