//! Compiles how a scheme signs: algorithm, key, candidates, message, time, claims.

use super::{MAX_TOLERANCE, parsed};
use crate::verify::SchemeError;
use crate::verify::asymmetric::SignatureAlgorithm;
use crate::verify::candidates::{CandidateRule, KeyValue};
use crate::verify::certificate::CertificateRule;
use crate::verify::digest::Hash;
use crate::verify::encoding::Encoding;
use crate::verify::http_signature::{CONTENT_DIGEST, HttpSignatureRule, Style};
use crate::verify::jwt::{ClaimRule, JwtAlgorithm, JwtRule};
use crate::verify::key_fetch::{HostPin, KeyFetch, KeySet};
use crate::verify::scheme::{Algorithm, KeySource, Method, Signed, TokenClass};
use crate::verify::table::Table;
use crate::verify::template::{Source, Template};
use crate::verify::timestamp::{Format, TimestampRule};

/// How the scheme in `table` signs.
pub(super) fn method(table: &Table<'_>) -> Result<Method, SchemeError> {
    let name = table.required_text("alg")?;
    match name.as_str() {
        "equals" => Ok(Method::Equals(table.required_template("expect")?)),
        "oauth" => issued(table),
        "jwt" => Ok(Method::Jwt(Box::new(jwt(table)?))),
        "httpsig-cavage" => http_signature(table, Style::Cavage),
        "httpsig-rfc9421" => http_signature(table, rfc9421(table)?),
        _ => {
            let algorithm = algorithm(&name).ok_or_else(|| {
                table.problem_at(
                    "alg",
                    format!("`{name}` is no algorithm that this engine has"),
                )
            })?;
            Ok(Method::Signed(Box::new(signed(table, algorithm)?)))
        }
    }
}

