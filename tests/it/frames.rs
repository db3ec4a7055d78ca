//! Frames that are malformed, too long or not expected, from either side: the session ends with a named reason,
//! the other side resumes, nobody panics.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;
use towline::listen::News;
use towline_shared::id::{Seq, SessionId};
use towline_shared::outcome::{Outcome, Settled};
use towline_shared::time::Timestamp;
use towline_shared::wire::{
    FromClient, FromRelay, MAX_FRAME_BYTES, MAX_HEADER_BYTES, MAX_WINDOW, Reason, Welcome,
};
use towline_tests::api::path_of;
use towline_tests::app::App;
use towline_tests::listening::{Listening, options};
use towline_tests::relay::Relay;
use towline_tests::sender::{post, send};
use towline_tests::wire::{Heard, WireClient, WireRelay, frame, hello};

#[tokio::test]
async fn a_relay_ends_the_session_of_a_client_that_says_nonsense_and_names_why() {
    let relay = Relay::start().await;
    let api = relay.api();
    let path = path_of(&api.open_endpoint("wire").await);
    assert_eq!(
        send(relay.address(), &post(&path, b"waiting"))
            .await
            .status(),
        200
    );

    for (what, message) in nonsense_for_a_relay() {
        let (mut client, _) = WireClient::welcomed(relay.address(), api.token(), "wire").await;
        client.say_message(message).await;

        let goodbye = farewell(&mut client).await;
        let Some((reason, detail)) = goodbye.0 else {
            panic!("{what}: no goodbye");
        };
        assert_eq!(reason, Reason::Protocol, "{what}");
        assert!(!detail.is_empty(), "{what}: says nothing");
        assert_eq!(goodbye.1, Some(1002), "{what}");
    }

    let app = App::start().await;
    let state = relay.folder().join("state");
    let _client = Listening::start(options(
        relay.address(),
        api.token(),
        "wire",
        &app.url(),
        &state,
    ))
    .await;
    assert_eq!(app.wait_for(1).await[0].text(), "waiting");
}

