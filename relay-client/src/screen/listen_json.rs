//! What `towline listen --json` writes: one JSON object a line, each with `v` and `type`. The README documents the
//! fields; they may grow, and only a new `v` may change their meaning.

use serde::Serialize;
use towline_shared::event::EventInfo;
use towline_shared::id::{EventId, Seq};
use towline_shared::outcome::Attempt;
use towline_shared::verdict::Finding;
use towline_shared::wire::Welcome;

use super::listen_lines::{Session, ShownRoute};
use crate::listen::{News, Summary};

/// The version of the lines.
const VERSION: u8 = 1;

/// One line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    v: u8,
    #[serde(flatten)]
    kind: Kind<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind<'a> {
    Ready {
        endpoint: &'a str,
        consumer: &'a str,
        target: &'a str,
        routes: &'a [ShownRoute],
        #[serde(flatten)]
        welcome: &'a Welcome,
        is_again: bool,
    },
    Event {
        #[serde(flatten)]
        info: &'a EventInfo,
        method: &'a str,
        target: &'a str,
        is_replay: bool,
    },
    Outcome {
        id: EventId,
        seq: Seq,
        endpoint: &'a str,
        attempt: &'a Attempt,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
    },
    Waiting {
        id: EventId,
        seq: Seq,
        why: &'a str,
        target: &'a str,
        retry_in_millis: u64,
    },
    Reconnecting {
        why: &'a str,
        retry_in_millis: u64,
    },
    Filtered {
        more: u64,
        through: Seq,
    },
    Gap {
        from: Seq,
        to: Seq,
    },
    Recheck {
        id: EventId,
        findings: &'a [Finding],
    },
    Notice {
        message: &'a str,
    },
    Summary {
        done: u64,
        failed: u64,
        parked: u64,
        skipped: u64,
        filtered: u64,
        unanswered: u64,
        left: u64,
    },
}

impl<'a> Line<'a> {
    const fn new(kind: Kind<'a>) -> Self {
        Self { v: VERSION, kind }
    }

    /// The line for one piece of news.
    pub fn of(news: &'a News, session: &'a Session) -> Self {
        Self::new(match news {
            News::Ready { welcome, is_again } => Kind::Ready {
                endpoint: &session.endpoint,
                consumer: &session.consumer,
                target: &session.target,
                routes: &session.routes,
                welcome,
                is_again: *is_again,
            },
            News::Event {
                info,
                method,
                target,
                is_replay,
            } => Kind::Event {
                info,
                method,
                target,
                is_replay: *is_replay,
            },
            News::Outcome {
                info,
                attempt,
                hint,
            } => Kind::Outcome {
                id: info.id,
                seq: info.seq,
                endpoint: info.endpoint.as_str(),
                attempt,
                hint: hint.as_deref(),
            },
            News::Waiting {
                info,
                why,
                target,
                retry_in,
            } => Kind::Waiting {
                id: info.id,
                seq: info.seq,
                why,
                target,
                retry_in_millis: millis(*retry_in),
            },
            News::Reconnecting { why, retry_in } => Kind::Reconnecting {
                why,
                retry_in_millis: millis(*retry_in),
            },
            News::Filtered { more, through } => Kind::Filtered {
                more: *more,
                through: *through,
            },
            News::Gap { from, to } => Kind::Gap {
                from: *from,
                to: *to,
            },
            News::Recheck { event, findings } => Kind::Recheck {
                id: *event,
                findings,
            },
            News::Notice(message) | News::Remark(message) => Kind::Notice { message },
        })
    }

    /// The last line of a run.
    pub const fn summary(summary: &Summary) -> Self {
        Self::new(Kind::Summary {
            done: summary.done,
            failed: summary.failed,
            parked: summary.parked,
            skipped: summary.skipped,
            filtered: summary.filtered,
            unanswered: summary.unanswered,
            left: summary.left,
        })
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use towline_shared::id::SessionId;

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

    #[test]
    fn every_line_has_its_version_and_type() {
        let session = session();
        let ready = News::Ready {
            welcome: Welcome {
                relay: "towline/0.1.0".to_owned(),
                session: SessionId::from_bytes([0; 16]),
                cursor: Seq(0),
                backlog: 0,
                is_new: true,
                earlier: 0,
                public_url: "https://r.example/in/x".to_owned(),
                provider: None,
                secrets: Vec::new(),
                filter: None,
            },
            is_again: false,
        };
        let away = News::Reconnecting {
            why: "reset".to_owned(),
            retry_in: Duration::from_millis(250),
        };

        let lines = [
            serde_json::to_string(&Line::of(&ready, &session)).unwrap(),
            serde_json::to_string(&Line::of(&away, &session)).unwrap(),
            serde_json::to_string(&Line::of(
                &News::Gap {
                    from: Seq(1),
                    to: Seq(2),
                },
                &session,
            ))
            .unwrap(),
            serde_json::to_string(&Line::summary(&Summary::default())).unwrap(),
        ];

        insta::assert_snapshot!(lines.join("\n"));
    }
}
