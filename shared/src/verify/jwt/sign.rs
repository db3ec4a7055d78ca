//! Makes tokens that a rule accepts, with a secret or with a private key of one's own.

use serde_json::{Map, Value};

use super::{JwtAlgorithm, JwtRule};
use crate::verify::asymmetric::SignatureAlgorithm;
use crate::verify::digest::Hash;
use crate::verify::encoding::Encoding;
use crate::verify::evaluate::Evaluation;
use crate::verify::private_key::PrivateKey;
use crate::verify::trouble::Trouble;

/// How long a token that we sign is valid.
const TOKEN_LIFETIME_SECONDS: i64 = 300;

impl JwtRule {
    /// A token that the rule accepts; `None` when the scheme has no HMAC among its algorithms.
    pub(in crate::verify) fn sign(
        &self,
        evaluation: &Evaluation<'_>,
        secret: &[u8],
    ) -> Result<Option<Vec<u8>>, Trouble> {
        let hmac = self
            .algorithms
            .iter()
            .find_map(|algorithm| match algorithm {
                JwtAlgorithm::Hmac(hash) => Some(*hash),
                JwtAlgorithm::PublicKey(_) => None,
            });
        let Some(hash) = hmac else {
            return Ok(None);
        };
        let claims = self.claims_to_sign(evaluation)?;
        let header = format!("{{\"alg\":\"{}\",\"typ\":\"JWT\"}}", hmac_name(hash));
        let signed = signed_part(&header, claims);
        let signature = hash.hmac(secret, signed.as_bytes());
        Ok(Some(token(&signed, &signature)))
    }

    /// The same with a private key; `None` when the scheme has no algorithm for such a key.
    pub(in crate::verify) fn sign_with_key(
        &self,
        evaluation: &Evaluation<'_>,
        key: &PrivateKey,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(algorithm) = self
            .key_algorithms()
            .find(|algorithm| algorithm.key_kind() == key.kind())
        else {
            return Ok(None);
        };
        let claims = self.claims_to_sign(evaluation)?;
        let header = format!(
            "{{\"alg\":\"{}\",\"kid\":\"{}\",\"typ\":\"JWT\"}}",
            key_algorithm_name(algorithm),
            key.key_id()
        );
        let signed = signed_part(&header, claims);
        let signature = key.sign(algorithm, signed.as_bytes());
        Ok(signature.map(|signature| token(&signed, &signature)))
    }

    /// The algorithms that are checked with a public key.
    pub(in crate::verify) fn key_algorithms(&self) -> impl Iterator<Item = SignatureAlgorithm> {
        let algorithms = self.algorithms.iter();
        algorithms.filter_map(|algorithm| match algorithm {
            JwtAlgorithm::PublicKey(algorithm) => Some(*algorithm),
            JwtAlgorithm::Hmac(_) => None,
        })
    }

    fn claims_to_sign(&self, evaluation: &Evaluation<'_>) -> Result<Map<String, Value>, Trouble> {
        let now = evaluation.delivery.settings.now.as_seconds();
        let mut claims = Map::new();
        claims.insert("iat".to_owned(), now.into());
        if self.is_start_required {
            claims.insert("nbf".to_owned(), now.into());
        }
        if self.is_expiry_required {
            claims.insert("exp".to_owned(), (now + TOKEN_LIFETIME_SECONDS).into());
        }
        for claim in &self.claims {
            let Some(template) = claim.values.first() else {
                continue;
            };
            match evaluation.render_text(template) {
                Ok(value) => {
                    claims.insert(claim.name.clone(), value.into());
                }
                Err(Trouble::Absent(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(claims)
    }
}

fn signed_part(header: &str, claims: Map<String, Value>) -> String {
    let claims = Value::Object(claims).to_string();
    let encoded = |text: &str| Encoding::Base64Url.encode(text.as_bytes());
    format!("{}.{}", encoded(header), encoded(&claims))
}

fn token(signed: &str, signature: &[u8]) -> Vec<u8> {
    let signature = Encoding::Base64Url.encode(signature);
    format!("{signed}.{signature}").into_bytes()
}

/// The registered name of an HMAC (RFC 7518 §3.1).
const fn hmac_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha384 => "HS384",
        Hash::Sha512 => "HS512",
        Hash::Sha256 | Hash::Sha1 => "HS256",
    }
}

/// The registered name of an algorithm that a token can have.
const fn key_algorithm_name(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::Ed25519 => "EdDSA",
        SignatureAlgorithm::EcdsaSha1
        | SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::EcdsaSha256Fixed => "ES256",
        SignatureAlgorithm::RsaSha1
        | SignatureAlgorithm::RsaSha256
        | SignatureAlgorithm::RsaSha512 => "RS256",
    }
}
