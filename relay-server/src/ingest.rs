//! Takes a webhook in: finds its endpoint, reads its body, has it checked and kept, then answers the sender.

mod admission;
mod answer;
mod body;
mod challenge;
mod normalised;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body_util::Full;
use towline_shared::api::OnFailure;
use towline_shared::event::{DeliveredRepeat, EventKind, HeadSource};
use towline_shared::head::{Head, HeadError};
use towline_shared::hop::INGEST_PREFIX;
use towline_shared::id::EventId;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Failure, Verdict};
use tracing::debug;

use crate::endpoints::{LiveEndpoint, OverLimit};
use crate::listener::{PacedBody, PacedBodyError};
use crate::relay::Relay;
use crate::store::{NewEvent, Remember, StoreError};
use crate::verify::{self, Checked};
use admission::Unread;
use challenge::Settled;

/// A request below `/in/`.
pub(crate) struct Arrival {
    /// Its head as it came, where it was recorded.
    pub(crate) recorded: Option<Head>,
    /// Its head as the HTTP library shows it.
    pub(crate) parts: Parts,
    /// Its body.
    pub(crate) body: PacedBody,
    /// Who sent it.
    pub(crate) remote: IpAddr,
    /// Whether it came over TLS.
    pub(crate) is_tls: bool,
}

/// What the sender gets.
pub(crate) struct Reply {
    /// The answer.
    pub(crate) response: Response<Full<Bytes>>,
    /// Whether an HTTP/1 connection ends with it, because the body was not read to its end.
    pub(crate) is_last: bool,
}

/// Why a request is not kept.
#[derive(Debug, thiserror::Error)]
enum IngestError {
    #[error("no endpoint has this key")]
    UnknownEndpoint,
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("{}", .0.limit)]
    OverLimit(OverLimit),
    #[error("body has more than {max} bytes")]
    BodyTooLarge { max: u64 },
    #[error(transparent)]
    Body(#[from] PacedBodyError),
    #[error("the operating system gave no random numbers")]
    Random,
    #[error("the provider's key could not be fetched")]
    KeyLate,
    #[error("could not keep the event")]
    Store(#[from] StoreError),
}

/// Answers one request.
pub(crate) async fn take_in(relay: &Arc<Relay>, arrival: Arrival) -> Reply {
    match keep(relay, arrival).await {
        Ok(response) => Reply {
            response,
            is_last: false,
        },
        Err(error) => answer::refused(&error),
    }
}

async fn keep(relay: &Arc<Relay>, arrival: Arrival) -> Result<Response<Full<Bytes>>, IngestError> {
    let Arrival {
        recorded,
        parts,
        body,
        remote,
        is_tls,
    } = arrival;
    let endpoint = endpoint_of(relay, &parts)?;
    let (head, head_source) = match recorded {
        Some(head) => (head, HeadSource::Recorded),
        None => (normalised::head(&parts)?, HeadSource::Normalised),
    };
    let url = || public_url(&relay.public_url, &parts);
    if let Err(over) = endpoint.meters.admit(Instant::now()) {
        let unread = Unread {
            head,
            head_source,
            url: &url(),
            remote,
            is_tls,
            now: Timestamp::from(SystemTime::now()),
        };
        admission::keep_head(&relay.store, &endpoint, unread, &over).await?;
        return Err(IngestError::OverLimit(over));
    }
    let max_body = endpoint
        .endpoint
        .settings
        .max_body
        .min(relay.config.limits.max_body_bytes);
    let body = body::read(body, max_body, &relay.store).await?;
    let now = Timestamp::from(SystemTime::now());
    let Checked {
        verdict,
        handshake,
        facts,
        remember,
        is_key_late,
    } = verify::check(&endpoint, &relay.keys, &head, url, &body, now).await;
    if is_key_late && endpoint.endpoint.settings.on_failure == OnFailure::Reject {
        return Err(IngestError::KeyLate);
    }
    let settled = match handshake {
        Some(reply) => Some(challenge::settle(relay, &endpoint, reply, now).await?),
        None => None,
    };
    let (mut verdict, mut head, mut head_source, mut body) = (verdict, head, head_source, body);
    if let Some(settled) = &settled {
        verdict = settled.verdict(verdict);
        if let Some(secret) = &settled.secret {
            (head, body) = challenge::without_secret(&head, body, secret);
            head_source = HeadSource::Normalised;
        }
    }
    let decision = Decision::of(
        &verdict,
        settled.is_some(),
        endpoint.endpoint.settings.on_failure,
    );
    if verdict.is_accepted() {
        endpoint.meters.took(body.length(), Instant::now());
    } else {
        endpoint.meters.give_back(Instant::now());
    }
    if let Verdict::Failed(failure) = &verdict
        && !decision.is_deliverable
        && !endpoint
            .meters
            .keeps_rejected_body(body.length(), Instant::now())
    {
        debug!(endpoint = %endpoint.endpoint.name, "rejected request not kept: there are too many");
        return Ok(turned_away(&endpoint, settled, failure));
    }
    let event = NewEvent {
        endpoint: endpoint.endpoint.id,
        endpoint_name: endpoint.endpoint.name.clone(),
        id: new_id(now)?,
        received_at: now,
        remote,
        tls: is_tls,
        kind: decision.kind,
        answered: settled.as_ref().map(Settled::status),
        verdict,
        is_deliverable: decision.is_deliverable,
        head,
        head_source,
        body,
        delivery_id: facts.delivery_id,
        event_type: facts.event_type,
        remember: decision.remember(remember, endpoint.endpoint.settings.deliver_duplicates),
    };
    let event = relay.store.append(event).await.map_err(not_kept)?;
    debug!(event.id = %event.info.id, endpoint = %event.info.endpoint, "event kept");
    Ok(match (settled, &event.info.verdict) {
        (settled, Verdict::Failed(failure)) if !event.info.is_deliverable => {
            turned_away(&endpoint, settled, failure)
        }
        (Some(settled), _) => settled.response,
        (None, _) => answer::ack(&endpoint.endpoint.settings.ack, event.info.id),
    })
}

/// The answer to what no consumer gets, whether it is kept or not: a challenge has its own.
fn turned_away(
    endpoint: &LiveEndpoint,
    settled: Option<Settled>,
    failure: &Failure,
) -> Response<Full<Bytes>> {
    match settled {
        Some(settled) => settled.response,
        None => answer::rejected(endpoint, failure.cause.class()),
    }
}

/// An endpoint may be deleted while its request is read: then the key is as unknown as any other.
fn not_kept(error: StoreError) -> IngestError {
    match error {
        StoreError::Missing {
            what: "endpoint", ..
        } => IngestError::UnknownEndpoint,
        other => IngestError::Store(other),
    }
}

/// What becomes of an event whose check is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decision {
    kind: EventKind,
    is_deliverable: bool,
}

