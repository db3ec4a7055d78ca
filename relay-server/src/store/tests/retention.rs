//! What is past its retention, pins, and what is kept after all that.

use towline_shared::api::Retention;

use super::*;

const HEAD_AND_BODY: u64 = "POST /in/k?q HTTP/1.1\r\nX-a: 1\r\n\r\n".len() as u64 + 4;

fn events(max_events: u64) -> Retention {
    Retention {
        max_events: Some(max_events),
        ..Retention::default()
    }
}

fn bytes(max_bytes: u64) -> Retention {
    Retention {
        max_bytes: Some(max_bytes),
        ..Retention::default()
    }
}

fn seconds(max_age_seconds: u64) -> Retention {
    Retention {
        max_age_seconds: Some(max_age_seconds),
        ..Retention::default()
    }
}

#[tokio::test]
async fn what_is_past_each_bound_is_found_and_what_is_at_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    for second in 1..=10 {
        let mut event = small(&orders);
        event.received_at = time(second * 1000);
        store.append(event).await.unwrap();
    }
    let overdue = async |keep| store.overdue(orders.id, keep, time(12_000)).await.unwrap();

    assert_eq!(overdue(Retention::default()).await, None);
    assert_eq!(overdue(events(10)).await, None);
    assert_eq!(overdue(events(9)).await, Some(Seq(1)));
    assert_eq!(overdue(bytes(10 * HEAD_AND_BODY)).await, None);
    assert_eq!(overdue(bytes(10 * HEAD_AND_BODY - 1)).await, Some(Seq(1)));
    assert_eq!(overdue(bytes(3 * HEAD_AND_BODY)).await, Some(Seq(7)));
    assert_eq!(overdue(bytes(1)).await, Some(Seq(9)), "the newest stays");
    assert_eq!(overdue(seconds(11)).await, None);
    assert_eq!(overdue(seconds(10)).await, Some(Seq(1)));
    assert_eq!(overdue(seconds(1)).await, Some(Seq(10)));
    let strictest = events(4).within(seconds(5)).within(bytes(1_000_000));
    assert_eq!(overdue(strictest).await, Some(Seq(6)));
}

#[tokio::test]
async fn an_endpoint_without_events_has_nothing_to_remove_and_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let keep = events(1).within(bytes(1)).within(seconds(1));

    assert_eq!(store.overdue(orders.id, keep, time(9)).await.unwrap(), None);
    assert_eq!(store.usage(orders.id).await.unwrap(), Usage::default());
    append_many(&store, &orders, 2).await;
    store.trim(orders.id, Seq(2)).await.unwrap();

    assert_eq!(
        store
            .overdue(orders.id, keep, time(9_000_000))
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.usage(orders.id).await.unwrap(), Usage::default());
}

#[tokio::test]
async fn what_consumers_do_not_get_pushes_nothing_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    append_many(&store, &orders, 2).await;
    for _ in 0..20 {
        let mut rejected = small(&orders);
        rejected.is_deliverable = false;
        store.append(rejected).await.unwrap();
    }
    let overdue = async |keep| store.overdue(orders.id, keep, time(2_000)).await.unwrap();

    assert_eq!(overdue(events(2)).await, None);
    assert_eq!(overdue(bytes(2 * HEAD_AND_BODY)).await, None);
    assert_eq!(overdue(events(1)).await, Some(Seq(1)));
    assert_eq!(overdue(bytes(1)).await, Some(Seq(1)), "the newest stays");
    let usage = store.usage(orders.id).await.unwrap();
    assert_eq!((usage.events, usage.others), (2, 20));
    assert_eq!(usage.bytes, 2 * HEAD_AND_BODY);
}

#[tokio::test]
async fn usage_counts_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    append_many(&store, &orders, 5).await;
    store.trim(orders.id, Seq(2)).await.unwrap();

    let usage = store.usage(orders.id).await.unwrap();

    assert_eq!((usage.events, usage.bytes), (3, 3 * HEAD_AND_BODY));
    assert_eq!((usage.oldest, usage.pinned), (Some(time(1_000)), 0));
}

#[tokio::test]
async fn a_step_removes_no_more_than_asked_for_and_the_last_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    append_many(&store, &orders, 7).await;
    let step = async || store.trim_step(orders.id, Seq(5), 2).await.unwrap();

    assert_eq!(step().await, Some(2));
    assert_eq!(step().await, Some(2));
    assert_eq!(step().await, Some(1));
    assert_eq!(step().await, None);
    let left = store.events_after(orders.id, Seq(0), 99).await.unwrap();

    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn a_pinned_event_outlives_the_trim_and_places_go_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let kept = append_many(&store, &orders, 3).await;
    let pinned = kept[1].info.id;
    store
        .pin(pinned, "laptop".to_owned(), time(5))
        .await
        .unwrap();
    store
        .pin(pinned, "other".to_owned(), time(6))
        .await
        .unwrap();

    let removed = store.trim(orders.id, Seq(3)).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(&folder);

    assert_eq!(removed, 2);
    assert!(store.event(pinned).await.unwrap().is_some());
    assert!(store.event(kept[0].info.id).await.unwrap().is_none());
    assert_eq!(store.pinned_at(pinned).await.unwrap(), Some(time(5)));
    assert_eq!(store.usage(orders.id).await.unwrap().pinned, 1);
    assert_eq!(append_many(&store, &orders, 1).await[0].info.seq, Seq(4));
    assert_eq!(store.trim(orders.id, Seq(9)).await.unwrap(), 1);
}

