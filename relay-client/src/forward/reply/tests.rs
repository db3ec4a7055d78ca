//! Replies of all shapes, cut anywhere.

use proptest::prelude::*;

use super::*;

fn read(method: &str, bytes: &[u8]) -> Result<ReplyReader, ReplyError> {
    let mut reader = ReplyReader::new(method);
    reader.feed(bytes)?;
    if !reader.is_done() {
        reader.end()?;
    }
    Ok(reader)
}

fn error(bytes: impl AsRef<[u8]>) -> ReplyError {
    read("POST", bytes.as_ref()).unwrap_err()
}

#[test]
fn a_body_ends_by_its_length_by_chunks_or_by_the_close() {
    for (text, can_stay_open) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true),
        ("HTTP/1.1 200\r\ncontent-length: 2, 2\r\n\r\nhi", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhi", false),
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nhi",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more",
            false,
        ),
    ] {
        let reader = read("POST", text.as_bytes()).unwrap();

        assert_eq!((reader.status(), reader.body_length()), (200, 2), "{text}");
        assert_eq!(reader.can_stay_open(), can_stay_open, "{text}");
        assert_eq!(reader.into_parts().1, "hi", "{text}");
    }
}

#[test]
fn replies_without_a_body_end_with_their_head() {
    let text = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");

    for (method, status) in [
        ("HEAD", "200 OK"),
        ("POST", "204 No Content"),
        ("POST", "304 Not Modified"),
    ] {
        let reader = read(method, text(status).as_bytes()).unwrap();
        assert!(
            reader.can_stay_open() && reader.body_length() == 0,
            "{method} {status}"
        );
    }
    assert_eq!(error(text("200 OK")), ReplyError::HalfBody { got: 0 });
}

#[test]
fn interim_replies_are_skipped_up_to_a_limit() {
    let text = |count: u32| {
        format!(
            "{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 103 Hints\r\n\r\n".repeat(count as usize)
        )
    };

    let reader = read("POST", text(MAX_INTERIM_REPLIES).as_bytes()).unwrap();

    assert_eq!(reader.status(), 200);
    assert!(reader.into_parts().0.starts_with(b"HTTP/1.1 200"));
    assert_eq!(
        error(text(MAX_INTERIM_REPLIES + 1)),
        ReplyError::TooManyInterim
    );
}

#[test]
fn what_is_no_reply_is_named() {
    assert_eq!(error(""), ReplyError::NoReply);
    assert_eq!(error("HTTP/1.1 200"), ReplyError::HalfHead);
    assert!(matches!(error("SSH-2.0-x\r\n"), ReplyError::NotHttp(_)));
    assert!(matches!(
        error("HTTP/1.1 2x0 OK\r\n\r\n"),
        ReplyError::NotHttp(_)
    ));
    assert!(matches!(
        error("HTTP/1.1 099 OK\r\n\r\n"),
        ReplyError::NotHttp(_)
    ));
    assert!(matches!(
        error("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
        ReplyError::NotHttp(_)
    ));
    assert_eq!(
        error("HTTP/1.1 101 Switching\r\n\r\n"),
        ReplyError::Upgraded
    );
    for length in ["-1", "+5", "1, 2", "", "x", "99999999999999999999"] {
        assert_eq!(
            error(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            )),
            ReplyError::Length,
            "{length}"
        );
    }
    assert_eq!(
        error("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        ReplyError::Length
    );
}

#[test]
fn a_head_has_its_limits() {
    let fields = |count: usize| format!("HTTP/1.1 204 x\r\n{}\r\n", "a: b\r\n".repeat(count));
    let bytes = |length: usize| format!("HTTP/1.1 204 x\r\na: {}\r\n\r\n", "b".repeat(length - 23));

    assert!(read("GET", fields(MAX_FIELDS).as_bytes()).is_ok());
    assert_eq!(error(fields(MAX_FIELDS + 1)), ReplyError::TooManyFields);
    assert_eq!(bytes(MAX_HEAD_BYTES).len(), MAX_HEAD_BYTES);
    assert!(read("GET", bytes(MAX_HEAD_BYTES).as_bytes()).is_ok());
    assert_eq!(error(bytes(MAX_HEAD_BYTES + 1)), ReplyError::HeadTooLarge);
    assert_eq!(
        error(format!("HTTP/1.1 200 x\r\n{}", "a".repeat(MAX_HEAD_BYTES))),
        ReplyError::HeadTooLarge
    );
}

#[test]
fn a_long_body_is_counted_and_its_beginning_kept() {
    let mut reader = ReplyReader::new("POST");
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();

    for _ in 0..5 {
        reader.feed(&[b'x'; 100_000]).unwrap();
    }
    reader.end().unwrap();

    assert_eq!(reader.body_length(), 500_000);
    assert_eq!(reader.into_parts().1.len(), KEPT_REPLY_BYTES);
}

#[test]
fn a_body_at_the_limit_is_read_and_a_longer_one_is_not() {
    let head = |length: u64| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let mut count = MAX_REPLY_BYTES - 1;

    assert!(
        ReplyReader::new("POST")
            .feed(head(MAX_REPLY_BYTES).as_bytes())
            .is_ok()
    );
    assert_eq!(error(head(MAX_REPLY_BYTES + 1)), ReplyError::BodyTooLarge);
    assert!(keep(&mut Vec::new(), &mut count, b"x").is_ok());
    assert_eq!(
        keep(&mut Vec::new(), &mut count, b"x"),
        Err(ReplyError::BodyTooLarge)
    );
}

proptest! {
    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut(cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5)) {
        let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len())).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let mut reader = ReplyReader::new("POST");
        for pair in places.windows(2) {
            reader.feed(&text[pair[0]..pair[1]]).unwrap();
        }

        prop_assert!(reader.can_stay_open());
        prop_assert_eq!(reader.into_parts(), (Bytes::from_static(&text[25..78]), Bytes::from_static(b"hello")));
    }

    #[test]
    fn it_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read("POST", &bytes);
        let _ = read("POST", &[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat());
    }
}
