//! Reads why a relay, or what stands in its place, refuses the upgrade.

use serde::Deserialize;
use tokio_tungstenite::tungstenite::http::{Response, StatusCode};

use super::NoLink;

/// The most of a refusal's text that is shown.
const MAX_SHOWN: usize = 300;

/// The part of a problem (RFC 9457) that a person reads.
#[derive(Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}

pub(super) fn read(reply: &Response<Option<Vec<u8>>>) -> NoLink {
    let status = reply.status();
    let detail = problem(reply.body().as_deref().unwrap_or_default())
        .unwrap_or_else(|| format!("it answers {status}"));
    match status {
        StatusCode::UNAUTHORIZED => NoLink::Unauthorised(detail),
        StatusCode::FORBIDDEN => NoLink::Forbidden(detail),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            NoLink::Away(detail)
        }
        _ if status.is_server_error() => NoLink::Away(detail),
        _ if status.is_redirection() => NoLink::NotARelay(format!(
            "it answers {status} and sends elsewhere; use the address it sends to"
        )),
        _ => NoLink::NotARelay(detail),
    }
}

fn problem(body: &[u8]) -> Option<String> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    let text = problem.detail.or(problem.title)?;
    Some(
        text.chars()
            .filter(|letter| !letter.is_control())
            .take(MAX_SHOWN)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_status(status: u16, body: &str) -> NoLink {
        read(
            &Response::builder()
                .status(status)
                .body(Some(body.into()))
                .unwrap(),
        )
    }

    #[test]
    fn the_relay_explains_itself_by_its_problem() {
        let refusal = read_status(
            403,
            r#"{"title":"Forbidden","detail":"the token lacks the scope `listen`"}"#,
        );

        assert!(matches!(refusal, NoLink::Forbidden(detail) if detail.contains("scope `listen`")));
    }

    #[test]
    fn each_status_says_whether_trying_again_helps() {
        assert!(
            matches!(read_status(401, "no"), NoLink::Unauthorised(detail) if detail.contains("401"))
        );
        assert!(matches!(read_status(503, ""), NoLink::Away(_)));
        assert!(matches!(read_status(429, ""), NoLink::Away(_)));
        assert!(
            matches!(read_status(404, "<html>"), NoLink::NotARelay(detail) if detail.contains("404"))
        );
        assert!(
            matches!(read_status(301, ""), NoLink::NotARelay(detail) if detail.contains("elsewhere"))
        );
    }

    #[test]
    fn a_long_or_odd_text_is_cut_and_cleaned() {
        let text = format!("{{\"detail\":\"\\u001b{}\"}}", "x".repeat(MAX_SHOWN + 1));

        assert!(
            matches!(read_status(401, &text), NoLink::Unauthorised(detail) if detail == "x".repeat(MAX_SHOWN))
        );
    }
}
