//! An event's two lines: what arrived, and what the app said to it. Columns keep their places from line to line and
//! fit the terminal; on a narrow one the least important give way.

use std::time::Duration;

use jiff::tz::TimeZone;
use towline_shared::event::{DeliveredRepeat, EventInfo, EventKind};
use towline_shared::hop::{Change, ChangeKind, endpoint_target};
use towline_shared::id::EventId;
use towline_shared::outcome::{Attempt, Outcome, Phase};
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Failure, Finding};

use super::width::{columns, cut, pad, wrap};
use super::{COLUMNS_WITHOUT_TERMINAL, escape, paint, quantity, verdict_words};

/// `evt_` and 26 characters.
const ID_COLUMNS: usize = 30;
/// `999.9 MB`
const SIZE_COLUMNS: usize = 8;
/// Below this the size, the milliseconds and the details of the verdict are left out.
const NARROW: usize = 120;
/// Enough for `POST /in/…` and a little.
const LEAST_REQUEST_COLUMNS: usize = 12;

/// Where the columns stand.
#[derive(Clone, Debug)]
pub struct Layout {
    request: usize,
    total: usize,
    is_narrow: bool,
    is_cut: bool,
    zone: TimeZone,
}

/// A request as its line shows it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The event.
    pub info: &'a EventInfo,
    /// The method.
    pub method: &'a str,
    /// The request target.
    pub target: &'a str,
    /// When it came again, if somebody asked for that.
    pub replayed_at: Option<Timestamp>,
}

impl Layout {
    /// For a terminal with so many columns; without one nothing is cut.
    pub fn new(terminal_columns: Option<usize>, zone: TimeZone) -> Self {
        let total = terminal_columns.unwrap_or(COLUMNS_WITHOUT_TERMINAL);
        let is_narrow = total < NARROW;
        let others = if is_narrow {
            // time, arrow, gap, id, gap, `unchecked`
            8 + 2 + 4 + 2 + ID_COLUMNS + 2 + 9
        } else {
            // time, arrow, gap, id, gap, size, gap, `verified provider/scheme`
            12 + 2 + 4 + 2 + ID_COLUMNS + 2 + SIZE_COLUMNS + 2 + 28
        };
        Self {
            request: total.saturating_sub(others).max(LEAST_REQUEST_COLUMNS),
            total,
            is_narrow,
            is_cut: terminal_columns.is_some(),
            zone,
        }
    }

    fn time(&self, at: Timestamp) -> String {
        paint::quiet(quantity::time_of_day(at, &self.zone, !self.is_narrow))
    }

    fn indent(&self) -> usize {
        if self.is_narrow { 14 } else { 18 }
    }

    /// What is left for the last column, on a terminal.
    fn verdict_columns(&self) -> Option<usize> {
        let before = if self.is_narrow {
            8 + 2 + 4 + self.request + 2 + ID_COLUMNS + 2
        } else {
            12 + 2 + 4 + self.request + 2 + ID_COLUMNS + 2 + SIZE_COLUMNS + 2
        };
        self.is_cut.then(|| self.total.saturating_sub(before))
    }

    fn fit(&self, text: &str) -> String {
        if self.is_cut {
            pad(&cut(text, self.request), self.request)
        } else {
            pad(text, self.request)
        }
    }
}

/// The line of an event that arrived, and below it the reason when consumers do not get it.
pub fn arrival(arrival: Arrival<'_>, layout: &Layout) -> Vec<String> {
    let info = arrival.info;
    let time = layout.time(arrival.replayed_at.unwrap_or(info.received_at));
    let request = layout.fit(&request(arrival, layout));
    let size = if layout.is_narrow {
        String::new()
    } else {
        format!("  {:>SIZE_COLUMNS$}", quantity::size(info.body_length))
    };
    let room = layout.verdict_columns();
    let verdict = verdict_words::of_event(info, layout.is_narrow, room);
    let line = format!(
        "{time}  {} {request}  {}{size}  {verdict}",
        arrow(info),
        info.id
    );
    let mut lines = vec![line];
    if let Some(failure) = verdict_words::failure(info) {
        lines.extend(explanation(failure, layout));
    }
    if let Some(note) = verdict_words::challenge_note(info) {
        lines.extend(below("note:", &note, layout));
    } else if let Some(first) = info.duplicate_of.filter(|_| arrival.replayed_at.is_none()) {
        lines.extend(below("note:", &repeat(info, first), layout));
    }
    lines
}

/// What a repeat is, and what can be done with it.
fn repeat(info: &EventInfo, first: EventId) -> String {
    if info.is_deliverable {
        return format!("a repeat of {first}, {}", why_delivered(info));
    }
    format!(
        "a repeat of {first}: answered as before and not delivered; `towline replay {}` delivers it",
        info.id
    )
}

