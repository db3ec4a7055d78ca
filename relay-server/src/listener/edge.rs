//! Hands each request to the part that answers it: ingest, sessions or the API.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tower_service::Service as _;
use towline_shared::head::Head;
use towline_shared::hop::INGEST_PREFIX;

use super::paced_body::PacedBody;
use super::recorder::Recorded;
use super::traffic::{self, Traffic};
use crate::ingest::{self, Arrival, Reply};
use crate::oauth::TOKEN_PATH;
use crate::problem::problem;
use crate::relay::Relay;
use crate::{api, oauth, session};

/// The path of sessions.
const CONNECT_PATH: &str = "/v1/connect";

/// What answers requests.
pub(super) struct Edge {
    relay: Arc<Relay>,
    api: Router,
}

impl Edge {
    /// The edge of a relay.
    pub(super) fn new(relay: Arc<Relay>) -> Self {
        Self {
            api: api::router(Arc::clone(&relay)),
            relay,
        }
    }

    /// The relay behind it.
    pub(super) const fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }
}

/// One connection, as far as its requests need to know it.
pub(super) struct Connection {
    pub(super) edge: Arc<Edge>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) remote: IpAddr,
    pub(super) is_tls: bool,
}

impl Connection {
    /// The service that the HTTP library calls with each request.
    pub(super) fn service(
        self: &Arc<Self>,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = Response<Answer>,
        Error = Infallible,
        Future: Send + 'static,
    > + use<> {
        let connection = Arc::clone(self);
        hyper::service::service_fn(move |request| {
            let connection = Arc::clone(&connection);
            async move { Ok(connection.answer(request).await) }
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let in_hand = self.traffic.begin();
        let is_http1 = request.version() <= Version::HTTP_11;
        // Each branch is boxed, so that an idle connection keeps no room for the largest of them.
        let (response, is_last) = match self.recorded_head(request) {
            Err(refused) => (refused.map(Content::Whole), true),
            Ok((request, head)) if request.uri().path().starts_with(INGEST_PREFIX) => {
                let Reply { response, is_last } = Box::pin(self.ingest(request, head)).await;
                (response.map(Content::Whole), is_last)
            }
            Ok((request, _)) if request.uri().path() == CONNECT_PATH => {
                let response = Box::pin(self.connect(request)).await;
                let is_last = response.status() != StatusCode::SWITCHING_PROTOCOLS;
                (response.map(Content::Whole), is_last)
            }
            Ok((request, head)) if request.uri().path() == TOKEN_PATH => {
                let Reply { response, is_last } = Box::pin(self.give_token(request)).await;
                (response.map(Content::Whole), is_last || head.is_unknown())
            }
            Ok((request, head)) => {
                let response = Box::pin(self.call_api(request)).await;
                (response.map(Content::Streamed), head.is_unknown())
            }
        };
        let mut response = response.map(|content| Answer {
            content,
            _in_hand: in_hand,
        });
        if is_last && is_http1 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }

    /// The request with its head as recorded, or the refusal that the recorder asks for.
    fn recorded_head(
        &self,
        request: Request<Incoming>,
    ) -> Result<(Request<Incoming>, Captured), Response<Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        let captured = match self.traffic.recorded_head(&parts) {
            None => Captured::NotText,
            Some(Recorded::Head(head)) => Captured::Recorded(head),
            Some(Recorded::Unknown) => Captured::Unknown,
            Some(Recorded::Refused(refusal)) => {
                return Err(problem(
                    StatusCode::BAD_REQUEST,
                    "malformed_request",
                    "the request is malformed",
                    Some(refusal.to_string()),
                ));
            }
        };
        Ok((Request::from_parts(parts, body), captured))
    }

    async fn ingest(&self, request: Request<Incoming>, captured: Captured) -> Reply {
        let is_last = captured.is_unknown();
        let (parts, body) = request.into_parts();
        let arrival = Arrival {
            recorded: match captured {
                Captured::Recorded(head) => Some(head),
                Captured::Unknown | Captured::NotText => None,
            },
            parts,
            body: PacedBody::new(body, &self.edge.relay.config.limits),
            remote: self.remote,
            is_tls: self.is_tls,
        };
        let mut reply = ingest::take_in(&self.edge.relay, arrival).await;
        reply.is_last |= is_last;
        reply
    }

    /// A refused upgrade ends the connection, because nobody follows its bytes any more.
    async fn connect(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.traffic.upgrade();
        session::connect(Arc::clone(&self.edge.relay), request, self.remote).await
    }

    async fn give_token(&self, request: Request<Incoming>) -> Reply {
        let (parts, body) = request.into_parts();
        let body = PacedBody::new(body, &self.edge.relay.config.limits);
        oauth::answer(&self.edge.relay, &parts, body, self.remote).await
    }

    async fn call_api(&self, request: Request<Incoming>) -> Response<axum::body::Body> {
        let limits = &self.edge.relay.config.limits;
        let request = request.map(|body| axum::body::Body::new(PacedBody::new(body, limits)));
        match self.edge.api.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// What is known of a request's head besides the HTTP library's view.
enum Captured {
    /// The bytes that came.
    Recorded(Head),
    /// Nothing, although the head came as text: the recorder has lost its place.
    Unknown,
    /// The head did not come as text (HTTP/2).
    NotText,
}

impl Captured {
    const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// The body of an answer; the request counts as in hand until it is written.
pub(super) struct Answer {
    content: Content,
    _in_hand: traffic::Request,
}

enum Content {
    Whole(Full<Bytes>),
    Streamed(axum::body::Body),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.get_mut().content {
            Content::Whole(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Content::Streamed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(body) => body.is_end_stream(),
            Content::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(body) => body.size_hint(),
            Content::Streamed(body) => body.size_hint(),
        }
    }
}
