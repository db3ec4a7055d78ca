//! Schemes without a MAC of their own: public keys, tokens and signed parts of a message. The check itself tells
//! whether such a signature matches something else.

use super::search::Search;
use crate::id::SecretName;
use crate::secret::Secret;
use crate::verdict::Cause;
use crate::verify::asymmetric::SignatureAlgorithm;
use crate::verify::attempt::Refusal;
use crate::verify::delivery::Delivery;
use crate::verify::jwt::JwtAlgorithm;
use crate::verify::scheme::{Algorithm, KeySource, Method, Scheme};
use crate::verify::{Request, Settings};

use super::suspect::{reads_url, signatures_of};

/// A scheme whose signature the request carries, and which is checked as a whole.
pub(super) struct Whole<'p> {
    scheme: &'p Scheme,
    /// What one check with one key costs, in operations with a public key.
    operations: usize,
}

/// The schemes that are checked as a whole. A token of the relay's own has no other explanation.
pub(super) fn wholes<'p>(schemes: &[&'p Scheme], delivery: &Delivery<'_>) -> Vec<Whole<'p>> {
    let is_whole = |scheme: &&Scheme| match &scheme.method {
        Method::Signed(signed) => {
            scheme.each.is_some() || matches!(signed.algorithm, Algorithm::PublicKey(_))
        }
        Method::Issued => false,
        Method::Equals(_) | Method::Jwt(_) | Method::HttpSignature(_) => true,
    };
    schemes
        .iter()
        .copied()
        .filter(is_whole)
        .filter(|scheme| scheme.applies(delivery) && scheme.has_signature(delivery))
        .map(|scheme| Whole {
            scheme,
            operations: operations(scheme, delivery),
        })
        .collect()
}

fn operations(scheme: &Scheme, delivery: &Delivery<'_>) -> usize {
    match &scheme.method {
        Method::Signed(signed) => match signed.algorithm {
            Algorithm::PublicKey(algorithm) => {
                let signatures = signatures_of(scheme, signed, delivery);
                let urls = if signed.tries_url_ports { 3 } else { 1 };
                weight(algorithm) * signatures.max(1) * urls * signed.messages.len()
            }
            Algorithm::Hmac(_) | Algorithm::Hash(_) => 0,
        },
        Method::Jwt(rule) => {
            let weights = rule.algorithms.iter().map(|algorithm| match algorithm {
                JwtAlgorithm::Hmac(_) => 0,
                JwtAlgorithm::PublicKey(algorithm) => weight(*algorithm),
            });
            weights.max().unwrap_or_default()
        }
        Method::HttpSignature(_) => 1,
        Method::Equals(_) | Method::Issued => 0,
    }
}

/// ECDSA on the larger curve, or by the crate without assembly, takes several times as long as the rest.
const fn weight(algorithm: SignatureAlgorithm) -> usize {
    match algorithm {
        SignatureAlgorithm::EcdsaSha1
        | SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::EcdsaSha256Fixed => 2,
        SignatureAlgorithm::Ed25519
        | SignatureAlgorithm::RsaSha1
        | SignatureAlgorithm::RsaSha256
        | SignatureAlgorithm::RsaSha512 => 1,
    }
}

impl Whole<'_> {
    /// Whether its signature is over the body.
    pub(super) fn reads_body(&self) -> bool {
        match &self.scheme.method {
            Method::Signed(_) => self.scheme.covers_body || self.scheme.each.is_some(),
            Method::HttpSignature(_) => true,
            Method::Equals(_) | Method::Jwt(_) | Method::Issued => false,
        }
    }

    /// Whether its signature is over the public URL.
    pub(super) fn reads_url(&self) -> bool {
        match &self.scheme.method {
            Method::Signed(signed) => reads_url(signed),
            Method::HttpSignature(_) => true,
            Method::Equals(_) | Method::Jwt(_) | Method::Issued => false,
        }
    }

    /// Whether its key comes from a secret of the endpoint.
    pub(super) fn takes_secret(&self) -> bool {
        self.scheme.needs_secret()
    }

    /// Whether another form of a secret is tried by it; credentials are compared more loosely elsewhere.
    pub(super) fn takes_another_secret(&self) -> bool {
        self.takes_secret() && !matches!(self.scheme.method, Method::Equals(_))
    }

    /// Whether the check comes as far as only a right signature does.
    fn is_passed(&self, delivery: &Delivery<'_>) -> bool {
        let is_token = matches!(self.scheme.method, Method::Jwt(_));
        match self.scheme.attempt(delivery) {
            Ok(_) => true,
            Err(Refusal::NoSignature) => false,
            Err(Refusal::Failed(failing)) => match failing.cause {
                Cause::TimestampExpired | Cause::TimestampFuture | Cause::ConditionFailed => true,
                Cause::ClaimMismatch => is_token,
                _ => false,
            },
        }
    }

    fn keys(&self, settings: &Settings<'_>) -> usize {
        match &self.scheme.method {
            Method::Signed(signed) if matches!(signed.key, KeySource::Fetched(_)) => 1,
            _ => settings.secrets.len().max(1),
        }
    }
}

impl Search<'_> {
    /// Whether the signature of a scheme is right for a changed request, with what the endpoint has.
    pub(super) fn holds_as_set(&mut self, whole: &Whole<'_>, request: &Request<'_>) -> bool {
        let settings = *self.delivery.settings;
        self.passes(whole, request, &settings)
    }

    /// Whether it is right with another secret.
    pub(super) fn holds(
        &mut self,
        whole: &Whole<'_>,
        request: &Request<'_>,
        name: &SecretName,
        secret: Secret,
    ) -> bool {
        let settings = Settings {
            secrets: &[(name.clone(), secret)],
            ..*self.delivery.settings
        };
        self.passes(whole, request, &settings)
    }

    fn passes(
        &mut self,
        whole: &Whole<'_>,
        request: &Request<'_>,
        settings: &Settings<'_>,
    ) -> bool {
        let delivery = Delivery::new(request, settings);
        let operations = whole.operations.saturating_mul(whole.keys(settings));
        self.budget.spend_public_key_operations(operations)
            && self.budget.spend_mac(delivery.body_length())
            && whole.is_passed(&delivery)
    }
}

#[cfg(test)]
mod tests;
