//! Refuses schemes that are well written but would let a stranger in, promise more than they check, or cost too much.

use crate::verify::about::parameters;
use crate::verify::filters::Filter;
use crate::verify::key_fetch::KeyFetch;
use crate::verify::nearest::did_you_mean;
use crate::verify::scheme::{Algorithm, KeySource, Method, Scheme, Signed};
use crate::verify::table::Table;
use crate::verify::template::{Source, Template};

/// How many times the body may be read, as often as its values may grow, to check one signature.
const MAX_WORK: usize = 8;

/// The key of a scheme that says where the provider's own key is.
const KEY_FETCH: &str = "key_fetch";

/// Notes what is wrong with a compiled scheme, at the key to mend.
pub(super) fn check(scheme: &Scheme, table: &Table<'_>) {
    match &scheme.method {
        Method::Equals(expected) if !mentions(expected, is_own) => {
            table.problem_at(
                "expect",
                "expected `{secret}` or a parameter in it: else anybody knows the value",
            );
        }
        Method::Signed(signed) => {
            check_secret(signed, table);
            check_parts(signed, table);
        }
        Method::Equals(_) | Method::Jwt(_) | Method::HttpSignature(_) | Method::Issued => {}
    }
    if scheme.covers_body && !reads_body(scheme) {
        table.problem("the signature does not depend on the body: say `binds = \"none\"`");
    }
    check_sources(scheme, table);
    check_work(scheme, table);
}

/// What an endpoint must set is a parameter that one of the schemes reads.
pub(super) fn check_needs(needs: &[String], schemes: &[Scheme], table: &Table<'_>) {
    let known: Vec<String> = schemes.iter().flat_map(parameters).collect();
    for name in needs.iter().filter(|name| !known.contains(name)) {
        let near = did_you_mean(name, known.iter().map(String::as_str));
        table.problem_at("needs", format!("nothing reads `{{param.{name}}}`{near}"));
    }
}

fn check_secret(signed: &Signed, table: &Table<'_>) {
    let KeySource::Secret(key) = &signed.key else {
        return;
    };
    let is_secret = |source: &Source| *source == Source::Secret;
    let is_hash = matches!(signed.algorithm, Algorithm::Hash(_));
    if !is_hash && !mentions(key, is_secret) {
        table.problem_at(
            "key",
            "expected `{secret}` in it: else anybody knows the key",
        );
    }
    let has_secret = |message: &Template| mentions(message, is_secret);
    if is_hash && !signed.messages.iter().all(has_secret) {
        table.problem_at(
            "message",
            "expected `{secret}` in it: a plain hash has no key",
        );
    }
}

/// A part of the signature's value is there only if the value is cut into parts.
fn check_parts(signed: &Signed, table: &Table<'_>) {
    let has_parts = signed.rule.key_value.is_some();
    let is_unknown = |source: &Source| matches!(source, Source::Signature(name) if !has_parts && signed.rule.first.as_ref() != Some(name));
    let problem =
        "`{sig.…}` is a part of the signature's value: say with `kv` or `first` how it is cut";
    if signed
        .messages
        .iter()
        .any(|message| mentions(message, is_unknown))
    {
        table.problem_at("message", problem);
    }
    let timestamp = signed.timestamp.as_ref();
    if timestamp.is_some_and(|rule| mentions(&rule.from, is_unknown)) {
        table.problem_at("timestamp", problem);
    }
}

/// Sources and filters that have a value only elsewhere.
fn check_sources(scheme: &Scheme, table: &Table<'_>) {
    for (key, template) in templates(scheme) {
        for expression in template.expressions() {
            match &expression.source {
                Source::Item(_) if scheme.each.is_none() => {
                    table.problem_at(
                        key,
                        "`{item.…}` is an element of the array that `each` names",
                    );
                }
                Source::Secret if key == KEY_FETCH => {
                    table.problem_at(key, "where the key comes from would be told the secret");
                }
                Source::Let(name) => {
                    table.problem_at(key, format!("`{{let.{name}}}` belongs to challenges"));
                }
                _ => {}
            }
            let is_hmac = |filter: &Filter| matches!(filter, Filter::Hmac(_));
            if expression.filters.iter().any(is_hmac) {
                table.problem_at(key, "the filters `hmac-…` belong to challenges");
            }
        }
    }
}

