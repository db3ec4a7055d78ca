//! How far a consumer has come: its cursor, what is settled above it, and how often the rest was tried. No SQL.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many scattered ranges, and how many tried places, are kept of one consumer. A window is far below it
/// (1,024), so only a client that reports what it was not sent comes here, and is refused.
pub(super) const MOST_AHEAD: usize = 4096;

/// The progress of one consumer through the places of its endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The highest place below which everything is settled, itself included.
    pub(super) cursor: u64,
    /// Settled places above the cursor, and attempts of what is not settled.
    pub(super) ahead: Ahead,
}

/// What lies above a cursor, as it is kept in the consumer's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ahead {
    /// Settled ranges with both ends included, in order, never touching each other or the cursor.
    pub(super) settled: Vec<(u64, u64)>,
    /// Attempts of places that are not settled.
    pub(super) attempts: BTreeMap<u64, u32>,
    /// How many events filters have left out, wherever they lie.
    #[serde(default)]
    pub(super) filtered: u64,
}

impl Progress {
    /// Whether the place is settled.
    pub(super) fn is_settled(&self, seq: u64) -> bool {
        let ranges = &self.ahead.settled;
        let next = ranges.partition_point(|&(_, to)| to < seq);
        seq <= self.cursor || ranges.get(next).is_some_and(|&(from, _)| from <= seq)
    }

    /// Whether an outcome of this place can be kept: always next to what is settled, else up to [`MOST_AHEAD`].
    pub(super) fn has_room_for(&self, seq: u64) -> bool {
        let is_near =
            self.is_settled(seq.saturating_sub(1)) || self.is_settled(seq.saturating_add(1));
        let Ahead {
            settled, attempts, ..
        } = &self.ahead;
        let is_counted = attempts.len() < MOST_AHEAD || attempts.contains_key(&seq);
        is_near || (settled.len() < MOST_AHEAD && is_counted)
    }

    /// Counts an attempt that did not settle its place.
    pub(super) fn count_attempt(&mut self, seq: u64) {
        if !self.is_settled(seq) {
            *self.ahead.attempts.entry(seq).or_default() += 1;
        }
    }

    /// Settles places, both ends included.
    pub(super) fn settle(&mut self, from: u64, to: u64) {
        if to < from {
            return;
        }
        let ranges = &mut self.ahead.settled;
        // What touches the new range, or overlaps it, becomes one with it.
        let first = ranges.partition_point(|&(_, end)| end + 1 < from);
        let behind = ranges.partition_point(|&(start, _)| start <= to.saturating_add(1));
        let touching = ranges.get(first..behind).unwrap_or_default();
        let start = touching.first().map_or(from, |range| range.0.min(from));
        let end = touching.last().map_or(to, |range| range.1.max(to));
        ranges.splice(first..behind.max(first), [(start, end)]);
        self.absorb();
        self.ahead.attempts.retain(|&seq, _| seq > to || seq < from);
    }

    /// The range of places between the cursor and the first settled one above it.
    pub(super) fn first_hole(&self) -> Option<(u64, u64)> {
        let &(start, _) = self.ahead.settled.first()?;
        Some((self.cursor + 1, start - 1))
    }

    fn absorb(&mut self) {
        while let Some(&(start, end)) = self.ahead.settled.first()
            && start <= self.cursor + 1
        {
            self.cursor = self.cursor.max(end);
            self.ahead.settled.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cursor_waits_for_the_first_unsettled_place() {
        let mut progress = Progress::default();

        progress.settle(2, 2);
        progress.settle(4, 5);
        assert_eq!(progress.cursor, 0);
        assert_eq!(progress.ahead.settled, [(2, 2), (4, 5)]);
        progress.settle(1, 1);

        assert_eq!(progress.cursor, 2);
        assert_eq!(progress.first_hole(), Some((3, 3)));
    }

    #[test]
    fn scattered_outcomes_have_room_up_to_the_limit() {
        let mut progress = Progress::default();
        let scattered = |index: usize| 3 + 2 * index as u64;
        for index in 0..MOST_AHEAD {
            assert!(progress.has_room_for(scattered(index) + 1_000_000));
            progress.settle(scattered(index), scattered(index));
        }

        assert!(!progress.has_room_for(1_000_000));
        assert!(progress.has_room_for(1), "the cursor can always go on");
        assert!(progress.has_room_for(scattered(0) + 1));
    }

    #[test]
    fn tried_places_have_room_up_to_the_limit() {
        let mut progress = Progress::default();
        for seq in 0..MOST_AHEAD as u64 {
            assert!(progress.has_room_for(100 + seq));
            progress.count_attempt(100 + seq);
        }

        assert!(!progress.has_room_for(1_000_000));
        assert!(progress.has_room_for(100), "it is counted already");
    }

    #[test]
    fn settling_forgets_the_attempts() {
        let mut progress = Progress::default();
        progress.count_attempt(3);
        progress.count_attempt(3);
        assert_eq!(progress.ahead.attempts[&3], 2);

        progress.settle(3, 3);
        progress.count_attempt(3);

        assert!(progress.ahead.attempts.is_empty());
    }

    proptest! {
        #[test]
        fn it_says_the_same_as_a_set(ranges in proptest::collection::vec((1_u64..60, 0_u64..6), 0..40)) {
            let mut progress = Progress::default();
            let mut set = BTreeSet::new();
            for (from, more) in ranges {
                progress.settle(from, from + more);
                set.extend(from..=from + more);
            }

            for seq in 1..80 {
                prop_assert_eq!(progress.is_settled(seq), set.contains(&seq), "{}", seq);
            }
            let cursor = (1..).take_while(|seq| set.contains(seq)).last().unwrap_or(0);
            prop_assert_eq!(progress.cursor, cursor);
            let apart = progress.ahead.settled.windows(2).all(|two| two[0].1 + 1 < two[1].0);
            prop_assert!(apart, "{:?}", progress);
        }
    }
}
