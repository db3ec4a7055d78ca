//! Values of options, read once into types that cannot be wrong.

use std::str::FromStr;
use std::time::Duration;

use towline_shared::head::{is_token, is_value_byte};
use towline_shared::id::EventId;
use towline_shared::time::Timestamp;
use towline_shared::wire::Start;

use crate::listen::HostHeader;

/// Where a new consumer starts, as typed: `now`, `beginning`, `last`, a time, a time ago, or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// As the wire has it.
    Start(Start),
    /// That long ago.
    Ago(Duration),
}

impl Since {
    /// What to tell the relay, when it is `now`.
    pub fn start(self, now: Timestamp) -> Start {
        match self {
            Self::Start(start) => start,
            Self::Ago(ago) => {
                let millis = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                Start::Time(Timestamp::from_millis(
                    now.as_millis().saturating_sub(millis),
                ))
            }
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start = match text {
            "now" => Start::Now,
            "beginning" => Start::Beginning,
            "last" => Start::Last,
            _ if text.starts_with("evt_") => {
                Start::Event(text.parse::<EventId>().map_err(|error| error.to_string())?)
            }
            _ => {
                if let Ok(ago) = parse_duration(text) {
                    return Ok(Self::Ago(ago));
                }
                let time = text.parse().map_err(|_| {
                    "expected `now`, `beginning`, `last`, a time such as 2026-11-24T12:00:00Z, \
                     a time ago such as 10m, or an event id"
                        .to_owned()
                })?;
                Start::Time(time)
            }
        };
        Ok(Self::Start(start))
    }
}

/// Reads `500ms`, `30s`, `10m`, `2h` or `7d`; a bare number counts seconds.
///
/// # Errors
/// When it is not of that form, or zero.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a duration such as 500ms, 30s, 10m, 2h or 7d".to_owned();
    let unit_start = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_start);
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let millis_each = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected()),
    };
    match number.checked_mul(millis_each) {
        Some(0) | None => Err(expected()),
        Some(millis) => Ok(Duration::from_millis(millis)),
    }
}

/// Reads `500`, `64kB`, `10MB`, `2GB` or `1TB` as bytes, in powers of a thousand as sizes are shown.
///
/// # Errors
/// When it is not of that form, or zero.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as 500kB, 10MB or 2GB".to_owned();
    let unit_start = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_start);
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let bytes_each: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" | "" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(expected()),
    };
    match number.checked_mul(bytes_each) {
        Some(0) | None => Err(expected()),
        Some(bytes) => Ok(bytes),
    }
}

/// Reads `Name: value` into a field that may stand in a head.
///
/// # Errors
/// Names the part that may not.
pub fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| "expected `Name: value`".to_owned())?;
    let value = value.trim_matches([' ', '\t']);
    if !is_token(name.as_bytes()) {
        return Err("the name has a character that no field name may have".to_owned());
    }
    let framing = ["content-length", "transfer-encoding", "connection", "host"];
    if framing.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!(
            "`{name}` is not a field that can be added (for Host there is --host-header)"
        ));
    }
    check_value(value)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads `preserve`, `rewrite` or a value.
///
/// # Errors
/// When the value may not stand in a head.
pub fn parse_host_header(text: &str) -> Result<HostHeader, String> {
    match text {
        "preserve" => Ok(HostHeader::Preserve),
        "rewrite" => Ok(HostHeader::Rewrite),
        "" => Err("expected `preserve`, `rewrite` or a value".to_owned()),
        value => {
            check_value(value)?;
            Ok(HostHeader::Value(value.to_owned()))
        }
    }
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// When there is no `=` or nothing before it.
pub fn parse_parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected `KEY=VALUE`".to_owned()),
    }
}

fn check_value(value: &str) -> Result<(), String> {
    if value.bytes().all(is_value_byte) {
        Ok(())
    } else {
        Err("the value has a control character".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_a_unit_or_count_seconds() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("30", 30_000),
            ("10m", 600_000),
            ("2h", 7_200_000),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), millis, "{text}");
        }
        for bad in [
            "",
            "0",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "1y",
            "99999999999999999999",
            "99999999999999999d",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_a_unit_or_count_bytes() {
        for (text, bytes) in [
            ("1", 1),
            ("500B", 500),
            ("64kB", 64_000),
            ("10MB", 10_000_000),
            ("2gb", 2_000_000_000),
            ("1TB", 1_000_000_000_000),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for bad in [
            "",
            "0",
            "0GB",
            "GB",
            "-1",
            "1.5GB",
            "1 GB",
            "1KiB",
            "99999999TB",
        ] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn since_takes_words_times_and_events() {
        let now = Timestamp::from_millis(1_000_000);
        let start = |text: &str| text.parse::<Since>().unwrap().start(now);

        assert_eq!(start("beginning"), Start::Beginning);
        assert_eq!(start("10s"), Start::Time(Timestamp::from_millis(990_000)));
        assert_eq!(start("9999d"), Start::Time(Timestamp::from_millis(0)));
        assert!(matches!(start("2026-11-24T12:00:00Z"), Start::Time(_)));
        for bad in ["yesterday", "evt_x", ""] {
            assert!(bad.parse::<Since>().is_err(), "{bad}");
        }
    }

    #[test]
    fn added_headers_cannot_break_the_head() {
        assert_eq!(
            parse_header("X-Test:  a b ").unwrap(),
            ("X-Test".to_owned(), "a b".to_owned())
        );
        for bad in [
            "X Test: a",
            "X-Test",
            ": a",
            "X: a\r\nY: b",
            "Content-Length: 5",
            "host: x",
        ] {
            assert!(parse_header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parameters_are_split_at_the_first_equals_sign() {
        assert_eq!(
            parse_parameter("a=b=c").unwrap(),
            ("a".to_owned(), "b=c".to_owned())
        );
        assert!(parse_parameter("=x").is_err());
    }

    proptest! {
        #[test]
        fn reading_values_never_panics(text in any::<String>()) {
            let _ = (parse_duration(&text), parse_size(&text), parse_header(&text), parse_parameter(&text), text.parse::<Since>());
        }
    }
}
