//! Streams over a relay whose events are kept with chosen ids.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::future::join_all;
use towline_shared::event::{EventKind, HeadSource};
use towline_shared::head::Head;
use towline_shared::verdict::Verdict;

use super::*;
use crate::config::Config;
use crate::endpoints::LiveEndpoint;
use crate::serve::{RunningRelay, start};
use crate::store::{Body, EndpointSettings, NewEndpoint, NewEvent};

struct Desk {
    running: RunningRelay,
    _folder: tempfile::TempDir,
}

impl Desk {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::with_data(folder.path().join("data"));
        config.listen.set_port(0);
        Self {
            running: start(config).await.unwrap(),
            _folder: folder,
        }
    }

    async fn endpoint(&self, name: &str) -> Arc<LiveEndpoint> {
        let new = NewEndpoint {
            name: name.parse().unwrap(),
            key: towline_shared::id::EndpointKey::new(crate::auth::random()),
            settings: EndpointSettings {
                max_body: 1000,
                ..EndpointSettings::default()
            },
            created_at: now(),
            secrets: Vec::new(),
        };
        let relay = self.running.relay();
        relay.endpoints.create(new).await.unwrap()
    }

    async fn keep(&self, endpoint: &LiveEndpoint, id: EventId) -> EventId {
        let event = NewEvent {
            endpoint: endpoint.endpoint.id,
            endpoint_name: endpoint.endpoint.name.clone(),
            id,
            received_at: now(),
            remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
            tls: false,
            kind: EventKind::Webhook,
            answered: None,
            verdict: Verdict::Unchecked,
            is_deliverable: true,
            head: Head::parse(&b"POST /in/k HTTP/1.1\r\n\r\n"[..]).unwrap(),
            head_source: HeadSource::Recorded,
            body: Body::Inline(Bytes::new()),
            delivery_id: None,
            event_type: None,
            remember: None,
        };
        let kept = self.running.relay().store.append(event).await;
        kept.unwrap().info.id
    }

    fn tail(&self, endpoint: Option<&LiveEndpoint>) -> Tail {
        let relay = Arc::clone(self.running.relay());
        let endpoint = endpoint.map(|live| live.endpoint.id);
        Tail::begin(relay, HeaderMap::new(), endpoint)
    }

    async fn resumed(&self, endpoint: Option<&LiveEndpoint>, last: EventId) -> Tail {
        let mut tail = self.tail(endpoint);
        tail.resume(last).await.unwrap();
        tail
    }
}

/// All events of these tests share their millisecond.
fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn id(random: u8) -> EventId {
    EventId::new(now(), [random; 10])
}

fn waiting(tail: &Tail) -> Vec<EventId> {
    tail.missed.iter().map(|(_, event)| event.info.id).collect()
}

#[tokio::test]
async fn events_of_one_millisecond_are_resumed_by_their_places() {
    let desk = Desk::open().await;
    let (orders, shop) = (desk.endpoint("orders").await, desk.endpoint("shop").await);
    let before = desk.keep(&orders, id(7)).await;
    let last = desk.keep(&orders, id(9)).await;
    let behind = desk.keep(&orders, id(1)).await;
    let elsewhere = desk.keep(&shop, id(2)).await;

    let of_endpoint = desk.resumed(Some(&orders), last).await;
    let of_all = desk.resumed(None, last).await;

    assert_eq!(waiting(&of_endpoint), [behind]);
    assert_eq!(waiting(&of_all), [behind, elsewhere]);
    assert!(!of_endpoint.is_gap && !of_all.is_gap);
    assert!(!waiting(&of_all).contains(&before));
}

#[tokio::test]
async fn a_live_event_that_was_read_from_the_store_is_not_shown_again() {
    let desk = Desk::open().await;
    let orders = desk.endpoint("orders").await;
    let last = desk.keep(&orders, id(9)).await;
    let mut tail = desk.tail(Some(&orders));
    let first = desk.keep(&orders, id(1)).await;

    tail.resume(last).await.unwrap();
    let second = desk.keep(&orders, id(0)).await;

    for expected in [first, second] {
        let piece = tail.next().await.unwrap();
        let piece = String::from_utf8(piece.to_vec()).unwrap();
        assert!(piece.starts_with(&format!("id: {expected}\n")), "{piece}");
    }
}

#[tokio::test]
async fn a_gap_is_told_when_more_was_missed_than_is_read_back() {
    let desk = Desk::open().await;
    let orders = desk.endpoint("orders").await;
    let last = desk.keep(&orders, id(255)).await;
    for batch in 0..u8::try_from(MOST_MISSED / 100).unwrap() {
        let ids = (0..100).map(|number| {
            let random = [0, 0, 0, 0, 0, 0, 0, 0, batch, number];
            EventId::new(now(), random)
        });
        join_all(ids.map(|id| desk.keep(&orders, id))).await;
    }

    let most = desk.resumed(Some(&orders), last).await;
    let newest = desk.keep(&orders, id(128)).await;
    let mut too_many = desk.resumed(Some(&orders), last).await;

    assert_eq!((most.is_gap, most.missed.len()), (false, MOST_MISSED));
    assert_eq!(too_many.missed.len(), MOST_MISSED);
    assert_eq!(waiting(&too_many).last(), Some(&newest));
    assert_eq!(too_many.next().await.as_deref(), Some(GAP));
    assert_ne!(too_many.next().await.as_deref(), Some(GAP));
}

#[tokio::test]
async fn behind_an_event_that_is_not_kept_there_is_a_gap_and_what_came_since() {
    let desk = Desk::open().await;
    let orders = desk.endpoint("orders").await;
    let kept = desk.keep(&orders, id(1)).await;

    let tail = desk.resumed(Some(&orders), id(9)).await;

    assert!(tail.is_gap);
    assert_eq!(waiting(&tail), [kept]);
}
