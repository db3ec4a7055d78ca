//! `towline events list`

use clap::Args;
use towline_shared::api::EventSummary;
use towline_shared::id::{EndpointName, EventId};
use towline_shared::outcome::{Attempt, Outcome, Settled};

use super::super::filter_options::FilterOptions;
use super::super::{Context, Exit};
use crate::relay_api::EventQuery;
use crate::screen::table::{Cell, Table, Tone};
use crate::screen::{escape, event_lines, paint, quantity, verdict_words};

/// The most that the relay gives at a time.
const PAGE: u32 = 1000;

/// The options of `list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline events list --endpoint orders --limit 50
  towline events list --rejected
  towline events list --filter 'json(\"/data/customer\") == \"cus_1\"' --all
  towline events list --json --all | jq -r .id")]
pub struct Arguments {
    /// Only those of this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<EndpointName>,
    /// Only those that no consumer gets: failed checks, repeats, challenges
    #[arg(long)]
    rejected: bool,
    /// The most to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Only those older than this one
    #[arg(long, value_name = "ID")]
    before: Option<EventId>,
    /// List all of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    filter: FilterOptions,
}

/// Lists page by page.
pub(super) async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let mut left = if arguments.all {
        u32::MAX
    } else {
        arguments.limit
    };
    let mut query = EventQuery {
        endpoint: arguments.endpoint,
        before: arguments.before,
        rejected: arguments.rejected,
        filter: arguments.filter.read()?,
        limit: 0,
    };
    let mut is_titled = false;
    loop {
        query.limit = left.min(PAGE);
        let page = api.events(&query).await?;
        // A page of a search may be empty and not the last.
        let is_last = page.next.is_none();
        if !page.events.is_empty() || (is_last && !is_titled) {
            show(&page.events, !is_titled, context)?;
            is_titled = true;
        }
        left = left.saturating_sub(u32::try_from(page.events.len()).unwrap_or(u32::MAX));
        let Some(next) = page.next else {
            return Ok(Exit::Done);
        };
        if left == 0 {
            more(next, context);
            return Ok(Exit::Done);
        }
        query.before = Some(next);
    }
}

fn more(next: EventId, context: &Context) {
    if !context.global.json {
        let text = format!("there are more: `--before {next}` continues, `--all` lists them all");
        context.screen.notice(&paint::quiet(text));
    }
}

fn show(events: &[EventSummary], is_first: bool, context: &Context) -> anyhow::Result<()> {
    if context.global.json {
        for event in events {
            context.screen.json(event)?;
        }
        return Ok(());
    }
    if events.is_empty() && is_first {
        context.screen.notice("no events");
        return Ok(());
    }
    let mut table = Table::new(&[
        "RECEIVED", "EVENT", "ENDPOINT", "REQUEST", "SIZE", "VERDICT", "OUTCOME",
    ]);
    for event in events {
        let info = &event.info;
        let (verdict, verdict_tone) = verdict_words::in_a_word(info);
        let (outcome, outcome_tone) = outcome(event);
        table.row([
            quantity::date_and_time(info.received_at, context.screen.zone()).into(),
            info.id.to_string().into(),
            info.endpoint.as_str().into(),
            request(event).into(),
            quantity::size(info.body_length).into(),
            Cell::new(verdict, verdict_tone),
            Cell::new(outcome, outcome_tone),
        ]);
    }
    let lines = table.lines(context.screen.terminal_columns(), 3);
    let titles = usize::from(!is_first);
    for line in &lines[titles..] {
        context.screen.data(line)?;
    }
    Ok(())
}

/// Method, path and what happened, as in `listen`.
fn request(event: &EventSummary) -> String {
    let method = escape::line(&event.method);
    let target = event_lines::short_target(&event.target);
    match &event.info.event_type {
        Some(kind) => format!("{method} {target} {}", escape::line(kind)),
        None => format!("{method} {target}"),
    }
}

fn outcome(event: &EventSummary) -> (String, Tone) {
    if event.info.duplicate_of.is_some()
        && event.latest_attempt.is_none()
        && !event.info.is_deliverable
    {
        return ("duplicate".to_owned(), Tone::Quiet);
    }
    if let Some(status) = event.info.answered {
        return (format!("answered {status}"), Tone::Quiet);
    }
    if !event.info.is_deliverable {
        return ("not delivered".to_owned(), Tone::Quiet);
    }
    match &event.latest_attempt {
        Some(attempt) => of_attempt(attempt),
        None => ("none yet".to_owned(), Tone::Quiet),
    }
}

fn of_attempt(attempt: &Attempt) -> (String, Tone) {
    match (&attempt.outcome, attempt.settled) {
        (Outcome::Answered { status, .. }, Some(Settled::Done)) => (status.to_string(), Tone::Good),
        (Outcome::Answered { status, .. }, _) => (status.to_string(), Tone::Bad),
        (_, Some(Settled::Parked)) => ("parked".to_owned(), Tone::Bad),
        (Outcome::Refused { .. }, _) => ("refused".to_owned(), Tone::Odd),
        (Outcome::TimedOut { .. }, _) => ("timed out".to_owned(), Tone::Odd),
        (Outcome::Reset { .. }, _) => ("reset".to_owned(), Tone::Odd),
        (Outcome::NoRoute, _) => ("skipped".to_owned(), Tone::Quiet),
        (Outcome::CutOff, _) => ("cut off".to_owned(), Tone::Odd),
    }
}
