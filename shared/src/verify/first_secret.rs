//! What an endpoint without any secret needs before its requests can be checked.

use super::Provider;
use super::key_fetch::KeyFetch;
use super::scheme::{KeySource, Method, Scheme};

/// What an endpoint without any secret needs before its requests can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstSecret {
    /// A secret from its owner; until then nothing is checked.
    FromOwner,
    /// The provider hands one over with its challenge; until then nothing is checked.
    FromChallenge,
    /// The provider's public keys from its owner, each as a secret that has the key's id as its name; until then every
    /// check fails, because the keys cannot be fetched without an account.
    KeysByName,
    /// Nothing: every key can be fetched, or none is needed.
    Nothing,
}

impl Provider {
    /// What an endpoint without any secret needs, by the schemes that `variant` allows.
    pub fn first_secret(&self, variant: Option<&str>) -> FirstSecret {
        if self.needs_secret(variant) {
            return if self.hands_over_secrets() {
                FirstSecret::FromChallenge
            } else {
                FirstSecret::FromOwner
            };
        }
        let allowed = self.schemes.iter();
        let mut allowed = allowed.filter(|scheme| scheme.is_allowed(variant));
        let needs_something = |scheme: &Scheme| scheme.needs_secret() || has_keys_by_id(scheme);
        if allowed.all(needs_something) {
            FirstSecret::KeysByName
        } else {
            FirstSecret::Nothing
        }
    }
}

/// Whether its keys have ids and no address.
fn has_keys_by_id(scheme: &Scheme) -> bool {
    match &scheme.method {
        Method::Signed(signed) => matches!(signed.key, KeySource::Fetched(KeyFetch::Id(_))),
        Method::Jwt(rule) => rule.published.as_ref().is_some_and(|set| set.url.is_none()),
        Method::Equals(_) | Method::HttpSignature(_) | Method::Issued => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_provider_is_told_from_the_others() {
        for (slug, variant, expected) in [
            ("stripe", None, FirstSecret::FromOwner),
            ("asana", None, FirstSecret::FromChallenge),
            ("notion", None, FirstSecret::FromChallenge),
            ("ebay", None, FirstSecret::KeysByName),
            ("plaid", None, FirstSecret::KeysByName),
            ("paypal", None, FirstSecret::Nothing),
            ("aws_sns", None, FirstSecret::Nothing),
            ("google_pubsub", None, FirstSecret::Nothing),
            ("kinde", None, FirstSecret::Nothing),
            ("extole", Some("oauth"), FirstSecret::Nothing),
        ] {
            let provider = Provider::builtin(slug).unwrap();

            assert_eq!(provider.first_secret(variant), expected, "{slug}");
        }
    }
}
