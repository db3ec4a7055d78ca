//! Fetches long bodies: `data` frames of many streams go into one file each, and credit is given for what
//! the disk has taken. The rules of a stream are kept here; a broken one ends the session.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use towline_shared::credit::{CONNECTION_CREDIT, ReceiveCredit, STREAM_CREDIT};
use towline_shared::wire::{Credit, Data, EventFrame, EventHeader, FromClient, Reset};

use super::session::Ended;
use super::told::Outgoing;
use crate::body::{Body, SpoolFile};
use crate::listen::Arrived;

/// The most frames of one stream that wait for the disk. Credit bounds their bytes; only frames that are
/// needlessly small could be more, and end the session.
const MAX_WAITING_FRAMES: usize = 1024;

/// The streams of a session.
pub(super) struct Streams {
    folder: PathBuf,
    most: usize,
    open: HashMap<u32, OpenStream>,
    /// Streams whose rest was refused; what is under way of them still comes.
    refused: HashSet<u32>,
    ledger: Arc<Mutex<Ledger>>,
    outgoing: Outgoing,
    fetched: mpsc::Sender<Fetched>,
    tasks: JoinSet<()>,
}

struct OpenStream {
    left: u64,
    pieces: mpsc::Sender<Piece>,
}

enum Piece {
    Bytes(Bytes),
    End,
}

/// What came of fetching one body.
pub(super) enum Fetched {
    /// The event is whole.
    Arrived(Box<Arrived>),
    /// This machine cannot keep it.
    Failed(std::io::Error),
}

struct Ledger {
    connection: ReceiveCredit,
    streams: HashMap<u32, ReceiveCredit>,
}

impl Streams {
    /// Streams for at most `most` bodies at once. Whole events come through the receiver.
    pub(super) fn new(
        folder: PathBuf,
        most: usize,
        outgoing: Outgoing,
    ) -> (Self, mpsc::Receiver<Fetched>) {
        // A whole event waits in its task until the session takes it.
        let (fetched, whole) = mpsc::channel(16);
        let ledger = Ledger {
            connection: ReceiveCredit::new(CONNECTION_CREDIT),
            streams: HashMap::new(),
        };
        let streams = Self {
            folder,
            most,
            open: HashMap::new(),
            refused: HashSet::new(),
            ledger: Arc::new(Mutex::new(ledger)),
            outgoing,
            fetched,
            tasks: JoinSet::new(),
        };
        (streams, whole)
    }

    /// Starts to fetch the rest of an event's body.
    pub(super) fn fetch(&mut self, frame: EventFrame) -> Result<(), Ended> {
        let stream = frame.header.stream;
        if self.open.contains_key(&stream) || self.refused.contains(&stream) {
            return Err(Ended::Breach(format!("stream {stream} is used twice")));
        }
        while self.tasks.try_join_next().is_some() {}
        if self.open.len() >= self.most {
            return Err(Ended::Breach(
                "more deliveries were sent than asked for".into(),
            ));
        }
        let (pieces, incoming) = mpsc::channel(MAX_WAITING_FRAMES);
        let left = frame
            .header
            .event
            .body_length
            .saturating_sub(frame.body.len() as u64);
        self.open.insert(stream, OpenStream { left, pieces });
        self.ledger
            .lock()
            .streams
            .insert(stream, ReceiveCredit::new(STREAM_CREDIT));
        let fetch = Fetch {
            header: frame.header,
            head: frame.head,
            first: frame.body,
            folder: self.folder.clone(),
            ledger: Arc::clone(&self.ledger),
            outgoing: self.outgoing.clone(),
        };
        let fetched = self.fetched.clone();
        self.tasks.spawn(async move {
            if let Some(result) = fetch.run(incoming).await {
                // The session that asked is over when nobody takes it.
                let _ = fetched.send(result).await;
            }
        });
        Ok(())
    }

    /// Refuses the rest of a body that is not needed.
    pub(super) fn refuse(&mut self, stream: u32) -> Result<(), Ended> {
        self.refused.insert(stream);
        let reset = Reset {
            stream,
            reason: "the delivery is in hand already".into(),
        };
        self.outgoing.send(&FromClient::Reset(reset))
    }

