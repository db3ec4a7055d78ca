//! The store through its interface, on real files.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use bytes::Bytes;
use futures_util::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;
use towline_shared::event::{EventKind, HeadSource};
use towline_shared::head::Head;
use towline_shared::id::{EndpointKey, ReplayId, TokenId};
use towline_shared::outcome::{Attempt, Delivery, Outcome, Settled};
use towline_shared::secret::Secret;
use towline_shared::verdict::Verdict;

use super::*;

mod odd_moments;
mod own_requests;
mod retention;
mod signatures;

fn options(folder: &Path) -> StoreOptions {
    StoreOptions {
        folder: folder.to_owned(),
        queue: 1024,
    }
}

fn open(folder: &TempDir) -> Store {
    Store::open(&options(folder.path()), Box::new(|_| {})).unwrap()
}

fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

async fn endpoint(store: &Store, text: &str) -> Endpoint {
    let mut random = [0; 20];
    getrandom::fill(&mut random).unwrap();
    let new = NewEndpoint {
        name: name(text),
        key: EndpointKey::new(random),
        settings: EndpointSettings {
            provider: Some("github".to_owned()),
            parameters: [("a".to_owned(), "b".to_owned())].into(),
            max_body: 1 << 20,
            ..EndpointSettings::default()
        },
        created_at: time(1),
        secrets: vec![secret("live", "one")],
    };
    store.create_endpoint(new).await.unwrap()
}

fn secret(text: &str, content: &str) -> NamedSecret {
    NamedSecret {
        name: name(text),
        secret: Secret::new(content),
        created_at: time(1),
    }
}

fn event(endpoint: &Endpoint, body: Body) -> NewEvent {
    let mut random = [0; 10];
    getrandom::fill(&mut random).unwrap();
    NewEvent {
        endpoint: endpoint.id,
        endpoint_name: endpoint.name.clone(),
        id: EventId::new(time(1_000), random),
        received_at: time(1_000),
        remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tls: true,
        kind: EventKind::Webhook,
        answered: None,
        verdict: Verdict::Unchecked,
        is_deliverable: true,
        head: Head::parse(&b"POST /in/k?q HTTP/1.1\r\nX-a: 1\r\n\r\n"[..]).unwrap(),
        head_source: HeadSource::Recorded,
        body,
        delivery_id: Some("d".to_owned()),
        event_type: None,
        remember: None,
    }
}

fn small(endpoint: &Endpoint) -> NewEvent {
    event(endpoint, Body::Inline(Bytes::from_static(b"body")))
}

async fn append_many(store: &Store, endpoint: &Endpoint, count: usize) -> Vec<Arc<StoredEvent>> {
    let mut kept = Vec::new();
    for _ in 0..count {
        kept.push(store.append(small(endpoint)).await.unwrap());
    }
    kept
}

fn report(event: &StoredEvent, number: u32, settled: Option<Settled>) -> Report {
    Report {
        attempt: Attempt {
            event: event.info.id,
            delivery: Delivery {
                seq: event.info.seq,
                replay: None,
            },
            number,
            started_at: time(2),
            duration_micros: 3,
            target: "http://localhost:3000/".to_owned(),
            outcome: Outcome::CutOff,
            settled,
            retry_after_millis: None,
            changes: Vec::new(),
            sent_body_sha256: None,
            sent_body_length: 0,
            findings: Vec::new(),
        },
        sent_head: Bytes::from_static(b"sent"),
        reply_head: Bytes::from_static(b"reply"),
        reply_body: Bytes::from_static(b"body"),
    }
}

async fn consumer(store: &Store, endpoint: &Endpoint, start: Start) -> OpenedConsumer {
    let laptop = name("laptop");
    let opened = store.open_consumer(endpoint.id, &laptop, start, time(5));
    opened.await.unwrap()
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let kept = append_many(&store, &orders, 3).await;
    store.close().await;

    let store = open(&folder);
    let events = store.events_after(orders.id, Seq(0), 10).await.unwrap();
    let more = store.append(small(&orders)).await.unwrap();
    let endpoints = store.endpoints().await.unwrap();

    let seqs: Vec<_> = events.iter().map(|event| event.info.seq.0).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(more.info.seq, Seq(4));
    assert_eq!(events[1].info, kept[1].info);
    assert_eq!(events[1].head, kept[1].head);
    let Body::Inline(body) = &events[1].body else {
        panic!("a small body stands in its row");
    };
    assert_eq!(body, &b"body"[..]);
    assert_eq!(endpoints[0].name, orders.name);
    assert_eq!(endpoints[0].settings.parameters, orders.settings.parameters);
    assert_eq!(endpoints[0].secrets[0].secret.expose(), b"one");
}

