//! Checks, explains and makes the signatures of providers, each described by one TOML file of `shared/schemes/`.
//! No IO and no clock: keys fetched from elsewhere come in as [`Settings::fetched`].

mod nearest;
mod mistakes;
mod template;
mod filters;
mod json;
mod url;
mod encoding;
mod trouble;
mod effort;
mod delivery;
mod evaluate;
mod fingerprint;
mod repeats;
mod condition;
mod candidates;
mod digest;
mod der;
mod asymmetric;
mod private_key;
mod key_fetch;
mod certificate;
mod jwt;
mod http_signature;
mod signed_names;
mod issued;
mod timestamp;
mod special;
mod scheme;
mod attempt;
mod signed;
mod check;
mod diagnose;
mod handshake;
mod facts;
mod sign;
mod sample;
mod about;
mod needs;
mod first_secret;
mod resign;
mod coverage;
mod table;
mod language;
mod registry;
mod surroundings;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub use fingerprint::Fingerprint;
pub use first_secret::FirstSecret;

use crate::head::Head;
use crate::id::SecretName;
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::verdict::{Failure, Verdict};
pub use about::{About, AboutHandshake, AboutScheme, AboutWindow, BodyCover, Covers};
pub use certificate::{CertificateRule, ChainError};
use delivery::Delivery;
use handshake::Handshake;
pub use issued::{IssuedToken, IssuedTokens};
pub use json::with_json_value;
pub(crate) use json::{Pointer, document, elements};
pub use key_fetch::WantedKey;
pub use mistakes::{SchemeError, SchemeErrors, SchemeFindings};
pub use needs::FetchedUrl;
pub use private_key::{KeyKind, PrivateKey, PrivateKeyError};
pub use repeats::Repeats;
pub use resign::{Captured, DeliveryIdPlace, Resigned, fresh_delivery_id};
use scheme::Scheme;
pub use surroundings::{OtherSecret, OtherSecrets, Surroundings};
use template::Template;
pub(crate) use url::pairs;

/// A request to check.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its head as received.
    pub head: &'a Head,
    /// The public URL as the provider knows it, suffix and raw query included.
    pub url: &'a str,
    /// Its body.
    pub body: Body<'a>,
}

/// The body of a request to check.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// Too long to hold: MACs and hashes of it are computed piece by piece; only a scheme that must
    /// parse the body, or an asymmetric one, reads it whole.
    Streamed(&'a dyn StreamedBody),
}

/// A body that is read piece by piece, as often as needed.
pub trait StreamedBody {
    /// Its length in bytes.
    fn length(&self) -> u64;

    /// Passes all of it to `sink` in order.
    ///
    /// # Errors
    /// When it cannot be read; the check then fails.
    fn read(&self, sink: &mut dyn FnMut(&[u8])) -> io::Result<()>;
}

/// What a provider's scheme is applied with.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// The endpoint's named secrets, each as the provider shows it.
    pub secrets: &'a [(SecretName, Secret)],
    /// Parameters of the scheme, such as `header` or `key_id`.
    pub parameters: &'a BTreeMap<String, String>,
    /// The only scheme of the provider that may match.
    pub variant: Option<&'a str>,
    /// The time of the check.
    pub now: Timestamp,
    /// Keys that were fetched, by the URL or id that the scheme asks for.
    pub fetched: &'a BTreeMap<String, String>,
}

/// A provider's schemes, parsed and compiled once.
#[derive(Debug)]
pub struct Provider {
    slug: String,
    name: String,
    /// `A`, `B` or `C`: how sure the file is of what it says.
    evidence: Option<String>,
    /// Where it is documented.
    docs: Option<String>,
    /// The built-in provider whose schemes it has taken over.
    base: Option<String>,
    delivery_id: Vec<Template>,
    event_type: Vec<Template>,
    sends_once: bool,
    /// The parameters that an endpoint must set.
    needs: Vec<String>,
    equal_bodies: bool,
    schemes: Vec<Scheme>,
    handshakes: Vec<Handshake>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the request comes from the provider.
    pub verdict: Verdict,
    /// The signed content of a verified request: one with the same content is the same event, sent again. None where
    /// the signature, or what it covers, is alike in different events.
    pub fingerprint: Option<Fingerprint>,
    /// What becomes of a repeat of it.
    pub repeats: Repeats,
}

