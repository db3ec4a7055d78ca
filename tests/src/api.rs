//! The relay's JSON interface, asked over a raw socket by a test.

use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use towline_shared::api::{
    Ack, ConsumerList, CreateEndpoint, CreateToken, CreatedToken, EndpointView, EventDetail,
    EventList, EventSummary, NewSecret, OnFailure, Retention,
};
use towline_shared::id::EventId;

use crate::message::Message;
use crate::sender;

/// A relay's interface and a token for it.
#[derive(Clone, Debug)]
pub struct Api {
    relay: SocketAddr,
    token: String,
}

impl Api {
    /// With this token.
    pub fn new(relay: SocketAddr, token: &str) -> Self {
        Self {
            relay,
            token: token.trim().to_owned(),
        }
    }

    /// With the token of a file, such as a relay's `admin.token`.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn with_token_file(relay: SocketAddr, file: &Path) -> Self {
        let token = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
        Self::new(relay, &token)
    }

    /// The token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The reply to any request.
    pub async fn call(&self, method: &str, path: &str, body: Option<&[u8]>) -> Message {
        let request = self.request(method, path, body.unwrap_or_default());
        sender::send(self.relay, &request).await
    }

    /// The bytes of a request with the token.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: relay.example\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// What GET answers with 200.
    ///
    /// # Panics
    /// When it does not.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        expect_json(&self.call("GET", path, None).await, 200)
    }

    /// What POST answers with 201.
    ///
    /// # Panics
    /// When it does not.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> T {
        let body = serde_json::to_vec(body).expect("the type is JSON");
        expect_json(&self.call("POST", path, Some(&body)).await, 201)
    }

    /// Makes an endpoint that checks nothing.
    pub async fn open_endpoint(&self, name: &str) -> EndpointView {
        self.create_endpoint(&unchecked(name)).await
    }

    /// Makes an endpoint.
    pub async fn create_endpoint(&self, endpoint: &CreateEndpoint) -> EndpointView {
        self.post("/v1/endpoints", endpoint).await
    }

    /// Makes a token with these scopes and gives the interface as its bearer sees it.
    pub async fn with_scopes(&self, scopes: &[&str]) -> Self {
        let wish = CreateToken {
            name: scopes.join("-"),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            expires_at: None,
        };
        let created: CreatedToken = self.post("/v1/tokens", &wish).await;
        Self::new(self.relay, &created.token)
    }

    /// The newest events of an endpoint, rejected ones included, newest first.
    pub async fn events(&self, endpoint: &str) -> Vec<EventSummary> {
        let path = format!("/v1/events?endpoint={endpoint}&limit=100");
        self.get::<EventList>(&path).await.events
    }

    /// One event.
    pub async fn event(&self, id: EventId) -> EventDetail {
        self.get(&format!("/v1/events/{id}")).await
    }

    /// The consumers of an endpoint.
    pub async fn consumers(&self, endpoint: &str) -> ConsumerList {
        self.get(&format!("/v1/endpoints/{endpoint}/consumers"))
            .await
    }
}

/// An endpoint that checks nothing.
///
/// # Panics
/// When the name is not one.
pub fn unchecked(name: &str) -> CreateEndpoint {
    CreateEndpoint {
        name: name.parse().expect("the name is valid"),
        provider: None,
        own_scheme: None,
        variant: None,
        parameters: Default::default(),
        ack: Ack::default(),
        on_failure: OnFailure::Reject,
        deliver_duplicates: false,
        max_body: None,
        retention: Retention::default(),
        limits: towline_shared::api::EndpointLimits::default(),
        secrets: Vec::new(),
    }
}

/// An endpoint that checks a provider's signature with one secret named `live`.
///
/// # Panics
/// When the name is not one.
pub fn checked(name: &str, provider: &str, secret: &str) -> CreateEndpoint {
    CreateEndpoint {
        provider: Some(provider.to_owned()),
        secrets: vec![NewSecret {
            name: "live".parse().expect("the name is valid"),
            secret: secret.to_owned(),
        }],
        ..unchecked(name)
    }
}

/// The path of an endpoint's public URL.
pub fn path_of(endpoint: &EndpointView) -> String {
    let after_scheme = endpoint.url.split_once("://").map_or("", |(_, rest)| rest);
    after_scheme
        .find('/')
        .map_or_else(String::new, |slash| after_scheme[slash..].to_owned())
}

fn expect_json<T: DeserializeOwned>(reply: &Message, status: u16) -> T {
    assert_eq!(reply.status(), status, "{}", reply.text());
    serde_json::from_slice(&reply.body)
        .unwrap_or_else(|error| panic!("unexpected JSON ({error}): {}", reply.text()))
}
