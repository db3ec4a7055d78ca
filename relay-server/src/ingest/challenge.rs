//! What an accepted challenge asks for beside its answer: a secret to be taken, or a page to be got. Both are done before
//! the provider is answered, so that it hears of a success only when there is one.

use std::sync::Arc;

use bytes::Bytes;
use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verify::HandshakeReply;
use tracing::{info, warn};

use super::IngestError;
use crate::endpoints::{EndpointError, LiveEndpoint};
use crate::relay::Relay;
use crate::store::{Body, StoreError};

/// What stands in a kept event where the secret was.
const PLACEHOLDER: &[u8] = b"[captured]";

/// Does what the challenge asks for.
pub(super) async fn settle(
    relay: &Arc<Relay>,
    endpoint: &LiveEndpoint,
    reply: &HandshakeReply,
    now: Timestamp,
) -> Result<(), IngestError> {
    if let Some(secret) = &reply.captured_secret {
        capture(relay, endpoint, secret.clone(), now).await?;
    }
    if let Some(url) = &reply.confirm_url {
        confirm(relay, endpoint, url).await?;
    }
    Ok(())
}

/// Takes the secret in a task of its own: the provider may go away, but store and memory must agree.
async fn capture(
    relay: &Arc<Relay>,
    endpoint: &LiveEndpoint,
    secret: Secret,
    now: Timestamp,
) -> Result<(), IngestError> {
    let name = endpoint.endpoint.name.clone();
    let owned = Arc::clone(relay);
    let capturing = async move { owned.endpoints.capture_secret(&name, secret, now).await };
    let captured = relay.tasks.spawn(capturing).await;
    let captured = captured.unwrap_or_else(|failure| {
        let failure = StoreError::Failed(failure.to_string());
        Err(EndpointError::Store(failure))
    });
    let name = &endpoint.endpoint.name;
    match captured {
        Ok(_) => {
            info!(endpoint = %name, "secret captured from the provider's challenge");
            Ok(())
        }
        Err(EndpointError::Store(error)) => Err(super::not_kept(error)),
        Err(refused) => {
            info!(endpoint = %name, %refused, "secret of a challenge refused");
            Err(IngestError::SecretRefused)
        }
    }
}

/// A challenge that is not confirmed is not answered either: the provider then sends it again.
async fn confirm(relay: &Relay, endpoint: &LiveEndpoint, url: &str) -> Result<(), IngestError> {
    let name = &endpoint.endpoint.name;
    match relay.keys.confirm(url).await {
        Ok(()) => {
            info!(endpoint = %name, "subscription confirmed");
            Ok(())
        }
        Err(trouble) => {
            warn!(endpoint = %name, %trouble, "subscription could not be confirmed");
            Err(IngestError::Unconfirmed)
        }
    }
}

/// The challenge as it is kept: whoever may read events must not read a secret.
pub(super) fn without_secret(head: &Head, body: Body, secret: &Secret) -> (Head, Body) {
    let secret = secret.expose();
    let body = match body {
        Body::Inline(bytes) => Body::Inline(cleaned_body(&bytes, secret)),
        // A challenge in a file is none: the engine answers only what is in memory.
        Body::File(_) => Body::Inline(Bytes::new()),
    };
    let cleaned = Head::parse(replaced(head.as_bytes(), secret));
    let head = cleaned
        .ok()
        .filter(|head| !contains(head.as_bytes(), secret));
    (head.unwrap_or_else(bare_head), body)
}

/// A body in which the secret cannot be found may still hold it in another spelling.
fn cleaned_body(body: &Bytes, secret: &[u8]) -> Bytes {
    if contains(body, secret) {
        replaced(body, secret)
    } else {
        Bytes::new()
    }
}

fn bare_head() -> Head {
    Head::build("POST", b"/", Version::Http11, []).expect("a bare head is a head")
}

fn contains(text: &[u8], secret: &[u8]) -> bool {
    memchr::memmem::find(text, secret).is_some()
}

fn replaced(text: &[u8], secret: &[u8]) -> Bytes {
    let mut output = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = memchr::memmem::find(rest, secret) {
        output.extend_from_slice(&rest[..start]);
        output.extend_from_slice(PLACEHOLDER);
        rest = &rest[start + secret.len()..];
    }
    output.extend_from_slice(rest);
    output.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secret_0123456789abcdef";

    fn kept(target: &str, header: &str, body: &str) -> (Head, Bytes) {
        let fields = [(&b"X-Hook-Secret"[..], header.as_bytes())];
        let head = Head::build("POST", target.as_bytes(), Version::Http11, fields).unwrap();
        let body = Body::Inline(Bytes::copy_from_slice(body.as_bytes()));
        let (head, body) = without_secret(&head, body, &Secret::new(SECRET));
        let Body::Inline(body) = body else {
            panic!("the body stays inline");
        };
        (head, body)
    }

    #[test]
    fn a_kept_challenge_shows_where_its_secret_was_and_not_what_it_was() {
        let (head, body) = kept("/in/k", SECRET, &format!(r#"{{"token":"{SECRET}","a":1}}"#));

        let values: Vec<_> = head.values("x-hook-secret").collect();
        assert_eq!(values, [PLACEHOLDER]);
        assert_eq!(body, r#"{"token":"[captured]","a":1}"#);
    }

    #[test]
    fn a_secret_in_another_spelling_takes_the_whole_body_with_it() {
        let (_, body) = kept("/in/k", "x", r#"{"token":"secret\u005f0123456789abcdef"}"#);

        assert_eq!(body, "");
    }

    #[test]
    fn a_secret_in_the_target_is_not_kept_either() {
        let (head, _) = kept(&format!("/in/k?token={SECRET}"), "x", "");

        assert!(!contains(head.as_bytes(), SECRET.as_bytes()));
    }
}
