//! Compiles a scheme file (schemes/LANGUAGE.md) into a provider. Whatever the language does not know is refused.

mod challenges;
mod method;
mod soundness;

use toml::de::DeTable;

use super::condition::Condition;
use super::json::Pointer;
use super::scheme::Scheme;
use super::table::{Table, place};
use super::{Provider, SchemeError, registry};
use challenges::handshakes;
use method::method;

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
            sends_once: table.flag("sends_once")?,
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
    soundness::check(&scheme, &table)?;
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