/// Why a repeat is delivered, in words.
pub fn why_delivered(info: &EventInfo) -> &'static str {
    match info.delivered_repeat {
        Some(DeliveredRepeat::OtherNames) => "delivered: its delivery id, type or path is another",
        Some(DeliveredRepeat::EqualBodies) => {
            "delivered: this provider's notifications are alike, and each may be news"
        }
        Some(DeliveredRepeat::AsEndpointSays) | None => "delivered as the endpoint says",
    }
}

/// The line of what came of an attempt. The event's id is shown when several are in hand at a time.
pub fn outcome(attempt: &Attempt, method: &str, shows_id: bool, layout: &Layout) -> String {
    let micros = attempt.duration_micros;
    let ended = attempt.started_at.as_millis().saturating_add(micros / 1000);
    let time = layout.time(Timestamp::from_millis(ended));
    let (word, is_good) = outcome_word(&attempt.outcome);
    let target = escape::line(&attempt.target);
    let plain = format!("{word} {} {target}", escape::line(method));
    // Without the event's id the URL has its room as well.
    let width = if shows_id {
        layout.request
    } else {
        layout.request + 2 + ID_COLUMNS
    };
    let text = if layout.is_cut {
        cut(&plain, width)
    } else {
        plain
    };
    let rest = text.strip_prefix(word.as_str()).unwrap_or_default();
    let gap = " ".repeat(width.saturating_sub(columns(&text)));
    let word = if is_good {
        paint::good(&word)
    } else {
        paint::bad(&word)
    };
    let id = if shows_id {
        format!("  {}", attempt.event)
    } else {
        String::new()
    };
    let took = quantity::duration(Duration::from_micros(micros));
    let took = if layout.is_narrow {
        took
    } else {
        format!("{took:>SIZE_COLUMNS$}")
    };
    let detail = outcome_detail(attempt);
    let line = format!("{time}  <-- {word}{rest}{gap}{id}  {took}  {detail}");
    line.trim_end().to_owned()
}

/// The request target with the endpoint's key, which is long and says nothing, left out.
pub fn short_target(target: &str) -> String {
    let Some(parts) = endpoint_target(target.as_bytes()) else {
        return escape::line(target).into_owned();
    };
    let query = parts
        .query
        .map_or_else(String::new, |query| format!("?{}", escape::bytes(query)));
    format!("/in/…{}{query}", escape::bytes(parts.suffix))
}

/// The stable code of a failure's cause.
pub fn cause_code(failure: &Failure) -> String {
    match serde_json::to_value(failure.cause) {
        Ok(serde_json::Value::String(code)) => code,
        _ => "failed".to_owned(),
    }
}

/// The cause in a sentence and the first thing that may help, indented below the event's line.
pub fn explanation(failure: &Failure, layout: &Layout) -> Vec<String> {
    let mut lines = below("cause:", &failure.detail, layout);
    lines.extend(findings(
        &failure.findings[..failure.findings.len().min(1)],
        layout,
    ));
    lines
}

/// Each finding in a sentence with what may help, indented below an event's line.
pub fn findings(findings: &[Finding], layout: &Layout) -> Vec<String> {
    let lines = findings.iter().flat_map(|finding| {
        let mut lines = below("found:", &finding.sentence, layout);
        lines.extend(below("hint:", &finding.hint, layout));
        lines
    });
    lines.collect()
}

/// A labelled sentence, indented below an event's line and wrapped.
pub fn below(label: &str, sentence: &str, layout: &Layout) -> Vec<String> {
    const LABEL_COLUMNS: usize = 8;
    let indent = " ".repeat(layout.indent());
    let room = layout
        .total
        .saturating_sub(layout.indent() + LABEL_COLUMNS)
        .max(20);
    let sentence = escape::line(sentence);
    let lines = if layout.is_cut {
        wrap(&sentence, room)
    } else {
        vec![sentence.into_owned()]
    };
    let labels = std::iter::once(label).chain(std::iter::repeat(""));
    lines
        .iter()
        .zip(labels)
        .map(|(line, label)| {
            let label = paint::strong(format_args!("{label:<LABEL_COLUMNS$}"));
            format!("{indent}{label}{line}")
        })
        .collect()
}

/// What was changed of a captured request, a line each, under what it belongs to.
pub fn changes(changes: &[Change], layout: &Layout) -> Vec<String> {
    let lines = changes.iter().flat_map(|change| {
        let kind = match change.kind {
            ChangeKind::Removed => "removed",
            ChangeKind::Replaced => "replaced",
            ChangeKind::Added => "added",
        };
        let sentence = format!("{} {kind}: {}", change.part, change.reason);
        below("changed", &sentence, layout)
    });
    lines.collect()
}

