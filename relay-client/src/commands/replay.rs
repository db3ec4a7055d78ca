//! `towline replay`: kept events delivered again, by their consumers or straight from this machine; exactly as they
//! came, edited, or signed again.

mod direct;
mod edit;

use std::time::Duration;

use clap::{Args, ValueEnum};
use data_encoding::BASE64;
use towline_shared::api::{AskReplays, DeliveryIdChoice, ReplayView, Replays, Resign};
use towline_shared::id::{ConsumerName, EventId};
use towline_shared::verdict::Verdict;

use super::{Context, Exit, Failure};
use crate::cli::{parse_duration, parse_header, parse_host_header};
use crate::listen::HostHeader;
use crate::screen::event_lines::{self, Layout};
use crate::screen::paint;
use crate::target::Target;
use edit::EditOptions;

/// Deliver kept events again
#[derive(Debug, Args)]
#[command(after_help = "\
Without --to the relay hands the events to the consumers that are connected; with --as to one, which gets \
them when it is back. With --to this machine makes the call at once, and the relay keeps the outcome. Ends \
with 16 when a target did not answer.

A replay is the captured request to the byte. With --resign the relay signs it anew, with the time of now and the \
endpoint's secret, which stays there; the token needs the scope `write`, and who has it can have anything signed.

Examples:
  towline replay evt_06…
  towline replay evt_06… --to 3000
  towline replay evt_06… --resign                              an old event, past the app's own tolerance
  towline replay evt_06… --resign --delivery-id new            one that the app has seen already
  towline replay evt_06… --resign --set /data/amount=500       with another amount
  towline replay evt_06… --resign --edit                       in your editor
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
    /// Say what would be delivered to whom, and deliver nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    signing: SigningOptions,
    #[command(flatten)]
    edit: EditOptions,
    #[command(flatten)]
    call: CallOptions,
}

/// How the requests are signed again.
#[derive(Debug, Args)]
#[command(next_help_heading = "Signature")]
struct SigningOptions {
    /// Sign again: fresh time, the endpoint's secret; at most 100 events
    #[arg(long)]
    resign: bool,
    /// The provider's id of the delivery: the same, which the app may take for a repeat, or a new one
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        default_value = "same",
        requires = "resign"
    )]
    delivery_id: DeliveryId,
}

/// What becomes of the provider's id of the delivery.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DeliveryId {
    Same,
    New,
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
/// When the relay cannot be reached, an event is not there, cannot be signed again, or the edit was given up.
pub async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let body = match (arguments.edit.is_wanted(), &arguments.events[..]) {
        (false, _) => None,
        (true, &[event]) => Some(arguments.edit.body(event, &api, context).await?),
        (true, _) => {
            return Err(Failure::usage("the body of one event is edited at a time").into());
        }
    };
    let delivery_id = match arguments.signing.delivery_id {
        DeliveryId::Same => DeliveryIdChoice::Same,
        DeliveryId::New => DeliveryIdChoice::New,
    };
    let ask = AskReplays {
        events: arguments.events,
        consumer: arguments.consumer,
        resign: arguments.signing.resign.then_some(Resign { delivery_id }),
        body_base64: body.as_ref().map(|body| BASE64.encode(body)),
        hand_out: arguments.to.is_some(),
        dry_run: arguments.dry_run,
    };
    let Some(target) = arguments.to.filter(|_| !ask.dry_run) else {
        let replays = api.ask_replays(&ask).await?;
        return show(&replays, &ask, context);
    };
    let is_exact = ask.resign.is_none() && body.is_none();
    let replays = if is_exact {
        None
    } else {
        let replays = api.ask_replays(&ask).await?.replays;
        replays
            .iter()
            .for_each(|replay| warn(replay, &ask, context));
        Some(replays)
    };
    let requests = direct::Requests {
        events: &ask.events,
        replays: replays.as_deref(),
        body,
    };
    direct::replay(requests, target, arguments.call, context).await
}

fn show(replays: &Replays, ask: &AskReplays, context: &Context) -> anyhow::Result<Exit> {
    for replay in &replays.replays {
        warn(replay, ask, context);
    }
    if context.global.json {
        context.screen.json(replays)?;
        return Ok(Exit::Done);
    }
    let layout = Layout::new(
        context.screen.terminal_columns(),
        context.screen.zone().clone(),
    );
    for replay in &replays.replays {
        context.screen.data(&line(replay, ask))?;
        for line in event_lines::changes(&replay.changes, &layout) {
            context.screen.data(&line)?;
        }
    }
    if ask.dry_run {
        context
            .screen
            .notice("nothing was delivered: this was a dry run");
    }
    Ok(Exit::Done)
}

/// An edited body goes with the old signature when nobody asks for a new one.
fn warn(replay: &ReplayView, ask: &AskReplays, context: &Context) {
    let is_broken = matches!(replay.verdict, Some(Verdict::Failed(_)));
    if ask.resign.is_none() && is_broken {
        context.screen.notice(&format!(
            "{} the signature of {} does not match the edited body; `--resign` signs it again",
            paint::odd("note:"),
            replay.event
        ));
    }
}

fn line(replay: &ReplayView, ask: &AskReplays) -> String {
    let state = match (replay.is_connected, ask.dry_run) {
        _ if ask.hand_out => paint::good("called from here"),
        (true, false) => paint::good("connected: delivered in a moment"),
        (true, true) => paint::good("connected: would be delivered at once"),
        (false, _) => paint::odd("away: delivered when it is back"),
    };
    if ask.dry_run {
        return format!("{}  {}  {state}", replay.event, replay.consumer);
    }
    format!(
        "{}  {}  {}  {state}",
        replay.event, replay.id, replay.consumer
    )
}