#[tokio::test]
async fn concurrent_events_get_places_without_holes_and_are_told_in_order() {
    let folder = TempDir::new().unwrap();
    let told: Arc<Mutex<Vec<u64>>> = Arc::default();
    let teller = Arc::clone(&told);
    let on_committed: OnCommitted = Box::new(move |events| {
        teller
            .lock()
            .extend(events.iter().map(|event| event.info.seq.0));
    });
    let store = Store::open(&options(folder.path()), on_committed).unwrap();
    let orders = endpoint(&store, "orders").await;

    let appends = (0..200).map(|_| store.append(small(&orders)));
    let kept = join_all(appends).await;

    let mut seqs: Vec<_> = kept
        .into_iter()
        .map(|kept| kept.unwrap().info.seq.0)
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
    assert_eq!(*told.lock(), (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_full_queue_refuses_the_next_event_at_once() {
    let folder = TempDir::new().unwrap();
    let (committing, mut committed) = tokio::sync::mpsc::unbounded_channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let on_committed: OnCommitted = Box::new(move |_| {
        committing.send(()).unwrap();
        // Ends when the test drops its side.
        let _ = held.lock().recv();
    });
    let few = StoreOptions {
        queue: 2,
        ..options(folder.path())
    };
    let store = Store::open(&few, on_committed).unwrap();
    let orders = endpoint(&store, "orders").await;
    let first = tokio::spawn({
        let store = store.clone();
        let event = small(&orders);
        async move { store.append(event).await }
    });
    committed.recv().await.unwrap();

    let mut appends: Vec<_> = (0..4)
        .map(|_| Box::pin(store.append(small(&orders))))
        .collect();
    let polled: Vec<_> = appends
        .iter_mut()
        .map(futures_util::FutureExt::now_or_never)
        .collect();
    drop(release);

    assert!(polled[0].is_none() && polled[1].is_none(), "two wait");
    for refused in &polled[2..] {
        assert!(
            matches!(refused, Some(Err(StoreError::Busy))),
            "{refused:?}"
        );
    }
    assert!(first.await.unwrap().is_ok());
    for waiting in appends.drain(..2) {
        assert!(waiting.await.is_ok());
    }
    assert!(store.append(small(&orders)).await.is_ok(), "it recovers");
}

#[tokio::test]
async fn an_event_of_an_endpoint_that_is_gone_spoils_no_other() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let gone = endpoint(&store, "gone").await;
    store.delete_endpoint(&gone.name).await.unwrap();

    let (bad, good) = tokio::join!(store.append(small(&gone)), store.append(small(&orders)));

    assert!(matches!(
        bad,
        Err(StoreError::Missing {
            what: "endpoint",
            ..
        })
    ));
    assert_eq!(good.unwrap().info.seq, Seq(1));
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_without_a_hole() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    append_many(&store, &orders, 1).await;
    let limit = |pages: Option<i64>| {
        store.write(move |writing| {
            let now: i64 = writing
                .connection
                .pragma_query_value(None, "page_count", |row| row.get(0))?;
            let pages = pages.unwrap_or(now);
            writing.connection.pragma_update_and_check(
                None,
                "max_page_count",
                pages,
                |_| Ok(()),
            )?;
            Ok(())
        })
    };

    limit(None).await.unwrap();
    let large = || event(&orders, Body::Inline(Bytes::from(vec![7; 60_000])));
    let refused = store.append(large()).await;
    limit(Some(1_000_000)).await.unwrap();
    let kept = store.append(large()).await;

    assert!(
        matches!(refused, Err(StoreError::Unwritable { .. })),
        "{refused:?}"
    );
    assert_eq!(kept.unwrap().info.seq, Seq(2));
}

#[tokio::test]
async fn a_database_in_a_folder_that_all_may_read_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let open_to_all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open_to_all).unwrap();

    let store = open(&folder);
    endpoint(&store, "orders").await;

    for file in ["towline.db", "towline.db-wal", "towline.db-shm"] {
        let kept = std::fs::metadata(folder.path().join(file)).unwrap();
        assert_eq!(kept.permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn outcomes_move_the_cursor_in_any_order_and_only_once() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 4).await;
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    assert_eq!(
        (laptop.backlog, laptop.is_new, laptop.earlier),
        (4, true, 0)
    );

    for (event, number, settled) in [
        (&events[1], 1, Some(Settled::Done)),
        (&events[0], 1, None),
        (&events[0], 1, None),
        (&events[3], 1, Some(Settled::Failed)),
    ] {
        store
            .record(laptop.id, report(event, number, settled))
            .await
            .unwrap();
    }
    store.close().await;
    let store = open(&folder);
    let again = consumer(&store, &orders, Start::Now).await;

    assert!(!again.is_new);
    assert_eq!(again.cursor, Seq(0));
    assert_eq!(again.settled_ahead, [(Seq(2), Seq(2)), (Seq(4), Seq(4))]);
    assert_eq!(again.attempts, [(Seq(1), 1)]);
    assert_eq!(again.backlog, 2);
    store
        .record(again.id, report(&events[0], 2, Some(Settled::Done)))
        .await
        .unwrap();
    let listed = store.consumers(orders.id).await.unwrap();
    assert_eq!((listed[0].cursor, listed[0].backlog), (Seq(2), 1));
    assert_eq!(store.attempts(events[0].info.id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_attempt_of_a_taken_number_settles_all_the_same_and_gets_its_own() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 1).await;
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    store
        .record(laptop.id, report(&events[0], 1, None))
        .await
        .unwrap();
    let mut late = report(&events[0], 1, Some(Settled::Done));
    late.attempt.started_at = time(1);

    store.record(laptop.id, late.clone()).await.unwrap();
    store.record(laptop.id, late).await.unwrap();

    assert_eq!(consumer(&store, &orders, Start::Now).await.cursor, Seq(1));
    let attempts = store.attempts(events[0].info.id).await.unwrap();
    let numbers: Vec<_> = attempts.iter().map(|kept| kept.attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test]
async fn a_report_of_the_highest_number_harms_nothing() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 1).await;
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    let mut wrong = report(&events[0], 1, Some(Settled::Done));
    wrong.attempt.delivery.seq = Seq(u64::MAX);

    let refused = store.record(laptop.id, wrong).await;

    assert!(matches!(refused, Err(StoreError::Missing { .. })));
    assert!(store.append(small(&orders)).await.is_ok());
}

#[tokio::test]
async fn a_report_about_another_event_is_refused() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 2).await;
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    let mut wrong = report(&events[0], 1, Some(Settled::Done));
    wrong.attempt.delivery.seq = Seq(2);

    let result = store.record(laptop.id, wrong).await;

    assert!(matches!(
        result,
        Err(StoreError::Missing { what: "event", .. })
    ));
    assert_eq!(consumer(&store, &orders, Start::Now).await.cursor, Seq(0));
}

