//! What a session has under way in the store and in body files, as futures that it polls beside its socket.

use std::io::{self, SeekFrom};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use towline_shared::id::{EventId, Seq};
use towline_shared::outcome::Delivery;
use towline_shared::verdict::Finding;
use towline_shared::wire::Report;

use super::line::Skip;
use super::streams::Piece;
use super::wanted::Judgement;
use crate::relay::Relay;
use crate::store::{
    BodyFile, ConsumerId, EndpointId, PendingReplay, Store, StoreError, StoredEvent,
};

/// Something under way.
pub(super) type Job = BoxFuture<'static, Done>;

/// The body of a delivery that goes in pieces.
#[derive(Clone, Debug)]
pub(super) struct LongBody {
    pub(super) file: BodyFile,
    pub(super) delivery: Delivery,
    pub(super) event: EventId,
}

/// What came of a job.
pub(super) enum Done {
    /// An outcome was kept.
    Recorded(Recorded),
    /// Places were settled without an outcome.
    Skipped(Result<(), StoreError>),
    /// Events of the line were read.
    Page(Result<Vec<Arc<StoredEvent>>, StoreError>),
    /// What the filter says of the event at this place.
    Judged(Seq, bool),
    /// The waiting replays were read.
    Replays(Result<Vec<PendingReplay>, StoreError>),
    /// The event of the prepared replay was read.
    ReplayEvent(Result<Option<Arc<StoredEvent>>, StoreError>),
    /// A part of a body was read.
    Piece(Piece<LongBody>, io::Result<Bytes>),
    /// Whether the event of the stream whose body could not be read is still there.
    BodyLost(u32, LongBody, Result<bool, StoreError>),
}

/// What came of keeping an outcome.
pub(super) struct Recorded {
    pub(super) event: EventId,
    pub(super) findings: Vec<Finding>,
    pub(super) delivery: Delivery,
    pub(super) attempt: u32,
    pub(super) is_settling: bool,
    /// What the outcome took in memory.
    pub(super) bytes: usize,
    pub(super) result: Result<(), StoreError>,
}

/// Keeps an outcome, with what a second look turns up when the app turned the delivery away.
pub(super) fn record(
    relay: Arc<Relay>,
    consumer: ConsumerId,
    mut report: Report,
    bytes: usize,
) -> Job {
    Box::pin(async move {
        report.attempt.findings = relay.recheck().findings(&report).await;
        let findings = report.attempt.findings.clone();
        let event = report.attempt.event;
        let delivery = report.attempt.delivery;
        let attempt = report.attempt.number;
        let is_settling = report.attempt.settled.is_some();
        let result = relay.store.record(consumer, report).await;
        Done::Recorded(Recorded {
            event,
            findings,
            delivery,
            attempt,
            is_settling,
            bytes,
            result,
        })
    })
}

/// Settles places that the consumer does not get.
pub(super) fn skip(store: Store, consumer: ConsumerId, skip: Skip) -> Job {
    Box::pin(async move {
        let range = (skip.from, skip.to);
        Done::Skipped(store.skip(consumer, range, skip.filtered).await)
    })
}

/// Looks into a long body for the filter, where blocking is allowed.
pub(super) fn judge(judgement: Judgement) -> Job {
    let seq = judgement.event.info.seq;
    Box::pin(async move {
        let judging = tokio::task::spawn_blocking(move || judgement.is_wanted());
        // Nothing in it panics; what could not be judged is sent.
        Done::Judged(seq, judging.await.unwrap_or(true))
    })
}

/// Reads the line on from a place.
pub(super) fn read_page(store: Store, endpoint: EndpointId, after: Seq, limit: usize) -> Job {
    Box::pin(async move { Done::Page(store.events_after(endpoint, after, limit).await) })
}

/// Reads the waiting replays.
pub(super) fn read_replays(store: Store, consumer: ConsumerId, limit: usize) -> Job {
    Box::pin(async move { Done::Replays(store.pending_replays(consumer, limit).await) })
}

/// Reads the event of a replay, with the replay's own request where it has one.
pub(super) fn read_replay_event(store: Store, replay: &PendingReplay) -> Job {
    let (replay, event) = (replay.id, replay.event);
    Box::pin(async move { Done::ReplayEvent(store.replayed_event(replay, event).await) })
}

/// Reads a piece of a body from its file. The file is opened for each piece, so that a thousand
/// waiting streams hold no file open.
pub(super) fn read_piece(piece: Piece<LongBody>) -> Job {
    Box::pin(async move {
        let read = read_part(&piece.body.file, piece.offset, piece.length).await;
        Done::Piece(piece, read)
    })
}

async fn read_part(file: &BodyFile, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut file = tokio::fs::File::open(file.path()).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    let mut bytes = BytesMut::with_capacity(length);
    while bytes.len() < length {
        let missing = (length - bytes.len()) as u64;
        if (&mut file).take(missing).read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes.freeze())
}

/// Finds out whether a body could not be read because its event was removed.
pub(super) fn look_for_event(store: Store, stream: u32, body: LongBody) -> Job {
    Box::pin(async move {
        let found = store.event(body.event).await;
        Done::BodyLost(stream, body, found.map(|event| event.is_some()))
    })
}
