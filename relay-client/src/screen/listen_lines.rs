//! What `towline listen` shows a person: data lines for events, notices for what happens around them.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use towline_shared::id::EventId;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Finding;
use towline_shared::wire::Welcome;

use super::event_lines::{self, Arrival, Layout};
use super::{escape, paint, quantity};
use crate::listen::{News, Summary};

/// More methods than deliveries can be in hand are not remembered.
const MOST_METHODS: usize = 4096;

/// How often it is said at most how many events the filter left out.
const FILTERED_EVERY: Duration = Duration::from_secs(60);

/// A line and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// To stdout.
    Data(String),
    /// To stderr.
    Notice(String),
}

/// What the listener was started with, as far as it is told at the start.
#[derive(Clone, Debug)]
pub struct Session {
    /// The name of the endpoint.
    pub endpoint: String,
    /// The name of the consumer.
    pub consumer: String,
    /// The target; empty when there are routes only.
    pub target: String,
    /// The routes, in order.
    pub routes: Vec<ShownRoute>,
    /// Where the secret came from, when this run added one.
    pub secret_from: Option<String>,
    /// Whether several deliveries may be in hand.
    pub is_concurrent: bool,
}

/// A route as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct ShownRoute {
    /// Which events.
    pub when: String,
    /// Where they go.
    pub target: String,
}

/// Turns news into lines; remembers methods, which outcomes do not carry.
#[derive(Debug)]
pub struct ListenLines {
    session: Session,
    methods: HashMap<EventId, String>,
    /// Events that the filter left out and nobody was told of.
    filtered: u64,
    filtered_shown_at: Option<Timestamp>,
}

impl ListenLines {
    /// For a run of `listen`.
    pub fn new(session: Session) -> Self {
        Self {
            session,
            methods: HashMap::new(),
            filtered: 0,
            filtered_shown_at: None,
        }
    }

    /// The lines for one piece of news that came `now`.
    pub fn lines(&mut self, news: &News, now: Timestamp, layout: &Layout) -> Vec<Shown> {
        match news {
            News::Ready { welcome, is_again } => self.ready(welcome, *is_again),
            News::Event {
                info,
                method,
                target,
                is_replay,
            } => {
                if self.methods.len() < MOST_METHODS {
                    self.methods.insert(info.id, method.clone());
                }
                let arrival = Arrival {
                    info,
                    method,
                    target,
                    replayed_at: is_replay.then_some(now),
                };
                data(event_lines::arrival(arrival, layout))
            }
            News::Outcome {
                info,
                attempt,
                hint,
            } => {
                let method = self.methods.get(&info.id).cloned().unwrap_or_default();
                if attempt.settled.is_some() {
                    self.methods.remove(&info.id);
                }
                let line =
                    event_lines::outcome(attempt, &method, self.session.is_concurrent, layout);
                let hint = hint
                    .iter()
                    .flat_map(|hint| event_lines::below("hint:", hint, layout));
                let mut shown = vec![Shown::Data(line)];
                shown.extend(hint.map(Shown::Notice));
                shown
            }
            News::Waiting {
                info,
                why,
                target,
                retry_in,
            } => vec![waiting(info.id, why, target, *retry_in)],
            News::Reconnecting { why, retry_in } => vec![notice(format!(
                "{} the relay is gone ({}); trying again in {}",
                paint::odd("reconnecting:"),
                escape::line(why),
                quantity::duration(*retry_in)
            ))],
            News::Filtered { more, .. } => self.filtered(*more, now),
            News::Gap { from, to } => vec![notice(format!(
                "{} the relay no longer has events {from} to {to} of `{}`; they are skipped",
                paint::odd("gap:"),
                self.session.endpoint
            ))],
            News::Recheck { event, findings } => recheck(*event, findings, layout),
            News::Remark(text) => vec![notice(paint::odd(escape::line(text)))],
            News::Notice(message) => {
                vec![notice(format!(
                    "{} {}",
                    paint::odd("relay:"),
                    escape::line(message)
                ))]
            }
        }
    }

    fn filtered(&mut self, more: u64, now: Timestamp) -> Vec<Shown> {
        self.filtered += more;
        let is_recent = |at: Timestamp| now.since(at) < FILTERED_EVERY;
        if self.filtered_shown_at.is_some_and(is_recent) {
            return Vec::new();
        }
        self.filtered_shown_at = Some(now);
        let number = quantity::count(std::mem::take(&mut self.filtered), "event");
        vec![notice(paint::quiet(format_args!(
            "filtered: {number} left out"
        )))]
    }

