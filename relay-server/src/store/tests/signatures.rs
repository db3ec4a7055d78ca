//! Repeats of signed events, and how much each secret is used.

use std::collections::BTreeMap;

use towline_shared::event::DeliveredRepeat;
use towline_shared::verdict::Match;
use towline_shared::verify::Fingerprint;

use super::*;

/// An event whose signed content has this number.
fn signed(endpoint: &Endpoint, content: u8) -> NewEvent {
    NewEvent {
        remember: Some(Remember {
            fingerprint: Fingerprint::from_bytes([content; 16]),
            copy: None,
            delivers_repeats: None,
        }),
        ..small(endpoint)
    }
}

fn verified(endpoint: &Endpoint, secret: &str, millis: u64) -> NewEvent {
    NewEvent {
        received_at: time(millis),
        verdict: Verdict::Verified(Match {
            provider: "github".to_owned(),
            scheme: None,
            secret: Some(name(secret)),
        }),
        ..small(endpoint)
    }
}

async fn uses(store: &Store, endpoint: &Endpoint) -> BTreeMap<String, (u64, Option<u64>)> {
    let all = store.secret_uses().await.unwrap().into_iter();
    all.filter(|((of, _), _)| *of == endpoint.id)
        .map(|((_, name), used)| {
            let last = used.last_used_at.map(Timestamp::as_millis);
            (name.to_string(), (used.uses, last))
        })
        .collect()
}

#[tokio::test]
async fn of_fifty_equal_events_at_once_one_is_the_first() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;

    let kept = join_all((0..50).map(|_| store.append(signed(&orders, 1)))).await;

    let kept: Vec<_> = kept
        .into_iter()
        .map(|event| event.unwrap().info.clone())
        .collect();
    let firsts: Vec<_> = kept
        .iter()
        .filter(|info| info.duplicate_of.is_none())
        .collect();
    assert_eq!(firsts.len(), 1);
    assert!(firsts[0].is_deliverable);
    let repeats = kept
        .iter()
        .filter(|info| info.duplicate_of == Some(firsts[0].id));
    assert_eq!(repeats.filter(|info| !info.is_deliverable).count(), 49);
}

#[tokio::test]
async fn a_repeat_is_kept_as_such_and_passed_by_consumers() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let first = store.append(signed(&orders, 1)).await.unwrap();
    let repeat = store.append(signed(&orders, 1)).await.unwrap();
    let other = store.append(signed(&orders, 2)).await.unwrap();

    let read = store.event(repeat.info.id).await.unwrap().unwrap();

    assert_eq!(read.info, repeat.info);
    assert_eq!(read.info.duplicate_of, Some(first.info.id));
    assert_eq!(
        (first.info.duplicate_of, other.info.duplicate_of),
        (None, None)
    );
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    assert_eq!(laptop.backlog, 2);
}

#[tokio::test]
async fn a_repeat_is_known_after_a_restart_while_the_first_is_kept() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let first = store.append(signed(&orders, 1)).await.unwrap();
    store.close().await;
    let store = open(&folder);

    let repeat = store.append(signed(&orders, 1)).await.unwrap();
    store.trim(orders.id, Seq(2)).await.unwrap();
    let again = store.append(signed(&orders, 1)).await.unwrap();
    let repeat_of_that = store.append(signed(&orders, 1)).await.unwrap();

    assert_eq!(repeat.info.duplicate_of, Some(first.info.id));
    assert_eq!(
        (again.info.duplicate_of, again.info.is_deliverable),
        (None, true)
    );
    assert_eq!(repeat_of_that.info.duplicate_of, Some(again.info.id));
}

#[tokio::test]
async fn a_pinned_first_event_counts_until_it_is_unpinned() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let first = store.append(signed(&orders, 1)).await.unwrap().info.id;
    store.pin(first, "me".to_owned(), time(1)).await.unwrap();
    store.trim(orders.id, Seq(1)).await.unwrap();

    let repeat = store.append(signed(&orders, 1)).await.unwrap();
    assert!(store.unpin(first).await.unwrap());
    let again = store.append(signed(&orders, 1)).await.unwrap();

    assert_eq!(repeat.info.duplicate_of, Some(first));
    assert_eq!(again.info.duplicate_of, None);
}

