//! What a public URL or a secret may have been when the provider signed: one plausible change each.

use std::borrow::Cow;

use crate::verify::encoding::Encoding;
use crate::verify::url::UrlParts;

/// Something changed, with a code and the words that say how.
pub(super) struct Variant<T> {
    pub(super) code: &'static str,
    /// Completes "the signature matches …".
    pub(super) words: &'static str,
    pub(super) hint: &'static str,
    pub(super) value: T,
}

const URL_HINT: &str = "give the provider exactly the public URL that the relay is configured with";

/// Public URLs that a provider may have been told instead.
pub(super) fn urls(url: &str, host_header: Option<&str>) -> Vec<Variant<String>> {
    let parts = UrlParts::split(url);
    let mut variants = Vec::new();
    let mut push = |words, value: String| {
        if value != url {
            variants.push(Variant {
                code: "other_url",
                words,
                hint: URL_HINT,
                value,
            });
        }
    };
    let query = if parts.query.is_empty() {
        String::new()
    } else {
        format!("?{}", parts.query)
    };
    let other_scheme = if parts.scheme == "https" {
        "http"
    } else {
        "https"
    };
    let path_query = parts.target();
    push(
        "the URL with the other of http and https",
        format!("{other_scheme}://{}{path_query}", parts.authority),
    );
    let other_slash = match parts.path.strip_suffix('/') {
        Some(shorter) => shorter.to_owned(),
        None => format!("{}/", parts.path),
    };
    push(
        "the URL with or without a slash at the end of its path",
        format!("{}://{}{other_slash}{query}", parts.scheme, parts.authority),
    );
    push(
        "the URL without its query",
        format!("{}://{}{}", parts.scheme, parts.authority, parts.path),
    );
    push(
        "the URL without its port",
        parts.with_authority(&parts.host()),
    );
    if let Some(host) = host_header {
        push(
            "the URL with the host of the request",
            parts.with_authority(host),
        );
        push(
            "the URL with the host of the request and plain http",
            format!("http://{host}{path_query}"),
        );
    }
    variants
}

const SECRET_HINT: &str = "set the secret again, exactly as the provider shows it";

/// Keys that a secret may stand for.
pub(super) fn keys(secret: &[u8]) -> Vec<Variant<Cow<'_, [u8]>>> {
    let trimmed = secret.trim_ascii();
    let underscore = trimmed.iter().position(|&byte| byte == b'_');
    let after_prefix = underscore.map(|index| &trimmed[index + 1..]);
    let base64 = |text| Encoding::Base64.decode(text).map(Cow::Owned);
    let forms: [(_, Option<Cow<'_, [u8]>>); 6] = [
        ("as the text that it is", Some(secret.into())),
        (
            "without the spaces and line ends around it",
            Some(trimmed.into()),
        ),
        ("decoded as base64", base64(trimmed)),
        (
            "decoded as hex",
            Encoding::Hex.decode(trimmed).map(Cow::Owned),
        ),
        (
            "decoded as base64 after its prefix",
            after_prefix.and_then(base64),
        ),
        ("without its prefix", after_prefix.map(Cow::Borrowed)),
    ];
    let mut variants: Vec<Variant<Cow<'_, [u8]>>> = Vec::new();
    for (words, value) in forms {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        if variants.iter().all(|other| other.value != value) {
            variants.push(Variant {
                code: "other_secret_form",
                words,
                hint: SECRET_HINT,
                value,
            });
        }
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_variant_of_a_url_is_the_url_itself() {
        for url in ["https://a.example/x/?q=1", "http://a.example:80", "x", ""] {
            assert!(
                urls(url, Some("a.example"))
                    .iter()
                    .all(|variant| variant.value != url)
            );
        }
    }
}
