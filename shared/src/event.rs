//! One captured request as everybody sees it: who sent it, when, what the check said, how long it is.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{EndpointName, EventId, Seq};
use crate::time::Timestamp;
use crate::verdict::Verdict;

/// Bodies up to this size travel and are stored with their head; longer ones are streamed.
pub const INLINE_BODY_BYTES: usize = 64 * 1024;

/// The facts of an event, without its head and body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInfo {
    /// The event's identifier.
    pub id: EventId,
    /// Its place in its endpoint.
    pub seq: Seq,
    /// The endpoint that took it.
    pub endpoint: EndpointName,
    /// When the relay had read it.
    pub received_at: Timestamp,
    /// The address that sent it.
    pub remote: IpAddr,
    /// Whether it came over TLS to the relay itself.
    pub tls: bool,
    /// What it is to the relay: a webhook or a provider's challenge.
    pub kind: EventKind,
    /// What the check of its signature said.
    pub verdict: Verdict,
    /// Whether consumers get it.
    pub is_deliverable: bool,
    /// Where its head's bytes come from.
    pub head_source: HeadSource,
    /// The body's length in bytes.
    pub body_length: u64,
    /// The provider's own id of the delivery, such as GitHub's `X-GitHub-Delivery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// The provider's name of what happened, such as `invoice.paid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// The first event with the same signed content, when this one is a repeat of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<EventId>,
    /// Why consumers get it although it is a repeat; none for one that is held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_repeat: Option<DeliveredRepeat>,
    /// The status with which the relay itself answered a provider's challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<u16>,
}

impl EventInfo {
    /// Whether it is a challenge that the relay answered as the provider wants it. One that it refused has a failed
    /// verdict with the reason; of an answered one the verdict says only whether it was signed, which few are.
    pub fn is_answered_challenge(&self) -> bool {
        let is_good = |status: u16| status < 400;
        self.kind == EventKind::Handshake && self.answered.is_none_or(is_good)
    }
}

/// Why consumers get a repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveredRepeat {
    /// Its delivery id, type or path is another than those that have come with this content.
    OtherNames,
    /// The provider's notifications are equal by nature.
    EqualBodies,
    /// The endpoint takes repeats.
    AsEndpointSays,
}

/// What an event is to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A request for the endpoint's consumers.
    Webhook,
    /// A provider's challenge, which the relay answered itself.
    Handshake,
}

/// Where the bytes of a head come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadSource {
    /// The very bytes that came over the socket.
    Recorded,
    /// Rebuilt from the HTTP library's view: names in lower case, order as far as it shows.
    Normalised,
}
