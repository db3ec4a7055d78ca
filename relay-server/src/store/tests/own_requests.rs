//! Replays with a request of their own.

use super::*;
use crate::store::ReplayRequest;
use towline_shared::hop::{Change, ChangeKind};

fn request(body: Option<Body>) -> ReplayRequest {
    ReplayRequest {
        head: Head::parse(&b"POST /in/k HTTP/1.1\r\nX-Signature: fresh\r\n\r\n"[..]).unwrap(),
        body,
        changes: vec![Change {
            kind: ChangeKind::Replaced,
            part: "X-Signature".to_owned(),
            reason: "test".to_owned(),
        }],
        verdict: Verdict::Unchecked,
        delivery_id: Some("fresh-id".to_owned()),
    }
}

async fn long_body(store: &Store) -> Body {
    let mut writer = store.new_body().await.unwrap();
    writer
        .write(Bytes::from(vec![b'x'; 100_000]))
        .await
        .unwrap();
    Body::File(writer.finish().await.unwrap())
}

#[tokio::test]
async fn a_replay_delivers_its_own_request_and_its_attempts_tell_what_was_changed() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 1).await;
    let laptop = consumer(&store, &orders, Start::Now).await;
    let (exact, own) = (
        ReplayId::new(time(1), [1; 10]),
        ReplayId::new(time(1), [2; 10]),
    );
    let id = events[0].info.id;
    let consumer = Some(laptop.id);
    store
        .add_replay(exact, id, consumer, time(7), None)
        .await
        .unwrap();
    let edited = request(Some(Body::Inline(Bytes::from_static(b"edited"))));
    store
        .add_replay(own, id, consumer, time(7), Some(edited))
        .await
        .unwrap();

    let as_captured = store.replayed_event(exact, id).await.unwrap().unwrap();
    let as_made = store.replayed_event(own, id).await.unwrap().unwrap();
    let mut tried = report(&events[0], 1, Some(Settled::Done));
    tried.attempt.delivery.replay = Some(own);
    store.record(laptop.id, tried).await.unwrap();
    let attempts = store.attempts(id).await.unwrap();

    assert_eq!(as_captured.head, events[0].head);
    assert!(as_made.head.ends_with(b"X-Signature: fresh\r\n\r\n"));
    assert!(matches!(&as_made.body, Body::Inline(bytes) if bytes == "edited"));
    assert_eq!(as_made.info.body_length, 6);
    assert_eq!(as_made.info.delivery_id.as_deref(), Some("fresh-id"));
    assert_eq!(attempts[0].replay_changes[0].part, "X-Signature");
}

#[tokio::test]
async fn what_was_handed_out_waits_for_nobody_and_is_kept() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 1).await;
    let laptop = consumer(&store, &orders, Start::Now).await;
    let (id, replay) = (events[0].info.id, ReplayId::new(time(1), [1; 10]));

    store
        .add_replay(replay, id, None, time(7), Some(request(None)))
        .await
        .unwrap();

    let pending = store.pending_replays(laptop.id, 10).await.unwrap();
    assert!(pending.is_empty());
    let kept = store.replayed_event(replay, id).await.unwrap().unwrap();
    assert!(kept.head.ends_with(b"fresh\r\n\r\n"));
    assert!(matches!(&kept.body, Body::Inline(_)), "the captured body");
}

#[tokio::test]
async fn a_long_edited_body_outlives_a_restart_and_goes_with_its_event() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 1).await;
    let laptop = consumer(&store, &orders, Start::Now).await;
    let (id, replay) = (events[0].info.id, ReplayId::new(time(1), [1; 10]));
    let own = request(Some(long_body(&store).await));
    store
        .add_replay(replay, id, Some(laptop.id), time(7), Some(own))
        .await
        .unwrap();
    store.close().await;

    let store = open(&folder);
    let kept = store.replayed_event(replay, id).await.unwrap().unwrap();
    let Body::File(file) = &kept.body else {
        panic!("{kept:?}")
    };
    assert_eq!(std::fs::metadata(file.path()).unwrap().len(), 100_000);
    store.trim(orders.id, Seq(1)).await.unwrap();

    assert!(!file.path().exists());
}

#[tokio::test]
async fn the_file_of_a_replay_that_was_not_taken_is_removed() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 1).await;
    let body = long_body(&store).await;
    let Body::File(file) = &body else {
        panic!("{body:?}")
    };
    let path = file.path().to_owned();
    let nobody = Some(ConsumerId(4711));

    let refused = store
        .add_replay(
            ReplayId::new(time(1), [1; 10]),
            events[0].info.id,
            nobody,
            time(7),
            Some(request(Some(body))),
        )
        .await;

    store.close().await;

    assert!(matches!(refused, Err(StoreError::Missing { .. })));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_long_edited_body_goes_with_the_consumer_that_it_waits_for() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 1).await;
    let laptop = consumer(&store, &orders, Start::Now).await;
    let body = long_body(&store).await;
    let Body::File(file) = &body else {
        panic!("a long body has a file");
    };
    let path = file.path().to_owned();
    let replay = ReplayId::new(time(1), [1; 10]);
    let own = Some(request(Some(body)));
    store
        .add_replay(replay, events[0].info.id, Some(laptop.id), time(7), own)
        .await
        .unwrap();
    assert!(path.exists());

    store.remove_consumer(laptop.id).await.unwrap();

    assert!(!path.exists());
}
