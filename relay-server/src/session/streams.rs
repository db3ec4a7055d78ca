//! Shares the connection among bodies that do not fit into their `event` frame: whose turn it is, and how
//! many bytes may go. Does no IO; what a body is, is the caller's business.

use std::collections::{HashMap, VecDeque};

use towline_shared::credit::{CONNECTION_CREDIT, CreditExceeded, STREAM_CREDIT, SendCredit};
use towline_shared::wire::MAX_DATA_BYTES;

/// The bodies that are on their way to one client.
pub(super) struct Streams<B> {
    connection: SendCredit,
    open: HashMap<u32, Stream<B>>,
    /// The streams that have credit of their own, in the order of their turns. Each stands here once at most.
    turns: VecDeque<u32>,
}

struct Stream<B> {
    body: B,
    offset: u64,
    length: u64,
    credit: SendCredit,
    has_turn: bool,
}

/// The next part of a body to send; its credit is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece<B> {
    /// The stream.
    pub(super) stream: u32,
    /// The body to read from.
    pub(super) body: B,
    /// Where in the body it begins.
    pub(super) offset: u64,
    /// How long it is, at most [`MAX_DATA_BYTES`].
    pub(super) length: usize,
    /// Whether the body ends with it.
    pub(super) is_last: bool,
}

