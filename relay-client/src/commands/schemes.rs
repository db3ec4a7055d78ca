//! `towline schemes …`: how each provider signs, and whether a scheme file of one's own is right.

mod list;
mod show;
mod check;
mod words;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Exit, input};
use crate::screen::Screen;

/// Show how providers sign, and check scheme files of your own
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all providers: how they sign, what the signature covers, and whether we can sign like them
    #[command(after_help = "\
EVIDENCE says what was read: A the provider's own code or documentation, B another implementation, C nothing (from memory).
COVERS says what the signature covers: the body, a part of it or nothing, the time, the URL.

Examples:
  towline schemes list
  towline schemes list git
  towline schemes list --json | jq -r 'select(.can_sign | not) | .provider'")]
    List(List),
    /// Explain how a provider signs, with its scheme file
    #[command(after_help = "\
Examples:
  towline schemes show stripe
  towline schemes show mine.toml")]
    Show(Show),
    /// Check scheme files: every mistake with its line and key, and whether each scheme verifies what it signs
    #[command(after_help = "\
Ends with 0 when there is no mistake and with 13 when there is one; warnings do not count. The language is described in \
shared/schemes/LANGUAGE.md; `towline schemes show NAME` has examples.

Examples:
  towline schemes check mine.toml
  towline schemes show github | towline schemes check -")]
    Check(Check),
}

/// The options of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only those whose name contains this
    word: Option<String>,
    /// As a table in Markdown
    #[arg(long, conflicts_with = "word")]
    markdown: bool,
}

/// The options of `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// A provider, such as `github`, or a scheme file that ends in `.toml`
    provider: String,
}

/// The options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The files; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The longest file that is read; a longer one is refused by the language itself.
const MOST_BYTES: u64 = 1024 * 1024;

/// Runs the command.
///
/// # Errors
/// When there is no such provider or file, or stdout cannot be written.
pub fn run(command: &Command, screen: &Screen, is_json: bool) -> anyhow::Result<Exit> {
    match command {
        Command::List(list) if list.markdown => list::markdown(screen),
        Command::List(list) => list::run(list.word.as_deref(), screen, is_json),
        Command::Show(show) => show::run(&show.provider, screen, is_json),
        Command::Check(check) => check::run(&check.files, screen, is_json),
    }
}

fn read(place: &str) -> Result<String, super::Failure> {
    let bytes = input::read(place, "scheme file", MOST_BYTES)?;
    String::from_utf8(bytes).map_err(|_| {
        super::Failure::invalid(format!("the scheme file `{place}` is not UTF-8 text"))
    })
}
