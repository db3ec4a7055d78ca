//! `towline events diff`: proves that what was delivered is what was sent, but for the listed changes of a hop.

use clap::Args;
use serde::Serialize;
use towline_shared::api::AttemptView;
use towline_shared::id::EventId;

use super::super::{Context, Exit, Failure};
use super::comparison::{Comparison, LineDifference, compare};
use super::request::{CapturedRequest, decode};
use crate::screen::{escape, paint, quantity};

/// The options of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 when the delivered request is the sent one but for the listed changes, else with 19.

Examples:
  towline events diff evt_06…
  towline events diff evt_06… --attempt 2 --json")]
pub struct Arguments {
    /// The event
    id: EventId,
    /// The attempt to compare, counted from 1 over all consumers [default: the latest that was sent]
    #[arg(long, value_name = "N")]
    attempt: Option<usize>,
}

/// The result as JSON.
#[derive(Serialize)]
struct DiffResult<'a> {
    event: EventId,
    consumer: &'a str,
    attempt: u32,
    head: HeadResult,
    body: BodyResult<'a>,
    is_as_sent: bool,
}

#[derive(Serialize)]
struct HeadResult {
    same_lines: usize,
    same_bytes: usize,
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<String>,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct BodyResult<'a> {
    is_identical: bool,
    sent_length: u64,
    delivered_length: u64,
    sent_sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_sha256: Option<&'a str>,
    /// Why it is not identical, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Compares.
pub(super) async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    let request = CapturedRequest::fetch(&api, arguments.id).await?;
    let attempt = choose(&request, arguments.attempt)?;
    let delivered = decode(&attempt.sent_head_base64)?;
    let changes = [&attempt.replay_changes[..], &attempt.attempt.changes].concat();
    let head = compare(request.head.as_bytes(), &delivered, &changes);
    let body = BodyResult::of(&request, attempt);
    let is_as_sent = head.is_explained() && (body.is_identical || body.reason.is_some());
    if context.global.json {
        context.screen.json(&DiffResult {
            event: arguments.id,
            consumer: attempt.consumer.as_str(),
            attempt: attempt.attempt.number,
            head: HeadResult::of(&head),
            body,
            is_as_sent,
        })?;
    } else {
        show(&head, &body, attempt, context)?;
    }
    Ok(if is_as_sent {
        Exit::Done
    } else {
        Exit::ExpectationNotMet
    })
}

/// The attempt that was asked for, else the latest in which a head was written.
fn choose(request: &CapturedRequest, number: Option<usize>) -> Result<&AttemptView, Failure> {
    let attempts = &request.detail.attempts;
    let id = request.detail.summary.info.id;
    let missing = |what: String| Failure::new(Exit::NotFound, what);
    let Some(number) = number else {
        let latest = attempts
            .iter()
            .rev()
            .find(|attempt| !attempt.sent_head_base64.is_empty());
        return latest.ok_or_else(|| not_delivered(request));
    };
    let attempt = number.checked_sub(1).and_then(|index| attempts.get(index));
    let attempt = attempt.ok_or_else(|| {
        missing(format!(
            "{id} has {}, not attempt {number}",
            quantity::count(attempts.len() as u64, "attempt")
        ))
    })?;
    if attempt.sent_head_base64.is_empty() {
        return Err(missing(format!(
            "nothing was sent in attempt {number} of {id}"
        )));
    }
    Ok(attempt)
}

fn not_delivered(request: &CapturedRequest) -> Failure {
    let info = &request.detail.summary.info;
    let (state, hint) = if info.is_deliverable {
        (
            "was not delivered yet",
            "deliver it with `towline listen`, or with `towline replay --to URL`",
        )
    } else if info.duplicate_of.is_some() {
        (
            "is a repeat and is not delivered",
            "`towline replay` delivers it all the same",
        )
    } else {
        (
            "was turned away and is not delivered",
            "`towline replay --to URL` delivers it all the same",
        )
    };
    Failure::new(Exit::NotFound, format!("{} {state}", info.id)).hint(hint)
}

