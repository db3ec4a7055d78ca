//! Keeps the head of a request that its endpoint does not let in, where nobody would send it again.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use towline_shared::event::{EventKind, HeadSource};
use towline_shared::head::Head;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Failure, Verdict};
use towline_shared::verify::{self, Facts};

use super::{IngestError, new_id};
use crate::endpoints::{Check, LiveEndpoint, OverLimit};
use crate::store::{Body, NewEvent, Store};

/// A request whose body is not read.
pub(super) struct Unread<'a> {
    pub(super) head: Head,
    pub(super) head_source: HeadSource,
    pub(super) url: &'a str,
    pub(super) remote: IpAddr,
    pub(super) is_tls: bool,
    pub(super) now: Timestamp,
}

/// Keeps the head as a rejected event when the endpoint's provider does not send it again, so that somebody sees
/// what is missing.
pub(super) async fn keep_head(
    store: &Store,
    endpoint: &LiveEndpoint,
    unread: Unread<'_>,
    over: &OverLimit,
) -> Result<(), IngestError> {
    let Check::By(provider) = &endpoint.check else {
        return Ok(());
    };
    if provider.retries() || !endpoint.meters.keeps_rejected(Instant::now()) {
        return Ok(());
    }
    let Facts {
        delivery_id,
        event_type,
    } = provider.facts(&verify::Request {
        head: &unread.head,
        url: unread.url,
        body: verify::Body::Bytes(&[]),
    });
    let verdict = Verdict::Failed(Failure::new(
        provider.slug(),
        Cause::OverLimit,
        format!("{}; the body was not read", over.limit),
    ));
    let event = NewEvent {
        endpoint: endpoint.endpoint.id,
        endpoint_name: endpoint.endpoint.name.clone(),
        id: new_id(unread.now)?,
        received_at: unread.now,
        remote: unread.remote,
        tls: unread.is_tls,
        kind: EventKind::Webhook,
        answered: None,
        verdict,
        is_deliverable: false,
        head: unread.head,
        head_source: unread.head_source,
        body: Body::Inline(Bytes::new()),
        delivery_id,
        event_type,
        remember: None,
    };
    store.append(event).await?;
    Ok(())
}
