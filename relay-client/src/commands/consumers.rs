//! `towline consumers …`: who reads an endpoint, how far each has come, and the way to another place.

pub(super) mod view;

use clap::{Args, Subcommand};
use towline_shared::api::{ConsumerView, ResetConsumer};
use towline_shared::id::{ConsumerName, EndpointName};

use super::{Context, Exit, Failure, wall_clock};
use crate::cli::Since;
use crate::relay_api::RelayApi;

/// See who reads an endpoint, and move or forget readers
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the consumers of one endpoint, or of all
    List(List),
    /// Show one consumer: its place, what waits, its session, its last outcome
    Show(Named),
    /// Move a consumer to another place: what it had settled behind that comes again
    #[command(after_help = "\
Examples:
  towline consumers reset orders laptop:3000 --to beginning
  towline consumers reset orders laptop:3000 --to 10m          everything of the last ten minutes again
  towline consumers reset orders laptop:3000 --to now --yes    skip what waits")]
    Reset(Reset),
    /// Forget a consumer that is away and does not come back, with its place in the line
    #[command(after_help = "\
Example:
  towline consumers delete orders laptop:3000")]
    Delete(Named),
}

/// The options of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// The endpoint [default: all]
    endpoint: Option<EndpointName>,
}

/// A consumer of an endpoint.
#[derive(Debug, Args)]
pub struct Named {
    /// The endpoint
    endpoint: EndpointName,
    /// The consumer
    consumer: ConsumerName,
}

/// The options of `reset`.
#[derive(Debug, Args)]
pub struct Reset {
    #[command(flatten)]
    named: Named,
    /// Where it goes on: now, beginning, last, a time, a time ago such as 10m, or an event
    #[arg(long, value_name = "WHERE")]
    to: Since,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs the command.
///
/// # Errors
/// When the relay cannot be reached or refuses.
pub async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    match command {
        Command::List(List { endpoint }) => list(endpoint, context, &api).await,
        Command::Show(named) => {
            let consumer = find(&api, &named).await?;
            view::one(&named.endpoint, &consumer, context)
        }
        Command::Reset(arguments) => reset(arguments, context, &api).await,
        Command::Delete(Named { endpoint, consumer }) => {
            api.delete_consumer(&endpoint, &consumer).await?;
            if context.global.json {
                let deleted = serde_json::json!({ "deleted": consumer });
                context.screen.json(&deleted)?;
            } else {
                let text = format!("forgot the consumer `{consumer}` of `{endpoint}`");
                context.screen.notice(&text);
            }
            Ok(Exit::Done)
        }
    }
}

async fn list(
    endpoint: Option<EndpointName>,
    context: &Context,
    api: &RelayApi,
) -> anyhow::Result<Exit> {
    let names = match endpoint {
        Some(name) => vec![name],
        None => {
            let all = api.endpoints().await?.endpoints;
            all.into_iter().map(|endpoint| endpoint.name).collect()
        }
    };
    let mut found = Vec::new();
    for name in names {
        let consumers = api.consumers(&name).await?.consumers;
        found.extend(consumers.into_iter().map(|one| (name.clone(), one)));
    }
    view::list(&found, context)
}

async fn find(api: &RelayApi, named: &Named) -> anyhow::Result<ConsumerView> {
    let list = api.consumers(&named.endpoint).await?;
    let names: Vec<_> = list.consumers.iter().map(|one| one.name.clone()).collect();
    let found = list
        .consumers
        .into_iter()
        .find(|one| one.name == named.consumer);
    let Some(found) = found else {
        let missing = Failure::new(
            Exit::NotFound,
            format!("`{}` has no consumer `{}`", named.endpoint, named.consumer),
        );
        let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        let hint = match names.as_slice() {
            [] => "it has none at all".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        return Err(missing.hint(hint).into());
    };
    Ok(found)
}

async fn reset(arguments: Reset, context: &Context, api: &RelayApi) -> anyhow::Result<Exit> {
    let Named { endpoint, consumer } = &arguments.named;
    let before = find(api, &arguments.named).await?;
    if !arguments.yes && context.screen.can_ask() {
        let question = format!(
            "Move `{consumer}` of `{endpoint}` from event {} with {} waiting?",
            before.cursor, before.backlog
        );
        if !context.screen.ask(&question)? {
            context.screen.notice("nothing was moved");
            return Ok(Exit::Done);
        }
    }
    let to = ResetConsumer {
        to: arguments.to.start(wall_clock::now()),
    };
    let after = api.reset_consumer(endpoint, consumer, &to).await?;
    if context.global.json {
        context.screen.json(&after)?;
        return Ok(Exit::Done);
    }
    context.screen.notice(&format!(
        "moved `{consumer}` of `{endpoint}` from event {} to event {}: {} waiting",
        before.cursor, after.cursor, after.backlog
    ));
    Ok(Exit::Done)
}