#[tokio::test]
async fn rejected_events_are_passed_and_do_not_count_as_backlog() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let first = store.append(small(&orders)).await.unwrap();
    let rejected = NewEvent {
        is_deliverable: false,
        ..small(&orders)
    };
    store.append(rejected).await.unwrap();
    let third = store.append(small(&orders)).await.unwrap();
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    assert_eq!(laptop.backlog, 2);

    store
        .record(laptop.id, report(&third, 1, Some(Settled::Done)))
        .await
        .unwrap();
    store
        .record(laptop.id, report(&first, 1, Some(Settled::Done)))
        .await
        .unwrap();

    let again = consumer(&store, &orders, Start::Now).await;
    assert_eq!((again.cursor, again.backlog), (Seq(3), 0));
    let query = EventQuery {
        endpoint: Some(orders.id),
        before: None,
        rejected_only: true,
        limit: 10,
    };
    assert_eq!(store.list_events(query).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_consumer_starts_where_it_says() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let mut ids = Vec::new();
    for second in 1..=5 {
        let at = time(second * 1_000);
        let new = NewEvent {
            received_at: at,
            ..small(&orders)
        };
        ids.push(store.append(new).await.unwrap().info.id);
    }

    for (reader, start, cursor) in [
        ("a", Start::Now, 5),
        ("b", Start::Beginning, 0),
        ("c", Start::Last, 4),
        ("d", Start::Time(time(2_500)), 2),
        ("e", Start::Time(time(3_000)), 2),
        ("f", Start::Time(time(9_000)), 5),
        ("g", Start::Event(ids[3]), 3),
    ] {
        let reader_name = name(reader);
        let opened = store.open_consumer(orders.id, &reader_name, start, time(5));
        let opened = opened.await.unwrap();
        assert_eq!(opened.cursor, Seq(cursor), "{reader}");
        assert_eq!(opened.earlier, cursor, "{reader}");
        assert_eq!(opened.backlog, 5 - cursor, "{reader}");
    }
    let unknown = EventId::new(time(1), [9; 10]);
    let late = name("h");
    let opened = store.open_consumer(orders.id, &late, Start::Event(unknown), time(5));
    assert!(matches!(
        opened.await,
        Err(StoreError::Missing { what: "event", .. })
    ));
}

