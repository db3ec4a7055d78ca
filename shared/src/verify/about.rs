//! Tells what a provider's scheme file says: what is signed and covered, with what, and whether it can be signed again.

use serde::Serialize;

use super::handshake::Handshake;
use super::http_signature::Style;
use super::scheme::{Algorithm, KeySource, Method, Scheme, described_place};
use super::template::{Source, Template};
use super::{Provider, SignError, sample};

/// A provider in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its slug.
    pub provider: String,
    /// Its own name.
    pub name: String,
    /// `A` its own code or documentation was read, `B` another implementation, `C` from memory.
    pub evidence: Option<String>,
    /// Where it is documented.
    pub docs: Option<String>,
    /// The provider whose schemes it uses.
    pub extends: Option<String>,
    /// The ways in which it signs, in the order in which they are tried.
    pub schemes: Vec<AboutScheme>,
    /// The challenges that the relay answers.
    pub handshakes: Vec<AboutHandshake>,
    /// Where the provider's id of a delivery is read.
    pub delivery_id: Vec<String>,
    /// Where the name of what happened is read.
    pub event_type: Vec<String>,
    /// Whether a request can be signed again, by some scheme at least.
    pub can_sign: bool,
}

/// One way to sign in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AboutScheme {
    /// Its name, for endpoints that allow only this one.
    pub id: Option<String>,
    /// The algorithm, such as `HMAC-SHA-256`.
    pub method: String,
    /// Where the signature stands.
    pub places: Vec<String>,
    /// How the signature is written.
    pub encodings: Vec<String>,
    /// How one value is cut into signatures and named parts.
    pub cut: Vec<String>,
    /// Where the key comes from.
    pub key: String,
    /// The signed text, any of these; or what the value or the claims must be.
    pub signed: Vec<String>,
    /// What the signature covers.
    pub covers: Covers,
    /// The window of time in seconds, where there is one.
    pub window: Option<AboutWindow>,
    /// It applies only when all of these hold.
    pub when: Vec<String>,
    /// What must hold besides the signature.
    pub requires: Vec<String>,
    /// The parameters of an endpoint that it reads.
    pub parameters: Vec<String>,
    /// Whether a request can be signed again by it.
    pub can_sign: bool,
    /// Why not.
    pub cannot_sign: Option<String>,
}

/// What a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Covers {
    /// How much of the body.
    pub body: BodyCover,
    /// The time, so that a request cannot be sent again later.
    pub time: bool,
    /// The public URL or a part of it.
    pub url: bool,
}

/// How much of the body a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyCover {
    /// All of it.
    Whole,
    /// Some fields.
    Part,
    /// Nothing: who sends is known, not what.
    Nothing,
}

/// A window of time in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AboutWindow {
    /// Where the time stands.
    pub place: String,
    /// How it is written.
    pub format: String,
    /// How old it may be, in seconds.
    pub tolerance: u32,
    /// How far in the future it may be, in seconds.
    pub future: u32,
    /// Whether it is part of what is signed.
    pub is_signed: bool,
}

/// A challenge in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AboutHandshake {
    /// What it is recognised by.
    pub when: Vec<String>,
    /// Whether its own signature is checked first.
    pub verifies: bool,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer, as a template.
    pub body: String,
    /// Whether the answer is limited to texts that no delivery can be.
    pub is_guarded: bool,
    /// Whether a secret is taken from it, while the endpoint waits for one.
    pub captures_secret: bool,
    /// Whether a URL of the provider is fetched to confirm.
    pub confirms: bool,
}

impl Provider {
    /// What the provider's file says, in words.
    pub fn about(&self) -> About {
        let schemes: Vec<_> = self
            .schemes
            .iter()
            .map(|scheme| about_scheme(self, scheme))
            .collect();
        let texts = |templates: &[Template]| -> Vec<String> {
            templates.iter().map(described_place).collect()
        };
        About {
            provider: self.slug.clone(),
            name: self.name.clone(),
            evidence: self.evidence.clone(),
            docs: self.docs.clone(),
            extends: self.base.clone(),
            can_sign: schemes.iter().any(|scheme| scheme.can_sign),
            schemes,
            handshakes: self.handshakes.iter().map(about_handshake).collect(),
            delivery_id: texts(&self.delivery_id),
            event_type: texts(&self.event_type),
        }
    }
}

fn about_scheme(provider: &Provider, scheme: &Scheme) -> AboutScheme {
    let cannot_sign = sample::signed(provider, scheme).err();
    let (encodings, cut, window) = match &scheme.method {
        Method::Signed(signed) => {
            let encodings = signed.encodings.iter();
            let encodings = encodings
                .map(|encoding| encoding.name().to_owned())
                .collect();
            let window = signed.timestamp.as_ref().map(|rule| AboutWindow {
                place: described_place(&rule.from),
                format: rule.format.description().to_owned(),
                tolerance: rule.tolerance,
                future: rule.future.unwrap_or(rule.tolerance),
                is_signed: rule.is_signed,
            });
            (encodings, signed.rule.in_words(), window)
        }
        _ => (Vec::new(), Vec::new(), None),
    };
    AboutScheme {
        id: scheme.id.clone(),
        method: method(&scheme.method),
        places: scheme.places.iter().map(described_place).collect(),
        encodings,
        cut,
        key: key(scheme),
        signed: signed(scheme),
        covers: covers(scheme),
        window,
        when: scheme
            .when
            .iter()
            .map(|condition| condition.text.clone())
            .collect(),
        requires: scheme.require.iter().map(requirement).collect(),
        parameters: parameters(scheme),
        can_sign: cannot_sign.is_none(),
        cannot_sign: cannot_sign.map(|error| match error {
            SignError::Asymmetric { .. } => "only the provider has the private key".to_owned(),
            SignError::Unusable(why) => why,
        }),
    }
}

