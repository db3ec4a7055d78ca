//! `POST /oauth/token`: the token endpoint for OAuth senders (RFC 6749 §4.4, client credentials).
//!
//! An endpoint whose scheme takes such tokens has a client for each of its secrets. Whatever is wrong with a
//! client's id or secret is answered alike, after the same work.

mod form;
mod refusal;
mod request;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use towline_shared::time::Timestamp;
use tracing::{debug, info};

use crate::access_tokens::{Clients, LIFETIME};
use crate::endpoints::LiveEndpoint;
use crate::ingest::Reply;
use crate::listener::PacedBody;
use crate::relay::Relay;
use refusal::Refusal;
use request::{Grant, Scope};

/// Where the token endpoint is.
pub(crate) const TOKEN_PATH: &str = "/oauth/token";

/// The parameter of an endpoint that lists the scopes a client may ask for.
const SCOPE_PARAMETER: &str = "scope";

/// The longest body. A request with a long id, secret and scope has a few hundred bytes.
const LONGEST_BODY: usize = 8 * 1024;

/// A token and what it is good for (RFC 6749 §5.1).
#[derive(Serialize)]
struct Given {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Answers one request.
pub(crate) async fn answer(relay: &Relay, parts: &Parts, body: PacedBody, remote: IpAddr) -> Reply {
    let given = match admit(relay, parts, remote) {
        Ok(()) => match read(body).await {
            Ok(body) => give(relay, parts, &body, remote),
            Err(refusal) => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    };
    match given {
        Ok(given) => Reply {
            response: success(&given),
            is_last: false,
        },
        Err(refusal) => {
            debug!(reason = %refusal, "no access token given out");
            Reply {
                is_last: refusal.leaves_body_unread(),
                response: refusal.response(),
            }
        }
    }
}

/// What can be said before the body is read.
fn admit(relay: &Relay, parts: &Parts, remote: IpAddr) -> Result<(), Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::Method);
    }
    let tokens = relay.endpoints.access_tokens();
    let admitted = tokens.admit_address(remote, Instant::now());
    admitted.map_err(|wait| Refusal::TooOften {
        wait,
        is_unread: true,
    })
}

async fn read(mut body: PacedBody) -> Result<Bytes, Refusal> {
    let longest = LONGEST_BODY as u64;
    if body.size_hint().lower() > longest {
        return Err(Refusal::TooLong { most: LONGEST_BODY });
    }
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else {
            continue;
        };
        if received.len() + bytes.len() > LONGEST_BODY {
            return Err(Refusal::TooLong { most: LONGEST_BODY });
        }
        received.extend_from_slice(&bytes);
    }
    Ok(received.freeze())
}

fn give(relay: &Relay, parts: &Parts, body: &[u8], remote: IpAddr) -> Result<Given, Refusal> {
    let grant = request::read(parts, body)?;
    let (key, name) = Clients::split_id(&grant.client_id).unwrap_or_default();
    let live = relay.endpoints.by_key(key);
    let found = live
        .as_ref()
        .and_then(|live| Some((live, live.clients.as_ref()?)));
    let Some((live, clients)) = found else {
        Clients::authenticate_nobody(&grant.passwords);
        return Err(failure(relay, &grant, remote));
    };
    let client = clients.authenticate(name, &grant.passwords);
    let client = client.ok_or_else(|| failure(relay, &grant, remote))?;
    let scope = granted_scope(live, grant.scope.as_ref())?;
    let token = clients.give(client, Timestamp::from(SystemTime::now()))?;
    info!(endpoint = %live.endpoint.name, client = name, "access token given out");
    Ok(Given {
        access_token: String::from_utf8_lossy(token.expose()).into_owned(),
        token_type: "Bearer",
        expires_in: LIFETIME.as_secs(),
        scope,
    })
}

/// The same for a wrong secret and for a client that is not there. A right secret never comes here, so that no
/// stranger can hold its owner up.
fn failure(relay: &Relay, grant: &Grant, remote: IpAddr) -> Refusal {
    let tokens = relay.endpoints.access_tokens();
    match tokens.count_failure(grant.client_id.as_bytes(), remote, Instant::now()) {
        Ok(()) => Refusal::InvalidClient {
            is_basic: grant.is_basic,
        },
        Err(wait) => Refusal::TooOften {
            wait,
            is_unread: false,
        },
    }
}

/// A token opens one endpoint and nothing else, whatever its scope is called. An endpoint without the parameter
/// grants the names that are asked for, one with it those that it lists, and all of them when none is named.
fn granted_scope(
    live: &Arc<LiveEndpoint>,
    asked: Option<&Scope>,
) -> Result<Option<String>, Refusal> {
    let listed = live.endpoint.settings.parameters.get(SCOPE_PARAMETER);
    match (listed, asked) {
        (None, asked) => Ok(asked.map(ToString::to_string)),
        (Some(listed), None) => Ok(Some(listed.clone())),
        (Some(listed), Some(asked)) if asked.is_within(listed) => Ok(Some(asked.to_string())),
        (Some(_), Some(_)) => Err(Refusal::InvalidScope("the client may not have this scope")),
    }
}

fn success(given: &Given) -> Response<Full<Bytes>> {
    let json = serde_json::to_vec(given).expect("a token is plain data");
    json_response(json)
}

/// JSON that nobody may keep (RFC 6749 §5.1).
fn json_response(json: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
