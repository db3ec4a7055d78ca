//! The journal through ends of its process, at any byte.

use std::path::Path;

use proptest::prelude::*;
use towline_shared::id::Seq;
use towline_shared::outcome::{Outcome, Settled};
use towline_shared::wire::FromClient;

use super::memory::cut_off;
use super::*;

fn place(folder: &Path) -> JournalPlace {
    JournalPlace::new(
        folder,
        &"orders".parse().unwrap(),
        "key",
        &"localhost:3000".parse().unwrap(),
    )
}

fn open(folder: &Path) -> Journal {
    try_open(folder).unwrap()
}

fn try_open(folder: &Path) -> Result<Journal, JournalError> {
    Journal::open(place(folder).try_lock().unwrap().unwrap())
}

fn delivery(seq: u64) -> Delivery {
    Delivery {
        seq: Seq(seq),
        replay: None,
    }
}

fn begun(seq: u64, number: u32) -> Begun {
    Begun {
        event: EventId::from_bytes([u8::try_from(seq % 256).unwrap(); 16]),
        delivery: delivery(seq),
        number,
        started_at: Timestamp::from_millis(1),
        target: "http://localhost:3000/".into(),
    }
}

fn report(seq: u64, number: u32, settled: Option<Settled>) -> Report {
    Report {
        attempt: Attempt {
            outcome: Outcome::Answered {
                status: 200,
                body_length: 2,
                first_byte_micros: 5,
            },
            settled,
            ..cut_off(begun(seq, number)).attempt
        },
        sent_head: "POST / HTTP/1.1\r\n\r\n".into(),
        reply_head: "HTTP/1.1 200 OK\r\n\r\n".into(),
        reply_body: "ok".into(),
    }
}

fn stored(seq: u64, attempt: u32) -> Stored {
    Stored {
        delivery: delivery(seq),
        attempt,
    }
}

/// The attempts that wait for the relay, oldest first.
fn waiting(journal: &Journal) -> Vec<Attempt> {
    let frames = journal.outcomes_after(0, usize::MAX);
    let attempt = |frame: &Bytes| match FromClient::decode(frame).unwrap() {
        FromClient::Outcome(report) => report.attempt,
        other => panic!("{other:?}"),
    };
    frames.iter().map(|(_, frame)| attempt(frame)).collect()
}

#[test]
fn an_outcome_survives_the_process_until_the_relay_has_stored_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.begin(begun(1, 1)).unwrap();
    journal.finish(report(1, 1, Some(Settled::Done))).unwrap();
    drop(journal);

    let journal = open(folder.path());
    assert_eq!(
        waiting(&journal),
        [report(1, 1, Some(Settled::Done)).attempt]
    );
    assert!(journal.recall(delivery(1)).is_settled);
    journal.forget(stored(1, 1));
    journal.flush();
    drop(journal);

    let journal = open(folder.path());
    assert_eq!(waiting(&journal), []);
    assert_eq!(journal.recall(delivery(1)), Recollection::default());
}

#[test]
fn a_begun_attempt_of_an_ended_process_is_cut_off_and_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.begin(begun(1, 2)).unwrap();
    drop(journal);

    let journal = open(folder.path());
    let first = journal.recall(delivery(1));
    let second = journal.recall(delivery(1));

    assert_eq!(first.cut_off, Some(cut_off(begun(1, 2)).attempt));
    assert_eq!((first.last_number, first.is_settled), (2, false));
    assert_eq!((second.last_number, second.cut_off), (2, None));
    assert_eq!(waiting(&journal), [cut_off(begun(1, 2)).attempt]);
}

#[test]
fn the_number_of_a_former_attempt_is_known_also_after_the_relay_has_stored_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.begin(begun(1, 2)).unwrap();
    drop(journal);
    drop(open(folder.path()));

    let journal = open(folder.path());
    journal.forget(stored(1, 2));

    let recollection = journal.recall(delivery(1));
    assert_eq!(recollection.last_number, 2);
    assert_eq!(recollection.cut_off, Some(cut_off(begun(1, 2)).attempt));
}

#[test]
fn a_later_attempt_survives_the_outcome_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.finish(report(1, 1, None)).unwrap();
    journal.begin(begun(1, 2)).unwrap();
    journal
        .file
        .lock()
        .replace(journal.memory.lock().records())
        .unwrap();
    drop(journal);

    let numbers: Vec<_> = waiting(&open(folder.path()))
        .iter()
        .map(|attempt| attempt.number)
        .collect();

    assert_eq!(numbers, [1, 2]);
}

