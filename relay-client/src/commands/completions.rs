//! `towline completions SHELL`: a script that makes the shell complete commands and options.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Exit;
use crate::cli::Cli;
use crate::screen::Screen;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline completions bash > ~/.local/share/bash-completion/completions/towline
  towline completions fish > ~/.config/fish/completions/towline.fish
  towline completions zsh > \"${fpath[1]}/_towline\"")]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the script to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(arguments: &Arguments, screen: &Screen) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "towline", &mut script);
    screen.raw(&script)?;
    Ok(Exit::Done)
}
