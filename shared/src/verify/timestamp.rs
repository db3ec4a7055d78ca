//! Reads the time that a request says it was sent at, and compares it with the clock.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::evaluate::Evaluation;
use super::template::Template;
use super::trouble::{Failing, Trouble};
use crate::time::Timestamp;
use crate::verdict::Cause;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_MILLISECOND: i128 = 1_000_000;

/// Numbers above this are milliseconds where a format reads either: as seconds it is the year 5138.
const LARGEST_SECONDS: i128 = 100_000_000_000;

/// Where a scheme's timestamp stands and how far it may be from the clock.
#[derive(Debug)]
pub(super) struct TimestampRule {
    pub(super) from: Template,
    pub(super) format: Format,
    /// In seconds.
    pub(super) tolerance: u32,
    /// How far in the future it may be; `tolerance` when not set.
    pub(super) future: Option<u32>,
    /// Whether the time is part of what is signed; else it only tells an honest sender's age.
    pub(super) is_signed: bool,
}

/// How a timestamp is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Unix,
    UnixMilliseconds,
    /// Seconds or milliseconds, by their size.
    UnixAuto,
    Rfc3339,
    /// IMF-fixdate and its older relatives.
    HttpDate,
    /// Any of these.
    Any,
}

impl TimestampRule {
    /// Checks that the time lies in the window around `now`.
    pub(super) fn check(&self, evaluation: &Evaluation<'_>, now: Timestamp) -> Result<(), Failing> {
        let written = evaluation
            .render(&self.from)
            .map_err(Trouble::into_failing)?;
        let place = self.place();
        let sent = std::str::from_utf8(&written)
            .ok()
            .and_then(|text| self.format.read(text))
            .ok_or_else(|| {
                Failing::new(
                    Cause::TimestampMalformed,
                    format!(
                        "the timestamp in {place} is not {}",
                        self.format.description()
                    ),
                )
            })?;
        let age = nanos(now) - sent;
        let behind = i128::from(self.tolerance) * NANOS_PER_SECOND;
        let ahead = i128::from(self.future.unwrap_or(self.tolerance)) * NANOS_PER_SECOND;
        if age > behind {
            let detail = format!(
                "the timestamp in {place} is {} old, {} are allowed",
                seconds(age),
                seconds(behind)
            );
            return Err(Failing::new(Cause::TimestampExpired, detail));
        }
        if -age > ahead {
            let detail = format!(
                "the timestamp in {place} is {} in the future, {} are allowed",
                seconds(-age),
                seconds(ahead)
            );
            return Err(Failing::new(Cause::TimestampFuture, detail));
        }
        Ok(())
    }

    fn place(&self) -> String {
        match self.from.bare() {
            Some(expression) => expression.source.to_string(),
            None => format!("`{}`", self.from.text),
        }
    }
}

fn seconds(nanos: i128) -> String {
    format!("{} s", nanos / NANOS_PER_SECOND)
}

fn nanos(time: Timestamp) -> i128 {
    i128::from(time.as_millis()) * NANOS_PER_MILLISECOND
}

impl Format {
    /// The format by its name in the scheme language.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "unix" => Self::Unix,
            "unix_ms" => Self::UnixMilliseconds,
            "unix_auto" => Self::UnixAuto,
            "rfc3339" => Self::Rfc3339,
            "http-date" => Self::HttpDate,
            "any" => Self::Any,
            _ => return None,
        })
    }

    /// What it is, in words.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Unix => "a Unix time in seconds",
            Self::UnixMilliseconds => "a Unix time in milliseconds",
            Self::UnixAuto => "a Unix time",
            Self::Rfc3339 => "an RFC 3339 time",
            Self::HttpDate => "an HTTP date",
            Self::Any => "a time in any known form",
        }
    }

    /// Nanoseconds since the epoch.
    fn read(self, text: &str) -> Option<i128> {
        let text = text.trim();
        match self {
            Self::Unix => Some(number(text, 12)? * NANOS_PER_SECOND),
            Self::UnixMilliseconds => Some(number(text, 15)? * NANOS_PER_MILLISECOND),
            Self::UnixAuto => {
                let number = number(text, 15)?;
                let is_seconds = number <= LARGEST_SECONDS;
                let unit = if is_seconds {
                    NANOS_PER_SECOND
                } else {
                    NANOS_PER_MILLISECOND
                };
                Some(number * unit)
            }
            Self::Rfc3339 => rfc3339(text),
            Self::HttpDate => http_date(text),
            Self::Any => Self::UnixAuto
                .read(text)
                .or_else(|| rfc3339(text))
                .or_else(|| http_date(text)),
        }
    }

    /// Writes a time as the provider would.
    pub(super) fn write(self, time: Timestamp) -> String {
        match self {
            Self::Unix | Self::UnixAuto => time.as_seconds().to_string(),
            Self::UnixMilliseconds => time.as_millis().to_string(),
            Self::Rfc3339 | Self::Any => time.to_string(),
            Self::HttpDate => jiff::Timestamp::from_second(time.as_seconds())
                .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
                .unwrap_or_default(),
        }
    }
}

