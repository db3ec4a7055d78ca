//! Checks a signature over a message: candidates, key, message, comparison, and the time after that.

use std::borrow::Cow;

use super::asymmetric::PublicKey;
use super::candidates::Candidates;
use super::delivery::Delivery;
use super::digest::{Digester, is_equal};
use super::evaluate::Evaluation;
use super::fingerprint::{Fingerprint, Proof};
use super::jwt::IndexedSecret;
use super::scheme::{Algorithm, KeySource, Scheme, Signed, described_place};
use super::template::Template;
use super::trouble::{Failing, Trouble};
use super::url::UrlParts;
use crate::verdict::Cause;

/// A key that is ready to check signatures.
enum ReadyKey<'k> {
    Symmetric(Cow<'k, [u8]>),
    Public(Box<PublicKey>),
}

impl Signed {
    /// Checks the signatures in `values`; tells which secret matched, where the key is one, and what is signed.
    pub(super) fn check(
        &self,
        scheme: &Scheme,
        values: &[Cow<'_, [u8]>],
        evaluation: &Evaluation<'_>,
        secrets: &[IndexedSecret<'_>],
    ) -> Result<Proof, Failing> {
        let malformed = |problem: &str| {
            Failing::new(
                Cause::MalformedSignature,
                format!("{} {problem}", scheme.described_places()),
            )
        };
        let values = values.iter().map(|value| &**value);
        let groups = self.rule.read_all(values, evaluation)?;
        if groups.is_empty() {
            return Err(malformed("holds no signature of this scheme"));
        }
        self.refuse_answered_challenge(evaluation)?;
        let mut is_readable = false;
        let mut failing = None;
        for group in &groups {
            let signatures = self.decoded(group);
            if signatures.is_empty() {
                continue;
            }
            is_readable = true;
            match self.check_group(group, &signatures, evaluation, secrets) {
                Ok(proof) => return Ok(proof),
                Err(GroupFailing::Settled(settled)) => return Err(settled),
                Err(GroupFailing::Open(why)) => failing = why.or(failing),
            }
        }
        Err(match failing {
            Some(failing) => failing,
            None if is_readable => Failing::new(
                Cause::SignatureMismatch,
                format!(
                    "the signature in {} matches no key of the endpoint",
                    scheme.described_places()
                ),
            ),
            None => malformed(&format!(
                "holds no {} signature of the right length",
                self.form()
            )),
        })
    }

    /// The encodings in words.
    fn form(&self) -> String {
        let names = self.encodings.iter().map(|encoding| encoding.name());
        names.collect::<Vec<_>>().join(" or ")
    }

    fn refuse_answered_challenge(&self, evaluation: &Evaluation<'_>) -> Result<(), Failing> {
        let Some((template, class)) = &self.reject else {
            return Ok(());
        };
        match evaluation.render(template) {
            Ok(value) if class.contains(&value) => Err(Failing::new(
                Cause::RejectedMessage,
                format!("{} has the form of a challenge", described_place(template)),
            )),
            Ok(_) | Err(Trouble::Absent(_)) => Ok(()),
            Err(trouble) => Err(trouble.into_failing()),
        }
    }

    /// The signatures of a group that are readable and have the right length.
    pub(super) fn decoded(&self, group: &Candidates<'_>) -> Vec<Vec<u8>> {
        let length = self.algorithm.signature_length();
        let is_right = |bytes: &Vec<u8>| {
            !bytes.is_empty() && length.is_none_or(|length| bytes.len() == length)
        };
        let decode = |text: &&[u8]| {
            let mut encodings = self.encodings.iter();
            encodings.find_map(|encoding| encoding.decode(text).filter(is_right))
        };
        group.signatures.iter().filter_map(decode).collect()
    }

    fn check_group(
        &self,
        group: &Candidates<'_>,
        signatures: &[Vec<u8>],
        evaluation: &Evaluation<'_>,
        secrets: &[IndexedSecret<'_>],
    ) -> Result<Proof, GroupFailing> {
        let evaluation = Evaluation {
            signature_parts: &group.parts,
            ..*evaluation
        };
        let mut failing = None;
        let fetched = [(None, None)];
        let own: Vec<_> = secrets
            .iter()
            .map(|(index, secret)| (Some(*index), Some(*secret)))
            .collect();
        let is_fetched = matches!(self.key, KeySource::Fetched(_));
        for (index, secret) in if is_fetched { &fetched[..] } else { &own } {
            let evaluation = Evaluation {
                secret: *secret,
                ..evaluation
            };
            let key = match self.ready_key(&evaluation)? {
                Ok(key) => key,
                Err(bad_secret) => {
                    failing.get_or_insert(bad_secret);
                    continue;
                }
            };
            match self.check_key(&key, signatures, &evaluation)? {
                None => {}
                Some(Ok(signed)) => {
                    return Ok(Proof {
                        signer: *index,
                        signed: Some(signed),
                    });
                }
                Some(Err(time)) => failing = Some(time),
            }
        }
        Err(GroupFailing::Open(failing))
    }

    /// The key, or why the secret cannot be one.
    fn ready_key<'a>(
        &self,
        evaluation: &Evaluation<'a>,
    ) -> Result<Result<ReadyKey<'a>, Failing>, Failing> {
        let template = match &self.key {
            KeySource::Fetched(fetch) => {
                return fetch
                    .key(evaluation)
                    .map(|key| Ok(ReadyKey::Public(Box::new(key))));
            }
            KeySource::Secret(template) => template,
        };
        let bad_secret = |what: String| Ok(Err(Failing::new(Cause::BadSecret, what)));
        let bytes = match evaluation.render(template) {
            Ok(bytes) if bytes.is_empty() => return bad_secret("a secret is empty".to_owned()),
            Ok(bytes) => bytes,
            Err(Trouble::Undecodable(what)) => return bad_secret(what),
            Err(trouble) => return Err(trouble.into_failing()),
        };
        if !matches!(self.algorithm, Algorithm::PublicKey(_)) {
            return Ok(Ok(ReadyKey::Symmetric(bytes)));
        }
        match PublicKey::from_der(&bytes) {
            Some(key) => Ok(Ok(ReadyKey::Public(Box::new(key)))),
            None => bad_secret("a secret is no public key of a supported kind".to_owned()),
        }
    }

    /// `None` when no signature is this key's; else what it signs, or why the time is wrong.
    fn check_key(
        &self,
        key: &ReadyKey<'_>,
        signatures: &[Vec<u8>],
        evaluation: &Evaluation<'_>,
    ) -> Result<Option<Result<Fingerprint, Failing>>, Failing> {
        let mut time_failing = None;
        for url in self.url_variants(evaluation.delivery) {
            for message in &self.messages {
                let evaluation = Evaluation {
                    url: Some(&url),
                    ..*evaluation
                };
                if !self.matches(key, message, signatures, &evaluation)? {
                    continue;
                }
                let now = evaluation.delivery.settings.now;
                let rule = self.timestamp.as_ref();
                match rule.map_or(Ok(()), |rule| rule.check(&evaluation, now)) {
                    Ok(()) => {
                        let signed = Fingerprint::of_message(message, &evaluation)?;
                        return Ok(Some(Ok(signed)));
                    }
                    Err(failing) => time_failing = Some(Err(failing)),
                }
            }
        }
        Ok(time_failing)
    }

    fn matches(
        &self,
        key: &ReadyKey<'_>,
        message: &Template,
        signatures: &[Vec<u8>],
        evaluation: &Evaluation<'_>,
    ) -> Result<bool, Failing> {
        let digester = match (self.algorithm, key) {
            (Algorithm::Hmac(hash), ReadyKey::Symmetric(key)) => hash.begin_hmac(key),
            (Algorithm::Hash(hash), ReadyKey::Symmetric(_)) => hash.begin(),
            (Algorithm::PublicKey(algorithm), ReadyKey::Public(key)) => {
                let message = evaluation.render(message).map_err(Trouble::into_failing)?;
                let mut signatures = signatures.iter();
                return Ok(signatures.any(|signature| key.verifies(algorithm, &message, signature)));
            }
            _ => return Ok(false),
        };
        let expected = digest_of(digester, message, evaluation)?;
        // Every candidate is compared, so that time does not tell which one came close.
        let hits = signatures
            .iter()
            .filter(|signature| is_equal(&expected, signature))
            .count();
        Ok(hits > 0)
    }

    /// The public URL in the forms that the provider may have signed.
    pub(super) fn url_variants<'a>(&self, delivery: &Delivery<'a>) -> Vec<Cow<'a, str>> {
        let url = delivery.request.url;
        let mut variants = vec![Cow::Borrowed(url)];
        if self.tries_url_ports {
            let parts = UrlParts::split(url);
            let default_port = if parts.scheme == "https" { "443" } else { "80" };
            let port = parts.port().unwrap_or(default_port);
            let host = parts.host();
            variants.push(parts.with_authority(&host).into());
            variants.push(parts.with_authority(&format!("{host}:{port}")).into());
        }
        variants
    }
}

/// The digest of a message, which is not held in memory for it.
pub(super) fn digest_of(
    mut digester: Digester,
    message: &Template,
    evaluation: &Evaluation<'_>,
) -> Result<Vec<u8>, Failing> {
    evaluation
        .feed(message, &mut |piece| digester.update(piece))
        .map_err(Trouble::into_failing)?;
    Ok(digester.finish())
}

/// Why a group of candidates does not match.
enum GroupFailing {
    /// The check is over.
    Settled(Failing),
    /// Another group may still match; what stood in the way here, when it was more than the signature.
    Open(Option<Failing>),
}

impl From<Failing> for GroupFailing {
    fn from(failing: Failing) -> Self {
        Self::Settled(failing)
    }
}