#[tokio::test]
async fn a_relay_takes_only_a_proper_hello_as_the_first_frame() {
    let relay = Relay::start().await;
    let api = relay.api();
    api.open_endpoint("wire").await;

    for (what, message, expected) in [
        (
            "an unknown endpoint",
            hello("nowhere", 1).encode(),
            Reason::NoEndpoint,
        ),
        ("no window", hello("wire", 0).encode(), Reason::Protocol),
        (
            "too large a window",
            hello("wire", MAX_WINDOW + 1).encode(),
            Reason::Protocol,
        ),
        (
            "credit",
            frame(5, br#"{"stream":0,"bytes":1}"#, b""),
            Reason::Protocol,
        ),
        (
            "a name that is none",
            frame(
                1,
                br#"{"client":"x","endpoint":"NO NAME","consumer":"c","start":"now","window":1}"#,
                b"",
            ),
            Reason::Protocol,
        ),
    ] {
        let mut client = WireClient::connect(relay.address(), api.token()).await;
        client.say(message).await;

        let (goodbye, _) = farewell(&mut client).await;
        assert_eq!(goodbye.map(|(reason, _)| reason), Some(expected), "{what}");
    }
    let (_client, welcome) = WireClient::welcomed(relay.address(), api.token(), "wire").await;
    assert_eq!(welcome.cursor, Seq(0));
}

#[tokio::test]
async fn a_client_leaves_a_relay_that_says_nonsense_and_connects_again() {
    let folder = tempfile::tempdir().unwrap();

    for (place, (what, message)) in nonsense_for_a_client().into_iter().enumerate() {
        let relay = WireRelay::start().await;
        let state = folder.path().join(place.to_string());
        let client = Listening::begin(options(relay.address(), "twl_any", "wire", "9", &state));
        let (mut session, _) = relay.session().await;
        session.say(welcome().encode()).await;

        session.say_message(message).await;
        let code = loop {
            match session.hear().await {
                Heard::Frame(FromClient::Credit(_) | FromClient::Reset(_)) => {}
                Heard::Frame(other) => panic!("{what}: it says {other:?}"),
                Heard::End(code) => break code,
            }
        };
        assert_eq!(code, Some(1002), "{what}");
        let (mut again, _) = relay.session().await;
        again.say(welcome().encode()).await;
        client.wait_for_ready(2).await;

        let why = client.news().into_iter().find_map(|news| match news {
            News::Reconnecting { why, .. } => Some(why),
            _ => None,
        });
        assert!(
            why.is_some_and(|why| !why.is_empty()),
            "{what}: does not say why it reconnects"
        );
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_forwarded_is_settled_as_failed_so_that_the_line_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let relay = WireRelay::start().await;
    let _client = Listening::begin(options(
        relay.address(),
        "twl_any",
        "wire",
        "9",
        folder.path(),
    ));
    let (mut session, _) = relay.session().await;
    session.say(welcome().encode()).await;

    session
        .say(frame(130, event_header(9).as_bytes(), b"not HTTP!"))
        .await;

    let Heard::Frame(FromClient::Outcome(report)) = session.hear().await else {
        panic!("no outcome");
    };
    assert_eq!(report.attempt.settled, Some(Settled::Failed));
    assert!(
        matches!(&report.attempt.outcome, Outcome::Refused { detail } if !detail.is_empty()),
        "{report:?}"
    );
}

#[tokio::test]
async fn what_answers_but_is_no_relay_is_named() {
    let not_a_relay = App::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut client = Listening::begin(options(
        not_a_relay.address(),
        "twl_any",
        "wire",
        "9",
        folder.path(),
    ));

    let ended = client.end().await;

    assert!(
        matches!(&ended, Err(towline::listen::ListenError::NotARelay { url, .. }) if url.contains("127.0.0.1")),
        "{ended:?}"
    );
}

fn nonsense_for_a_relay() -> Vec<(&'static str, Message)> {
    let binary = |bytes: Bytes| Message::Binary(bytes);
    let outcome = br#"{"attempt":{"event":"evt_00000000000000000000000000","delivery":{"seq":999},"number":1,"started_at":1,"duration_micros":1,"target":"x","outcome":{"result":"cut_off"},"settled":null,"sent_body_length":0},"sent_head_length":9,"reply_head_length":9}"#;
    vec![
        ("text", Message::text("hello")),
        ("nothing", binary(Bytes::new())),
        ("half a prefix", binary(Bytes::from_static(&[5, 0, 0]))),
        ("an unknown kind", binary(frame(99, b"{}", b""))),
        (
            "a kind that is kept for later",
            binary(frame(3, b"{}", b"")),
        ),
        ("a kind of the relay", binary(frame(130, b"{}", b""))),
        (
            "a header longer than the frame",
            binary(Bytes::from_static(&[5, 0, 0, 0, 9, b'{', b'}'])),
        ),
        (
            "a header of 4 GiB",
            binary(Bytes::from_static(&[5, 0xff, 0xff, 0xff, 0xff, b'{', b'}'])),
        ),
        (
            "a header that is not JSON",
            binary(frame(5, b"\xff\xfe", b"")),
        ),
        ("a header without its fields", binary(frame(5, b"{}", b""))),
        (
            "a deeply nested header",
            binary(frame(5, "[".repeat(10_000).as_bytes(), b"")),
        ),
        (
            "a header that is too long",
            binary(frame(5, &vec![b' '; MAX_HEADER_BYTES + 1], b"")),
        ),
        (
            "a frame that is too long",
            binary(frame(2, b"{}", &vec![0; MAX_FRAME_BYTES])),
        ),
        (
            "an outcome shorter than its lengths",
            binary(frame(2, outcome, b"short")),
        ),
        ("a second hello", binary(hello("wire", 1).encode())),
    ]
}

fn nonsense_for_a_client() -> Vec<(&'static str, Message)> {
    let binary = |bytes: Bytes| Message::Binary(bytes);
    vec![
        ("text", Message::text("hello")),
        ("nothing", binary(Bytes::new())),
        ("an unknown kind", binary(frame(99, b"{}", b""))),
        ("a kind of the client", binary(frame(1, b"{}", b""))),
        (
            "a header longer than the frame",
            binary(Bytes::from_static(&[130, 0, 0, 0, 9, b'{', b'}'])),
        ),
        (
            "a header that is not JSON",
            binary(frame(130, b"nonsense", b"")),
        ),
        (
            "a head longer than the frame",
            binary(frame(
                130,
                event_header(500).as_bytes(),
                b"GET / HTTP/1.1\r\n\r\n",
            )),
        ),
        (
            "data of no stream",
            binary(frame(132, br#"{"stream":77,"end":false}"#, b"bytes")),
        ),
        ("a second welcome", binary(welcome().encode())),
        (
            "a frame that is too long",
            binary(frame(130, b"{}", &vec![0; MAX_FRAME_BYTES])),
        ),
    ]
}

/// The header of an event that says its head has this length.
fn event_header(head_length: usize) -> String {
    format!(
        r#"{{"stream":1,"delivery":{{"seq":1}},"attempts":0,"head_length":{head_length},"event":{{"id":"evt_00000000000000000000000000","seq":1,"endpoint":"wire","received_at":1,"remote":"127.0.0.1","tls":false,"kind":"webhook","verdict":{{"result":"unchecked"}},"is_deliverable":true,"head_source":"recorded","body_length":0}}}}"#
    )
}

fn welcome() -> FromRelay {
    FromRelay::Welcome(Welcome {
        relay: "by-hand/1".to_owned(),
        session: SessionId::new(Timestamp::from_millis(1), [0; 10]),
        cursor: Seq(0),
        backlog: 0,
        is_new: true,
        earlier: 0,
        public_url: "http://hooks.example/in/x".to_owned(),
        provider: None,
        secrets: Vec::new(),
        filter: None,
    })
}

/// Reads to the end: what the goodbye said and the code of the close frame.
async fn farewell(client: &mut WireClient) -> (Option<(Reason, String)>, Option<u16>) {
    let mut goodbye = None;
    loop {
        match client.hear().await {
            Heard::Frame(FromRelay::Goodbye(said)) => goodbye = Some((said.reason, said.detail)),
            Heard::Frame(_) => {}
            Heard::End(code) => return (goodbye, code),
        }
    }
}
