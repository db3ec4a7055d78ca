//! `towline tokens …`: access tokens with scopes.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use towline_shared::api::{CreateToken, TokenView};
use towline_shared::id::TokenId;
use towline_shared::time::Timestamp;

use super::{Context, Exit, wall_clock};
use crate::cli::parse_duration;
use crate::relay_api::RelayApi;
use crate::screen::table::{Cell, Table, Tone};
use crate::screen::{escape, quantity};

/// Make, list and revoke access tokens
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token; it is shown this once, alone on stdout
    #[command(after_help = "\
Examples:
  towline tokens create laptop --scope listen --scope read
  towline tokens create ci --scope write --expires 30d > ci.token")]
    Create(Create),
    /// List all tokens
    List,
    /// Make a token useless at once
    Revoke(Revoke),
}

/// The options of `create`.
#[derive(Debug, Args)]
pub struct Create {
    /// What people call it
    name: String,
    /// What it may do (repeatable)
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        value_enum,
        required = true,
        value_delimiter = ','
    )]
    scopes: Vec<Scope>,
    /// When it stops working, such as 30d [default: never]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,
}

/// The options of `revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The token's id, such as `tok_…`, from the list
    id: TokenId,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// See endpoints and events
    Read,
    /// Connect as a consumer and report outcomes
    Listen,
    /// Make and change endpoints, ask for replays
    Write,
    /// Everything, tokens included
    Admin,
}

impl Scope {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Listen => "listen",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the relay cannot be reached or refuses.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    match command {
        Command::Create(arguments) => create(arguments, context, &api).await,
        Command::List => list(context, &api).await,
        Command::Revoke(Revoke { id }) => {
            api.revoke_token(id).await?;
            if context.global.json {
                context.screen.json(&serde_json::json!({ "revoked": id }))?;
            } else {
                context.screen.notice(&format!("revoked {id}"));
            }
            Ok(Exit::Done)
        }
    }
}

async fn create(arguments: Create, context: &Context, api: &RelayApi) -> anyhow::Result<Exit> {
    let expires_at = arguments
        .expires
        .map(|after| later(wall_clock::now(), after));
    let new = CreateToken {
        name: arguments.name,
        scopes: arguments
            .scopes
            .iter()
            .map(|scope| scope.as_str().to_owned())
            .collect(),
        expires_at,
    };
    let made = api.create_token(&new).await?;
    if context.global.json {
        context.screen.json(&made)?;
        return Ok(Exit::Done);
    }
    context.screen.data(&made.token)?;
    context.screen.notice(&format!(
        "made {} `{}` with {}; keep it, it is not shown again",
        made.view.id,
        escape::line(&made.view.name),
        made.view.scopes.join(", ")
    ));
    Ok(Exit::Done)
}

async fn list(context: &Context, api: &RelayApi) -> anyhow::Result<Exit> {
    let list = api.tokens().await?;
    if context.global.json {
        context.screen.json(&list)?;
        return Ok(Exit::Done);
    }
    let zone = context.screen.zone();
    let now = wall_clock::now();
    let mut table = Table::new(&["ID", "NAME", "SCOPES", "MADE", "STATE"]);
    for token in &list.tokens {
        let (state, tone) = state(token, now);
        table.row([
            token.id.to_string().into(),
            escape::line(&token.name).into_owned().into(),
            escape::line(&token.scopes.join(",")).into_owned().into(),
            quantity::date_and_time(token.created_at, zone).into(),
            Cell::new(state, tone),
        ]);
    }
    for line in table.lines(context.screen.terminal_columns(), 1) {
        context.screen.data(&line)?;
    }
    Ok(Exit::Done)
}

fn state(token: &TokenView, now: Timestamp) -> (String, Tone) {
    if token.revoked_at.is_some() {
        return ("revoked".to_owned(), Tone::Bad);
    }
    match token.expires_at {
        Some(at) if at <= now => ("expired".to_owned(), Tone::Bad),
        Some(at) => (
            format!("valid for {}", quantity::duration(at.since(now))),
            Tone::Good,
        ),
        None => ("valid".to_owned(), Tone::Good),
    }
}

fn later(now: Timestamp, after: Duration) -> Timestamp {
    let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_expired_from_its_very_millisecond_on() {
        let token = TokenView {
            id: TokenId::from_bytes([0; 16]),
            name: "ci".to_owned(),
            scopes: vec!["read".to_owned()],
            created_at: Timestamp::from_millis(0),
            expires_at: Some(Timestamp::from_millis(1000)),
            revoked_at: None,
        };

        assert_eq!(state(&token, Timestamp::from_millis(999)).1, Tone::Good);
        assert_eq!(state(&token, Timestamp::from_millis(1000)).0, "expired");
    }
}
