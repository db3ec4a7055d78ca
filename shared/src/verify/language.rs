//! Compiles a scheme file (schemes.md §3) into a provider. Whatever the language does not know is refused.

use toml::de::DeTable;

use super::asymmetric::SignatureAlgorithm;
use super::candidates::{CandidateRule, KeyValue};
use super::condition::Condition;
use super::digest::Hash;
use super::encoding::Encoding;
use super::handshake::Handshake;
use super::http_signature::{CONTENT_DIGEST, HttpSignatureRule, Style};
use super::json::Pointer;
use super::jwt::{ClaimRule, JwtAlgorithm, JwtRule};
use super::key_fetch::{HostPin, KeyFetch};
use super::scheme::{Algorithm, KeySource, Method, Scheme, Signed, TokenClass};
use super::table::{Table, place};
use super::template::Template;
use super::timestamp::{Format, TimestampRule};
use super::{Provider, SchemeError, registry};

/// The largest tolerance for a timestamp: a week.
const MAX_TOLERANCE: u32 = 7 * 24 * 3600;

/// Compiles the file of one provider.
pub(super) fn provider(slug: &str, source: &str) -> Result<Provider, SchemeError> {
    with_root(slug, source, |table| {
        let mut provider = Provider {
            slug: slug.to_owned(),
            name: table.text("name")?.unwrap_or_else(|| slug.to_owned()),
            delivery_id: table.templates("delivery_id")?,
            event_type: table.templates("event_type")?,
            schemes: schemes(&table)?,
            handshakes: handshakes(&table)?,
        };
        let _for_readers = (table.text("evidence")?, table.text("docs")?);
        if let Some(base) = table.text("extends")? {
            inherit(&mut provider, &table, &base)?;
        }
        if provider.schemes.is_empty() {
            return Err(table.missing("scheme"));
        }
        table.finish()?;
        Ok(provider)
    })
}

