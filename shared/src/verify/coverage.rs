//! What the signatures of a provider cover besides the body.

use super::Provider;
use super::scheme::Method;
use super::special::Special;
use super::template::Source;

impl Provider {
    /// Whether the public URL is part of what is signed, by any scheme that `variant` allows: an app must then check
    /// with the URL that the provider knows, and not with its own.
    pub fn covers_url(&self, variant: Option<&str>) -> bool {
        let mut allowed = self
            .schemes
            .iter()
            .filter(|scheme| scheme.is_allowed(variant));
        allowed.any(|scheme| {
            let Method::Signed(signed) = &scheme.method else {
                return false;
            };
            let mut expressions = signed
                .messages
                .iter()
                .flat_map(|message| message.expressions());
            expressions.any(|expression| {
                matches!(
                    expression.source,
                    Source::Url
                        | Source::UrlWithoutQuery
                        | Source::Special(Special::PlivoV3 | Special::Contentful)
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twilio_signs_the_url_and_github_does_not() {
        let covers_url = |slug: &str| Provider::builtin(slug).unwrap().covers_url(None);

        assert!(covers_url("twilio") && covers_url("hubspot") && covers_url("plivo"));
        assert!(!covers_url("github") && !covers_url("stripe"));
    }
}
