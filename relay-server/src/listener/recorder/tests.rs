//! What the recorder makes of whole connections, against httparse as a second reader.

use proptest::prelude::*;

use super::*;

/// A connection seen by a second, independent reader: httparse for heads, a plain loop for bodies.
fn requests_of(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut heads = Vec::new();
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else {
            return heads;
        };
        let named = |name: &str| {
            let field = request
                .headers
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| String::from_utf8_lossy(field.value).into_owned())
        };
        let content_length = named("content-length");
        let is_chunked = named("transfer-encoding").is_some();
        let leading = bytes
            .iter()
            .take_while(|byte| b"\r\n".contains(byte))
            .count();
        heads.push(bytes[leading..length].to_vec());
        bytes = &bytes[length..];
        if is_chunked {
            bytes = behind_chunks(bytes);
        } else if let Some(body) = content_length {
            bytes = &bytes[body.parse::<usize>().unwrap()..];
        }
    }
}

fn behind_chunks(mut bytes: &[u8]) -> &[u8] {
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(bytes) else {
            panic!("the generated chunks are well-formed");
        };
        bytes = &bytes[line..];
        if size == 0 {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            let trailers = if bytes.starts_with(b"\r\n") {
                2
            } else {
                end.unwrap() + 4
            };
            return &bytes[trailers..];
        }
        bytes = &bytes[usize::try_from(size).unwrap() + 2..];
    }
}

/// Feeds the bytes in pieces, and gives what waits for the library.
fn recorded(bytes: &[u8], piece: usize) -> (Recorder, Vec<Result<Vec<u8>, Refusal>>) {
    let mut recorder = Recorder::default();
    for piece in bytes.chunks(piece.max(1)) {
        recorder.observe(piece);
    }
    let heads = recorder
        .waiting
        .iter()
        .map(|head| {
            head.as_ref()
                .map(|head| head.as_bytes().to_vec())
                .map_err(|refusal| *refusal)
        })
        .collect();
    (recorder, heads)
}

fn refusal_of(head: &str) -> Option<Refusal> {
    let mut refusals: Vec<_> = (1..=head.len())
        .map(|piece| recorded(head.as_bytes(), piece))
        .map(|(recorder, heads)| {
            let refusal = heads.into_iter().find_map(Result::err);
            assert_eq!(refusal.is_some(), recorder.place == Place::Lost, "{head:?}");
            refusal
        })
        .collect();
    refusals.dedup();
    assert_eq!(
        refusals.len(),
        1,
        "the same however the bytes are cut: {refusals:?}"
    );
    refusals.remove(0)
}

#[test]
fn heads_that_two_readers_may_read_in_two_ways_are_refused() {
    use Refusal::{BareLineFeed, Length, Malformed, TwoCodings, TwoFramings, TwoLengths};
    for (head, refusal) in [
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", None),
        ("\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n", None),
        ("POST / HTTP/1.1\nHost: a\r\n\r\n", Some(BareLineFeed)),
        ("POST / HTTP/1.1\r\nHost: a\n\r\n", Some(BareLineFeed)),
        ("POST / HTTP/1.1\r\nHost: a\r\n\n", Some(BareLineFeed)),
        ("POST / HTTP/1.1\n\n", Some(BareLineFeed)),
        ("\nPOST / HTTP/1.1\r\n\r\n", Some(BareLineFeed)),
        ("\rPOST / HTTP/1.1\r\n\r\n", Some(Malformed)),
        ("POST / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", Some(Malformed)),
        ("POST / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", Some(Malformed)),
        ("POST / HTTP/1.1\r\nA : b\r\n\r\n", Some(Malformed)),
        ("POST / HTTP/1.1\r\nA: \0\r\n\r\n", Some(Malformed)),
        ("POST / HTTP/1.1\r\nA: b\rc\r\n\r\n", Some(Malformed)),
        ("POST / HTTP/1.1\r\n: b\r\n\r\n", Some(Malformed)),
        (
            "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
            Some(Length),
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
            Some(Length),
        ),
        ("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", Some(Length)),
        (
            "POST / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n",
            Some(TwoLengths),
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            Some(TwoFramings),
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n",
            Some(TwoCodings),
        ),
    ] {
        assert_eq!(refusal_of(head), refusal, "{head:?}");
    }
}

