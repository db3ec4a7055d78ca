//! The loop of an open session: sends what is due, takes what comes. The rules stand in `line`, `window`
//! and `streams`.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{MissedTickBehavior, interval, timeout};
use towline_shared::time::Timestamp;
use towline_shared::wire::{
    Credit, Data, EventFrame, EventHeader, FromClient, FromRelay, Notice, Report, Reset, Stored,
};

use super::ending::Ending;
use super::jobs::{self, Done, Job, LongBody, Recorded};
use super::line::{Line, Next, Sending};
use super::opening::Opened;
use super::registry::Place;
use super::socket::{Incoming, Socket};
use super::streams::{Piece, Streams};
use crate::fanout::Subscription;
use crate::limits::SessionLimits;
use crate::relay::Relay;
use crate::store::{Body, ConsumerId, EndpointId, StoreError, StoredEvent};

/// How often a client is told at most of what its filter leaves out; the next tick tells the rest.
const FILTERED_EVERY: Duration = Duration::from_secs(1);

/// An open session.
pub(super) struct Actor<T> {
    relay: Arc<Relay>,
    socket: Socket<T>,
    place: Place,
    token_expires_at: Option<Timestamp>,
    endpoint: EndpointId,
    consumer: ConsumerId,
    bell: Subscription,
    line: Line,
    streams: Streams<LongBody>,
    /// The number of the newest stream.
    stream: u32,
    is_reading_piece: bool,
    jobs: FuturesUnordered<Job>,
    /// Outcomes on their way into the store, and their bytes.
    outcomes: usize,
    outcome_bytes: usize,
    /// Durable outcomes that the client was not told of; bounded like `outcomes`, see [`Actor::may_read`].
    stored: VecDeque<Stored>,
    pinged_at: Instant,
    /// When the client was told last of what the filter left out.
    told_filtered_at: Option<Instant>,
}

