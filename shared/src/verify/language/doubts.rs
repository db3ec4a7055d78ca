//! Warns of what is allowed but should be known: schemes that leave things open, and files that are not sure.

use std::collections::BTreeSet;

use crate::verify::Provider;
use crate::verify::about::parameters;
use crate::verify::handshake::Handshake;
use crate::verify::repeats::Repeats;
use crate::verify::scheme::{Algorithm, Method, Scheme, Signed};
use crate::verify::table::Table;
use crate::verify::template::Source;

/// A window beyond this lets a request be sent again for a whole working day.
const LONG_TOLERANCE: u32 = 8 * 3600;

/// Notes doubts about a scheme.
pub(super) fn about_scheme(scheme: &Scheme, table: &Table<'_>) {
    if !scheme.covers_body {
        table.warn_at(
            "binds",
            "the signature does not cover the whole body: a match is `authenticated`, never `verified`",
        );
    }
    match &scheme.method {
        Method::Equals(expected) => {
            let expressions = expected.expressions();
            let reads = |is_wanted: fn(&Source) -> bool| {
                let mut expressions = expressions.iter();
                expressions.any(|expression| is_wanted(&expression.source))
            };
            let is_secret = reads(|source| *source == Source::Secret);
            if !is_secret && reads(|source| matches!(source, Source::Parameter(_))) {
                table.warn_at(
                    "expect",
                    "a parameter is no secret: it is shown with the endpoint, and whoever knows it can send",
                );
            }
        }
        Method::Signed(signed) => about_signed(signed, table),
        Method::Jwt(rule) if !rule.is_expiry_required && rule.max_age.is_none() => {
            table.warn_at(
                "jwt",
                "a token never grows old: with `exp` or `max_age` it would",
            );
        }
        Method::Jwt(_) | Method::HttpSignature(_) | Method::Issued => {}
    }
}

fn about_signed(signed: &Signed, table: &Table<'_>) {
    if matches!(signed.algorithm, Algorithm::Hash(_)) {
        table.warn_at(
            "alg",
            "a plain hash is weaker than an HMAC: with the secret in front, more can be appended to the text",
        );
    }
    let Some(rule) = &signed.timestamp else {
        return;
    };
    if !signed.signs_time() {
        table.warn_at(
            "timestamp",
            "the time is not part of the message: an old body can be sent again with a new time",
        );
    }
    if rule.tolerance > LONG_TOLERANCE {
        let hours = rule.tolerance / 3600;
        table.warn_at(
            "timestamp",
            format!("a request can be sent again for {hours} hours"),
        );
    }
}

/// Notes doubts about a challenge.
pub(super) fn about_handshake(handshake: &Handshake, table: &Table<'_>) {
    if handshake.capture_secret.is_some() {
        table.warn_at(
            "capture_secret",
            "the secret is taken from an unsigned request, only while the endpoint waits for one",
        );
    }
}

/// Notes doubts about a provider.
pub(super) fn about_provider(provider: &Provider, table: &Table<'_>) {
    let schemes = &provider.schemes;
    about_equal_bodies(provider, table);
    let mut ids = BTreeSet::new();
    for id in schemes.iter().filter_map(|scheme| scheme.id.as_deref()) {
        if !ids.insert(id) {
            table.warn_at(
                "scheme",
                format!("two schemes are called `{id}`: an endpoint allows both or none"),
            );
        }
    }
    for scheme in schemes.iter().filter(|scheme| is_open(provider, scheme)) {
        table.warn_at(
            "needs",
            format!(
                "a published key signs for everybody: without {} the requests for others pass; say with `needs` what an endpoint must set",
                parameters(scheme).iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
            ),
        );
    }
}

/// Whether a signature by a published key is bound to a customer by parameters, and none of them must be set.
fn is_open(provider: &Provider, scheme: &Scheme) -> bool {
    let compared = scheme.require.iter().flat_map(|(have, want)| [have, want]);
    let claimed = match &scheme.method {
        Method::Jwt(rule) => rule.claims.iter().flat_map(|claim| &claim.values).collect(),
        _ => Vec::new(),
    };
    let is_parameter = |source: &Source| matches!(source, Source::Parameter(_));
    let mut bound = compared.chain(claimed);
    scheme.has_published_key()
        && bound.any(|template| template.mentions(is_parameter))
        && provider.needs.is_empty()
        && scheme.needs.is_empty()
}

fn about_equal_bodies(provider: &Provider, table: &Table<'_>) {
    if !provider.equal_bodies {
        return;
    }
    if !provider.delivery_id.is_empty() {
        table.warn_at(
            "equal_bodies",
            "the `delivery_id` tells equal bodies apart: without this key, repeats with the same id are held back",
        );
    }
    let is_delivered =
        |scheme: &Scheme| scheme.covers_body && provider.repeats(scheme) == Repeats::Delivered;
    if !provider.schemes.iter().any(is_delivered) {
        table.warn_at(
            "equal_bodies",
            "without effect: no scheme has a signature over the body and nothing of the delivery's own",
        );
    }
}