#[tokio::test]
async fn a_large_body_lives_in_a_file_that_goes_with_its_event() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let mut writer = store.new_body().await.unwrap();
    writer.write(Bytes::from(vec![1; 70_000])).await.unwrap();
    writer.write(Bytes::from_static(b"end")).await.unwrap();
    let file = writer.finish().await.unwrap();
    let path = file.path().to_owned();

    let kept = store
        .append(event(&orders, Body::File(file)))
        .await
        .unwrap();
    store.close().await;
    let store = open(&folder);
    let read = store.event(kept.info.id).await.unwrap().unwrap();

    let Body::File(file) = &read.body else {
        panic!("a large body lies in a file");
    };
    assert_eq!((file.path(), file.length()), (path.as_path(), 70_003));
    assert!(std::fs::read(&path).unwrap().ends_with(b"\x01end"));
    assert_eq!(store.trim(orders.id, Seq(1)).await.unwrap(), 1);
    store.close().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn bodies_that_no_event_names_are_removed() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let bodies = || {
        std::fs::read_dir(folder.path().join("bodies"))
            .unwrap()
            .count()
    };

    let mut writer = store.new_body().await.unwrap();
    writer.write(Bytes::from_static(b"x")).await.unwrap();
    drop(writer);
    assert_eq!(bodies(), 0, "an upload that was given up");
    let writer = store.new_body().await.unwrap();
    drop(writer.finish().await.unwrap());
    assert_eq!(bodies(), 0, "a body whose event was not kept");
    store.close().await;
    std::fs::write(folder.path().join("bodies/left.tmp"), "x").unwrap();
    open(&folder).close().await;

    assert_eq!(bodies(), 0, "a body that a killed relay left");
}

#[tokio::test]
async fn trimming_leaves_places_and_counts_as_they_were() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let laptop = consumer(&store, &orders, Start::Beginning).await;
    let events = append_many(&store, &orders, 250).await;

    let removed = store.trim(orders.id, Seq(240)).await.unwrap();

    assert_eq!(removed, 240);
    let again = consumer(&store, &orders, Start::Now).await;
    assert_eq!((again.backlog, again.oldest_kept), (10, Seq(241)));
    store
        .record(laptop.id, report(&events[0], 1, Some(Settled::Done)))
        .await
        .unwrap();
    store.trim(orders.id, Seq(900)).await.unwrap();
    store.close().await;
    let store = open(&folder);
    assert_eq!(
        store.append(small(&orders)).await.unwrap().info.seq,
        Seq(251)
    );
}