/// Bounds what one request can cost: a scheme may come from somebody who means harm.
fn check_work(scheme: &Scheme, table: &Table<'_>) {
    let Method::Signed(signed) = &scheme.method else {
        return;
    };
    let urls = if signed.tries_url_ports { 3 } else { 1 };
    let work: usize = signed.messages.iter().map(growth).sum();
    if work * urls > MAX_WORK {
        let problem = format!(
            "one check would go through {} times the body, at most {MAX_WORK} are allowed",
            work * urls
        );
        table.problem_at("message", problem);
    }
    let is_whole = |source: &Source| source.is_of_body() && !matches!(source, Source::Item(_));
    let reads_whole = |message: &Template| mentions(message, is_whole);
    if scheme.each.is_some() && signed.messages.iter().any(reads_whole) {
        table.problem_at(
            "message",
            "with `each`, only `{item.…}` of the body: else every element costs the whole body",
        );
    }
}

/// How many bytes of the template one byte of the body can give.
fn growth(template: &Template) -> usize {
    let of_body = template
        .expressions()
        .into_iter()
        .filter(|expression| expression.source.is_of_body());
    of_body
        .map(|expression| {
            let filters = expression.filters.iter();
            let (most, _) = filters.fold((1, 1), |(most, now): (usize, usize), filter| {
                let next = now.saturating_mul(filter.growth());
                (most.max(next), next)
            });
            most
        })
        .fold(0, usize::saturating_add)
}

