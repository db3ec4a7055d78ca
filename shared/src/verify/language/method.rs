//! Compiles how a scheme signs: algorithm, key, candidates, message, time, claims.

use super::{MAX_TOLERANCE, parsed};
use crate::verify::asymmetric::SignatureAlgorithm;
use crate::verify::candidates::{CandidateRule, KeyValue};
use crate::verify::certificate::CertificateRule;
use crate::verify::digest::Hash;
use crate::verify::encoding::Encoding;
use crate::verify::http_signature::{CONTENT_DIGEST, HttpSignatureRule, Style};
use crate::verify::jwt::{ClaimRule, JwtAlgorithm, JwtRule};
use crate::verify::key_fetch::{HostPin, KeyFetch, KeySet};
use crate::verify::mistakes::{Noted, all};
use crate::verify::nearest::did_you_mean;
use crate::verify::scheme::{Algorithm, KeySource, Method, Signed, TokenClass};
use crate::verify::table::Table;
use crate::verify::template::{Source, Template};
use crate::verify::timestamp::{Format, TimestampRule};

/// The keys of a scheme's table that belong to a method.
pub(super) const METHOD_KEYS: [&str; 17] = [
    "expect",
    "key",
    "key_fetch",
    "jwt",
    "httpsig",
    "message",
    "encoding",
    "group",
    "split",
    "kv",
    "sig_key",
    "first",
    "prefix",
    "prefix_optional",
    "timestamp",
    "reject",
    "url_ports",
];

/// The names of all algorithms, for those who mistype one.
const ALGORITHMS: [&str; 19] = [
    "hmac-sha1",
    "hmac-sha256",
    "hmac-sha384",
    "hmac-sha512",
    "hash-sha1",
    "hash-sha256",
    "hash-sha384",
    "hash-sha512",
    "ed25519",
    "ecdsa-sha1",
    "ecdsa-sha256",
    "rsa-sha1",
    "rsa-sha256",
    "rsa-sha512",
    "jwt",
    "equals",
    "oauth",
    "httpsig-cavage",
    "httpsig-rfc9421",
];

/// How the scheme in `table` signs.
pub(super) fn method(table: &Table<'_>) -> Result<Method, Noted> {
    let name = table
        .required_text("alg")
        .inspect_err(|Noted| table.leave_unread())?;
    match name.as_str() {
        "equals" => Ok(Method::Equals(table.required_template("expect")?)),
        "oauth" => issued(table),
        "jwt" => Ok(Method::Jwt(Box::new(jwt(table)?))),
        "httpsig-cavage" => http_signature(table, Ok(Style::Cavage)),
        "httpsig-rfc9421" => http_signature(table, rfc9421(table)),
        _ => match algorithm(&name) {
            Some(algorithm) => Ok(Method::Signed(Box::new(signed(table, algorithm)?))),
            None => {
                table.leave_unread();
                let near = did_you_mean(&name, ALGORITHMS);
                let problem = format!("`{name}` is no algorithm that this engine has{near}");
                Err(table.problem_at("alg", problem))
            }
        },
    }
}

