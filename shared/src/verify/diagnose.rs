//! Explains a failed check, most likely reason first. Looks only at what the endpoint's own
//! settings hold, with a bounded number of MACs, and never tells a secret or an expected signature.

mod bodies;
mod budget;
mod elsewhere;
mod form;
mod inflate;
mod search;
mod suspect;
mod variants;
mod whole;

use super::Provider;
use super::delivery::Delivery;
use super::trouble::Failing;
use crate::verdict::{Cause, Finding};
use search::{Outcome, Search};

/// The longest body for which other explanations are tried.
pub(super) const MAX_BODY_BYTES: u64 = 256 * 1024;

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
    if delivery.body_length() > MAX_BODY_BYTES {
        return Some(finding(
            "body_too_long",
            format!(
                "other explanations were not tried, because the body has more than {MAX_BODY_BYTES} bytes"
            ),
            "send a smaller event of the same kind to learn more",
        ));
    }
    let outcome = Search::new(provider, delivery).run();
    match outcome.found {
        None if failing.cause == Cause::SignatureMismatch => nothing_matches(delivery, &outcome),
        found => found,
    }
}

/// Stands in the place of findings where the reason was not looked for.
pub(super) fn not_looked_for() -> Finding {
    finding(
        "not_looked_for",
        "so many requests fail their check at the moment that the reason of this one was not looked for",
        "look at an earlier or a later one",
    )
}

/// The signature is well made, and nothing that was tried explains it; none where nothing was.
fn nothing_matches(delivery: &Delivery<'_>, outcome: &Outcome) -> Option<Finding> {
    if let Some(finding) = unpacked(delivery) {
        return Some(finding);
    }
    let tried = match &outcome.tried[..] {
        [] => return None,
        [only] => format!("it does not match {only}"),
        [first, rest @ ..] => format!("it matches neither {first} nor {}", rest.join(" nor ")),
    };
    if outcome.left_something_out {
        return Some(finding(
            "not_all_tried",
            format!("{tried}, but not all of these were tried: one failure may cost only so much"),
            "send a small event of the same kind to learn more, and compare the secret with the provider's",
        ));
    }
    let hint = if delivery.settings.secrets.is_empty() {
        "the request is most likely not the provider's, or something before the relay changes what is signed"
    } else {
        "the sender most likely signs with another secret: copy the provider's once more and put it with `towline endpoints rotate-secret`"
    };
    Some(finding("nothing_matches", tried, hint))
}

/// A body that its header calls compressed, and that is not: what was signed cannot be made again.
fn unpacked(delivery: &Delivery<'_>) -> Option<Finding> {
    let encoding = delivery.header("content-encoding").ok()?.trim_ascii();
    let is_known = [&b"gzip"[..], b"x-gzip", b"deflate"]
        .iter()
        .any(|name| encoding.eq_ignore_ascii_case(name));
    let is_packed = inflate::is_compressed(delivery.body().ok()?);
    (is_known && !is_packed).then(|| {
        finding(
            "unpacked",
            format!(
                "the header `content-encoding` is `{}`, but the body is not compressed",
                encoding.escape_ascii()
            ),
            "something between the provider and the relay unpacks the body; it must pass unchanged",
        )
    })
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