impl Decision {
    fn of(verdict: &Verdict, is_handshake: bool, on_failure: OnFailure) -> Self {
        Self {
            kind: if is_handshake {
                EventKind::Handshake
            } else {
                EventKind::Webhook
            },
            is_deliverable: !is_handshake
                && (verdict.is_accepted() || on_failure == OnFailure::Deliver),
        }
    }

    /// Challenges come again as often as the provider likes.
    fn remember(self, remember: Option<Remember>, takes_repeats: bool) -> Option<Remember> {
        let remember = remember.filter(|_| self.kind == EventKind::Webhook)?;
        Some(Remember {
            delivers_repeats: takes_repeats
                .then_some(DeliveredRepeat::AsEndpointSays)
                .or(remember.delivers_repeats),
            ..remember
        })
    }
}

/// Unknown and deleted keys take the same way, so that their times tell nothing.
fn endpoint_of(relay: &Relay, parts: &Parts) -> Result<Arc<LiveEndpoint>, IngestError> {
    let is_http = parts
        .uri
        .scheme_str()
        .is_none_or(|scheme| matches!(scheme, "http" | "https"));
    endpoint_key(parts.uri.path())
        .filter(|_| is_http)
        .and_then(|key| relay.endpoints.by_key(key))
        .ok_or(IngestError::UnknownEndpoint)
}

fn endpoint_key(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(INGEST_PREFIX)?;
    rest.split('/').next()
}

/// The URL as the provider knows it: what it sent behind the public address, suffix and raw query included.
fn public_url(base: &str, parts: &Parts) -> String {
    let path_and_query = parts.uri.path_and_query();
    let path_and_query = path_and_query.map_or("/", |both| both.as_str());
    format!("{base}{path_and_query}")
}

fn new_id(now: Timestamp) -> Result<EventId, IngestError> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|_| IngestError::Random)?;
    Ok(EventId::new(now, random))
}

#[cfg(test)]
mod tests {
    use towline_shared::verdict::Cause;
    use towline_shared::verify::Fingerprint;

    use super::*;

    #[test]
    fn the_key_is_the_part_behind_in_whatever_follows_it() {
        for (path, key) in [
            ("/in/k", Some("k")),
            ("/in/k/", Some("k")),
            ("/in/k//evil", Some("k")),
            ("/in/", Some("")),
            ("/in", None),
            ("/IN/k", None),
        ] {
            assert_eq!(endpoint_key(path), key, "{path}");
        }
    }

    #[test]
    fn the_public_url_keeps_suffix_and_query_as_they_came() {
        let url = |target: &str| {
            let request = http::Request::builder().uri(target).body(()).unwrap();
            public_url("https://hooks.example.com", &request.into_parts().0)
        };

        let expected = "https://hooks.example.com/in/k//a/../b?x=%2F&y";
        assert_eq!(url("/in/k//a/../b?x=%2F&y"), expected);
        assert_eq!(url("http://other/in/k//a/../b?x=%2F&y"), expected);
    }

    #[test]
    fn a_failed_check_is_delivered_only_where_the_endpoint_says_so() {
        let failed = Verdict::Failed(Failure {
            provider: "github".to_owned(),
            cause: Cause::SignatureMismatch,
            detail: String::new(),
            findings: Vec::new(),
        });

        assert!(!Decision::of(&failed, false, OnFailure::Reject).is_deliverable);
        assert!(Decision::of(&failed, false, OnFailure::Deliver).is_deliverable);
        assert!(Decision::of(&Verdict::Unchecked, false, OnFailure::Reject).is_deliverable);
    }

    #[test]
    fn an_endpoint_that_is_deleted_before_the_commit_is_as_unknown_as_any() {
        let missing = |what| StoreError::Missing {
            what,
            name: "orders".to_owned(),
        };

        let unknown = not_kept(missing("endpoint"));
        let other = not_kept(missing("event"));

        assert!(matches!(unknown, IngestError::UnknownEndpoint));
        assert!(matches!(other, IngestError::Store(_)));
    }

    #[test]
    fn a_handshake_is_neither_delivered_nor_remembered() {
        let decision = Decision::of(&Verdict::Unchecked, true, OnFailure::Deliver);

        let remember = Remember {
            fingerprint: Fingerprint::from_bytes([1; 16]),
            copy: None,
            delivers_repeats: None,
        };
        assert_eq!(decision.kind, EventKind::Handshake);
        assert!(!decision.is_deliverable);
        assert_eq!(decision.remember(Some(remember), false), None);
    }
}
