//! Reads `Retry-After` of a reply (RFC 9110 §10.2.3): seconds or a date.

use std::time::Duration;

use bytes::Bytes;
use jiff::fmt::rfc2822::DateTimeParser;
use towline_shared::head::ReplyHead;
use towline_shared::time::Timestamp;

/// The longest wait that is honoured: the line of events stands still meanwhile.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// The wait that the app asks for, at most [`LONGEST_WAIT`]; nothing when it asks for none in clear words.
pub(super) fn wanted_wait(reply_head: &Bytes, now: Timestamp) -> Option<Duration> {
    let head = ReplyHead::parse(reply_head.clone()).ok()?;
    let value = std::str::from_utf8(head.values("retry-after").next()?)
        .ok()?
        .trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = DateTimeParser::new().parse_timestamp(value).ok()?;
            let at = u64::try_from(date.as_millisecond()).ok()?;
            Timestamp::from_millis(at).since(now)
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str, now: &str) -> Option<Duration> {
        let head = format!("HTTP/1.1 503 x\r\nRetry-After: {value}\r\n\r\n");
        wanted_wait(&head.into(), now.parse().unwrap())
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = "1994-11-06T08:49:30Z";

        assert_eq!(wait("7", now), Some(Duration::from_secs(7)));
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:49:37 GMT", now),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            wait("Sun, 06 Nov 1994 08:49:00 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(wait("soon", now), None);
        assert_eq!(wait("-1", now), None);
    }

    #[test]
    fn no_wait_is_longer_than_the_longest() {
        let now = "1994-11-06T08:49:30Z";

        assert_eq!(wait("299", now), Some(Duration::from_secs(299)));
        assert_eq!(wait("301", now), Some(LONGEST_WAIT));
        assert_eq!(wait("18446744073709551615", now), Some(LONGEST_WAIT));
        assert_eq!(
            wait("Sat, 06 Nov 2094 08:49:37 GMT", now),
            Some(LONGEST_WAIT)
        );
    }
}