/// What woke the loop.
enum Wake {
    Tick,
    Done(Done),
    Incoming(Incoming),
    Rung,
    /// The others had their turn.
    Again,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Actor<T> {
    /// A session that has sent its welcome.
    pub(super) fn new(
        relay: Arc<Relay>,
        socket: Socket<T>,
        place: Place,
        token_expires_at: Option<Timestamp>,
        opened: Opened,
    ) -> Self {
        let page_bytes = relay.sessions.limits.page_bytes;
        Self {
            relay,
            socket,
            place,
            token_expires_at,
            endpoint: opened.endpoint,
            consumer: opened.consumer.id,
            bell: opened.bell,
            line: Line::open(&opened.consumer, opened.window, opened.filter, page_bytes),
            streams: Streams::new(),
            stream: 0,
            is_reading_piece: false,
            jobs: FuturesUnordered::new(),
            outcomes: 0,
            outcome_bytes: 0,
            stored: VecDeque::new(),
            pinged_at: Instant::now(),
            told_filtered_at: None,
        }
    }

    /// Works until something ends the session.
    pub(super) async fn run(&mut self) -> Ending {
        let mut ticks = interval(self.limits().ping_every / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_more = self.send_what_is_due();
            let may_read = self.may_read();
            // Every arm is cancel-safe: what it waits for stays in its own struct.
            let wake = tokio::select! {
                biased;
                told = self.place.told() => return told,
                _ = ticks.tick() => Wake::Tick,
                Some(done) = self.jobs.next() => Wake::Done(done),
                incoming = self.socket.incoming(may_read) => Wake::Incoming(incoming),
                () = self.bell.rung() => Wake::Rung,
                () = tokio::task::yield_now(), if has_more => Wake::Again,
            };
            if let Err(ending) = self.handle(wake) {
                return ending;
            }
        }
    }

    /// Waits for outcomes on their way into the store, says goodbye, and gives the consumer free.
    pub(super) async fn finish(mut self: Box<Self>, ending: &Ending) {
        let limits = Arc::clone(&self.relay.sessions.limits);
        let _ = timeout(limits.last_outcomes, self.finish_jobs()).await;
        if let Some(goodbye) = ending.goodbye() {
            while let Some(stored) = self.stored.pop_front() {
                self.socket.push(&FromRelay::Stored(stored));
            }
            if let Some(filtered) = self.line.wanted.untold() {
                self.socket.push(&FromRelay::Filtered(filtered));
            }
            self.socket.farewell(goodbye, limits.farewell).await;
        }
        self.place.is_quiet();
        if ending.goodbye().is_some() {
            self.socket.linger(limits.farewell).await;
        }
    }

    async fn finish_jobs(&mut self) {
        while let Some(done) = self.jobs.next().await {
            match done {
                // A failure is not told: the client reports the attempt again.
                Done::Recorded(recorded) => drop(self.recorded(recorded)),
                Done::Skipped(Ok(())) => self.line.skipped(),
                _ => {}
            }
        }
    }

    fn limits(&self) -> &SessionLimits {
        &self.relay.sessions.limits
    }

    /// Whether more outcomes may come. Not while too many are on their way into the store, or too many
    /// answers wait for a client that reads nothing.
    fn may_read(&self) -> bool {
        let limits = self.limits();
        self.outcome_bytes < limits.outcome_bytes
            && self.outcomes + self.stored.len() < limits.outcomes
    }

    /// Sends what can be sent. True when the line passed only what is not to be sent: then there may be more, after
    /// the other sessions had their turn.
    fn send_what_is_due(&mut self) -> bool {
        loop {
            self.line.listen(&self.bell);
            self.start_jobs();
            if !self.socket.has_room() {
                return false;
            }
            if let Some(stored) = self.stored.pop_front() {
                self.socket.push(&FromRelay::Stored(stored));
                continue;
            }
            let reached = self.line.window.reached();
            match self.line.next() {
                Some(Next::Gap(gap)) => self.socket.push(&FromRelay::Gap(gap)),
                Some(Next::Delivery(sending)) => self.send(&sending),
                None => return self.line.window.reached() > reached,
            }
        }
    }

    fn start_jobs(&mut self) {
        let store = &self.relay.store;
        if let Some((after, limit)) = self.line.page_to_read(&self.bell) {
            let job = jobs::read_page(store.clone(), self.endpoint, after, limit);
            self.jobs.push(job);
        }
        if let Some(skip) = self.line.range_to_skip() {
            let job = jobs::skip(store.clone(), self.consumer, skip);
            self.jobs.push(job);
        }
        if let Some(judgement) = self.line.event_to_judge() {
            self.jobs.push(jobs::judge(judgement));
        }
        if let Some(limit) = self.line.replays_to_read() {
            let job = jobs::read_replays(store.clone(), self.consumer, limit);
            self.jobs.push(job);
        }
        if let Some(replay) = self.line.replay_event_to_read() {
            let job = jobs::read_replay_event(store.clone(), &replay);
            self.jobs.push(job);
        }
        // One piece at a time: the next is read while the socket still sends this one.
        if !self.is_reading_piece
            && self.socket.has_room()
            && let Some(piece) = self.streams.next_piece()
        {
            self.is_reading_piece = true;
            self.jobs.push(jobs::read_piece(piece));
        }
    }

    fn send(&mut self, sending: &Sending) {
        // A session would need years for four billion deliveries.
        self.stream = self.stream.wrapping_add(1).max(1);
        let frame = event_frame(self.stream, sending);
        self.socket.push(&frame);
        if let Body::File(file) = &sending.event.body {
            let body = LongBody {
                file: file.clone(),
                delivery: sending.delivery,
                event: sending.event.info.id,
            };
            self.streams.open(self.stream, body, file.length());
        }
    }

    fn handle(&mut self, wake: Wake) -> Result<(), Ending> {
        match wake {
            Wake::Tick => self.tick(),
            Wake::Done(done) => self.done(done),
            Wake::Incoming(Incoming::Frame(frame)) => self.frame(&frame),
            Wake::Incoming(Incoming::Unusable(detail)) => {
                Err(Ending::protocol(detail).may_come_back())
            }
            Wake::Incoming(Incoming::Gone) => Err(Ending::Gone),
            Wake::Incoming(Incoming::Sign | Incoming::Room) | Wake::Rung | Wake::Again => Ok(()),
        }
    }

    fn tick(&mut self) -> Result<(), Ending> {
        let limits = Arc::clone(&self.relay.sessions.limits);
        let is_silent = self.socket.heard_at().elapsed() > limits.silence;
        let stalled = self.socket.stalled_since();
        if is_silent || stalled.is_some_and(|since| since.elapsed() > limits.write_stall) {
            return Err(Ending::Gone);
        }
        let now = Timestamp::from(SystemTime::now());
        if self.token_expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(Ending::token_expired());
        }
        if self.pinged_at.elapsed() >= limits.ping_every {
            self.pinged_at = Instant::now();
            self.socket.push_ping();
        }
        self.tell_filtered();
        Ok(())
    }

    /// Tells what the filter has left out, if that is news.
    fn tell_filtered(&mut self) {
        let is_recent = |at: Instant| at.elapsed() < FILTERED_EVERY;
        if self.told_filtered_at.is_some_and(is_recent) {
            return;
        }
        if let Some(filtered) = self.line.wanted.untold() {
            self.told_filtered_at = Some(Instant::now());
            self.socket.push(&FromRelay::Filtered(filtered));
        }
    }

