//! Tries one change at a time until a signature matches: secret, encoding, body, URL, another endpoint, another provider.

use std::borrow::Cow;

use super::bodies::Bodies;
use super::budget::Budget;
use super::finding;
use super::form::{decodable, last_word};
use super::suspect::{Suspect, suspects};
use super::variants::{Variant, keys, urls};
use super::whole::{Whole, wholes};
use crate::id::SecretName;
use crate::secret::Secret;
use crate::verdict::Finding;
use crate::verify::delivery::Delivery;
use crate::verify::digest::{Hash, is_equal};
use crate::verify::evaluate::{Evaluation, NamedPart};
use crate::verify::scheme::{Algorithm, Method, Scheme};
use crate::verify::signed::digest_of;
use crate::verify::{Body, OtherSecret, Provider, Request};

/// How many of the endpoint's secrets are tried.
const MAX_SECRETS: usize = 4;

/// How many secrets of other endpoints are tried.
const MAX_OTHER_SECRETS: usize = 16;

/// A search with what is left of its budget.
pub(super) struct Search<'s> {
    pub(super) provider: &'s Provider,
    pub(super) delivery: &'s Delivery<'s>,
    pub(super) budget: Budget,
    tried: Vec<&'static str>,
}

/// What a search comes to.
pub(super) struct Outcome {
    pub(super) found: Option<Finding>,
    /// What does not explain the failure, in words.
    pub(super) tried: Vec<&'static str>,
    /// Whether something was not tried for want of budget.
    pub(super) left_something_out: bool,
}

impl<'s> Search<'s> {
    pub(super) const fn new(provider: &'s Provider, delivery: &'s Delivery<'s>) -> Self {
        Self {
            provider,
            delivery,
            budget: Budget::full(),
            tried: Vec::new(),
        }
    }

    /// Ends with the first explanation that makes a signature match: that is proof.
    pub(super) fn run(mut self) -> Outcome {
        let found = self.explanation();
        Outcome {
            found,
            tried: self.tried,
            left_something_out: self.budget.left_something_out,
        }
    }

    fn explanation(&mut self) -> Option<Finding> {
        let schemes: Vec<&Scheme> = self.provider.schemes_of(self.delivery.settings).collect();
        let credential = schemes
            .iter()
            .find_map(|scheme| self.other_credential(scheme));
        if credential.is_some() {
            return credential;
        }
        let suspects: Vec<Suspect<'_>> = schemes
            .iter()
            .flat_map(|scheme| suspects(scheme, self.delivery))
            .collect();
        let wholes = wholes(&schemes, self.delivery);
        self.other_secret_form(&suspects, &wholes)
            .or_else(|| self.other_encoding(&suspects))
            .or_else(|| self.other_body(&suspects, &wholes))
            .or_else(|| self.other_url(&suspects, &wholes))
            .or_else(|| self.other_endpoint(&suspects, &wholes))
            .or_else(|| self.other_provider(&suspects))
    }

    /// Remembers what is tried, for the sentence that says that none of it matches.
    pub(super) fn tries(&mut self, what: &'static str) {
        if !self.tried.contains(&what) {
            self.tried.push(what);
        }
    }

