//! Which events of the line the consumer wants, and how many its filter has left out. Does no IO: a body that lies in
//! a file is judged elsewhere, before its event is taken.

use std::sync::Arc;

use towline_shared::filter::{Facts, Filter, MAX_FILTER_BODY_BYTES};
use towline_shared::id::Seq;
use towline_shared::wire::Filtered;

use crate::store::{Body, StoredEvent};

/// What the consumer wants.
pub(super) struct Wanted {
    filter: Option<Arc<Filter>>,
    /// The place of an event with a long body, and what the filter says of it once that is known.
    judging: Option<(Seq, Option<bool>)>,
    /// What was left out, and is durable.
    left_out: Option<Filtered>,
    /// How many of these the client knows of.
    told: u64,
}

/// An event with a long body that the filter must look into.
pub(super) struct Judgement {
    pub(super) filter: Arc<Filter>,
    pub(super) event: Arc<StoredEvent>,
}

impl Wanted {
    pub(super) const fn new(filter: Option<Arc<Filter>>) -> Self {
        Self {
            filter,
            judging: None,
            left_out: None,
            told: 0,
        }
    }

    /// Whether there is a filter.
    pub(super) const fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether the event is wanted; nothing while that must be found out by [`Wanted::begin_judging`].
    pub(super) fn wants(&self, event: &StoredEvent) -> Option<bool> {
        let Some(filter) = &self.filter else {
            return Some(true);
        };
        match &event.body {
            Body::File(file) if is_read(filter, file.length()) => self
                .judging
                .filter(|(seq, _)| *seq == event.info.seq)
                .and_then(|(_, is_wanted)| is_wanted),
            Body::File(_) => Some(is_match(filter, event, None)),
            Body::Inline(bytes) => Some(is_match(filter, event, Some(bytes))),
        }
    }

    /// What must be read before the event at the head of the line can be taken; once for each event.
    pub(super) fn begin_judging(&mut self, event: &Arc<StoredEvent>) -> Option<Judgement> {
        let filter = self.filter.as_ref()?;
        let seq = event.info.seq;
        let is_begun = self.judging.is_some_and(|(judging, _)| judging == seq);
        if is_begun || self.wants(event).is_some() {
            return None;
        }
        self.judging = Some((seq, None));
        Some(Judgement {
            filter: Arc::clone(filter),
            event: Arc::clone(event),
        })
    }

    /// Takes what the filter says of an event with a long body.
    pub(super) fn judged(&mut self, seq: Seq, is_wanted: bool) {
        if let Some((judging, answer)) = &mut self.judging
            && *judging == seq
        {
            *answer = Some(is_wanted);
        }
    }

    /// So many more events up to this place were left out, durably.
    pub(super) fn left_out(&mut self, count: u64, through: Seq) {
        if count > 0 {
            let before = self.left_out.map_or(0, |filtered| filtered.count);
            let count = before + count;
            self.left_out = Some(Filtered { count, through });
        }
    }

    /// What the client does not know of yet.
    pub(super) fn untold(&mut self) -> Option<Filtered> {
        let filtered = self
            .left_out
            .filter(|filtered| filtered.count > self.told)?;
        self.told = filtered.count;
        Some(filtered)
    }
}

impl Judgement {
    /// What the filter says; it blocks on the disk. A body that cannot be read may have been removed with its event:
    /// that is seen when it is sent, so it is wanted.
    pub(super) fn is_wanted(&self) -> bool {
        let Body::File(file) = &self.event.body else {
            return true;
        };
        match std::fs::read(file.path()) {
            Ok(body) => is_match(&self.filter, &self.event, Some(&body)),
            Err(_) => true,
        }
    }
}

/// Whether a body of this length in a file is read for the filter.
const fn is_read(filter: &Filter, length: u64) -> bool {
    filter.reads_body() && length <= MAX_FILTER_BODY_BYTES
}

fn is_match(filter: &Filter, event: &StoredEvent, body: Option<&[u8]>) -> bool {
    filter.is_match(&Facts {
        info: &event.info,
        head: &event.head,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::tests::event;
    use crate::store::{BodyFile, EndpointId};

    #[test]
    fn without_a_filter_everything_is_wanted() {
        let wanted = Wanted::new(None);

        assert_eq!(wanted.wants(&event(EndpointId(1), 1, 10)), Some(true));
    }

    #[test]
    fn a_long_body_is_judged_once_and_only_when_the_filter_looks_into_it() {
        let mut by_body = wanted("body contains \"x\"");
        let mut by_size = wanted("size > 70000");
        let long = long(1, 100_000);

        assert_eq!(by_size.wants(&long), Some(true));
        assert!(by_size.begin_judging(&long).is_none());
        assert_eq!(by_body.wants(&long), None);
        assert!(by_body.begin_judging(&long).is_some());
        assert!(by_body.begin_judging(&long).is_none());
        by_body.judged(Seq(1), true);

        assert_eq!(by_body.wants(&long), Some(true));
        assert_eq!(by_body.wants(&self::long(2, 100_000)), None);
    }

    #[test]
    fn a_body_above_the_bound_is_missing() {
        let mut wanted = wanted("!(body exists)");
        let just_fits = long(1, MAX_FILTER_BODY_BYTES);
        let too_long = long(2, MAX_FILTER_BODY_BYTES + 1);

        assert_eq!(wanted.wants(&too_long), Some(true));
        assert_eq!(wanted.wants(&just_fits), None);
        assert!(wanted.begin_judging(&just_fits).is_some());
    }

    #[test]
    fn a_body_that_cannot_be_read_is_wanted() {
        let mut wanted = wanted("body contains \"x\"");

        let judgement = wanted.begin_judging(&long(1, 100_000)).unwrap();

        assert!(judgement.is_wanted());
    }

    #[test]
    fn what_was_left_out_is_told_once() {
        let mut wanted = wanted("size > 1");
        wanted.left_out(0, Seq(1));
        assert_eq!(wanted.untold(), None);

        wanted.left_out(2, Seq(4));
        wanted.left_out(1, Seq(7));

        let expected = Filtered {
            count: 3,
            through: Seq(7),
        };
        assert_eq!(wanted.untold(), Some(expected));
        assert_eq!(wanted.untold(), None);
    }

    fn wanted(filter: &str) -> Wanted {
        Wanted::new(Some(Arc::new(Filter::parse(filter).unwrap())))
    }

    fn long(seq: u64, length: u64) -> Arc<StoredEvent> {
        let mut event = StoredEvent::clone(&event(EndpointId(1), seq, 0));
        event.info.body_length = length;
        event.body = Body::File(BodyFile::kept("/nowhere/body".into(), length));
        Arc::new(event)
    }
}
