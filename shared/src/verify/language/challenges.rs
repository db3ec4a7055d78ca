//! Compiles the challenges that a provider sends and the answers that it wants.

use super::method::{host_pin, token_class};
use super::{conditions, parsed};
use crate::verify::SchemeError;
use crate::verify::handshake::Handshake;
use crate::verify::key_fetch::HostPin;
use crate::verify::scheme::TokenClass;
use crate::verify::table::Table;
use crate::verify::template::Template;

/// The challenges in `table`.
pub(super) fn handshakes(table: &Table<'_>) -> Result<Vec<Handshake>, SchemeError> {
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
