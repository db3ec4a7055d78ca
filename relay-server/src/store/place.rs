//! An endpoint and a `seq` in one number, by which an endpoint's events lie side by side in the table.

use rusqlite::types::{ToSql, ToSqlOutput};
use towline_shared::id::Seq;

use super::EndpointId;

/// How many bits of a place are the `seq`: 10^12 events an endpoint, 8 million endpoints.
const SEQ_BITS: u32 = 40;

/// The highest `seq` that fits.
pub(super) const MAX_SEQ: u64 = (1 << SEQ_BITS) - 1;

/// Where an event lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(i64);

impl Place {
    /// The place of this `seq`; one beyond [`MAX_SEQ`] is taken for the last, which no event has.
    pub(super) fn new(endpoint: EndpointId, seq: Seq) -> Self {
        let seq = seq.0.min(MAX_SEQ).cast_signed();
        Self((endpoint.0 << SEQ_BITS) | seq)
    }

    /// Below every event of the endpoint.
    pub(super) fn first(endpoint: EndpointId) -> Self {
        Self::new(endpoint, Seq(0))
    }

    /// Above every event of the endpoint.
    pub(super) fn last(endpoint: EndpointId) -> Self {
        Self::new(endpoint, Seq(MAX_SEQ))
    }

    /// The place with this number, as read from a row.
    pub(super) const fn from_row(number: i64) -> Self {
        Self(number)
    }

    /// The endpoint.
    pub(super) const fn endpoint(self) -> EndpointId {
        EndpointId(self.0 >> SEQ_BITS)
    }

    /// The place in the endpoint.
    pub(super) const fn seq(self) -> Seq {
        Seq(self.0.cast_unsigned() & MAX_SEQ)
    }
}

impl ToSql for Place {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The highest endpoint that fits.
    const MAX_ENDPOINT: i64 = i64::MAX >> SEQ_BITS;

    proptest! {
        #[test]
        fn a_place_gives_back_endpoint_and_seq(endpoint in 1..=MAX_ENDPOINT, seq in 0..=MAX_SEQ) {
            let place = Place::new(EndpointId(endpoint), Seq(seq));

            prop_assert_eq!(place.endpoint(), EndpointId(endpoint));
            prop_assert_eq!(place.seq(), Seq(seq));
            prop_assert!(place >= Place::first(EndpointId(endpoint)));
            prop_assert!(place <= Place::last(EndpointId(endpoint)));
        }
    }

    #[test]
    fn a_seq_that_does_not_fit_stays_in_its_endpoint() {
        let place = Place::new(EndpointId(3), Seq(u64::MAX));

        assert_eq!(place, Place::last(EndpointId(3)));
    }
}
