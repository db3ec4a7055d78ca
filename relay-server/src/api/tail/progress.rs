//! How far a reader of the stream has come: by place within an endpoint, whose ids are not in order within a
//! millisecond; by time among endpoints, with some overlap.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use towline_shared::id::{EventId, Seq};
use towline_shared::time::Timestamp;

use crate::store::{EndpointId, StoredEvent};

/// How much later than it was received an event may be kept, with all its checks: events of so long before the
/// last one are looked at again.
const OVERLAP: Duration = Duration::from_secs(10);

/// A reader's progress.
pub(super) struct Progress {
    /// The highest place that was shown, of each endpoint that events were shown of.
    shown: HashMap<EndpointId, Seq>,
    /// When the newest event that was shown was received; before the first, where the stream begins.
    newest: Timestamp,
}

impl Progress {
    /// Nothing was shown; the stream begins at this time.
    pub(super) fn from(start: Timestamp) -> Self {
        Self {
            shown: HashMap::new(),
            newest: start,
        }
    }

    /// The reader has had this event.
    pub(super) fn behind(event: &StoredEvent) -> Self {
        let mut progress = Self::from(event.info.received_at);
        progress.show(event.endpoint, event.info.seq, event.info.received_at);
        progress
    }

    /// The reader has had an event that is not kept; its id tells when it was received, if it is not made up.
    pub(super) fn behind_removed(id: EventId) -> Self {
        let [a, b, c, d, e, f, ..] = *id.as_bytes();
        let received_at = Timestamp::from_millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
        Self::from(received_at.min(Timestamp::from(SystemTime::now())))
    }

    /// The highest place that was shown of an endpoint.
    pub(super) fn shown_of(&self, endpoint: EndpointId) -> Option<Seq> {
        self.shown.get(&endpoint).copied()
    }

    /// Whether an event lies behind those that were shown of its endpoint.
    pub(super) fn is_new(&self, endpoint: EndpointId, seq: Seq) -> bool {
        self.shown_of(endpoint).is_none_or(|shown| seq > shown)
    }

    /// Whether an event of this time may have been kept after the newest that was shown.
    pub(super) fn is_recent(&self, received_at: Timestamp) -> bool {
        self.newest.since(received_at) <= OVERLAP
    }

    /// Notes an event that is shown.
    pub(super) fn show(&mut self, endpoint: EndpointId, seq: Seq, received_at: Timestamp) {
        self.newest = self.newest.max(received_at);
        let shown = self.shown.entry(endpoint).or_insert(seq);
        *shown = seq.max(*shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_recent_up_to_the_overlap_before_the_newest() {
        let newest = 1_000_000;
        let progress = Progress::from(Timestamp::from_millis(newest));
        let is_recent = |millis| progress.is_recent(Timestamp::from_millis(millis));

        assert!(is_recent(newest + 1));
        assert!(is_recent(newest - 10_000));
        assert!(!is_recent(newest - 10_001));
    }

    #[test]
    fn places_count_within_their_endpoint_only() {
        let mut progress = Progress::from(Timestamp::from_millis(1));
        progress.show(EndpointId(1), Seq(5), Timestamp::from_millis(1));

        assert!(!progress.is_new(EndpointId(1), Seq(5)));
        assert!(progress.is_new(EndpointId(1), Seq(6)));
        assert!(progress.is_new(EndpointId(2), Seq(1)));
    }

    #[test]
    fn an_id_from_the_future_begins_now() {
        let made_up = EventId::from_bytes([0xff; 16]);

        let progress = Progress::behind_removed(made_up);

        assert!(progress.newest <= Timestamp::from(SystemTime::now()));
    }
}
