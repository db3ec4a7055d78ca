//! Signs by asymmetric schemes with a private key of one's own, for apps that trust its public half while they are
//! tried: our own check then has that public half as the endpoint's secret, or as the key that was fetched.

use std::collections::BTreeMap;

use super::{Fields, Signing, through_filters_backwards};
use crate::id::SecretName;
use crate::secret::Secret;
use crate::verify::asymmetric::SignatureAlgorithm;
use crate::verify::filters::Filter;
use crate::verify::private_key::{KeyKind, PrivateKey};
use crate::verify::scheme::{Algorithm, KeySource, Method, Scheme};
use crate::verify::template::Template;
use crate::verify::{Provider, Settings, SignError, Unsigned};

/// The header fields that make the request valid for whoever trusts the key's public half.
pub(in crate::verify) fn headers_by_own_key(
    provider: &Provider,
    request: &Unsigned<'_>,
    settings: &Settings<'_>,
    key: &PrivateKey,
) -> Result<Fields, SignError> {
    let mut first_error = None;
    let schemes = provider.schemes_of(settings);
    for scheme in schemes.filter(|scheme| kinds(scheme).contains(&key.kind())) {
        let signing = Signing {
            provider,
            scheme,
            request,
            settings,
            key: Some(key),
        };
        match signing.fields_by(key) {
            Ok(fields) => return Ok(fields),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| no_such_key(provider, settings.variant, key)))
}

fn no_such_key(provider: &Provider, variant: Option<&str>, key: &PrivateKey) -> SignError {
    let kinds = key_kinds(provider, variant);
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    let slug = &provider.slug;
    SignError::Unusable(if names.is_empty() {
        format!("`{slug}` signs with a secret, not with a private key")
    } else {
        let kind = key.kind().name();
        format!(
            "`{slug}` signs with a key of {}, this one is of {kind}",
            names.join(" or ")
        )
    })
}

/// The kinds of private keys that the provider's schemes sign with.
pub(in crate::verify) fn key_kinds(provider: &Provider, variant: Option<&str>) -> Vec<KeyKind> {
    let mut all = Vec::new();
    for scheme in &provider.schemes {
        if variant.is_none() || scheme.id.as_deref() == variant {
            let kinds = kinds(scheme);
            all.extend(
                kinds
                    .into_iter()
                    .filter(|kind| !all.contains(kind))
                    .collect::<Vec<_>>(),
            );
        }
    }
    all
}

fn kinds(scheme: &Scheme) -> Vec<KeyKind> {
    match &scheme.method {
        Method::Signed(signed) => match signed.algorithm {
            Algorithm::PublicKey(algorithm) => vec![algorithm.key_kind()],
            Algorithm::Hmac(_) | Algorithm::Hash(_) => Vec::new(),
        },
        Method::Jwt(rule) => rule
            .key_algorithms()
            .map(SignatureAlgorithm::key_kind)
            .collect(),
        Method::HttpSignature(_) => vec![KeyKind::Ed25519],
        Method::Equals(_) | Method::Issued => Vec::new(),
    }
}

/// The public half in the form in which the provider shows its key: what is an endpoint's secret, or, where the key
/// is fetched, what is found there.
pub(in crate::verify) fn public_key_text(
    provider: &Provider,
    variant: Option<&str>,
    key: &PrivateKey,
) -> Result<String, SignError> {
    let schemes = provider.schemes.iter();
    let mut own = schemes
        .filter(|scheme| variant.is_none() || scheme.id.as_deref() == variant)
        .filter(|scheme| kinds(scheme).contains(&key.kind()));
    let scheme = own
        .next()
        .ok_or_else(|| no_such_key(provider, variant, key))?;
    text_for(scheme, key)
}

fn text_for(scheme: &Scheme, key: &PrivateKey) -> Result<String, SignError> {
    let template = match &scheme.method {
        Method::Signed(signed) => match &signed.key {
            KeySource::Secret(template) => template,
            KeySource::Fetched(_) => return Ok(key.public_pem()),
        },
        Method::HttpSignature(rule) => &rule.key,
        Method::Jwt(_) | Method::Equals(_) | Method::Issued => return Ok(key.public_jwk()),
    };
    let expression = template.bare().ok_or_else(|| {
        SignError::Unusable(format!(
            "the key template `{}` has no inverse",
            template.text
        ))
    })?;
    let bytes = match has_unpem(template) {
        true => key.public_info(),
        false => key.public_bytes(),
    };
    through_filters_backwards(expression, bytes)
}

fn has_unpem(template: &Template) -> bool {
    let mut expressions = template.expressions().into_iter();
    expressions.any(|expression| expression.filters.contains(&Filter::Unpem))
}

impl Signing<'_> {
    /// The new fields, after our own check has accepted them with the public half.
    fn fields_by(&self, key: &PrivateKey) -> Result<Fields, SignError> {
        let fields = self.unchecked_fields()?;
        let public = text_for(self.scheme, key)?;
        let wanted = self.with_request(&fields, |delivery| Ok(self.scheme.wanted_key(delivery)))?;
        let fetched: BTreeMap<String, String> = wanted
            .into_iter()
            .map(|wanted| (wanted.name().to_owned(), public.clone()))
            .collect();
        let name: SecretName = "own-key".parse().expect("this is a name");
        let secrets = [(name, Secret::new(public))];
        let settings = Settings {
            secrets: &secrets,
            fetched: &fetched,
            variant: self.scheme.id.as_deref().or(self.settings.variant),
            ..*self.settings
        };
        let signing = Signing {
            settings: &settings,
            provider: self.provider,
            scheme: self.scheme,
            request: self.request,
            key: self.key,
        };
        signing.check(&fields)?;
        Ok(fields)
    }
}
