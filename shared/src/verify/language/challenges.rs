//! Compiles the challenges that a provider sends and the answers that it wants.

use super::method::{host_pin, token_class};
use super::{conditions, doubts, oracle};
use crate::verify::handshake::Handshake;
use crate::verify::key_fetch::HostPin;
use crate::verify::mistakes::{Noted, all};
use crate::verify::scheme::TokenClass;
use crate::verify::table::Table;
use crate::verify::template::{Source, Template};

/// The keys of a challenge's table.
const HANDSHAKE_KEYS: [&str; 13] = [
    "when",
    "verify",
    "require",
    "require_in",
    "guard",
    "guard_class",
    "fail_status",
    "status",
    "headers",
    "let",
    "body",
    "capture_secret",
    "action",
];

/// The challenges in `table`.
pub(super) fn handshakes(table: &Table<'_>) -> Result<Vec<Handshake>, Noted> {
    all(table.tables("handshake")?.iter().map(handshake))
}

fn handshake(table: &Table<'_>) -> Result<Handshake, Noted> {
    let when = conditions(table).and_then(|when| match when.len() {
        0 => Err(table.missing("when")),
        _ => Ok(when),
    });
    let must_verify = table.flag("verify");
    let require = table.template_pairs("require");
    let require_in = table.template_pair("require_in");
    let guard = guard(table);
    let fail_status = status_code(table, "fail_status");
    let status = status_code(table, "status")
        .and_then(|status| status.ok_or_else(|| table.missing("status")));
    let headers = named_templates(table, "headers");
    let body = table.required_template("body");
    let lets = named_templates(table, "let");
    let capture_secret = table.template("capture_secret");
    let confirm = confirm(table);
    table.finish(&HANDSHAKE_KEYS);
    let handshake = Handshake {
        when: when?,
        must_verify: must_verify?,
        require: require?,
        require_in: require_in?,
        guard: guard?,
        fail_status: fail_status?.unwrap_or(403),
        status: status?,
        headers: headers?,
        body: body?,
        lets: lets?,
        capture_secret: capture_secret?,
        confirm: confirm?,
    };
    check_answer(&handshake, table);
    check_confirm(&handshake, table);
    oracle::check_guard(&handshake, table);
    doubts::about_handshake(&handshake, table);
    Ok(handshake)
}

fn status_code(table: &Table<'_>, key: &str) -> Result<Option<u16>, Noted> {
    let Some(number) = table.number(key, 599)? else {
        return Ok(None);
    };
    let code = u16::try_from(number).ok().filter(|code| *code >= 200);
    let wrong = || table.problem_at(key, "expected a status from 200 to 599");
    code.ok_or_else(wrong).map(Some)
}

fn guard(table: &Table<'_>) -> Result<Option<(Template, TokenClass)>, Noted> {
    let class = table.text("guard_class");
    let Some(template) = table.template("guard")? else {
        return match class? {
            None => Ok(None),
            Some(_) => Err(table.missing("guard")),
        };
    };
    let class = token_class(table, "guard_class", class?.as_deref().unwrap_or("token"))?;
    Ok(Some((template, class)))
}

fn named_templates(table: &Table<'_>, key: &str) -> Result<Vec<(String, Template)>, Noted> {
    let Some(inner) = table.table(key)? else {
        return Ok(Vec::new());
    };
    let named = |name: String| {
        let template = inner.required_template(&name)?;
        Ok((name, template))
    };
    all(inner.keys()?.into_iter().map(named))
}

fn confirm(table: &Table<'_>) -> Result<Option<(Template, HostPin)>, Noted> {
    let Some(action) = table.table("action")? else {
        return Ok(None);
    };
    let get = action.required_template("get");
    let pin = host_pin(&action);
    action.finish(&["get", "host", "suffix"]);
    Ok(Some((get?, pin?)))
}

/// Notes answers that give the secret away, or a value that is not there.
fn check_answer(handshake: &Handshake, table: &Table<'_>) {
    for (key, template) in handshake.answer() {
        for expression in template.expressions() {
            if expression.source == Source::Secret {
                table.problem_at(key, "the answer would give the secret to whoever asks");
            }
            if let Source::Let(name) = &expression.source
                && !handshake.lets.iter().any(|(known, _)| known == name)
            {
                table.problem_at(key, format!("`let` has no `{name}`"));
            }
        }
    }
}

/// Notes confirmations that a stranger could ask for, or that carry off what the secret makes.
fn check_confirm(handshake: &Handshake, table: &Table<'_>) {
    let Some((url, _)) = &handshake.confirm else {
        return;
    };
    if !handshake.must_verify {
        table.problem_at(
            "action",
            "a stranger could have the relay call: say `verify = true`",
        );
    }
    let mut lets = handshake.lets.iter();
    let is_named =
        |name: &str| url.mentions(|source| matches!(source, Source::Let(it) if it == name));
    let is_secret =
        shows_secret(url) || lets.any(|(name, value)| is_named(name) && shows_secret(value));
    if is_secret {
        table.problem_at("action", "the URL would give away what the secret makes");
    }
}

/// Whether the text has the secret in it, or what an HMAC makes under it.
fn shows_secret(template: &Template) -> bool {
    let mut expressions = template.expressions().into_iter();
    expressions.any(|expression| {
        expression.source == Source::Secret || expression.filters.iter().any(oracle::is_hmac)
    })
}
