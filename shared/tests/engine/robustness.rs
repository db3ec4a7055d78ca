//! Whatever comes in, the engine answers: it never panics, and never takes an altered secret for the right one.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Unsigned};

use crate::case::{Case, cases};
use crate::vectors::Pieces;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| cases().collect());

/// The first accepted case of each provider and variant, and the first challenge.
static SEEDS: LazyLock<Vec<&Case>> = LazyLock::new(|| {
    let mut seeds: BTreeMap<(&str, Option<&str>, bool), &Case> = BTreeMap::new();
    for case in CASES.iter() {
        let is_challenge = case.expect.is_none();
        if is_challenge || case.is_valid() {
            let key = (
                case.provider.as_str(),
                case.variant.as_deref(),
                is_challenge,
            );
            seeds.entry(key).or_insert(case);
        }
    }
    seeds.into_values().collect()
});

/// Characters that mean something in headers, forms, URLs, tokens and JSON, and some that do not.
const ODD_TEXT: &str = "[a-zA-Z0-9=,;:|&?#%./+_\\-\"'{}\\[\\] \t\u{e9}\u{1f600}]{0,60}";

/// Texts that parsers of lists, numbers, escapes and tokens have stumbled over.
const NASTY_TEXTS: [&str; 23] = [
    "\\",
    "",
    " ",
    ",",
    "=",
    "t=,v1=",
    "t=1,t=2,v1=00",
    "a.b.c",
    "..",
    "e30.e30.",
    "%",
    "%zz%",
    "99999999999999999999999999",
    "-1",
    "1e400",
    "9999-12-31T23:59:59.999999999+99:99",
    "\"\\ud800\"",
    "{",
    "[[[[[[[[",
    "-----BEGIN PUBLIC KEY-----",
    "https://[::1",
    "s=(\"@method\" \"@method\");created=9223372036854775807",
    "\u{e9}\u{1f600}",
];

/// How many kinds of change [`alter`] knows.
const KINDS: u8 = 15;

/// One change to a request, or to the settings that it is checked with.
struct Change {
    kind: u8,
    place: usize,
    text: String,
    bytes: Vec<u8>,
}

/// Alters a case and its body.
fn alter(case: &mut Case, body: &mut Vec<u8>, change: Change) {
    let Change {
        kind,
        place,
        text,
        bytes,
    } = change;
    let headers = &mut case.request.headers;
    match kind {
        0..=4 => alter_header(headers, kind, place, text),
        5 => *body = bytes,
        6 => body.extend(bytes),
        7 if !body.is_empty() => {
            let place = place % body.len();
            body[place] ^= 1 << (text.len() % 8);
        }
        8 if !body.is_empty() => body.truncate(place % body.len()),
        9 => case.secrets = vec![text],
        10 => case.request.url = text,
        11 => case.request.url.push_str(&text),
        12 => case.now = place as u64,
        13 => replace_one(&mut case.params, place, text),
        14 => replace_one(&mut case.fetched, place, text),
        _ => "PATCH".clone_into(&mut case.request.method),
    }
}

fn alter_header(headers: &mut Vec<(String, String)>, kind: u8, place: usize, text: String) {
    if headers.is_empty() {
        return;
    }
    let place = place % headers.len();
    match kind {
        0 => headers[place].1 = text,
        1 => headers[place].1.push_str(&text),
        2 => headers.push((headers[place].0.clone(), text)),
        3 => drop(headers.remove(place)),
        _ => cut(&mut headers[place].1, text.len()),
    }
}

/// Leaves only the start of a text.
fn cut(text: &mut String, length: usize) {
    let mut end = length % (text.len() + 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

fn replace_one(values: &mut BTreeMap<String, Value>, place: usize, text: String) {
    let count = values.len().max(1);
    if let Some(value) = values.values_mut().nth(place % count) {
        *value = Value::String(text);
    }
}

/// Asks the engine everything that it can be asked about a case.
fn ask_everything(case: &Case, sent: &[u8]) {
    if !case.has_head() {
        return;
    }
    for body in [Body::Bytes(sent), Body::Streamed(&Pieces(sent.to_vec()))] {
        case.apply(body, |provider, request, settings| {
            let _ = provider.check(request, settings);
            let _ = provider.handshake(request, settings);
            let _ = provider.facts(request);
            let _ = provider.wanted_key(request, settings);
            let unsigned = Unsigned {
                method: &case.request.method,
                url: request.url,
                fields: &case.request.headers,
                body: sent,
            };
            let _ = provider.sign(&unsigned, settings);
        });
    }
}

#[test]
fn no_provider_panics_at_a_nasty_text_in_any_place() {
    let mut texts = NASTY_TEXTS.iter().cycle();
    for case in SEEDS.iter() {
        for kind in 0..=KINDS {
            let text = *texts.next().unwrap();
            let mut altered = (*case).clone();
            let mut body = case.body();
            let change = Change {
                kind,
                place: text.len() + usize::from(kind),
                text: text.to_owned(),
                bytes: text.as_bytes().to_vec(),
            };
            alter(&mut altered, &mut body, change);
            ask_everything(&altered, &body);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn an_altered_case_never_panics(
        index in any::<Index>(),
        changes in proptest::collection::vec((0..=KINDS, any::<usize>(), ODD_TEXT), 1..4),
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut case = index.get(&CASES).clone();
        let mut body = case.body();
        for (kind, place, text) in changes {
            let bytes = bytes.clone();
            alter(&mut case, &mut body, Change { kind, place, text, bytes });
        }
        ask_everything(&case, &body);
    }

    #[test]
    fn a_scheme_file_with_a_change_never_panics(
        index in any::<Index>(),
        place in any::<Index>(),
        text in ODD_TEXT,
    ) {
        let files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schemes"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        let path = index.get(&files);
        let slug = path.file_stem().unwrap().to_str().unwrap();
        let mut file = std::fs::read_to_string(path).unwrap();
        let mut start = place.index(file.len());
        while !file.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = (start + text.len() / 2).min(file.len());
        while !file.is_char_boundary(end) {
            end += 1;
        }
        file.replace_range(start..end, &text);

        if let Err(error) = Provider::parse(slug, &file) {
            prop_assert!(!error.0.is_empty());
            prop_assert!(error.0.iter().all(|one| one.line > 0 && !one.problem.is_empty()), "{}", error);
        }
    }
}

#[test]
fn with_another_secret_no_signature_is_verified() {
    let mut wrong = Vec::new();
    for mut case in cases().filter(|case| !case.secrets.is_empty()) {
        for secret in &mut case.secrets {
            *secret = "an entirely different secret".to_owned();
        }
        let verdict = case.apply(Body::Bytes(&case.body()), |provider, request, settings| {
            provider.check(request, settings)
        });
        // A key that the provider publishes needs no secret, and its match names none.
        let is_wrong = match verdict {
            Verdict::Verified(found) | Verdict::Authenticated(found) => found.secret.is_some(),
            Verdict::Failed(_) => false,
            Verdict::Unchecked => true,
        };
        if is_wrong {
            wrong.push(format!("{}/{}", case.provider, case.name));
        }
    }

    assert_eq!(wrong, Vec::<String>::new());
}
