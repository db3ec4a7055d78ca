//! `towline providers`: whose signatures can be checked.

use clap::Args;
use serde::Serialize;
use towline_shared::verify::Provider;

use super::{Exit, Failure};
use crate::screen::Screen;
use crate::screen::table::Table;

/// List the providers whose signatures can be checked
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline providers
  towline providers git")]
pub struct Arguments {
    /// Only those whose name contains this
    word: Option<String>,
}

/// One provider as JSON.
#[derive(Serialize)]
struct Line<'a> {
    provider: &'a str,
    name: &'a str,
}

/// Lists them.
///
/// # Errors
/// When none has such a name, or stdout cannot be written.
pub fn run(arguments: &Arguments, screen: &Screen, is_json: bool) -> anyhow::Result<Exit> {
    let word = arguments.word.as_deref().unwrap_or_default().to_lowercase();
    let mut table = Table::new(&["PROVIDER", "NAME"]);
    for slug in Provider::builtin_slugs() {
        let Some(provider) = Provider::builtin(slug) else {
            continue;
        };
        let is_wanted = slug.contains(&word) || provider.name().to_lowercase().contains(&word);
        if is_wanted && is_json {
            screen.json(&Line {
                provider: slug,
                name: provider.name(),
            })?;
        }
        if is_wanted {
            table.row([slug.into(), provider.name().into()]);
        }
    }
    if table.is_empty() {
        let failure = Failure::new(
            Exit::NotFound,
            format!("no provider's name contains `{word}`"),
        );
        return Err(failure
            .hint("describe your own in a scheme file and name it with `--scheme FILE`")
            .into());
    }
    if !is_json {
        for line in table.lines(screen.terminal_columns(), 1) {
            screen.data(&line)?;
        }
    }
    Ok(Exit::Done)
}
