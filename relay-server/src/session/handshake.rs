//! Checks that a request asks for a session (RFC 6455 §4.2.1) and answers it. Knows no token.

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use towline_shared::wire::SUBPROTOCOL;

use crate::problem::{problem, with_field};

/// A request that asks for a session in the right way.
#[derive(Debug)]
pub(super) struct Asked {
    accept_key: String,
}

/// Why a request cannot become a session.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAsked {
    /// The method is not GET.
    #[error("the method must be GET")]
    Method,
    /// The request is not HTTP/1.1, or asks for no upgrade or another one.
    #[error("expected an HTTP/1.1 request with `Connection: upgrade` and `Upgrade: websocket`")]
    NoUpgrade,
    /// The WebSocket version is another one.
    #[error("`Sec-WebSocket-Version` must be 13")]
    Version,
    /// The key is missing or has another length.
    #[error("`Sec-WebSocket-Key` must be 16 bytes in base64")]
    Key,
    /// The client does not speak this wire.
    #[error("`Sec-WebSocket-Protocol` must name `{SUBPROTOCOL}`")]
    Subprotocol,
}

impl Asked {
    /// Looks at a request's head.
    pub(super) fn read<B>(request: &Request<B>) -> Result<Self, NotAsked> {
        let headers = request.headers();
        if request.method() != Method::GET {
            return Err(NotAsked::Method);
        }
        if request.version() != Version::HTTP_11
            || !names(headers, &CONNECTION, "upgrade")
            || !names(headers, &UPGRADE, "websocket")
        {
            return Err(NotAsked::NoUpgrade);
        }
        if only(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
            return Err(NotAsked::Version);
        }
        let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(NotAsked::Key)?;
        let is_key = BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16);
        if !is_key {
            return Err(NotAsked::Key);
        }
        if !names(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
            return Err(NotAsked::Subprotocol);
        }
        let accept_key = derive_accept_key(key);
        Ok(Self { accept_key })
    }

    /// The answer 101 that turns the connection into a WebSocket.
    pub(super) fn answer(self) -> Response<Full<Bytes>> {
        let accept = HeaderValue::try_from(self.accept_key).expect("base64 is a field value");
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        answer
    }
}

impl NotAsked {
    /// The problem to send.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let (status, code, field) = match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                Some((http::header::ALLOW, "GET")),
            ),
            Self::NoUpgrade => (
                StatusCode::UPGRADE_REQUIRED,
                "upgrade_required",
                Some((UPGRADE, "websocket")),
            ),
            Self::Version => (
                StatusCode::UPGRADE_REQUIRED,
                "websocket_version",
                Some((SEC_WEBSOCKET_VERSION, "13")),
            ),
            Self::Key => (StatusCode::BAD_REQUEST, "websocket_key", None),
            Self::Subprotocol => (StatusCode::BAD_REQUEST, "unknown_subprotocol", None),
        };
        let title = "the request does not ask for a session";
        let answer = problem(status, code, title, Some(self.to_string()));
        match field {
            Some((name, value)) => with_field(answer, name, value),
            None => answer,
        }
    }
}

/// Whether a list field names `wanted`, in any letter case.
fn names(headers: &HeaderMap, field: &HeaderName, wanted: &str) -> bool {
    headers
        .get_all(field)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The value of a field that must be there once.
fn only<'a>(headers: &'a HeaderMap, field: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(field).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_answered_with_its_key() {
        let request = with("sec-websocket-protocol", "chat, towline.v1");

        let answer = Asked::read(&request).unwrap().answer();

        assert_eq!(answer.status(), 101);
        let headers = answer.headers();
        assert_eq!(
            headers["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(headers["sec-websocket-protocol"], "towline.v1");
    }

    #[test]
    fn each_missing_part_is_named() {
        for (field, value, refusal) in [
            ("connection", "keep-alive", NotAsked::NoUpgrade),
            ("upgrade", "h2c", NotAsked::NoUpgrade),
            ("sec-websocket-version", "8", NotAsked::Version),
            ("sec-websocket-key", "c2hvcnQ=", NotAsked::Key),
            (
                "sec-websocket-protocol",
                "towline.v0",
                NotAsked::Subprotocol,
            ),
        ] {
            assert_eq!(Asked::read(&with(field, value)).unwrap_err(), refusal);
            assert!(refusal.answer().status().is_client_error());
        }
    }

    #[test]
    fn only_get_over_http_1_1_is_taken() {
        let mut request = with("x", "y");
        *request.method_mut() = Method::POST;
        assert_eq!(Asked::read(&request).unwrap_err(), NotAsked::Method);

        let mut request = with("x", "y");
        *request.version_mut() = Version::HTTP_2;
        assert_eq!(Asked::read(&request).unwrap_err(), NotAsked::NoUpgrade);
    }

    /// The request of RFC 6455 §1.3 with one field set otherwise.
    fn with(field: &'static str, value: &'static str) -> Request<()> {
        let mut request = Request::new(());
        let headers = request.headers_mut();
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "towline.v1"),
            (field, value),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        request
    }
}
