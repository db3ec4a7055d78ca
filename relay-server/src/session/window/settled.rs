//! Places above the line that are settled already, as ranges.

use std::collections::BTreeMap;

use towline_shared::id::Seq;

use super::MOST_PLACES;

/// Settled places from the line's next one on.
pub(super) struct SettledAhead {
    /// First place to last place, both included; ranges do not overlap.
    ranges: BTreeMap<Seq, Seq>,
}

impl SettledAhead {
    pub(super) fn new(ranges: &[(Seq, Seq)]) -> Self {
        Self {
            ranges: ranges.iter().copied().collect(),
        }
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.covers(seq, seq)
    }

    /// Whether all places from `from` to `to` are settled.
    pub(super) fn covers(&self, from: Seq, to: Seq) -> bool {
        let mut reached = from;
        while let Some(last) = self.range_of(reached) {
            if last >= to {
                return true;
            }
            reached = last.next();
        }
        false
    }

    /// Adds one place. At the bound it is not remembered: its event comes again, and the client answers
    /// it from its journal.
    pub(super) fn add(&mut self, seq: Seq) {
        if self.ranges.len() < MOST_PLACES && !self.contains(seq) {
            self.ranges.insert(seq, seq);
        }
    }

    /// Forgets the places before `next`.
    pub(super) fn forget_before(&mut self, next: Seq) {
        while let Some(first) = self.ranges.first_entry() {
            if *first.get() >= next {
                return;
            }
            first.remove();
        }
    }

    /// The last place of the range that holds `seq`.
    fn range_of(&self, seq: Seq) -> Option<Seq> {
        let (_, &last) = self.ranges.range(..=seq).next_back()?;
        (last >= seq).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ranges_cover_what_lies_in_both() {
        let mut settled = SettledAhead::new(&[(Seq(3), Seq(5)), (Seq(8), Seq(9))]);
        assert!(settled.covers(Seq(3), Seq(5)));
        assert!(!settled.covers(Seq(3), Seq(8)));

        settled.add(Seq(6));
        settled.add(Seq(7));

        assert!(settled.covers(Seq(3), Seq(9)));
        assert!(!settled.covers(Seq(2), Seq(9)));
        assert!(!settled.contains(Seq(10)));
    }

    #[test]
    fn a_range_is_forgotten_when_all_of_it_lies_behind() {
        let mut settled = SettledAhead::new(&[(Seq(3), Seq(5))]);

        settled.forget_before(Seq(5));
        assert!(settled.contains(Seq(5)));
        settled.forget_before(Seq(6));

        assert!(settled.ranges.is_empty());
    }

    #[test]
    fn one_place_above_the_bound_is_not_remembered() {
        let mut settled = SettledAhead::new(&[]);
        for number in 1..=MOST_PLACES as u64 {
            settled.add(Seq(number * 2));
        }
        assert!(settled.contains(Seq(MOST_PLACES as u64 * 2)));

        settled.add(Seq(1));

        assert!(!settled.contains(Seq(1)));
    }

    #[test]
    fn the_highest_place_of_all_does_not_overflow() {
        let mut settled = SettledAhead::new(&[]);

        settled.add(Seq(u64::MAX));

        assert!(settled.covers(Seq(u64::MAX), Seq(u64::MAX)));
    }
}