    fn ready(&self, welcome: &Welcome, is_again: bool) -> Vec<Shown> {
        if is_again {
            let backlog = quantity::count(welcome.backlog, "event");
            return vec![notice(format!(
                "{} {backlog} to deliver",
                paint::good("connected again:")
            ))];
        }
        let mut shown = vec![Shown::Data(paint::link(escape::line(&welcome.public_url)))];
        let rows = [
            (
                "provider",
                provider(welcome, self.session.secret_from.as_deref()),
            ),
            ("consumer", self.consumer(welcome)),
            ("target", self.target()),
            ("backlog", backlog(welcome)),
        ];
        let filter = welcome.filter.as_deref();
        let filter = filter.map(|filter| ("filter", escape::line(filter).into_owned()));
        let routes = self.session.routes.iter().map(|route| {
            let text = format!("{} for {}", route.target, route.when);
            ("route", escape::line(&text).into_owned())
        });
        for (label, value) in rows.into_iter().chain(filter).chain(routes) {
            shown.push(notice(format!(
                "  {}{value}",
                paint::quiet(format_args!("{label:<10}"))
            )));
        }
        shown
    }

    fn target(&self) -> String {
        let target = escape::line(&self.session.target);
        match (target.is_empty(), self.session.routes.is_empty()) {
            (true, _) => "by route; events that no route takes are skipped".to_owned(),
            (false, true) => target.into_owned(),
            (false, false) => format!("{target} for what no route takes"),
        }
    }

    fn consumer(&self, welcome: &Welcome) -> String {
        let name = escape::line(&self.session.consumer);
        let endpoint = &self.session.endpoint;
        if welcome.is_new {
            format!("{name} (new) of endpoint `{endpoint}`")
        } else {
            format!(
                "{name} (resumes behind event {}) of endpoint `{endpoint}`",
                welcome.cursor
            )
        }
    }
}

fn waiting(id: EventId, why: &str, target: &str, retry_in: Duration) -> Shown {
    notice(format!(
        "{} {}; {id} waits and is tried again until {} answers, first in {}",
        paint::odd("waiting:"),
        escape::line(why),
        escape::line(target),
        quantity::duration(retry_in)
    ))
}

/// Both sides of a delivery that the app turned away; the event is named where others may have come in between.
fn recheck(event: EventId, findings: &[Finding], layout: &Layout) -> Vec<Shown> {
    let start = vec![notice(format!("{} {event}", paint::odd("checked again:")))];
    let findings = event_lines::findings(findings, layout).into_iter();
    start.into_iter().chain(findings.map(notice)).collect()
}

/// The last lines of a run.
pub fn summary(summary: &Summary) -> Vec<String> {
    let mut lines = vec![format!(
        "delivered {}, failed {}, parked {}, unanswered attempts {}",
        summary.done, summary.failed, summary.parked, summary.unanswered
    )];
    if summary.skipped > 0 {
        let number = quantity::count(summary.skipped, "event");
        lines.push(format!("{number} skipped: no route takes them"));
    }
    if summary.filtered > 0 {
        let number = quantity::count(summary.filtered, "event");
        lines.push(format!("{number} left out by the filter"));
    }
    if summary.left > 0 {
        lines.push(format!(
            "{} {} in hand was not finished and is delivered next time",
            paint::odd("left:"),
            quantity::count(summary.left, "event")
        ));
    }
    lines
}

fn provider(welcome: &Welcome, secret_from: Option<&str>) -> String {
    let Some(provider) = &welcome.provider else {
        return "none: requests are not checked (choose one with --provider)".to_owned();
    };
    let provider = escape::line(provider);
    if welcome.secrets.is_empty() {
        return format!(
            "{provider}, {}",
            paint::odd("no secret: requests are not checked")
        );
    }
    let names: Vec<_> = welcome
        .secrets
        .iter()
        .map(|name| format!("`{}`", escape::line(name)))
        .collect();
    let word = if names.len() == 1 {
        "secret"
    } else {
        "secrets"
    };
    let from = secret_from.map_or_else(String::new, |from| format!(" (from {from})"));
    format!("{provider}, checked with {word} {}{from}", names.join(", "))
}

fn backlog(welcome: &Welcome) -> String {
    let waiting = match welcome.backlog {
        many if many > 0 && welcome.filter.is_some() => {
            format!("up to {} wait", quantity::count(many, "event"))
        }
        0 => "nothing waits".to_owned(),
        1 => "1 event waits".to_owned(),
        many => format!("{many} events wait"),
    };
    match welcome.earlier {
        0 => waiting,
        earlier => format!(
            "{waiting}; {} before the start: `--as NEWNAME --since beginning` delivers them",
            quantity::count(earlier, "earlier event")
        ),
    }
}

