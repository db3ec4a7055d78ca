//! `POST /v1/events/{id}/attempts`: keeps an attempt that a person made outside any consumer's line.

use std::sync::Arc;

use axum::extract::{Request, State};
use towline_shared::api::RecordedAttempt;
use towline_shared::id::{ConsumerName, EventId};
use towline_shared::wire::{FromClient, MAX_FRAME_BYTES};

use super::access::{Allowed, Listen};
use super::events::find_event;
use super::input::{Json, Segment, read_body};
use super::refusal::Refusal;
use crate::relay::Relay;

pub(super) async fn record(
    Allowed { token, .. }: Allowed<Listen>,
    State(relay): State<Arc<Relay>>,
    Segment(id): Segment<EventId>,
    request: Request,
) -> Result<Json<RecordedAttempt>, Refusal> {
    let frame = read_body(request, MAX_FRAME_BYTES).await?;
    let mut report = match FromClient::decode(&frame) {
        Ok(FromClient::Outcome(report)) => *report,
        Ok(_) => {
            return Err(Refusal::Malformed(
                "body is not an `outcome` frame".to_owned(),
            ));
        }
        Err(error) => return Err(Refusal::Malformed(format!("body: {error}"))),
    };
    if report.attempt.event != id {
        let problem = format!("is `{}`, but the path names `{id}`", report.attempt.event);
        return Err(Refusal::invalid("event", problem));
    }
    find_event(&relay, id).await?;
    report.attempt.findings = relay.recheck().findings(&report).await;
    let findings = report.attempt.findings.clone();
    let made_by = made_by(&token.name);
    relay.store.record_outside(&made_by, report).await?;
    Ok(Json(RecordedAttempt { findings }))
}

/// The token's name as that of a consumer; what a consumer's name cannot hold becomes `-`.
pub(super) fn made_by(token: &str) -> ConsumerName {
    let fitting = |letter: char| {
        if letter.is_ascii_graphic() {
            letter
        } else {
            '-'
        }
    };
    let name: String = token.chars().take(120).map(fitting).collect();
    let fallback = || "by-hand".parse().expect("the name is valid");
    name.parse().unwrap_or_else(|_| fallback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_token_becomes_the_name_of_a_consumer() {
        for (token, expected) in [
            ("laptop", "laptop"),
            ("Anna's laptop ü", "Anna's-laptop--"),
            ("", "by-hand"),
        ] {
            assert_eq!(made_by(token).as_str(), expected);
        }
        assert_eq!(made_by(&"x".repeat(500)).as_str().len(), 120);
    }
}
