//! Wakes the sessions of an endpoint when events of it are committed, and hands them the newest from memory.
//! A cache and a bell only: whoever misses something reads it from the store.

mod recent;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use towline_shared::id::Seq;

use crate::store::{EndpointId, StoredEvent};
use recent::Recent;

/// Events that wait for the slowest tail; at one more it misses the oldest and reads them from the store.
const TAILED_EVENTS: usize = 128;

/// The bells of all endpoints that somebody listens to.
pub(crate) struct Fanout {
    shared: Arc<Mutex<Shared>>,
    tails: broadcast::Sender<Arc<StoredEvent>>,
}

impl Default for Fanout {
    fn default() -> Self {
        Self {
            shared: Arc::default(),
            tails: broadcast::Sender::new(TAILED_EVENTS),
        }
    }
}

/// One listener's view of one endpoint's bell.
pub(crate) struct Subscription {
    endpoint: EndpointId,
    news: watch::Receiver<News>,
    shared: Arc<Mutex<Shared>>,
}

/// What a bell has rung for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The newest event committed since somebody listens; zero before the first.
    pub(crate) newest: Seq,
    /// How often it was rung without an event.
    pub(crate) rings: u64,
}

/// Locked for the time of a few map operations, also by the store's writer; never across an await.
#[derive(Default)]
struct Shared {
    bells: HashMap<EndpointId, Bell>,
    recent: Recent,
}

struct Bell {
    news: watch::Sender<News>,
    listeners: usize,
}

impl Fanout {
    /// Takes events that are durable now; called by the store's writer, in `seq` order for each endpoint.
    pub(crate) fn committed(&self, events: &[Arc<StoredEvent>]) {
        let mut shared = self.shared.lock();
        let Shared { bells, recent } = &mut *shared;
        for event in events {
            if bells.contains_key(&event.endpoint) {
                recent.push(Arc::clone(event));
            }
        }
        if self.tails.receiver_count() > 0 {
            for event in events {
                // Fails only when the last tail has just gone.
                let _ = self.tails.send(Arc::clone(event));
            }
        }
        // A batch of the writer often has many events of one endpoint: the bell rings once for a run of them.
        for run in events.chunk_by(|one, next| one.endpoint == next.endpoint) {
            let Some(last) = run.last() else { continue };
            if let Some(bell) = bells.get(&last.endpoint) {
                bell.news.send_modify(|news| news.newest = last.info.seq);
            }
        }
    }

    /// Rings the bell without an event: a replay waits, or something about the endpoint has changed.
    pub(crate) fn ring(&self, endpoint: EndpointId) {
        if let Some(bell) = self.shared.lock().bells.get(&endpoint) {
            bell.news.send_modify(|news| news.rings += 1);
        }
    }

    /// Forgets the events that are in memory of an endpoint, because some of them were removed.
    pub(crate) fn forget(&self, endpoint: EndpointId) {
        self.shared.lock().recent.forget(endpoint);
    }

    /// Forgets those up to `through`, because they were removed or are about to be.
    pub(crate) fn forget_through(&self, endpoint: EndpointId, through: Seq) {
        self.shared.lock().recent.forget_through(endpoint, through);
    }

    /// Follows the events of all endpoints from now on, as they are committed.
    pub(crate) fn tail(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.tails.subscribe()
    }

