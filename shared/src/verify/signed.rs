//! Checks a signature over a message: candidates, key, message, comparison, and the time after that.

use std::borrow::Cow;

use super::asymmetric::{PublicKey, SignatureAlgorithm};
use super::candidates::Candidates;
use super::delivery::Delivery;
use super::digest::{Digester, is_equal};
use super::effort::Effort;
use super::evaluate::{Evaluation, is_whole_body};
use super::fingerprint::{Fingerprint, Proof};
use super::jwt::IndexedSecret;
use super::scheme::{Algorithm, KeySource, Scheme, Signed, described_place};
use super::template::{Source, Template};
use super::trouble::{Failing, Trouble};
use super::url::UrlParts;
use crate::verdict::Cause;

/// One that may have made the signatures: a secret by its index, or the provider by the key that it publishes.
struct Signer<'s> {
    index: Option<usize>,
    secret: Option<&'s [u8]>,
    key: ReadyKey<'s>,
}

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
        for group in &self.distinct(groups) {
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

    /// The groups that need a digest each: where nothing reads their named parts, they are one.
    fn distinct<'v>(&self, groups: Vec<Candidates<'v>>) -> Vec<Candidates<'v>> {
        let key = match &self.key {
            KeySource::Secret(key) => Some(key),
            KeySource::Fetched(_) => None,
        };
        let time = self.timestamp.as_ref().map(|rule| &rule.from);
        let mut readers = self.messages.iter().chain(key).chain(time);
        let is_fetched = key.is_none();
        let is_part = |source: &Source| matches!(source, Source::Signature(_));
        if is_fetched || readers.any(|template| template.mentions(is_part)) {
            return groups;
        }
        let signatures = groups.into_iter().flat_map(|group| group.signatures);
        vec![Candidates {
            parts: Vec::new(),
            signatures: signatures.collect(),
        }]
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
        let (keys, bad_secret) = self.ready_keys(&evaluation, secrets)?;
        let mut failing = bad_secret;
        for url in self.url_variants(evaluation.delivery) {
            for message in &self.messages {
                let evaluation = Evaluation {
                    url: Some(&url),
                    ..evaluation
                };
                let Some(signer) = self.signer(&keys, message, signatures, &evaluation)? else {
                    continue;
                };
                let evaluation = Evaluation {
                    secret: signer.secret,
                    ..evaluation
                };
                let now = evaluation.delivery.settings.now;
                let rule = self.timestamp.as_ref();
                match rule.map_or(Ok(()), |rule| rule.check(&evaluation, now)) {
                    Ok(()) => {
                        return Ok(Proof {
                            signer: signer.index,
                            signed: Some(Fingerprint::of_message(message, &evaluation)?),
                        });
                    }
                    Err(time) => failing = Some(time),
                }
            }
        }
        Err(GroupFailing::Open(failing))
    }

    /// The keys that are ready, and why the first secret that cannot be one is not.
    fn ready_keys<'a>(
        &self,
        evaluation: &Evaluation<'a>,
        secrets: &[IndexedSecret<'a>],
    ) -> Result<(Vec<Signer<'a>>, Option<Failing>), Failing> {
        let own = secrets
            .iter()
            .map(|(index, secret)| (Some(*index), Some(*secret)));
        let candidates: Vec<_> = match self.key {
            KeySource::Fetched(_) => vec![(None, None)],
            KeySource::Secret(_) => own.collect(),
        };
        let mut ready = Vec::new();
        let mut failing = None;
        for (index, secret) in candidates {
            let evaluation = Evaluation {
                secret,
                ..*evaluation
            };
            match self.ready_key(&evaluation)? {
                Ok(key) => ready.push(Signer { index, secret, key }),
                Err(bad_secret) => {
                    failing.get_or_insert(bad_secret);
                }
            }
        }
        Ok((ready, failing))
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

    /// The first of the keys by which one of the signatures is the message's. What the keys have in common is
    /// done once: a message that must be put together is, and each MAC is compared with all signatures.
    fn signer<'k, 'a>(
        &self,
        keys: &'k [Signer<'a>],
        message: &Template,
        signatures: &[Vec<u8>],
        evaluation: &Evaluation<'_>,
    ) -> Result<Option<&'k Signer<'a>>, Failing> {
        let effort = &evaluation.delivery.effort;
        let is_piecewise = message.mentions(|source| *source == Source::Secret)
            || message.expressions().into_iter().any(is_whole_body);
        let is_public = matches!(self.algorithm, Algorithm::PublicKey(_));
        let whole = if is_piecewise && !is_public {
            None
        } else {
            effort.hash(read_length(message, evaluation))?;
            Some(evaluation.render(message).map_err(Trouble::into_failing)?)
        };
        for signer in keys {
            let evaluation = Evaluation {
                secret: signer.secret,
                ..*evaluation
            };
            let digester = match (self.algorithm, &signer.key) {
                (Algorithm::Hmac(hash), ReadyKey::Symmetric(key)) => hash.begin_hmac(key),
                (Algorithm::Hash(hash), ReadyKey::Symmetric(_)) => hash.begin(),
                (Algorithm::PublicKey(algorithm), ReadyKey::Public(key)) => {
                    let whole = whole.as_deref().unwrap_or_default();
                    if verifies_any(key, algorithm, whole, signatures, effort)? {
                        return Ok(Some(signer));
                    }
                    continue;
                }
                _ => continue,
            };
            let expected = match &whole {
                Some(whole) => {
                    effort.hash(whole.len() as u64)?;
                    digester.finish_with(whole)
                }
                None => {
                    effort.hash(read_length(message, &evaluation))?;
                    digest_of(digester, message, &evaluation)?
                }
            };
            // Every candidate is compared, so that time does not tell which one came close.
            let hits = signatures
                .iter()
                .filter(|signature| is_equal(&expected, signature));
            if hits.count() > 0 {
                return Ok(Some(signer));
            }
        }
        Ok(None)
    }

    /// The public URL in the forms that the provider may have signed.
    pub(super) fn url_variants<'a>(&self, delivery: &Delivery<'a>) -> Vec<Cow<'a, str>> {
        let url = delivery.request.url;
        let mut variants = vec![Cow::Borrowed(url)];
        let mut add = |variant: String| {
            if !variants.iter().any(|known| **known == variant) {
                variants.push(variant.into());
            }
        };
        if self.tries_url_ports {
            let parts = UrlParts::split(url);
            let default_port = if parts.scheme == "https" { "443" } else { "80" };
            let port = parts.port().unwrap_or(default_port);
            let host = parts.host();
            add(parts.with_authority(&host));
            add(parts.with_authority(&format!("{host}:{port}")));
        }
        variants
    }
}

/// The bytes of the body, or of the element under check, that a message reads.
fn read_length(message: &Template, evaluation: &Evaluation<'_>) -> u64 {
    let body = evaluation.delivery.body_length();
    let item = evaluation.item.map_or(0, |item| item.get().len() as u64);
    let lengths = message
        .expressions()
        .into_iter()
        .map(|expression| match expression.source {
            Source::Body | Source::NonemptyBody | Source::Json(_) | Source::Special(_) => body,
            Source::Item(_) => item,
            _ => 0,
        });
    lengths.sum()
}

/// Whether one of the signatures is the message's by this key.
fn verifies_any(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signatures: &[Vec<u8>],
    effort: &Effort,
) -> Result<bool, Failing> {
    for signature in signatures {
        effort.check_public_key(message)?;
        if key.verifies(algorithm, message, signature) {
            return Ok(true);
        }
    }
    Ok(false)
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
