//! What can be typed: the global options and the commands. Each command's own options stand beside the command.

mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use values::{
    Since, parse_duration, parse_header, parse_host_header, parse_parameter, parse_size,
};

use crate::commands::{
    completions, consumers, demo, doctor, endpoints, events, keys, listen, login, replay, schemes,
    serve, sign, status, tokens, trigger, verify,
};
use crate::screen::Wishes;
use crate::settings;

/// Webhooks on the machine where the code is written.
///
/// A relay receives each webhook, checks its signature, keeps it, and streams it here, where it is
/// replayed against localhost as the provider sent it.
#[derive(Debug, Parser)]
#[command(name = "towline", version, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  towline demo                                       see the whole way in ten seconds
  towline listen 3000                                deliver to http://localhost:3000
  towline listen 3000 --endpoint orders --provider stripe --secret-env STRIPE_SECRET
  towline events list                                what came in
  towline replay evt_06…                             deliver it again
  towline trigger github.push --to 3000 --secret-env GITHUB_SECRET

Settings are looked for in this order: flag, TOWLINE_* variable, .towline.toml of the project, profile \
in $XDG_CONFIG_HOME/towline/config.toml, default.

Exit codes: 0 done, 1 unexpected, 2 usage, 10 unauthorised, 11 forbidden, 12 not found, 13 invalid input, \
14 rate limited, 15 verification failed, 16 target unreachable, 17 relay unreachable, 18 taken over, \
19 expectation not met, 130 interrupted.")]
pub struct Cli {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the help texts are at the type")]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The relay's address, such as https://relay.example [variable: TOWLINE_RELAY]
    #[arg(long, global = true, value_name = "URL")]
    pub relay: Option<String>,
    /// A file with the token for the relay [variables: TOWLINE_TOKEN_FILE, TOWLINE_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The profile that `towline login` stored [variable: TOWLINE_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// A certificate authority to trust besides the system's, for the relay only [variable: TOWLINE_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Write JSON to stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Write without colours; the variable NO_COLOR does the same
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Never ask, even at a terminal
    #[arg(long, global = true)]
    pub no_interaction: bool,
}

impl Global {
    /// The part that settings are found by.
    pub fn flags(&self) -> settings::Flags {
        settings::Flags {
            relay: self.relay.clone(),
            token_file: self.token_file.clone(),
            profile: self.profile.clone(),
            ca_file: self.ca_file.clone(),
        }
    }

    /// The part that the screen goes by.
    pub const fn wishes(&self) -> Wishes {
        Wishes {
            no_color: self.no_color,
            no_interaction: self.no_interaction,
        }
    }
}

/// The commands, in the order of a first day with Towline.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "the help texts are at each type")]
pub enum Command {
    Demo(demo::Arguments),
    Listen(Box<listen::Arguments>),
    #[command(subcommand)]
    Events(events::Command),
    Replay(replay::Arguments),
    Verify(verify::Arguments),
    Sign(Box<sign::Arguments>),
    Trigger(Box<trigger::Arguments>),
    #[command(subcommand)]
    Keys(keys::Command),
    #[command(subcommand)]
    Endpoints(endpoints::Command),
    #[command(subcommand)]
    Consumers(consumers::Command),
    Status(status::Arguments),
    #[command(subcommand)]
    Schemes(schemes::Command),
    #[command(subcommand)]
    Tokens(tokens::Command),
    Login(login::Login),
    Logout(login::Logout),
    Whoami(login::Whoami),
    Serve(serve::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_are_taken_before_and_after_the_command() {
        for words in [
            ["towline", "--json", "events", "list"],
            ["towline", "events", "list", "--json"],
        ] {
            assert!(Cli::try_parse_from(words).unwrap().global.json);
        }
    }

    #[test]
    fn secrets_are_never_taken_as_arguments() {
        let command = Cli::command();
        let mut waiting: Vec<_> = command.get_subcommands().collect();
        while let Some(command) = waiting.pop() {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                assert!(!["secret", "token", "password"].contains(&name), "{name}");
            }
            waiting.extend(command.get_subcommands());
        }
    }

    #[test]
    fn every_command_and_option_has_a_help_text() {
        let command = Cli::command();
        let mut waiting: Vec<_> = command.get_subcommands().collect();
        while let Some(command) = waiting.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            waiting.extend(command.get_subcommands());
        }
    }
}