fn with_root<T>(
    slug: &str,
    source: &str,
    read: impl FnOnce(Table<'_>) -> Result<T, SchemeError>,
) -> Result<T, SchemeError> {
    let document = DeTable::parse(source).map_err(|error| SchemeError {
        place: place(source, error.span().map_or(0, |span| span.start), slug),
        problem: error.message().to_owned(),
    })?;
    let mut others = document
        .get_ref()
        .keys()
        .filter(|key| key.get_ref() != slug);
    if let Some(other) = others.next() {
        return Err(SchemeError {
            place: place(source, other.span().start, other.get_ref()),
            problem: format!("expected only the table `{slug}`"),
        });
    }
    let mut entries = document.get_ref().iter();
    let (start, entries) = entries
        .next()
        .and_then(|(key, value)| Some((key.span().start, value.get_ref().as_table()?)))
        .ok_or_else(|| SchemeError {
            place: place(source, 0, slug),
            problem: format!("expected the table `{slug}`"),
        })?;
    read(Table::new(source, slug.to_owned(), start, entries))
}

/// Takes over what another built-in provider defines and this one does not.
fn inherit(provider: &mut Provider, table: &Table<'_>, base: &str) -> Result<(), SchemeError> {
    if !provider.schemes.is_empty() {
        return Err(table.problem_at(
            "extends",
            "a provider extends another or has its own schemes",
        ));
    }
    let unknown = || table.problem_at("extends", format!("no built-in provider named `{base}`"));
    let source = registry::file(base).ok_or_else(unknown)?;
    let (schemes, handshakes, delivery_id, event_type) = with_root(base, source, |base_table| {
        Ok((
            schemes(&base_table)?,
            handshakes(&base_table)?,
            base_table.templates("delivery_id")?,
            base_table.templates("event_type")?,
        ))
    })?;
    if schemes.is_empty() {
        return Err(table.problem_at("extends", format!("`{base}` itself extends another")));
    }
    provider.schemes = schemes;
    if provider.handshakes.is_empty() {
        provider.handshakes = handshakes;
    }
    if provider.delivery_id.is_empty() {
        provider.delivery_id = delivery_id;
    }
    if provider.event_type.is_empty() {
        provider.event_type = event_type;
    }
    Ok(())
}

fn schemes(table: &Table<'_>) -> Result<Vec<Scheme>, SchemeError> {
    table.tables("scheme")?.into_iter().map(scheme).collect()
}

fn scheme(table: Table<'_>) -> Result<Scheme, SchemeError> {
    let places = table.templates("sig")?;
    if places.is_empty() {
        return Err(table.missing("sig"));
    }
    let each = table.text("each")?;
    let each = each.map(|text| parsed(&table, "each", Pointer::parse(&text)));
    let scheme = Scheme {
        id: table.text("id")?,
        when: conditions(&table)?,
        secret_prefix: table.text("secret_prefix")?,
        not_secret_prefix: table.text("not_secret_prefix")?,
        places,
        covers_body: covers_body(&table)?,
        each: each.transpose()?,
        require: table.template_pairs("require")?,
        method: method(&table)?,
    };
    table.finish()?;
    Ok(scheme)
}

fn covers_body(table: &Table<'_>) -> Result<bool, SchemeError> {
    match table.text("binds")?.as_deref() {
        None => Ok(true),
        Some("none" | "partial") => Ok(false),
        Some(_) => Err(table.problem_at("binds", "expected `none` or `partial`")),
    }
}

fn conditions(table: &Table<'_>) -> Result<Vec<Condition>, SchemeError> {
    let texts = table.texts("when")?;
    texts
        .iter()
        .map(|text| parsed(table, "when", Condition::parse(text)))
        .collect()
}

fn parsed<T>(table: &Table<'_>, key: &str, result: Result<T, String>) -> Result<T, SchemeError> {
    result.map_err(|problem| table.problem_at(key, problem))
}

fn method(table: &Table<'_>) -> Result<Method, SchemeError> {
    let name = table.required_text("alg")?;
    match name.as_str() {
        "equals" => Ok(Method::Equals(table.required_template("expect")?)),
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

fn token_class(table: &Table<'_>, key: &str, name: &str) -> Result<TokenClass, SchemeError> {
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
        },
        (None, Some(id)) => KeyFetch::Id(id),
        _ => return Err(table.problem("expected either `url` or `id`")),
    };
    table.finish()?;
    Ok(Some(fetch))
}

fn uses_published_key(table: &Table<'_>) -> Result<bool, SchemeError> {
    let Some(table) = table.table("key_fetch")? else {
        return Ok(false);
    };
    if !table.flag("kid")? {
        return Err(table.problem("expected `kid = true`, by which a token names its key"));
    }
    table.finish()?;
    Ok(true)
}

fn host_pin(table: &Table<'_>) -> Result<HostPin, SchemeError> {
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
    let uses_published_key = uses_published_key(scheme_table)?;
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
    if uses_published_key && has_hmac {
        return Err(table.problem_at("algs", "a fetched key is public: no HMAC may use it"));
    }
    let rule = JwtRule {
        algorithms,
        is_expiry_required: is_required(&table, "exp")?,
        is_start_required: is_required(&table, "nbf")?,
        max_age: table.number("max_age", MAX_TOLERANCE)?,
        leeway: table.number("leeway", MAX_TOLERANCE)?.unwrap_or(0),
        claims: claims(&table)?,
        uses_published_key,
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

fn handshakes(table: &Table<'_>) -> Result<Vec<Handshake>, SchemeError> {
    table
        .tables("handshake")?
        .into_iter()
        .map(handshake)
        .collect()
}

fn handshake(table: Table<'_>) -> Result<Handshake, SchemeError> {
    let when = conditions(&table)?;
    if when.is_empty() {
        return Err(table.missing("when"));
    }
    let status = table
        .number("status", 599)?
        .ok_or_else(|| table.missing("status"))?;
    let handshake = Handshake {
        when,
        must_verify: table.flag("verify")?,
        require: table.template_pairs("require")?,
        require_in: require_in(&table)?,
        guard: guard(&table)?,
        fail_status: status_code(
            &table,
            "fail_status",
            table.number("fail_status", 599)?.unwrap_or(403),
        )?,
        status: status_code(&table, "status", status)?,
        headers: named_templates(&table, "headers")?,
        body: table.required_template("body")?,
        lets: named_templates(&table, "let")?,
        capture_secret: table.template("capture_secret")?,
        confirm: confirm(&table)?,
    };
    table.finish()?;
    Ok(handshake)
}

fn status_code(table: &Table<'_>, key: &str, number: u32) -> Result<u16, SchemeError> {
    let code = u16::try_from(number)
        .ok()
        .filter(|code| (200..=599).contains(code));
    code.ok_or_else(|| table.problem_at(key, "expected a status from 200 to 599"))
}

fn require_in(table: &Table<'_>) -> Result<Option<(Template, Template)>, SchemeError> {
    let Some((have, list)) = table.pair("require_in")? else {
        return Ok(None);
    };
    Ok(Some((
        parsed(table, "require_in", Template::parse(&have))?,
        parsed(table, "require_in", Template::parse(&list))?,
    )))
}

fn guard(table: &Table<'_>) -> Result<Option<(Template, TokenClass)>, SchemeError> {
    let class = table.text("guard_class")?;
    let Some(template) = table.template("guard")? else {
        return match class {
            None => Ok(None),
            Some(_) => Err(table.missing("guard")),
        };
    };
    let class = token_class(table, "guard_class", class.as_deref().unwrap_or("token"))?;
    Ok(Some((template, class)))
}

fn named_templates(table: &Table<'_>, key: &str) -> Result<Vec<(String, Template)>, SchemeError> {
    let Some(inner) = table.table(key)? else {
        return Ok(Vec::new());
    };
    let named = |name: String| {
        let template = inner.required_template(&name)?;
        Ok((name, template))
    };
    inner.keys().into_iter().map(named).collect()
}

fn confirm(table: &Table<'_>) -> Result<Option<(Template, HostPin)>, SchemeError> {
    let Some(action) = table.table("action")? else {
        return Ok(None);
    };
    let confirm = (action.required_template("get")?, host_pin(&action)?);
    action.finish()?;
    Ok(Some(confirm))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"[x]
name = "X"
[[x.scheme]]
alg = "hmac-sha256"
sig = "{header.x-signature}"
message = "{body}"
"#;

    #[test]
    fn a_mistake_is_named_with_its_line_and_key() {
        for (from, to, place, problem) in [
            (
                "name = \"X\"",
                "nome = \"X\"",
                "line 2, `x.nome`",
                "unknown key",
            ),
            (
                "hmac-sha256",
                "hmac-md5",
                "line 4, `x.scheme.alg`",
                "`hmac-md5`",
            ),
            ("{body}", "{bodi}", "line 6, `x.scheme.message`", "`bodi`"),
            (
                "message = \"{body}\"",
                "",
                "line 3, `x.scheme`",
                "`message` is missing",
            ),
            ("\"X\"", "1", "line 2, `x.name`", "expected a text"),
            ("\"X\"", "\"X", "line 2, `x`", ""),
            ("[x]", "[y]", "line 1, `y`", "only the table `x`"),
            (
                "message =",
                "kv = \"=\"\nmessage =",
                "line 3, `x.scheme`",
                "`sig_key` is missing",
            ),
            (
                "message =",
                "timestamp = { from = \"1\", format = \"unix\", tolerance = -1 }\nmessage =",
                "line 6, `x.scheme.timestamp.tolerance`",
                "whole number",
            ),
            (
                "message =",
                "expect = \"{secret}\"\nmessage =",
                "line 6, `x.scheme.expect`",
                "unknown key",
            ),
        ] {
            let error = provider("x", &GOOD.replace(from, to)).unwrap_err();

            assert_eq!(error.place, place, "{error}");
            assert!(error.problem.contains(problem), "{error}");
        }
        assert!(provider("x", GOOD).is_ok());
    }

    #[test]
    fn a_user_can_extend_a_built_in_provider_but_nothing_else() {
        let extended = |base: &str| provider("mine", &format!("[mine]\nextends = \"{base}\"\n"));

        assert_eq!(extended("github").unwrap().schemes.len(), 2);
        assert!(extended("nobody").unwrap_err().problem.contains("`nobody`"));
    }

    #[test]
    fn a_fetched_key_is_never_an_hmac_key() {
        let text = "[x]\n[[x.scheme]]\nalg = \"jwt\"\nsig = \"{header.a}\"\nkey_fetch = { kid = true }\n\
                    jwt = { algs = [\"HS256\"] }\n";

        assert!(provider("x", text).unwrap_err().problem.contains("no HMAC"));
    }
}
