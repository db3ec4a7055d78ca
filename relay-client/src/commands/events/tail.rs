//! `towline events tail`: events as they arrive, whoever consumes them. Comes back by itself after a break and
//! fills the hole from the list.

use std::time::Instant;

use clap::Args;
use towline_shared::api::EventSummary;
use towline_shared::backoff::Backoff;
use towline_shared::id::{EndpointName, EventId};

use super::super::{Context, Exit};
use crate::relay_api::{ApiError, EventQuery, RelayApi, Tail, TailItem};
use crate::screen::event_lines::{self, Arrival, Layout};
use crate::screen::paint;

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
    let mut link = Link::New;
    let mut last = None;
    loop {
        let error = match api.tail(endpoint, last).await {
            Ok(tail) => {
                backoff.succeeded(Instant::now());
                link.connected(context);
                show_all(tail, api, endpoint, &mut last, context).await?
            }
            Err(error) => Some(error),
        };
        // A relay that was never there is an error; one that went away comes back.
        match error {
            Some(error) if link == Link::New || !error.may_pass() => return Err(error.into()),
            error => link.lost(error.as_ref(), context),
        }
        tokio::time::sleep(backoff.next_wait(Instant::now(), random())).await;
    }
}

/// Shows what was missed and what comes, until the stream ends; how it broke, if it did.
async fn show_all(
    mut tail: Tail,
    api: &RelayApi,
    endpoint: Option<&EndpointName>,
    last: &mut Option<EventId>,
    context: &Context,
) -> anyhow::Result<Option<ApiError>> {
    let missed = match missed(api, endpoint, *last).await {
        Ok(missed) => missed,
        Err(error) => return Ok(Some(error)),
    };
    for event in missed.into_iter().rev() {
        show(&event, last, context)?;
    }
    loop {
        match tail.next().await {
            Ok(Some(TailItem::Event(event))) => show(&event, last, context)?,
            Ok(Some(TailItem::Other(_))) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        }
    }
}

/// How it stands with the relay; each change is told once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    New,
    Connected,
    Lost,
}

impl Link {
    fn connected(&mut self, context: &Context) {
        let text = match self {
            Self::New => paint::quiet("waiting for events; ^C ends"),
            Self::Connected => return,
            Self::Lost => paint::good("connected again"),
        };
        *self = Self::Connected;
        if !context.global.json {
            context.screen.notice(&text);
        }
    }

    fn lost(&mut self, error: Option<&ApiError>, context: &Context) {
        if *self == Self::Lost {
            return;
        }
        *self = Self::Lost;
        let why = error.map_or_else(
            || "the relay ended the stream".to_owned(),
            ToString::to_string,
        );
        let text = format!(
            "{} {why}; trying again until it is back",
            paint::odd("reconnecting:")
        );
        context.screen.notice(&text);
    }
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