#[tokio::test]
async fn an_event_that_only_its_pin_kept_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let kept = append_many(&store, &orders, 3).await;
    for event in &kept[..2] {
        store
            .pin(event.info.id, "me".to_owned(), time(5))
            .await
            .unwrap();
    }
    assert!(!store.unpin(kept[0].info.id).await.unwrap());
    store.trim(orders.id, Seq(2)).await.unwrap();

    assert!(store.unpin(kept[1].info.id).await.unwrap());

    assert!(store.event(kept[1].info.id).await.unwrap().is_none());
    assert!(!store.unpin(kept[2].info.id).await.unwrap());
    let gone = store.unpin(kept[1].info.id).await.unwrap_err();
    assert!(matches!(gone, StoreError::Missing { what: "event", .. }));
}

#[tokio::test]
async fn one_pin_above_the_bound_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let most = pins::MOST_PINS as usize;
    let appended = join_all((0..=most).map(|_| store.append(small(&orders)))).await;
    let kept: Vec<_> = appended.into_iter().map(Result::unwrap).collect();
    let pinning = |event: &Arc<StoredEvent>| store.pin(event.info.id, String::new(), time(5));
    let pinned = join_all(kept[..most].iter().map(pinning)).await;
    assert!(pinned.iter().all(Result::is_ok));

    let refused = pinning(&kept[most]).await.unwrap_err();

    assert!(matches!(refused, StoreError::TooMany { .. }), "{refused}");
    store.unpin(kept[0].info.id).await.unwrap();
    pinning(&kept[most]).await.unwrap();
}

#[tokio::test]
async fn a_deleted_endpoint_takes_its_pinned_events_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let kept = append_many(&store, &orders, 3).await;
    store
        .pin(kept[1].info.id, String::new(), time(5))
        .await
        .unwrap();

    store.delete_endpoint(&orders.name).await.unwrap();
    store.close().await;
    drop(store);
    // The sweeper goes on where it was.
    let store = open(&folder);
    let database = folder.path().join("towline.db");
    let is_swept = || {
        let connection = Connection::open(&database).unwrap();
        let sql = "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM pin) + (SELECT count(*) FROM endpoint)";
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
            == 0
    };
    while !is_swept() {
        store.probe().await.unwrap();
    }
}

#[tokio::test]
async fn a_database_of_the_first_schema_counts_its_bytes_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    make_database_of_first_schema(&folder.path().join("towline.db"));

    let store = open(&folder);

    let orders = store.endpoints().await.unwrap().remove(0);
    let usage = store.usage(orders.id).await.unwrap();
    assert_eq!((usage.events, usage.bytes), (3, 3 * HEAD_AND_BODY));
    assert_eq!(append_many(&store, &orders, 1).await[0].info.seq, Seq(4));
    assert_eq!(
        store.usage(orders.id).await.unwrap().bytes,
        4 * HEAD_AND_BODY
    );
}

/// A database as the first version left it: an endpoint without secrets, and three events.
fn make_database_of_first_schema(database: &Path) {
    let connection = Connection::open(database).unwrap();
    connection
        .execute_batch(include_str!("../migrations/0001_first.sql"))
        .unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    let settings = r#"{"ack":{"status":200},"on_failure":"reject","max_body":1048576}"#;
    let key = EndpointKey::new([7; 20]).to_string();
    connection
        .execute(
            "INSERT INTO endpoint (endpoint_id, name, key, settings, created_at) VALUES (1, 'orders', ?1, ?2, 1)",
            (key, settings),
        )
        .unwrap();
    let facts = r#"{"remote":"127.0.0.1","tls":true,"kind":"webhook","verdict":{"result":"unchecked"},"head_source":"recorded"}"#;
    for seq in 1..=3_i64 {
        connection
            .execute(
                "INSERT INTO event VALUES (?1, ?2, ?3, 1, ?4, ?5, 4, '', ?6, ?7)",
                (
                    (1 << 40) + seq,
                    [seq as u8; 16],
                    seq * 1000,
                    seq,
                    facts,
                    &b"POST /in/k?q HTTP/1.1\r\nX-a: 1\r\n\r\n"[..],
                    &b"body"[..],
                ),
            )
            .unwrap();
    }
}
