//! Shows what was sent and what came back, and reads the exit code off it.

use std::time::Duration;

use serde::Serialize;
use towline_shared::head::{Head, ReplyHead};
use towline_shared::outcome::Outcome;

use super::super::{Context, Exit};
use super::message::Message;
use crate::forward::Tried;
use crate::screen::{escape, event_lines, paint, quantity};

/// How much of an answer's body is shown.
const SHOWN_BYTES: usize = 1024;

/// One call as JSON.
#[derive(Serialize)]
struct Sent<'a> {
    event: &'a str,
    method: &'a str,
    url: &'a str,
    delivery_id: Option<&'a str>,
    is_signed: bool,
    headers: Vec<(String, String)>,
    body_length: usize,
    outcome: &'a Outcome,
    duration_micros: u64,
    reply_headers: Vec<(String, String)>,
    /// Only of answers, as text.
    reply_body: Option<String>,
    hint: Option<&'a str>,
}

/// The line of a request that is about to be sent.
pub(super) fn show_request(message: &Message, context: &Context) -> anyhow::Result<()> {
    if context.global.json {
        return Ok(());
    }
    let id = message.delivery_id.as_deref().unwrap_or_default();
    let line = format!(
        "--> {} {}  {}  {}  {} {}",
        message.head.method(),
        paint::link(&message.url),
        paint::strong(escape::line(&message.event)),
        quantity::size(message.body.len() as u64),
        if message.is_signed {
            "signed"
        } else {
            "unsigned"
        },
        escape::line(id),
    );
    Ok(context.screen.data(line.trim_end())?)
}

/// What came of it.
pub(super) fn show(message: &Message, tried: &Tried, context: &Context) -> anyhow::Result<()> {
    if context.global.json {
        return show_json(message, tried, context);
    }
    let (word, _) = event_lines::outcome_word(&tried.outcome);
    let is_good = exit(&tried.outcome, false) == Exit::Done;
    let word = if is_good {
        paint::good(&word)
    } else {
        paint::bad(&word)
    };
    let took = quantity::duration(tried.duration);
    let line = format!(
        "<-- {word}  {took}  {}",
        event_lines::outcome_words(&tried.outcome)
    );
    context.screen.data(line.trim_end())?;
    if matches!(tried.outcome, Outcome::Answered { .. }) {
        let shown = &tried.reply_body[..tried.reply_body.len().min(SHOWN_BYTES)];
        let text = String::from_utf8_lossy(shown);
        let more = tried.reply_body.len() - shown.len();
        for line in escape::block(text.trim_end()).lines() {
            context.screen.data(&format!("    {line}"))?;
        }
        if more > 0 {
            context
                .screen
                .data(&paint::quiet(format!("    … {more} bytes more")))?;
        }
    }
    if let Some(hint) = &tried.hint {
        context
            .screen
            .notice(&format!("{} {hint}", paint::strong("hint:")));
    }
    Ok(())
}

fn show_json(message: &Message, tried: &Tried, context: &Context) -> anyhow::Result<()> {
    let is_answered = matches!(tried.outcome, Outcome::Answered { .. });
    context.screen.json(&Sent {
        event: &message.event,
        method: message.head.method(),
        url: &message.url,
        delivery_id: message.delivery_id.as_deref(),
        is_signed: message.is_signed,
        headers: fields(&message.head),
        body_length: message.body.len(),
        outcome: &tried.outcome,
        duration_micros: micros(tried.duration),
        reply_headers: reply_fields(tried),
        reply_body: is_answered.then(|| String::from_utf8_lossy(&tried.reply_body).into_owned()),
        hint: tried.hint.as_deref(),
    })?;
    Ok(())
}

fn fields(head: &Head) -> Vec<(String, String)> {
    head.fields()
        .map(|field| pair(field.name, field.value))
        .collect()
}

fn reply_fields(tried: &Tried) -> Vec<(String, String)> {
    let head = ReplyHead::parse(tried.reply_head.clone());
    let fields = head.map(|head| {
        head.fields()
            .map(|field| pair(field.name, field.value))
            .collect()
    });
    fields.unwrap_or_default()
}

fn pair(name: &[u8], value: &[u8]) -> (String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(name), text(value))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What the outcome means to scripts. A forged webhook must be refused.
pub(super) const fn exit(outcome: &Outcome, is_forged: bool) -> Exit {
    let Outcome::Answered { status, .. } = outcome else {
        return Exit::TargetUnreachable;
    };
    let is_expected = match is_forged {
        true => 400 <= *status && *status < 500,
        false => 200 <= *status && *status < 300,
    };
    if is_expected {
        Exit::Done
    } else {
        Exit::ExpectationNotMet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_when_it_is_2xx_and_a_forged_webhook_must_be_refused() {
        let answered = |status| Outcome::Answered {
            status,
            body_length: 0,
            first_byte_micros: 0,
        };
        let refused = Outcome::Refused {
            detail: String::new(),
        };

        for (outcome, is_forged, expected) in [
            (answered(200), false, Exit::Done),
            (answered(299), false, Exit::Done),
            (answered(302), false, Exit::ExpectationNotMet),
            (answered(401), false, Exit::ExpectationNotMet),
            (refused.clone(), false, Exit::TargetUnreachable),
            (answered(401), true, Exit::Done),
            (answered(200), true, Exit::ExpectationNotMet),
            (answered(500), true, Exit::ExpectationNotMet),
            (refused, true, Exit::TargetUnreachable),
        ] {
            assert_eq!(
                exit(&outcome, is_forged),
                expected,
                "{outcome:?} {is_forged}"
            );
        }
    }
}