fn arrow(info: &EventInfo) -> String {
    if info.kind == EventKind::Handshake {
        paint::odd("--o")
    } else if info.is_deliverable {
        paint::strong("-->")
    } else if info.duplicate_of.is_some() {
        paint::quiet("--=")
    } else {
        paint::bad("--x")
    }
}

/// `METHOD PATH TYPE`; the path gives way first.
fn request(arrival: Arrival<'_>, layout: &Layout) -> String {
    let replay = if arrival.replayed_at.is_some() {
        "replay "
    } else {
        ""
    };
    let method = escape::line(arrival.method);
    let start = format!("{replay}{method} ");
    let kind = arrival.info.event_type.as_deref();
    let end = kind.map_or_else(String::new, |kind| format!(" {}", escape::line(kind)));
    let path = short_target(arrival.target);
    let room = layout
        .request
        .saturating_sub(columns(&start) + columns(&end));
    let path = if layout.is_cut && room >= 6 {
        cut(&path, room)
    } else {
        path
    };
    format!("{start}{path}{end}")
}

/// An outcome in one word, and whether it is a good one.
pub fn outcome_word(outcome: &Outcome) -> (String, bool) {
    match outcome {
        Outcome::Answered { status, .. } => (status.to_string(), *status < 400),
        Outcome::Refused { .. } => ("refused".to_owned(), false),
        Outcome::TimedOut { .. } => ("timed out".to_owned(), false),
        Outcome::Reset { .. } => ("reset".to_owned(), false),
        Outcome::NoRoute => ("skipped".to_owned(), true),
        Outcome::CutOff => ("cut off".to_owned(), false),
    }
}

/// What there is to say of an outcome besides its word.
pub fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered { .. } => String::new(),
        Outcome::Refused { detail } | Outcome::Reset { detail } => {
            escape::line(detail).into_owned()
        }
        Outcome::TimedOut { phase } => phase_words(*phase).to_owned(),
        Outcome::NoRoute => "no route takes it".to_owned(),
        Outcome::CutOff => "the first attempt was cut off".to_owned(),
    }
}

fn outcome_detail(attempt: &Attempt) -> String {
    let words = outcome_words(&attempt.outcome);
    if attempt.number > 1 {
        let number = format!("attempt {}", attempt.number);
        return if words.is_empty() {
            number
        } else {
            format!("{words} ({number})")
        };
    }
    words
}

