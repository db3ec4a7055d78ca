//! Refuses schemes that are well written but would let a stranger in, or promise more than they check.

use crate::verify::SchemeError;
use crate::verify::scheme::{Algorithm, KeySource, Method, Scheme};
use crate::verify::table::Table;
use crate::verify::template::{Source, Template};

/// Checks a compiled scheme; the error stands at the key to mend.
pub(super) fn check(scheme: &Scheme, table: &Table<'_>) -> Result<(), SchemeError> {
    if let Method::Equals(expected) = &scheme.method
        && !mentions(expected, is_own)
    {
        return Err(table.problem_at(
            "expect",
            "expected `{secret}` or a parameter in it: else anybody knows the value",
        ));
    }
    if let Method::Signed(signed) = &scheme.method
        && let KeySource::Secret(key) = &signed.key
    {
        let is_secret = |source: &Source| *source == Source::Secret;
        let is_hash = matches!(signed.algorithm, Algorithm::Hash(_));
        if !is_hash && !mentions(key, is_secret) {
            return Err(table.problem_at(
                "key",
                "expected `{secret}` in it: else anybody knows the key",
            ));
        }
        let has_secret = |message: &Template| mentions(message, is_secret);
        if is_hash && !signed.messages.iter().all(has_secret) {
            return Err(table.problem_at(
                "message",
                "expected `{secret}` in it: a plain hash has no key",
            ));
        }
    }
    if scheme.covers_body && !reads_body(scheme) {
        return Err(
            table.problem("the signature does not depend on the body: say `binds = \"none\"`")
        );
    }
    Ok(())
}

/// Whether everything that can match depends on the body, at least on a part of it.
fn reads_body(scheme: &Scheme) -> bool {
    let mut always = scheme
        .places
        .iter()
        .chain(scheme.require.iter().map(|(_, want)| want));
    if always.any(|template| mentions(template, is_body)) {
        return true;
    }
    match &scheme.method {
        Method::Signed(signed) => signed
            .messages
            .iter()
            .all(|message| mentions(message, is_body)),
        Method::Jwt(rule) => {
            let mut values = rule.claims.iter().flat_map(|claim| &claim.values);
            values.any(|value| mentions(value, is_body))
        }
        Method::Equals(_) | Method::Issued => false,
        Method::HttpSignature(_) => true,
    }
}

const fn is_body(source: &Source) -> bool {
    matches!(
        source,
        Source::Body
            | Source::NonemptyBody
            | Source::Form(_)
            | Source::Json(_)
            | Source::Item(_)
            | Source::Special(_)
    )
}

const fn is_own(source: &Source) -> bool {
    matches!(source, Source::Secret | Source::Parameter(_))
}

fn mentions(template: &Template, is_wanted: impl Fn(&Source) -> bool) -> bool {
    let mut expressions = template.expressions().into_iter();
    expressions.any(|expression| is_wanted(&expression.source))
}

#[cfg(test)]
mod tests {
    use crate::verify::Provider;

    #[test]
    fn a_scheme_that_would_let_anybody_in_is_refused() {
        for (scheme, key) in [
            (
                "alg = \"equals\"\nbinds = \"none\"\nexpect = \"fixed\"",
                "line 4, `x.scheme.expect`",
            ),
            (
                "alg = \"equals\"\nbinds = \"none\"\nexpect = \"{header.y}\"",
                "line 4, `x.scheme.expect`",
            ),
            (
                "alg = \"hmac-sha256\"\nkey = \"fixed\"\nmessage = \"{body}\"",
                "line 3, `x.scheme.key`",
            ),
            (
                "alg = \"hash-sha256\"\nmessage = \"{body}\"",
                "line 3, `x.scheme.message`",
            ),
            (
                "alg = \"hmac-sha256\"\nmessage = \"{url}\"",
                "line 1, `x.scheme`",
            ),
            (
                "alg = \"hmac-sha256\"\nmessage = [\"{body}\", \"{url}\"]",
                "line 1, `x.scheme`",
            ),
            (
                "alg = \"equals\"\nexpect = \"{secret}\"",
                "line 1, `x.scheme`",
            ),
            (
                "alg = \"jwt\"\njwt = { algs = [\"HS256\"] }",
                "line 1, `x.scheme`",
            ),
        ] {
            let file = format!("[[x.scheme]]\n{scheme}\nsig = \"{{header.x-signature}}\"\n");
            let error = Provider::parse("x", &file).unwrap_err();

            assert_eq!(error.place, key, "{scheme}: {error}");
        }
    }

    #[test]
    fn what_says_that_it_leaves_the_body_out_is_taken() {
        for scheme in [
            "alg = \"equals\"\nexpect = \"{secret}\"",
            "alg = \"hmac-sha256\"\nmessage = \"{url}\"",
            "alg = \"jwt\"\njwt = { algs = [\"HS256\"] }",
        ] {
            let file = format!(
                "[[x.scheme]]\n{scheme}\nbinds = \"none\"\nsig = \"{{header.x-signature}}\"\n"
            );
            assert!(Provider::parse("x", &file).is_ok(), "{scheme}");
        }
    }
}
