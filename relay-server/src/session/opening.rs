//! The first exchange of a session: `hello`, the take-over of the consumer, `welcome`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use towline_shared::filter::Filter;
use towline_shared::id::SessionId;
use towline_shared::time::Timestamp;
use towline_shared::wire::{FromClient, FromRelay, Hello, MAX_WINDOW, Welcome};

use super::ending::Ending;
use super::registry::{Place, SessionInfo};
use super::socket::{Incoming, Socket};
use crate::endpoints::LiveEndpoint;
use crate::fanout::Subscription;
use crate::relay::Relay;
use crate::store::{EndpointId, OpenedConsumer, StoreError, TokenInfo};

/// What a session works with after its opening.
pub(super) struct Opened {
    pub(super) endpoint: EndpointId,
    pub(super) consumer: OpenedConsumer,
    pub(super) bell: Subscription,
    pub(super) window: u32,
    pub(super) filter: Option<Arc<Filter>>,
}

/// Who asks for a session.
pub(super) struct Visitor {
    pub(super) token: TokenInfo,
    pub(super) remote: IpAddr,
}

/// The most characters of a client's name that are remembered.
const LONGEST_CLIENT_NAME: usize = 100;

/// Leads the opening; the welcome is written ahead when it returns.
pub(super) async fn open<T: AsyncRead + AsyncWrite + Unpin>(
    relay: &Arc<Relay>,
    socket: &mut Socket<T>,
    place: &mut Place,
    visitor: &Visitor,
) -> Result<Opened, Ending> {
    let hello = read_hello(relay, socket, place).await?;
    if !(1..=MAX_WINDOW).contains(&hello.window) {
        let window = hello.window;
        let detail = format!("`window` of `hello` is {window}, expected 1 to {MAX_WINDOW}");
        return Err(Ending::protocol(detail));
    }
    let filter = hello.filter.as_deref().map(Filter::parse);
    let filter = filter.transpose().map_err(|error| Ending::filter(&error))?;
    let no_endpoint = || Ending::no_endpoint(hello.endpoint.as_str());
    let live = relay
        .endpoints
        .by_name(&hello.endpoint)
        .ok_or_else(no_endpoint)?;
    let endpoint = live.endpoint.id;
    place.claim(endpoint, &hello.consumer).await;
    // Asked again, because a deletion before the claim could not see this session.
    let live = relay.endpoints.by_id(endpoint).ok_or_else(no_endpoint)?;
    // The bell comes before the consumer's state: what is committed in between rings.
    let bell = relay.fanout.subscribe(endpoint);
    let now = Timestamp::from(SystemTime::now());
    let opened = relay
        .store
        .open_consumer(endpoint, &hello.consumer, hello.start, now);
    let consumer = opened.await.map_err(|error| not_opened(&error))?;
    let filter_text = filter.as_ref().map_or("", Filter::as_str);
    if consumer.filter != filter_text {
        let noted = relay.store.set_filter(consumer.id, filter_text).await;
        noted.map_err(|error| Ending::store(&error))?;
    }
    let mut welcome = welcome(relay, &live, &consumer, now);
    welcome.filter = filter.as_ref().map(ToString::to_string);
    place.serves(
        consumer.id,
        SessionInfo {
            id: welcome.session,
            token: visitor.token.name.clone(),
            remote: visitor.remote,
            client: hello.client.chars().take(LONGEST_CLIENT_NAME).collect(),
            since: now,
        },
    );
    tracing::info!(
        session = %welcome.session,
        endpoint = %hello.endpoint,
        consumer = %hello.consumer,
        cursor = consumer.cursor.0,
        backlog = consumer.backlog,
        "session opened"
    );
    socket.push(&FromRelay::Welcome(welcome));
    Ok(Opened {
        endpoint,
        consumer,
        bell,
        window: hello.window,
        filter: filter.map(Arc::new),
    })
}

async fn read_hello<T: AsyncRead + AsyncWrite + Unpin>(
    relay: &Relay,
    socket: &mut Socket<T>,
    place: &Place,
) -> Result<Hello, Ending> {
    let limit = relay.sessions.limits.hello;
    let reading = async {
        tokio::select! {
            biased;
            told = place.told() => Err(told),
            hello = first_frame(socket) => hello,
        }
    };
    let too_late = || {
        let seconds = limit.as_secs();
        Err(Ending::protocol(format!("no `hello` within {seconds} s")))
    };
    timeout(limit, reading).await.unwrap_or_else(|_| too_late())
}

async fn first_frame<T: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Socket<T>,
) -> Result<Hello, Ending> {
    loop {
        match socket.incoming(true).await {
            Incoming::Frame(frame) => return hello(FromClient::decode(&frame)),
            Incoming::Sign | Incoming::Room => {}
            Incoming::Unusable(detail) => return Err(Ending::protocol(detail)),
            Incoming::Gone => return Err(Ending::Gone),
        }
    }
}

fn hello(frame: Result<FromClient, towline_shared::wire::WireError>) -> Result<Hello, Ending> {
    match frame {
        Ok(FromClient::Hello(hello)) => Ok(hello),
        Ok(_) => Err(Ending::protocol("the first frame must be `hello`")),
        Err(error) => Err(Ending::unreadable(&error)),
    }
}

fn not_opened(error: &StoreError) -> Ending {
    match error {
        // The start names an event of another endpoint, or one that is not kept.
        StoreError::Missing { what: "event", .. } => Ending::protocol(error.to_string()),
        _ => Ending::store(error),
    }
}

fn welcome(
    relay: &Relay,
    live: &LiveEndpoint,
    consumer: &OpenedConsumer,
    now: Timestamp,
) -> Welcome {
    let endpoint = &live.endpoint;
    let secrets = endpoint.secrets.iter();
    Welcome {
        relay: concat!("towline/", env!("CARGO_PKG_VERSION")).to_owned(),
        session: SessionId::new(now, crate::auth::random()),
        cursor: consumer.cursor,
        backlog: consumer.backlog,
        is_new: consumer.is_new,
        earlier: consumer.earlier,
        public_url: live.url(&relay.public_url),
        provider: endpoint.settings.provider.clone(),
        secrets: secrets.map(|secret| secret.name.to_string()).collect(),
        filter: None,
    }
}
