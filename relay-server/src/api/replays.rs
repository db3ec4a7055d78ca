//! `POST /v1/replays`: asks for kept events to be delivered again, as they came or with a request of their own.

mod requests;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use towline_shared::api::{AskReplays, ReplayView, Replays};
use towline_shared::id::{ConsumerName, EventId, ReplayId};
use towline_shared::time::Timestamp;

use super::access::{Allowed, Write};
use super::attempts::made_by;
use super::events::find_event;
use super::input::{Json, LongJson};
use super::refusal::Refusal;
use super::whole::whole;
use crate::auth::random;
use crate::relay::Relay;
use crate::store::{ConsumerId, ConsumerInfo, EndpointId, ReplayRequest};
use requests::Requests;

/// Events in one request.
const MOST_EVENTS: usize = 1000;

/// Replays of one request: events times their consumers.
const MOST_REPLAYS: usize = 10_000;

/// Replays that may wait for one consumer.
const MOST_PENDING: usize = 10_000;

/// Names of consumers in a problem.
const MOST_NAMES: usize = 12;

/// How many replays are on their way into the store at a time.
const AT_ONCE: usize = 64;

/// A replay to make.
#[derive(Clone)]
struct Wish {
    event: EventId,
    endpoint: EndpointId,
    /// Who gets it; `None` hands it out to the caller.
    consumer: Option<ConsumerInfo>,
}

/// Nothing is asked for unless all of it can be.
pub(super) async fn ask(
    Allowed { token, .. }: Allowed<Write>,
    State(relay): State<Arc<Relay>>,
    LongJson(asked): LongJson<AskReplays>,
) -> Result<Response, Refusal> {
    let number = asked.events.len();
    if !(1..=MOST_EVENTS).contains(&number) {
        let problem = format!("{number} events, expected 1 to {MOST_EVENTS}");
        return Err(Refusal::invalid("events", problem));
    }
    if asked.hand_out && asked.consumer.is_some() {
        let problem = "is for the caller alone: it cannot be handed out and be for a consumer";
        return Err(Refusal::invalid("hand_out", problem));
    }
    let requests = Requests::of(&asked)?;
    let wishes = wishes(&relay, &asked).await?;
    let requests = requests.make(&relay, &asked.events).await?;
    let caller = made_by(&token.name);
    if asked.dry_run {
        let views = wishes.iter().map(|wish| {
            let request = requests.get(&wish.event);
            let view = view(
                &relay,
                wish,
                ReplayId::from_bytes([0; 16]),
                request,
                &caller,
            );
            ReplayView {
                head_base64: None,
                ..view
            }
        });
        let replays = views.collect();
        return Ok(Json(Replays { replays }).into_response());
    }
    let adding = add_all(Arc::clone(&relay), wishes, requests, caller);
    let replays = whole(&relay, adding).await?;
    let signed = asked.resign.is_some();
    let edited = asked.body_base64.is_some();
    let token = token.name;
    tracing::info!(%token, replays = replays.len(), signed, edited, "replays asked for");
    Ok(Json(Replays { replays }).created())
}

async fn add_all(
    relay: Arc<Relay>,
    wishes: Vec<Wish>,
    requests: HashMap<EventId, ReplayRequest>,
    caller: ConsumerName,
) -> Result<Vec<ReplayView>, Refusal> {
    let endpoints: HashSet<_> = wishes.iter().map(|wish| wish.endpoint).collect();
    let adding = wishes.into_iter().map(|wish| {
        let request = requests.get(&wish.event).cloned();
        add(Arc::clone(&relay), wish, request, caller.clone())
    });
    let adding: Vec<_> = adding.collect();
    let replays: Vec<_> = stream::iter(adding).buffered(AT_ONCE).try_collect().await?;
    for endpoint in endpoints {
        relay.fanout.ring(endpoint);
    }
    Ok(replays)
}

