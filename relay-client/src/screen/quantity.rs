//! Sizes, durations and times as people read them.

use std::time::Duration;

use jiff::tz::TimeZone;
use towline_shared::time::Timestamp;

/// A number of bytes in powers of a thousand: `0 B`, `999 B`, `1.2 kB`, `26.2 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes.saturating_add(50) / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A duration with the two or three digits that matter: `0.4 ms`, `9 ms`, `1.20 s`, `2 m 5 s`.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let millis = duration.as_millis();
    match micros {
        0..1_000 => format!("0.{} ms", micros / 100),
        1_000..1_000_000 => format!("{millis} ms"),
        1_000_000..60_000_000 => format!("{}.{:02} s", millis / 1000, millis % 1000 / 10),
        60_000_000..3_600_000_000 => {
            format!("{} m {} s", millis / 60_000, millis / 1000 % 60)
        }
        _ => format!("{} h {} m", millis / 3_600_000, millis / 60_000 % 60),
    }
}

/// A whole number of things: `1 event`, `2 events`.
pub fn count(number: u64, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}

/// A number with its digits in groups of three: `1,204`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The time of day in the zone, `12:00:00.120`, or `12:00:00` without milliseconds.
pub fn time_of_day(at: Timestamp, zone: &TimeZone, with_millis: bool) -> String {
    let format = if with_millis {
        "%H:%M:%S.%3f"
    } else {
        "%H:%M:%S"
    };
    in_zone(at, zone, format)
}

/// Date and time in the zone, `2026-11-24 12:00:00`.
pub fn date_and_time(at: Timestamp, zone: &TimeZone) -> String {
    in_zone(at, zone, "%Y-%m-%d %H:%M:%S")
}

fn in_zone(at: Timestamp, zone: &TimeZone, format: &str) -> String {
    let time = i64::try_from(at.as_millis())
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    match time {
        Some(time) => time.to_zoned(zone.clone()).strftime(format).to_string(),
        None => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1_204, "1,204"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn sizes_round_to_one_decimal() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1249, "1.2 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (26_214_400, "26.2 MB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(size(bytes), shown, "{bytes}");
        }
    }

    #[test]
    fn durations_have_the_digits_that_matter() {
        for (micros, shown) in [
            (420, "0.4 ms"),
            (9_400, "9 ms"),
            (1_204_000, "1.20 s"),
            (125_000_000, "2 m 5 s"),
            (7_260_000_000, "2 h 1 m"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), shown);
        }
    }

    #[test]
    fn times_are_those_of_the_zone() {
        let at = Timestamp::from_millis(1_760_000_000_120);
        let berlin = TimeZone::fixed(jiff::tz::offset(2));

        assert_eq!(time_of_day(at, &berlin, true), "10:53:20.120");
        assert_eq!(time_of_day(at, &TimeZone::UTC, false), "08:53:20");
        assert_eq!(date_and_time(at, &berlin), "2025-10-09 10:53:20");
        assert!(time_of_day(Timestamp::from_millis(u64::MAX), &berlin, true).contains("after"));
    }
}