/// What the client waited for, in words.
pub const fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Connect => "no connection in time",
        Phase::Send => "the app did not read the request in time",
        Phase::Reply => "no reply in time",
        Phase::Body => "the reply did not end in time",
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use towline_shared::event::HeadSource;
    use towline_shared::id::{EventId, Seq};
    use towline_shared::outcome::Delivery;
    use towline_shared::verdict::{Cause, Match, Verdict};

    use super::*;

    const TARGET: &str =
        "/in/0123456789abcdefghjkmnpqrstvwxyz/orders/eu?x=%2F&y=a-rather-long-value";

    fn event(verdict: Verdict) -> EventInfo {
        EventInfo {
            id: EventId::new(Timestamp::from_millis(1_760_000_000_000), [7; 10]),
            seq: Seq(1),
            endpoint: "orders".parse().unwrap(),
            received_at: Timestamp::from_millis(1_760_000_000_120),
            remote: [127, 0, 0, 1].into(),
            tls: false,
            kind: EventKind::Webhook,
            is_deliverable: verdict.is_accepted(),
            verdict,
            head_source: HeadSource::Recorded,
            body_length: 1249,
            delivery_id: None,
            event_type: Some("reward_earned".to_owned()),
            duplicate_of: None,
            delivered_repeat: None,
            answered: None,
        }
    }

    fn verified() -> Verdict {
        Verdict::Verified(Match {
            provider: "extole".to_owned(),
            scheme: Some("hmac-sha256".to_owned()),
            secret: Some("prod".parse().unwrap()),
        })
    }

    fn failed() -> Verdict {
        Verdict::Failed(Failure {
            provider: "extole".to_owned(),
            cause: Cause::SignatureMismatch,
            detail: "the signature in `X-Extole-Signature` does not match the body and any of the 2 secrets".to_owned(),
            findings: vec![Finding {
                code: "trailing_newline".to_owned(),
                sentence: "without the line end at its end the body matches".to_owned(),
                hint: "sign the bytes that are sent".to_owned(),
            }],
        })
    }

    fn attempt(outcome: Outcome, number: u32) -> Attempt {
        Attempt {
            event: EventId::new(Timestamp::from_millis(1_760_000_000_000), [7; 10]),
            delivery: Delivery {
                seq: Seq(1),
                replay: None,
            },
            number,
            started_at: Timestamp::from_millis(1_760_000_000_122),
            duration_micros: 9_400,
            target: "http://localhost:3000/hooks/orders/eu?x=%2F&y=a-rather-long-value".to_owned(),
            outcome,
            settled: None,
            retry_after_millis: None,
            changes: Vec::new(),
            sent_body_sha256: None,
            sent_body_length: 0,
            findings: Vec::new(),
        }
    }

    fn shown(terminal: Option<usize>) -> String {
        let layout = Layout::new(terminal, TimeZone::UTC);
        let mut lines = Vec::new();
        let later = Timestamp::from_millis(1_760_000_060_000);
        for (verdict, is_replay) in [
            (verified(), false),
            (failed(), false),
            (Verdict::Unchecked, true),
        ] {
            let info = event(verdict);
            lines.extend(arrival(
                Arrival {
                    info: &info,
                    method: "POST",
                    target: TARGET,
                    replayed_at: is_replay.then_some(later),
                },
                &layout,
            ));
        }
        let answered = |status| Outcome::Answered {
            status,
            body_length: 2,
            first_byte_micros: 9000,
        };
        lines.push(outcome(&attempt(answered(200), 1), "POST", false, &layout));
        lines.push(outcome(&attempt(answered(500), 2), "POST", true, &layout));
        let refused = Outcome::Refused {
            detail: "connection refused".to_owned(),
        };
        lines.push(outcome(&attempt(refused, 1), "POST", false, &layout));
        lines.push(outcome(
            &attempt(
                Outcome::TimedOut {
                    phase: Phase::Reply,
                },
                3,
            ),
            "POST",
            false,
            &layout,
        ));
        anstream::adapter::strip_str(&lines.join("\n")).to_string()
    }

    #[test]
    fn a_repeat_names_its_first_and_how_it_is_delivered_all_the_same() {
        let first = EventId::from_bytes([3; 16]);
        let mut info = event(Verdict::Unchecked);
        info.duplicate_of = Some(first);
        let lines = |info: &EventInfo, replayed_at| {
            let request = Arrival {
                info,
                method: "POST",
                target: "/in/key",
                replayed_at,
            };
            arrival(request, &Layout::new(None, TimeZone::UTC)).join("\n")
        };

        let delivered = lines(&info, None);
        info.delivered_repeat = Some(DeliveredRepeat::OtherNames);
        let named = lines(&info, None);
        info.is_deliverable = false;
        let held = lines(&info, None);

        assert!(
            held.contains("--=") && !delivered.contains("--="),
            "{held}\n{delivered}"
        );
        assert!(held.contains(&format!("a repeat of {first}")), "{held}");
        assert!(
            held.contains(&format!("`towline replay {}`", info.id)),
            "{held}"
        );
        assert!(
            delivered.contains("delivered as the endpoint says"),
            "{delivered}"
        );
        assert!(
            named.contains("delivered: its delivery id, type or path is another"),
            "{named}"
        );
        assert!(!lines(&info, Some(info.received_at)).contains("a repeat of"));
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        assert_snapshot!(shown(Some(140)));
    }

    #[test]
    fn a_terminal_of_a_hundred_and_twenty_columns_cuts_what_can_be_looked_up() {
        assert_snapshot!(shown(Some(120)));
    }

    #[test]
    fn a_terminal_of_eighty_columns_shows_what_matters() {
        assert_snapshot!(shown(Some(80)));
    }

    #[test]
    fn a_pipe_gets_everything_uncut() {
        assert_snapshot!(shown(None));
    }

    #[test]
    fn an_arrival_never_takes_more_than_the_terminal_has() {
        for total in 80..200 {
            let layout = Layout::new(Some(total), TimeZone::UTC);
            let Verdict::Verified(found) = verified() else {
                panic!("not verified");
            };
            let authenticated = Verdict::Authenticated(found);
            for verdict in [Verdict::Unchecked, verified(), authenticated, failed()] {
                let info = event(verdict);
                let arrived = Arrival {
                    info: &info,
                    method: "POST",
                    target: TARGET,
                    replayed_at: None,
                };

                for line in arrival(arrived, &layout) {
                    let line = anstream::adapter::strip_str(&line).to_string();
                    assert!(columns(&line) <= total, "{total}: {line}");
                }
            }
        }
    }

    #[test]
    fn text_of_the_sender_is_escaped() {
        let mut info = event(Verdict::Unchecked);
        info.event_type = Some("\x1b[2Jboo\u{202e}".to_owned());
        let layout = Layout::new(None, TimeZone::UTC);

        let lines = arrival(
            Arrival {
                info: &info,
                method: "POST",
                target: "/in/\u{9b}",
                replayed_at: None,
            },
            &layout,
        );

        let line = anstream::adapter::strip_str(&lines[0]).to_string();
        assert!(line.contains("\\x1b[2Jboo\\u{202e}"), "{line}");
        assert!(line.contains("/in/\\u{9b}"), "{line}");
    }
}
