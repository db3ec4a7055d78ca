//! Writes the value of a signature: from the digest to the text that goes into the header.

use std::borrow::Cow;

use crate::verify::SignError;
use crate::verify::candidates::CandidateRule;
use crate::verify::evaluate::Evaluation;
use crate::verify::filters::Filter;
use crate::verify::private_key::{PrivateKey, pem_of_public_key};
use crate::verify::scheme::{Algorithm, KeySource, Signed};
use crate::verify::signed::digest_of;
use crate::verify::template::Expression;
use crate::verify::trouble::Trouble;

impl Signed {
    /// The text of the signature of the first message.
    pub(super) fn sign(&self, evaluation: &Evaluation<'_>) -> Result<String, SignError> {
        let encoding = self.encodings.first().expect("a scheme has an encoding");
        Ok(encoding.encode(&self.mac(evaluation)?))
    }

    /// The same by a private key of one's own.
    pub(super) fn sign_with_key(
        &self,
        evaluation: &Evaluation<'_>,
        key: &PrivateKey,
    ) -> Result<String, SignError> {
        let Algorithm::PublicKey(algorithm) = self.algorithm else {
            return Err(SignError::Unusable("the key is a secret".to_owned()));
        };
        let message = self.messages.first().expect("a scheme has a message");
        let message = evaluation.render(message).map_err(unusable)?;
        let signature = key.sign(algorithm, &message).ok_or_else(|| {
            SignError::Unusable("such signatures cannot be made with this key".to_owned())
        })?;
        let encoding = self.encodings.first().expect("a scheme has an encoding");
        Ok(encoding.encode(&signature))
    }

    fn mac(&self, evaluation: &Evaluation<'_>) -> Result<Vec<u8>, SignError> {
        let KeySource::Secret(template) = &self.key else {
            return Err(SignError::Unusable("the key is the provider's".to_owned()));
        };
        let key = evaluation.render(template).map_err(unusable)?;
        let digester = match self.algorithm {
            Algorithm::Hmac(hash) => hash.begin_hmac(&key),
            Algorithm::Hash(hash) => hash.begin(),
            Algorithm::PublicKey(_) => {
                return Err(SignError::Unusable("the key is the provider's".to_owned()));
            }
        };
        let message = self.messages.first().expect("a scheme has a message");
        digest_of(digester, message, evaluation)
            .map_err(|failing| SignError::Unusable(failing.detail))
    }
}

/// The signature's value as its rule cuts it: prefix, keys, named parts, separators.
pub(super) fn written(
    rule: &CandidateRule,
    parts: &[(String, String)],
    signature: &str,
    evaluation: &Evaluation<'_>,
) -> Result<Vec<u8>, SignError> {
    let mut items = Vec::new();
    for (name, value) in parts {
        if rule.first.as_ref() == Some(name) {
            items.insert(0, value.clone());
        } else if let Some(key_value) = &rule.key_value {
            items.push(format!("{name}{}{value}", key_value.separator));
        }
    }
    items.push(match &rule.key_value {
        Some(key_value) => {
            let key = key_value
                .signature_keys
                .first()
                .expect("a rule with keys has one");
            let key = evaluation.render_text(key).map_err(unusable)?;
            format!("{key}{}{signature}", key_value.separator)
        }
        None => {
            let prefix = rule.prefixes.first().map_or("", String::as_str);
            format!("{prefix}{signature}")
        }
    });
    let separator = rule.split.as_deref().unwrap_or_default();
    Ok(items.join(separator).into_bytes())
}

/// What the filters of a place turn into `credential`.
pub(super) fn through_filters_backwards(
    place: &Expression,
    credential: Vec<u8>,
) -> Result<String, SignError> {
    let mut value = Cow::from(credential);
    for filter in place.filters.iter().rev() {
        value = match filter {
            Filter::Unbase64 => data_encoding::BASE64.encode(&value).into_bytes().into(),
            Filter::Unpem => pem_of_public_key(&value).into_bytes().into(),
            Filter::Unhex => data_encoding::HEXLOWER.encode(&value).into_bytes().into(),
            Filter::Scheme {
                word,
                is_optional: false,
            } => [word.as_bytes(), b" ", &value].concat().into(),
            Filter::Scheme { .. } | Filter::Trim | Filter::Lower => value,
            Filter::Strip(prefix) => [prefix.as_bytes(), &value].concat().into(),
            other => {
                return Err(SignError::Unusable(format!(
                    "the filter {other:?} has no inverse"
                )));
            }
        };
    }
    String::from_utf8(value.into_owned())
        .map_err(|_| SignError::Unusable("the credential is not UTF-8".to_owned()))
}

/// The trouble as the reason why nothing can be signed.
pub(super) fn unusable(trouble: Trouble) -> SignError {
    SignError::Unusable(trouble.into_failing().detail)
}
