//! `/healthz` says that the process answers, `/readyz` that it can keep events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::refusal::Refusal;
use crate::relay::Relay;
use crate::store::StoreError;

/// How long an answer of the store counts, so that nobody can make it write by asking.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// How long the store may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// What the store said last.
#[derive(Default)]
pub(super) struct Health {
    /// Held while the store is asked: one question at a time, the others wait for its answer.
    last: Mutex<Option<(Instant, bool)>>,
}

pub(super) async fn alive() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(
    State(relay): State<Arc<Relay>>,
    health: Arc<Health>,
) -> Result<&'static str, Refusal> {
    if relay.stopping.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let mut last = health.last.lock().await;
    let is_ready = match *last {
        Some((asked_at, is_ready)) if asked_at.elapsed() < PROBE_EVERY => is_ready,
        _ => {
            let is_ready = probe(&relay).await;
            *last = Some((Instant::now(), is_ready));
            is_ready
        }
    };
    if !is_ready {
        return Err(Refusal::Store(StoreError::Busy));
    }
    Ok("ready\n")
}

async fn probe(relay: &Relay) -> bool {
    match timeout(PROBE_LIMIT, relay.store.probe()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "store is not ready");
            false
        }
        Err(_) => {
            tracing::warn!("store does not answer");
            false
        }
    }
}