/// It is taken only by name, and so must have one.
fn issued(table: &Table<'_>) -> Result<Method, Noted> {
    if table.has("id") {
        Ok(Method::Issued)
    } else {
        Err(table.missing("id"))
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    if let Some(hash) = name.strip_prefix("hmac-") {
        return Hash::parse(hash).map(Algorithm::Hmac);
    }
    if let Some(hash) = name.strip_prefix("hash-") {
        return Hash::parse(hash).map(Algorithm::Hash);
    }
    SignatureAlgorithm::parse(name).map(Algorithm::PublicKey)
}

fn signed(table: &Table<'_>, algorithm: Algorithm) -> Result<Signed, Noted> {
    let messages = table
        .templates("message")
        .and_then(|messages| match messages.len() {
            0 => Err(table.missing("message")),
            _ => Ok(messages),
        });
    let key = key(table, algorithm);
    let rule = candidate_rule(table);
    let encodings = encodings(table);
    let timestamp = timestamp(table);
    let reject = reject(table);
    let tries_url_ports = table.flag("url_ports");
    Ok(Signed {
        algorithm,
        key: key?,
        rule: rule?,
        encodings: encodings?,
        messages: messages?,
        timestamp: timestamp?,
        reject: reject?,
        tries_url_ports: tries_url_ports?,
    })
}

fn key(table: &Table<'_>, algorithm: Algorithm) -> Result<KeySource, Noted> {
    let (fetched, own) = (key_fetch(table), table.template("key"));
    match (fetched?, own?) {
        (None, None) => Ok(KeySource::Secret(default_key())),
        (None, Some(template)) => Ok(KeySource::Secret(template)),
        (Some(fetch), None) if matches!(algorithm, Algorithm::PublicKey(_)) => {
            Ok(KeySource::Fetched(fetch))
        }
        (Some(_), _) => Err(table.problem_at(
            "key_fetch",
            "only a public key can be fetched, and not beside `key`",
        )),
    }
}

fn default_key() -> Template {
    Template::parse("{secret}").expect("the default key is a template")
}

fn encodings(table: &Table<'_>) -> Result<Vec<Encoding>, Noted> {
    let names = table.texts("encoding")?;
    if names.is_empty() {
        return Ok(vec![Encoding::Hex]);
    }
    all(names.iter().map(|name| match name.as_str() {
        "hex" => Ok(Encoding::Hex),
        "base64" => Ok(Encoding::Base64),
        "base64url" => Ok(Encoding::Base64Url),
        _ => Err(table.problem_at("encoding", "expected `hex`, `base64` or `base64url`")),
    }))
}

fn candidate_rule(table: &Table<'_>) -> Result<CandidateRule, Noted> {
    let key_value = key_value(table);
    let group = separator(table, "group");
    let split = separator(table, "split");
    let first = table.text("first");
    let prefixes = table.texts("prefix");
    let prefix_is_optional = table.flag("prefix_optional");
    let rule = CandidateRule {
        group: group?,
        split: split?,
        key_value: key_value?,
        first: first?,
        prefixes: prefixes?,
        prefix_is_optional: prefix_is_optional?,
    };
    if rule.prefix_is_optional && rule.prefixes.is_empty() {
        return Err(table.missing("prefix"));
    }
    if rule.key_value.is_some() && !rule.prefixes.is_empty() {
        return Err(table.problem_at("prefix", "items with `kv` have keys, not prefixes"));
    }
    Ok(rule)
}

fn key_value(table: &Table<'_>) -> Result<Option<KeyValue>, Noted> {
    let (separator, signature_keys) = (separator(table, "kv"), table.templates("sig_key"));
    let (separator, signature_keys) = (separator?, signature_keys?);
    match (separator, signature_keys.is_empty()) {
        (Some(separator), false) => Ok(Some(KeyValue {
            separator,
            signature_keys,
        })),
        (None, true) => Ok(None),
        (Some(_), true) => Err(table.missing("sig_key")),
        (None, false) => Err(table.missing("kv")),
    }
}

fn separator(table: &Table<'_>, key: &str) -> Result<Option<String>, Noted> {
    match table.text(key)? {
        Some(text) if text.is_empty() => Err(table.problem_at(key, "expected a separator")),
        other => Ok(other),
    }
}

fn timestamp(table: &Table<'_>) -> Result<Option<TimestampRule>, Noted> {
    let Some(table) = table.table("timestamp")? else {
        return Ok(None);
    };
    let format = table.required_text("format").and_then(|name| {
        Format::parse(&name).ok_or_else(|| {
            table.problem_at(
                "format",
                "expected `unix`, `unix_ms`, `unix_auto`, `rfc3339`, `http-date` or `any`",
            )
        })
    });
    let tolerance = table
        .number("tolerance", MAX_TOLERANCE)
        .and_then(|seconds| seconds.ok_or_else(|| table.missing("tolerance")));
    let from = table.required_template("from");
    let future = table.number("future", MAX_TOLERANCE);
    let is_signed = if table.has("signed") {
        table.flag("signed")
    } else {
        Ok(true)
    };
    table.finish(&["from", "format", "tolerance", "future", "signed"]);
    Ok(Some(TimestampRule {
        from: from?,
        format: format?,
        tolerance: tolerance?,
        future: future?,
        is_signed: is_signed?,
    }))
}

fn reject(table: &Table<'_>) -> Result<Option<(Template, TokenClass)>, Noted> {
    let Some((template, class)) = table.template_and_text("reject")? else {
        return Ok(None);
    };
    Ok(Some((template, token_class(table, "reject", &class)?)))
}

/// A class of texts by its name in the value of `key`.
pub(super) fn token_class(table: &Table<'_>, key: &str, name: &str) -> Result<TokenClass, Noted> {
    parsed(
        table,
        key,
        TokenClass::parse(name)
            .ok_or_else(|| format!("`{name}` is neither `token` nor `hex20_32`")),
    )
}

fn key_fetch(table: &Table<'_>) -> Result<Option<KeyFetch>, Noted> {
    let Some(table) = table.table("key_fetch")? else {
        return Ok(None);
    };
    let fetch = match (table.template("url")?, table.template("id")?) {
        (Some(url), None) => KeyFetch::Url {
            url,
            pin: host_pin(&table)?,
            certificate: certificate(&table)?,
        },
        (None, Some(id)) => KeyFetch::Id(id),
        _ => return Err(table.problem("expected either `url` or `id`")),
    };
    table.finish(&["url", "id", "host", "suffix", "names", "issuers"]);
    Ok(Some(fetch))
}

/// What makes a certificate the provider's, where the key is in one.
fn certificate(table: &Table<'_>) -> Result<Option<CertificateRule>, Noted> {
    let (names, issuers) = (table.texts("names"), table.texts("issuers"));
    let (names, issuers) = (names?, issuers?);
    if names.is_empty() && !issuers.is_empty() {
        return Err(table.missing("names"));
    }
    check_narrow(table, "names", &names)?;
    check_narrow(table, "issuers", &issuers)?;
    let has_names = !names.is_empty();
    Ok(has_names.then_some(CertificateRule { names, issuers }))
}

fn key_set(table: &Table<'_>) -> Result<Option<KeySet>, Noted> {
    let Some(table) = table.table("key_fetch")? else {
        return Ok(None);
    };
    if !table.flag("kid")? {
        return Err(table.problem("expected `kid = true`, by which a token names its key"));
    }
    let url = table.template("set")?;
    let is_moved = |url: &Template| {
        let mut expressions = url.expressions().into_iter();
        expressions.any(|expression| !matches!(expression.source, Source::Parameter(_)))
    };
    if url.as_ref().is_some_and(is_moved) {
        return Err(table.problem_at(
            "set",
            "expected text and parameters only: a sender must not say where keys come from",
        ));
    }
    table.finish(&["kid", "set"]);
    Ok(Some(KeySet { url }))
}

/// The hosts, and the end of the path, of a provider's own URLs.
pub(super) fn host_pin(table: &Table<'_>) -> Result<HostPin, Noted> {
    let (hosts, path_suffix) = (table.texts("host"), table.text("suffix"));
    let hosts = hosts?;
    if hosts.is_empty() {
        return Err(table.missing("host"));
    }
    check_narrow(table, "host", &hosts)?;
    Ok(HostPin {
        hosts,
        path_suffix: path_suffix?,
    })
}

fn check_narrow(table: &Table<'_>, key: &str, patterns: &[String]) -> Result<(), Noted> {
    let Some(wide) = patterns.iter().find(|pattern| !is_narrow(pattern)) else {
        return Ok(());
    };
    let problem = format!("`{wide}` would trust strangers: name the last two labels at least");
    Err(table.problem_at(key, problem))
}

/// Whether a pattern of hosts names at least a registered domain.
fn is_narrow(pattern: &str) -> bool {
    let mut labels = pattern.rsplit('.');
    let is_named =
        |label: Option<&str>| label.is_some_and(|label| !label.is_empty() && !label.contains('*'));
    is_named(labels.next()) && is_named(labels.next())
}

fn jwt(scheme_table: &Table<'_>) -> Result<JwtRule, Noted> {
    let published = key_set(scheme_table);
    let table = scheme_table
        .table("jwt")?
        .ok_or_else(|| scheme_table.missing("jwt"))?;
    let algorithms = jwt_algorithms(&table);
    let is_expiry_required = is_required(&table, "exp");
    let is_start_required = is_required(&table, "nbf");
    let max_age = table.number("max_age", MAX_TOLERANCE);
    let leeway = table.number("leeway", MAX_TOLERANCE);
    let claims = claims(&table);
    table.finish(&["algs", "exp", "nbf", "max_age", "leeway", "claims"]);
    let rule = JwtRule {
        algorithms: algorithms?,
        is_expiry_required: is_expiry_required?,
        is_start_required: is_start_required?,
        max_age: max_age?,
        leeway: leeway?.unwrap_or(0),
        claims: claims?,
        published: published?,
    };
    let mut algorithms = rule.algorithms.iter();
    let has_hmac = algorithms.any(|algorithm| matches!(algorithm, JwtAlgorithm::Hmac(_)));
    if rule.published.is_some() && has_hmac {
        return Err(table.problem_at("algs", "a fetched key is public: no HMAC may use it"));
    }
    Ok(rule)
}

fn jwt_algorithms(table: &Table<'_>) -> Result<Vec<JwtAlgorithm>, Noted> {
    let names = table.texts("algs")?;
    let algorithms: Option<Vec<_>> = names.iter().map(|name| JwtAlgorithm::parse(name)).collect();
    algorithms.filter(|list| !list.is_empty()).ok_or_else(|| {
        table.problem_at(
            "algs",
            "expected some of HS256, HS384, HS512, RS256, ES256 and EdDSA",
        )
    })
}

fn http_signature(table: &Table<'_>, style: Result<Style, Noted>) -> Result<Method, Noted> {
    let key = table.required_template("key");
    Ok(Method::HttpSignature(Box::new(HttpSignatureRule {
        style: style?,
        key: key?,
    })))
}

fn rfc9421(scheme_table: &Table<'_>) -> Result<Style, Noted> {
    let table = scheme_table
        .table("httpsig")?
        .ok_or_else(|| scheme_table.missing("httpsig"))?;
    let require = table.texts("require").and_then(|require| {
        let has_digest = require.iter().any(|name| name == CONTENT_DIGEST);
        let wrong =
            || table.problem_at("require", format!("expected `{CONTENT_DIGEST}` among them"));
        if has_digest {
            Ok(require)
        } else {
            Err(wrong())
        }
    });
    let tolerance = table
        .number("tolerance", MAX_TOLERANCE)
        .and_then(|seconds| seconds.ok_or_else(|| table.missing("tolerance")));
    table.finish(&["require", "tolerance"]);
    Ok(Style::Rfc9421 {
        require: require?,
        tolerance: tolerance?,
    })
}

fn is_required(table: &Table<'_>, key: &str) -> Result<bool, Noted> {
    match table.text(key)?.as_deref() {
        None => Ok(false),
        Some("required") => Ok(true),
        Some(_) => Err(table.problem_at(key, "expected `required`")),
    }
}

fn claims(table: &Table<'_>) -> Result<Vec<ClaimRule>, Noted> {
    let Some(table) = table.table("claims")? else {
        return Ok(Vec::new());
    };
    let claim = |name: String| {
        let values = table.templates(&name)?;
        Ok(ClaimRule { name, values })
    };
    all(table.keys()?.into_iter().map(claim))
}
