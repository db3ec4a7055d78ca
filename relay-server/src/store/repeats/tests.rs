//! The rules of the memory, on a database in memory.

use proptest::prelude::*;
use towline_shared::id::Seq;

use super::*;

const ORDERS: EndpointId = EndpointId(1);
const OTHER: EndpointId = EndpointId(2);
const LIFE: u64 = 20 * 60 * 60 * 1000;

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    let table =
        "CREATE TABLE signature_memory (place INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT";
    connection.execute_batch(table).unwrap();
    connection
}

fn small(of_one: usize, in_all: usize) -> Repeats {
    Repeats::within(Bounds {
        of_one,
        in_all,
        ..BOUNDS
    })
}

fn content(number: u64) -> Fingerprint {
    Fingerprint::from_bytes(u128::from(number).to_be_bytes())
}

fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The event with this content and place, received at `millis`.
fn id(seq: u64, millis: u64) -> EventId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&seq.to_be_bytes());
    EventId::new(time(millis), random)
}

fn remember(repeats: &mut Repeats, endpoint: EndpointId, seq: u64, millis: u64) {
    let place = Place::new(endpoint, Seq(seq));
    repeats.remember(place, content(seq), id(seq, millis));
}

fn commit(repeats: &mut Repeats, connection: &Connection) {
    repeats.write(connection).unwrap();
    repeats.committed();
}

/// Which contents of an endpoint are remembered.
fn known(repeats: &Repeats, endpoint: EndpointId, of: u64) -> Vec<u64> {
    (1..=of)
        .filter(|&seq| repeats.first(endpoint, content(seq), time(0)).is_some())
        .collect()
}

#[test]
fn a_content_is_known_from_its_first_event_on_and_only_in_its_endpoint() {
    let (connection, mut repeats) = (database(), Repeats::default());
    assert_eq!(repeats.first(ORDERS, content(1), time(5)), None);

    remember(&mut repeats, ORDERS, 1, 5);

    assert_eq!(
        repeats.first(ORDERS, content(1), time(6)),
        Some(id(1, 5)),
        "at once"
    );
    commit(&mut repeats, &connection);
    assert_eq!(repeats.first(ORDERS, content(1), time(6)), Some(id(1, 5)));
    assert_eq!(repeats.first(OTHER, content(1), time(6)), None);
}

#[test]
fn one_event_above_the_number_pushes_the_oldest_out() {
    let (connection, mut repeats) = (database(), small(3, 100));
    for seq in 1..=3 {
        remember(&mut repeats, ORDERS, seq, 0);
        commit(&mut repeats, &connection);
    }
    assert_eq!(known(&repeats, ORDERS, 4), [1, 2, 3]);

    remember(&mut repeats, ORDERS, 4, 0);
    commit(&mut repeats, &connection);

    assert_eq!(known(&repeats, ORDERS, 4), [2, 3, 4]);
    assert_eq!(rows(&connection), 3);
}

#[test]
fn in_all_the_fullest_endpoint_gives_way() {
    let (connection, mut repeats) = (database(), small(100, 5));
    remember(&mut repeats, OTHER, 1, 0);
    commit(&mut repeats, &connection);

    for seq in 1..=9 {
        remember(&mut repeats, ORDERS, seq, 0);
        commit(&mut repeats, &connection);
    }

    assert_eq!(known(&repeats, OTHER, 1), [1]);
    assert_eq!(known(&repeats, ORDERS, 9), [6, 7, 8, 9]);
    assert_eq!(rows(&connection), 5);
}

#[test]
fn a_content_is_new_again_after_its_time() {
    let (connection, mut repeats) = (database(), Repeats::default());
    remember(&mut repeats, ORDERS, 1, 1);
    commit(&mut repeats, &connection);
    assert_eq!(
        repeats.first(ORDERS, content(1), time(LIFE + 1)),
        Some(id(1, 1))
    );
    assert_eq!(repeats.first(ORDERS, content(1), time(LIFE + 2)), None);

    let later = id(2, LIFE + 2);
    repeats.remember(Place::new(ORDERS, Seq(2)), content(1), later);
    commit(&mut repeats, &connection);

    assert_eq!(
        repeats.first(ORDERS, content(1), time(LIFE + 3)),
        Some(later)
    );
    assert_eq!(rows(&connection), 1, "the old page is gone");
}