    /// Takes a `data` frame.
    pub(super) fn take(&mut self, data: Data) -> Result<(), Ended> {
        let length = data.bytes.len() as u64;
        self.ledger.lock().receive(data.stream, length)?;
        let Some(stream) = self.open.get_mut(&data.stream) else {
            if !self.refused.contains(&data.stream) {
                return Err(Ended::Breach(format!(
                    "`data` came for stream {}, which is not open",
                    data.stream
                )));
            }
            return pass_on(&self.ledger, &self.outgoing, data.stream, length);
        };
        let Some(left) = stream.left.checked_sub(length) else {
            return Err(Ended::Breach(format!(
                "stream {} is longer than its event says",
                data.stream
            )));
        };
        stream.left = left;
        if data.end && left > 0 {
            return Err(Ended::Breach(format!(
                "stream {} is shorter than its event says",
                data.stream
            )));
        }
        if length > 0 {
            stream.push(data.stream, Piece::Bytes(data.bytes))?;
        }
        if data.end {
            stream.push(data.stream, Piece::End)?;
            self.open.remove(&data.stream);
        }
        Ok(())
    }

    /// The relay cannot read the rest of a body. What came of it is dropped and the delivery left: whether it
    /// comes again or is gone is told by the relay, with another session or with `gap`.
    /// Returns whether anybody waited for it.
    pub(super) fn reset(&mut self, stream: u32) -> Result<bool, Ended> {
        let was_open = self.open.remove(&stream).is_some();
        if was_open || self.refused.contains(&stream) {
            return Ok(was_open);
        }
        Err(Ended::Breach(format!(
            "`reset` came for stream {stream}, which is not open"
        )))
    }
}

impl OpenStream {
    fn push(&self, stream: u32, piece: Piece) -> Result<(), Ended> {
        match self.pieces.try_send(piece) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Ended::Breach(format!(
                "stream {stream} comes in needlessly small frames"
            ))),
            // The fetch failed, and has said so itself.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }
}

impl Ledger {
    fn receive(&mut self, stream: u32, bytes: u64) -> Result<(), Ended> {
        let exceeded = |error| Ended::Breach(format!("{error}"));
        self.connection.receive(bytes).map_err(exceeded)?;
        match self.streams.get_mut(&stream) {
            Some(credit) => credit.receive(bytes).map_err(exceeded),
            None => Ok(()),
        }
    }
}

/// Gives credit for bytes that were passed on.
fn pass_on(
    ledger: &Mutex<Ledger>,
    outgoing: &Outgoing,
    stream: u32,
    bytes: u64,
) -> Result<(), Ended> {
    let (for_stream, for_connection) = {
        let mut ledger = ledger.lock();
        let for_stream = ledger
            .streams
            .get_mut(&stream)
            .and_then(|credit| credit.consume(bytes));
        (for_stream, ledger.connection.consume(bytes))
    };
    for (stream, bytes) in [(stream, for_stream), (0, for_connection)] {
        if let Some(bytes) = bytes {
            outgoing.send(&FromClient::Credit(Credit { stream, bytes }))?;
        }
    }
    Ok(())
}

/// One body on its way into a file.
struct Fetch {
    header: EventHeader,
    head: Bytes,
    first: Bytes,
    folder: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
    outgoing: Outgoing,
}

impl Fetch {
    /// Nothing when the rest does not come.
    async fn run(self, mut incoming: mpsc::Receiver<Piece>) -> Option<Fetched> {
        let body = self.body(&mut incoming).await;
        self.ledger.lock().streams.remove(&self.header.stream);
        match body {
            Ok(body) => Some(Fetched::Arrived(Box::new(Arrived {
                header: self.header,
                head: self.head,
                body: body?,
            }))),
            Err(error) => Some(Fetched::Failed(error)),
        }
    }

    async fn body(&self, incoming: &mut mpsc::Receiver<Piece>) -> std::io::Result<Option<Body>> {
        let mut spool = SpoolFile::create(&self.folder).await?;
        spool.append(&self.first).await?;
        while let Some(piece) = incoming.recv().await {
            let bytes = match piece {
                Piece::Bytes(bytes) => bytes,
                Piece::End => return Ok(Some(spool.finish().await?)),
            };
            spool.append(&bytes).await?;
            // A full queue ends the session elsewhere; the file is not wanted then.
            let _ = pass_on(
                &self.ledger,
                &self.outgoing,
                self.header.stream,
                bytes.len() as u64,
            );
        }
        Ok(None)
    }
}
