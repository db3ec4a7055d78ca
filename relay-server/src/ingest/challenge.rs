//! What an accepted challenge asks for beside its answer: a secret to be taken, or a page to be got. Both are done before
//! the provider is answered, so that it hears of a success only when there is one. A refused one gets a reason, with
//! which it is kept.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Failure, Verdict};
use towline_shared::verify::HandshakeReply;
use tracing::{debug, info, warn};

use super::{IngestError, answer};
use crate::endpoints::{EndpointError, LiveEndpoint};
use crate::keys::KeyTrouble;
use crate::relay::Relay;
use crate::store::{Body, StoreError};

/// What stands in a kept event where the secret was.
const PLACEHOLDER: &[u8] = b"[captured]";

/// A challenge, and what became of it.
pub(super) struct Settled {
    /// What its sender gets.
    pub(super) response: Response<Full<Bytes>>,
    /// Why it is refused, when it is.
    refusal: Option<Failure>,
    /// The secret in it, which must not be kept with it.
    pub(super) secret: Option<Secret>,
}

/// Why the relay does not do what a challenge asks for.
enum Undone {
    /// The endpoint does not take the secret, for this reason.
    SecretRefused(EndpointError),
    /// The provider's page could not be got.
    Unconfirmed(KeyTrouble),
    /// The challenge cannot be answered at all.
    Failed(IngestError),
}

impl Settled {
    /// The status that its sender gets.
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The verdict that is kept: why a challenge was refused says more than whether it was signed.
    pub(super) fn verdict(&self, checked: Verdict) -> Verdict {
        match (&self.refusal, checked) {
            (None, checked) => checked,
            // The check found the same, and has looked for the reason.
            (Some(refusal), Verdict::Failed(found)) if found.cause == refusal.cause => {
                Verdict::Failed(found)
            }
            (Some(refusal), _) => Verdict::Failed(refusal.clone()),
        }
    }
}

/// Does what the challenge asks for, and makes its answer.
pub(super) async fn settle(
    relay: &Arc<Relay>,
    endpoint: &LiveEndpoint,
    reply: HandshakeReply,
    now: Timestamp,
) -> Result<Settled, IngestError> {
    let done = match &reply.refusal {
        Some(_) => Ok(()),
        None => act(relay, endpoint, &reply, now).await,
    };
    let (response, refusal) = match done {
        Ok(()) => (answer::handshake(&reply), reply.refusal),
        Err(Undone::SecretRefused(reason)) => {
            let detail = format!("the endpoint does not take the secret: {reason}");
            let refusal = failure(endpoint, Cause::ConditionFailed, detail);
            (answer::secret_refused(), Some(refusal))
        }
        Err(Undone::Unconfirmed(trouble)) => {
            let detail = format!("the subscription could not be confirmed: {trouble}");
            let refusal = failure(endpoint, Cause::KeyUnavailable, detail);
            (answer::unconfirmed(), Some(refusal))
        }
        Err(Undone::Failed(error)) => return Err(error),
    };
    if let Some(refusal) = &refusal {
        debug!(endpoint = %endpoint.endpoint.name, cause = ?refusal.cause, "challenge refused");
    }
    Ok(Settled {
        response,
        refusal,
        secret: reply.captured_secret,
    })
}

fn failure(endpoint: &LiveEndpoint, cause: Cause, detail: String) -> Failure {
    Failure {
        provider: endpoint
            .endpoint
            .settings
            .provider
            .clone()
            .unwrap_or_default(),
        cause,
        detail,
        findings: Vec::new(),
    }
}

async fn act(
    relay: &Arc<Relay>,
    endpoint: &LiveEndpoint,
    reply: &HandshakeReply,
    now: Timestamp,
) -> Result<(), Undone> {
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
) -> Result<(), Undone> {
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
        Err(EndpointError::Store(error)) => Err(Undone::Failed(super::not_kept(error))),
        Err(refusal) => {
            info!(endpoint = %name, %refusal, "secret of a challenge refused");
            Err(Undone::SecretRefused(refusal))
        }
    }
}

/// A challenge that is not confirmed is not answered either: the provider then sends it again.
async fn confirm(relay: &Relay, endpoint: &LiveEndpoint, url: &str) -> Result<(), Undone> {
    let name = &endpoint.endpoint.name;
    match relay.keys.confirm(url).await {
        Ok(()) => {
            info!(endpoint = %name, "subscription confirmed");
            Ok(())
        }
        Err(trouble) => {
            warn!(endpoint = %name, %trouble, "subscription could not be confirmed");
            Err(Undone::Unconfirmed(trouble))
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
