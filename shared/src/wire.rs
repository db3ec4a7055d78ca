//! The wire `towline.v1`: what the relay and a client say to each other over one WebSocket.
//!
//! This page is the specification; a client can be written from it alone.
//!
//! # Connecting
//!
//! `GET /v1/connect` upgraded to a WebSocket (RFC 6455) with `Authorization: Bearer twl_…` and the
//! subprotocol `towline.v1`. A token without the scope `listen` is refused with 401 or 403 before the upgrade.
//!
//! # Frames
//!
//! Every message is binary and is exactly one frame, at most [`MAX_FRAME_BYTES`] long:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | kind, a number of the tables below |
//! | 4 | length of the header, big-endian |
//! | header | a JSON object; fields that a reader does not know are ignored |
//! | rest | payload: raw bytes whose lengths stand in the header |
//!
//! | client to relay | kind | payload | |
//! |---|---|---|---|
//! | [`Hello`] | 1 | – | first frame, once; the relay waits 10 s for it |
//! | [`Report`] (`outcome`) | 2 | delivered head, reply head, reply body | one attempt and what came of it |
//! | [`Credit`] | 5 | – | more bytes may be sent on a stream, or (stream 0) on the connection |
//! | [`Reset`] | 6 | – | the rest of a stream's body is not wanted |
//!
//! | relay to client | kind | payload | |
//! |---|---|---|---|
//! | [`Welcome`] | 129 | – | answers `hello` |
//! | [`EventFrame`] (`event`) | 130 | head, first part of the body | one delivery to make |
//! | [`Data`] | 132 | body bytes, at most [`INLINE_BODY_BYTES`] | the rest of a body, in order |
//! | [`Reset`] | 134 | – | the rest of a stream's body cannot be read |
//! | [`Stored`] | 135 | – | an outcome is durable; the client may forget the attempt |
//! | [`Gap`] | 136 | – | events that the relay no longer has |
//! | [`Notice`] | 137 | – | a sentence for the person at the terminal |
//! | [`Goodbye`] | 138 | – | last frame; says why, and when to come back |
//! | [`Filtered`] | 139 | – | events that the filter left out are settled; only to a client that gave one |
//!
//! Kinds 3 (`settle`), 4 (`data` upwards), 7 (`canary`), 131 (`request`) and 133 (`credit` downwards) are
//! kept for live pass-through. A frame of an unknown kind, or one that cannot be read, ends the session: the
//! relay sends `goodbye` with [`Reason::Protocol`] and closes with code 1002; a client closes with 1002 and
//! connects again.
//!
//! # Flow
//!
//! At most [`Hello::window`] deliveries are without a settling outcome at a time; the relay sends the next
//! `event` when one settles. Events come in `seq` order. After a reconnect, events without a durable
//! settling outcome come again; a client answers them from its journal instead of calling the app twice.
//! An outcome with `settled` ends its delivery; one without it only records the attempt, and the client
//! goes on trying. The client keeps an attempt in its journal until `stored` names it, and reports
//! what is in its journal right after `welcome`: the relay answers `stored` also for what it had before.
//!
//! A body longer than what the `event` frame carries follows in `data` frames with the same `stream`
//! number, in order; `end` marks the last. Data bytes (not inline bytes) use credit: per stream
//! [`STREAM_CREDIT`](crate::credit::STREAM_CREDIT) and per connection
//! [`CONNECTION_CREDIT`](crate::credit::CONNECTION_CREDIT) at first, more by `credit` as the
//! receiver passes bytes on. Frames of different streams may be mixed.
//!
//! Both sides ping every 20 s and take the other for gone after 45 s of silence.
//!
//! # Filters
//!
//! A client that gives [`Hello::filter`], an expression of [`crate::filter`], gets only the events that it means. The
//! others are settled for its consumer as they come to the head of the line, without an attempt: the cursor moves
//! past them, durably, and they never come again. `filtered` counts them. The filter belongs to the session: one that
//! comes back with another filter, or with none, goes on at the cursor with that, and what was left out before stays
//! out. Replays come whatever the filter says, since somebody asked for them. [`Welcome::backlog`] does not know
//! filters: so many events wait at most. A filter that cannot be read ends the session with [`Reason::Filter`]; a
//! relay that does not know filters says nothing in [`Welcome::filter`], and would send everything.

mod codec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use codec::{FromClient, FromRelay, WireError};

use crate::event::{EventInfo, INLINE_BODY_BYTES};
use crate::head::MAX_HEAD_BYTES;
use crate::id::{ConsumerName, EndpointName, EventId, Seq, SessionId};
use crate::outcome::{Attempt, Delivery, KEPT_REPLY_BYTES};
use crate::time::Timestamp;
use crate::verdict::Finding;

/// The WebSocket subprotocol (RFC 6455 §1.9).
pub const SUBPROTOCOL: &str = "towline.v1";

