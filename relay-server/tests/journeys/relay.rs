//! A relay with a folder of its own, and plain HTTP requests to it.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use towline_server::{Config, RunningRelay};
use towline_shared::api::{CreatedToken, EndpointView};
use towline_shared::id::EventId;

/// A running relay.
pub(crate) struct Relay {
    pub(crate) running: RunningRelay,
    pub(crate) admin: String,
    folder: TempDir,
}

/// What a request got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Relay {
    /// Starts a relay with the usual limits.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a relay whose settings were changed.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    /// The same relay, stopped and started again.
    pub(crate) async fn restarted(self) -> Self {
        self.running.stop().await;
        Self::start_in(self.folder, |_| {}).await
    }

    async fn start_in(folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::with_data(folder.path());
        config.listen = "127.0.0.1:0".parse().unwrap();
        change(&mut config);
        let running = towline_server::start(config).await.unwrap();
        let admin = std::fs::read_to_string(running.admin_token_file()).unwrap();
        Self {
            running,
            admin: admin.trim().to_owned(),
            folder,
        }
    }

    /// Makes the endpoint `line`, which checks nothing.
    pub(crate) async fn with_line(self) -> Self {
        let made = self
            .json("POST", "/v1/endpoints", &json!({"name": "line"}))
            .await;
        assert_eq!(made.status, 201, "{}", made.text());
        self
    }

    /// Posts a body to `line` as a provider does, and returns the event's id.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> EventId {
        let line: EndpointView = self.get("/v1/endpoints/line").await;
        let path = line.url.strip_prefix(self.running.public_url()).unwrap();
        let request = Request::post(path).body(Full::new(body.into())).unwrap();
        let reply = self.send(request).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        answer["id"].as_str().unwrap().parse().unwrap()
    }

    /// What the admin gets with 200.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let reply = self.call("GET", path, &self.admin, None).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// A request of the admin with JSON.
    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.call(method, path, &self.admin, Some(body)).await
    }

    /// A token with these scopes.
    pub(crate) async fn token(&self, asked: &Value) -> CreatedToken {
        let reply = self.json("POST", "/v1/tokens", asked).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// A request with a token.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(request.body(Full::new(body.into())).unwrap())
            .await
    }

    /// Any request, on a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        self.send_from([127, 0, 0, 1], request).await
    }

    /// The same, from this address of the machine.
    pub(crate) async fn send_from(
        &self,
        address: [u8; 4],
        mut request: Request<Full<Bytes>>,
    ) -> Reply {
        let host = self.running.address().to_string().parse().unwrap();
        request.headers_mut().insert("host", host);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        let stream = socket.connect(self.running.address()).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let exchange = async {
            let reply = sender.send_request(request).await.unwrap();
            let (parts, body) = reply.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            drop(sender);
            Reply {
                status: parts.status,
                headers: parts.headers,
                body,
            }
        };
        let (reply, _) = tokio::join!(exchange, connection);
        reply
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of the problem.
    pub(crate) fn code(&self) -> String {
        let kind = self
            .headers
            .get("content-type")
            .map(|value| value.as_bytes());
        assert_eq!(kind, Some(&b"application/problem+json"[..]), "{self:?}");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        let kind = problem["type"].as_str().unwrap();
        kind.strip_prefix("urn:towline:problem:")
            .unwrap()
            .to_owned()
    }
}
