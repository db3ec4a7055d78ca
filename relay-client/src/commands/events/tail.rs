//! `towline events tail`: events as they arrive, whoever consumes them. Comes back by itself after a break,
//! behind the last event that was shown.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use clap::Args;
use towline_shared::api::EventSummary;
use towline_shared::backoff::Backoff;
use towline_shared::id::{EndpointName, EventId};

use super::super::filter_options::FilterOptions;
use super::super::{Context, Exit};
use crate::relay_api::{ApiError, RelayApi, Tail, TailItem};
use crate::screen::event_lines::{self, Arrival, Layout};
use crate::screen::paint;

/// How many shown events are remembered, so that none is shown twice: many more than the relay repeats when a
/// stream is resumed.
const REMEMBERED: usize = 4096;

/// The options of `tail`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline events tail --endpoint orders
  towline events tail --filter 'verdict == failed || size > 100000'
  towline events tail --json | jq -r '.id + \" \" + .verdict.result'")]
pub struct Arguments {
    /// Only those of this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<EndpointName>,
    /// Only those that no consumer gets, because their check failed
    #[arg(long)]
    rejected: bool,
    #[command(flatten)]
    filter: FilterOptions,
}

/// Prints until ^C.
pub(super) async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
        ended = follow(&api, &arguments, context) => ended,
    }
}

async fn follow(api: &RelayApi, arguments: &Arguments, context: &Context) -> anyhow::Result<Exit> {
    let filter = arguments.filter.read()?;
    let mut backoff = Backoff::reconnect();
    let mut link = Link::New;
    let mut shown = Shown::default();
    loop {
        let error = match api
            .tail(
                arguments.endpoint.as_ref(),
                arguments.rejected,
                filter.as_ref(),
                shown.last,
            )
            .await
        {
            Ok(tail) => {
                backoff.succeeded(Instant::now());
                link.connected(context);
                show_all(tail, &mut shown, context).await?
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
    shown: &mut Shown,
    context: &Context,
) -> anyhow::Result<Option<ApiError>> {
    loop {
        match tail.next().await {
            Ok(Some(TailItem::Event(event))) if !shown.note(event.info.id) => {}
            Ok(Some(TailItem::Event(event))) => show(&event, context)?,
            Ok(Some(TailItem::Gap)) => context.screen.notice(&format!(
                "{} some events are left out here; `towline events list` has what is kept of them",
                paint::odd("gap:")
            )),
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

/// What was shown. Ids do not tell the order of events within a millisecond, and a stream that is resumed may
/// repeat some, so each id counts by itself.
#[derive(Default)]
struct Shown {
    last: Option<EventId>,
    ids: HashSet<EventId>,
    oldest_first: VecDeque<EventId>,
}

impl Shown {
    /// Notes an event that comes; false when it was shown before.
    fn note(&mut self, id: EventId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.last = Some(id);
        self.oldest_first.push_back(id);
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

fn show(event: &EventSummary, context: &Context) -> anyhow::Result<()> {
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

#[cfg(test)]
mod tests {
    use towline_shared::time::Timestamp;

    use super::*;

    fn id(millis: u64, random: u8) -> EventId {
        EventId::new(Timestamp::from_millis(millis), [random; 10])
    }

    #[test]
    fn events_of_one_millisecond_are_shown_in_any_order_and_once() {
        let mut shown = Shown::default();

        assert!(shown.note(id(1, 9)));
        assert!(shown.note(id(1, 1)));
        assert!(!shown.note(id(1, 9)));
        assert_eq!(shown.last, Some(id(1, 1)));
    }

    #[test]
    fn as_many_events_are_remembered_as_there_is_room_for() {
        let mut shown = Shown::default();
        for millis in 0..=REMEMBERED as u64 {
            shown.note(id(millis, 1));
        }

        assert_eq!(shown.ids.len(), REMEMBERED);
        assert!(!shown.note(id(1, 1)));
        assert!(shown.note(id(0, 1)));
    }
}
