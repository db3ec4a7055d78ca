//! What the sender gets: the endpoint's answer, a challenge's answer, or a problem.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use towline_shared::api::Ack;
use towline_shared::head::{FieldError, HeadError};
use towline_shared::id::EventId;
use towline_shared::verdict::CauseClass;
use towline_shared::verify::HandshakeReply;
use tracing::{debug, error};

use super::{IngestError, Reply};
use crate::listener::PacedBodyError;
use crate::problem::{problem, with_field};
use crate::store::StoreError;

/// The endpoint's answer, once the event is kept.
pub(super) fn ack(ack: &Ack, id: EventId) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(ack.status).unwrap_or(StatusCode::OK);
    let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    let body = match &ack.body {
        _ if !has_body => Bytes::new(),
        Some(body) => Bytes::from(body.clone()),
        None => Bytes::from(format!("{{\"id\":\"{id}\"}}")),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    if ack.body.is_none() && has_body {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
    add_fields(&mut response, &ack.headers);
    response
}

/// The answer to a provider's challenge.
pub(super) fn handshake(reply: &HandshakeReply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body.clone())));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    add_fields(&mut response, &reply.headers);
    response
}

/// 401 with the class of the cause, and nothing to guess with.
pub(super) fn rejected(class: CauseClass) -> Response<Full<Bytes>> {
    let (code, detail) = match class {
        CauseClass::Missing => (
            "signature_missing",
            "the signature, or a header or parameter that it needs, is absent",
        ),
        CauseClass::Malformed => (
            "signature_malformed",
            "a part that the check needs is malformed, or is there twice",
        ),
        CauseClass::Expired => (
            "signature_expired",
            "the timestamp lies outside the time window",
        ),
        CauseClass::Mismatch => (
            "signature_mismatch",
            "the signature or credential does not match",
        ),
        CauseClass::Unavailable => (
            "signature_unavailable",
            "the relay is not set up to check this request",
        ),
    };
    problem(
        StatusCode::UNAUTHORIZED,
        code,
        "the check of the signature failed",
        Some(detail.to_owned()),
    )
}

/// The problem that says why nothing was kept.
pub(super) fn refused(refusal: &IngestError) -> Reply {
    let (status, code, title) = match refusal {
        IngestError::UnknownEndpoint => (
            StatusCode::NOT_FOUND,
            "unknown_endpoint",
            "no such endpoint",
        ),
        IngestError::Head(HeadError::TooLarge | HeadError::Field(FieldError::TooMany)) => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            "the head is too large",
        ),
        IngestError::Head(_) => (
            StatusCode::BAD_REQUEST,
            "malformed_request",
            "the request is malformed",
        ),
        IngestError::BodyTooLarge { .. } => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the body is too large",
        ),
        IngestError::Body(PacedBodyError::TooSlow { .. }) => (
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            "the body came in too slowly",
        ),
        IngestError::Body(PacedBodyError::Broken(_)) => (
            StatusCode::BAD_REQUEST,
            "malformed_body",
            "the body ended early or is malformed",
        ),
        IngestError::Random | IngestError::Store(_) => return unavailable(refusal),
    };
    debug!(status = status.as_u16(), reason = %refusal, "request refused");
    Reply {
        response: problem(status, code, title, detail(refusal)),
        is_last: true,
    }
}

/// The limits are the sender's business; the same 404 for every key is not to be explained.
fn detail(refusal: &IngestError) -> Option<String> {
    match refusal {
        IngestError::UnknownEndpoint | IngestError::Body(PacedBodyError::Broken(_)) => None,
        other => Some(other.to_string()),
    }
}

/// 503: never a success, and the sender comes again.
fn unavailable(refusal: &IngestError) -> Reply {
    let retry_after = match refusal {
        // The writer empties a full queue in less than a second.
        IngestError::Store(StoreError::Busy) => "1",
        // A person must make room.
        _ => "10",
    };
    match refusal {
        IngestError::Store(StoreError::Busy) => debug!("request refused: the store is busy"),
        IngestError::Store(cause) => error!(%cause, "request refused: it could not be kept"),
        other => error!(cause = %other, "request refused: it could not be kept"),
    }
    let response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "the event could not be kept",
        Some("nothing was kept; send it again later".to_owned()),
    );
    Reply {
        response: with_field(response, RETRY_AFTER, retry_after),
        is_last: true,
    }
}

/// Fields that HTTP does not allow are left out; the API refuses them when they are set.
fn add_fields(response: &mut Response<Full<Bytes>>, fields: &[(String, String)]) {
    let mut set: Vec<HeaderName> = Vec::new();
    for (name, value) in fields {
        let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.as_bytes()),
        ) else {
            continue;
        };
        if set.contains(&name) {
            response.headers_mut().append(name, value);
        } else {
            response.headers_mut().insert(name.clone(), value);
            set.push(name);
        }
    }
}
