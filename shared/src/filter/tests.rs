//! What the page of the language says, on an event; and that nothing which is typed can do harm.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::event::{EventInfo, EventKind, HeadSource};
use crate::id::{EventId, Seq};
use crate::time::Timestamp;
use crate::verdict::{Match, Verdict};

const HEAD: &[u8] = b"POST /in/ep_k/hooks/github?a=1+2&a=%33&empty HTTP/1.1\r\nX-GitHub-Event: push\r\nX-Many: one\r\n\
x-many: two\r\nContent-Length: 120\r\n\r\n";

const BODY: &str = r#"{"type":"invoice.paid","data":{"amount":1000.50,"big":9007199254740993,"tags":["a",2,"caf\u00e9"]},
"paid":true,"gone":null,"type":"invoice.paid","a/b":{"":7}}"#;

#[test]
fn the_example_of_the_issue_holds() {
    assert!(holds("json(\"/type\") startsWith \"invoice.\""));
}

#[test]
fn each_subject_and_each_test_says_what_the_page_says() {
    for (expression, expected) in [
        (r#"method == "POST""#, true),
        (r#"method == "post""#, false),
        (r#"path == "/hooks/github""#, true),
        (r#"path matches "/hooks/*""#, true),
        (r#"path endsWith "/gitlab""#, false),
        (r#"query("a") == "1 2""#, true),
        (r#"query("a") == 3"#, true),
        (r#"query("empty") exists"#, true),
        (r#"query("b") exists"#, false),
        (r#"header("X-GITHUB-EVENT") in ["push", "issues"]"#, true),
        (r#"header("content-length") > 100"#, true),
        (r#"json("/data/amount") > 1000"#, true),
        (r#"json("/data/amount") == 1000.5"#, true),
        (r#"json("/data/amount") == "1000.50""#, false),
        (r#"json("/data/big") == 9007199254740993"#, true),
        (r#"json("/data/big") == 9007199254740992"#, false),
        (r#"json("/data/tags") contains "café""#, true),
        (r#"json("/data/tags") contains 2.0"#, true),
        (r#"json("/data/tags") contains "b""#, false),
        (r#"json("/data/tags/0") == "a""#, true),
        (r#"json("/type") contains "paid""#, true),
        (r#"json("/paid") == true"#, true),
        (r#"json("/gone") == null"#, true),
        (r#"json("/gone") exists"#, true),
        (r#"json("/nowhere") exists"#, false),
        (r#"json("/a~1b/") == 7"#, true),
        (r#"body contains "invoice""#, true),
        (r#"event startsWith "invoice.""#, true),
        ("verdict == verified", true),
        (r#"verdict in [failed, "unchecked"]"#, false),
        ("verdict != failed", true),
        (r#"provider == "stripe""#, true),
        (r#"endpoint == "orders""#, true),
        (r#"delivery == "d-1""#, true),
        (r#"remote startsWith "203.0.113.""#, true),
        ("size >= 100", true),
        ("size in [1, 2]", false),
    ] {
        assert_eq!(holds(expression), expected, "{expression}");
    }
}

#[test]
fn a_test_holds_when_one_of_several_values_passes() {
    assert!(holds(r#"header("x-many") == "two""#));
    assert!(holds(r#"header("x-many") != "two""#));
    assert!(!holds(r#"!(header("x-many") == "two")"#));
}

#[test]
fn every_test_of_what_is_not_there_is_false() {
    for test in [
        r#"== "a""#,
        r#"!= "a""#,
        "< 1",
        r#"contains """#,
        r#"matches "*""#,
        "exists",
        "in [1]",
    ] {
        assert!(!holds(&format!(r#"header("x-none") {test}"#)), "{test}");
        assert!(!holds(&format!(r#"json("/none") {test}"#)), "{test}");
    }
}

#[test]
fn not_binds_closer_than_and_and_that_closer_than_or() {
    let (yes, no) = (r#"method == "POST""#, r#"method == "GET""#);

    assert!(holds(&format!("{yes} || {no} && {no}")));
    assert!(!holds(&format!("({yes} or {no}) and {no}")));
    assert!(holds(&format!("!{no} && {yes}")));
    assert!(!holds(&format!("not {yes} || {no}")));
    assert!(holds(&format!("not not {yes}")));
}

#[test]
fn a_body_that_is_no_json_is_too_long_or_is_not_at_hand_has_no_json() {
    let filter = Filter::parse(r#"json("/type") exists"#).unwrap();
    let most = usize::try_from(MAX_FILTER_BODY_BYTES).unwrap();
    let padded = |length: usize| {
        let mut body = br#"{"type":1}"#.to_vec();
        body.resize(length, b' ');
        body
    };

    assert!(is_match(&filter, Some(&padded(most))));
    assert!(!is_match(&filter, Some(&padded(most + 1))));
    assert!(!is_match(&filter, Some(br#"{"type":1} x"#)));
    assert!(!is_match(&filter, Some(b"{\"type\":1,\"\xff\":2}")));
    assert!(!is_match(&filter, None));
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let filter = Filter::parse(r#"json("/a") == 2"#).unwrap();

    assert!(is_match(&filter, Some(br#"{"a":1,"a":2}"#)));
    assert!(!is_match(&filter, Some(br#"{"a":2,"a":1}"#)));
}

#[test]
fn whether_the_body_is_read_is_known_beforehand() {
    assert!(
        Filter::parse(r#"method == "A" || json("/a") exists"#)
            .unwrap()
            .reads_body()
    );
    assert!(Filter::parse(r#"body contains "a""#).unwrap().reads_body());
    assert!(
        !Filter::parse(r#"size > 1 && header("a") exists"#)
            .unwrap()
            .reads_body()
    );
}

#[test]
fn the_short_form_names_events() {
    let filter = Filter::of_events("push, invoice.*,issues").unwrap();

    assert_eq!(
        filter.as_str(),
        r#"event in ["push", "issues"] || event matches "invoice.*""#
    );
    assert!(is_match(&filter, None));
    assert_eq!(Filter::of_events("push,,x").unwrap_err().position(), 5);
    assert!(Filter::of_events("").is_err());
    let both = filter.and(&Filter::parse("size > 1").unwrap()).unwrap();
    assert_eq!(both.as_str(), format!("({filter}) && (size > 1)"));
}

#[test]
fn what_cannot_be_read_is_pointed_at() {
    for (expression, position, words) in [
        ("", 0, "expected method"),
        ("metod == \"A\"", 0, "expected method"),
        (r#"json("/type") startWith "x""#, 14, "startsWith"),
        (r#"json("$.type") exists"#, 5, "JSON Pointer"),
        (r#"header("a b") exists"#, 7, "name of a header field"),
        (r#"header("a" == 1"#, 11, "expected `)`"),
        (r#"method = "A""#, 7, "`==`"),
        ("method == 'A'", 10, "double quotes"),
        ("method == A", 10, "double quotes"),
        ("method == true", 10, "double quotes"),
        (r#"method == "A" & size > 1"#, 14, "`&&`"),
        (r#"method == "A" size"#, 14, "expected `&&`"),
        (r#"(method == "A""#, 14, "`)`"),
        (r#"method == "A"#, 10, "no closing"),
        (r#"method == "\x""#, 10, "escape"),
        ("size > 1k", 7, "number"),
        ("size > \"1\"", 7, "number"),
        (r#"size startsWith "1""#, 5, "for texts"),
        ("size exists", 5, "every event has one"),
        ("verdict == verifed", 11, "verified, authenticated"),
        ("verdict < failed", 8, "==, != or in"),
        (r#"json("/a") < true"#, 13, "no order"),
        ("method in []", 11, "double quotes"),
        ("method in \"A\"", 10, "list"),
        ("!", 1, "expected method"),
        (r#""a" == method"#, 0, "expected method"),
        ("size > 1 ü", 9, "no meaning"),
    ] {
        let error = Filter::parse(expression).unwrap_err();
        assert_eq!(error.position(), position, "{expression}: {error}");
        assert!(error.message().contains(words), "{expression}: {error}");
    }
}

#[test]
fn each_bound_has_room_up_to_it_and_none_above() {
    let deep = |depth: usize| format!("{}size > 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&deep(MAX_FILTER_DEPTH)).is_ok());
    assert!(Filter::parse(&deep(MAX_FILTER_DEPTH + 1)).is_err());
    assert!(Filter::parse(&format!("{}size > 1", "!".repeat(MAX_FILTER_DEPTH + 1))).is_err());

    let long = |length: usize| format!("{:length$}", "size > 1");
    assert!(Filter::parse(&long(MAX_FILTER_BYTES)).is_ok());
    assert!(Filter::parse(&long(MAX_FILTER_BYTES + 1)).is_err());

    let pointers = |count: usize| {
        let tests = (0..count).map(|number| format!("json(\"/{number}\") exists"));
        tests.collect::<Vec<_>>().join(" || ")
    };
    assert!(Filter::parse(&pointers(MAX_POINTERS)).is_ok());
    assert!(Filter::parse(&pointers(MAX_POINTERS + 1)).is_err());

    let steps = |count: usize| format!("json(\"{}\") exists", "/a".repeat(count));
    assert!(Filter::parse(&steps(MAX_POINTER_STEPS)).is_ok());
    assert!(Filter::parse(&steps(MAX_POINTER_STEPS + 1)).is_err());
}

proptest! {
    #[test]
    fn reading_and_asking_never_panics(text in any::<String>(), body in any::<Vec<u8>>()) {
        if let Ok(filter) = Filter::parse(&text) {
            is_match(&filter, Some(&body));
        }
        let _ = Filter::of_events(&text);
    }

    #[test]
    fn words_of_the_language_in_any_order_never_panic(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..24),
        body in "[\\[\\]{}\":,a1 ]{0,60}",
    ) {
        if let Ok(filter) = Filter::parse(&words.join(" ")) {
            is_match(&filter, Some(body.as_bytes()));
        }
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_tree(expression in expressions()) {
        let read = Filter::parse(&expression).unwrap();

        let written = read.root.to_string();
        let again = Filter::parse(&written).unwrap();

        prop_assert_eq!(&again.root, &read.root, "{}", written);
        prop_assert_eq!(again.root.to_string(), written);
        prop_assert_eq!(is_match(&again, Some(BODY.as_bytes())), is_match(&read, Some(BODY.as_bytes())));
    }

    #[test]
    fn the_opposite_is_always_the_opposite(expression in expressions()) {
        let opposite = format!("!({expression})");

        prop_assert_ne!(holds(&opposite), holds(&expression));
    }
}

const WORDS: &[&str] = &[
    "method",
    "path",
    "query(\"a\")",
    "header(\"a\")",
    "json(\"/a\")",
    "json(\"/a/1\")",
    "body",
    "event",
    "verdict",
    "size",
    "remote",
    "==",
    "!=",
    "<",
    ">=",
    "in",
    "exists",
    "startsWith",
    "contains",
    "matches",
    "[",
    "]",
    ",",
    "(",
    ")",
    "&&",
    "||",
    "!",
    "not",
    "and",
    "or",
    "\"a*\"",
    "\"\"",
    "1",
    "-2.5e3",
    "true",
    "null",
    "verified",
];

fn expressions() -> impl Strategy<Value = String> {
    let text = "[a-z/.*é\n]{0,6}".prop_map(|text| quoted(&text));
    let number = "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?(e-?[0-9])?";
    let subject = prop_oneof![
        Just("method".to_owned()),
        Just("path".to_owned()),
        Just("event".to_owned()),
        "[a-z]{1,4}".prop_map(|name| format!("header(\"{name}\")")),
        "[a-z]{0,4}".prop_map(|name| format!("query(\"{name}\")")),
    ];
    let word = prop_oneof![
        Just("startsWith"),
        Just("endsWith"),
        Just("contains"),
        Just("matches")
    ];
    let sign = prop_oneof![
        Just("=="),
        Just("!="),
        Just("<"),
        Just("<="),
        Just(">"),
        Just(">=")
    ];
    let scalar = prop_oneof![text.clone(), number.prop_map(|number: String| number)];
    let pointer = "(/[ab0]{1,2}){1,2}".prop_map(|pointer| format!("json(\"{pointer}\")"));
    let any_json = prop_oneof![
        scalar.clone(),
        Just("true".to_owned()),
        Just("null".to_owned())
    ];
    let test = prop_oneof![
        (subject.clone(), word, text)
            .prop_map(|(subject, word, text)| format!("{subject} {word} {text}")),
        (subject.clone(), sign.clone(), scalar.clone())
            .prop_map(|(subject, sign, value)| format!("{subject}{sign}{value}")),
        (pointer.clone(), sign, scalar.clone())
            .prop_map(|(subject, sign, value)| format!("{subject} {sign} {value}")),
        (pointer.clone(), any_json.clone())
            .prop_map(|(subject, value)| format!("{subject} contains {value}")),
        (pointer, proptest::collection::vec(any_json, 1..3))
            .prop_map(|(subject, values)| format!("{subject} in [{}]", values.join(","))),
        subject.prop_map(|subject| format!("{subject} exists")),
        Just("verdict in [verified,failed]".to_owned()),
        Just("size >= 1e2".to_owned()),
    ];
    test.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} || {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.clone().prop_map(|a| format!("not ({a})")),
            inner.prop_map(|a| format!("!{a}")),
        ]
    })
}

fn holds(expression: &str) -> bool {
    is_match(&Filter::parse(expression).unwrap(), Some(BODY.as_bytes()))
}

fn is_match(filter: &Filter, body: Option<&[u8]>) -> bool {
    let head = Bytes::from_static(HEAD);
    let head = String::from_utf8_lossy(&head).replace("ep_k", &key());
    filter.is_match(&Facts {
        info: &info(),
        head: &Bytes::from(head.into_bytes()),
        body,
    })
}

fn key() -> String {
    crate::id::EndpointKey::new([7; 20]).to_string()
}

fn info() -> EventInfo {
    EventInfo {
        id: EventId::new(Timestamp::from_millis(1), [1; 10]),
        seq: Seq(1),
        endpoint: "orders".parse().unwrap(),
        received_at: Timestamp::from_millis(1),
        remote: "203.0.113.9".parse().unwrap(),
        tls: true,
        kind: EventKind::Webhook,
        verdict: Verdict::Verified(Match {
            provider: "stripe".into(),
            scheme: None,
            secret: None,
        }),
        is_deliverable: true,
        head_source: HeadSource::Recorded,
        body_length: 120,
        delivery_id: Some("d-1".into()),
        event_type: Some("invoice.paid".into()),
        duplicate_of: None,
        delivered_repeat: None,
        answered: None,
    }
}
