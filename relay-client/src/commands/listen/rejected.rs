//! Tells of requests that the relay turned away: they never come down the line of deliveries, and are what a person
//! waiting for a webhook most needs to see.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use towline_shared::api::EventSummary;
use towline_shared::backoff::Backoff;
use towline_shared::id::{EndpointName, EventId};

use crate::listen::News;
use crate::relay_api::{ApiError, EventQuery, RelayApi, TailItem};

/// Follows the endpoint until `stop`. Ends early when the token may not read events, and says so.
///
/// When the channel is full this waits; the stream at the relay then drops what is too much.
pub(super) async fn watch(
    api: RelayApi,
    endpoint: EndpointName,
    news: mpsc::Sender<News>,
    stop: CancellationToken,
) {
    let _ = stop
        .run_until_cancelled(follow(&api, &endpoint, &news))
        .await;
}

async fn follow(api: &RelayApi, endpoint: &EndpointName, news: &mpsc::Sender<News>) {
    let mut backoff = Backoff::reconnect();
    let mut last = None;
    loop {
        match once(api, endpoint, news, &mut last, &mut backoff).await {
            Ok(()) => {}
            Err(error) if error.may_pass() => {}
            // What stands before a relay may answer for it while it restarts.
            Err(ApiError::Unreadable { .. }) if last.is_some() => {}
            Err(error) => {
                if error.is_forbidden() {
                    let remark = format!("requests that the relay rejects are not shown: {error}");
                    let _ = news.send(News::Remark(remark)).await;
                }
                return;
            }
        }
        if news.is_closed() {
            return;
        }
        // Half of the jitter is enough: one listener makes one stream.
        tokio::time::sleep(backoff.next_wait(Instant::now(), 0.5)).await;
    }
}

/// One stream. What came since the last event that was seen is read too.
async fn once(
    api: &RelayApi,
    endpoint: &EndpointName,
    news: &mpsc::Sender<News>,
    last: &mut Option<EventId>,
    backoff: &mut Backoff,
) -> Result<(), ApiError> {
    if last.is_none() {
        *last = Some(newest(api, endpoint).await?);
    }
    let mut tail = api.tail(Some(endpoint), true, None, *last).await?;
    backoff.succeeded(Instant::now());
    while let Some(item) = tail.next().await? {
        let TailItem::Event(event) = item else {
            continue;
        };
        *last = Some(event.info.id);
        if news.send(rejected(*event)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The newest event of the endpoint; with none yet, what is before every event.
async fn newest(api: &RelayApi, endpoint: &EndpointName) -> Result<EventId, ApiError> {
    let query = EventQuery {
        endpoint: Some(endpoint.clone()),
        limit: 1,
        ..EventQuery::default()
    };
    let events = api.events(&query).await?.events;
    let before_all = EventId::from_bytes([0; 16]);
    Ok(events.first().map_or(before_all, |event| event.info.id))
}

fn rejected(event: EventSummary) -> News {
    News::Event {
        info: Box::new(event.info),
        method: event.method,
        target: event.target,
        is_replay: false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use towline_shared::event::{EventInfo, EventKind, HeadSource};
    use towline_shared::id::Seq;
    use towline_shared::time::Timestamp;
    use towline_shared::verdict::Verdict;

    use super::*;
    use crate::dial::RelayAddress;

    /// A relay's interface that a test plays, one answer a connection.
    struct Relay(TcpListener);

    impl Relay {
        /// A relay that is watched.
        async fn start() -> (Self, mpsc::Receiver<News>) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let address = RelayAddress {
                url: url.parse().unwrap(),
                ca_file: None,
            };
            let (sender, news) = mpsc::channel(8);
            let (api, endpoint) = (RelayApi::new(address, None), "orders".parse().unwrap());
            tokio::spawn(watch(api, endpoint, sender, CancellationToken::new()));
            (Self(listener), news)
        }

        /// Answers the next request and closes; the head that came, in lower case.
        async fn answer(&self, status: u16, content: &str) -> String {
            let (mut stream, _) = self.0.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let kind = if status < 400 {
                "text/event-stream"
            } else {
                "application/problem+json"
            };
            let answer = format!(
                "HTTP/1.1 {status} Some\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n{content}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap().to_lowercase()
        }
    }

    fn event(seq: u64) -> String {
        let info = EventInfo {
            id: id(seq),
            seq: Seq(seq),
            endpoint: "orders".parse().unwrap(),
            received_at: Timestamp::from_millis(1),
            remote: "127.0.0.1".parse().unwrap(),
            tls: false,
            kind: EventKind::Webhook,
            verdict: Verdict::Unchecked,
            is_deliverable: false,
            head_source: HeadSource::Recorded,
            body_length: 0,
            delivery_id: None,
            event_type: None,
            duplicate_of: None,
            delivered_repeat: None,
            answered: None,
        };
        let summary = EventSummary {
            info,
            method: "POST".into(),
            target: "/".into(),
            latest_attempt: None,
        };
        serde_json::to_string(&summary).unwrap()
    }

    fn id(seq: u64) -> EventId {
        EventId::from_bytes([u8::try_from(seq).unwrap(); 16])
    }

    fn message(seq: u64) -> String {
        format!("event: event\ndata: {}\n\n", event(seq))
    }

    async fn seq(news: &mut mpsc::Receiver<News>) -> u64 {
        match news.recv().await.unwrap() {
            News::Event { info, .. } => info.seq.0,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_stream_goes_on_behind_the_last_event_that_was_seen() {
        let (relay, mut news) = Relay::start().await;
        let list = relay
            .answer(200, &format!("{{\"events\":[{}]}}", event(3)))
            .await;
        let first = relay.answer(200, &message(5)).await;
        let second = relay.answer(200, &message(7)).await;

        assert!(list.contains("endpoint=orders&limit=1"), "{list}");
        let last_event = |seq| format!("last-event-id: {}\r\n", id(seq));
        assert!(first.contains(&last_event(3)), "{first}");
        assert!(second.contains(&last_event(5)), "{second}");
        assert_eq!((seq(&mut news).await, seq(&mut news).await), (5, 7));
    }

    #[tokio::test]
    async fn the_first_events_of_an_endpoint_are_not_missed_either() {
        let (relay, _news) = Relay::start().await;
        relay.answer(200, "{\"events\":[]}").await;
        relay.answer(200, "").await;

        let second = relay.answer(200, "").await;

        let before_all = format!("last-event-id: {}\r\n", id(0));
        assert!(second.contains(&before_all), "{second}");
    }

    #[tokio::test]
    async fn a_token_that_may_not_read_is_told_once() {
        let (relay, mut news) = Relay::start().await;
        let problem = r#"{"type":"x","title":"Forbidden","status":403,"missing_scope":"read"}"#;
        relay.answer(403, problem).await;

        let told = news.recv().await.unwrap();

        assert!(
            matches!(&told, News::Remark(text) if text.contains("scope `read`")),
            "{told:?}"
        );
        assert!(news.recv().await.is_none(), "the watch ends");
    }
}
