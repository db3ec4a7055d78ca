//! The store at its bounds, and when something happens in the middle of something else.

use super::*;

fn rejected(endpoint: &Endpoint) -> NewEvent {
    NewEvent {
        is_deliverable: false,
        ..small(endpoint)
    }
}

fn at(endpoint: &Endpoint, millis: u64) -> NewEvent {
    NewEvent {
        id: EventId::new(time(millis), [7; 10]),
        received_at: time(millis),
        ..small(endpoint)
    }
}

async fn settle(store: &Store, consumer: &OpenedConsumer, event: &StoredEvent) {
    let done = report(event, 1, Some(Settled::Done));
    store.record(consumer.id, done).await.unwrap();
}

#[tokio::test]
async fn a_sender_that_goes_away_during_the_commit_leaves_its_event_with_its_body() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let mut writer = store.new_body().await.unwrap();
    writer.write(Bytes::from(vec![1; 70_000])).await.unwrap();
    let file = writer.finish().await.unwrap();
    let path = file.path().to_owned();

    let mut append = Box::pin(store.append(event(&orders, Body::File(file))));
    let polled = futures_util::FutureExt::now_or_never(append.as_mut());
    drop(append);
    store.probe().await.unwrap();

    assert!(polled.is_none());
    let kept = store.events_after(orders.id, Seq(0), 9).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(path.exists());
}

#[tokio::test]
async fn a_body_whose_event_is_refused_goes() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let gone = endpoint(&store, "gone").await;
    store.delete_endpoint(&gone.name).await.unwrap();
    let file = store.new_body().await.unwrap().finish().await.unwrap();
    let path = file.path().to_owned();

    let refused = store.append(event(&gone, Body::File(file))).await;

    assert!(matches!(refused, Err(StoreError::Missing { .. })));
    store.close().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn an_endpoint_has_no_more_consumers_than_there_is_room_for() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let consume = |number: u32| {
        let (store, name) = (store.clone(), name(&format!("c{number}")));
        let id = orders.id;
        async move { store.open_consumer(id, &name, Start::Now, time(1)).await }
    };
    let most = join_all((1..=1000).map(consume)).await;
    assert!(most.iter().all(Result::is_ok));

    let refused = consume(1001).await;

    assert!(
        matches!(refused, Err(StoreError::TooMany { most: 1000, .. })),
        "{refused:?}"
    );
    let known = consume(7).await.unwrap();
    assert!(!known.is_new);
    store.remove_consumer(known.id).await.unwrap();
    assert!(consume(1001).await.unwrap().is_new);
    let gone = store.remove_consumer(known.id).await;
    assert!(
        matches!(
            gone,
            Err(StoreError::Missing {
                what: "consumer",
                ..
            })
        ),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_panic_of_the_writer_is_told() {
    let folder = TempDir::new().unwrap();
    let mistake = Box::new(|_: &[Arc<StoredEvent>]| panic!("a mistake in the relay"));
    let store = Store::open(&options(folder.path()), mistake).unwrap();
    let orders = endpoint(&store, "orders").await;
    let is_broken = || futures_util::FutureExt::now_or_never(store.broken()).is_some();
    assert!(!is_broken());

    let lost = store.append(small(&orders)).await;

    assert!(matches!(lost, Err(StoreError::Closed)), "{lost:?}");
    store.broken().await;
}

#[tokio::test]
async fn a_store_that_is_closed_is_not_broken() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);

    store.close().await;

    let broken = futures_util::FutureExt::now_or_never(store.broken());
    assert!(broken.is_none());
}

#[tokio::test]
async fn a_place_that_no_event_has_had_cannot_be_skipped() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    append_many(&store, &orders, 2).await;
    let laptop = consumer(&store, &orders, Start::Beginning).await;

    for beyond in [3, u64::MAX] {
        let refused = store.skip(laptop.id, (Seq(1), Seq(beyond)), 0).await;
        assert!(matches!(
            refused,
            Err(StoreError::Missing { what: "event", .. })
        ));
    }
    store.skip(laptop.id, (Seq(1), Seq(2)), 0).await.unwrap();

    let again = consumer(&store, &orders, Start::Now).await;
    assert_eq!(again.cursor, Seq(2));
}

