//! How long and how much an endpoint keeps, as it is typed and as it is shown.

use std::time::Duration;

use clap::Args;
use towline_shared::api::{Retention, Usage};

use super::super::Context;
use crate::cli::{parse_duration, parse_size};
use crate::screen::quantity;

/// What an endpoint keeps.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is kept")]
pub(super) struct KeepOptions {
    /// How long events are kept, such as `30d`
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    keep_for: Option<Duration>,
    /// How many events are kept
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keep_events: Option<u64>,
    /// How much is kept, such as `2GB`
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    keep_bytes: Option<u64>,
}

impl KeepOptions {
    /// Whether anything was given.
    pub(super) const fn is_given(&self) -> bool {
        self.keep_for.is_some() || self.keep_events.is_some() || self.keep_bytes.is_some()
    }

    /// What was given; the rest has no bound but the relay's. A time is rounded up to whole seconds.
    pub(super) fn retention(&self) -> Retention {
        Retention {
            max_age_seconds: self
                .keep_for
                .map(|time| u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX)),
            max_events: self.keep_events,
            max_bytes: self.keep_bytes,
        }
    }
}

/// The bounds in words.
pub(super) fn bounds(retention: &Retention) -> String {
    let age = retention
        .max_age_seconds
        .map(|seconds| format!("for {}", age(seconds)));
    let events = retention
        .max_events
        .map(|events| quantity::count(events, "event"));
    let bytes = retention.max_bytes.map(quantity::size);
    let bounds: Vec<String> = age.into_iter().chain(events).chain(bytes).collect();
    match bounds.as_slice() {
        [] => "everything".to_owned(),
        [one] => format!("at most {one}").replace("at most for", "for"),
        several => several.join(", at most ").replace("at most for", "for"),
    }
}

/// What is kept now, in words.
pub(super) fn usage(usage: &Usage, context: &Context) -> String {
    let mut text = format!(
        "{}, {}",
        quantity::count(usage.events, "event"),
        quantity::size(usage.bytes)
    );
    if usage.others > 0 {
        text = format!("{text}, {} not for consumers", usage.others);
    }
    if let Some(oldest) = usage.oldest {
        let since = quantity::date_and_time(oldest, context.screen.zone());
        text = format!("{text}, since {since}");
    }
    if usage.pinned > 0 {
        text = format!("{text}, {} pinned", usage.pinned);
    }
    if usage.rejected_not_kept > 0 {
        let number = usage.rejected_not_kept;
        text = format!("{text}; {number} rejected were answered and not kept");
    }
    text
}

/// Whole days, hours and so on where they fit.
fn age(seconds: u64) -> String {
    for (unit, length) in [("day", 86_400), ("hour", 3_600), ("minute", 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return quantity::count(seconds / length, unit);
        }
    }
    quantity::count(seconds, "second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_read_as_sentences() {
        let nothing = Retention::default();
        let age = Retention {
            max_age_seconds: Some(30 * 86_400),
            ..nothing
        };
        let all = Retention {
            max_events: Some(1),
            max_bytes: Some(2_000_000_000),
            max_age_seconds: Some(90),
        };

        assert_eq!(bounds(&nothing), "everything");
        assert_eq!(bounds(&age), "for 30 days");
        assert_eq!(
            bounds(&all),
            "for 90 seconds, at most 1 event, at most 2.0 GB"
        );
    }
}
