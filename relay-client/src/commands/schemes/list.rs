//! `towline schemes list`: all providers, one a line.

use serde::Serialize;
use towline_shared::verify::{About, Provider};

use super::super::{Exit, Failure};
use super::words;
use crate::screen::Screen;
use crate::screen::table::Table;

/// One provider as JSON.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    #[serde(flatten)]
    about: &'a About,
}

/// Lists those whose name contains `word`.
///
/// # Errors
/// When none has such a name, or stdout cannot be written.
pub(super) fn run(word: Option<&str>, screen: &Screen, is_json: bool) -> anyhow::Result<Exit> {
    let word = word.unwrap_or_default().to_lowercase();
    let mut table = Table::new(&[
        "PROVIDER",
        "NAME",
        "METHODS",
        "COVERS",
        "HANDSHAKE",
        "EVIDENCE",
        "SIGNS",
    ]);
    let is_wanted =
        |about: &About| about.provider.contains(&word) || about.name.to_lowercase().contains(&word);
    for about in all().filter(is_wanted) {
        if is_json {
            screen.json(&Line {
                v: 1,
                about: &about,
            })?;
        }
        table.row([
            about.provider.as_str().into(),
            about.name.as_str().into(),
            words::methods(&about).into(),
            words::coverage(&about).into(),
            words::handshake(&about).into(),
            about.evidence.clone().unwrap_or_default().into(),
            words::signs(&about).into(),
        ]);
    }
    if table.is_empty() {
        let message = format!("no provider's name contains `{word}`");
        return Err(Failure::new(Exit::NotFound, message)
            .hint("describe your own in a scheme file and name it with `--scheme FILE`")
            .into());
    }
    if !is_json {
        for line in table.lines(screen.terminal_columns(), 2) {
            screen.data(&line)?;
        }
    }
    Ok(Exit::Done)
}

/// Writes the table of the README.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn markdown(screen: &Screen) -> anyhow::Result<Exit> {
    screen.data("| provider | name | signature | covers | handshake | evidence | we can sign |")?;
    screen.data("|---|---|---|---|---|---|---|")?;
    for about in all() {
        screen.data(&format!(
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            about.provider,
            about.name.replace('|', "\\|"),
            words::methods(&about),
            words::coverage(&about),
            words::handshake(&about),
            about.evidence.as_deref().unwrap_or("–"),
            words::signs(&about),
        ))?;
    }
    Ok(Exit::Done)
}

fn all() -> impl Iterator<Item = About> {
    Provider::builtin_slugs().filter_map(|slug| Some(Provider::builtin(slug)?.about()))
}
