//! `towline replay`: kept events delivered again, by their consumers or straight from this machine.

mod direct;

use std::time::Duration;

use clap::Args;
use towline_shared::api::{AskReplays, ReplayView};
use towline_shared::id::{ConsumerName, EventId};

use super::{Context, Exit};
use crate::cli::{parse_duration, parse_header, parse_host_header};
use crate::listen::HostHeader;
use crate::screen::paint;
use crate::target::Target;

/// Deliver kept events again
#[derive(Debug, Args)]
#[command(after_help = "\
Without --to the relay hands the events to the consumers that are connected; with --as to one, which gets \
them when it is back. With --to this machine makes the call at once, and the relay keeps the outcome. Ends \
with 16 when a target did not answer.

Examples:
  towline replay evt_06…
  towline replay evt_06… --to 3000
  towline events list --json --limit 10 | jq -r .id | xargs towline replay")]
pub struct Arguments {
    /// The events, 1 to 1000
    #[arg(required = true, num_args = 1..=1000, value_name = "ID")]
    events: Vec<EventId>,
    /// Call this target from here
    #[arg(long, value_name = "TARGET")]
    to: Option<Target>,
    /// This consumer gets them, even when it is away [default: those that are connected]
    #[arg(long = "as", value_name = "NAME", conflicts_with = "to")]
    consumer: Option<ConsumerName>,
    #[command(flatten)]
    call: CallOptions,
}

/// How the target of `--to` is called.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --to")]
pub(super) struct CallOptions {
    /// The time limit of one attempt
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s", requires = "to")]
    timeout: Duration,
    /// The Host field: preserve (the sender's), rewrite (the target's), or a value
    #[arg(long, value_name = "HOW", value_parser = parse_host_header, default_value = "preserve", requires = "to")]
    host_header: HostHeader,
    /// Add a field to each request (repeatable)
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header, requires = "to")]
    add_header: Vec<(String, String)>,
    /// Add Towline-Event-Id, Towline-Attempt and Towline-Replay
    #[arg(long, requires = "to")]
    mark: bool,
    /// Do not check the target's certificate
    #[arg(long, requires = "to")]
    insecure: bool,
}

/// Asks for the replays, or makes them.
///
/// # Errors
/// When the relay cannot be reached or an event is not there.
pub async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let Some(target) = arguments.to else {
        return ask(arguments, context).await;
    };
    direct::replay(&arguments.events, target, arguments.call, context).await
}

async fn ask(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let asked = AskReplays {
        events: arguments.events,
        consumer: arguments.consumer,
    };
    let replays = api.ask_replays(&asked).await?;
    if context.global.json {
        context.screen.json(&replays)?;
        return Ok(Exit::Done);
    }
    for replay in &replays.replays {
        context.screen.data(&line(replay))?;
    }
    if replays.replays.is_empty() {
        context.screen.notice(&format!(
            "{} nobody has listened to this endpoint yet, so nobody gets the replay; `--to URL` calls a target from here",
            paint::odd("note:")
        ));
    }
    Ok(Exit::Done)
}

fn line(replay: &ReplayView) -> String {
    let state = if replay.is_connected {
        paint::good("connected: delivered in a moment")
    } else {
        paint::odd("away: delivered when it is back")
    };
    format!(
        "{}  {}  {}  {state}",
        replay.event, replay.id, replay.consumer
    )
}
