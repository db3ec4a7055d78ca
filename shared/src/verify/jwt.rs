//! JSON Web Tokens as signatures (RFC 7519, RFC 8725): the algorithm must be one that the scheme lists, and
//! claims tie the token to the request.

mod sign;
mod token;

use serde_json::{Map, Value};

use super::asymmetric::{PublicKey, SignatureAlgorithm};
use super::digest::{Hash, is_equal};
use super::evaluate::Evaluation;
use super::fingerprint::{Fingerprint, Proof};
use super::key_fetch::{KeySet, fetched_key};
use super::template::{Source, Template};
use super::trouble::{Failing, Trouble};
use crate::verdict::Cause;
pub(super) use token::key_id;
use token::{Token, is_public_key, keys_in_secrets};

/// How far in the future `iat` may lie, in seconds, when the scheme has no larger leeway.
const FUTURE_ISSUE_SECONDS: f64 = 60.0;

/// What a token must be.
#[derive(Debug)]
pub(super) struct JwtRule {
    pub(super) algorithms: Vec<JwtAlgorithm>,
    pub(super) is_expiry_required: bool,
    pub(super) is_start_required: bool,
    /// The oldest `iat`, in seconds.
    pub(super) max_age: Option<u32>,
    /// In seconds, for `exp` and `nbf`.
    pub(super) leeway: u32,
    pub(super) claims: Vec<ClaimRule>,
    /// The key is the one that the provider publishes under the token's `kid`, not one of the secrets.
    pub(super) published: Option<KeySet>,
}

/// A claim that must have one of some values.
#[derive(Debug)]
pub(super) struct ClaimRule {
    pub(super) name: String,
    pub(super) values: Vec<Template>,
}

/// An algorithm of a token (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JwtAlgorithm {
    Hmac(Hash),
    PublicKey(SignatureAlgorithm),
}

/// A secret by its index among the endpoint's.
pub(super) type IndexedSecret<'s> = (usize, &'s [u8]);

impl JwtAlgorithm {
    /// The algorithm by its registered name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hmac(Hash::Sha256),
            "HS384" => Self::Hmac(Hash::Sha384),
            "HS512" => Self::Hmac(Hash::Sha512),
            "RS256" => Self::PublicKey(SignatureAlgorithm::RsaSha256),
            "ES256" => Self::PublicKey(SignatureAlgorithm::EcdsaSha256Fixed),
            "EdDSA" => Self::PublicKey(SignatureAlgorithm::Ed25519),
            _ => return None,
        })
    }

    /// Its registered name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hmac(Hash::Sha384) => "HS384",
            Self::Hmac(Hash::Sha512) => "HS512",
            Self::Hmac(Hash::Sha256 | Hash::Sha1) => "HS256",
            Self::PublicKey(SignatureAlgorithm::EcdsaSha256Fixed) => "ES256",
            Self::PublicKey(SignatureAlgorithm::Ed25519) => "EdDSA",
            Self::PublicKey(_) => "RS256",
        }
    }
}