/// What a provider says of its own delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The provider's id of the delivery, such as GitHub's `X-GitHub-Delivery`.
    pub delivery_id: Option<String>,
    /// The provider's name of what happened, such as `invoice.paid`.
    pub event_type: Option<String>,
}

/// The relay's own answer to a provider's challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeReply {
    /// Status code.
    pub status: u16,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Why the challenge is refused, for the owner of the endpoint; a refused one changes nothing.
    pub refusal: Option<Failure>,
    /// The secret that the provider hands over with the challenge. Take it only while the endpoint waits
    /// for one: the request is not signed, and anybody could replace the secret later.
    pub captured_secret: Option<Secret>,
    /// A URL of the provider, already checked against its hosts, that must be fetched to confirm.
    pub confirm_url: Option<String>,
}

impl HandshakeReply {
    /// Whether the challenge was accepted.
    pub const fn is_accepted(&self) -> bool {
        self.refusal.is_none()
    }
}

/// A request to make a signature for.
#[derive(Clone, Copy)]
pub struct Unsigned<'a> {
    /// The method.
    pub method: &'a str,
    /// The public URL, raw query included.
    pub url: &'a str,
    /// Header fields that the request carries already.
    pub fields: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

/// Why a signature cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Only the provider has the private key.
    #[error("`{provider}` signs with a private key that only the provider has")]
    Asymmetric {
        /// The provider.
        provider: String,
    },
    /// A part is missing or cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl Provider {
    /// Reads a scheme file (schemes/LANGUAGE.md) whose one table is named `slug`.
    ///
    /// # Errors
    /// Names line and key of every mistake.
    pub fn parse(slug: &str, toml: &str) -> Result<Self, SchemeErrors> {
        language::provider(slug, toml)
    }

    /// Reads a scheme file as [`Provider::parse`] does, and tells of doubts besides. There is a provider when
    /// there is no mistake.
    pub fn lint(slug: &str, toml: &str) -> (Option<Self>, SchemeFindings) {
        language::lint(slug, toml)
    }

    /// The file of the built-in provider with this slug.
    pub fn builtin_file(slug: &str) -> Option<&'static str> {
        registry::file(slug)
    }

    /// The name of the table that a scheme file begins with, which is the provider's slug.
    pub fn slug_in(toml: &str) -> Option<String> {
        language::slug_in(toml)
    }

    /// The built-in provider with this slug.
    pub fn builtin(slug: &str) -> Option<Arc<Self>> {
        registry::provider(slug)
    }

    /// The slugs of all built-in providers, sorted.
    pub fn builtin_slugs() -> impl Iterator<Item = &'static str> {
        registry::slugs()
    }

    /// The provider's slug.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The provider's own name, such as `GitHub`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the provider sends a delivery again by itself when it is answered with 429 or 5xx; so unless its
    /// scheme file says otherwise.
    pub const fn retries(&self) -> bool {
        !self.sends_once
    }

    /// The ids of the provider's schemes, each of which may be asked for as [`Settings::variant`].
    pub fn variants(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = Vec::new();
        for id in self
            .schemes
            .iter()
            .filter_map(|scheme| scheme.id.as_deref())
        {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// Whether no request can be checked without a secret, by the schemes that `variant` allows. Without any
    /// the verdict is then `Unchecked`.
    pub fn needs_secret(&self, variant: Option<&str>) -> bool {
        let mut allowed = self
            .schemes
            .iter()
            .filter(|scheme| scheme.is_allowed(variant));
        allowed.all(Scheme::needs_secret)
    }

    /// Whether one of its challenges hands over a secret.
    pub fn hands_over_secrets(&self) -> bool {
        let mut handshakes = self.handshakes.iter();
        handshakes.any(|handshake| handshake.capture_secret.is_some())
    }

    /// Whether any of its requests may be signed with a key that the provider publishes.
    pub fn publishes_keys(&self) -> bool {
        self.schemes.iter().any(Scheme::has_published_key)
    }

    /// Whether requests carry a token that the relay gives out, by the scheme that `variant` names. Such a
    /// scheme counts only where it is asked for by name.
    pub fn takes_issued_tokens(&self, variant: Option<&str>) -> bool {
        let mut allowed = self
            .schemes
            .iter()
            .filter(|scheme| scheme.is_allowed(variant));
        allowed.any(Scheme::takes_issued_tokens)
    }

    /// The key of the provider that the request asks for and the settings do not hold yet. The request is
    /// not checked: fetch only a bounded number of keys, and keep them.
    pub fn wanted_key(&self, request: &Request<'_>, settings: &Settings<'_>) -> Option<WantedKey> {
        let delivery = Delivery::new(request, settings);
        let mut schemes = self.schemes_of(settings);
        let wanted = schemes.find_map(|scheme| {
            let applies = scheme.applies(&delivery);
            applies.then(|| scheme.wanted_key(&delivery))?
        })?;
        (!settings.fetched.contains_key(wanted.name())).then_some(wanted)
    }

    /// Checks a request. Fails closed: what cannot be read, decoded or found is a failed verdict, which
    /// carries findings that explain it. Without any secret the verdict is `Unchecked`, unless a scheme
    /// of the provider works without one.
    pub fn check(&self, request: &Request<'_>, settings: &Settings<'_>) -> Verdict {
        self.judge(request, settings).verdict
    }

    /// Checks a request as [`Provider::check`] does, and says what to remember of it so that a repeat is known.
    pub fn judge(&self, request: &Request<'_>, settings: &Settings<'_>) -> Judgement {
        self.judgement(&Delivery::new(request, settings))
    }

    /// The answer to the request when it is one of the provider's challenges. A streamed body is none:
    /// challenges are small.
    pub fn handshake(
        &self,
        request: &Request<'_>,
        settings: &Settings<'_>,
    ) -> Option<HandshakeReply> {
        match request.body {
            Body::Streamed(_) => None,
            Body::Bytes(_) => self.answer(&Delivery::new(request, settings)),
        }
    }

    /// What the provider says of its own delivery.
    pub fn facts(&self, request: &Request<'_>) -> Facts {
        let settings = Settings {
            secrets: &[],
            parameters: &BTreeMap::new(),
            variant: None,
            now: Timestamp::default(),
            fetched: &BTreeMap::new(),
        };
        self.facts_of(&Delivery::new(request, &settings))
    }

    /// The header fields that make the request valid, in order. Fields of the same names that the request
    /// carries already must give way to them.
    ///
    /// # Errors
    /// When the scheme is asymmetric, or a secret or parameter it needs is missing.
    pub fn sign(
        &self,
        request: &Unsigned<'_>,
        settings: &Settings<'_>,
    ) -> Result<Vec<(String, String)>, SignError> {
        sign::headers(self, request, settings)
    }
    /// The same by the provider's asymmetric schemes, with a private key of one's own in the place of the provider's:
    /// valid for whoever trusts its public half ([`Provider::public_key_text`]).
    ///
    /// # Errors
    /// When no scheme signs with a key of this kind, or a part is missing.
    pub fn sign_with_key(
        &self,
        request: &Unsigned<'_>,
        settings: &Settings<'_>,
        key: &PrivateKey,
    ) -> Result<Vec<(String, String)>, SignError> {
        sign::headers_by_own_key(self, request, settings, key)
    }

    /// The kinds of private keys that the provider's schemes sign with; none where all sign with secrets.
    pub fn key_kinds(&self, variant: Option<&str>) -> Vec<KeyKind> {
        sign::key_kinds(self, variant)
    }

    /// The public half of a key in the form in which the provider shows its own.
    ///
    /// # Errors
    /// When no scheme signs with a key of this kind.
    pub fn public_key_text(
        &self,
        variant: Option<&str>,
        key: &PrivateKey,
    ) -> Result<String, SignError> {
        sign::public_key_text(self, variant, key)
    }
}
