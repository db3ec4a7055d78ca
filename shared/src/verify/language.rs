//! Compiles a scheme file (schemes/LANGUAGE.md) into a provider. Whatever the language does not know is refused, and
//! all that is wrong is told at once.

mod challenges;
mod doubts;
mod method;
mod oracle;
mod soundness;

use toml::de::DeTable;

use super::condition::Condition;
use super::json::Pointer;
use super::mistakes::{Mistakes, Noted, SchemeErrors, SchemeFindings, all};
use super::scheme::Scheme;
use super::table::Table;
use super::{Provider, registry};
use challenges::handshakes;
use method::{METHOD_KEYS, method};

/// The largest tolerance for a timestamp: a week.
const MAX_TOLERANCE: u32 = 7 * 24 * 3600;

/// The longest scheme file; the longest of a known provider has 2 KiB.
pub(super) const MAX_FILE_BYTES: usize = 64 * 1024;

/// The keys of a provider's table.
const PROVIDER_KEYS: [&str; 11] = [
    "name",
    "evidence",
    "docs",
    "extends",
    "delivery_id",
    "event_type",
    "sends_once",
    "needs",
    "equal_bodies",
    "scheme",
    "handshake",
];

/// The keys of a scheme's table that every method has.
const SCHEME_KEYS: [&str; 10] = [
    "id",
    "when",
    "secret_prefix",
    "not_secret_prefix",
    "sig",
    "binds",
    "each",
    "require",
    "needs",
    "alg",
];

/// Compiles the file of one provider.
pub(super) fn provider(slug: &str, source: &str) -> Result<Provider, SchemeErrors> {
    let (provider, findings) = lint(slug, source);
    provider.ok_or(findings.errors)
}

/// Compiles the file of one provider, and tells of mistakes and doubts. There is a provider when there is no mistake.
pub(super) fn lint(slug: &str, source: &str) -> (Option<Provider>, SchemeFindings) {
    let mistakes = Mistakes::default();
    let provider = with_root(slug, source, &mistakes, |table| {
        let name = table.text("name");
        let evidence = evidence(&table);
        let docs = table.text("docs");
        let delivery_id = table.templates("delivery_id");
        let event_type = table.templates("event_type");
        let sends_once = table.flag("sends_once");
        let needs = table.texts("needs");
        let equal_bodies = table.flag("equal_bodies");
        let schemes = schemes(&table);
        let handshakes = handshakes(&table);
        let base = table.text("extends");
        table.finish(&PROVIDER_KEYS);
        let mut provider = Provider {
            slug: slug.to_owned(),
            name: name?.unwrap_or_else(|| slug.to_owned()),
            evidence: evidence?,
            docs: docs?,
            base: base?,
            delivery_id: delivery_id?,
            event_type: event_type?,
            sends_once: sends_once?,
            needs: needs?,
            equal_bodies: equal_bodies?,
            schemes: schemes?,
            handshakes: handshakes?,
        };
        if let Some(base) = provider.base.clone() {
            inherit(&mut provider, &table, &base)?;
        } else if provider.schemes.is_empty() {
            return Err(table.missing("scheme"));
        }
        soundness::check_needs(&provider.needs, &provider.schemes, &table);
        oracle::check(&provider, &table)?;
        doubts::about_provider(&provider, &table);
        if provider.evidence.as_deref() == Some("C") {
            table.warn_at(
                "evidence",
                "written from memory: confirm it with the provider before relying on it",
            );
        }
        Ok(provider)
    });
    let findings = mistakes.into_findings();
    let provider = provider.ok().filter(|_| findings.errors.0.is_empty());
    (provider, findings)
}

/// The name of the file's first table.
pub(super) fn slug_in(source: &str) -> Option<String> {
    if source.len() > MAX_FILE_BYTES {
        return None;
    }
    let (document, _mistakes) = DeTable::parse_recoverable(source);
    let keys = document.get_ref().keys();
    let first = keys.min_by_key(|key| key.span().start)?;
    Some(first.get_ref().to_string())
}

fn with_root<T>(
    slug: &str,
    source: &str,
    mistakes: &Mistakes,
    read: impl FnOnce(Table<'_>) -> Result<T, Noted>,
) -> Result<T, Noted> {
    if source.len() > MAX_FILE_BYTES {
        let problem = format!("the file has more than {MAX_FILE_BYTES} bytes");
        return Err(mistakes.note(source, 0, slug, problem));
    }
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let key = key_of_line(source, offset).unwrap_or(slug);
            mistakes.note_at(source, offset, key, error.message().to_owned());
        }
        return Err(Noted);
    }
    let entries = document.get_ref();
    for other in entries.keys().filter(|key| key.get_ref() != slug) {
        let problem = format!("expected only the table `{slug}`");
        mistakes.note(source, other.span().start, other.get_ref(), problem);
    }
    let own = entries.iter().find(|(key, _)| key.get_ref() == slug);
    let Some((key, value)) = own else {
        return Err(mistakes.note(source, 0, slug, format!("expected the table `{slug}`")));
    };
    let start = key.span().start;
    let Some(entries) = value.get_ref().as_table() else {
        return Err(mistakes.note(source, start, slug, "expected a table".to_owned()));
    };
    read(Table::new(
        source,
        slug.to_owned(),
        start,
        entries,
        mistakes,
    ))
}