impl JwtRule {
    /// Checks a token; tells which secret signed it, when one did, and what is signed.
    pub(super) fn check(
        &self,
        token: &[u8],
        evaluation: &Evaluation<'_>,
        secrets: &[IndexedSecret<'_>],
    ) -> Result<Proof, Failing> {
        let token = Token::parse(token).ok_or_else(|| {
            Failing::new(Cause::MalformedSignature, "the token is no JSON Web Token")
        })?;
        let algorithm = self.algorithm_of(&token)?;
        let signer = match algorithm {
            JwtAlgorithm::Hmac(hash) => signer_by_hmac(hash, &token, secrets)?,
            JwtAlgorithm::PublicKey(algorithm) => {
                self.signer_by_key(algorithm, &token, evaluation, secrets)?
            }
        };
        self.check_times(&token.claims, evaluation)?;
        let first_secret = secrets.first().map(|(_, secret)| *secret);
        let evaluation = Evaluation {
            secret: first_secret,
            ..*evaluation
        };
        for claim in &self.claims {
            claim.check(&token.claims, &evaluation)?;
        }
        Ok(Proof {
            signer,
            signed: Some(Fingerprint::of(token.signed)),
        })
    }

    fn algorithm_of(&self, token: &Token<'_>) -> Result<JwtAlgorithm, Failing> {
        let unsupported = |detail: String| Failing::new(Cause::UnsupportedAlgorithm, detail);
        if token.header.contains_key("crit") {
            return Err(unsupported(
                "the token asks for a critical extension".to_owned(),
            ));
        }
        let name = token
            .header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default();
        JwtAlgorithm::parse(name)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or_else(|| {
                unsupported(format!(
                    "the token's algorithm `{}` is none of the scheme's",
                    name.escape_debug()
                ))
            })
    }

    fn signer_by_key(
        &self,
        algorithm: SignatureAlgorithm,
        token: &Token<'_>,
        evaluation: &Evaluation<'_>,
        secrets: &[IndexedSecret<'_>],
    ) -> Result<Option<usize>, Failing> {
        let key_id = token.header.get("kid").and_then(Value::as_str);
        let keys: Vec<(Option<usize>, PublicKey)> = if self.published.is_some() {
            vec![(None, fetched_key(evaluation, key_id.unwrap_or_default())?)]
        } else {
            keys_in_secrets(secrets, key_id)
        };
        if keys.is_empty() {
            return Err(Failing::new(
                Cause::KeyUnavailable,
                "no secret of the endpoint is a public key for this token",
            ));
        }
        let mut keys = keys.into_iter();
        keys.find(|(_, key)| key.verifies(algorithm, token.signed, &token.signature))
            .map(|(signer, _)| signer)
            .ok_or_else(mismatch)
    }

    fn check_times(
        &self,
        claims: &Map<String, Value>,
        evaluation: &Evaluation<'_>,
    ) -> Result<(), Failing> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds stay exact for ages"
        )]
        let now = evaluation.delivery.settings.now.as_millis() as f64 / 1000.0;
        let leeway = f64::from(self.leeway);
        let expiry = number_claim(claims, "exp", self.is_expiry_required)?;
        let start = number_claim(claims, "nbf", self.is_start_required)?;
        let issued = number_claim(claims, "iat", self.max_age.is_some())?;
        if let Some(expiry) = expiry
            && now - leeway >= expiry
        {
            let detail = format!("the token expired {:.0} s ago", now - expiry);
            return Err(Failing::new(Cause::TimestampExpired, detail));
        }
        if let Some(start) = start
            && start > now + leeway
        {
            let detail = format!("the token is valid only in {:.0} s", start - now);
            return Err(Failing::new(Cause::TimestampFuture, detail));
        }
        if let (Some(max_age), Some(issued)) = (self.max_age, issued) {
            if now - issued > f64::from(max_age) {
                let detail = format!(
                    "the token is {:.0} s old, {max_age} s are allowed",
                    now - issued
                );
                return Err(Failing::new(Cause::TimestampExpired, detail));
            }
            if issued - now > leeway.max(FUTURE_ISSUE_SECONDS) {
                let detail = format!("the token was issued {:.0} s in the future", issued - now);
                return Err(Failing::new(Cause::TimestampFuture, detail));
            }
        }
        Ok(())
    }
}

impl ClaimRule {
    /// A claim whose template needs a parameter that is not set is skipped; one whose template is
    /// absent otherwise must be absent too.
    fn check(
        &self,
        claims: &Map<String, Value>,
        evaluation: &Evaluation<'_>,
    ) -> Result<(), Failing> {
        let have = claims.get(&self.name).filter(|value| !value.is_null());
        let mut wanted = Vec::new();
        for template in &self.values {
            match evaluation.render(template) {
                Ok(value) => wanted.push(value),
                Err(Trouble::Absent(Source::Parameter(_))) => return Ok(()),
                Err(Trouble::Absent(_)) if have.is_none() => return Ok(()),
                Err(Trouble::Absent(_)) => return Err(self.mismatch()),
                Err(trouble) => return Err(trouble.into_failing()),
            }
        }
        let haves = match have {
            Some(Value::Array(values)) => values.iter().collect(),
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let is_match = haves
            .into_iter()
            .filter_map(claim_text)
            .any(|have| wanted.iter().any(|value| is_equal(have.as_bytes(), value)));
        if is_match {
            Ok(())
        } else {
            Err(self.mismatch())
        }
    }

    fn mismatch(&self) -> Failing {
        Failing::new(
            Cause::ClaimMismatch,
            format!(
                "the claim `{}` of the token does not fit the request",
                self.name
            ),
        )
    }
}

fn claim_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(true) => Some("true"),
        Value::Bool(false) => Some("false"),
        _ => None,
    }
}

fn number_claim(
    claims: &Map<String, Value>,
    name: &str,
    is_required: bool,
) -> Result<Option<f64>, Failing> {
    let wrong = |what: &str| {
        Failing::new(
            Cause::ClaimMismatch,
            format!("the claim `{name}` of the token {what}"),
        )
    };
    match claims.get(name) {
        None if is_required => Err(wrong("is missing")),
        None => Ok(None),
        Some(value) => Ok(Some(
            value.as_f64().ok_or_else(|| wrong("is not a number"))?,
        )),
    }
}

fn mismatch() -> Failing {
    Failing::new(
        Cause::SignatureMismatch,
        "the token's signature matches no key of the endpoint",
    )
}

fn signer_by_hmac(
    hash: Hash,
    token: &Token<'_>,
    secrets: &[IndexedSecret<'_>],
) -> Result<Option<usize>, Failing> {
    // A public key is known to everybody: as an HMAC key it would let anybody sign (RFC 8725 §2.1).
    let mut usable = secrets
        .iter()
        .filter(|(_, secret)| !secret.is_empty() && !is_public_key(secret));
    usable
        .find(|(_, secret)| is_equal(&hash.hmac(secret, token.signed), &token.signature))
        .map(|(index, _)| Some(*index))
        .ok_or_else(mismatch)
}
