//! Tells of requests that the relay turned away: they never come down the line of deliveries, and are what a person
//! waiting for a webhook most needs to see.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use towline_shared::api::EventSummary;
use towline_shared::backoff::Backoff;
use towline_shared::id::EndpointName;

use crate::relay_api::{ApiError, RelayApi, TailItem};

/// Follows the endpoint until `stop`. Ends early, and silently, when the token may not read events.
///
/// When the channel is full this waits; the stream at the relay then drops what is too much.
pub(super) async fn watch(
    api: RelayApi,
    endpoint: EndpointName,
    rejected: mpsc::Sender<EventSummary>,
    stop: CancellationToken,
) {
    let _ = stop
        .run_until_cancelled(follow(&api, &endpoint, &rejected))
        .await;
}

async fn follow(api: &RelayApi, endpoint: &EndpointName, rejected: &mpsc::Sender<EventSummary>) {
    let mut backoff = Backoff::reconnect();
    loop {
        match once(api, endpoint, rejected, &mut backoff).await {
            Ok(()) => {}
            Err(error) if error.may_pass() => {}
            Err(_) => return,
        }
        if rejected.is_closed() {
            return;
        }
        // Half of the jitter is enough: one listener makes one stream.
        tokio::time::sleep(backoff.next_wait(Instant::now(), 0.5)).await;
    }
}

async fn once(
    api: &RelayApi,
    endpoint: &EndpointName,
    rejected: &mpsc::Sender<EventSummary>,
    backoff: &mut Backoff,
) -> Result<(), ApiError> {
    let mut tail = api.tail(Some(endpoint), None).await?;
    backoff.succeeded(Instant::now());
    while let Some(item) = tail.next().await? {
        let TailItem::Event(event) = item else {
            continue;
        };
        if !event.info.is_deliverable && rejected.send(*event).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