/// What stands before the `=` of a line that is no TOML.
fn key_of_line(source: &str, offset: usize) -> Option<&str> {
    let start = source.get(..offset)?.rfind('\n').map_or(0, |end| end + 1);
    let line = source.get(start..)?.lines().next()?;
    let key = line.split_once('=')?.0.trim();
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.\"".contains(&byte);
    (!key.is_empty() && key.bytes().all(is_key)).then_some(key)
}

/// Takes over what another built-in provider defines and this one does not.
fn inherit(provider: &mut Provider, table: &Table<'_>, base: &str) -> Result<(), Noted> {
    if !provider.schemes.is_empty() {
        return Err(table.problem_at(
            "extends",
            "a provider extends another or has its own schemes",
        ));
    }
    let Some(found) = registry::file(base) else {
        let near = super::nearest::did_you_mean(base, registry::slugs());
        let problem = format!("no built-in provider is named `{base}`{near}");
        return Err(table.problem_at("extends", problem));
    };
    let mistakes = Mistakes::default();
    let inherited = with_root(base, found, &mistakes, |base_table| {
        Ok((
            schemes(&base_table)?,
            handshakes(&base_table)?,
            base_table.templates("delivery_id")?,
            base_table.templates("event_type")?,
            base_table.texts("needs")?,
            base_table.flag("equal_bodies")?,
        ))
    });
    let (schemes, handshakes, delivery_id, event_type, needs, equal_bodies) = inherited
        .map_err(|Noted| table.problem_at("extends", format!("`{base}` cannot be used")))?;
    if schemes.is_empty() {
        return Err(table.problem_at("extends", format!("`{base}` itself extends another")));
    }
    provider.schemes = schemes;
    provider.needs.extend(needs);
    provider.equal_bodies |= equal_bodies;
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

fn evidence(table: &Table<'_>) -> Result<Option<String>, Noted> {
    match table.text("evidence")? {
        Some(class) if !matches!(class.as_str(), "A" | "B" | "C") => {
            Err(table.problem_at("evidence", "expected `A`, `B` or `C`"))
        }
        class => Ok(class),
    }
}

fn schemes(table: &Table<'_>) -> Result<Vec<Scheme>, Noted> {
    all(table.tables("scheme")?.iter().map(scheme))
}

fn scheme(table: &Table<'_>) -> Result<Scheme, Noted> {
    let places = table
        .templates("sig")
        .and_then(|places| match places.len() {
            0 => Err(table.missing("sig")),
            _ => Ok(places),
        });
    let each = table.text("each").and_then(|each| {
        let pointer = each.map(|text| parsed(table, "each", Pointer::parse(&text)));
        pointer.transpose()
    });
    let id = table.text("id");
    let when = conditions(table);
    let secret_prefix = table.text("secret_prefix");
    let not_secret_prefix = table.text("not_secret_prefix");
    let covers_body = covers_body(table);
    let require = table.template_pairs("require");
    let needs = table.texts("needs");
    let method = method(table);
    table.finish(&[&SCHEME_KEYS[..], &METHOD_KEYS].concat());
    let scheme = Scheme {
        id: id?,
        when: when?,
        secret_prefix: secret_prefix?,
        not_secret_prefix: not_secret_prefix?,
        places: places?,
        covers_body: covers_body?,
        each: each?,
        require: require?,
        needs: needs?,
        method: method?,
    };
    soundness::check(&scheme, table);
    soundness::check_needs(&scheme.needs, std::slice::from_ref(&scheme), table);
    doubts::about_scheme(&scheme, table);
    Ok(scheme)
}

fn covers_body(table: &Table<'_>) -> Result<bool, Noted> {
    match table.text("binds")?.as_deref() {
        None => Ok(true),
        Some("none" | "partial") => Ok(false),
        Some(_) => Err(table.problem_at("binds", "expected `none` or `partial`")),
    }
}

fn conditions(table: &Table<'_>) -> Result<Vec<Condition>, Noted> {
    let texts = table.texts("when")?;
    all(texts
        .iter()
        .map(|text| parsed(table, "when", Condition::parse(text))))
}

fn parsed<T>(table: &Table<'_>, key: &str, result: Result<T, String>) -> Result<T, Noted> {
    result.map_err(|problem| table.problem_at(key, problem))
}

#[cfg(test)]
mod tests;
