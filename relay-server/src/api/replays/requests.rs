//! The requests of replays that are not exact: what was asked for, within its bounds, and one request for each event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use data_encoding::BASE64;
use towline_shared::api::{AskReplays, DeliveryIdChoice};
use towline_shared::event::INLINE_BODY_BYTES;
use towline_shared::id::EventId;
use towline_shared::time::Timestamp;

use super::super::events::find_event;
use super::super::refusal::Refusal;
use crate::auth::random;
use crate::relay::Relay;
use crate::resign::{self, ResignError};
use crate::store::{Body, ReplayRequest, Store};

/// The longest edited body; a person edits kilobytes.
const MOST_EDITED_BYTES: usize = 10 * 1024 * 1024;

/// Events that are signed again at a time: each costs a hash of its whole body.
const MOST_SIGNED: usize = 100;

/// What the replays of one request are to have in place of what was captured.
pub(super) struct Requests {
    resign: Option<DeliveryIdChoice>,
    body: Option<Bytes>,
}

impl Requests {
    /// Reads it out of the request.
    pub(super) fn of(asked: &AskReplays) -> Result<Self, Refusal> {
        let number = asked.events.len();
        if asked.resign.is_some() && number > MOST_SIGNED {
            let problem =
                format!("{number} events, and at most {MOST_SIGNED} are signed again at a time");
            return Err(Refusal::invalid("events", problem));
        }
        let body = asked.body_base64.as_ref().map(|text| body_of(text, number));
        Ok(Self {
            resign: asked.resign.map(|resign| resign.delivery_id),
            body: body.transpose()?,
        })
    }

    /// Makes them; none when the replays are exact.
    pub(super) async fn make(
        self,
        relay: &Relay,
        events: &[EventId],
    ) -> Result<HashMap<EventId, ReplayRequest>, Refusal> {
        let mut made = HashMap::new();
        if self.resign.is_none() && self.body.is_none() {
            return Ok(made);
        }
        let body = match &self.body {
            Some(bytes) => Some(kept(bytes.clone(), &relay.store).await?),
            None => None,
        };
        for &event in events {
            let request = self.request(relay, event, body.clone()).await?;
            made.insert(event, request);
        }
        Ok(made)
    }

    async fn request(
        &self,
        relay: &Relay,
        event: EventId,
        body: Option<Body>,
    ) -> Result<ReplayRequest, Refusal> {
        let captured = find_event(relay, event).await?;
        let live = relay.endpoints.by_id(captured.endpoint);
        let live = live.ok_or_else(|| Refusal::missing("endpoint", &captured.info.endpoint))?;
        let wish = resign::Wish {
            resign: self.resign,
            body: self.body.clone(),
            now: Timestamp::from(SystemTime::now()),
            seed: random(),
        };
        let making = resign::request_of(Arc::clone(&live), &relay.public_url, captured, wish);
        let made = making.await.map_err(|error| refused(event, &error))?;
        if self.resign.is_some() {
            let endpoint = &live.endpoint.name;
            tracing::info!(event.id = %event, %endpoint, "event signed again");
        }
        Ok(ReplayRequest {
            head: made.head,
            body,
            changes: made.changes,
            verdict: made.verdict,
            delivery_id: made.delivery_id,
        })
    }
}

fn body_of(text: &str, events: usize) -> Result<Bytes, Refusal> {
    if events != 1 {
        let problem = format!("{events} events, and a body is edited for one");
        return Err(Refusal::invalid("body_base64", problem));
    }
    let bytes = BASE64.decode(text.as_bytes());
    let bytes = bytes.map_err(|_| Refusal::invalid("body_base64", "is not base64"))?;
    if bytes.len() > MOST_EDITED_BYTES {
        let length = bytes.len();
        let problem = format!("{length} bytes, and at most {MOST_EDITED_BYTES} are taken");
        return Err(Refusal::invalid("body_base64", problem));
    }
    Ok(bytes.into())
}

/// The body as the store keeps it: a long one in a file, which goes again when no replay comes to name it.
async fn kept(bytes: Bytes, store: &Store) -> Result<Body, Refusal> {
    if bytes.len() <= INLINE_BODY_BYTES {
        return Ok(Body::Inline(bytes));
    }
    let mut writer = store.new_body().await?;
    writer.write(bytes).await?;
    Ok(Body::File(writer.finish().await?))
}

fn refused(event: EventId, error: &ResignError) -> Refusal {
    let code = match error {
        ResignError::NoScheme | ResignError::BrokenScheme(_) => "no_scheme",
        ResignError::NotGenuine(_) | ResignError::NeverChecked | ResignError::Handshake => {
            "not_genuine"
        }
        ResignError::TooLong => "body_too_long_to_sign",
        ResignError::Asymmetric(_) => "asymmetric_scheme",
        ResignError::DeliveryId(_) => "delivery_id_elsewhere",
        ResignError::Unusable(_) | ResignError::Broken => "cannot_sign",
    };
    Refusal::Conflict {
        code,
        title: "the event cannot be replayed like this",
        detail: format!("{event}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_one_event_within_its_limit_is_taken() {
        let longest = BASE64.encode(&vec![b'x'; MOST_EDITED_BYTES]);
        let longer = BASE64.encode(&vec![b'x'; MOST_EDITED_BYTES + 1]);

        assert_eq!(body_of("", 1).unwrap(), Bytes::new());
        assert_eq!(body_of(&longest, 1).unwrap().len(), MOST_EDITED_BYTES);
        assert!(body_of(&longer, 1).is_err());
        assert!(body_of("", 2).is_err());
        assert!(body_of("no base64!", 1).is_err());
    }

    #[test]
    fn a_hundred_events_are_signed_at_a_time_and_no_more() {
        let asked = |number: u8| AskReplays {
            events: (0..number)
                .map(|number| EventId::from_bytes([number; 16]))
                .collect(),
            resign: Some(Default::default()),
            ..AskReplays::default()
        };

        assert!(Requests::of(&asked(100)).is_ok());
        assert!(Requests::of(&asked(101)).is_err());
    }
}
