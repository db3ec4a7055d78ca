//! Why a request of the interface is refused, and the problem that says so. Each has a stable code.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::auth::AuthError;
use crate::endpoints::EndpointError;
use crate::problem::{not_let_in, problem, unavailable};
use crate::store::StoreError;

/// A request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The token is missing, unknown or may not do this.
    #[error(transparent)]
    Access(#[from] AuthError),
    /// There is nothing under this path.
    #[error("unknown path")]
    UnknownPath,
    /// The path does not take this method; `Allow` says which it takes.
    #[error("method not allowed")]
    Method,
    /// A part of the request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// A field has a value that cannot be used.
    #[error("`{field}`: {problem}")]
    Invalid {
        /// The field's name.
        field: &'static str,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The endpoint's provider needs a parameter that is not given.
    #[error("{0}")]
    MissingParameter(String),
    /// It cannot be done as things are.
    #[error("{detail}")]
    Conflict {
        /// The code of the problem.
        code: &'static str,
        /// The same for each problem of this code.
        title: &'static str,
        /// What is in the way, and what to do.
        detail: String,
    },
    /// The body is too long.
    #[error("body has more than {most} bytes")]
    TooLong {
        /// The longest that is taken.
        most: usize,
    },
    /// The body is not JSON by its `Content-Type`.
    #[error("expected `Content-Type: application/json`")]
    MediaType,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The relay is about to stop.
    #[error("the relay stops")]
    Stopping,
}

impl Refusal {
    /// A field cannot be used as it is.
    pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self::Invalid { field, problem }
    }

    /// The thing does not exist.
    pub(super) fn missing(what: &'static str, name: &impl ToString) -> Self {
        let name = name.to_string();
        Self::Store(StoreError::Missing { what, name })
    }

    fn problem(&self) -> crate::problem::Answer {
        let (status, code, title) = match self {
            Self::Access(error) => return not_let_in(error),
            Self::Stopping => return unavailable("the relay stops"),
            Self::Store(error) => return store_problem(error),
            Self::UnknownPath => {
                return problem(
                    StatusCode::NOT_FOUND,
                    "unknown_path",
                    "there is nothing under this path",
                    None,
                );
            }
            Self::Method => {
                return problem(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    "the path does not take this method",
                    None,
                );
            }
            Self::Malformed(_) => (
                StatusCode::BAD_REQUEST,
                "malformed_request",
                "the request cannot be read",
            ),
            Self::Invalid { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_field",
                "a value cannot be used",
            ),
            Self::MissingParameter(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "missing_parameter",
                "a parameter is missing",
            ),
            Self::Conflict { code, title, .. } => (StatusCode::CONFLICT, *code, *title),
            Self::TooLong { .. } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "the body is too long",
            ),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body is not JSON",
            ),
        };
        problem(status, code, title, Some(self.to_string()))
    }
}

fn store_problem(error: &StoreError) -> crate::problem::Answer {
    let detail = Some(error.to_string());
    match error {
        StoreError::Missing { what, .. } => {
            let title = format!("there is no such {what}");
            problem(
                StatusCode::NOT_FOUND,
                &format!("unknown_{what}"),
                &title,
                detail,
            )
        }
        StoreError::Exists { what, .. } => {
            let title = format!("there is such a {what} already");
            problem(
                StatusCode::CONFLICT,
                &format!("{what}_exists"),
                &title,
                detail,
            )
        }
        StoreError::Busy => unavailable("the store's queue is full"),
        StoreError::Closed => unavailable("the relay stops"),
        StoreError::Unwritable { .. } => {
            tracing::error!(%error, "store cannot be written");
            unavailable("the store cannot be written")
        }
        // The store's own words stay in the log: they may name paths.
        _ => {
            tracing::error!(%error, "store failed a request");
            let title = "the relay could not do this";
            problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", title, None)
        }
    }
}

impl From<EndpointError> for Refusal {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::Invalid { field, problem } => Self::Invalid { field, problem },
            EndpointError::NeedsParameter { .. } => Self::MissingParameter(error.to_string()),
            EndpointError::NotRevealed(why) => Self::Conflict {
                code: "nothing_to_reveal",
                title: "there is no captured secret to show",
                detail: why.to_string(),
            },
            EndpointError::Store(error) => Self::Store(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.problem().map(Body::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status() {
        let missing = Refusal::missing("event", &"evt_x");
        let exists = StoreError::Exists {
            what: "endpoint",
            name: "orders".into(),
        };
        for (refusal, status) in [
            (Refusal::UnknownPath, 404),
            (Refusal::Method, 405),
            (Refusal::Malformed("x".into()), 400),
            (Refusal::invalid("name", "x"), 422),
            (Refusal::MissingParameter("x".into()), 422),
            (Refusal::TooLong { most: 1 }, 413),
            (Refusal::MediaType, 415),
            (missing, 404),
            (Refusal::Store(exists), 409),
            (Refusal::Store(StoreError::Busy), 503),
            (Refusal::Store(StoreError::Failed("x".into())), 500),
            (Refusal::Access(AuthError::Unauthorised), 401),
        ] {
            let words = refusal.to_string();
            assert_eq!(refusal.into_response().status(), status, "{words}");
        }
    }
}