#[test]
fn an_earlier_request_of_the_connection_stays_recorded_when_a_later_one_is_refused() {
    let (_, heads) = recorded(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\n\n", 1000);

    assert_eq!(heads[0].as_deref(), Ok(&b"GET /a HTTP/1.1\r\n\r\n"[..]));
    assert_eq!(heads[1], Err(Refusal::BareLineFeed));
}

#[test]
fn codings_besides_chunked_leave_the_head_to_the_library() {
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";

    let (recorder, heads) = recorded(head, 7);

    assert_eq!(recorder.place, Place::Lost);
    assert_eq!(heads, []);
}

#[test]
fn a_head_at_the_limit_is_recorded_and_one_byte_more_is_not() {
    let head = |length: usize| {
        let frame = "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
        format!(
            "GET / HTTP/1.1\r\nA: {}\r\n\r\n",
            "b".repeat(length - frame)
        )
    };

    let (_, at_limit) = recorded(head(MAX_HEAD_BYTES).as_bytes(), 4096);
    let (recorder, above) = recorded(head(MAX_HEAD_BYTES + 1).as_bytes(), 4096);

    assert_eq!(at_limit.len(), 1);
    assert!(above.iter().all(Result::is_err));
    assert_eq!(recorder.place, Place::Lost);
    assert_eq!(recorder.head.capacity(), 0);
}

#[test]
fn a_head_that_never_ends_is_not_kept() {
    let mut recorder = Recorder::default();
    recorder.observe(b"GET / HTTP/1.1\r\nA: ");

    for _ in 0..17 {
        recorder.observe(&[b'a'; 4096]);
    }

    assert_eq!(recorder.place, Place::Lost);
    assert_eq!(recorder.head.capacity(), 0);
}

#[test]
fn more_pipelined_heads_than_may_wait_end_the_recording() {
    let pipelined = b"GET / HTTP/1.1\r\n\r\n".repeat(MAX_WAITING + 1);

    let (all_but_one, heads) = recorded(&pipelined[18..], 100_000);
    let (recorder, _) = recorded(&pipelined, 100_000);

    assert_eq!(heads.len(), MAX_WAITING);
    assert_eq!(all_but_one.place, Place::Between);
    assert_eq!(recorder.place, Place::Lost);
}

#[test]
fn nothing_is_recorded_after_an_upgrade() {
    let (mut recorder, _) = recorded(b"GET /v1/connect HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", 9);

    recorder.upgrade();
    recorder.observe(b"\x82\x05hello\n\n\r\n");

    assert_eq!(recorder.place, Place::Upgraded);
    assert!(recorder.waiting.is_empty() && recorder.head.is_empty());
}

#[test]
fn a_request_that_the_library_sees_otherwise_ends_the_recording() {
    let (mut recorder, _) = recorded(b"GET /a HTTP/1.1\r\n\r\n", 9);
    let shown = http::Request::get("/b").body(()).unwrap().into_parts().0;

    let taken = recorder.take(&shown);

    assert!(matches!(taken, Recorded::Unknown));
    assert_eq!(recorder.place, Place::Lost);
}

#[derive(Clone, Debug)]
enum BodyShape {
    None,
    Length(Vec<u8>),
    Chunks(Vec<Vec<u8>>, String),
}

fn any_body() -> impl Strategy<Value = BodyShape> {
    let bytes =
        || proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..60);
    let chunk = proptest::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        Just(BodyShape::None),
        bytes().prop_map(BodyShape::Length),
        (
            proptest::collection::vec(chunk, 0..5),
            "(;[a-z]{1,5}(=[a-z\" ]{0,6})?)?"
        )
            .prop_map(|(chunks, extension)| BodyShape::Chunks(chunks, extension)),
    ]
}

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let field = ("[A-Za-z-]{1,12}", "[ \t]{0,2}[!-~]{0,20}[ \t]{0,2}");
    let named = "Content-Length|Transfer-Encoding";
    let fields = proptest::collection::vec(field, 0..8).prop_filter(
        "framing is put in below",
        move |fields| {
            fields.iter().all(|(name, _)| {
                !named
                    .split('|')
                    .any(|named| named.eq_ignore_ascii_case(name))
            })
        },
    );
    let trailer = proptest::option::of("[A-Za-z]{1,8}: [a-z]{0,8}");
    (
        "(\r\n){0,2}",
        "[A-Za-z!#]{1,8}",
        "/[!-~]{0,20}",
        fields,
        any_body(),
        trailer,
    )
        .prop_map(|(leading, method, target, fields, body, trailer)| {
            let mut bytes = format!("{leading}{method} {target} HTTP/1.1\r\n").into_bytes();
            for (name, value) in fields {
                bytes.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            }
            match body {
                BodyShape::None => bytes.extend_from_slice(b"\r\n"),
                BodyShape::Length(body) => {
                    bytes.extend_from_slice(
                        format!("content-length: {}\r\n\r\n", body.len()).as_bytes(),
                    );
                    bytes.extend_from_slice(&body);
                }
                BodyShape::Chunks(chunks, extension) => {
                    bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in chunks {
                        bytes.extend_from_slice(
                            format!("{:X}{extension}\r\n", chunk.len()).as_bytes(),
                        );
                        bytes.extend_from_slice(&chunk);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    bytes.extend_from_slice(b"0\r\n");
                    if let Some(trailer) = trailer {
                        bytes.extend_from_slice(format!("{trailer}\r\n").as_bytes());
                    }
                    bytes.extend_from_slice(b"\r\n");
                }
            }
            bytes
        })
}

proptest! {
    #[test]
    fn every_head_of_a_connection_is_recorded_as_a_second_reader_sees_it(
        requests in proptest::collection::vec(any_request(), 1..6),
        piece in 1_usize..200,
    ) {
        let connection = requests.concat();

        let (recorder, heads) = recorded(&connection, piece);

        let expected: Vec<_> = requests_of(&connection).into_iter().map(Ok).collect();
        prop_assert_eq!(heads.len(), requests.len());
        prop_assert_eq!(heads, expected);
        prop_assert_eq!(recorder.place, Place::Between);
    }

    #[test]
    fn any_bytes_in_any_pieces_give_the_same_and_never_a_panic(
        bytes in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'G'), Just(b'/'), any::<u8>()],
            0..300,
        ),
        piece in 1_usize..50,
    ) {
        let whole = recorded(&bytes, bytes.len());
        let pieces = recorded(&bytes, piece);

        prop_assert_eq!(whole.0.place, pieces.0.place);
        prop_assert_eq!(whole.1, pieces.1);
    }

    #[test]
    fn a_recorded_head_is_one_that_httparse_takes(
        request in any_request(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(0), any::<u8>()],
    ) {
        let mut bytes = request;
        let place = at.index(bytes.len());
        bytes[place] = byte;

        let (_, heads) = recorded(&bytes, bytes.len());

        for head in heads.into_iter().flatten() {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut fields);
            let is_utf8_target = std::str::from_utf8(&head).is_ok();
            let parsed = request.parse(&head);
            prop_assert!(parsed == Ok(httparse::Status::Complete(head.len())) || !is_utf8_target, "{}", head.escape_ascii());
        }
    }
}
