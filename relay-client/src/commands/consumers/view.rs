//! How consumers are shown.

use std::time::Duration;

use serde_json::json;
use towline_shared::api::{ConsumerView, LastOutcome};
use towline_shared::id::EndpointName;
use towline_shared::outcome::Settled;
use towline_shared::time::Timestamp;

use super::super::{Context, Exit, wall_clock};
use crate::screen::table::{Cell, Table, Tone};
use crate::screen::{escape, paint, quantity};

/// All of them, one a line.
pub(super) fn list(
    found: &[(EndpointName, ConsumerView)],
    context: &Context,
) -> anyhow::Result<Exit> {
    if context.global.json {
        for (endpoint, consumer) in found {
            context.screen.json(&with_endpoint(endpoint, consumer)?)?;
        }
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        let hint = "there are no consumers; `towline listen 3000 --endpoint NAME` makes one";
        context.screen.notice(hint);
        return Ok(Exit::Done);
    }
    let titles = [
        "ENDPOINT",
        "CONSUMER",
        "CURSOR",
        "WAITING",
        "SESSION",
        "LAST OUTCOME",
    ];
    let mut table = Table::new(&titles);
    for (endpoint, consumer) in found {
        let [name, cursor, waiting, session, outcome] = cells(consumer, wall_clock::now());
        table.row([
            endpoint.as_str().into(),
            name,
            cursor,
            waiting,
            session,
            outcome,
        ]);
    }
    for line in table.lines(context.screen.terminal_columns(), 4) {
        context.screen.data(&line)?;
    }
    Ok(Exit::Done)
}

/// The consumers of one endpoint as a table; nothing when there are none.
pub(in super::super) fn table(consumers: &[ConsumerView]) -> Option<Table> {
    if consumers.is_empty() {
        return None;
    }
    let mut table = Table::new(&["CONSUMER", "CURSOR", "WAITING", "SESSION", "LAST OUTCOME"]);
    for consumer in consumers {
        table.row(cells(consumer, wall_clock::now()));
    }
    Some(table)
}

/// One of them, with all that is known.
pub(super) fn one(
    endpoint: &EndpointName,
    consumer: &ConsumerView,
    context: &Context,
) -> anyhow::Result<Exit> {
    if context.global.json {
        context.screen.json(&with_endpoint(endpoint, consumer)?)?;
        return Ok(Exit::Done);
    }
    let zone = context.screen.zone();
    let now = wall_clock::now();
    let mut facts = vec![
        ("consumer", paint::strong(&consumer.name)),
        ("endpoint", endpoint.to_string()),
        ("cursor", format!("event {} of it", consumer.cursor)),
        ("waiting", waiting(consumer, now).0),
        ("made", quantity::date_and_time(consumer.created_at, zone)),
    ];
    if let Some(filter) = &consumer.filter {
        let filter = escape::line(filter);
        let left_out = quantity::count(consumer.filtered, "event");
        facts.push(("filter", format!("{filter} ({left_out} left out)")));
    }
    match &consumer.session {
        None => facts.push(("session", "away".to_owned())),
        Some(session) => {
            let since = quantity::date_and_time(session.since, zone);
            facts.push(("session", format!("{} since {since}", session.id)));
            let token = escape::line(&session.token);
            facts.push(("from", format!("{} with token `{token}`", session.remote)));
            facts.push(("client", escape::line(&session.client).into_owned()));
        }
    }
    if let Some(last) = &consumer.last_outcome {
        let at = quantity::date_and_time(last.at, zone);
        let (text, _) = outcome(last);
        facts.push(("last", format!("{text} for {} at {at}", last.event)));
    }
    for (label, value) in facts {
        let label = paint::quiet(format_args!("{label:<10}"));
        context.screen.data(&format!("{label}{value}"))?;
    }
    Ok(Exit::Done)
}

fn with_endpoint(
    endpoint: &EndpointName,
    consumer: &ConsumerView,
) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(consumer)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("endpoint".to_owned(), json!(endpoint));
    }
    Ok(value)
}

fn cells(consumer: &ConsumerView, now: Timestamp) -> [Cell; 5] {
    let (waiting, waiting_tone) = waiting(consumer, now);
    let session = match &consumer.session {
        None => Cell::new("away", Tone::Quiet),
        Some(session) => {
            let since = quantity::duration(passed(session.since, now));
            let token = escape::line(&session.token);
            Cell::new(format!("{token}, {since}"), Tone::Good)
        }
    };
    let last = match &consumer.last_outcome {
        None => Cell::new("none yet", Tone::Quiet),
        Some(last) => {
            let (text, tone) = outcome(last);
            let ago = quantity::duration(passed(last.at, now));
            Cell::new(format!("{text}, {ago} ago"), tone)
        }
    };
    [
        consumer.name.as_str().into(),
        consumer.cursor.to_string().into(),
        Cell::new(waiting, waiting_tone),
        session,
        last,
    ]
}

/// How many events wait, and for how long.
fn waiting(consumer: &ConsumerView, now: Timestamp) -> (String, Tone) {
    match (consumer.backlog, consumer.oldest_waiting) {
        (0, _) => ("0".to_owned(), Tone::Plain),
        (backlog, None) => (backlog.to_string(), Tone::Odd),
        (backlog, Some(oldest)) => {
            let age = quantity::duration(passed(oldest, now));
            (format!("{backlog}, oldest {age}"), Tone::Odd)
        }
    }
}

fn outcome(last: &LastOutcome) -> (String, Tone) {
    let text = match last.status {
        Some(status) => status.to_string(),
        None => escape::line(&last.result).replace('_', " "),
    };
    match last.settled {
        Some(Settled::Done) => (text, Tone::Good),
        Some(Settled::Failed) => (text, Tone::Bad),
        Some(Settled::Parked) => (format!("{text}, parked"), Tone::Bad),
        Some(Settled::Skipped) => (text, Tone::Quiet),
        None => (format!("{text}, goes on"), Tone::Odd),
    }
}

fn passed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(now.as_millis().saturating_sub(since.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(backlog: u64, oldest: Option<u64>) -> ConsumerView {
        ConsumerView {
            name: "laptop:3000".parse().unwrap(),
            cursor: towline_shared::id::Seq(7),
            backlog,
            oldest_waiting: oldest.map(Timestamp::from_millis),
            created_at: Timestamp::from_millis(0),
            is_connected: false,
            session: None,
            last_outcome: None,
            filter: None,
            filtered: 0,
        }
    }

    #[test]
    fn what_waits_says_for_how_long() {
        let now = Timestamp::from_millis(130_000);

        assert_eq!(waiting(&consumer(0, None), now).0, "0");
        assert_eq!(
            waiting(&consumer(3, Some(5_000)), now).0,
            "3, oldest 2 m 5 s"
        );
        let clock_behind = Timestamp::from_millis(1);
        assert_eq!(
            waiting(&consumer(3, Some(5_000)), clock_behind).0,
            "3, oldest 0.0 ms"
        );
    }

    #[test]
    fn an_outcome_says_whether_it_settled_anything() {
        let last = |status: Option<u16>, settled| LastOutcome {
            event: "evt_00000000000000000000000000".parse().unwrap(),
            at: Timestamp::from_millis(0),
            result: "timed_out".to_owned(),
            status,
            settled,
        };

        assert_eq!(outcome(&last(Some(200), Some(Settled::Done))).0, "200");
        assert_eq!(
            outcome(&last(None, Some(Settled::Parked))).0,
            "timed out, parked"
        );
        assert_eq!(outcome(&last(None, None)).0, "timed out, goes on");
    }
}
