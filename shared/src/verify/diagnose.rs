//! Explains a failed check, most likely reason first. Looks only at what the endpoint's own
//! settings hold, with a bounded number of MACs, and never tells a secret or an expected signature.

mod form;
mod search;
mod suspect;
mod variants;

use super::Provider;
use super::delivery::Delivery;
use super::trouble::Failing;
use crate::verdict::{Cause, Finding};
use search::Search;

/// The longest body for which other explanations are tried.
pub(super) const MAX_BODY_BYTES: u64 = 256 * 1024;

/// The most MACs that one diagnosis computes, so that a flood of bad requests is no attack.
pub(super) const MAX_MACS: u32 = 64;

/// The most bytes that those MACs read together, so that they stay within 2 ms of one core.
pub(super) const MAX_MAC_BYTES: u64 = 1024 * 1024;

/// What a closer look at a failed check turns up.
pub(super) fn findings(
    provider: &Provider,
    delivery: &Delivery<'_>,
    failing: &Failing,
) -> Vec<Finding> {
    let mut findings = Vec::from_iter(at_first_sight(provider, delivery, failing));
    if may_match_otherwise(failing.cause) {
        findings.extend(closer_look(provider, delivery, failing));
    }
    if findings.is_empty() {
        findings.push(failing.cause.finding(&failing.detail));
    }
    findings
}

/// What the cause and the request tell without trying anything.
fn at_first_sight(
    provider: &Provider,
    delivery: &Delivery<'_>,
    failing: &Failing,
) -> Option<Finding> {
    match failing.cause {
        Cause::MissingSignature => absence(provider, delivery),
        Cause::MalformedSignature => form::describe(provider, delivery),
        Cause::TimestampExpired | Cause::TimestampFuture => Some(clock_skew(failing)),
        // These are told only where a closer look finds nothing better.
        Cause::SignatureMismatch | Cause::TokenMismatch => None,
        Cause::MissingHeader
        | Cause::AmbiguousHeader
        | Cause::AmbiguousQuery
        | Cause::AmbiguousForm
        | Cause::TimestampMalformed
        | Cause::MalformedBody
        | Cause::ClaimMismatch
        | Cause::UnsupportedAlgorithm
        | Cause::ConditionFailed
        | Cause::KeyUnavailable
        | Cause::KeyUrlRejected
        | Cause::BadSecret
        | Cause::RejectedMessage
        | Cause::ConfigError
        | Cause::OverLimit => Some(failing.cause.finding(&failing.detail)),
    }
}

/// Whether another secret, body or scheme may explain a failure of this cause.
const fn may_match_otherwise(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::MissingSignature
            | Cause::MalformedSignature
            | Cause::SignatureMismatch
            | Cause::TokenMismatch
            | Cause::BadSecret
    )
}

/// What trying other explanations turns up.
fn closer_look(provider: &Provider, delivery: &Delivery<'_>, failing: &Failing) -> Option<Finding> {
    if delivery.settings.secrets.is_empty() {
        return None;
    }
    if delivery.body_length() > MAX_BODY_BYTES {
        return Some(finding(
            "body_too_long",
            format!(
                "other explanations were not tried, because the body has more than {MAX_BODY_BYTES} bytes"
            ),
            "send a smaller event of the same kind to learn more",
        ));
    }
    let found = Search::new(provider, delivery).run();
    if found.is_none() && failing.cause == Cause::SignatureMismatch {
        return Some(nothing_matches(delivery));
    }
    found
}

/// Stands in the place of findings where the reason was not looked for.
pub(super) fn not_looked_for() -> Finding {
    finding(
        "not_looked_for",
        "so many requests fail their check at the moment that the reason of this one was not looked for",
        "look at an earlier or a later one",
    )
}

/// The signature is well made, and nothing that usually goes wrong explains it.
fn nothing_matches(delivery: &Delivery<'_>) -> Finding {
    let names: Vec<_> = delivery
        .settings
        .secrets
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    finding(
        "nothing_matches",
        format!(
            "it matches neither another form of the secret {}, nor a changed body, nor another URL, nor another provider",
            names.join(", ")
        ),
        "the sender most likely signs with another secret: copy the provider's once more and put it with `towline endpoints rotate-secret`",
    )
}

fn finding(code: &str, sentence: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding {
        code: code.to_owned(),
        sentence: sentence.into(),
        hint: hint.into(),
    }
}

/// The time is checked after the signature, so that the rest of the request is known to be right.
fn clock_skew(failing: &Failing) -> Finding {
    let sentence = format!("the signature matches, but {}", failing.detail);
    failing.cause.finding(&sentence)
}

/// A signature of a scheme that the endpoint does not allow, or no signature at all.
fn absence(provider: &Provider, delivery: &Delivery<'_>) -> Option<Finding> {
    let variant = delivery.settings.variant;
    let excluded = provider.schemes.iter().find(|scheme| {
        variant.is_some() && scheme.id.as_deref() != variant && scheme.has_signature(delivery)
    });
    if let Some(scheme) = excluded {
        let id = scheme.id.as_deref().unwrap_or("without a name");
        return Some(finding(
            "variant_excluded",
            format!(
                "the request is signed by the scheme `{id}`, but the endpoint allows only `{}`",
                variant.unwrap_or_default()
            ),
            "allow that scheme at the endpoint, or change it at the provider",
        ));
    }
    let near = provider
        .schemes
        .iter()
        .find(|scheme| scheme.has_signature(delivery))?;
    if near.applies(delivery) {
        return Some(finding(
            "other_kind_of_secret",
            format!(
                "there is a signature in {}, but no secret of the endpoint is of the kind that its scheme takes",
                near.described_places()
            ),
            "look at the beginning of the secret, which tells its kind, and set the one that the provider shows for webhooks",
        ));
    }
    Some(finding(
        "condition_not_met",
        format!(
            "there is a signature in {}, but the conditions of its scheme do not hold",
            near.described_places()
        ),
        "look at the content type, the query and the endpoint's parameters, which choose the scheme",
    ))
}

#[cfg(test)]
mod tests;
