//! The newest events of listened-to endpoints, within a bound on their number and bytes in all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use towline_shared::id::Seq;

use crate::store::{Body, EndpointId, StoredEvent};

/// The most bytes that are kept for all endpoints together; the oldest go first.
pub(super) const MOST_BYTES: usize = 8 * 1024 * 1024;

/// The most events that are kept; more than a full window of a few consumers.
pub(super) const MOST_EVENTS: usize = 8192;

/// What an event takes beside its head and body: its facts, its allocations, its places in the queues.
const OVERHEAD_BYTES: usize = 512;

/// Recent events by endpoint.
#[derive(Default)]
pub(super) struct Recent {
    /// Without holes: each next event has the place after the one before.
    rings: HashMap<EndpointId, VecDeque<Arc<StoredEvent>>>,
    /// The endpoints of all events in the order in which they came, for the oldest to go first.
    order: VecDeque<EndpointId>,
    bytes: usize,
}

impl Recent {
    /// Takes an event, and lets the oldest go when there is too much.
    pub(super) fn push(&mut self, event: Arc<StoredEvent>) {
        let endpoint = event.endpoint;
        let is_next = self
            .rings
            .get(&endpoint)
            .and_then(VecDeque::back)
            .is_none_or(|last| last.info.seq.next() == event.info.seq);
        if !is_next {
            self.forget(endpoint);
        }
        self.bytes += size(&event);
        self.order.push_back(endpoint);
        self.rings.entry(endpoint).or_default().push_back(event);
        while self.bytes > MOST_BYTES || self.order.len() > MOST_EVENTS {
            self.drop_oldest();
        }
    }

    /// The events directly behind `after`, in order; empty when the next one is not here.
    pub(super) fn after(
        &self,
        endpoint: EndpointId,
        after: Seq,
        limit: usize,
    ) -> Vec<Arc<StoredEvent>> {
        let Some(ring) = self.rings.get(&endpoint) else {
            return Vec::new();
        };
        let first = ring.front().map_or(Seq::default(), |event| event.info.seq);
        let Some(skipped) = after.next().0.checked_sub(first.0) else {
            return Vec::new();
        };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        ring.iter().skip(skipped).take(limit).cloned().collect()
    }

    /// Lets all events of an endpoint go.
    pub(super) fn forget(&mut self, endpoint: EndpointId) {
        let Some(ring) = self.rings.remove(&endpoint) else {
            return;
        };
        self.bytes -= ring.iter().map(|event| size(event)).sum::<usize>();
        self.order.retain(|&other| other != endpoint);
    }

    /// Lets the events of an endpoint up to `through` go.
    pub(super) fn forget_through(&mut self, endpoint: EndpointId, through: Seq) {
        let Some(ring) = self.rings.get_mut(&endpoint) else {
            return;
        };
        if ring.back().is_none_or(|last| last.info.seq <= through) {
            self.forget(endpoint);
            return;
        }
        let before = ring.len();
        while let Some(event) = ring.pop_front_if(|event| event.info.seq <= through) {
            self.bytes -= size(&event);
        }
        let mut gone = before - ring.len();
        if gone > 0 {
            self.order.retain(|&other| {
                let goes = gone > 0 && other == endpoint;
                gone -= usize::from(goes);
                !goes
            });
        }
    }

    /// How many bytes the events take, as counted here.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_oldest(&mut self) {
        let Some(endpoint) = self.order.pop_front() else {
            return;
        };
        let Some(ring) = self.rings.get_mut(&endpoint) else {
            return;
        };
        if let Some(event) = ring.pop_front() {
            self.bytes -= size(&event);
        }
        if ring.is_empty() {
            self.rings.remove(&endpoint);
        }
    }
}

fn size(event: &StoredEvent) -> usize {
    let body = match &event.body {
        Body::Inline(bytes) => bytes.len(),
        Body::File(_) => 0,
    };
    OVERHEAD_BYTES + event.head.len() + body
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fanout::tests::event;

    const ORDERS: EndpointId = EndpointId(1);

    #[test]
    fn only_the_directly_following_events_are_given() {
        let mut recent = Recent::default();
        for seq in 5..=9 {
            recent.push(event(ORDERS, seq, 1));
        }

        assert_eq!(seqs(&recent, 3, 9), [0_u64; 0]);
        assert_eq!(seqs(&recent, 4, 9), [5, 6, 7, 8, 9]);
        assert_eq!(seqs(&recent, 6, 2), [7, 8]);
        assert_eq!(seqs(&recent, 9, 9), [0_u64; 0]);
        assert_eq!(seqs(&recent, u64::MAX - 1, 9), [0_u64; 0]);
    }

    #[test]
    fn one_event_above_the_number_pushes_the_oldest_out() {
        let mut recent = Recent::default();
        for seq in 1..=MOST_EVENTS as u64 {
            recent.push(event(ORDERS, seq, 0));
        }
        assert_eq!(seqs(&recent, 0, 1), [1]);

        recent.push(event(ORDERS, MOST_EVENTS as u64 + 1, 0));

        assert_eq!(seqs(&recent, 0, 1), [0_u64; 0]);
        assert_eq!(seqs(&recent, 1, 1), [2]);
    }

    #[test]
    fn removed_events_are_forgotten_and_newer_ones_are_not() {
        let mut recent = Recent::default();
        for seq in 1..=5 {
            recent.push(event(ORDERS, seq, 1));
            recent.push(event(EndpointId(2), seq, 1));
        }

        recent.forget_through(ORDERS, Seq(3));
        assert_eq!(seqs(&recent, 2, 9), [0_u64; 0]);
        assert_eq!(seqs(&recent, 3, 9), [4, 5]);
        assert_eq!(recent.order.len(), 7);
        recent.forget_through(ORDERS, Seq(9));

        assert_eq!(seqs(&recent, 3, 9), [0_u64; 0]);
        assert_eq!(recent.order, [EndpointId(2); 5]);
        let kept = recent.after(EndpointId(2), Seq(0), 9);
        assert_eq!(
            kept.iter().map(|event| size(event)).sum::<usize>(),
            recent.bytes
        );
    }

    proptest! {
        #[test]
        fn the_bytes_are_bounded_and_the_events_without_holes(
            lengths in proptest::collection::vec((0_i64..4, 0_usize..64 * 1024), 1..400),
        ) {
            let mut recent = Recent::default();
            let mut newest = [0_u64; 4];
            for (number, length) in lengths {
                let seq = &mut newest[usize::try_from(number).unwrap()];
                *seq += 1;
                recent.push(event(EndpointId(number), *seq, length));
                prop_assert!(recent.bytes <= MOST_BYTES);
            }
            let total: usize = recent.rings.values().flatten().map(|event| size(event)).sum();
            prop_assert_eq!(total, recent.bytes);
            for (&endpoint, ring) in &recent.rings {
                let first = ring.front().unwrap().info.seq.0;
                let all = recent.after(endpoint, Seq(first - 1), usize::MAX);
                prop_assert_eq!(all.len(), ring.len());
                prop_assert!(all.iter().zip(first..).all(|(event, seq)| event.info.seq.0 == seq));
            }
        }
    }

    fn seqs(recent: &Recent, after: u64, limit: usize) -> Vec<u64> {
        let events = recent.after(ORDERS, Seq(after), limit);
        events.iter().map(|event| event.info.seq.0).collect()
    }
}