#[tokio::test]
async fn made_up_names_of_one_content_push_nothing_out_and_are_delivered() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let named = |number: u8| {
        let mut copy = [1; 16];
        copy[15] = 100 + number;
        let mut event = signed(&orders, 1);
        event.remember.as_mut().unwrap().copy = Some(Fingerprint::from_bytes(copy));
        event
    };
    for number in 0..70 {
        let event = store.append(named(number)).await.unwrap();
        assert!(event.info.is_deliverable, "{number}");
    }

    let remembered = store.append(named(63)).await.unwrap();
    let not_remembered = store.append(named(64)).await.unwrap();

    assert!(!remembered.info.is_deliverable);
    assert!(not_remembered.info.is_deliverable);
}

#[tokio::test]
async fn repeats_are_delivered_where_the_endpoint_says_so_and_are_marked_all_the_same() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let first = store.append(signed(&orders, 1)).await.unwrap();
    let mut again = signed(&orders, 1);
    again.remember.as_mut().unwrap().delivers_repeats = Some(DeliveredRepeat::AsEndpointSays);

    let repeat = store.append(again).await.unwrap();

    assert!(repeat.info.is_deliverable);
    assert_eq!(repeat.info.duplicate_of, Some(first.info.id));
}

#[tokio::test]
async fn an_event_that_could_not_be_kept_is_not_remembered() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let first = store.append(signed(&orders, 1)).await.unwrap();
    let twin = NewEvent {
        id: first.info.id,
        ..signed(&orders, 2)
    };
    store.append(twin).await.unwrap_err();

    let next = store.append(signed(&orders, 2)).await.unwrap();

    assert_eq!(next.info.duplicate_of, None);
}

#[tokio::test]
async fn a_deleted_endpoint_leaves_no_signatures_and_no_counts() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    for content in 0..5 {
        store.append(signed(&orders, content)).await.unwrap();
    }

    store.delete_endpoint(&orders.name).await.unwrap();

    let database = Connection::open(folder.path().join("towline.db")).unwrap();
    let rows = "SELECT (SELECT count(*) FROM signature_memory) + (SELECT count(*) FROM secret_use)
        + (SELECT count(*) FROM endpoint)";
    for _ in 0..1_000_000 {
        let left: u32 = database.query_row(rows, [], |row| row.get(0)).unwrap();
        if left == 0 {
            return;
        }
        std::thread::yield_now();
    }
    panic!("the sweeper has left something");
}

#[tokio::test]
async fn each_use_of_a_secret_is_counted_through_a_restart() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    store
        .put_secret(&orders.name, secret("next", "two"), false)
        .await
        .unwrap();
    let nothing = BTreeMap::from([
        ("live".to_owned(), (0, None)),
        ("next".to_owned(), (0, None)),
    ]);
    assert_eq!(uses(&store, &orders).await, nothing);

    join_all((1..=20).map(|millis| store.append(verified(&orders, "live", millis)))).await;
    store.append(small(&orders)).await.unwrap();
    store.append(verified(&orders, "live", 7)).await.unwrap();
    store
        .append(verified(&orders, "removed-meanwhile", 7))
        .await
        .unwrap();
    store.close().await;
    let store = open(&folder);

    let expected = BTreeMap::from([
        ("live".to_owned(), (21, Some(20))),
        ("next".to_owned(), (0, None)),
    ]);
    assert_eq!(uses(&store, &orders).await, expected);
}

#[tokio::test]
async fn a_replaced_secret_is_counted_anew_and_a_removed_one_no_longer() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    store.append(verified(&orders, "live", 7)).await.unwrap();

    store
        .put_secret(&orders.name, secret("live", "other"), true)
        .await
        .unwrap();
    let replaced = uses(&store, &orders).await;
    store
        .remove_secret(&orders.name, &name("live"))
        .await
        .unwrap();

    assert_eq!(replaced["live"], (0, None));
    assert_eq!(uses(&store, &orders).await, BTreeMap::new());
}

#[tokio::test]
async fn a_database_from_before_the_counts_counts_the_events_that_it_has() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    store
        .put_secret(&orders.name, secret("next", "two"), false)
        .await
        .unwrap();
    store.append(verified(&orders, "live", 7)).await.unwrap();
    store.append(verified(&orders, "live", 9)).await.unwrap();
    store.append(small(&orders)).await.unwrap();
    store.close().await;
    let database = Connection::open(folder.path().join("towline.db")).unwrap();
    database
        .execute_batch("DROP TABLE secret_use; DROP TABLE signature_memory")
        .unwrap();

    database
        .execute_batch(include_str!(
            "../migrations/0005_secret_use_and_signature_memory.sql"
        ))
        .unwrap();
    drop(database);

    let expected = BTreeMap::from([
        ("live".to_owned(), (2, Some(9))),
        ("next".to_owned(), (0, None)),
    ]);
    assert_eq!(uses(&open(&folder), &orders).await, expected);
}