async fn wishes(relay: &Relay, asked: &AskReplays) -> Result<Vec<Wish>, Refusal> {
    let mut events = Vec::with_capacity(asked.events.len());
    for &event in &asked.events {
        events.push((event, find_event(relay, event).await?.endpoint));
    }
    if asked.hand_out {
        let wish = |(event, endpoint)| Wish {
            event,
            endpoint,
            consumer: None,
        };
        return Ok(events.into_iter().map(wish).collect());
    }
    let mut consumers: HashMap<EndpointId, Vec<ConsumerInfo>> = HashMap::new();
    let mut wishes = Vec::new();
    for (event, endpoint) in events {
        let meant = match consumers.entry(endpoint) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(meant(relay, endpoint, asked.consumer.as_ref()).await?)
            }
        };
        wishes.extend(meant.iter().map(|consumer| Wish {
            event,
            endpoint,
            consumer: Some(consumer.clone()),
        }));
        if wishes.len() > MOST_REPLAYS {
            let problem = format!("more than {MOST_REPLAYS} replays, with all consumers");
            return Err(Refusal::invalid("events", problem));
        }
    }
    check_room(relay, &wishes).await?;
    Ok(wishes)
}

/// Requests at the same time may each find room that is there for one of them only.
async fn check_room(relay: &Relay, wishes: &[Wish]) -> Result<(), Refusal> {
    let mut asked: HashMap<ConsumerId, usize> = HashMap::new();
    for consumer in wishes.iter().filter_map(|wish| wish.consumer.as_ref()) {
        *asked.entry(consumer.id).or_default() += 1;
    }
    for (consumer, asked) in asked {
        let pending = relay.store.count_pending_replays(consumer).await?;
        if pending + asked > MOST_PENDING {
            return Err(Refusal::Conflict {
                code: "too_many_replays",
                title: "too many replays wait for a consumer",
                detail: format!(
                    "{pending} replays wait for a consumer and {asked} would be added, of {MOST_PENDING} at most"
                ),
            });
        }
    }
    Ok(())
}

/// The consumers of an endpoint that get its replays: one by name, which need not be there, or all that are
/// connected. One that is away for good must not gather replays that nobody asked for by name.
async fn meant(
    relay: &Relay,
    endpoint: EndpointId,
    name: Option<&ConsumerName>,
) -> Result<Vec<ConsumerInfo>, Refusal> {
    let mut meant = relay.store.consumers(endpoint).await?;
    if let Some(name) = name {
        meant.retain(|consumer| consumer.name == *name);
        if meant.is_empty() {
            return Err(Refusal::missing("consumer", name));
        }
        return Ok(meant);
    }
    if meant.is_empty() {
        let problem = "an event's endpoint has no consumer that could get it";
        return Err(Refusal::invalid("events", problem));
    }
    let away = names(&meant);
    meant.retain(|consumer| relay.sessions.is_connected(consumer.id));
    if meant.is_empty() {
        return Err(Refusal::Conflict {
            code: "no_consumer_connected",
            title: "no consumer is connected",
            detail: format!(
                "nobody listens at the moment; name one in `consumer`, which gets the replays when it is back: {away}"
            ),
        });
    }
    Ok(meant)
}

/// The first few names, as a person reads them.
fn names(consumers: &[ConsumerInfo]) -> String {
    let shown = consumers.iter().take(MOST_NAMES);
    let mut names: Vec<_> = shown.map(|it| format!("`{}`", it.name)).collect();
    if consumers.len() > MOST_NAMES {
        names.push(format!("and {} more", consumers.len() - MOST_NAMES));
    }
    names.join(", ")
}

async fn add(
    relay: Arc<Relay>,
    wish: Wish,
    request: Option<ReplayRequest>,
    caller: ConsumerName,
) -> Result<ReplayView, Refusal> {
    let now = Timestamp::from(SystemTime::now());
    let id = ReplayId::new(now, random());
    let view = view(&relay, &wish, id, request.as_ref(), &caller);
    let consumer = wish.consumer.map(|consumer| consumer.id);
    let added = relay
        .store
        .add_replay(id, wish.event, consumer, now, request);
    added.await?;
    Ok(view)
}

fn view(
    relay: &Relay,
    wish: &Wish,
    id: ReplayId,
    request: Option<&ReplayRequest>,
    caller: &ConsumerName,
) -> ReplayView {
    let consumer = wish.consumer.as_ref();
    let is_connected = |consumer: &ConsumerInfo| relay.sessions.is_connected(consumer.id);
    let head = |request: &ReplayRequest| BASE64.encode(request.head.as_bytes());
    ReplayView {
        id,
        event: wish.event,
        consumer: consumer.map_or_else(|| caller.clone(), |consumer| consumer.name.clone()),
        is_connected: consumer.is_none_or(is_connected),
        changes: request.map_or_else(Vec::new, |request| request.changes.clone()),
        verdict: request.map(|request| request.verdict.clone()),
        head_base64: request.filter(|_| consumer.is_none()).map(head),
    }
}
