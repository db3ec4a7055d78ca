//! `towline events …`: what was captured, and what became of it.

mod list;
mod show;
mod tail;
mod diff;
mod comparison;
mod curl;
mod pin;
mod request;

use clap::Subcommand;

pub(super) use comparison::{Comparison, compare};
pub(super) use request::{CapturedRequest, decode};

use super::{Context, Exit};

/// Look at captured events
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List events, newest first
    List(list::Arguments),
    /// Show an event: its request, its verdict, and every attempt to deliver it
    Show(show::Arguments),
    /// Print events as they arrive
    Tail(tail::Arguments),
    /// Compare what was sent with what was delivered, byte for byte
    Diff(diff::Arguments),
    /// Print a curl command that makes the same request
    Curl(curl::Arguments),
    /// Keep events whatever the retention of their endpoint says
    #[command(after_help = "\
Example:
  towline events pin evt_06…")]
    Pin(pin::Arguments),
    /// Let pinned events go with the others again
    #[command(after_help = "\
Example:
  towline events unpin evt_06…")]
    Unpin(pin::Arguments),
}

/// Runs the command.
///
/// # Errors
/// When the relay cannot be reached or refuses.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::List(arguments) => list::run(arguments, context).await,
        Command::Show(arguments) => show::run(arguments, context).await,
        Command::Tail(arguments) => tail::run(arguments, context).await,
        Command::Diff(arguments) => diff::run(arguments, context).await,
        Command::Curl(arguments) => curl::run(arguments, context).await,
        Command::Pin(arguments) => pin::pin(arguments, context).await,
        Command::Unpin(arguments) => pin::unpin(arguments, context).await,
    }
}
