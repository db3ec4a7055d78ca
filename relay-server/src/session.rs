//! One live WebSocket of one consumer: sends deliveries within its window, keeps outcomes, moves the cursor.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use towline_shared::id::TokenId;

use crate::relay::Relay;
use crate::store::{ConsumerId, EndpointId};

/// The live sessions, one at most of each consumer.
pub(crate) struct Sessions {}

impl Sessions {
    /// No sessions yet.
    pub(crate) fn new() -> Self {
        todo!()
    }

    /// Whether the consumer has a live session.
    pub(crate) fn is_connected(&self, _consumer: ConsumerId) -> bool {
        todo!()
    }

    /// How many sessions are live.
    pub(crate) fn count(&self) -> usize {
        todo!()
    }

    /// Ends the sessions of a deleted endpoint, with the reason `no_endpoint`.
    pub(crate) fn end_of_endpoint(&self, _endpoint: EndpointId) {
        todo!()
    }

    /// Ends the sessions that a revoked token opened, with the reason `unauthorised`.
    pub(crate) fn end_of_token(&self, _token: TokenId) {
        todo!()
    }
}

/// Answers `GET /v1/connect`: checks token and upgrade, then runs the session in a task of the relay's tracker.
pub(crate) async fn connect(
    _relay: Arc<Relay>,
    _request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    todo!()
}