    fn frame(&mut self, frame: &Bytes) -> Result<(), Ending> {
        match FromClient::decode(frame)
            .map_err(|error| Ending::unreadable(&error).may_come_back())?
        {
            FromClient::Hello(_) => Err(Ending::protocol("`hello` came twice")),
            FromClient::Outcome(report) => {
                self.reported(*report, frame.len());
                Ok(())
            }
            FromClient::Credit(Credit { stream, bytes }) => {
                let granted = self.streams.grant(stream, bytes);
                granted.map_err(|error| {
                    Ending::protocol(format!("`credit` of stream {stream}: {error}"))
                })
            }
            FromClient::Reset(reset) => {
                self.streams.close(reset.stream);
                Ok(())
            }
        }
    }

    fn reported(&mut self, report: Report, bytes: usize) {
        let delivery = report.attempt.delivery;
        let is_settling = report.attempt.settled.is_some();
        self.line
            .window
            .reported(delivery, report.attempt.number, is_settling);
        if is_settling && !self.streams.is_empty() {
            self.streams.close_where(|body| body.delivery == delivery);
        }
        self.outcomes += 1;
        self.outcome_bytes += bytes;
        let relay = Arc::clone(&self.relay);
        self.jobs
            .push(jobs::record(relay, self.consumer, report, bytes));
    }

    fn done(&mut self, done: Done) -> Result<(), Ending> {
        match done {
            Done::Recorded(recorded) => self.recorded(recorded),
            Done::Skipped(result) => {
                result.map_err(|error| Ending::store(&error))?;
                self.line.skipped();
                self.tell_filtered();
                Ok(())
            }
            Done::Page(result) => {
                let events = result.map_err(|error| Ending::store(&error))?;
                self.line.page_read(events);
                Ok(())
            }
            Done::Judged(seq, is_wanted) => {
                self.line.wanted.judged(seq, is_wanted);
                Ok(())
            }
            Done::Replays(result) => {
                let replays = result.map_err(|error| Ending::store(&error))?;
                self.line.window.replays_read(replays);
                Ok(())
            }
            Done::ReplayEvent(result) => {
                let event = result.map_err(|error| Ending::store(&error))?;
                self.line.replay_event_read(event);
                Ok(())
            }
            Done::Piece(piece, read) => {
                self.is_reading_piece = false;
                self.piece_read(piece, read);
                Ok(())
            }
            Done::BodyLost(stream, body, found) => self.body_lost(stream, &body, found),
        }
    }

    fn recorded(&mut self, recorded: Recorded) -> Result<(), Ending> {
        self.outcomes -= 1;
        self.outcome_bytes -= recorded.bytes;
        match recorded.result {
            Ok(()) => {}
            // The event was removed, or is none of this consumer's: there is nothing to keep it with,
            // and a client that is not answered would report it for ever.
            Err(StoreError::Missing { what, .. }) if what != "consumer" => {}
            Err(error) => return Err(Ending::store(&error)),
        }
        if recorded.is_settling {
            self.line.window.recorded(recorded.delivery);
        }
        if let Some(first) = recorded.findings.first() {
            self.socket.push(&FromRelay::Notice(Notice {
                message: format!("{}: {}", recorded.event, first.sentence),
                event: Some(recorded.event),
                findings: recorded.findings,
            }));
        }
        self.stored.push_back(Stored {
            delivery: recorded.delivery,
            attempt: recorded.attempt,
        });
        Ok(())
    }

    fn piece_read(&mut self, piece: Piece<LongBody>, read: io::Result<Bytes>) {
        let stream = piece.stream;
        match read {
            Ok(bytes) => self.socket.push(&FromRelay::Data(Data {
                stream,
                end: piece.is_last,
                bytes,
            })),
            Err(error) => {
                tracing::warn!(event.id = %piece.body.event, %error, "body cannot be read");
                self.streams.close(stream);
                // The client settles a delivery that is reset: it must not hear of it before it is known that
                // the event is gone.
                let store = self.relay.store.clone();
                self.jobs
                    .push(jobs::look_for_event(store, stream, piece.body));
            }
        }
    }

    fn body_lost(
        &mut self,
        stream: u32,
        body: &LongBody,
        found: Result<bool, StoreError>,
    ) -> Result<(), Ending> {
        if found.map_err(|error| Ending::store(&error))? {
            return Err(Ending::overloaded(
                "the relay cannot read a body at the moment",
            ));
        }
        let reason = "the event was removed while its body was sent".to_owned();
        self.socket
            .push(&FromRelay::Reset(Reset { stream, reason }));
        self.line.lost(body.delivery, body.event);
        Ok(())
    }
}

fn event_frame(stream: u32, sending: &Sending) -> FromRelay {
    let StoredEvent {
        info, head, body, ..
    } = &*sending.event;
    let inline = match body {
        Body::Inline(bytes) => bytes.clone(),
        Body::File(_) => Bytes::new(),
    };
    FromRelay::Event(Box::new(EventFrame {
        header: EventHeader {
            stream,
            delivery: sending.delivery,
            attempts: sending.attempts,
            event: info.clone(),
            head_length: u32::try_from(head.len()).unwrap_or(u32::MAX),
        },
        head: head.clone(),
        body: inline,
    }))
}