fn number(text: &str, most_digits: usize) -> Option<i128> {
    let is_number = (1..=most_digits).contains(&text.len()) && is_digits(text);
    is_number.then(|| text.parse().ok())?
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `2026-11-21T12:00:00[.5][Z]`; a space for the `T`, `GMT`, `UTC` and a missing zone are taken too.
fn rfc3339(text: &str) -> Option<i128> {
    let bytes = text.as_bytes();
    let field = |start: usize, length: usize| -> Option<i16> {
        let digits = text.get(start..start + length)?;
        is_digits(digits).then(|| digits.parse().ok())?
    };
    let has_separators = bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && matches!(bytes.get(10), Some(b'T' | b't' | b' '))
        && bytes.get(13) == Some(&b':')
        && bytes.get(16) == Some(&b':');
    if !has_separators {
        return None;
    }
    let small = |start| field(start, 2).and_then(|value| i8::try_from(value).ok());
    let year = field(0, 4).filter(|&year| year > 0)?;
    let whole = DateTime::new(
        year,
        small(5)?,
        small(8)?,
        small(11)?,
        small(14)?,
        small(17)?,
        0,
    );
    let (fraction, zone) = fraction_of_second(text.get(19..)?)?;
    let local = Offset::UTC.to_timestamp(whole.ok()?).ok()?.as_nanosecond();
    Some(local + fraction - offset(zone.trim_start())? * NANOS_PER_SECOND)
}

fn fraction_of_second(text: &str) -> Option<(i128, &str)> {
    let Some(after_point) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let length = after_point.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = after_point.split_at(length);
    let nanos = format!("{:0<9}", &digits[..length.min(9)]).parse().ok()?;
    (length > 0).then_some((nanos, rest))
}

/// The offset of a zone from UTC in seconds.
fn offset(zone: &str) -> Option<i128> {
    if matches!(zone, "" | "Z" | "z" | "GMT" | "UTC") {
        return Some(0);
    }
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(pair) => pair,
        None => digits.split_at_checked(2)?,
    };
    let is_right = hours.len() == 2 && minutes.len() == 2 && is_digits(hours) && is_digits(minutes);
    let hours: i128 = is_right.then(|| hours.parse().ok())??;
    let minutes: i128 = minutes.parse().ok()?;
    Some(sign * (hours * 3600 + minutes * 60))
}

