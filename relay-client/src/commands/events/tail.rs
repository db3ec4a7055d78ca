//! `towline events tail`: events as they arrive, whoever consumes them. Comes back by itself after a break and
//! fills the hole from the list.

use std::time::{Duration, Instant};

use clap::Args;
use towline_shared::api::EventSummary;
use towline_shared::backoff::Backoff;
use towline_shared::id::{EndpointName, EventId};

use super::super::{Context, Exit};
use crate::relay_api::{ApiError, EventQuery, RelayApi, TailItem};
use crate::screen::event_lines::{self, Arrival, Layout};
use crate::screen::{paint, quantity};

/// More missed events than this are told as a number.
const MOST_MISSED: u32 = 1000;

/// The options of `tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline events tail --endpoint orders
  towline events tail --json | jq -r '.id + \" \" + .verdict.result'")]
pub struct Arguments {
    /// Only those of this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<EndpointName>,
}

/// Prints until ^C.
pub(super) async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
        ended = follow(&api, arguments.endpoint.as_ref(), context) => ended,
    }
}

async fn follow(
    api: &RelayApi,
    endpoint: Option<&EndpointName>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut backoff = Backoff::reconnect();
    let mut last = None;
    let mut was_connected = false;
    loop {
        let error = match api.tail(endpoint, last).await {
            Ok(mut tail) => {
                backoff.succeeded(Instant::now());
                if !was_connected && !context.global.json {
                    context
                        .screen
                        .notice(&paint::quiet("waiting for events; ^C ends"));
                }
                was_connected = true;
                let missed = missed(api, endpoint, last).await?;
                for event in missed.into_iter().rev() {
                    show(&event, &mut last, context)?;
                }
                loop {
                    match tail.next().await {
                        Ok(Some(TailItem::Event(event))) => show(&event, &mut last, context)?,
                        Ok(Some(TailItem::Other(_))) => {}
                        Ok(None) => break None,
                        Err(error) => break Some(error),
                    }
                }
            }
            Err(error) => Some(error),
        };
        // A relay that was never there is an error; one that went away comes back.
        match error {
            Some(error) if !was_connected || !error.may_pass() => return Err(error.into()),
            error => wait(error, &mut backoff, context).await,
        }
    }
}

async fn wait(error: Option<ApiError>, backoff: &mut Backoff, context: &Context) {
    let wait = backoff.next_wait(Instant::now(), random());
    let why = error.map_or_else(
        || "the relay ended the stream".to_owned(),
        |error| error.to_string(),
    );
    context.screen.notice(&format!(
        "{} {why}; trying again in {}",
        paint::odd("reconnecting:"),
        quantity::duration(wait)
    ));
    tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
}

/// What came since the last event that was shown, newest first.
async fn missed(
    api: &RelayApi,
    endpoint: Option<&EndpointName>,
    last: Option<EventId>,
) -> Result<Vec<EventSummary>, ApiError> {
    let Some(last) = last else {
        return Ok(Vec::new());
    };
    let query = EventQuery {
        endpoint: endpoint.cloned(),
        limit: MOST_MISSED,
        ..EventQuery::default()
    };
    let mut events = api.events(&query).await?.events;
    events.retain(|event| event.info.id > last);
    Ok(events)
}

/// Shows an event unless it was shown before: the list and the stream overlap.
fn show(event: &EventSummary, last: &mut Option<EventId>, context: &Context) -> anyhow::Result<()> {
    if last.is_some_and(|last| event.info.id <= last) {
        return Ok(());
    }
    *last = Some(event.info.id);
    if context.global.json {
        return Ok(context.screen.json(event)?);
    }
    let mut screen = context.screen.clone();
    screen.measure();
    let layout = Layout::new(screen.terminal_columns(), screen.zone().clone());
    let arrival = Arrival {
        info: &event.info,
        method: &event.method,
        target: &event.target,
        replayed_at: None,
    };
    for line in event_lines::arrival(arrival, &layout) {
        screen.data(&line)?;
    }
    Ok(())
}

/// A number in 0..1 for the backoff's jitter.
fn random() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
