//! What can be typed, one file a command, and what they share: settings, screen, and the way to the relay.

pub mod listen;
pub mod events;
pub mod replay;
pub mod verify;
pub mod sign;
pub mod trigger;
pub mod keys;
pub mod endpoints;
pub mod consumers;
pub mod status;
pub mod schemes;
pub mod tokens;
pub mod login;
pub mod serve;
pub mod demo;
pub mod doctor;
pub mod completions;
mod failure;
mod filter_options;
mod input;
mod local_relay;
mod provider_options;
mod signer;
mod wall_clock;

use anyhow::Context as _;

pub use failure::{Exit, Failure, Report, is_closed_pipe};

use crate::cli::{Cli, Command, Global};
use crate::relay_api::RelayApi;
use crate::screen::Screen;
use crate::settings::{Environment, Settings};

/// What every command is given.
pub struct Context {
    /// The settings.
    pub settings: Settings,
    /// The terminal.
    pub screen: Screen,
    /// The global options.
    pub global: Global,
}

impl Context {
    /// The way to the configured relay; with none configured, to one on this machine that is running.
    ///
    /// # Errors
    /// When there is neither.
    pub fn api(&self) -> Result<RelayApi, Failure> {
        if let Some(relay) = &self.settings.relay {
            let token = self
                .settings
                .token_for_relay()
                .map_err(|error| Failure::usage(error.to_string()))?;
            let token = token.map(|token| token.value.clone());
            return Ok(RelayApi::new(relay.value.clone(), token));
        }
        match local_relay::running(&self.settings.folders.relay_data()) {
            Some(found) => Ok(RelayApi::new(found.address, Some(found.token))),
            None => Err(Failure::usage("no relay is configured and none runs on this machine")
                .hint("name one with `--relay URL`, store one with `towline login URL`, or run `towline listen 3000`")),
        }
    }
}

/// Runs a command.
///
/// # Errors
/// What went wrong; [`Report`] has the exit code and the hint.
pub async fn run(cli: Cli, screen: Screen) -> anyhow::Result<Exit> {
    // These need no settings, so that a broken settings file cannot keep them from running.
    let command = match cli.command {
        Command::Completions(arguments) => return completions::run(&arguments, &screen),
        Command::Serve(arguments) => return serve::run(&arguments).await,
        Command::Schemes(command) => return schemes::run(&command, &screen, cli.global.json),
        Command::Demo(arguments) => return demo::run(&arguments, &screen, cli.global.json).await,
        command => command,
    };
    let directory = std::env::current_dir().context("could not find the current folder")?;
    let environment = Environment::of_this_process();
    let settings = Settings::load(&cli.global.flags(), environment, &directory)?;
    let mut context = Context {
        settings,
        screen,
        global: cli.global,
    };
    match command {
        Command::Listen(arguments) => listen::run(*arguments, context).await,
        Command::Events(command) => events::run(command, &context).await,
        Command::Replay(arguments) => replay::run(arguments, &context).await,
        Command::Verify(arguments) => verify::run(arguments, &context).await,
        Command::Sign(arguments) => sign::run(&arguments, &context),
        Command::Keys(command) => keys::run(&command, &context),
        Command::Trigger(arguments) => trigger::run(*arguments, &context).await,
        Command::Endpoints(command) => endpoints::run(command, &context).await,
        Command::Consumers(command) => consumers::run(command, &context).await,
        Command::Status(status::Arguments {}) => status::run(&context).await,
        Command::Tokens(command) => tokens::run(command, &context).await,
        Command::Login(arguments) => login::login(arguments, &mut context).await,
        Command::Logout(arguments) => login::logout(&arguments, &mut context),
        Command::Whoami(arguments) => login::whoami(&arguments, &context).await,
        Command::Doctor(arguments) => doctor::run(arguments, &context).await,
        Command::Completions(_) | Command::Serve(_) | Command::Demo(_) | Command::Schemes(_) => {
            Ok(Exit::Done)
        }
    }
}