#[tokio::test]
async fn replays_wait_until_they_are_settled() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 1).await;
    let laptop = consumer(&store, &orders, Start::Now).await;
    let id = ReplayId::new(time(1), [1; 10]);

    store
        .add_replay(id, events[0].info.id, Some(laptop.id), time(7), None)
        .await
        .unwrap();
    let mut tried = report(&events[0], 1, None);
    tried.attempt.delivery.replay = Some(id);
    store.record(laptop.id, tried.clone()).await.unwrap();
    let pending = store.pending_replays(laptop.id, 10).await.unwrap();
    tried.attempt.number = 2;
    tried.attempt.settled = Some(Settled::Done);
    store.record(laptop.id, tried).await.unwrap();

    assert_eq!((pending[0].id, pending[0].attempts), (id, 1));
    assert!(
        store
            .pending_replays(laptop.id, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.attempts(events[0].info.id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn pages_of_events_go_from_new_to_old_with_the_latest_attempt() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let other = endpoint(&store, "other").await;
    let events = append_many(&store, &orders, 5).await;
    append_many(&store, &other, 1).await;
    let made_by = name("me@laptop");
    store
        .record_outside(&made_by, report(&events[4], 1, None))
        .await
        .unwrap();
    let page = |before| EventQuery {
        endpoint: Some(orders.id),
        before,
        rejected_only: false,
        limit: 3,
    };

    let first = store.list_events(page(None)).await.unwrap();
    let second = store
        .list_events(page(Some(first[2].info.id)))
        .await
        .unwrap();
    let all = EventQuery {
        endpoint: None,
        limit: 100,
        ..page(None)
    };

    let seqs = |page: &[EventSummary]| {
        page.iter()
            .map(|event| event.info.seq.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(&first), [5, 4, 3]);
    assert_eq!(seqs(&second), [2, 1]);
    assert_eq!(
        (first[0].method.as_str(), first[0].target.as_str()),
        ("POST", "/in/k?q")
    );
    assert!(first[0].latest_attempt.is_some() && first[1].latest_attempt.is_none());
    assert_eq!(store.list_events(all).await.unwrap().len(), 6);
    let attempts = store.attempts(events[4].info.id).await.unwrap();
    assert_eq!(attempts[0].consumer, made_by);
}

#[tokio::test]
async fn secrets_are_named_replaced_on_request_and_never_plain_on_disk() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let taken = store
        .put_secret(&orders.name, secret("live", "two"), false)
        .await;
    assert!(matches!(
        taken,
        Err(StoreError::Exists { what: "secret", .. })
    ));

    store
        .put_secret(&orders.name, secret("live", "plain-text-secret"), true)
        .await
        .unwrap();
    let changed = store
        .put_secret(&orders.name, secret("next", "three"), false)
        .await
        .unwrap();
    store
        .remove_secret(&orders.name, &name("next"))
        .await
        .unwrap();
    store.close().await;

    assert_eq!(changed.secrets.len(), 2);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            let found = memchr::memmem::find(&content, b"plain-text-secret");
            assert!(found.is_none(), "{}", path.display());
        }
    }
    std::fs::write(folder.path().join("secrets.key"), [3; 32]).unwrap();
    let error = Store::open(&options(folder.path()), Box::new(|_| {}))
        .err()
        .unwrap();
    assert!(matches!(error, StoreError::Key { .. }), "{error}");
}

#[tokio::test]
async fn a_deleted_endpoint_is_gone_and_its_name_is_free() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    let events = append_many(&store, &orders, 120).await;
    consumer(&store, &orders, Start::Now).await;

    store.delete_endpoint(&orders.name).await.unwrap();

    assert!(store.endpoints().await.unwrap().is_empty());
    assert!(store.event(events[0].info.id).await.unwrap().is_none());
    let again = endpoint(&store, "orders").await;
    assert_ne!(again.id, orders.id);
    assert_eq!(store.append(small(&again)).await.unwrap().info.seq, Seq(1));
}

#[tokio::test]
async fn tokens_work_until_they_expire_or_are_revoked() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let new = |sha256, expires_at| NewToken {
        id: TokenId::new(time(1), [sha256; 10]),
        name: "laptop".to_owned(),
        sha256: [sha256; 32],
        scopes: vec![Scope::Read, Scope::Listen],
        created_at: time(1),
        expires_at,
    };
    let first = store.create_token(new(1, None)).await.unwrap();
    store.create_token(new(2, Some(time(100)))).await.unwrap();
    assert!(matches!(
        store.create_token(new(1, None)).await,
        Err(StoreError::Exists { .. })
    ));

    let works = async |sha256, now| {
        store
            .token([sha256; 32], time(now))
            .await
            .unwrap()
            .is_some()
    };
    assert!(works(1, 50).await && works(2, 99).await);
    assert!(!works(2, 100).await, "expired");
    store.revoke_token(first.id, time(60)).await.unwrap();
    store.revoke_token(first.id, time(70)).await.unwrap();

    assert!(!works(1, 61).await, "revoked");
    let tokens = store.tokens().await.unwrap();
    assert_eq!(tokens.len(), 2);
    assert!(
        tokens
            .iter()
            .any(|token| token.revoked_at == Some(time(60)))
    );
}

#[tokio::test]
async fn a_newer_database_is_refused_with_both_numbers() {
    let folder = TempDir::new().unwrap();
    open(&folder).close().await;
    let database = Connection::open(folder.path().join("towline.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);

    let error = Store::open(&options(folder.path()), Box::new(|_| {}))
        .err()
        .unwrap();

    let words = error.to_string();
    assert!(
        words.starts_with("database has schema 99, this version knows up to "),
        "{words}"
    );
    assert!(!words.ends_with(" 99"), "{words}");
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let orders = endpoint(&store, "orders").await;
    store.close().await;

    assert!(matches!(
        store.append(small(&orders)).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(store.tokens().await, Err(StoreError::Closed)));
    assert!(matches!(store.probe().await, Err(StoreError::Closed)));
}