#[test]
fn a_rolled_back_transaction_has_remembered_and_forgotten_nothing() {
    let (connection, mut repeats) = (database(), small(2, 100));
    for seq in 1..=2 {
        remember(&mut repeats, ORDERS, seq, 0);
        commit(&mut repeats, &connection);
    }

    remember(&mut repeats, ORDERS, 3, 0);
    remember(&mut repeats, ORDERS, 4, 0);
    repeats.forget_endpoint(OTHER);
    connection.execute_batch("BEGIN").unwrap();
    repeats.write(&connection).unwrap();
    connection.execute_batch("ROLLBACK").unwrap();
    repeats.undo();

    assert_eq!(known(&repeats, ORDERS, 4), [1, 2]);
    assert_eq!((repeats.number, rows(&connection)), (2, 2));
}

#[test]
fn a_deleted_endpoint_is_forgotten_unless_its_deletion_is_rolled_back() {
    let (connection, mut repeats) = (database(), Repeats::default());
    remember(&mut repeats, ORDERS, 1, 0);
    remember(&mut repeats, OTHER, 2, 0);
    commit(&mut repeats, &connection);

    repeats.forget_endpoint(ORDERS);
    assert_eq!(known(&repeats, ORDERS, 2), [0_u64; 0]);
    repeats.undo();
    assert_eq!(known(&repeats, ORDERS, 2), [1]);
    repeats.forget_endpoint(ORDERS);
    commit(&mut repeats, &connection);

    assert_eq!(
        (known(&repeats, ORDERS, 2), known(&repeats, OTHER, 2)),
        (vec![], vec![2])
    );
    assert_eq!(repeats.number, 1);
    assert!(clear_step(&connection, ORDERS).unwrap());
    assert!(!clear_step(&connection, ORDERS).unwrap());
    assert_eq!(rows(&connection), 1, "the other endpoint's");
}

proptest! {
    /// Commits and rollbacks in any order: what is loaded is what was remembered, within the bounds.
    #[test]
    fn a_restart_finds_what_was_committed(
        batches in proptest::collection::vec((1_u64..40, 1_i64..4, 1_usize..6, any::<bool>()), 1..40),
    ) {
        let (connection, mut repeats) = (database(), small(12, 30));
        let mut seqs = [0_u64; 4];
        for (first, endpoint, number, is_committed) in batches {
            let seq = &mut seqs[usize::try_from(endpoint).unwrap()];
            let endpoint = EndpointId(endpoint);
            connection.execute_batch("BEGIN").unwrap();
            for step in 0..number as u64 {
                let content = content(first + step);
                if repeats.first(endpoint, content, time(0)).is_none() {
                    let place = Place::new(endpoint, Seq(*seq + step + 1));
                    repeats.remember(place, content, id(*seq + step + 1, 0));
                }
            }
            repeats.write(&connection).unwrap();
            if is_committed {
                connection.execute_batch("COMMIT").unwrap();
                repeats.committed();
                *seq += number as u64;
            } else {
                connection.execute_batch("ROLLBACK").unwrap();
                repeats.undo();
            }
            prop_assert!(repeats.number <= 30);
            prop_assert!(repeats.lines.values().all(|line| line.number <= 12));
            let loaded = Repeats::load(&connection).unwrap();
            prop_assert_eq!(&loaded.known, &repeats.known);
            prop_assert_eq!(loaded.number, repeats.number);
            prop_assert_eq!(loaded.number, loaded.known.len());
        }
    }
}

fn rows(connection: &Connection) -> u32 {
    let count = "SELECT count(*) FROM signature_memory";
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}
