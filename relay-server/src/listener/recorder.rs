//! Records request heads exactly as they come over an HTTP/1 connection, beside the HTTP library that reads the same bytes.
//!
//! The library stays the only authority on routing and framing. The recorder is stricter than the library where the
//! library lets a head pass that two parsers may read in two ways, and such a head is refused. On any doubt it stops.

mod framing;
mod same;

use std::collections::VecDeque;

use bytes::Bytes;
use framing::{Follow, Framing, framing_of};
use http::request::Parts;
use same::is_same_request;
use towline_shared::head::{Head, MAX_HEAD_BYTES};

/// How many recorded heads may wait for the library, which happens when a sender pipelines.
/// More in one read is nothing that a webhook sender does; the recorder then stops.
const MAX_WAITING: usize = 128;

/// Follows the bytes of one connection.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    place: Place,
    head: Vec<u8>,
    line_start: usize,
    waiting: VecDeque<Result<Head, Refusal>>,
    begun: u32,
}

/// Where in the connection's bytes the recorder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Place {
    /// Before the first byte of a request.
    #[default]
    Between,
    /// After the CR of an empty line before a request (RFC 9112 §2.2).
    BetweenCr,
    /// Inside a head.
    Head,
    /// Inside a body.
    Body(Framing),
    /// It no longer knows; the connection must end with the request at hand.
    Lost,
    /// The connection speaks something else than HTTP/1 from here on.
    Upgraded,
}

/// What the recorder knows of the request that the library shows.
#[derive(Debug)]
pub(super) enum Recorded {
    /// Its head, as it came.
    Head(Head),
    /// It must be refused.
    Refused(Refusal),
    /// Nothing; the library's view has to do.
    Unknown,
}

/// Why a head is refused that the library would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// RFC 9112 §2.2 lets a reader take this for a line end; readers differ.
    #[error("a line of the head ends in LF without CR")]
    BareLineFeed,
    /// RFC 9112 §6.3: ought to be handled as an error.
    #[error("`Content-Length` and `Transfer-Encoding` stand in one head")]
    TwoFramings,
    /// RFC 9112 §6.3.
    #[error("`Content-Length` is there twice")]
    TwoLengths,
    /// RFC 9110 §8.6.
    #[error("`Content-Length` is not a number")]
    Length,
    /// RFC 9112 §6.1.
    #[error("`Transfer-Encoding` is there twice")]
    TwoCodings,
    /// The head breaks a rule of RFC 9112 that the library does not check.
    #[error("the head is malformed")]
    Malformed,
}

impl Recorder {
    /// Takes note of bytes that the library is about to get.
    pub(super) fn observe(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match self.place {
                Place::Between | Place::BetweenCr => self.observe_between(bytes),
                Place::Head => self.observe_head(bytes),
                Place::Body(framing) => self.observe_body(framing, bytes),
                Place::Lost | Place::Upgraded => return,
            };
            bytes = &bytes[taken..];
        }
    }

    /// Where it stands, and how many requests have begun so far.
    pub(super) const fn place(&self) -> (Place, u32) {
        (self.place, self.begun)
    }

    /// What it has of the next request, which the library shows as `parts`.
    pub(super) fn take(&mut self, parts: &Parts) -> Recorded {
        match self.waiting.pop_front() {
            Some(Ok(head)) if is_same_request(&head, parts) => Recorded::Head(head),
            Some(Err(refusal)) => Recorded::Refused(refusal),
            Some(Ok(_)) | None => {
                self.stop(Place::Lost);
                Recorded::Unknown
            }
        }
    }

    /// Stops, because the connection changes its protocol.
    pub(super) fn upgrade(&mut self) {
        self.stop(Place::Upgraded);
    }

    fn observe_between(&mut self, bytes: &[u8]) -> usize {
        match (self.place, bytes[0]) {
            (Place::Between, b'\r') => self.place = Place::BetweenCr,
            (Place::BetweenCr, b'\n') => self.place = Place::Between,
            (Place::Between, b'\n') => self.refuse(Refusal::BareLineFeed),
            (Place::BetweenCr, _) => self.refuse(Refusal::Malformed),
            _ => {
                self.place = Place::Head;
                self.begun = self.begun.wrapping_add(1);
                return 0;
            }
        }
        1
    }

    /// Takes the bytes up to the end of the head; each line must end in CRLF.
    fn observe_head(&mut self, bytes: &[u8]) -> usize {
        let before = self.head.len();
        for line_feed in memchr::memchr_iter(b'\n', bytes) {
            let previous = match line_feed {
                0 => self.head.last().copied(),
                at => Some(bytes[at - 1]),
            };
            if previous != Some(b'\r') {
                self.refuse(Refusal::BareLineFeed);
                return bytes.len();
            }
            let line_end = before + line_feed + 1;
            if line_end == self.line_start + 2 {
                self.finish_head(&bytes[..=line_feed]);
                return line_feed + 1;
            }
            self.line_start = line_end;
        }
        if before + bytes.len() > MAX_HEAD_BYTES {
            self.lose();
            return bytes.len();
        }
        self.head.extend_from_slice(bytes);
        bytes.len()
    }

    fn finish_head(&mut self, rest: &[u8]) {
        self.line_start = 0;
        let raw = if self.head.is_empty() {
            Bytes::copy_from_slice(rest)
        } else {
            self.head.extend_from_slice(rest);
            Bytes::from(std::mem::take(&mut self.head))
        };
        let Ok(head) = Head::parse(raw) else {
            return self.refuse(Refusal::Malformed);
        };
        match framing_of(&head) {
            Ok(Some(framing)) if self.waiting.len() < MAX_WAITING => {
                self.place = if framing.is_done() {
                    Place::Between
                } else {
                    Place::Body(framing)
                };
                self.waiting.push_back(Ok(head));
            }
            Ok(_) => self.lose(),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn observe_body(&mut self, mut framing: Framing, bytes: &[u8]) -> usize {
        match framing.follow(bytes) {
            Follow::Inside => {
                self.place = Place::Body(framing);
                bytes.len()
            }
            Follow::Ended(taken) => {
                self.place = Place::Between;
                taken
            }
            Follow::Broken => {
                self.lose();
                bytes.len()
            }
        }
    }

    /// The heads recorded so far stay good; the one at hand is refused, and nothing after it is followed.
    fn refuse(&mut self, refusal: Refusal) {
        self.waiting.push_back(Err(refusal));
        self.lose();
    }

    fn lose(&mut self) {
        self.place = Place::Lost;
        self.head = Vec::new();
    }

    fn stop(&mut self, place: Place) {
        self.lose();
        self.place = place;
        self.waiting = VecDeque::new();
    }
}

#[cfg(test)]
mod tests;
