//! One HTTP/1.1 exchange with the relay on a connection of its own: the request, and the answer whole or as a stream,
//! never longer than allowed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use towline_shared::api::Problem;
use towline_shared::id::EventId;
use towline_shared::secret::Secret;
use url::Url;

use super::error::ApiError;
use crate::dial::{RelayAddress, dial};

/// The longest answer of JSON: a thousand events with their latest attempts fit several times.
const MOST_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The longest problem that is read; a longer one is cut and told by its status alone.
const MOST_PROBLEM_BYTES: usize = 64 * 1024;

/// How long the relay may take to begin its answer.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long a stream may be silent; the relay sends something more often.
const SILENCE: Duration = Duration::from_secs(60);

/// A request to make.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Bytes,
    pub(super) last_event: Option<EventId>,
}

impl Call {
    pub(super) fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            content_type: None,
            body: Bytes::new(),
            last_event: None,
        }
    }
}

/// A relay and the token for it.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    relay: RelayAddress,
    token: Option<Secret>,
}

impl Exchange {
    pub(super) const fn new(relay: RelayAddress, token: Option<Secret>) -> Self {
        Self { relay, token }
    }

    pub(super) const fn relay(&self) -> &RelayAddress {
        &self.relay
    }

    pub(super) const fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// The whole answer's body; an answer that is not a success is an error.
    pub(super) async fn whole(&self, call: Call) -> Result<Bytes, ApiError> {
        self.stream(call).await?.whole(MOST_ANSWER_BYTES).await
    }

    pub(super) async fn download(&self, path: &str) -> Result<Download, ApiError> {
        self.stream(Call::new("GET", path)).await
    }

    /// The answer's body as it comes; an answer that is not a success is an error.
    pub(super) async fn stream(&self, call: Call) -> Result<Download, ApiError> {
        let request = self.request(call)?;
        let stream = dial(&self.relay)
            .await
            .map_err(|source| ApiError::Unreachable {
                url: shown(&self.relay.url),
                source,
            })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        // The connection lives as long as the download that owns this task.
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            // What breaks the connection is told by the request or the body.
            let _ = connection.await;
        }));
        let answer = timeout(HEAD_TIME, sender.send_request(request))
            .await
            .map_err(|_| self.broken(&"no answer"))?
            .map_err(|error| self.broken(&error))?;
        let status = answer.status();
        let download = Download::new(self.relay.url.clone(), answer, driver);
        if status.is_success() {
            return Ok(download);
        }
        Err(download.problem(status.as_u16()).await)
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, ApiError> {
        let base = self.relay.url.path().trim_end_matches('/');
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{base}{}", call.path))
            .header(HOST, authority(&self.relay.url))
            .header(ACCEPT, "application/json, text/event-stream, */*")
            .header(USER_AGENT, concat!("towline/", env!("CARGO_PKG_VERSION")));
        if let Some(content_type) = call.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let Some(last) = call.last_event {
            request = request.header("last-event-id", last.to_string());
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        request
            .body(Full::new(call.body))
            .map_err(|error| ApiError::Unreadable {
                what: "the request".to_owned(),
                detail: error.to_string(),
            })
    }

    fn broken(&self, detail: &dyn std::fmt::Display) -> ApiError {
        broken(&self.relay.url, detail)
    }
}

fn broken(url: &Url, detail: &dyn std::fmt::Display) -> ApiError {
    ApiError::Broken {
        url: shown(url),
        detail: detail.to_string(),
    }
}

/// A relay's address in words, without the final `/`.
pub fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, ApiError> {
    let value = [b"Bearer ", token.expose()].concat();
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| ApiError::Unreadable {
        what: "the token".to_owned(),
        detail: "it has a character that no token has".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The body of an answer while it comes.
pub struct Download {
    url: Url,
    body: Incoming,
    is_problem: bool,
    _driver: AbortOnDropHandle<()>,
}

impl Download {
    fn new(url: Url, answer: Response<Incoming>, driver: AbortOnDropHandle<()>) -> Self {
        let content_type = answer.headers().get(CONTENT_TYPE);
        let is_problem = content_type
            .is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
        Self {
            url,
            is_problem,
            body: answer.into_body(),
            _driver: driver,
        }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks or is silent for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let frame = timeout(SILENCE, self.body.frame())
                .await
                .map_err(|_| broken(&self.url, &"silence for too long"))?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| broken(&self.url, &error))?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }

    /// All bytes.
    ///
    /// # Errors
    /// As [`Download::next`], and when there are more than `most`.
    pub async fn whole(mut self, most: usize) -> Result<Bytes, ApiError> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if whole.len() + bytes.len() > most {
                return Err(ApiError::Unreadable {
                    what: "the answer".to_owned(),
                    detail: format!("it has more than {most} bytes"),
                });
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    async fn problem(self, status: u16) -> ApiError {
        let url = shown(&self.url);
        let is_problem = self.is_problem;
        let body = match self.whole(MOST_PROBLEM_BYTES).await {
            Ok(body) => body,
            Err(ApiError::Unreadable { .. }) => Bytes::new(),
            Err(error) => return error,
        };
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if is_problem => ApiError::Problem(Box::new(Problem { status, ..problem })),
            _ => ApiError::Unreadable {
                what: format!("the answer of `{url}`"),
                detail: format!("status {status} without a problem description"),
            },
        }
    }
}