#[test]
fn an_attempt_that_was_taken_back_is_not_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    journal.begin(begun(1, 1)).unwrap();
    journal.take_back(delivery(1), 1).unwrap();
    drop(journal);

    assert_eq!(waiting(&open(folder.path())), []);
}

#[test]
fn outcomes_are_handed_out_once_for_each_reader_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    for seq in 1..=3 {
        journal.finish(report(seq, 1, None)).unwrap();
    }

    let first = journal.outcomes_after(0, 2);
    let rest = journal.outcomes_after(first[1].0, 2);

    assert_eq!((first.len(), rest.len()), (2, 1));
    assert!(journal.outcomes_after(rest[0].0, 2).is_empty());
}

#[test]
fn unsettled_attempts_of_one_delivery_wait_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    for number in 1..=8 {
        assert!(journal.has_room(delivery(1)), "{number}");
        journal.finish(report(1, number, None)).unwrap();
    }

    assert!(!journal.has_room(delivery(1)));
    journal.forget(stored(1, 3));
    assert!(journal.has_room(delivery(1)));
}

#[test]
fn a_long_journal_is_written_anew_with_what_is_alive() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let large = |seq| Report {
        reply_body: vec![7; 200_000].into(),
        ..report(seq, 1, None)
    };
    for seq in 1..=100 {
        journal.finish(large(seq)).unwrap();
        if seq != 50 {
            journal.forget(stored(seq, 1));
        }
    }
    journal.begin(begun(200, 1)).unwrap();
    drop(journal);

    let length = std::fs::metadata(&place(folder.path()).journal)
        .unwrap()
        .len();
    assert!(length < file::COMPACT_BYTES + 1_000_000, "{length}");
    let alive: Vec<_> = waiting(&open(folder.path()))
        .iter()
        .map(|attempt| attempt.delivery.seq.0)
        .collect();
    assert!(alive.contains(&50) && alive.contains(&200), "{alive:?}");
}

#[test]
fn damage_in_the_middle_is_told_with_its_place_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    for seq in 1..=3 {
        journal.begin(begun(seq, 1)).unwrap();
    }
    drop(journal);
    let path = place(folder.path()).journal;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let error = try_open(folder.path()).err().unwrap().to_string();

    assert!(
        error.contains("orders-") && error.contains("at byte 18") && error.contains("move it away"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(folder.path()).journal;
    std::fs::write(&path, "towline journal 2\nnew things").unwrap();

    let error = try_open(folder.path()).err().unwrap().to_string();

    assert!(error.contains("not a journal of this version"), "{error}");
    assert_eq!(
        std::fs::read(&path).unwrap(),
        b"towline journal 2\nnew things"
    );
}

#[test]
fn consumers_and_endpoints_have_their_own_journals() {
    let folder = Path::new("/state");
    let of = |endpoint: &str, key: &str, consumer: &str| {
        JournalPlace::new(
            folder,
            &endpoint.parse().unwrap(),
            key,
            &consumer.parse().unwrap(),
        )
    };

    let places = [
        of("x", "one", "c"),
        of("x", "two", "c"),
        of("y", "three", "c"),
        of("x", "one", "../d"),
    ];

    for (index, place) in places.iter().enumerate() {
        assert!(!places[..index].contains(place));
        assert_eq!(place.journal.parent(), Some(folder));
    }
}

#[tokio::test]
async fn two_processes_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let first = place.lock().await.unwrap();

    let refused = place.try_lock().unwrap();
    let owner = place.owner();
    let (second, ()) = tokio::join!(place.lock(), async { drop(first) });

    assert!(refused.is_none());
    assert_eq!(owner, Some(std::process::id().to_string()));
    assert!(second.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_cut_anywhere_opens_and_keeps_what_was_whole(count in 1_u64..6, cut in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path());
        let path = place(folder.path()).journal;
        let mut ends = vec![std::fs::metadata(&path).unwrap().len()];
        for seq in 1..=count {
            journal.finish(report(seq, 1, None)).unwrap();
            ends.push(std::fs::metadata(&path).unwrap().len());
        }
        drop(journal);
        let bytes = std::fs::read(&path).unwrap();
        let length = cut.index(bytes.len() + 1);
        std::fs::write(&path, &bytes[..length]).unwrap();

        let alive = waiting(&open(folder.path())).len();

        prop_assert_eq!(alive, ends[1..].iter().filter(|&&end| end <= length as u64).count());
    }

    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = records::read(&[records::HEADER, &bytes].concat());
    }
}
