//! Applies one scheme to a request: finds its signature, has it checked by its method, then checks its conditions.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::WantedKey;
use super::delivery::Delivery;
use super::digest::is_equal;
use super::evaluate::{Evaluation, Value};
use super::fingerprint::Proof;
use super::issued;
use super::json;
use super::jwt::{IndexedSecret, key_id};
use super::scheme::{KeySource, Method, Scheme, described_place};
use super::template::{Source, Template};
use super::trouble::{Failing, Trouble};
use crate::verdict::Cause;

/// Why a scheme does not match.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request has no signature of this scheme; another scheme may still match.
    NoSignature,
    /// It has one that does not hold.
    Failed(Failing),
}

impl From<Failing> for Refusal {
    fn from(failing: Failing) -> Self {
        Self::Failed(failing)
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble.into_failing())
    }
}

impl Scheme {
    /// Whether the scheme's conditions hold for the request.
    pub(super) fn applies(&self, delivery: &Delivery<'_>) -> bool {
        let evaluation = Evaluation::new(delivery);
        self.when
            .iter()
            .all(|condition| condition.holds(&evaluation))
    }

    /// Whether there is something at the places of the signature.
    pub(super) fn has_signature(&self, delivery: &Delivery<'_>) -> bool {
        self.signature_values(&Evaluation::new(delivery)).is_ok()
    }

    /// The key that the request asks for, where the scheme has keys that the provider publishes.
    pub(super) fn wanted_key(&self, delivery: &Delivery<'_>) -> Option<WantedKey> {
        let evaluation = Evaluation::new(delivery);
        let values = self.signature_values(&evaluation).ok()?;
        match &self.method {
            Method::Signed(signed) => match &signed.key {
                KeySource::Fetched(fetch) => fetch.wanted(&evaluation).ok(),
                KeySource::Secret(_) => None,
            },
            Method::Jwt(rule) => {
                let id = key_id(values.first()?)?;
                Some(rule.published.as_ref()?.wanted(id, &evaluation))
            }
            Method::Equals(_) | Method::HttpSignature(_) | Method::Issued => None,
        }
    }

    /// Checks the request; tells which secret matched, where the scheme uses one, and what is signed.
    pub(super) fn attempt(&self, delivery: &Delivery<'_>) -> Result<Proof, Refusal> {
        let secrets: Vec<IndexedSecret<'_>> = delivery
            .settings
            .secrets
            .iter()
            .map(|(_, secret)| secret.expose())
            .enumerate()
            .filter(|(_, secret)| self.takes_secret(secret))
            .collect();
        if secrets.is_empty() && !delivery.settings.secrets.is_empty() && self.needs_secret() {
            return Err(Refusal::NoSignature);
        }
        let proof = match &self.each {
            None => self.attempt_once(delivery, &secrets, None)?,
            Some(pointer) => {
                let found = pointer.find(delivery.json()?).and_then(json::elements);
                let items = found.filter(|items| !items.is_empty()).ok_or_else(|| {
                    Failing::new(
                        Cause::MalformedBody,
                        format!("the JSON field `{pointer}` is no array with elements"),
                    )
                })?;
                let mut signer = None;
                for item in items {
                    signer = self.attempt_once(delivery, &secrets, Some(item))?.signer;
                }
                Proof {
                    signer,
                    signed: None,
                }
            }
        };
        self.check_requirements(delivery, &secrets)?;
        Ok(proof)
    }

