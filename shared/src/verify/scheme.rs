//! A compiled scheme: one way in which a provider signs. `language` builds it, `attempt` applies it.

use super::asymmetric::SignatureAlgorithm;
use super::candidates::CandidateRule;
use super::condition::Condition;
use super::digest::Hash;
use super::encoding::Encoding;
use super::http_signature::HttpSignatureRule;
use super::json::Pointer;
use super::jwt::JwtRule;
use super::key_fetch::KeyFetch;
use super::template::{Source, Template};
use super::timestamp::TimestampRule;

/// One way in which a provider signs.
#[derive(Debug)]
pub(super) struct Scheme {
    /// Its name within the provider.
    pub(super) id: Option<String>,
    /// It applies only when all of these hold.
    pub(super) when: Vec<Condition>,
    /// Only secrets that begin with this are its own.
    pub(super) secret_prefix: Option<String>,
    /// Secrets that begin with this are not its own.
    pub(super) not_secret_prefix: Option<String>,
    /// The places of the signature.
    pub(super) places: Vec<Template>,
    /// Whether a match covers the whole body.
    pub(super) covers_body: bool,
    /// An array in the body, each element of which has its own signature.
    pub(super) each: Option<Pointer>,
    /// Equalities that must hold besides the signature.
    /// The parameters that an endpoint must set that takes it.
    pub(super) needs: Vec<String>,
    pub(super) require: Vec<(Template, Template)>,
    /// How the signature is made.
    pub(super) method: Method,
}

/// How a signature is made.
#[derive(Debug)]
pub(super) enum Method {
    /// Over a message, with a key.
    Signed(Box<Signed>),
    /// The value itself is the credential.
    Equals(Template),
    /// A JSON Web Token with claims about the request.
    Jwt(Box<JwtRule>),
    /// A signature over chosen parts of the HTTP message.
    HttpSignature(Box<HttpSignatureRule>),
    /// The value is a token that the relay itself gave out.
    Issued,
}

/// A signature over a message.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) algorithm: Algorithm,
    pub(super) key: KeySource,
    pub(super) rule: CandidateRule,
    pub(super) encodings: Vec<Encoding>,
    /// The message; several mean that any may be the signed one.
    pub(super) messages: Vec<Template>,
    pub(super) timestamp: Option<TimestampRule>,
    /// A value that is never signed by a delivery, because a challenge's answer is.
    pub(super) reject: Option<(Template, TokenClass)>,
    /// Whether the URL counts as written, without port and with its default port.
    pub(super) tries_url_ports: bool,
}

/// The algorithm of a signature over a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hmac(Hash),
    /// A plain hash of a message that contains the secret.
    Hash(Hash),
    PublicKey(SignatureAlgorithm),
}

/// Where the key comes from.
#[derive(Debug)]
pub(super) enum KeySource {
    /// Made from a secret of the endpoint.
    Secret(Template),
    /// Fetched from the provider.
    Fetched(KeyFetch),
}

/// A set of texts that cannot be mistaken for a signed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenClass {
    /// 1 to 256 of letters, digits and `._~+/=-`.
    Token,
    /// 20 to 32 lower-case hex digits.
    Hex20To32,
}

impl Signed {
    /// Whether the message has the time in it, as a value of its own or within the body.
    pub(super) fn signs_time(&self) -> bool {
        let Some(rule) = &self.timestamp else {
            return false;
        };
        let time = rule.from.expressions();
        self.messages.iter().all(|message| {
            let mut parts = message.expressions().into_iter();
            parts.any(|part| {
                let is_in_body = part.source == Source::Body
                    && time.iter().all(|of_time| of_time.source.is_of_body());
                let is_built_in =
                    matches!(&part.source, Source::Special(special) if special.signs_time());
                let mut of_time = time.iter();
                is_in_body || is_built_in || of_time.any(|of_time| of_time.source == part.source)
            })
        })
    }
}

impl TokenClass {
    /// The class by its name in the scheme language.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "token" => Some(Self::Token),
            "hex20_32" => Some(Self::Hex20To32),
            _ => None,
        }
    }

    /// Whether the text belongs to the class.
    pub(super) fn contains(self, text: &[u8]) -> bool {
        let lengths = match self {
            Self::Token => 1..=256,
            Self::Hex20To32 => 20..=32,
        };
        lengths.contains(&text.len()) && text.iter().all(|byte| self.has(*byte))
    }

    /// Whether the byte stands in texts of the class.
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Self::Token => byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte),
            Self::Hex20To32 => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        }
    }

    /// Whether every text of the other class belongs to this one.
    pub(super) fn covers(self, other: Self) -> bool {
        self == Self::Token || self == other
    }
}

impl Algorithm {
    /// The length of a signature, where it is the same for all.
    pub(super) const fn signature_length(self) -> Option<usize> {
        match self {
            Self::Hmac(hash) | Self::Hash(hash) => Some(hash.length()),
            Self::PublicKey(SignatureAlgorithm::Ed25519) => Some(64),
            Self::PublicKey(_) => None,
        }
    }
}

