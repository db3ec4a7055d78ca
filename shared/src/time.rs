//! Points in time as they are stored and sent: milliseconds since the Unix epoch.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A wall-clock time in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// In JSON it is a number. [`fmt::Display`] writes RFC 3339 in UTC with three decimals.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as signature schemes count them.
    pub const fn as_seconds(self) -> i64 {
        (self.0 / 1000).cast_signed()
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0)
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        {
            Some(time) => write!(f, "{time:.3}"),
            None => write!(f, "{} ms after the epoch", self.0),
        }
    }
}

/// The text is not an RFC 3339 time.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a time such as 2026-11-21T12:00:00Z")]
pub struct NotATime(String);

impl FromStr for Timestamp {
    type Err = NotATime;

    /// Reads RFC 3339 (section 5.6), with any offset.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse().map_err(|_| NotATime(text.to_owned()))?;
        let millis = u64::try_from(time.as_millisecond()).map_err(|_| NotATime(text.to_owned()))?;
        Ok(Self(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_and_read_as_rfc_3339() {
        let time = Timestamp::from_millis(1_760_000_000_120);

        assert_eq!(time.to_string(), "2025-10-09T08:53:20.120Z");
        assert_eq!(
            "2025-10-09T10:53:20.120+02:00"
                .parse::<Timestamp>()
                .unwrap(),
            time
        );
    }

    #[test]
    fn a_time_out_of_range_is_still_printable() {
        assert!(
            Timestamp::from_millis(u64::MAX)
                .to_string()
                .ends_with("after the epoch")
        );
    }
}
