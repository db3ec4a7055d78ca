//! `towline login`, `logout` and `whoami`: the relay's address and the token for it, stored in a profile.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use towline_shared::api::WhoAmI;
use towline_shared::secret::Secret;

use super::provider_options::text_of;
use super::{Context, Exit, Failure};
use crate::dial::RelayAddress;
use crate::relay_api::{RelayApi, shown};
use crate::screen::{escape, paint};
use crate::settings::{Profile, SecretSource, parse_relay};

/// Store a relay's address and a token for it in a profile
#[derive(Debug, Args)]
#[command(after_help = "\
The token comes from --token-file, TOWLINE_TOKEN, stdin, or a prompt, is tried, and is stored in \
$XDG_CONFIG_HOME/towline/config.toml, which only you can read.

Examples:
  towline login https://relay.example
  towline login https://relay.example --profile work < token.txt")]
pub struct Login {
    /// The relay's address [default: the configured one]
    #[arg(value_name = "URL")]
    address: Option<String>,
}

/// Remove a profile with its token from this machine
#[derive(Debug, Args)]
#[command(after_help = "The token itself stays valid; `towline tokens revoke` makes it useless.")]
pub struct Logout {}

/// Show which relay is in use, as whom, and what the token may do
#[derive(Debug, Args)]
pub struct Whoami {}

/// Tries the token and stores it.
///
/// # Errors
/// When there is no address or token, or the relay refuses the token.
pub async fn login(arguments: Login, context: &mut Context) -> anyhow::Result<Exit> {
    let relay = address(arguments.address.as_deref(), context)?;
    let token = token(context)?;
    let who = RelayApi::new(relay.clone(), Some(token.clone()))
        .whoami()
        .await?;
    let name = context.settings.profile.clone();
    let profile = Profile {
        relay: Some(shown(&relay.url)),
        token: Some(text_of(&token)?),
        ca_file: relay.ca_file.map(absolute),
    };
    let file = context.settings.folders.config_file();
    context.settings.profiles.put(&name, profile);
    context.settings.profiles.write(&file)?;
    if context.global.json {
        context.screen.json(&who)?;
    } else {
        context.screen.notice(&format!(
            "stored in profile `{name}`: `{}` with {} at {}",
            escape::line(&who.token),
            escape::line(&who.scopes.join(", ")),
            shown(&relay.url)
        ));
    }
    Ok(Exit::Done)
}

/// Removes the profile.
///
/// # Errors
/// When there is none, or the file cannot be written.
pub fn logout(_: &Logout, context: &mut Context) -> anyhow::Result<Exit> {
    let name = context.settings.profile.clone();
    if !context.settings.profiles.remove(&name) {
        return Err(Failure::new(Exit::NotFound, format!("there is no profile `{name}`")).into());
    }
    let file = context.settings.folders.config_file();
    context.settings.profiles.write(&file)?;
    context
        .screen
        .notice(&format!("removed the profile `{name}`"));
    Ok(Exit::Done)
}

/// Asks the relay.
///
/// # Errors
/// When it cannot be reached or does not accept the token.
pub async fn whoami(_: &Whoami, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let who = api.whoami().await?;
    if context.global.json {
        context.screen.json(&who)?;
        return Ok(Exit::Done);
    }
    for (label, value) in facts(&who, context, &api) {
        let label = paint::quiet(format_args!("{label:<12}"));
        context.screen.data(&format!("{label}{value}"))?;
    }
    Ok(Exit::Done)
}

fn facts(who: &WhoAmI, context: &Context, api: &RelayApi) -> Vec<(&'static str, String)> {
    let settings = &context.settings;
    let local = || "the relay on this machine".to_owned();
    let relay_from = settings
        .relay
        .as_ref()
        .map_or_else(local, |relay| relay.from.clone());
    let token_from = settings
        .token
        .as_ref()
        .map_or_else(local, |token| token.from.clone());
    vec![
        ("relay", format!("{} (from {relay_from})", api.address())),
        ("version", escape::line(&who.relay).into_owned()),
        ("public URL", escape::line(&who.public_url).into_owned()),
        (
            "token",
            format!("{} (from {token_from})", escape::line(&who.token)),
        ),
        ("scopes", escape::line(&who.scopes.join(", ")).into_owned()),
    ]
}

fn address(typed: Option<&str>, context: &Context) -> anyhow::Result<RelayAddress> {
    let configured = context
        .settings
        .relay
        .as_ref()
        .map(|chosen| chosen.value.clone());
    let Some(typed) = typed else {
        return configured.ok_or_else(|| {
            Failure::usage("no relay is named")
                .hint("give its address: `towline login https://relay.example`")
                .into()
        });
    };
    let named_ca = context
        .settings
        .environment
        .get("TOWLINE_CA_FILE")
        .map(PathBuf::from);
    Ok(RelayAddress {
        url: parse_relay(typed, "the command line")?,
        ca_file: context.global.ca_file.clone().or(named_ca),
    })
}

/// A token that is stored already is not asked for again only when it was named for this very call.
fn token(context: &Context) -> anyhow::Result<Secret> {
    if let Some(token) = &context.settings.token
        && !token.from.starts_with("profile")
    {
        return Ok(token.value.clone());
    }
    let environment = &context.settings.environment;
    let source = if context.screen.can_ask() {
        SecretSource::Prompt("Token".to_owned())
    } else if std::io::stdin().is_terminal() {
        return Err(Failure::usage("no token is given")
            .hint("name a file with `--token-file`")
            .into());
    } else {
        SecretSource::File("-".into())
    };
    Ok(source.read(environment)?)
}

/// A profile is used from any folder.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
