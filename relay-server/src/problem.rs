//! Errors as problem details (RFC 9457), the same from every part of the edge.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use towline_shared::api::Problem;

/// A problem whose `type` is `urn:towline:problem:{code}`, ready to send.
pub(crate) fn problem(
    status: StatusCode,
    code: &str,
    title: &str,
    detail: Option<String>,
) -> Response<Full<Bytes>> {
    respond(&Problem {
        kind: format!("urn:towline:problem:{code}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        missing_scope: None,
    })
}

/// A problem as a response with its status.
pub(crate) fn respond(problem: &Problem) -> Response<Full<Bytes>> {
    // A struct of strings and a number cannot fail to be JSON.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_problem_is_json_with_its_status() {
        let response = problem(StatusCode::NOT_FOUND, "not_found", "not found", None);

        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            body,
            r#"{"type":"urn:towline:problem:not_found","title":"not found","status":404}"#
        );
    }
}