    /// A secret that the scheme does not take, or one in another form.
    fn other_secret_form(
        &mut self,
        suspects: &[Suspect<'_>],
        wholes: &[Whole<'_>],
    ) -> Option<Finding> {
        for (name, secret) in self.secrets() {
            for variant in keys(secret) {
                let by_mac = suspects.iter().any(|suspect| {
                    self.tries("another form of the secret");
                    suspect.hash().is_some_and(|hash| {
                        self.matches(suspect, self.delivery, hash, &variant.value, secret)
                    })
                });
                let is_other = *variant.value != *secret;
                let is_match = by_mac
                    || is_other
                        && wholes.iter().any(|whole| {
                            if !whole.takes_another_secret() {
                                return false;
                            }
                            self.tries("another form of the secret");
                            let secret = Secret::new(variant.value.to_vec());
                            self.holds(whole, self.delivery.request, name, secret)
                        });
                if is_match {
                    return Some(finding(
                        variant.code,
                        format!(
                            "the signature matches the secret `{name}` {}",
                            variant.words
                        ),
                        variant.hint,
                    ));
                }
            }
        }
        None
    }

    /// A signature in another encoding, with another prefix, or by another hash.
    fn other_encoding(&mut self, suspects: &[Suspect<'_>]) -> Option<Finding> {
        suspects
            .iter()
            .find_map(|suspect| self.other_encoding_of(suspect))
    }

    fn other_encoding_of(&mut self, suspect: &Suspect<'_>) -> Option<Finding> {
        let text = String::from_utf8_lossy(&suspect.value);
        let word = last_word(&text);
        let encoding = decodable(word)?;
        let signature = encoding.decode(word.as_bytes())?;
        let hash = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512]
            .into_iter()
            .find(|hash| hash.length() == signature.len())?;
        if suspect.signatures.contains(&signature) {
            return None;
        }
        let loose = Suspect {
            signatures: vec![signature],
            value: Vec::new(),
            parts: suspect.parts.clone(),
            ..*suspect
        };
        self.tries("another encoding or hash");
        for (name, secret) in self.secrets() {
            let key = suspect.key(self.delivery, secret);
            if key.is_some_and(|key| self.matches(&loose, self.delivery, hash, &key, secret)) {
                return Some(finding(
                    "other_encoding",
                    format!(
                        "the signature in {} matches the secret `{name}` as {} of {}, which is not how the scheme writes it",
                        suspect.scheme.described_places(),
                        encoding.name(),
                        hash.name(),
                    ),
                    "look whether the provider has another signature version, or whether the request was made by hand",
                ));
            }
        }
        None
    }

    /// A body that was changed on its way. Each is made once, for all signatures.
    fn other_body(&mut self, suspects: &[Suspect<'_>], wholes: &[Whole<'_>]) -> Option<Finding> {
        let reads_body = wholes.iter().any(Whole::reads_body);
        if suspects.is_empty() && !reads_body {
            return None;
        }
        let delivery = self.delivery;
        let mut bodies = Bodies::of(delivery.body().ok()?);
        self.tries("a changed body");
        while let Some(variant) = bodies.next(&mut self.budget) {
            let request = Request {
                body: Body::Bytes(&variant.value),
                ..*delivery.request
            };
            let found = self.match_of(&request, suspects, wholes, |whole| whole.reads_body());
            if let Some(by) = found {
                return Some(for_changed(&by, &variant));
            }
        }
        None
    }

    /// Another public URL.
    fn other_url(&mut self, suspects: &[Suspect<'_>], wholes: &[Whole<'_>]) -> Option<Finding> {
        let reads_url = wholes.iter().any(Whole::reads_url);
        if !suspects.iter().any(Suspect::reads_url) && !reads_url {
            return None;
        }
        let host = self.delivery.header("host").ok();
        let host = host.and_then(|host| std::str::from_utf8(host).ok());
        self.tries("another URL");
        for variant in urls(self.delivery.request.url, host) {
            let request = Request {
                url: &variant.value,
                ..*self.delivery.request
            };
            let found = self.match_of(&request, suspects, wholes, |whole| whole.reads_url());
            if let Some(by) = found {
                return Some(for_changed(&by, &variant));
            }
        }
        None
    }

    /// A secret of another endpoint: the sender was given the wrong URL, or the wrong secret.
    fn other_endpoint(
        &mut self,
        suspects: &[Suspect<'_>],
        wholes: &[Whole<'_>],
    ) -> Option<Finding> {
        let takes_secret = wholes.iter().any(Whole::takes_secret);
        if suspects.is_empty() && !takes_secret {
            return None;
        }
        let others = self.delivery.surroundings.others?.secrets();
        for other in others.iter().take(MAX_OTHER_SECRETS) {
            self.tries("a secret of another endpoint");
            let by_mac = suspects.iter().any(|suspect| {
                let secret = other.secret.expose();
                let ready = suspect.hash().zip(suspect.key(self.delivery, secret));
                ready.is_some_and(|(hash, key)| {
                    self.matches(suspect, self.delivery, hash, &key, secret)
                })
            });
            let is_match = by_mac
                || wholes.iter().any(|whole| {
                    let secret = other.secret.clone();
                    whole.takes_secret()
                        && self.holds(whole, self.delivery.request, &other.name, secret)
                });
            if is_match {
                return Some(of_another_endpoint(other));
            }
        }
        self.budget.left_something_out |= others.len() > MAX_OTHER_SECRETS;
        None
    }

    /// A credential that differs from a secret only in its form.
    fn other_credential(&mut self, scheme: &Scheme) -> Option<Finding> {
        let Method::Equals(_) = scheme.method else {
            return None;
        };
        let values = scheme
            .signature_values(&Evaluation::new(self.delivery))
            .ok()?;
        self.tries("another form of the secret");
        for (name, secret) in self.secrets() {
            for variant in keys(secret) {
                if values
                    .iter()
                    .any(|value| is_equal(value.trim_ascii(), &variant.value))
                {
                    return Some(finding(
                        variant.code,
                        format!(
                            "the credential matches the secret `{name}` {}",
                            variant.words
                        ),
                        variant.hint,
                    ));
                }
            }
        }
        None
    }

    fn secrets(&self) -> impl Iterator<Item = (&'s SecretName, &'s [u8])> + use<'s> {
        let secrets = self.delivery.settings.secrets.iter().take(MAX_SECRETS);
        secrets.map(|(name, secret)| (name, secret.expose()))
    }

    /// What a signature matches for a changed request, in words.
    fn match_of(
        &mut self,
        request: &Request<'_>,
        suspects: &[Suspect<'_>],
        wholes: &[Whole<'_>],
        reads_it: fn(&Whole<'_>) -> bool,
    ) -> Option<Cow<'static, str>> {
        for suspect in suspects {
            if let Some(name) = self.match_of_request(suspect, request) {
                return Some(format!("the secret `{name}`").into());
            }
        }
        let mut wholes = wholes.iter().filter(|whole| reads_it(whole));
        wholes
            .any(|whole| self.holds_as_set(whole, request))
            .then_some(Cow::Borrowed("a key of the endpoint"))
    }

    /// The secret that a signature matches for a changed request.
    pub(super) fn match_of_request(
        &mut self,
        suspect: &Suspect<'_>,
        request: &Request<'_>,
    ) -> Option<&'s SecretName> {
        let hash = suspect.hash()?;
        let delivery = Delivery::new(request, self.delivery.settings);
        let mut secrets = self.secrets();
        let found = secrets.find(|(_, secret)| {
            let key = suspect.key(&delivery, secret);
            key.is_some_and(|key| self.matches(suspect, &delivery, hash, &key, secret))
        });
        found.map(|(name, _)| name)
    }

    /// Whether a signature is right for this request, hash and key. Nothing matches beyond the budget.
    fn matches(
        &mut self,
        suspect: &Suspect<'_>,
        delivery: &Delivery<'_>,
        hash: Hash,
        key: &[u8],
        secret: &[u8],
    ) -> bool {
        let parts: Vec<NamedPart<'_>> = suspect
            .parts
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .collect();
        let evaluation = Evaluation {
            secret: Some(secret),
            signature_parts: &parts,
            ..Evaluation::new(delivery)
        };
        for message in &suspect.signed.messages {
            if !self.budget.spend_mac(delivery.body_length()) {
                return false;
            }
            let digester = match suspect.signed.algorithm {
                Algorithm::Hash(_) => hash.begin(),
                _ => hash.begin_hmac(key),
            };
            let Ok(expected) = digest_of(digester, message, &evaluation) else {
                continue;
            };
            if suspect
                .signatures
                .iter()
                .any(|signature| is_equal(&expected, signature))
            {
                return true;
            }
        }
        false
    }
}

fn for_changed<T>(by: &str, variant: &Variant<T>) -> Finding {
    finding(
        variant.code,
        format!("the signature matches {by} for {}", variant.words),
        variant.hint,
    )
}

fn of_another_endpoint(other: &OtherSecret) -> Finding {
    let endpoint = &other.endpoint;
    finding(
        "other_secret_matches",
        format!(
            "the request matches the secret `{endpoint}/{}` of another endpoint",
            other.name
        ),
        format!(
            "give the provider the URL of `{endpoint}`, or give it this endpoint's secret, whichever was meant"
        ),
    )
}

#[cfg(test)]
mod tests;
