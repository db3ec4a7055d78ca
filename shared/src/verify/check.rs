//! Tries a provider's schemes in their order and puts the result into a verdict.

use super::attempt::Refusal;
use super::delivery::Delivery;
use super::fingerprint::Proof;
use super::scheme::Scheme;
use super::trouble::Failing;
use super::{Judgement, Provider, Repeats, Settings, diagnose};
use crate::verdict::{Cause, Failure, Finding, Match, Verdict};

/// A verdict without anything to remember.
impl From<Verdict> for Judgement {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            fingerprint: None,
            repeats: Repeats::default(),
        }
    }
}

impl Provider {
    /// The judgement on a delivery.
    pub(super) fn judgement(&self, delivery: &Delivery<'_>) -> Judgement {
        let settings = delivery.settings;
        let mut schemes = self.schemes_of(settings).peekable();
        if schemes.peek().is_none() {
            let slug = &self.slug;
            let detail = match settings.variant {
                Some(name) => format!("`{slug}` has no scheme named `{}`", name.escape_debug()),
                None => format!("`{slug}` has no scheme that counts without being named"),
            };
            let failing = Failing::new(Cause::ConfigError, detail);
            let findings = vec![failing.cause.finding(&failing.detail)];
            return Verdict::Failed(self.failed(failing, findings)).into();
        }
        if settings.secrets.is_empty() && schemes.all(Scheme::needs_secret) {
            return Verdict::Unchecked.into();
        }
        match self.match_scheme(delivery) {
            Ok((scheme, proof)) => {
                let found = Match {
                    provider: self.slug.clone(),
                    scheme: scheme.id.clone(),
                    secret: proof.signer.map(|index| settings.secrets[index].0.clone()),
                };
                let verdict = if scheme.covers_body {
                    Verdict::Verified(found)
                } else {
                    Verdict::Authenticated(found)
                };
                Judgement {
                    verdict,
                    fingerprint: proof.fingerprint(scheme, delivery.request.body),
                    repeats: self.repeats(scheme),
                }
            }
            Err(failing) => {
                let findings = if delivery.surroundings.is_brief {
                    vec![diagnose::not_looked_for()]
                } else {
                    diagnose::findings(self, delivery, &failing)
                };
                Verdict::Failed(self.failed(failing, findings)).into()
            }
        }
    }

    pub(super) fn failed(&self, failing: Failing, findings: Vec<Finding>) -> Failure {
        Failure {
            provider: self.slug.clone(),
            cause: failing.cause,
            detail: failing.detail,
            findings,
        }
    }

    /// The schemes that the endpoint allows.
    pub(super) fn schemes_of<'p>(
        &'p self,
        settings: &Settings<'p>,
    ) -> impl Iterator<Item = &'p Scheme> + use<'p> {
        let variant = settings.variant;
        self.schemes
            .iter()
            .filter(move |scheme| scheme.is_allowed(variant))
    }

    /// The first scheme whose signature is present decides (LANGUAGE.md, rule 5). One that is there but
    /// unreadable leaves the word only to schemes that read the same place.
    pub(super) fn match_scheme<'p>(
        &'p self,
        delivery: &Delivery<'_>,
    ) -> Result<(&'p Scheme, Proof), Failing> {
        let mut unreadable: Option<(&Scheme, Failing)> = None;
        let variant = delivery.settings.variant;
        let allowed = self
            .schemes
            .iter()
            .filter(|scheme| scheme.is_allowed(variant));
        for scheme in allowed {
            let reads_elsewhere = |(other, _): &(&Scheme, Failing)| !scheme.has_places_of(other);
            if unreadable.as_ref().is_some_and(reads_elsewhere) || !scheme.applies(delivery) {
                continue;
            }
            match scheme.attempt(delivery) {
                Ok(proof) => return Ok((scheme, proof)),
                Err(Refusal::NoSignature) => {}
                Err(Refusal::Failed(failing)) if failing.cause == Cause::MalformedSignature => {
                    unreadable = Some((scheme, failing));
                }
                Err(Refusal::Failed(failing)) => return Err(failing),
            }
        }
        Err(unreadable.map_or_else(|| self.no_signature(delivery), |(_, failing)| failing))
    }

    fn no_signature(&self, delivery: &Delivery<'_>) -> Failing {
        let variant = delivery.settings.variant;
        let mut places: Vec<String> = Vec::new();
        for scheme in &self.schemes {
            let is_allowed = scheme.is_allowed(variant);
            let place = scheme.described_places();
            if is_allowed && !places.contains(&place) {
                places.push(place);
            }
        }
        Failing::new(
            Cause::MissingSignature,
            format!(
                "no signature of `{}` is there: looked for {}",
                self.slug,
                places.join(", ")
            ),
        )
    }
}