    /// Listens to an endpoint from now on.
    pub(crate) fn subscribe(&self, endpoint: EndpointId) -> Subscription {
        let mut shared = self.shared.lock();
        let bell = shared.bells.entry(endpoint).or_insert_with(|| Bell {
            news: watch::Sender::new(News::default()),
            listeners: 0,
        });
        bell.listeners += 1;
        Subscription {
            endpoint,
            news: bell.news.subscribe(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Subscription {
    /// Waits for the next ring; cancel-safe. Rings while nobody waits are not lost, but count as one.
    pub(crate) async fn rung(&mut self) {
        // The bell outlives its listeners, so the channel cannot be closed.
        let _ = self.news.changed().await;
    }

    /// What the bell has rung for up to now.
    pub(crate) fn news(&self) -> News {
        *self.news.borrow()
    }

    /// The events directly behind `after` that are still in memory, in order; empty when the next one is not.
    pub(crate) fn recent_after(&self, after: Seq, limit: usize) -> Vec<Arc<StoredEvent>> {
        let shared = self.shared.lock();
        shared.recent.after(self.endpoint, after, limit)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut shared = self.shared.lock();
        let Some(bell) = shared.bells.get_mut(&self.endpoint) else {
            return;
        };
        bell.listeners -= 1;
        if bell.listeners == 0 {
            shared.bells.remove(&self.endpoint);
            shared.recent.forget(self.endpoint);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;
    use towline_shared::event::{EventInfo, EventKind, HeadSource};
    use towline_shared::id::EventId;
    use towline_shared::time::Timestamp;
    use towline_shared::verdict::Verdict;

    use super::*;
    use crate::store::Body;

    const ORDERS: EndpointId = EndpointId(1);
    const OTHER: EndpointId = EndpointId(2);

    #[test]
    fn a_ring_before_the_wait_is_not_lost() {
        let fanout = Fanout::default();
        let mut subscription = fanout.subscribe(ORDERS);
        assert!(subscription.rung().now_or_never().is_none());

        fanout.committed(&[event(ORDERS, 1, 10)]);

        assert!(subscription.rung().now_or_never().is_some());
        assert!(subscription.rung().now_or_never().is_none());
    }

    #[test]
    fn only_the_endpoint_of_the_event_is_rung() {
        let fanout = Fanout::default();
        let mut subscription = fanout.subscribe(OTHER);

        fanout.committed(&[event(ORDERS, 1, 10)]);
        fanout.ring(ORDERS);

        assert!(subscription.rung().now_or_never().is_none());
    }

    #[test]
    fn every_endpoint_of_a_mixed_batch_is_rung() {
        let fanout = Fanout::default();
        let mut orders = fanout.subscribe(ORDERS);
        let mut other = fanout.subscribe(OTHER);

        fanout.committed(&[
            event(ORDERS, 1, 10),
            event(OTHER, 1, 10),
            event(ORDERS, 2, 10),
        ]);

        assert!(orders.rung().now_or_never().is_some());
        assert!(other.rung().now_or_never().is_some());
        assert_eq!(seqs(&orders.recent_after(Seq(0), 9)), [1, 2]);
        assert_eq!(seqs(&other.recent_after(Seq(0), 9)), [1]);
    }

    #[test]
    fn nothing_is_kept_when_nobody_listens() {
        let fanout = Fanout::default();
        fanout.committed(&[event(ORDERS, 1, 10)]);
        let subscription = fanout.subscribe(ORDERS);
        assert_eq!(seqs(&subscription.recent_after(Seq(0), 9)), [0_u64; 0]);
        fanout.committed(&[event(ORDERS, 2, 10)]);
        assert_eq!(seqs(&subscription.recent_after(Seq(1), 9)), [2]);

        drop(subscription);

        let shared = fanout.shared.lock();
        assert!(shared.bells.is_empty());
        assert_eq!(shared.recent.bytes(), 0);
    }

    #[test]
    fn the_bell_stays_while_one_of_two_listens() {
        let fanout = Fanout::default();
        let mut first = fanout.subscribe(ORDERS);
        let second = fanout.subscribe(ORDERS);

        drop(second);
        fanout.ring(ORDERS);

        assert!(first.rung().now_or_never().is_some());
    }

    fn seqs(events: &[Arc<StoredEvent>]) -> Vec<u64> {
        events.iter().map(|event| event.info.seq.0).collect()
    }

    /// A deliverable event with a body of zeros.
    pub(crate) fn event(endpoint: EndpointId, seq: u64, body_length: usize) -> Arc<StoredEvent> {
        Arc::new(StoredEvent {
            endpoint,
            info: EventInfo {
                id: EventId::new(Timestamp::from_millis(seq), [1; 10]),
                seq: Seq(seq),
                endpoint: "orders".parse().unwrap(),
                received_at: Timestamp::from_millis(seq),
                remote: "127.0.0.1".parse().unwrap(),
                tls: false,
                kind: EventKind::Webhook,
                verdict: Verdict::Unchecked,
                is_deliverable: true,
                head_source: HeadSource::Recorded,
                body_length: body_length as u64,
                delivery_id: None,
                event_type: None,
                duplicate_of: None,
                delivered_repeat: None,
                answered: None,
            },
            head: Bytes::from_static(b"POST /in/k HTTP/1.1\r\n\r\n"),
            body: Body::Inline(vec![0; body_length].into()),
        })
    }
}