#[tokio::test]
async fn a_consumer_that_comes_back_stands_before_the_next_deliverable_event() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let laptop = consumer(&store, &orders, Start::Now).await;
    for _ in 0..3 {
        store.append(rejected(&orders)).await.unwrap();
    }
    append_many(&store, &orders, 1).await;
    let last = append_many(&store, &orders, 1).await.remove(0);
    settle(&store, &laptop, &last).await;

    let back = consumer(&store, &orders, Start::Now).await;

    assert_eq!((back.cursor, back.backlog), (Seq(3), 1));
    assert_eq!(back.settled_ahead, [(Seq(5), Seq(5))]);
}

#[tokio::test]
async fn a_gap_that_trimming_left_stays_until_it_is_skipped() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    append_many(&store, &orders, 4).await;
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    store.trim(orders.id, Seq(2)).await.unwrap();

    let back = consumer(&store, &orders, Start::Now).await;
    store.skip(laptop.id, (Seq(1), Seq(2)), 0).await.unwrap();
    let after = consumer(&store, &orders, Start::Now).await;

    assert_eq!((back.cursor, back.oldest_kept), (Seq(0), Seq(3)));
    assert_eq!((after.cursor, after.backlog), (Seq(2), 2));
}

#[tokio::test]
async fn a_start_by_time_finds_an_event_that_was_kept_out_of_order() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    for millis in [10, 21, 19, 30] {
        store.append(at(&orders, millis)).await.unwrap();
    }
    let open = async |text: &str, millis| {
        let (text, start) = (name(text), Start::Time(time(millis)));
        let opened = store.open_consumer(orders.id, &text, start, time(99));
        opened.await.unwrap().cursor
    };

    assert_eq!(open("a", 20).await, Seq(1));
    assert_eq!(open("b", 0).await, Seq(0));
    assert_eq!(open("c", 31).await, Seq(4));
}

#[tokio::test]
async fn a_page_before_a_trimmed_event_is_empty_and_before_an_unknown_one_begins_at_its_time() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    for millis in [10, 20, 30, 40] {
        store.append(at(&orders, millis)).await.unwrap();
    }
    store.trim(orders.id, Seq(1)).await.unwrap();
    let page = async |millis, random| {
        let query = EventQuery {
            endpoint: Some(orders.id),
            before: Some(EventId::new(time(millis), random)),
            rejected_only: false,
            limit: 9,
        };
        let events = store.list_events(query).await.unwrap();
        events
            .iter()
            .map(|event| event.info.seq.0)
            .collect::<Vec<_>>()
    };

    assert!(page(10, [7; 10]).await.is_empty());
    assert_eq!(page(35, [0; 10]).await, [3, 2]);
    assert_eq!(page(99, [0; 10]).await, [4, 3, 2]);
}

#[tokio::test]
async fn a_page_ends_with_the_event_that_fills_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    for _ in 0..6 {
        let large = Body::Inline(Bytes::from(vec![1; 60_000]));
        store.append(event(&orders, large)).await.unwrap();
    }

    let first = store.events_after(orders.id, Seq(0), 100).await.unwrap();
    let second = store.events_after(orders.id, Seq(5), 100).await.unwrap();

    assert_eq!((first.len(), second.len()), (5, 1));
    assert!(
        store
            .events_after(orders.id, Seq(6), 100)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn of_very_many_attempts_the_newest_are_given() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let event = append_many(&store, &orders, 1).await.remove(0);
    let laptop = consumer(&store, &orders, Start::Beginning).await;

    for number in 1..=101 {
        let recorded = store.record(laptop.id, report(&event, number, None)).await;
        recorded.unwrap();
    }

    let attempts = store.attempts(event.info.id).await.unwrap();
    assert_eq!(attempts.len(), 100);
    assert_eq!(attempts[0].attempt.number, 2);
    assert_eq!(attempts[99].attempt.number, 101);
}

