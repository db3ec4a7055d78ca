//! Whatever comes in, the engine answers: it never panics, and never takes an altered secret for the right one.

use std::sync::LazyLock;

use proptest::prelude::*;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Unsigned};

use crate::case::{Case, cases};

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| cases().collect());

/// Characters that mean something in headers, forms, URLs, tokens and JSON, and some that do not.
const ODD_TEXT: &str = "[a-zA-Z0-9=,;:|&?#%./+_\\-\"'{}\\[\\] \t\u{e9}\u{1f600}]{0,60}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn an_altered_case_never_panics(
        index in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        kind in 0..8_u8,
        text in ODD_TEXT,
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut case = index.get(&CASES).clone();
        let mut sent = case.body();
        let headers = &mut case.request.headers;
        match kind {
            0 if !headers.is_empty() => place.get_mut(headers).1 = text,
            1 if !headers.is_empty() => place.get_mut(headers).1.push_str(&text),
            2 if !headers.is_empty() => headers.push((place.get(headers).0.clone(), text)),
            3 => sent = body,
            4 => sent.extend(body),
            5 => case.secrets = vec![text],
            6 => case.request.url = text,
            _ => case.request.url.push_str(&text),
        }
        case.apply(Body::Bytes(&sent), |provider, request, settings| {
            let _ = provider.check(request, settings);
            let _ = provider.handshake(request, settings);
            let _ = provider.facts(request);
            let unsigned = Unsigned {
                method: &case.request.method,
                url: request.url,
                fields: &case.request.headers,
                body: &sent,
            };
            let _ = provider.sign(&unsigned, settings);
        });
    }

    #[test]
    fn a_scheme_file_with_a_change_never_panics(
        index in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
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
            prop_assert!(error.place.starts_with("line "), "{}", error);
            prop_assert!(!error.problem.is_empty());
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
