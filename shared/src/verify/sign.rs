//! Makes the header fields that a provider would send: the way of `attempt`, backwards. What the scheme reads
//! besides the body is taken from the request where it is there, and made afresh where it is not.

mod by_scheme;
mod own_key;
mod value;

use super::condition::Test;
use super::delivery::Delivery;
use super::digest::Hash;
use super::evaluate::Evaluation;
use super::filters::Filter;
use super::private_key::PrivateKey;
use super::scheme::{Algorithm, Method, Scheme};
use super::template::{Expression, Source, Template};
use super::trouble::Failing;
use super::url::UrlParts;
use super::{Body, Provider, Request, Settings, SignError, Unsigned};
use crate::head::{Head, Version};
use value::{through_filters_backwards, unusable, written};

type Fields = Vec<(String, String)>;

pub(super) use by_scheme::by_scheme;
pub(super) use own_key::{headers_by_own_key, key_kinds, public_key_text};

/// The header fields that make the request valid, in order.
pub(super) fn headers(
    provider: &Provider,
    request: &Unsigned<'_>,
    settings: &Settings<'_>,
) -> Result<Fields, SignError> {
    let mut schemes: Vec<&Scheme> = provider.schemes_of(settings).collect();
    schemes.sort_by_key(|scheme| rank(scheme));
    let mut first_error = None;
    for scheme in schemes {
        let signing = Signing {
            provider,
            scheme,
            request,
            settings,
            key: None,
        };
        match signing.fields() {
            Ok(mut fields) => {
                signing.add_other_signatures(&mut fields);
                return Ok(fields);
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error
        .unwrap_or_else(|| SignError::Unusable(format!("`{}` has no such scheme", provider.slug))))
}

/// The rank of schemes for which only the provider has the key.
const ASYMMETRIC_RANK: u8 = 4;

/// The rank of schemes whose credential is not made of a secret at all.
const ISSUED_RANK: u8 = 5;

/// A signature over the body comes first, one by SHA-1 after the others, a bare credential last.
fn rank(scheme: &Scheme) -> u8 {
    match &scheme.method {
        Method::Signed(signed) => match signed.algorithm {
            Algorithm::Hmac(Hash::Sha1) | Algorithm::Hash(Hash::Sha1) => 1,
            Algorithm::Hmac(_) | Algorithm::Hash(_) => 0,
            Algorithm::PublicKey(_) => ASYMMETRIC_RANK,
        },
        Method::HttpSignature(_) => ASYMMETRIC_RANK,
        Method::Jwt(_) => 2,
        Method::Equals(_) => 3,
        Method::Issued => ISSUED_RANK,
    }
}

/// One scheme about to sign one request.
struct Signing<'s> {
    provider: &'s Provider,
    scheme: &'s Scheme,
    request: &'s Unsigned<'s>,
    settings: &'s Settings<'s>,
    /// A private key of one's own, instead of a secret.
    key: Option<&'s PrivateKey>,
}

impl Signing<'_> {
    /// The new fields, after our own check has accepted them.
    fn fields(&self) -> Result<Fields, SignError> {
        let fields = self.unchecked_fields()?;
        self.check(&fields)?;
        Ok(fields)
    }

    fn unchecked_fields(&self) -> Result<Fields, SignError> {
        let place = self.place()?;
        let name = self.header_name(place)?;
        let secret = self.secret()?;
        let mut fields = self.companions()?;
        let parts = self.parts()?;
        let credential = self.with_request(&fields, |delivery| {
            self.check_conditions(delivery)?;
            self.credential(delivery, secret, &parts)
        })?;
        fields.push((name, through_filters_backwards(place, credential)?));
        Ok(fields)
    }

    fn check(&self, fields: &Fields) -> Result<(), SignError> {
        self.with_request(fields, |delivery| {
            let result = self.provider.match_scheme(delivery);
            result.map_err(|failing| SignError::Unusable(failing.detail))
        })?;
        Ok(())
    }

    fn check_conditions(&self, delivery: &Delivery<'_>) -> Result<(), SignError> {
        let evaluation = Evaluation::new(delivery);
        let mut conditions = self.scheme.when.iter();
        match conditions.find(|condition| !condition.holds(&evaluation)) {
            None => Ok(()),
            Some(condition) => Err(SignError::Unusable(format!(
                "the scheme applies only when `{}` holds",
                condition.text
            ))),
        }
    }

    /// Signs by the provider's other schemes too, where the request carries their signatures already:
    /// an app may check any of them.
    fn add_other_signatures(&self, fields: &mut Fields) {
        for scheme in self.provider.schemes_of(self.settings) {
            let other = Signing { scheme, ..*self };
            let Ok(name) = other.place().and_then(|place| other.header_name(place)) else {
                continue;
            };
            let is_there = has_field(self.request.fields, &name);
            if is_there
                && !has_field(fields, &name)
                && let Ok(more) = other.fields()
            {
                for (name, value) in more {
                    if !has_field(fields, &name) {
                        fields.push((name, value));
                    }
                }
            }
        }
    }

    /// Where the signature goes; only a header can be set without changing body or URL.
    fn place(&self) -> Result<&Expression, SignError> {
        match rank(self.scheme) {
            ASYMMETRIC_RANK if self.key.is_none() => return Err(self.asymmetric()),
            ISSUED_RANK => return Err(self.issued()),
            _ => {}
        }
        self.scheme
            .places
            .first()
            .and_then(Template::bare)
            .filter(|expression| {
                matches!(
                    expression.source,
                    Source::Header(_) | Source::HeaderNamedBy(_)
                )
            })
            .ok_or_else(|| {
                SignError::Unusable(format!(
                    "the signature of `{}` is in {}, not in a header",
                    self.provider.slug,
                    self.scheme.described_places()
                ))
            })
    }

    fn asymmetric(&self) -> SignError {
        SignError::Asymmetric {
            provider: self.provider.slug.clone(),
        }
    }

    fn issued(&self) -> SignError {
        SignError::Unusable(format!(
            "`{}` sends a token that the relay's `POST /oauth/token` gives out",
            self.provider.slug
        ))
    }

    fn header_name(&self, place: &Expression) -> Result<String, SignError> {
        match &place.source {
            Source::Header(name) => Ok(match name.strip_suffix('#') {
                Some(base) => format!("{base}1"),
                None => name.clone(),
            }),
            Source::HeaderNamedBy(parameter) => {
                let name = self.settings.parameters.get(parameter);
                name.cloned().ok_or_else(|| {
                    SignError::Unusable(format!("the parameter `{parameter}` is not set"))
                })
            }
            other => Err(SignError::Unusable(format!("{other} cannot be set"))),
        }
    }

    fn secret(&self) -> Result<Option<&[u8]>, SignError> {
        if self.key.is_some() {
            return Ok(None);
        }
        let mut secrets = self.settings.secrets.iter();
        let own = secrets.find(|(_, secret)| self.scheme.takes_secret(secret.expose()));
        match own {
            Some((_, secret)) => Ok(Some(secret.expose())),
            None if self.scheme.needs_secret() => Err(SignError::Unusable(
                "there is no secret that the scheme takes".to_owned(),
            )),
            None => Ok(None),
        }
    }

    /// The other fields that the scheme reads: the fresh time, and what the request does not have yet.
    fn companions(&self) -> Result<Fields, SignError> {
        let mut fields = Vec::new();
        for condition in self
            .scheme
            .when
            .iter()
            .filter(|condition| !condition.is_negated)
        {
            if let Test::Equals(Source::Header(name), value) = &condition.test {
                self.push_missing(&mut fields, name, || value.clone());
            }
        }
        for (have, want) in &self.scheme.require {
            if let Some(Source::Header(name)) = have.bare().map(|expression| &expression.source) {
                let known = self.with_request(&[], |delivery| {
                    Ok(Evaluation::new(delivery).render_text(want).ok())
                })?;
                if let Some(value) = known {
                    self.push_missing(&mut fields, name, || value.clone());
                }
            }
        }
        if let (Method::HttpSignature(rule), Some(key)) = (&self.scheme.method, self.key) {
            let more = self.with_request(&[], |delivery| {
                rule.companions(delivery, key).map_err(unusable_failing)
            })?;
            fields.extend(more);
        }
        let Method::Signed(signed) = &self.scheme.method else {
            return Ok(fields);
        };
        if let Some(rule) = &signed.timestamp
            && let Some(expression) = rule.from.bare()
            && matches!(
                expression.source,
                Source::Header(_) | Source::HeaderNamedBy(_)
            )
        {
            let name = self.header_name(expression)?;
            fields.push((name, rule.format.write(self.settings.now)));
        }
        for expression in signed.messages.iter().flat_map(Template::expressions) {
            match &expression.source {
                Source::Header(name) => self.push_missing(&mut fields, name, || self.fresh(name)),
                Source::Special(special) => {
                    for (name, value) in special.signed_fields() {
                        self.push_missing(&mut fields, name, || (*value).to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn push_missing(&self, fields: &mut Fields, name: &str, value: impl FnOnce() -> String) {
        if !has_field(self.request.fields, name) && !has_field(fields, name) {
            fields.push((name.to_owned(), value()));
        }
    }

    /// The named parts of the signature's own value, in the order in which the message reads them.
    fn parts(&self) -> Result<Fields, SignError> {
        let Method::Signed(signed) = &self.scheme.method else {
            return Ok(Vec::new());
        };
        let mut parts: Fields = Vec::new();
        let timed = signed.timestamp.as_ref().and_then(|rule| {
            let expression = rule.from.bare()?;
            Some((&expression.source, rule.format.write(self.settings.now)))
        });
        let message = signed
            .messages
            .first()
            .into_iter()
            .flat_map(Template::expressions);
        let listed: Vec<&Expression> = message.collect();
        for expression in &listed {
            let Source::Signature(name) = &expression.source else {
                continue;
            };
            if has_field(&parts, name) {
                continue;
            }
            let lists_headers = listed.iter().any(|other| {
                other.source == expression.source
                    && matches!(other.filters.first(), Some(Filter::HeaderValues(_)))
            });
            let value = match &timed {
                Some((source, value)) if **source == expression.source => value.clone(),
                _ if lists_headers => self.listed_header()?,
                _ => self.fresh(name),
            };
            parts.push((name.clone(), value));
        }
        Ok(parts)
    }

    fn listed_header(&self) -> Result<String, SignError> {
        let first = self.request.fields.first();
        first
            .map(|(name, _)| name.to_ascii_lowercase())
            .ok_or_else(|| {
                SignError::Unusable(
                    "the scheme signs a header, and the request has none".to_owned(),
                )
            })
    }

    /// A value that the scheme has no rule for: the time where the name says so, else an id which differs
    /// for every request and time.
    fn fresh(&self, name: &str) -> String {
        let name = name.to_ascii_lowercase();
        if name == "t" || name == "ts" || name.contains("time") {
            return self.settings.now.as_seconds().to_string();
        }
        let mut digester = Hash::Sha256.begin();
        digester.update(&self.settings.now.as_millis().to_be_bytes());
        digester.update(self.request.url.as_bytes());
        digester.update(self.request.body);
        format!(
            "msg_{}",
            data_encoding::HEXLOWER.encode(&digester.finish()[..12])
        )
    }

    /// The text of the signature, before it goes through the filters of its place.
    fn credential(
        &self,
        delivery: &Delivery<'_>,
        secret: Option<&[u8]>,
        parts: &Fields,
    ) -> Result<Vec<u8>, SignError> {
        let signature_parts: Vec<_> = parts
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let evaluation = Evaluation {
            secret,
            signature_parts: &signature_parts,
            ..Evaluation::new(delivery)
        };
        match &self.scheme.method {
            Method::Equals(expected) => {
                let expected = evaluation.render(expected).map_err(unusable)?;
                Ok(expected.into_owned())
            }
            Method::Jwt(rule) if let Some(key) = self.key => {
                let token = rule.sign_with_key(&evaluation, key);
                token.map_err(unusable)?.ok_or_else(|| self.asymmetric())
            }
            Method::Jwt(rule) => {
                let token = rule.sign(&evaluation, secret.unwrap_or_default());
                token.map_err(unusable)?.ok_or_else(|| self.asymmetric())
            }
            Method::Issued => Err(self.issued()),
            Method::HttpSignature(rule) => {
                let key = self.key.ok_or_else(|| self.asymmetric())?;
                let value = rule.sign(delivery, key).map_err(unusable_failing)?;
                value.ok_or_else(|| self.asymmetric())
            }
            Method::Signed(signed) => {
                let signature = match self.key {
                    Some(key) => signed.sign_with_key(&evaluation, key)?,
                    None => signed.sign(&evaluation)?,
                };
                written(&signed.rule, parts, &signature, &evaluation)
            }
        }
    }

    /// Looks at the request as it will be, with the new fields in the place of old ones, and without
    /// any signature that it carried before.
    fn with_request<T>(
        &self,
        new_fields: &[(String, String)],
        look: impl FnOnce(&Delivery<'_>) -> Result<T, SignError>,
    ) -> Result<T, SignError> {
        let old_signatures = self
            .provider
            .schemes
            .iter()
            .flat_map(|scheme| &scheme.places);
        let old_signatures: Vec<String> = old_signatures
            .filter_map(|place| self.header_name(place.bare()?).ok())
            .collect();
        let kept = self.request.fields.iter().filter(|(name, _)| {
            !has_field(new_fields, name)
                && !old_signatures
                    .iter()
                    .any(|old| old.eq_ignore_ascii_case(name))
        });
        let fields = kept
            .chain(new_fields)
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let target = UrlParts::split(self.request.url).target();
        let target = if target.is_empty() { "/" } else { &target };
        let head = Head::build(
            self.request.method,
            target.as_bytes(),
            Version::Http11,
            fields,
        )
        .map_err(|error| SignError::Unusable(error.to_string()))?;
        let request = Request {
            head: &head,
            url: self.request.url,
            body: Body::Bytes(self.request.body),
        };
        look(&Delivery::new(&request, self.settings))
    }
}

fn unusable_failing(failing: Failing) -> SignError {
    SignError::Unusable(failing.detail)
}

fn has_field(fields: &[(String, String)], name: &str) -> bool {
    fields
        .iter()
        .any(|(other, _)| other.eq_ignore_ascii_case(name))
}