/// The longest JSON header of a frame; a thousand changes of an attempt fit.
pub const MAX_HEADER_BYTES: usize = 128 * 1024;

/// The longest frame: header, two heads and a kept reply.
pub const MAX_FRAME_BYTES: usize = 5 + MAX_HEADER_BYTES + 2 * MAX_HEAD_BYTES + KEPT_REPLY_BYTES;

/// The most body bytes in one `data` frame.
pub const MAX_DATA_BYTES: usize = INLINE_BODY_BYTES;

/// The most deliveries that a client may have in hand.
pub const MAX_WINDOW: u32 = 1024;

/// The client's first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Name and version of the client, such as `towline/0.1.0`.
    pub client: String,
    /// The endpoint to read.
    pub endpoint: EndpointName,
    /// The consumer to read it as.
    pub consumer: ConsumerName,
    /// Where a consumer that the relay does not know yet starts; a known one resumes.
    pub start: Start,
    /// How many deliveries may be in hand, 1 to [`MAX_WINDOW`].
    pub window: u32,
    /// Which events it wants, as an expression of [`crate::filter`]; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// Where a new consumer begins to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the next event that arrives.
    Now,
    /// With the oldest event that is kept.
    Beginning,
    /// With the newest event that is kept.
    Last,
    /// With the first event received at this time or later.
    Time(Timestamp),
    /// With this event.
    Event(EventId),
}

/// The relay's answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Name and version of the relay.
    pub relay: String,
    /// The session's identifier.
    pub session: SessionId,
    /// The highest place below which everything is settled for this consumer.
    pub cursor: Seq,
    /// How many deliverable events wait behind the cursor.
    pub backlog: u64,
    /// Whether the consumer did not exist before.
    pub is_new: bool,
    /// For a new consumer: how many kept events lie before its start.
    pub earlier: u64,
    /// The endpoint's public URL.
    pub public_url: String,
    /// The endpoint's provider, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The names of the endpoint's secrets.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// The filter that the relay applies, as `hello` gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// One delivery to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFrame {
    /// The JSON header.
    pub header: EventHeader,
    /// The request head as received.
    pub head: Bytes,
    /// The first part of the body; all of it when it is at most [`INLINE_BODY_BYTES`] long.
    pub body: Bytes,
}

/// The header of an `event` frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHeader {
    /// The number of the stream that carries the rest of the body; never used twice in a session.
    pub stream: u32,
    /// Which delivery of the consumer this is.
    pub delivery: Delivery,
    /// How many attempts of this delivery the relay has on record.
    pub attempts: u32,
    /// The event's facts.
    pub event: EventInfo,
    /// Length of the head in the payload.
    pub head_length: u32,
}

/// More of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The stream it belongs to.
    pub stream: u32,
    /// Whether the body ends here.
    pub end: bool,
    /// The bytes.
    pub bytes: Bytes,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The attempt's facts.
    pub attempt: Attempt,
    /// The head written to the target; empty when none was.
    pub sent_head: Bytes,
    /// The reply's head as received; empty when there was none.
    pub reply_head: Bytes,
    /// The reply's body up to [`KEPT_REPLY_BYTES`], transfer coding removed.
    pub reply_body: Bytes,
}

/// Leave to send more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The stream, or 0 for the connection.
    pub stream: u32,
    /// How many more.
    pub bytes: u64,
}

/// The end of a stream before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The stream.
    pub stream: u32,
    /// Why.
    pub reason: String,
}

/// An outcome is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The delivery.
    pub delivery: Delivery,
    /// The attempt's number.
    pub attempt: u32,
}

/// Events that the relay no longer has; this consumer will not see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first missing place.
    pub from: Seq,
    /// The last missing place.
    pub to: Seq,
}

/// Events that the filter left out are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filtered {
    /// How many it were in this session so far.
    pub count: u64,
    /// The place of the last one.
    pub through: Seq,
}

/// A sentence for the person at the terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The sentence.
    pub message: String,
    /// The event that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// What the relay found when the app turned that event away and it checked the delivered bytes again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// The relay's last frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why the session ends.
    pub reason: Reason,
    /// The same in words, with the part at fault; for a filter, the lines below point at it.
    pub detail: String,
    /// When to come back, in milliseconds; absent when coming back as before will not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_after_millis: Option<u64>,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The relay stops or restarts.
    ShuttingDown,
    /// A newer session of the same consumer has taken over.
    TakenOver,
    /// Somebody has moved the consumer to another place of its endpoint; it goes on from there.
    Reset,
    /// There is no such endpoint, or it was deleted.
    NoEndpoint,
    /// The token was revoked.
    Unauthorised,
    /// A frame was malformed, too long, or not expected.
    Protocol,
    /// The filter of `hello` cannot be read.
    Filter,
    /// The relay's store cannot take more at the moment.
    Overloaded,
}
