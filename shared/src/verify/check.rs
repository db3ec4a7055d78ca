//! Tries a provider's schemes in their order and puts the result into a verdict.

use super::attempt::Refusal;
use super::delivery::Delivery;
use super::scheme::Scheme;
use super::trouble::Failing;
use super::{Provider, Settings, diagnose};
use crate::verdict::{Cause, Failure, Match, Verdict};

impl Provider {
    /// The verdict on a delivery.
    pub(super) fn verdict(&self, delivery: &Delivery<'_>) -> Verdict {
        let settings = delivery.settings;
        let mut schemes = self.schemes_of(settings).peekable();
        if schemes.peek().is_none() {
            let detail = format!(
                "`{}` has no scheme named `{}`",
                self.slug,
                settings.variant.unwrap_or_default().escape_debug()
            );
            return self.failed(Failing::new(Cause::ConfigError, detail), Vec::new());
        }
        if settings.secrets.is_empty() && schemes.all(Scheme::needs_secret) {
            return Verdict::Unchecked;
        }
        match self.match_scheme(delivery) {
            Ok((scheme, signer)) => {
                let found = Match {
                    provider: self.slug.clone(),
                    scheme: scheme.id.clone(),
                    secret: signer.map(|index| settings.secrets[index].0.clone()),
                };
                if scheme.covers_body {
                    Verdict::Verified(found)
                } else {
                    Verdict::Authenticated(found)
                }
            }
            Err(failing) => {
                let findings = diagnose::findings(self, delivery, &failing);
                self.failed(failing, findings)
            }
        }
    }

    fn failed(&self, failing: Failing, findings: Vec<crate::verdict::Finding>) -> Verdict {
        Verdict::Failed(Failure {
            provider: self.slug.clone(),
            cause: failing.cause,
            detail: failing.detail,
            findings,
        })
    }

    /// The schemes that the endpoint allows.
    pub(super) fn schemes_of<'p>(
        &'p self,
        settings: &Settings<'p>,
    ) -> impl Iterator<Item = &'p Scheme> + use<'p> {
        let variant = settings.variant;
        self.schemes
            .iter()
            .filter(move |scheme| variant.is_none() || scheme.id.as_deref() == variant)
    }

    /// The first scheme whose signature is present decides (LANGUAGE.md, rule 5). One that is there but
    /// unreadable leaves the word only to schemes that read the same place.
    pub(super) fn match_scheme<'p>(
        &'p self,
        delivery: &Delivery<'_>,
    ) -> Result<(&'p Scheme, Option<usize>), Failing> {
        let mut unreadable: Option<(&Scheme, Failing)> = None;
        let variant = delivery.settings.variant;
        let allowed = self
            .schemes
            .iter()
            .filter(|scheme| variant.is_none() || scheme.id.as_deref() == variant);
        for scheme in allowed {
            let reads_elsewhere = |(other, _): &(&Scheme, Failing)| !scheme.has_places_of(other);
            if unreadable.as_ref().is_some_and(reads_elsewhere) || !scheme.applies(delivery) {
                continue;
            }
            match scheme.attempt(delivery) {
                Ok(signer) => return Ok((scheme, signer)),
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
            let is_allowed = variant.is_none() || scheme.id.as_deref() == variant;
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
