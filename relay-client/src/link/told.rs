//! The writing half of a session: control frames, outcomes from the journal and pings, many with one flush.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;
use tokio::time::{self, Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use towline_shared::wire::FromClient;

use super::Socket;
use super::session::Ended;
use crate::seen::Journal;

/// How often each side pings (wire.rs).
const PING_EVERY: Duration = Duration::from_secs(20);

/// How long the relay may take nothing of what is written; as long as silence may last (wire.rs).
const WRITE_TIMEOUT: Duration = Duration::from_secs(45);

/// The most control frames that wait to be written: a reset for each delivery of a window, and credits.
const MAX_WAITING: usize = 4096;

/// The most outcomes that are put together before they are flushed.
const OUTCOMES_AT_ONCE: usize = 256;

/// Where the rest of a session leaves frames to be written.
#[derive(Clone)]
pub(super) struct Outgoing(mpsc::Sender<Message>);

impl Outgoing {
    /// The queue: when it is full, the relay has stopped reading, and the session ends.
    pub(super) fn channel() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        (Self(sender), receiver)
    }

    pub(super) fn send(&self, frame: &FromClient) -> Result<(), Ended> {
        self.push(Message::Binary(frame.encode()))
    }

    pub(super) fn push(&self, message: Message) -> Result<(), Ended> {
        match self.0.try_send(message) {
            Ok(()) => Ok(()),
            Err(_) => Err(Ended::Lost("the relay does not read what is sent".into())),
        }
    }
}

/// Writes until the link breaks or a close message was written; returns why.
pub(super) async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut incoming: mpsc::Receiver<Message>,
    journal: Arc<Journal>,
) -> Ended {
    let mut pings = time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut place = 0;
    let mut next = None;
    loop {
        let written = time::timeout(
            WRITE_TIMEOUT,
            write_waiting(&mut sink, next.take(), &mut incoming, &journal, &mut place),
        )
        .await;
        match written {
            Ok(Ok(true)) => return Ended::Closed,
            Ok(Ok(false)) => {}
            Ok(Err(error)) => return Ended::Lost(format!("the link broke: {error}")),
            Err(_) => return Ended::Lost("the relay does not read what is sent".into()),
        }
        tokio::select! {
            biased;
            message = incoming.recv() => match message {
                Some(message) => next = Some(message),
                None => return Ended::Closed,
            },
            () = journal.changed() => {}
            _ = pings.tick() => next = Some(Message::Ping(Bytes::new())),
        }
    }
}

/// Writes all that waits and flushes once. Returns whether a close message was among it.
async fn write_waiting(
    sink: &mut SplitSink<Socket, Message>,
    first: Option<Message>,
    incoming: &mut mpsc::Receiver<Message>,
    journal: &Journal,
    place: &mut u64,
) -> Result<bool, WebSocketError> {
    let mut next = first.or_else(|| incoming.try_recv().ok());
    while let Some(message) = next {
        let is_close = matches!(message, Message::Close(_));
        sink.feed(message).await?;
        if is_close {
            sink.flush().await?;
            return Ok(true);
        }
        next = incoming.try_recv().ok();
    }
    loop {
        let outcomes = journal.outcomes_after(*place, OUTCOMES_AT_ONCE);
        let count = outcomes.len();
        for (at, frame) in outcomes {
            sink.feed(Message::Binary(frame)).await?;
            *place = at;
        }
        if count < OUTCOMES_AT_ONCE {
            break;
        }
    }
    sink.flush().await?;
    Ok(false)
}
