//! `towline schemes check`: tells every mistake of scheme files, doubts, and whether each scheme verifies what it signs.

use std::path::PathBuf;

use serde::Serialize;
use towline_shared::verify::{About, Provider, SchemeError, SchemeFindings};

use super::super::Exit;
use crate::screen::{Screen, escape, paint};

/// A checked file as JSON.
#[derive(Serialize)]
struct Checked {
    v: u32,
    file: String,
    provider: Option<String>,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    /// Each scheme, once there is no error.
    schemes: Vec<RoundTrip>,
}

/// A mistake or a doubt.
#[derive(Serialize)]
struct Finding {
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    key: String,
    problem: String,
}

/// Whether a scheme has signed a made-up request and verified it.
#[derive(Serialize)]
struct RoundTrip {
    id: Option<String>,
    is_signed_and_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

/// Checks the files.
///
/// # Errors
/// When a file cannot be read, or stdout cannot be written.
pub(super) fn run(files: &[PathBuf], screen: &Screen, is_json: bool) -> anyhow::Result<Exit> {
    let mut has_errors = false;
    for path in files {
        let file = path.display().to_string();
        let checked = check(file, &super::read(&path.display().to_string())?);
        has_errors |= !checked.errors.is_empty();
        if is_json {
            screen.json(&checked)?;
        } else {
            for line in lines(&checked) {
                screen.data(&line)?;
            }
        }
    }
    Ok(if has_errors {
        Exit::InvalidInput
    } else {
        Exit::Done
    })
}

fn check(file: String, text: &str) -> Checked {
    let slug = Provider::slug_in(text);
    // A file without any table is told so under the name that it would have.
    let (provider, findings) = Provider::lint(slug.as_deref().unwrap_or("NAME"), text);
    let mut findings = findings;
    if let Some(slug) = slug
        .as_deref()
        .filter(|slug| Provider::builtin(slug).is_some())
        && Provider::builtin_file(slug) != Some(text)
        && !text.contains(Provider::builtin_file(slug).unwrap_or_default())
    {
        findings.warnings.insert(0, built_in(slug));
    }
    let about = provider.map(|provider| provider.about());
    checked(file, slug, findings, about.as_ref())
}

fn built_in(slug: &str) -> SchemeError {
    SchemeError {
        line: 1,
        column: None,
        key: slug.to_owned(),
        problem: "a built-in provider has this name; endpoints that bring this file use it instead"
            .to_owned(),
    }
}

fn checked(
    file: String,
    provider: Option<String>,
    findings: SchemeFindings,
    about: Option<&About>,
) -> Checked {
    let list = |errors: Vec<SchemeError>| errors.into_iter().map(Finding::from).collect();
    let schemes = about.map_or(&[][..], |about| &about.schemes);
    Checked {
        v: 1,
        file,
        provider,
        errors: list(findings.errors.0),
        warnings: list(findings.warnings),
        schemes: schemes
            .iter()
            .map(|scheme| RoundTrip {
                id: scheme.id.clone(),
                is_signed_and_verified: scheme.can_sign,
                why_not: scheme.cannot_sign.clone(),
            })
            .collect(),
    }
}

impl From<SchemeError> for Finding {
    fn from(error: SchemeError) -> Self {
        Self {
            line: error.line,
            column: error.column,
            key: error.key,
            problem: error.problem,
        }
    }
}

fn lines(checked: &Checked) -> Vec<String> {
    let file = escape::line(&checked.file).into_owned();
    let place = |finding: &Finding| match finding.column {
        Some(column) => format!("{file}:{}:{column}", finding.line),
        None => format!("{file}:{}", finding.line),
    };
    let told = |finding: &Finding| {
        format!(
            "`{}`: {}",
            escape::line(&finding.key),
            escape::line(&finding.problem)
        )
    };
    let mut lines = Vec::new();
    for error in &checked.errors {
        lines.push(format!(
            "{}: {} {}",
            place(error),
            paint::bad("error:"),
            told(error)
        ));
    }
    for warning in &checked.warnings {
        lines.push(format!(
            "{}: {} {}",
            place(warning),
            paint::odd("warning:"),
            told(warning)
        ));
    }
    for scheme in &checked.schemes {
        let name = scheme.id.as_deref().map_or_else(
            || "the scheme".to_owned(),
            |id| format!("scheme `{}`", escape::line(id)),
        );
        lines.push(match &scheme.why_not {
            None => format!("{file}: {name} signs a sample and verifies it"),
            Some(why) => format!("{file}: {name} cannot be tried: {}", escape::line(why)),
        });
    }
    if checked.errors.is_empty() {
        lines.push(format!("{file}: {}", paint::good("no mistakes")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_file_is_without_mistakes_and_not_told_that_it_is_built_in() {
        for slug in Provider::builtin_slugs() {
            let checked = check("x".to_owned(), Provider::builtin_file(slug).unwrap());

            assert!(checked.errors.is_empty(), "{slug}: {:?}", lines(&checked));
            let is_told_twice = checked
                .warnings
                .iter()
                .any(|doubt| doubt.problem.contains("built-in"));
            assert!(!is_told_twice, "{slug}");
        }
    }

    #[test]
    fn mistakes_are_lines_that_an_editor_can_jump_to() {
        let file = "[mine]\nnaem = \"x\"\n[[mine.scheme]]\nalg = \"hmac-sha256\"\nsig = \"{header.x}\"\nmessage = \"{bodi}\"\n";

        let lines = lines(&check("mine.toml".to_owned(), file));

        let plain: Vec<String> = lines
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(
            plain,
            [
                "mine.toml:2: error: `mine.naem`: unknown key; did you mean `name`?",
                "mine.toml:6:13: error: `mine.scheme.message`: `bodi` is no source of the scheme language; did you mean `body`?",
            ]
        );
    }

    #[test]
    fn a_good_scheme_of_ones_own_is_tried() {
        let file = "[mine]\n[[mine.scheme]]\nalg = \"hmac-sha256\"\nsig = \"{header.x}\"\nmessage = \"{header.t}.{body}\"\n";

        let checked = check("mine.toml".to_owned(), file);

        assert!(checked.schemes[0].is_signed_and_verified);
        assert!(checked.warnings.is_empty());
    }
}