fn data(lines: Vec<String>) -> Vec<Shown> {
    lines.into_iter().map(Shown::Data).collect()
}

const fn notice(line: String) -> Shown {
    Shown::Notice(line)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use jiff::tz::TimeZone;
    use towline_shared::id::{Seq, SessionId};

    use super::*;

    fn session() -> Session {
        Session {
            endpoint: "orders".to_owned(),
            consumer: "localhost:3000".to_owned(),
            target: "http://localhost:3000".to_owned(),
            routes: Vec::new(),
            secret_from: None,
            is_concurrent: false,
        }
    }

    fn welcome() -> Welcome {
        Welcome {
            relay: "towline/0.1.0".to_owned(),
            session: SessionId::from_bytes([0; 16]),
            cursor: Seq(12),
            backlog: 3,
            is_new: false,
            earlier: 0,
            public_url: "https://relay.example/in/0123456789abcdefghjkmnpqrstvwxyz".to_owned(),
            provider: Some("extole".to_owned()),
            secrets: vec!["prod".to_owned()],
            filter: None,
        }
    }

    fn shown(all: &[News]) -> String {
        let mut lines = ListenLines::new(session());
        let layout = Layout::new(Some(100), TimeZone::UTC);
        let mut text = String::new();
        for shown in all
            .iter()
            .flat_map(|news| lines.lines(news, Timestamp::from_millis(1_760_000_000_000), &layout))
        {
            let (stream, line) = match shown {
                Shown::Data(line) => ("out", line),
                Shown::Notice(line) => ("err", line),
            };
            text.push_str(&format!(
                "{stream}| {}\n",
                anstream::adapter::strip_str(&line)
            ));
        }
        text
    }

    #[test]
    fn the_public_url_stands_first_and_alone_on_stdout() {
        let ready = News::Ready {
            welcome: welcome(),
            is_again: false,
        };

        assert_snapshot!(shown(&[ready]));
    }

    #[test]
    fn a_new_consumer_hears_of_earlier_events_and_of_what_is_not_checked() {
        let welcome = Welcome {
            is_new: true,
            earlier: 5,
            backlog: 0,
            provider: None,
            secrets: Vec::new(),
            ..welcome()
        };

        assert_snapshot!(shown(&[News::Ready {
            welcome,
            is_again: false
        }]));
    }

    #[test]
    fn what_happens_around_events_goes_to_stderr() {
        let wait = Duration::from_millis(250);
        let news = [
            News::Reconnecting {
                why: "connection reset".to_owned(),
                retry_in: wait,
            },
            News::Ready {
                welcome: welcome(),
                is_again: true,
            },
            News::Gap {
                from: Seq(3),
                to: Seq(9),
            },
            News::Notice("the relay \x1b[31mrestarts".to_owned()),
        ];

        assert_snapshot!(shown(&news));
    }

    #[test]
    fn what_the_filter_leaves_out_is_told_once_a_minute() {
        let mut lines = ListenLines::new(session());
        let layout = Layout::new(Some(100), TimeZone::UTC);
        let mut told = |more, seconds: u64| {
            let news = News::Filtered {
                more,
                through: Seq(9),
            };
            let now = Timestamp::from_millis(seconds * 1000);
            lines.lines(&news, now, &layout)
        };

        let counts = [told(2, 0), told(3, 59), told(4, 60)];

        let text = format!("{counts:?}");
        assert!(text.contains("2 events left out"), "{text}");
        assert!(counts[1].is_empty());
        assert!(text.contains("7 events left out"), "{text}");
    }

    #[test]
    fn the_backlog_of_a_filter_is_an_upper_bound() {
        let filtered = Welcome {
            backlog: 3,
            filter: Some("size > 1".into()),
            ..welcome()
        };

        assert_eq!(backlog(&filtered), "up to 3 events wait");
    }

    #[test]
    fn the_summary_names_what_was_left() {
        let all = Summary {
            done: 3,
            failed: 1,
            left: 1,
            ..Summary::default()
        };

        let lines = summary(&all).join("\n");

        assert!(
            anstream::adapter::strip_str(&lines)
                .to_string()
                .contains("left: 1 event in hand")
        );
        assert_eq!(summary(&Summary::default()).len(), 1);
    }
}
