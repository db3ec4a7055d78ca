//! Why no token is given out, and the error that says so (RFC 6749 §5.2).

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::json_response;
use crate::access_tokens::TooMany;
use crate::listener::PacedBodyError;

/// How long a sender waits when too many tokens are valid: some expire all the time.
const FULL_WAIT: Duration = Duration::from_secs(60);

/// A request gets no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The path takes POST only.
    #[error("the token endpoint takes POST only")]
    Method,
    /// A part is missing, repeated or malformed.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The client is unknown, or its secret is another one, or it has shown none.
    #[error("the client is unknown or its secret is wrong")]
    InvalidClient {
        /// Whether it tried in the `Authorization` field.
        is_basic: bool,
    },
    /// Only client credentials are taken.
    #[error("expected `grant_type=client_credentials`")]
    UnsupportedGrantType,
    /// The scope is malformed or not the client's.
    #[error("{0}")]
    InvalidScope(&'static str),
    /// The body is too long.
    #[error("the body has more than {most} bytes")]
    TooLong {
        /// The longest that is taken.
        most: usize,
    },
    /// The body did not come as it should.
    #[error(transparent)]
    Body(#[from] PacedBodyError),
    /// The address or the client asks too often.
    #[error("too many requests: ask again in {} s, and use each token until it expires", seconds(*wait))]
    TooOften {
        /// How long to wait.
        wait: Duration,
        /// Whether the body was not read.
        is_unread: bool,
    },
    /// Too many tokens are valid.
    #[error(transparent)]
    Full(#[from] TooMany),
}

#[derive(Serialize)]
struct Error {
    error: &'static str,
    error_description: String,
}

impl Refusal {
    /// Whether the connection must end, because the rest of the body is still to come.
    pub(super) const fn leaves_body_unread(&self) -> bool {
        match self {
            Self::Method | Self::TooLong { .. } | Self::Body(_) => true,
            Self::TooOften { is_unread, .. } => *is_unread,
            _ => false,
        }
    }

    /// The answer.
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let (status, error) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request"),
            Self::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Body(PacedBodyError::Broken(_)) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Body(PacedBodyError::TooSlow { .. }) => {
                (StatusCode::REQUEST_TIMEOUT, "invalid_request")
            }
            Self::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
            Self::InvalidClient { .. } => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            Self::InvalidScope(_) => (StatusCode::BAD_REQUEST, "invalid_scope"),
            // The RFC has no code for these; clients that know this one from §4.1.2.1 do the right thing.
            Self::TooOften { .. } => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
            Self::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        };
        let error = Error {
            error,
            error_description: self.description(),
        };
        let json = serde_json::to_vec(&error).expect("an error is plain data");
        let mut response = json_response(json);
        *response.status_mut() = status;
        self.add_fields(&mut response);
        response
    }

    /// Printable ASCII without `"` and `\`, as the RFC wants it.
    fn description(&self) -> String {
        match self {
            Self::Body(_) => "the body could not be read".to_owned(),
            other => other.to_string(),
        }
    }

    fn add_fields(&self, response: &mut Response<Full<Bytes>>) {
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Self::InvalidClient { is_basic: true } => {
                let challenge = "Basic realm=\"towline\", charset=\"UTF-8\"";
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            Self::TooOften { wait, .. } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds(*wait)));
            }
            Self::Full(_) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds(FULL_WAIT)));
            }
            _ => {}
        }
    }
}

/// Whole seconds, so that a turn is there when they are over.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(2)), 2);
        assert_eq!(seconds(Duration::from_millis(2001)), 3);
    }

    #[test]
    fn only_who_tried_by_basic_is_challenged_for_it() {
        for is_basic in [true, false] {
            let response = Refusal::InvalidClient { is_basic }.response();

            assert_eq!(response.status(), 401);
            assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), is_basic);
        }
    }

    #[test]
    fn descriptions_have_only_characters_that_the_rfc_allows() {
        let wait = Duration::from_secs(1);
        for refusal in [
            Refusal::Method,
            Refusal::InvalidClient { is_basic: true },
            Refusal::UnsupportedGrantType,
            Refusal::TooLong { most: 1 },
            Refusal::TooOften {
                wait,
                is_unread: true,
            },
            Refusal::Full(TooMany),
        ] {
            let text = refusal.description();
            let is_allowed = |byte: u8| matches!(byte, 0x20..=0x7e) && !b"\"\\".contains(&byte);
            assert!(text.bytes().all(is_allowed), "{text}");
        }
    }
}