/// Every template of a scheme, with the key it stands at.
fn templates(scheme: &Scheme) -> Vec<(&'static str, &Template)> {
    let mut all: Vec<(&'static str, &Template)> = Vec::new();
    all.extend(scheme.places.iter().map(|place| ("sig", place)));
    for (have, want) in &scheme.require {
        all.extend([("require", have), ("require", want)]);
    }
    match &scheme.method {
        Method::Signed(signed) => {
            all.extend(signed.messages.iter().map(|message| ("message", message)));
            all.push(match &signed.key {
                KeySource::Secret(key) => ("key", key),
                KeySource::Fetched(KeyFetch::Url { url, .. }) => (KEY_FETCH, url),
                KeySource::Fetched(KeyFetch::Id(id)) => (KEY_FETCH, id),
            });
            if let Some(rule) = &signed.timestamp {
                all.push(("timestamp", &rule.from));
            }
            if let Some((rejected, _)) = &signed.reject {
                all.push(("reject", rejected));
            }
        }
        Method::Equals(expected) => all.push(("expect", expected)),
        Method::Jwt(rule) => {
            let values = rule.claims.iter().flat_map(|claim| &claim.values);
            all.extend(values.map(|value| ("jwt", value)));
            let set = rule.published.as_ref().and_then(|set| set.url.as_ref());
            all.extend(set.map(|url| (KEY_FETCH, url)));
        }
        Method::HttpSignature(rule) => all.push(("key", &rule.key)),
        Method::Issued => {}
    }
    all
}

/// Whether everything that can match depends on the body, at least on a part of it.
fn reads_body(scheme: &Scheme) -> bool {
    let mut always = scheme
        .places
        .iter()
        .chain(scheme.require.iter().map(|(_, want)| want));
    if always.any(|template| mentions(template, Source::is_of_body)) {
        return true;
    }
    match &scheme.method {
        Method::Signed(signed) => signed
            .messages
            .iter()
            .all(|message| mentions(message, Source::is_of_body)),
        Method::Jwt(rule) => {
            let mut values = rule.claims.iter().flat_map(|claim| &claim.values);
            values.any(|value| mentions(value, Source::is_of_body))
        }
        Method::Equals(_) | Method::Issued => false,
        Method::HttpSignature(_) => true,
    }
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
        for (scheme, line, key) in [
            (
                "alg = \"equals\"\nbinds = \"none\"\nexpect = \"fixed\"",
                4,
                "x.scheme.expect",
            ),
            (
                "alg = \"equals\"\nbinds = \"none\"\nexpect = \"{header.y}\"",
                4,
                "x.scheme.expect",
            ),
            (
                "alg = \"hmac-sha256\"\nkey = \"fixed\"\nmessage = \"{body}\"",
                3,
                "x.scheme.key",
            ),
            (
                "alg = \"hash-sha256\"\nmessage = \"{body}\"",
                3,
                "x.scheme.message",
            ),
            ("alg = \"hmac-sha256\"\nmessage = \"{url}\"", 1, "x.scheme"),
            (
                "alg = \"hmac-sha256\"\nmessage = [\"{body}\", \"{url}\"]",
                1,
                "x.scheme",
            ),
            ("alg = \"equals\"\nexpect = \"{secret}\"", 1, "x.scheme"),
            ("alg = \"jwt\"\njwt = { algs = [\"HS256\"] }", 1, "x.scheme"),
            (
                "alg = \"rsa-sha256\"\nkey_fetch = { url = \"{header.u}\", host = \"*.com\" }\nmessage = \"{body}\"",
                3,
                "x.scheme.key_fetch.host",
            ),
            (
                "alg = \"rsa-sha256\"\nkey_fetch = { url = \"https://a.b.example/{secret|hex}\", host = \"a.b.example\" }\nmessage = \"{body}\"",
                3,
                "x.scheme.key_fetch",
            ),
            (
                "alg = \"rsa-sha256\"\nkey_fetch = { id = \"{header.k}{secret}\" }\nmessage = \"{body}\"",
                3,
                "x.scheme.key_fetch",
            ),
            (
                "alg = \"rsa-sha256\"\nkey_fetch = { id = \"{header.k|hmac-sha256|hex}\" }\nmessage = \"{body}\"",
                3,
                "x.scheme.key_fetch",
            ),
            (
                "alg = \"jwt\"\nbinds = \"none\"\njwt = { algs = [\"RS256\"] }\nkey_fetch = { kid = true, set = \"https://a.b.example/{param.k|hmac-sha256|hex}\" }",
                5,
                "x.scheme.key_fetch",
            ),
        ] {
            assert_refused(scheme, line, key);
        }
    }

    #[test]
    fn what_has_no_value_in_a_scheme_is_refused_there() {
        for (scheme, line, key) in [
            (
                "alg = \"hmac-sha256\"\nmessage = \"{sig.t}.{body}\"",
                3,
                "x.scheme.message",
            ),
            (
                "alg = \"hmac-sha256\"\nmessage = \"{body}{item./a}\"",
                3,
                "x.scheme.message",
            ),
            (
                "alg = \"hmac-sha256\"\nmessage = \"{body}{let.a}\"",
                3,
                "x.scheme.message",
            ),
            (
                "alg = \"hmac-sha256\"\nmessage = \"{body|hmac-sha256}\"",
                3,
                "x.scheme.message",
            ),
            (
                "alg = \"hmac-sha256\"\nmessage = \"{body}\"\ntimestamp = { from = \"{sig.t}\", format = \"unix\", tolerance = 1 }",
                4,
                "x.scheme.timestamp",
            ),
        ] {
            assert_refused(scheme, line, key);
        }
    }

    #[test]
    fn a_scheme_that_would_cost_too_much_is_refused() {
        let with = |message: &str| format!("alg = \"hmac-sha256\"\nmessage = {message}");
        let eight = with("\"{body|hex|hex|hex}\"");
        let nine = with("\"{body|hex|hex|hex}{body}\"");
        let digested = with("\"{body|hex|hex|hex|sha256|hex|hex|hex|hex}\"");
        let ports = with("\"{body}{body}{body}\"\nurl_ports = true");
        let each = with("\"{body}{item./a}\"\neach = \"/items\"");

        assert!(parse(&eight).is_ok());
        assert!(parse(&digested).is_ok());
        for costly in [nine, ports, each] {
            assert_refused(&costly, 3, "x.scheme.message");
        }
    }

    #[test]
    fn what_says_that_it_leaves_the_body_out_is_taken() {
        for scheme in [
            "alg = \"equals\"\nexpect = \"{secret}\"",
            "alg = \"hmac-sha256\"\nmessage = \"{url}\"",
            "alg = \"jwt\"\njwt = { algs = [\"HS256\"] }",
        ] {
            assert!(
                parse(&format!("{scheme}\nbinds = \"none\"")).is_ok(),
                "{scheme}"
            );
        }
    }

    fn parse(scheme: &str) -> Result<Provider, crate::verify::SchemeErrors> {
        let file = format!("[[x.scheme]]\n{scheme}\nsig = \"{{header.x-signature}}\"\n");
        Provider::parse("x", &file)
    }

    fn assert_refused(scheme: &str, line: usize, key: &str) {
        let errors = parse(scheme).unwrap_err();
        let found: Vec<_> = errors
            .0
            .iter()
            .map(|error| (error.line, error.key.as_str()))
            .collect();
        assert_eq!(found, [(line, key)], "{scheme}: {errors}");
    }
}
