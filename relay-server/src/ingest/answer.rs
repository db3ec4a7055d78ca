//! What the sender gets: the endpoint's answer, a challenge's answer, or a problem.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use towline_shared::api::Ack;
use towline_shared::head::{FieldError, HeadError};
use towline_shared::id::EventId;
use towline_shared::verdict::CauseClass;
use towline_shared::verify::HandshakeReply;
use tracing::{debug, error};

use super::{IngestError, Reply};
use crate::endpoints::{LiveEndpoint, OverLimit};
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

/// The answer to a challenge whose secret the endpoint does not take.
pub(super) fn secret_refused() -> Response<Full<Bytes>> {
    problem(
        StatusCode::FORBIDDEN,
        "secret_refused",
        "the challenge is refused",
        Some("the endpoint takes no secret from a challenge".to_owned()),
    )
}

/// 503: the provider sends the challenge again, and it is confirmed then.
pub(super) fn unconfirmed() -> Response<Full<Bytes>> {
    let response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "unconfirmed",
        "the subscription could not be confirmed yet",
        Some("nothing was kept; send it again later".to_owned()),
    );
    with_field(response, RETRY_AFTER, "15")
}

/// The answer to a request whose check failed, whether it is kept or not. An OAuth sender is challenged: by that it
/// asks for a new token (RFC 6750 §3).
pub(super) fn rejected(endpoint: &LiveEndpoint, class: CauseClass) -> Response<Full<Bytes>> {
    match &endpoint.clients {
        None => unauthorized(class),
        Some(_) => with_field(unauthorized(class), WWW_AUTHENTICATE, challenge(class)),
    }
}

/// 401 with the class of the cause, and nothing to guess with.
fn unauthorized(class: CauseClass) -> Response<Full<Bytes>> {
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

const fn challenge(class: CauseClass) -> &'static str {
    match class {
        CauseClass::Missing => "Bearer realm=\"towline\"",
        _ => "Bearer realm=\"towline\", error=\"invalid_token\"",
    }
}

/// The problem that says why nothing was kept.
pub(super) fn refused(refusal: &IngestError) -> Reply {
    if let IngestError::OverLimit(over) = refusal {
        return over_limit(over);
    }
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
        IngestError::KeyLate => return key_late(),
        IngestError::OverLimit(_) | IngestError::Random | IngestError::Store(_) => {
            return unavailable(refusal);
        }
    };
    debug!(status = status.as_u16(), reason = %refusal, "request refused");
    Reply {
        response: problem(status, code, title, detail(refusal)),
        is_last: true,
    }
}

/// 429 with the time when there is room again (RFC 6585 §4, RFC 9110 §10.2.3), whole seconds and at least one.
fn over_limit(over: &OverLimit) -> Reply {
    let seconds = over.retry_after.as_secs_f64().ceil().max(1.0);
    let mut response = problem(
        StatusCode::TOO_MANY_REQUESTS,
        "over_limit",
        "the endpoint takes nothing more at the moment",
        Some(over.limit.to_string()),
    );
    let seconds = HeaderValue::try_from(format!("{seconds:.0}"));
    let seconds = seconds.expect("digits may stand in a field");
    response.headers_mut().insert(RETRY_AFTER, seconds);
    Reply {
        response,
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

/// 503 rather than 401: a sender takes 401 for the end, but this may well be its own webhook, and its key will be
/// there when it comes again. Nothing was acknowledged and nothing is lost.
fn key_late() -> Reply {
    debug!("request refused: the key that would check it is not there yet");
    let response = problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "key_unavailable",
        "the signature could not be checked yet",
        Some(
            "the provider's key could not be fetched; nothing was kept; send it again later"
                .to_owned(),
        ),
    );
    Reply {
        response: with_field(response, RETRY_AFTER, "15"),
        is_last: false,
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
        // A burst must not end every sender's connection as well.
        is_last: !matches!(refusal, IngestError::Store(StoreError::Busy)),
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use towline_shared::time::Timestamp;

    use super::*;

    async fn body(response: Response<Full<Bytes>>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn id() -> EventId {
        EventId::new(Timestamp::from_millis(1), [1; 10])
    }

    #[tokio::test]
    async fn the_default_answer_is_the_id_as_json() {
        let response = ack(&Ack::default(), id());

        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(body(response).await, format!("{{\"id\":\"{}\"}}", id()));
    }

    #[tokio::test]
    async fn an_endpoint_chooses_status_fields_and_body() {
        let chosen = Ack {
            status: 202,
            headers: vec![
                ("Content-Type".to_owned(), "text/xml".to_owned()),
                ("x-a".to_owned(), "1".to_owned()),
                ("x-a".to_owned(), "2".to_owned()),
                ("bad name".to_owned(), "3".to_owned()),
            ],
            body: Some("<Response/>".to_owned()),
        };

        let response = ack(&chosen, id());

        assert_eq!(response.status(), 202);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/xml");
        let repeated: Vec<_> = response.headers().get_all("x-a").iter().collect();
        assert_eq!(repeated, ["1", "2"]);
        assert_eq!(response.headers().len(), 3);
        assert_eq!(body(response).await, "<Response/>");
    }

    #[tokio::test]
    async fn an_answer_without_content_has_no_body() {
        let chosen = Ack {
            status: 204,
            ..Ack::default()
        };

        let response = ack(&chosen, id());

        assert!(response.headers().is_empty());
        assert_eq!(body(response).await, "");
    }

    #[tokio::test]
    async fn a_rejection_names_the_class_and_nothing_else() {
        let response = unauthorized(CauseClass::Expired);

        assert_eq!(response.status(), 401);
        let text = body(response).await;
        assert!(
            text.contains("urn:towline:problem:signature_expired"),
            "{text}"
        );
    }

    #[test]
    fn what_the_store_does_not_keep_is_503_with_retry_after() {
        for (cause, retry_after) in [
            (StoreError::Busy, "1"),
            (StoreError::Closed, "10"),
            (StoreError::Failed("disk".to_owned()), "10"),
            (
                StoreError::Unwritable {
                    folder: "/d".into(),
                    detail: "full".to_owned(),
                },
                "10",
            ),
        ] {
            let reply = refused(&IngestError::Store(cause));

            assert_eq!(reply.response.status(), 503);
            assert_eq!(reply.response.headers()[RETRY_AFTER], retry_after);
        }
    }

    #[test]
    fn each_refusal_has_its_status() {
        for (refusal, status) in [
            (IngestError::UnknownEndpoint, 404),
            (IngestError::Head(HeadError::TooLarge), 431),
            (
                IngestError::Head(HeadError::Field(FieldError::TooMany)),
                431,
            ),
            (IngestError::Head(HeadError::RequestLine), 400),
            (IngestError::BodyTooLarge { max: 1 }, 413),
            (IngestError::Body(PacedBodyError::TooSlow { floor: 1 }), 408),
            (IngestError::Random, 503),
        ] {
            let reply = refused(&refusal);

            assert_eq!(reply.response.status(), status, "{refusal}");
            assert!(reply.is_last, "{refusal}");
        }
    }
}