/// It is taken only by name, and so must have one.
fn issued(table: &Table<'_>) -> Result<Method, SchemeError> {
    match table.text("id")? {
        Some(_) => Ok(Method::Issued),
        None => Err(table.missing("id")),
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

fn signed(table: &Table<'_>, algorithm: Algorithm) -> Result<Signed, SchemeError> {
    let messages = table.templates("message")?;
    if messages.is_empty() {
        return Err(table.missing("message"));
    }
    let key = match (key_fetch(table)?, table.template("key")?) {
        (None, None) => KeySource::Secret(default_key()),
        (None, Some(template)) => KeySource::Secret(template),
        (Some(fetch), None) if matches!(algorithm, Algorithm::PublicKey(_)) => {
            KeySource::Fetched(fetch)
        }
        (Some(_), _) => {
            return Err(table.problem_at(
                "key_fetch",
                "only a public key can be fetched, and not beside `key`",
            ));
        }
    };
    Ok(Signed {
        algorithm,
        key,
        rule: candidate_rule(table)?,
        encodings: encodings(table)?,
        messages,
        timestamp: timestamp(table)?,
        reject: reject(table)?,
        tries_url_ports: table.flag("url_ports")?,
    })
}

fn default_key() -> Template {
    Template::parse("{secret}").expect("the default key is a template")
}

fn encodings(table: &Table<'_>) -> Result<Vec<Encoding>, SchemeError> {
    let names = table.texts("encoding")?;
    if names.is_empty() {
        return Ok(vec![Encoding::Hex]);
    }
    names
        .iter()
        .map(|name| match name.as_str() {
            "hex" => Ok(Encoding::Hex),
            "base64" => Ok(Encoding::Base64),
            "base64url" => Ok(Encoding::Base64Url),
            _ => Err(table.problem_at("encoding", "expected `hex`, `base64` or `base64url`")),
        })
        .collect()
}

fn candidate_rule(table: &Table<'_>) -> Result<CandidateRule, SchemeError> {
    let signature_keys = table.templates("sig_key")?;
    let key_value = match (separator(table, "kv")?, signature_keys.is_empty()) {
        (Some(separator), false) => Some(KeyValue {
            separator,
            signature_keys,
        }),
        (None, true) => None,
        (Some(_), true) => return Err(table.missing("sig_key")),
        (None, false) => return Err(table.missing("kv")),
    };
    Ok(CandidateRule {
        group: separator(table, "group")?,
        split: separator(table, "split")?,
        key_value,
        first: table.text("first")?,
        prefixes: table.texts("prefix")?,
        prefix_is_optional: table.flag("prefix_optional")?,
    })
}

fn separator(table: &Table<'_>, key: &str) -> Result<Option<String>, SchemeError> {
    match table.text(key)? {
        Some(text) if text.is_empty() => Err(table.problem_at(key, "expected a separator")),
        other => Ok(other),
    }
}

fn timestamp(table: &Table<'_>) -> Result<Option<TimestampRule>, SchemeError> {
    let Some(table) = table.table("timestamp")? else {
        return Ok(None);
    };
    let format = Format::parse(&table.required_text("format")?).ok_or_else(|| {
        table.problem_at(
            "format",
            "expected `unix`, `unix_ms`, `unix_auto`, `rfc3339`, `http-date` or `any`",
        )
    })?;
    let tolerance = table.number("tolerance", MAX_TOLERANCE)?;
    let rule = TimestampRule {
        from: table.required_template("from")?,
        format,
        tolerance: tolerance.ok_or_else(|| table.missing("tolerance"))?,
        future: table.number("future", MAX_TOLERANCE)?,
    };
    // `signed = false` tells readers of the file that the time is not part of the message.
    let _for_readers = table.flag("signed")?;
    table.finish()?;
    Ok(Some(rule))
}

fn reject(table: &Table<'_>) -> Result<Option<(Template, TokenClass)>, SchemeError> {
    let Some((template, class)) = table.pair("reject")? else {
        return Ok(None);
    };
    let template = parsed(table, "reject", Template::parse(&template))?;
    Ok(Some((template, token_class(table, "reject", &class)?)))
}

/// A class of texts by its name in the value of `key`.
pub(super) fn token_class(
    table: &Table<'_>,
    key: &str,
    name: &str,
) -> Result<TokenClass, SchemeError> {
    TokenClass::parse(name)
        .ok_or_else(|| table.problem_at(key, format!("`{name}` is neither `token` nor `hex20_32`")))
}

fn key_fetch(table: &Table<'_>) -> Result<Option<KeyFetch>, SchemeError> {
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
    table.finish()?;
    Ok(Some(fetch))
}

/// What makes a certificate the provider's, where the key is in one.
fn certificate(table: &Table<'_>) -> Result<Option<CertificateRule>, SchemeError> {
    let (names, issuers) = (table.texts("names")?, table.texts("issuers")?);
    if names.is_empty() && !issuers.is_empty() {
        return Err(table.missing("names"));
    }
    let has_names = !names.is_empty();
    Ok(has_names.then_some(CertificateRule { names, issuers }))
}

fn key_set(table: &Table<'_>) -> Result<Option<KeySet>, SchemeError> {
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
    table.finish()?;
    Ok(Some(KeySet { url }))
}

/// The hosts, and the end of the path, of a provider's own URLs.
pub(super) fn host_pin(table: &Table<'_>) -> Result<HostPin, SchemeError> {
    let hosts = table.texts("host")?;
    if hosts.is_empty() {
        return Err(table.missing("host"));
    }
    Ok(HostPin {
        hosts,
        path_suffix: table.text("suffix")?,
    })
}

fn jwt(scheme_table: &Table<'_>) -> Result<JwtRule, SchemeError> {
    let published = key_set(scheme_table)?;
    let table = scheme_table
        .table("jwt")?
        .ok_or_else(|| scheme_table.missing("jwt"))?;
    let names = table.texts("algs")?;
    let algorithms: Option<Vec<_>> = names.iter().map(|name| JwtAlgorithm::parse(name)).collect();
    let algorithms = algorithms.filter(|list| !list.is_empty()).ok_or_else(|| {
        table.problem_at(
            "algs",
            "expected some of HS256, HS384, HS512, RS256, ES256 and EdDSA",
        )
    })?;
    let has_hmac = algorithms
        .iter()
        .any(|algorithm| matches!(algorithm, JwtAlgorithm::Hmac(_)));
    if published.is_some() && has_hmac {
        return Err(table.problem_at("algs", "a fetched key is public: no HMAC may use it"));
    }
    let rule = JwtRule {
        algorithms,
        is_expiry_required: is_required(&table, "exp")?,
        is_start_required: is_required(&table, "nbf")?,
        max_age: table.number("max_age", MAX_TOLERANCE)?,
        leeway: table.number("leeway", MAX_TOLERANCE)?.unwrap_or(0),
        claims: claims(&table)?,
        published,
    };
    table.finish()?;
    Ok(rule)
}

fn http_signature(table: &Table<'_>, style: Style) -> Result<Method, SchemeError> {
    let key = table.required_template("key")?;
    Ok(Method::HttpSignature(Box::new(HttpSignatureRule {
        style,
        key,
    })))
}

fn rfc9421(scheme_table: &Table<'_>) -> Result<Style, SchemeError> {
    let table = scheme_table
        .table("httpsig")?
        .ok_or_else(|| scheme_table.missing("httpsig"))?;
    let require = table.texts("require")?;
    if !require.iter().any(|name| name == CONTENT_DIGEST) {
        return Err(table.problem_at("require", format!("expected `{CONTENT_DIGEST}` among them")));
    }
    let tolerance = table.number("tolerance", MAX_TOLERANCE)?;
    let style = Style::Rfc9421 {
        require,
        tolerance: tolerance.ok_or_else(|| table.missing("tolerance"))?,
    };
    table.finish()?;
    Ok(style)
}

fn is_required(table: &Table<'_>, key: &str) -> Result<bool, SchemeError> {
    match table.text(key)?.as_deref() {
        None => Ok(false),
        Some("required") => Ok(true),
        Some(_) => Err(table.problem_at(key, "expected `required`")),
    }
}

fn claims(table: &Table<'_>) -> Result<Vec<ClaimRule>, SchemeError> {
    let Some(table) = table.table("claims")? else {
        return Ok(Vec::new());
    };
    let claim = |name: String| {
        let values = table.templates(&name)?;
        Ok(ClaimRule { name, values })
    };
    table.keys().into_iter().map(claim).collect()
}