impl<B: Clone> Streams<B> {
    /// No streams, and all credit.
    pub(super) fn new() -> Self {
        Self {
            connection: SendCredit::new(CONNECTION_CREDIT),
            open: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Adds a body of which nothing was sent. Streams are bounded by the window: one for a delivery.
    pub(super) fn open(&mut self, stream: u32, body: B, length: u64) {
        let added = Stream {
            body,
            offset: 0,
            length,
            credit: SendCredit::new(STREAM_CREDIT),
            has_turn: true,
        };
        self.open.insert(stream, added);
        self.turns.push_back(stream);
    }

    /// The next piece that credit allows; streams with credit take turns, those without hold up nobody.
    pub(super) fn next_piece(&mut self) -> Option<Piece<B>> {
        if self.connection.available() == 0 {
            return None;
        }
        while let Some(number) = self.turns.pop_front() {
            let Some(stream) = self.open.get_mut(&number) else {
                continue;
            };
            let piece = stream.take_piece(number, &mut self.connection);
            if piece.is_last {
                self.open.remove(&number);
            } else if stream.credit.available() > 0 {
                self.turns.push_back(number);
            } else {
                stream.has_turn = false;
            }
            return Some(piece);
        }
        None
    }

    /// Takes credit that the client gave. What comes for a stream that has ended is too late and ignored.
    ///
    /// # Errors
    /// When it gives more than was used.
    pub(super) fn grant(&mut self, number: u32, bytes: u64) -> Result<(), CreditExceeded> {
        if number == 0 {
            return self.connection.grant(bytes);
        }
        let Some(stream) = self.open.get_mut(&number) else {
            return Ok(());
        };
        stream.credit.grant(bytes)?;
        if !stream.has_turn && stream.credit.available() > 0 {
            stream.has_turn = true;
            self.turns.push_back(number);
        }
        Ok(())
    }

    /// Ends a stream before its end.
    pub(super) fn close(&mut self, number: u32) {
        self.open.remove(&number);
        self.turns.retain(|&other| other != number);
    }

    /// Ends the streams whose body is no longer wanted.
    pub(super) fn close_where(&mut self, is_unwanted: impl Fn(&B) -> bool) {
        let unwanted = self.open.iter().filter(|(_, it)| is_unwanted(&it.body));
        let unwanted: Vec<_> = unwanted.map(|(&number, _)| number).collect();
        for number in unwanted {
            self.close(number);
        }
    }

    /// Whether no body is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl<B: Clone> Stream<B> {
    /// Both credits have at least a byte, and the body too.
    fn take_piece(&mut self, number: u32, connection: &mut SendCredit) -> Piece<B> {
        let left = self.length - self.offset;
        let length = (MAX_DATA_BYTES as u64)
            .min(left)
            .min(self.credit.available())
            .min(connection.available());
        self.credit.take(length);
        connection.take(length);
        let offset = self.offset;
        self.offset += length;
        Piece {
            stream: number,
            body: self.body.clone(),
            offset,
            length: usize::try_from(length).unwrap_or(MAX_DATA_BYTES),
            is_last: length == left,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECE: u64 = MAX_DATA_BYTES as u64;

    #[test]
    fn a_body_goes_in_pieces_until_its_credit_is_used() {
        let mut streams = Streams::new();
        streams.open(1, (), STREAM_CREDIT + 1);

        let pieces = drain(&mut streams);

        let sent: u64 = pieces.iter().map(|piece| piece.length as u64).sum();
        assert_eq!(sent, STREAM_CREDIT);
        assert!(pieces.iter().all(|piece| !piece.is_last));
        streams.grant(1, 1).unwrap();
        let last = streams.next_piece().unwrap();
        assert_eq!(
            (last.offset, last.length, last.is_last),
            (STREAM_CREDIT, 1, true)
        );
        assert!(streams.is_empty());
    }

    #[test]
    fn a_stream_without_credit_holds_up_nobody() {
        let mut streams = Streams::new();
        streams.open(1, (), 100 * PIECE);
        drain(&mut streams);

        streams.open(2, (), 2 * PIECE);

        let turns: Vec<_> = drain(&mut streams)
            .iter()
            .map(|piece| piece.stream)
            .collect();
        assert_eq!(turns, [2, 2]);
    }

    #[test]
    fn streams_take_turns() {
        let mut streams = Streams::new();
        streams.open(1, (), 2 * PIECE);
        streams.open(2, (), 2 * PIECE);

        let turns: Vec<_> = drain(&mut streams)
            .iter()
            .map(|piece| piece.stream)
            .collect();

        assert_eq!(turns, [1, 2, 1, 2]);
    }

    #[test]
    fn the_connection_has_a_credit_of_its_own() {
        let mut streams = Streams::new();
        for number in 1..=20 {
            streams.open(number, (), 10 * PIECE);
        }

        let sent: u64 = drain(&mut streams)
            .iter()
            .map(|piece| piece.length as u64)
            .sum();
        assert_eq!(sent, CONNECTION_CREDIT);
        streams.grant(0, PIECE).unwrap();

        let more = drain(&mut streams);
        assert_eq!(more.len(), 1);
    }

    #[test]
    fn more_credit_than_was_used_is_refused() {
        let mut streams = Streams::new();
        streams.open(1, (), 10 * PIECE);
        streams.next_piece().unwrap();

        assert!(streams.grant(1, PIECE).is_ok());
        assert!(streams.grant(1, 1).is_err());
        assert!(streams.grant(0, PIECE + 1).is_err());
        assert!(streams.grant(0, PIECE).is_ok());
    }

    #[test]
    fn credit_for_a_stream_that_has_ended_is_ignored() {
        let mut streams = Streams::<()>::new();

        assert!(streams.grant(7, u64::MAX).is_ok());
    }

    #[test]
    fn a_closed_stream_sends_no_more() {
        let mut streams = Streams::new();
        streams.open(1, "a", PIECE);
        streams.open(2, "b", PIECE);

        streams.close_where(|&body| body == "a");

        let turns: Vec<_> = drain(&mut streams)
            .iter()
            .map(|piece| piece.stream)
            .collect();
        assert_eq!(turns, [2]);
    }

    proptest! {
        #[test]
        fn every_body_arrives_whole_and_in_order_within_its_credit(
            lengths in proptest::collection::vec(1_u64..2_000_000, 1..8),
            grants in proptest::collection::vec(any::<bool>(), 0..400),
        ) {
            let mut streams = Streams::new();
            let mut received = vec![0_u64; lengths.len()];
            let mut owed = vec![0_u64; lengths.len()];
            for (number, &length) in lengths.iter().enumerate() {
                streams.open(u32::try_from(number).unwrap() + 1, (), length);
            }
            for waits in grants.into_iter().chain(std::iter::repeat_n(false, 400)) {
                while let Some(piece) = streams.next_piece() {
                    let number = piece.stream as usize - 1;
                    prop_assert_eq!(piece.offset, received[number]);
                    received[number] += piece.length as u64;
                    owed[number] += piece.length as u64;
                    prop_assert!(owed[number] <= STREAM_CREDIT);
                    prop_assert_eq!(piece.is_last, received[number] == lengths[number]);
                }
                if waits {
                    continue;
                }
                for (number, bytes) in owed.iter_mut().enumerate() {
                    let bytes = std::mem::take(bytes);
                    streams.grant(u32::try_from(number).unwrap() + 1, bytes).unwrap();
                    streams.grant(0, bytes).unwrap();
                }
            }
            prop_assert_eq!(received, lengths);
        }
    }

    fn drain<B: Clone>(streams: &mut Streams<B>) -> Vec<Piece<B>> {
        std::iter::from_fn(|| streams.next_piece()).collect()
    }
}
