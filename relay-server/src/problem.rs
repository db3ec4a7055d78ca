//! Errors as problem details (RFC 9457), the same from every part of the edge.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

/// A problem whose `type` is `urn:towline:problem:{code}`, ready to send.
pub(crate) fn problem(
    _status: StatusCode,
    _code: &str,
    _title: &str,
    _detail: Option<String>,
) -> Response<Full<Bytes>> {
    todo!()
}