#[tokio::test]
async fn a_revoked_token_stays_revoked_when_the_clock_goes_back() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let token = NewToken {
        id: TokenId::new(time(1), [1; 10]),
        name: "laptop".to_owned(),
        sha256: [3; 32],
        scopes: vec![Scope::Read],
        created_at: time(1),
        expires_at: None,
    };
    let id = store.create_token(token).await.unwrap().id;

    store.revoke_token(id, time(100)).await.unwrap();

    assert!(store.token([3; 32], time(50)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_replay_counts_only_for_its_own_event() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 2).await;
    let laptop = consumer(&store, &orders, Start::Now).await;
    let replay = ReplayId::new(time(1), [1; 10]);
    let asked = store.add_replay(replay, events[0].info.id, Some(laptop.id), time(1), None);
    asked.await.unwrap();

    let mut wrong = report(&events[1], 1, Some(Settled::Done));
    wrong.attempt.delivery.replay = Some(replay);
    let refused = store.record(laptop.id, wrong).await;

    assert!(matches!(
        refused,
        Err(StoreError::Missing { what: "replay", .. })
    ));
    assert_eq!(store.pending_replays(laptop.id, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_dropped_without_closing_can_be_opened_at_once_with_all_it_took() {
    let folder = TempDir::new().unwrap();
    for round in 1..=5 {
        let store = open(&folder);
        let orders = match store.endpoints().await.unwrap().pop() {
            Some(orders) => orders,
            None => endpoint(&store, "orders").await,
        };
        let mut append = Box::pin(store.append(small(&orders)));
        let polled = futures_util::FutureExt::now_or_never(append.as_mut());
        assert!(polled.is_none(), "it waits for the commit");
        drop(append);
        drop(store);

        let store = open(&folder);
        let kept = store.events_after(orders.id, Seq(0), 9).await.unwrap();
        assert_eq!(kept.len(), round);
    }
}

#[tokio::test]
async fn a_deleted_endpoint_gives_its_disk_back_and_its_events_are_not_seen_meanwhile() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let kept = append_many(&store, &orders, 250).await;
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    let mut writer = store.new_body().await.unwrap();
    writer.write(Bytes::from(vec![1; 70_000])).await.unwrap();
    let file = Body::File(writer.finish().await.unwrap());
    store.append(event(&orders, file)).await.unwrap();

    store.delete_endpoint(&orders.name).await.unwrap();

    assert!(store.event(kept[249].info.id).await.unwrap().is_none());
    let late = report(&kept[249], 1, Some(Settled::Done));
    assert!(matches!(
        store.record(laptop.id, late).await,
        Err(StoreError::Missing { .. })
    ));
    let left = || {
        store.write(|writing| {
            let count = "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM endpoint)";
            Ok(writing
                .connection
                .query_row(count, [], |row| row.get::<_, i64>(0))?)
        })
    };
    while left().await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    store.close().await;
    let bodies = std::fs::read_dir(folder.path().join("bodies")).unwrap();
    assert_eq!(bodies.count(), 0);
}

#[tokio::test]
async fn what_a_stopped_relay_left_of_a_deleted_endpoint_is_swept_after_the_start() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    append_many(&store, &orders, 3).await;
    store.close().await;
    let database = Connection::open(folder.path().join("towline.db")).unwrap();
    let marked = database.execute("UPDATE endpoint SET is_deleted = 1", []);
    assert_eq!(marked.unwrap(), 1);
    drop(database);

    let store = open(&folder);

    let left = || {
        store.write(|writing| {
            let count = "SELECT count(*) FROM event";
            Ok(writing
                .connection
                .query_row(count, [], |row| row.get::<_, i64>(0))?)
        })
    };
    while left().await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(store.endpoints().await.unwrap().is_empty());
}

/// A store whose writer is held after its first commit until the returned side is dropped, and then tells how
/// many events each commit had.
fn held_store(
    folder: &TempDir,
) -> (
    Store,
    tokio::sync::mpsc::UnboundedReceiver<usize>,
    std::sync::mpsc::Sender<()>,
) {
    let (committing, committed) = tokio::sync::mpsc::unbounded_channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let on_committed: OnCommitted = Box::new(move |events| {
        let _ = committing.send(events.len());
        let _ = held.lock().recv();
    });
    let store = Store::open(&options(folder.path()), on_committed).unwrap();
    (store, committed, release)
}

#[tokio::test]
async fn what_waits_is_committed_together() {
    let folder = TempDir::new().unwrap();
    let (store, mut committed, release) = held_store(&folder);
    let orders = endpoint(&store, "orders").await;
    let mut appends: Vec<_> = (0..11)
        .map(|_| Box::pin(store.append(small(&orders))))
        .collect();
    let first = futures_util::FutureExt::now_or_never(appends[0].as_mut());
    assert!(first.is_none());
    assert_eq!(committed.recv().await, Some(1));
    for append in &mut appends[1..] {
        assert!(futures_util::FutureExt::now_or_never(append.as_mut()).is_none());
    }

    drop(release);

    for append in appends {
        append.await.unwrap();
    }
    assert_eq!(committed.recv().await, Some(10));
}

#[tokio::test]
async fn an_event_that_cannot_be_kept_spoils_no_other_of_its_batch() {
    let folder = TempDir::new().unwrap();
    let (store, mut committed, release) = held_store(&folder);
    let orders = endpoint(&store, "orders").await;
    let first = small(&orders);
    let twin = NewEvent {
        id: first.id,
        ..small(&orders)
    };
    let mut appends: Vec<_> = [first, small(&orders), twin, small(&orders)]
        .map(|event| Box::pin(store.append(event)))
        .into();
    assert!(futures_util::FutureExt::now_or_never(appends[0].as_mut()).is_none());
    assert_eq!(committed.recv().await, Some(1));
    for append in &mut appends[1..] {
        assert!(futures_util::FutureExt::now_or_never(append.as_mut()).is_none());
    }

    drop(release);

    let mut places = Vec::new();
    for append in appends {
        places.push(append.await.ok().map(|event| event.info.seq.0));
    }
    assert_eq!(places, [Some(1), Some(2), None, Some(3)]);
    let kept = store.events_after(orders.id, Seq(0), 9).await.unwrap();
    assert_eq!(kept.len(), 3);
}

#[tokio::test]
async fn a_key_file_that_was_lost_or_exchanged_is_named_at_the_start() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    endpoint(&store, "orders").await;
    store.close().await;
    let key = folder.path().join("secrets.key");
    let good = std::fs::read(&key).unwrap();

    std::fs::write(&key, [1; 32]).unwrap();
    let exchanged = Store::open(&options(folder.path()), Box::new(|_| {}));
    std::fs::remove_file(&key).unwrap();
    let lost = Store::open(&options(folder.path()), Box::new(|_| {}));

    for refused in [exchanged, lost] {
        let error = refused.err().unwrap();
        assert!(matches!(error, StoreError::Key { .. }), "{error}");
        assert!(error.to_string().contains("secrets.key"), "{error}");
    }
    assert!(!key.exists(), "no other key takes its place");
    std::fs::write(&key, good).unwrap();
    assert_eq!(open(&folder).endpoints().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_stays_as_it_was() {
    let folder = TempDir::new().unwrap();
    let database = folder.path().join("towline.db");
    std::fs::write(&database, "not a database, but long enough to look at").unwrap();

    let refused = Store::open(&options(folder.path()), Box::new(|_| {}));

    assert!(matches!(refused.err(), Some(StoreError::Failed(_))));
    assert!(
        std::fs::read(&database)
            .unwrap()
            .starts_with(b"not a database")
    );
}
