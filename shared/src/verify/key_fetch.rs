//! Keys that the provider publishes: which one a request asks for, and whether its place may be trusted.
//! Fetching and caching them is left to the caller, who passes them in with the settings.

use super::asymmetric::PublicKey;
use super::certificate::CertificateRule;
use super::evaluate::Evaluation;
use super::template::Template;
use super::trouble::{Failing, Trouble};
use super::url::UrlParts;
use crate::verdict::Cause;

/// A public key of the provider, for [`Settings::fetched`](super::Settings::fetched): PEM certificate, PEM key or JWK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedKey {
    /// At this HTTPS URL, which is one of the provider's own. Fetch it without following redirects.
    Url(String),
    /// In the certificate at such a URL; it goes in as [`CertificateRule::trusted`] returns it.
    Certificate {
        /// Where it is.
        url: String,
        /// What makes it the provider's.
        rule: CertificateRule,
    },
    /// The JWK with this id in the JWK set at this HTTPS URL, which the endpoint's owner has named.
    InSet {
        /// Where the set is.
        url: String,
        /// The key's id.
        id: String,
    },
    /// Under this id in the provider's key set or API.
    Id(String),
}

impl WantedKey {
    /// The name under which [`Settings::fetched`](super::Settings::fetched) holds the key.
    pub fn name(&self) -> &str {
        match self {
            Self::Url(name)
            | Self::Certificate { url: name, .. }
            | Self::InSet { id: name, .. }
            | Self::Id(name) => name,
        }
    }
}

/// How a scheme names its key.
#[derive(Debug)]
pub(super) enum KeyFetch {
    /// By its URL, whose host must be one of the provider's.
    Url {
        url: Template,
        pin: HostPin,
        /// What stands there is a certificate with a chain.
        certificate: Option<CertificateRule>,
    },
    /// By an id, for an API that needs credentials.
    Id(Template),
}

/// The keys that a provider publishes by their ids.
#[derive(Debug)]
pub(super) struct KeySet {
    /// Where the set is; made of text and the owner's parameters alone, so that no sender can move it.
    pub(super) url: Option<Template>,
}

impl KeySet {
    /// The key with this id.
    pub(super) fn wanted(&self, id: String, evaluation: &Evaluation<'_>) -> WantedKey {
        let url = self.url.as_ref();
        match url.and_then(|url| evaluation.render_text(url).ok()) {
            Some(url) if is_plain_https(&UrlParts::split(&url)) => WantedKey::InSet { url, id },
            _ => WantedKey::Id(id),
        }
    }
}

/// Whether a URL is HTTPS on its default port, without user information.
fn is_plain_https(parts: &UrlParts<'_>) -> bool {
    parts.scheme.eq_ignore_ascii_case("https")
        && matches!(parts.port(), None | Some("443"))
        && !parts.has_user()
}

/// The URLs that belong to a provider.
#[derive(Debug)]
pub(super) struct HostPin {
    /// Host names in which `*` stands for one label or a part of it.
    pub(super) hosts: Vec<String>,
    /// What the path must end with.
    pub(super) path_suffix: Option<String>,
}

impl HostPin {
    /// Whether a URL is HTTPS on its default port, at one of the hosts.
    pub(super) fn allows(&self, url: &str) -> bool {
        let parts = UrlParts::split(url);
        let has_right_suffix = self
            .path_suffix
            .as_ref()
            .is_none_or(|suffix| parts.path.ends_with(suffix.as_str()));
        let host = parts.host();
        is_plain_https(&parts) && has_right_suffix && matches_any(&self.hosts, &host)
    }
}

/// Whether a host name fits one of the patterns.
pub(super) fn matches_any(patterns: &[String], host: &str) -> bool {
    let mut patterns = patterns.iter();
    patterns.any(|pattern| matches_pattern(pattern, host))
}

/// Whether a host name fits; `*` stands for one or more letters, digits and dashes.
fn matches_pattern(pattern: &str, host: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == host;
    };
    let Some(after_start) = host.strip_prefix(start) else {
        return false;
    };
    let longest = after_start
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        .count();
    (1..=longest).any(|length| matches_pattern(rest, &after_start[length..]))
}

impl KeyFetch {
    /// The key that the request asks for.
    pub(super) fn wanted(&self, evaluation: &Evaluation<'_>) -> Result<WantedKey, Failing> {
        match self {
            Self::Id(id) => Ok(WantedKey::Id(
                evaluation.render_text(id).map_err(unreadable)?,
            )),
            Self::Url {
                url,
                pin,
                certificate,
            } => {
                let url = evaluation.render_text(url).map_err(unreadable)?;
                if !pin.allows(&url) {
                    return Err(Failing::new(
                        Cause::KeyUrlRejected,
                        "the URL of the key is not HTTPS at one of the provider's hosts",
                    ));
                }
                Ok(match certificate.clone() {
                    Some(rule) => WantedKey::Certificate { url, rule },
                    None => WantedKey::Url(url),
                })
            }
        }
    }

    /// The key that the request asks for, out of those that were fetched.
    pub(super) fn key(&self, evaluation: &Evaluation<'_>) -> Result<PublicKey, Failing> {
        fetched_key(evaluation, self.wanted(evaluation)?.name())
    }
}

/// A fetched key by its URL or id.
pub(super) fn fetched_key(evaluation: &Evaluation<'_>, name: &str) -> Result<PublicKey, Failing> {
    let material = evaluation
        .delivery
        .settings
        .fetched
        .get(name)
        .ok_or_else(|| {
            Failing::new(
                Cause::KeyUnavailable,
                format!(
                    "the provider's key `{}` was not fetched",
                    name.escape_debug()
                ),
            )
        })?;
    PublicKey::from_text(material.as_bytes()).ok_or_else(|| {
        Failing::new(
            Cause::KeyUnavailable,
            format!(
                "the provider's key `{}` cannot be read",
                name.escape_debug()
            ),
        )
    })
}

fn unreadable(trouble: Trouble) -> Failing {
    match trouble {
        Trouble::Undecodable(what) => Failing::new(Cause::MalformedSignature, what),
        other => other.into_failing(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_providers_own_https_urls_are_allowed() {
        let pin = HostPin {
            hosts: vec!["sns.*.amazonaws.com".to_owned()],
            path_suffix: Some(".pem".to_owned()),
        };

        assert!(pin.allows("https://sns.us-east-1.amazonaws.com/a.pem"));
        assert!(pin.allows("https://SNS.us-east-1.amazonaws.com:443/a.pem"));
        for url in [
            "http://sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com/a.txt",
            "https://sns.us-east-1.amazonaws.com:8443/a.pem",
            "https://u@sns.us-east-1.amazonaws.com/a.pem",
            "https://evil.com/sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.evil.com/.amazonaws.com/a.pem",
            "https://sns.a.b.amazonaws.com/a.pem",
            "https://sns..amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com.evil.com/a.pem",
            "https://evil.com#sns.us-east-1.amazonaws.com/a.pem",
            "https://evil.com\\sns.us-east-1.amazonaws.com/a.pem",
        ] {
            assert!(!pin.allows(url), "{url}");
        }
    }
}