/// `Thu, 09 Oct 2025 08:53:15 GMT`, also with dashes in the date, without weekday, and in the order of `asctime`.
fn http_date(text: &str) -> Option<i128> {
    let mut words: Vec<&str> = text
        .split([' ', ',', '\t'])
        .filter(|word| !word.is_empty())
        .collect();
    if words.first().is_some_and(|word| is_weekday(word)) {
        words.remove(0);
    }
    if let [date, rest @ ..] = words.as_slice()
        && date.contains('-')
    {
        words = date.split('-').chain(rest.iter().copied()).collect();
    }
    let (day, month, year, time, zone) = match words.as_slice() {
        [month, day, time, year] if month_number(month).is_some() => (day, month, year, time, ""),
        [day, month, year, time] => (day, month, year, time, ""),
        [day, month, year, time, zone] => (day, month, year, time, *zone),
        _ => return None,
    };
    let mut clock = time.split(':').map(two_digits);
    let (hour, minute) = (clock.next()??, clock.next()??);
    let second = clock.next().unwrap_or(Some(0))?;
    if clock.next().is_some() {
        return None;
    }
    let date = DateTime::new(
        full_year(year)?,
        month_number(month)?,
        two_digits(day)?,
        hour,
        minute,
        second,
        0,
    );
    let local = Offset::UTC.to_timestamp(date.ok()?).ok()?.as_nanosecond();
    let zone = zone.to_ascii_uppercase();
    let zone_offset = if zone == "UT" { 0 } else { offset(&zone)? };
    Some(local - zone_offset * NANOS_PER_SECOND)
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let start = word.get(..3).unwrap_or_default().to_ascii_lowercase();
    DAYS.contains(&start.as_str())
}

fn month_number(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let start = word.get(..3)?.to_ascii_lowercase();
    let index = MONTHS.iter().position(|month| *month == start)?;
    i8::try_from(index + 1).ok()
}

fn two_digits(word: &str) -> Option<i8> {
    let is_right = (1..=2).contains(&word.len()) && is_digits(word);
    is_right.then(|| word.parse().ok())?
}

/// Two digits stand for 1969 to 2068 (RFC 2822 readers agree on this).
fn full_year(word: &str) -> Option<i16> {
    let number: i16 = is_digits(word).then(|| word.parse().ok())??;
    match word.len() {
        4 if number > 0 => Some(number),
        2 if number > 68 => Some(1900 + number),
        2 => Some(2000 + number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: i128 = 1_760_000_000 * NANOS_PER_SECOND;

    #[test]
    fn every_form_of_one_time_reads_the_same() {
        for text in [
            "1760000000",
            "1760000000000",
            "2025-10-09T08:53:20Z",
            "2025-10-09t08:53:20",
            "2025-10-09 08:53:20 GMT",
            "2025-10-09T10:53:20+02:00",
            "2025-10-09T06:53:20-0200",
            "Thu, 09 Oct 2025 08:53:20 GMT",
            "Thursday, 09-Oct-25 08:53:20 GMT",
            "Thu Oct  9 08:53:20 2025",
            "9 Oct 2025 10:53:20 +0200",
            "thu, 09 oct 2025 08:53:20 gmt",
            " 1760000000 ",
        ] {
            assert_eq!(Format::Any.read(text), Some(EXAMPLE), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "1e9",
            "2025-13-01T00:00:00Z",
            "2025-02-30T00:00:00Z",
            "2025-10-09T24:00:00Z",
            "2025-10-09T08:53:60Z",
            "2025-10-09",
            "2025-10-09T08:53:20.Z",
            "2025-10-09T08:53:20+2",
            "Thu, 32 Oct 2025 08:53:20 GMT",
            "now",
            "１７６０００００００",
            "1234567890123456",
        ] {
            assert_eq!(Format::Any.read(text), None, "{text}");
        }
        assert_eq!(Format::Unix.read("1760000000000"), None);
    }

    #[test]
    fn fractions_of_a_second_count() {
        assert_eq!(
            Format::Rfc3339.read("2025-10-09T08:53:20.000000001999Z"),
            Some(EXAMPLE + 1)
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,40}") {
            let _ = Format::Any.read(&text);
        }

        #[test]
        fn what_is_written_reads_back(seconds in 0_u64..4_000_000_000) {
            let time = Timestamp::from_millis(seconds * 1000);

            for format in [
                Format::Unix, Format::UnixMilliseconds, Format::UnixAuto,
                Format::Rfc3339, Format::HttpDate, Format::Any,
            ] {
                prop_assert_eq!(format.read(&format.write(time)).map(|_| ()), Some(()));
                if format != Format::UnixMilliseconds || seconds > 0 {
                    prop_assert_eq!(format.read(&format.write(time)), Some(nanos(time)));
                }
            }
        }
    }
}
