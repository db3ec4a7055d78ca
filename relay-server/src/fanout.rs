//! Wakes the sessions of an endpoint when events of it are committed, and hands them the newest from memory.
//! A cache and a bell only: whoever misses something reads it from the store.

use std::sync::Arc;

use tokio::sync::watch;
use towline_shared::id::Seq;

use crate::store::{EndpointId, StoredEvent};

/// The bell of all endpoints.
#[derive(Default)]
pub struct Fanout {}

/// One listener's view of one endpoint's bell.
pub struct Subscription {
    newest: watch::Receiver<Seq>,
}

impl Fanout {
    /// Takes events that are durable now; called by the store's writer, in `seq` order for each endpoint.
    pub fn committed(&self, _events: &[Arc<StoredEvent>]) {
        todo!()
    }

    /// Rings the bell without an event: a replay waits, or something about the endpoint has changed.
    pub fn ring(&self, _endpoint: EndpointId) {
        todo!()
    }

    /// Listens to an endpoint from now on.
    pub fn subscribe(&self, _endpoint: EndpointId) -> Subscription {
        todo!()
    }
}

impl Subscription {
    /// Waits for the next ring; cancel-safe.
    pub async fn rung(&mut self) {
        let _ = self.newest.changed().await;
    }

    /// The events directly behind `after` that are still in memory, in order; empty when the next one is not.
    pub fn recent_after(&self, _after: Seq, _limit: usize) -> Vec<Arc<StoredEvent>> {
        todo!()
    }
}
