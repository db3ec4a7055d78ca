//! Errors as problem details (RFC 9457), the same from every part of the edge.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use towline_shared::api::Problem;

use crate::auth::AuthError;

/// A problem, ready to send.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A problem whose `type` is `urn:towline:problem:{code}`, ready to send.
pub(crate) fn problem(
    status: StatusCode,
    code: &str,
    title: &str,
    detail: Option<String>,
) -> Response<Full<Bytes>> {
    send(&Problem {
        kind: format!("urn:towline:problem:{code}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        missing_scope: None,
    })
}

/// Why a request is not let in: 401 with a challenge, 403 with the missing scope, or 503.
pub(crate) fn not_let_in(error: &AuthError) -> Response<Full<Bytes>> {
    match error {
        AuthError::Unauthorised => {
            let title = "the request needs a valid bearer token";
            let refusal = problem(StatusCode::UNAUTHORIZED, "unauthorised", title, None);
            with_field(refusal, WWW_AUTHENTICATE, "Bearer realm=\"towline\"")
        }
        AuthError::Forbidden(scope) => send(&Problem {
            kind: "urn:towline:problem:missing_scope".to_owned(),
            title: "the token lacks a scope".to_owned(),
            status: StatusCode::FORBIDDEN.as_u16(),
            detail: Some(error.to_string()),
            missing_scope: Some(scope.as_str().to_owned()),
        }),
        AuthError::Store(_) => unavailable("the token could not be looked up"),
    }
}

/// The store cannot be used at the moment: 503, to be tried again in a second.
pub(crate) fn unavailable(detail: &str) -> Response<Full<Bytes>> {
    let title = "the relay cannot do this at the moment";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let answer = problem(status, "unavailable", title, Some(detail.to_owned()));
    with_field(answer, RETRY_AFTER, "1")
}

/// The problem with one more header field.
pub(crate) fn with_field(
    mut answer: Response<Full<Bytes>>,
    name: HeaderName,
    value: &'static str,
) -> Response<Full<Bytes>> {
    answer
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    answer
}

fn send(problem: &Problem) -> Response<Full<Bytes>> {
    let json = serde_json::to_vec(problem).expect("a problem is plain data");
    let mut answer = Response::new(Full::new(Bytes::from(json)));
    *answer.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let answer = with_field(answer, CONTENT_TYPE, "application/problem+json");
    with_field(answer, CACHE_CONTROL, "no-store")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::store::Scope;

    #[tokio::test]
    async fn a_problem_names_its_code_and_status() {
        let title = "no such endpoint";
        let answer = problem(StatusCode::NOT_FOUND, "unknown_endpoint", title, None);

        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let read: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.kind, "urn:towline:problem:unknown_endpoint");
        assert_eq!((read.status, read.title.as_str()), (404, title));
    }

    #[tokio::test]
    async fn a_missing_scope_is_named() {
        let answer = not_let_in(&AuthError::Forbidden(Scope::Write));

        assert_eq!(answer.status(), 403);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let read: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.missing_scope.as_deref(), Some("write"));
    }

    #[test]
    fn a_missing_token_is_challenged() {
        let answer = not_let_in(&AuthError::Unauthorised);

        assert_eq!(answer.status(), 401);
        assert!(answer.headers().contains_key(WWW_AUTHENTICATE));
    }
}