fn method(method: &Method) -> String {
    match method {
        Method::Signed(signed) => match signed.algorithm {
            Algorithm::Hmac(hash) => format!("HMAC-{}", hash.name()),
            Algorithm::Hash(hash) => format!("{} over text and secret", hash.name()),
            Algorithm::PublicKey(algorithm) => algorithm.name().to_owned(),
        },
        Method::Equals(_) => "shared token".to_owned(),
        Method::Issued => "token of the relay (OAuth)".to_owned(),
        Method::Jwt(rule) => {
            let names = rule.algorithms.iter().map(|algorithm| algorithm.name());
            format!("JWT ({})", names.collect::<Vec<_>>().join(", "))
        }
        Method::HttpSignature(rule) => match rule.style {
            Style::Cavage => "HTTP signature (draft-cavage, Ed25519)".to_owned(),
            Style::Rfc9421 { .. } => "HTTP message signature (RFC 9421, Ed25519)".to_owned(),
        },
    }
}

fn key(scheme: &Scheme) -> String {
    let made_of = |template: &Template| match template.text.as_str() {
        "{secret}" => "the secret as text".to_owned(),
        other => format!("`{other}`"),
    };
    match &scheme.method {
        Method::Signed(signed) => match &signed.key {
            KeySource::Secret(template) => made_of(template),
            KeySource::Fetched(_) => "a key that the provider publishes".to_owned(),
        },
        Method::Equals(_) | Method::Issued => "none".to_owned(),
        Method::Jwt(rule) if rule.published.is_some() => {
            "a key that the provider publishes, by the token's `kid`".to_owned()
        }
        Method::Jwt(_) => "the secret: text, PEM, JWK or a set of them".to_owned(),
        Method::HttpSignature(rule) => made_of(&rule.key),
    }
}

fn signed(scheme: &Scheme) -> Vec<String> {
    match &scheme.method {
        Method::Signed(signed) => {
            let texts = signed.messages.iter().map(|message| message.text.clone());
            match &scheme.each {
                Some(pointer) => texts
                    .map(|text| format!("for every element of `{pointer}`: {text}"))
                    .collect(),
                None => texts.collect(),
            }
        }
        Method::Issued => vec![
            "the value is a token that the relay gave out for this endpoint's client credentials"
                .to_owned(),
        ],
        Method::Equals(expected) => vec![format!(
            "the value itself is compared with {}",
            expected.text
        )],
        Method::Jwt(rule) => {
            let claims = rule.claims.iter().map(|claim| {
                let values = claim.values.iter().map(|value| value.text.as_str());
                format!(
                    "claim `{}` = {}",
                    claim.name,
                    values.collect::<Vec<_>>().join(" or ")
                )
            });
            claims.collect()
        }
        Method::HttpSignature(rule) => match &rule.style {
            Style::Cavage => {
                vec!["the fields that the signature lists, `digest` among them".to_owned()]
            }
            Style::Rfc9421 { require, .. } => {
                vec![format!(
                    "the components that the signature lists, {} among them",
                    require.join(", ")
                )]
            }
        },
    }
}

fn covers(scheme: &Scheme) -> Covers {
    let reads = |is_wanted: fn(&Source) -> bool| {
        let mut templates = scheme.signed_templates().into_iter();
        templates.any(|template| {
            let mut expressions = template.expressions().into_iter();
            expressions.any(|expression| is_wanted(&expression.source))
        })
    };
    let body = match (scheme.covers_body, reads(Source::is_of_body)) {
        (true, _) => BodyCover::Whole,
        (false, true) => BodyCover::Part,
        (false, false) => BodyCover::Nothing,
    };
    let time = match &scheme.method {
        Method::Signed(signed) => signed.timestamp.as_ref().is_some_and(|rule| rule.is_signed),
        Method::Equals(_) | Method::Issued => false,
        Method::Jwt(rule) => rule.is_expiry_required || rule.max_age.is_some(),
        Method::HttpSignature(rule) => matches!(rule.style, Style::Rfc9421 { .. }),
    };
    let is_http = matches!(scheme.method, Method::HttpSignature(_));
    Covers {
        body,
        time,
        url: is_http || reads(Source::is_of_url),
    }
}

fn requirement((have, want): &(Template, Template)) -> String {
    format!("{} = {}", described_place(have), want.text)
}

/// The parameters of an endpoint that a scheme reads.
pub(super) fn parameters(scheme: &Scheme) -> Vec<String> {
    let mut names = Vec::new();
    let templates = scheme.templates().into_iter();
    let sources = templates.flat_map(|template| {
        template
            .expressions()
            .into_iter()
            .map(|expression| expression.source.clone())
    });
    let conditions = scheme
        .when
        .iter()
        .filter_map(|condition| condition.source().cloned());
    for source in sources.chain(conditions) {
        if let Source::Parameter(name) | Source::HeaderNamedBy(name) = source
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

fn about_handshake(handshake: &Handshake) -> AboutHandshake {
    AboutHandshake {
        when: handshake
            .when
            .iter()
            .map(|condition| condition.text.clone())
            .collect(),
        verifies: handshake.must_verify,
        status: handshake.status,
        body: handshake.body.text.clone(),
        is_guarded: handshake.guard.is_some(),
        captures_secret: handshake.capture_secret.is_some(),
        confirms: handshake.confirm.is_some(),
    }
}
