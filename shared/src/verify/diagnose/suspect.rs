//! The signatures of a request that another explanation may make match.

use crate::verify::delivery::Delivery;
use crate::verify::digest::Hash;
use crate::verify::evaluate::{Evaluation, NamedPart};
use crate::verify::scheme::{Algorithm, KeySource, Method, Scheme, Signed};
use crate::verify::template::Source;

/// Signatures of the request with the scheme that they may belong to.
pub(super) struct Suspect<'p> {
    pub(super) scheme: &'p Scheme,
    pub(super) signed: &'p Signed,
    /// The signature's value as it came.
    pub(super) value: Vec<u8>,
    pub(super) parts: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) signatures: Vec<Vec<u8>>,
}

/// The signatures of the request at the places of a scheme with a shared secret.
pub(super) fn suspects<'p>(scheme: &'p Scheme, delivery: &Delivery<'_>) -> Vec<Suspect<'p>> {
    let Method::Signed(signed) = &scheme.method else {
        return Vec::new();
    };
    let evaluation = Evaluation::new(delivery);
    let is_symmetric = !matches!(signed.algorithm, Algorithm::PublicKey(_));
    if !is_symmetric || scheme.each.is_some() || !scheme.applies(delivery) {
        return Vec::new();
    }
    let Ok(values) = scheme.signature_values(&evaluation) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for value in &values {
        let groups = signed
            .rule
            .read_all([&**value], &evaluation)
            .unwrap_or_default();
        let suspect = |parts, signatures| Suspect {
            scheme,
            signed,
            value: value.to_vec(),
            parts,
            signatures,
        };
        if groups.is_empty() {
            found.push(suspect(Vec::new(), Vec::new()));
        }
        found.extend(groups.iter().map(|group| {
            let owned = |(name, value): &NamedPart<'_>| (name.to_vec(), value.to_vec());
            suspect(
                group.parts.iter().map(owned).collect(),
                signed.decoded(group),
            )
        }));
    }
    found
}

/// How many readable signatures the request has at the places of a scheme.
pub(super) fn signatures_of(scheme: &Scheme, signed: &Signed, delivery: &Delivery<'_>) -> usize {
    let evaluation = Evaluation::new(delivery);
    let Ok(values) = scheme.signature_values(&evaluation) else {
        return 0;
    };
    let values = values.iter().map(|value| &**value);
    let groups = signed.rule.read_all(values, &evaluation);
    let groups = groups.unwrap_or_default();
    groups.iter().map(|group| signed.decoded(group).len()).sum()
}

/// Whether the signed text has the public URL in it.
pub(super) fn reads_url(signed: &Signed) -> bool {
    let mut expressions = signed
        .messages
        .iter()
        .flat_map(|message| message.expressions());
    expressions.any(|expression| {
        matches!(
            expression.source,
            Source::Url | Source::UrlWithoutQuery | Source::Special(_)
        )
    })
}

impl Suspect<'_> {
    /// The hash that its algorithm is made of.
    pub(super) fn hash(&self) -> Option<Hash> {
        match self.signed.algorithm {
            Algorithm::Hmac(hash) | Algorithm::Hash(hash) => Some(hash),
            Algorithm::PublicKey(_) => None,
        }
    }

    /// The key that the scheme makes of a secret.
    pub(super) fn key(&self, delivery: &Delivery<'_>, secret: &[u8]) -> Option<Vec<u8>> {
        let KeySource::Secret(template) = &self.signed.key else {
            return None;
        };
        let evaluation = Evaluation {
            secret: Some(secret),
            ..Evaluation::new(delivery)
        };
        let key = evaluation.render(template).ok()?.into_owned();
        Some(key).filter(|key| !key.is_empty())
    }

    /// Whether the signed text has the public URL in it.
    pub(super) fn reads_url(&self) -> bool {
        reads_url(self.signed)
    }

    /// What two schemes have in common when they work alike.
    pub(super) fn shape(&self) -> String {
        let key = match &self.signed.key {
            KeySource::Secret(template) => template.text.as_str(),
            KeySource::Fetched(_) => "",
        };
        let messages: Vec<_> = self
            .signed
            .messages
            .iter()
            .map(|message| &message.text)
            .collect();
        let encodings: Vec<_> = self
            .signed
            .encodings
            .iter()
            .map(|encoding| encoding.name())
            .collect();
        format!(
            "{:?} {} {key} {messages:?} {encodings:?} {:?}",
            self.signed.algorithm,
            self.scheme.described_places(),
            self.signed.rule,
        )
    }
}
