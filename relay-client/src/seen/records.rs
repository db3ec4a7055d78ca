//! The journal's file: a first line, then records of length, checksum, kind and content.
//! The last record may be torn by the end of the process; damage elsewhere is told, not guessed around.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};
use towline_shared::outcome::Delivery;
use towline_shared::wire::{FromClient, MAX_FRAME_BYTES, Report, Stored};

use super::Begun;

/// The first line; a file with another one is not a journal that this version reads.
pub(super) const HEADER: &[u8] = b"towline journal 1\n";

/// What a person can do about a damaged journal.
pub(super) const MOVE_AWAY: &str =
    "move it away to go on; deliveries that were in hand may then reach the app once more";

/// Length and checksum.
const PREFIX_BYTES: usize = 4 + 8;

/// The longest content: the kind and the longest frame.
const MAX_CONTENT_BYTES: usize = 1 + MAX_FRAME_BYTES;

/// One record to write.
pub(super) enum Record<'a> {
    Begun(&'a Begun),
    /// An `outcome` frame of the wire as it is sent.
    Outcome(&'a Bytes),
    Forgotten(&'a Stored),
}

impl Record<'_> {
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.put_bytes(0, PREFIX_BYTES);
        match self {
            Self::Begun(begun) => {
                bytes.push(1);
                serde_json::to_writer(&mut *bytes, begun).expect("plain data");
            }
            Self::Outcome(frame) => {
                bytes.push(2);
                bytes.extend_from_slice(frame);
            }
            Self::Forgotten(stored) => {
                bytes.push(3);
                serde_json::to_writer(&mut *bytes, stored).expect("plain data");
            }
        }
        let content = &bytes[start + PREFIX_BYTES..];
        let length = u32::try_from(content.len()).expect("records are bounded by MAX_FRAME_BYTES");
        let sum = checksum(content);
        bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
        bytes[start + 4..start + PREFIX_BYTES].copy_from_slice(&sum.to_be_bytes());
    }
}

/// What a journal holds that is not forgotten.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) begun: Vec<Begun>,
    pub(super) outcomes: Vec<Report>,
}

/// Reads a journal's bytes.
///
/// # Errors
/// When it is not a journal or is damaged elsewhere than at its end; says where and what to do.
pub(super) fn read(bytes: &[u8]) -> Result<Reading, String> {
    if bytes.len() < HEADER.len() && HEADER.starts_with(bytes) {
        return Ok(Reading::default());
    }
    let mut rest = bytes
        .strip_prefix(HEADER)
        .ok_or_else(|| format!("it is not a journal of this version; {MOVE_AWAY}"))?;
    let mut alive = Alive::default();
    loop {
        let damaged = |what: &str| {
            format!(
                "the record at byte {} {what}; {MOVE_AWAY}",
                bytes.len() - rest.len()
            )
        };
        match next_record(rest) {
            Next::End => return Ok(alive.into_reading()),
            Next::Damaged => return Err(damaged("is damaged")),
            Next::Content(content, after) => {
                alive
                    .take(content)
                    .ok_or_else(|| damaged("cannot be read"))?;
                rest = after;
            }
        }
    }
}

enum Next<'a> {
    Content(&'a [u8], &'a [u8]),
    /// The end, or a last record that was not written to its end.
    End,
    Damaged,
}

fn next_record(rest: &[u8]) -> Next<'_> {
    let Some((prefix, after)) = rest.split_first_chunk::<PREFIX_BYTES>() else {
        return Next::End;
    };
    let [a, b, c, d, sum @ ..] = *prefix;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length == 0 || length > MAX_CONTENT_BYTES {
        // A file system may have made the file longer before a loss of power kept the bytes from it.
        return if rest.iter().all(|&byte| byte == 0) {
            Next::End
        } else {
            Next::Damaged
        };
    }
    let Some((content, after)) = after.split_at_checked(length) else {
        return Next::End;
    };
    match (
        checksum(content) == u64::from_be_bytes(sum),
        after.iter().all(|&byte| byte == 0),
    ) {
        (true, _) => Next::Content(content, after),
        (false, true) => Next::End,
        (false, false) => Next::Damaged,
    }
}

#[derive(Default)]
struct Alive {
    begun: BTreeMap<Delivery, Begun>,
    outcomes: Vec<Report>,
}

impl Alive {
    fn take(&mut self, content: &[u8]) -> Option<()> {
        let (kind, content) = content.split_first()?;
        match kind {
            1 => {
                let begun: Begun = serde_json::from_slice(content).ok()?;
                self.begun.insert(begun.delivery, begun);
            }
            2 => {
                let FromClient::Outcome(report) =
                    FromClient::decode(&Bytes::copy_from_slice(content)).ok()?
                else {
                    return None;
                };
                self.end(report.attempt.delivery, report.attempt.number);
                self.outcomes.push(*report);
            }
            3 => {
                let stored: Stored = serde_json::from_slice(content).ok()?;
                self.end(stored.delivery, stored.attempt);
                self.outcomes.retain(|report| {
                    report.attempt.delivery != stored.delivery
                        || report.attempt.number != stored.attempt
                });
            }
            _ => return None,
        }
        Some(())
    }

    /// The attempt with this number is under way no longer; a later one may be.
    fn end(&mut self, delivery: Delivery, number: u32) {
        if self
            .begun
            .get(&delivery)
            .is_some_and(|begun| begun.number == number)
        {
            self.begun.remove(&delivery);
        }
    }

    fn into_reading(self) -> Reading {
        Reading {
            begun: self.begun.into_values().collect(),
            outcomes: self.outcomes,
        }
    }
}

/// FNV-1a over words of eight bytes: finds torn and overwritten records, at memory speed. It is no
/// protection against a person; the file is private to its owner.
fn checksum(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut sum = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        sum = (sum ^ u64::from_be_bytes(*word))
            .wrapping_mul(PRIME)
            .rotate_left(23);
    }
    for &byte in rest {
        sum = (sum ^ u64::from(byte)).wrapping_mul(PRIME);
    }
    sum
}