    fn attempt_once(
        &self,
        delivery: &Delivery<'_>,
        secrets: &[IndexedSecret<'_>],
        item: Option<&RawValue>,
    ) -> Result<Proof, Refusal> {
        let evaluation = Evaluation {
            secret: secrets.first().map(|(_, secret)| *secret),
            item,
            ..Evaluation::new(delivery)
        };
        let values = self.signature_values(&evaluation)?;
        let proof = match &self.method {
            Method::Signed(signed) => signed.check(self, &values, &evaluation, secrets)?,
            Method::Equals(expected) => {
                let value = self.only_value(&values)?;
                Proof {
                    signer: self.check_equals(expected, value, &evaluation, secrets)?,
                    signed: None,
                }
            }
            Method::Jwt(rule) => rule.check(self.only_value(&values)?, &evaluation, secrets)?,
            Method::HttpSignature(rule) => {
                rule.check(self.only_value(&values)?, &evaluation, secrets)?
            }
            Method::Issued => Proof {
                signer: issued::check(self.only_value(&values)?, &evaluation)?,
                signed: None,
            },
        };
        Ok(proof)
    }

    /// Every value at the places of the signature; several when a header is repeated.
    pub(super) fn signature_values<'a>(
        &self,
        evaluation: &Evaluation<'a>,
    ) -> Result<Vec<Cow<'a, [u8]>>, Refusal> {
        let mut values = Vec::new();
        for place in &self.places {
            read_place(place, evaluation, &mut values)?;
        }
        if values.is_empty() {
            return Err(Refusal::NoSignature);
        }
        Ok(values)
    }

    /// The value of a credential, which a request must carry once.
    fn only_value<'v>(&self, values: &'v [Cow<'_, [u8]>]) -> Result<&'v [u8], Failing> {
        match values {
            [value] => Ok(value),
            _ => Err(Failing::new(
                Cause::AmbiguousHeader,
                format!(
                    "{} is there {} times",
                    self.described_places(),
                    values.len()
                ),
            )),
        }
    }

    /// Compares a credential with what is expected for each secret; all are tried, so that time tells nothing.
    fn check_equals(
        &self,
        expected: &Template,
        value: &[u8],
        evaluation: &Evaluation<'_>,
        secrets: &[IndexedSecret<'_>],
    ) -> Result<Option<usize>, Failing> {
        let without_secret = [(None, None)];
        let own: Vec<_> = secrets
            .iter()
            .map(|(index, secret)| (Some(*index), Some(*secret)))
            .collect();
        let mut signer = None;
        for (index, secret) in if own.is_empty() {
            &without_secret[..]
        } else {
            &own
        } {
            let evaluation = Evaluation {
                secret: *secret,
                ..*evaluation
            };
            let want = evaluation.render(expected).map_err(Trouble::into_failing)?;
            if is_match(value, &want) && signer.is_none() {
                signer = Some(*index);
            }
        }
        signer.ok_or_else(|| {
            Failing::new(
                Cause::TokenMismatch,
                format!(
                    "the credential in {} is none of the endpoint's",
                    self.described_places()
                ),
            )
        })
    }

    fn check_requirements(
        &self,
        delivery: &Delivery<'_>,
        secrets: &[IndexedSecret<'_>],
    ) -> Result<(), Failing> {
        let evaluation = Evaluation {
            secret: secrets.first().map(|(_, secret)| *secret),
            ..Evaluation::new(delivery)
        };
        for (have, want) in &self.require {
            let refused = || {
                Failing::new(
                    Cause::ConditionFailed,
                    format!("{} is not what the scheme requires", described_place(have)),
                )
            };
            let want = match evaluation.render(want) {
                Ok(want) => want,
                Err(Trouble::Absent(Source::Parameter(_))) => continue,
                Err(Trouble::Absent(_)) => return Err(refused()),
                Err(trouble) => return Err(trouble.into_failing()),
            };
            match evaluation.render(have) {
                Ok(have) if is_equal(&have, &want) => {}
                Ok(_) | Err(Trouble::Absent(_)) => return Err(refused()),
                Err(trouble) => return Err(trouble.into_failing()),
            }
        }
        Ok(())
    }
}

fn read_place<'a>(
    place: &Template,
    evaluation: &Evaluation<'a>,
    values: &mut Vec<Cow<'a, [u8]>>,
) -> Result<(), Failing> {
    let malformed = |what: String| Failing::new(Cause::MalformedSignature, what);
    let Some(expression) = place.bare() else {
        match evaluation.render(place) {
            Ok(value) if value.is_empty() => {}
            Ok(value) => values.push(value),
            Err(Trouble::Absent(_)) => {}
            Err(Trouble::Undecodable(what)) => return Err(malformed(what)),
            Err(Trouble::Fatal(failing)) => return Err(failing),
        }
        return Ok(());
    };
    let raw_values = match &expression.source {
        Source::Header(name) => {
            let headers = evaluation.delivery.header_values(name).into_iter();
            headers
                .map(|value| Ok(Value::Bytes(Cow::Borrowed(value))))
                .collect()
        }
        source => vec![evaluation.source(source)],
    };
    for raw in raw_values {
        let is_empty = |value: &Value<'_>| matches!(value, Value::Bytes(bytes) if bytes.is_empty());
        let filtered = match raw {
            Ok(value) if is_empty(&value) => continue,
            Ok(value) => evaluation.filtered(value, expression, &expression.filters),
            Err(trouble) => Err(trouble),
        };
        match filtered {
            Ok(Value::Bytes(value)) if value.is_empty() => {}
            Ok(Value::Bytes(value)) => values.push(value),
            Ok(Value::Container) => {
                return Err(malformed(format!("{} is not a text", expression.source)));
            }
            Err(Trouble::Absent(_)) => {}
            Err(Trouble::Undecodable(what)) => return Err(malformed(what)),
            Err(Trouble::Fatal(failing)) => return Err(failing),
        }
    }
    Ok(())
}

/// An empty expectation matches nothing.
fn is_match(value: &[u8], want: &[u8]) -> bool {
    !want.is_empty() && is_equal(value, want)
}