impl Scheme {
    /// What is signed, or compared: the places when the signature is itself a token over what it lies in.
    pub(super) fn signed_templates(&self) -> Vec<&Template> {
        match &self.method {
            Method::Signed(signed) => signed.messages.iter().collect(),
            Method::Equals(_) | Method::HttpSignature(_) | Method::Issued => Vec::new(),
            Method::Jwt(rule) => rule.claims.iter().flat_map(|claim| &claim.values).collect(),
        }
    }

    /// Every template of the scheme.
    pub(super) fn templates(&self) -> Vec<&Template> {
        let mut all: Vec<&Template> = self.places.iter().collect();
        for (have, want) in &self.require {
            all.extend([have, want]);
        }
        all.extend(self.signed_templates());
        match &self.method {
            Method::Signed(signed) => {
                if let Some(rule) = &signed.rule.key_value {
                    all.extend(&rule.signature_keys);
                }
                if let KeySource::Secret(key) = &signed.key {
                    all.push(key);
                }
                if let Some(rule) = &signed.timestamp {
                    all.push(&rule.from);
                }
            }
            Method::Equals(expected) => all.push(expected),
            Method::HttpSignature(rule) => all.push(&rule.key),
            Method::Jwt(rule) => {
                all.extend(rule.published.iter().filter_map(|set| set.url.as_ref()));
            }
            Method::Issued => {}
        }
        all
    }

    /// Whether nothing can match without a secret of the endpoint.
    pub(super) fn needs_secret(&self) -> bool {
        match &self.method {
            Method::Signed(signed) => matches!(signed.key, KeySource::Secret(_)),
            Method::Equals(expected) => expected.mentions(|source| *source == Source::Secret),
            Method::Jwt(rule) => rule.published.is_none(),
            Method::HttpSignature(_) => true,
            // Without a secret no token was given out, so that nothing matches.
            Method::Issued => false,
        }
    }

    /// Whether the key is one that the provider publishes.
    pub(super) fn has_published_key(&self) -> bool {
        match &self.method {
            Method::Signed(signed) => matches!(signed.key, KeySource::Fetched(_)),
            Method::Jwt(rule) => rule.published.is_some(),
            Method::Equals(_) | Method::HttpSignature(_) | Method::Issued => false,
        }
    }

    /// Whether an endpoint that names `variant`, or none, takes this scheme. A token of the relay's own is taken
    /// only by name: endpoints that never asked for it have no token endpoint either.
    pub(super) fn is_allowed(&self, variant: Option<&str>) -> bool {
        match variant {
            None => !self.takes_issued_tokens(),
            Some(_) => self.id.as_deref() == variant,
        }
    }

    /// Whether the scheme takes tokens that the relay gives out.
    pub(super) const fn takes_issued_tokens(&self) -> bool {
        matches!(self.method, Method::Issued)
    }

    /// Whether a secret is one of this scheme's own.
    pub(super) fn takes_secret(&self, secret: &[u8]) -> bool {
        let starts_with = |prefix: &String| secret.starts_with(prefix.as_bytes());
        self.secret_prefix.as_ref().is_none_or(starts_with)
            && !self.not_secret_prefix.as_ref().is_some_and(starts_with)
    }

    /// Whether another scheme reads the same places.
    pub(super) fn has_places_of(&self, other: &Self) -> bool {
        let texts = |scheme: &'_ Self| -> Vec<String> {
            scheme
                .places
                .iter()
                .map(|place| place.text.clone())
                .collect()
        };
        texts(self) == texts(other)
    }

    /// The places of the signature in words.
    pub(super) fn described_places(&self) -> String {
        let places = self.places.iter().map(described_place);
        places.collect::<Vec<_>>().join(" or ")
    }
}

/// A place of a signature in words.
pub(super) fn described_place(place: &Template) -> String {
    match place.bare() {
        Some(expression) => expression.source.to_string(),
        None => format!("`{}`", place.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_no_signed_text_of_any_provider() {
        let longest = "a".repeat(256);
        assert!(TokenClass::Token.contains(longest.as_bytes()));
        assert!(TokenClass::Token.contains(b"aZ09._~+/=-"));
        for other in ["", "v0:1:x", "{}", "a b", "é", &"a".repeat(257)] {
            assert!(!TokenClass::Token.contains(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_hex_challenge_has_20_to_32_lower_case_digits() {
        for (length, is_member) in [(19, false), (20, true), (32, true), (33, false)] {
            let text = "a".repeat(length);
            assert_eq!(TokenClass::Hex20To32.contains(text.as_bytes()), is_member);
        }
        assert!(!TokenClass::Hex20To32.contains("A".repeat(20).as_bytes()));
        assert!(!TokenClass::Hex20To32.contains("g".repeat(20).as_bytes()));
    }
}
