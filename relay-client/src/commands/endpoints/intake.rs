//! How much an endpoint takes in, as it is typed and as it is shown.

use clap::Args;
use towline_shared::api::EndpointLimits;

use crate::cli::parse_size;
use crate::screen::quantity;

/// What an endpoint takes in.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is taken in")]
pub(super) struct IntakeOptions {
    /// Events a second; senders get 429 with Retry-After beyond it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_events_per_second: Option<u32>,
    /// Bytes of bodies a second, such as `1MB`
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_bytes_per_second: Option<u64>,
    /// Rejected requests that are kept in a minute; the others get the same answer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_rejected_per_minute: Option<u32>,
}

impl IntakeOptions {
    /// Whether anything was given.
    pub(super) const fn is_given(&self) -> bool {
        self.max_events_per_second.is_some()
            || self.max_bytes_per_second.is_some()
            || self.max_rejected_per_minute.is_some()
    }

    /// What was given; the rest has no limit but the relay's.
    pub(super) const fn limits(&self) -> EndpointLimits {
        EndpointLimits {
            events_per_second: self.max_events_per_second,
            bytes_per_second: self.max_bytes_per_second,
            rejected_per_minute: self.max_rejected_per_minute,
        }
    }
}

/// The limits in words; nothing when there is none.
pub(super) fn limits(limits: &EndpointLimits) -> Option<String> {
    let events = limits
        .events_per_second
        .map(|events| format!("{} a second", quantity::count(events.into(), "event")));
    let bytes = limits
        .bytes_per_second
        .map(|bytes| format!("{} a second", quantity::size(bytes)));
    let rejected = limits
        .rejected_per_minute
        .map(|rejected| format!("{rejected} rejected kept a minute"));
    let parts: Vec<String> = events.into_iter().chain(bytes).chain(rejected).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_as_sentences() {
        let all = EndpointLimits {
            events_per_second: Some(1),
            bytes_per_second: Some(2_000_000),
            rejected_per_minute: Some(9),
        };

        assert_eq!(limits(&EndpointLimits::default()), None);
        assert_eq!(
            limits(&all).unwrap(),
            "1 event a second, 2.0 MB a second, 9 rejected kept a minute"
        );
    }
}