impl<'a> BodyResult<'a> {
    fn of(request: &'a CapturedRequest, attempt: &'a AttemptView) -> Self {
        let sent_length = request.detail.summary.info.body_length;
        let sent_sha256 = request.detail.body_sha256.as_str();
        let delivered_sha256 = attempt.attempt.sent_body_sha256.as_deref();
        let delivered_length = attempt.attempt.sent_body_length;
        let is_empty = sent_length == 0 && delivered_length == 0;
        let mut changes = attempt.replay_changes.iter();
        let edited = changes.find(|change| change.part == "body");
        let is_identical =
            is_empty || (sent_length == delivered_length && delivered_sha256 == Some(sent_sha256));
        Self {
            reason: edited
                .filter(|_| !is_identical)
                .map(|change| change.reason.as_str()),
            is_identical,
            sent_length,
            delivered_length,
            sent_sha256,
            delivered_sha256,
        }
    }
}

impl HeadResult {
    fn of(comparison: &Comparison) -> Self {
        let text = |line: &Option<Vec<u8>>| line.as_deref().map(escape::bytes);
        let difference = |one: &LineDifference| Difference {
            sent: text(&one.sent),
            delivered: text(&one.delivered),
            reasons: one.reasons.clone(),
        };
        Self {
            same_lines: comparison.same_lines,
            same_bytes: comparison.same_bytes,
            differences: comparison.differences.iter().map(difference).collect(),
        }
    }
}

fn show(
    head: &Comparison,
    body: &BodyResult<'_>,
    attempt: &AttemptView,
    context: &Context,
) -> anyhow::Result<()> {
    let screen = &context.screen;
    let target = escape::line(&attempt.attempt.target);
    screen.data(&paint::quiet(format!(
        "sent to the relay (-) and delivered to {target} by {} in attempt {} (+)",
        attempt.consumer, attempt.attempt.number
    )))?;
    for difference in &head.differences {
        for (sign, line) in [("-", &difference.sent), ("+", &difference.delivered)] {
            let Some(line) = line else { continue };
            let text = format!("{sign} {}", escape::bytes(line));
            let painted = if sign == "-" {
                paint::bad(text)
            } else {
                paint::good(text)
            };
            screen.data(&painted)?;
        }
        if difference.reasons.is_empty() {
            screen.data(&format!(
                "    {}",
                paint::bad("not explained by any listed change")
            ))?;
        }
        for reason in &difference.reasons {
            screen.data(&format!("    {}", escape::line(reason)))?;
        }
    }
    screen.data(&head_line(head))?;
    screen.data(&body_line(body))?;
    Ok(())
}

fn head_line(head: &Comparison) -> String {
    let same = format!(
        "{} ({} bytes) identical",
        quantity::count(head.same_lines as u64, "line"),
        head.same_bytes
    );
    let changes = quantity::count(head.differences.len() as u64, "listed change");
    if head.is_explained() {
        format!("head: {}: {same}, {changes}", paint::good("as sent"))
    } else {
        format!(
            "head: {}: {same}, and there are changes without a reason",
            paint::bad("not as sent")
        )
    }
}

fn body_line(body: &BodyResult<'_>) -> String {
    if body.is_identical && body.sent_length == 0 {
        return format!("body: {} (empty)", paint::good("identical"));
    }
    let sha256 = escape::line(body.sent_sha256);
    if body.is_identical {
        let length = body.sent_length;
        return format!(
            "body: {} ({length} bytes, sha256 {sha256})",
            paint::good("identical")
        );
    }
    let state = match body.reason {
        Some(reason) => paint::odd(escape::line(reason)),
        None => paint::bad("not identical"),
    };
    format!(
        "body: {state}: {} bytes with sha256 {sha256} were sent, {} with sha256 {} delivered",
        body.sent_length,
        body.delivered_length,
        escape::line(body.delivered_sha256.unwrap_or("unknown"))
    )
}
