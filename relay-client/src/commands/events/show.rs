//! `towline events show`: a captured request as a person reads it, or exactly as it came.

use clap::Args;
use towline_shared::api::AttemptView;
use towline_shared::event::HeadSource;
use towline_shared::head::{Field, ReplyHead};
use towline_shared::id::EventId;
use towline_shared::outcome::{KEPT_REPLY_BYTES, Outcome};

use super::super::{Context, Exit};
use super::request::{CapturedRequest, decode};
use crate::relay_api::{Download, RelayApi};
use crate::screen::event_lines::{self, Layout};
use crate::screen::{escape, paint, quantity, verdict_words};

/// The most of a body that is shown; `--raw` has no limit.
const SHOWN_BYTES: u64 = 256 * 1024;

/// The options of `show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  towline events show evt_06…
  towline events show evt_06… --raw > request.http
  towline events show evt_06… --body | jq .")]
pub struct Arguments {
    /// The event
    id: EventId,
    /// Write exactly the captured request: the head as received, then the body
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Write exactly the captured body
    #[arg(long, conflicts_with_all = ["raw", "json"])]
    body: bool,
}

/// Shows the event.
pub(super) async fn run(arguments: Arguments, context: &Context) -> anyhow::Result<Exit> {
    let api = context.api()?;
    if arguments.raw {
        return copy(api.raw(arguments.id).await?, context).await;
    }
    if arguments.body {
        return copy(api.body(arguments.id).await?, context).await;
    }
    if context.global.json {
        context.screen.json(&api.event(arguments.id).await?)?;
        return Ok(Exit::Done);
    }
    let request = CapturedRequest::fetch(&api, arguments.id).await?;
    facts(&request, context)?;
    head(&request, context)?;
    body(&request, &api, context).await?;
    for attempt in &request.detail.attempts {
        show_attempt(attempt, context)?;
    }
    Ok(Exit::Done)
}

async fn copy(mut download: Download, context: &Context) -> anyhow::Result<Exit> {
    while let Some(bytes) = download.next().await? {
        context.screen.raw(&bytes)?;
    }
    Ok(Exit::Done)
}

fn facts(request: &CapturedRequest, context: &Context) -> anyhow::Result<()> {
    let info = &request.detail.summary.info;
    let screen = &context.screen;
    let transport = if info.tls { "TLS" } else { "plain HTTP" };
    let head_source = match info.head_source {
        HeadSource::Recorded => "the very bytes that came",
        HeadSource::Normalised => "normalised: rebuilt from the HTTP library's view",
    };
    let mut facts = vec![
        ("event", paint::strong(info.id)),
        (
            "endpoint",
            format!("{} (event {} of it)", info.endpoint, info.seq),
        ),
        (
            "received",
            quantity::date_and_time(info.received_at, screen.zone()),
        ),
        ("from", format!("{} over {transport}", info.remote)),
        ("verdict", verdict_words::of_event(info, false, None)),
        ("head", head_source.to_owned()),
        (
            "body",
            format!(
                "{}, sha256 {}",
                quantity::size(info.body_length),
                escape::line(&request.detail.body_sha256)
            ),
        ),
    ];
    if let Some(kind) = &info.event_type {
        facts.push(("type", escape::line(kind).into_owned()));
    }
    if let Some(at) = request.detail.pinned_at {
        let at = quantity::date_and_time(at, screen.zone());
        facts.push(("pinned", format!("since {at}: retention leaves it alone")));
    }
    if let Some(id) = &info.delivery_id {
        facts.push(("delivery", escape::line(id).into_owned()));
    }
    if let Some(first) = info.duplicate_of {
        let fate = if info.is_deliverable {
            event_lines::why_delivered(info)
        } else {
            "answered as before, not delivered"
        };
        facts.push(("repeat of", format!("{first} ({fate})")));
    }
    for (label, value) in facts {
        screen.data(&format!(
            "{}{value}",
            paint::quiet(format_args!("{label:<10}"))
        ))?;
    }
    if let Some(failure) = verdict_words::failure(info) {
        let layout = Layout::new(screen.terminal_columns(), screen.zone().clone());
        let rest = failure.findings.get(1..).unwrap_or_default();
        let lines = event_lines::explanation(failure, &layout).into_iter();
        for line in lines.chain(event_lines::findings(rest, &layout)) {
            screen.data(&line)?;
        }
    }
    Ok(())
}

fn head(request: &CapturedRequest, context: &Context) -> anyhow::Result<()> {
    let head = &request.head;
    let first = format!(
        "{} {} {}",
        escape::line(head.method()),
        escape::bytes(head.target()),
        head.version().as_str()
    );
    context.screen.data("")?;
    context.screen.data(&paint::strong(first))?;
    for field in head.fields() {
        context.screen.data(&field_line(field))?;
    }
    Ok(())
}

fn field_line(field: Field<'_>) -> String {
    let name = escape::bytes(field.name);
    let rest = escape::bytes(&field.line[field.name.len()..]);
    format!("{}{rest}", paint::quiet(name))
}

async fn body(request: &CapturedRequest, api: &RelayApi, context: &Context) -> anyhow::Result<()> {
    let info = &request.detail.summary.info;
    if info.body_length == 0 {
        return Ok(());
    }
    context.screen.data("")?;
    if info.body_length > SHOWN_BYTES {
        let text = format!("({}; `--body` writes it)", quantity::size(info.body_length));
        return Ok(context.screen.data(&paint::quiet(text))?);
    }
    let bytes = request.body(api).await?;
    Ok(context.screen.data(&readable(&bytes))?)
}

/// JSON with indentation, other text as it is, anything else as what it is: all of it escaped.
fn readable(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return paint::quiet(format!(
            "({} that is not text; `--body` writes it)",
            quantity::size(bytes.len() as u64)
        ));
    };
    if let Some(indented) = indent_json(text) {
        return escape::block(&indented).into_owned();
    }
    escape::block(text.strip_suffix('\n').unwrap_or(text)).into_owned()
}

/// Puts line ends and spaces between the tokens of a JSON text and changes no token: numbers, escapes and the
/// order and repetition of keys stay as they came.
fn indent_json(text: &str) -> Option<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut shown = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut is_string = false;
    let mut is_escaped = false;
    let mut just_opened = false;
    for character in text.chars() {
        if is_string {
            shown.push(character);
            is_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(character, '}' | ']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if (closes && !just_opened) || (just_opened && !closes) {
            new_line(&mut shown, depth);
        }
        just_opened = false;
        shown.push(character);
        match character {
            '{' | '[' => {
                depth += 1;
                just_opened = true;
            }
            ',' => new_line(&mut shown, depth),
            ':' => shown.push(' '),
            '"' => is_string = true,
            _ => {}
        }
    }
    Some(shown)
}

fn new_line(shown: &mut String, depth: usize) {
    /// JSON may be nested more deeply than any terminal is wide.
    const DEEPEST: usize = 40;
    shown.push('\n');
    shown.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
}

fn show_attempt(view: &AttemptView, context: &Context) -> anyhow::Result<()> {
    let screen = &context.screen;
    let layout = Layout::new(screen.terminal_columns(), screen.zone().clone());
    let attempt = &view.attempt;
    screen.data("")?;
    let replay = if attempt.delivery.replay.is_some() {
        ", replay"
    } else {
        ""
    };
    screen.data(&paint::strong(format!(
        "attempt {} by {}{replay}",
        attempt.number, view.consumer
    )))?;
    screen.data(&event_lines::outcome(attempt, "", false, &layout))?;
    for line in event_lines::findings(&attempt.findings, &layout) {
        screen.data(&line)?;
    }
    for line in event_lines::changes(&view.replay_changes, &layout) {
        screen.data(&line)?;
    }
    let head = decode(&view.reply_head_base64)?;
    if let Ok(head) = ReplyHead::parse(head) {
        for field in head.fields() {
            screen.data(&format!("  {}", field_line(field)))?;
        }
    }
    let body = decode(&view.reply_body_base64)?;
    if !body.is_empty() {
        screen.data("")?;
        for line in readable(&body).lines() {
            screen.data(&format!("  {line}"))?;
        }
    }
    if let Outcome::Answered { body_length, .. } = attempt.outcome
        && body_length > KEPT_REPLY_BYTES as u64
    {
        let text = format!(
            "  (the first {} of {})",
            quantity::size(KEPT_REPLY_BYTES as u64),
            quantity::size(body_length)
        );
        screen.data(&paint::quiet(text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_without_changing_a_token() {
        let text = r#"{"b":[1.10,-0,{}],"a":"x\"{\\","a":[ ]}"#;

        let shown = indent_json(text).unwrap();

        assert_eq!(
            shown,
            "{\n  \"b\": [\n    1.10,\n    -0,\n    {}\n  ],\n  \"a\": \"x\\\"{\\\\\",\n  \"a\": []\n}"
        );
    }

    #[test]
    fn deeply_nested_json_does_not_overflow() {
        let text = format!("{}{}", "[".repeat(100), "]".repeat(100));

        assert!(indent_json(&text).is_some());
        assert!(indent_json(&"[".repeat(100_000)).is_none());
    }

    #[test]
    fn what_is_not_json_is_shown_as_text_and_what_is_not_text_is_described() {
        assert_eq!(readable(b"a=1&b=\x1b"), "a=1&b=\\x1b");
        assert!(readable(b"\x1f\x8b\x08").contains("not text"));
    }
}
