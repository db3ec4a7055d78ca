//! Runs every test vector of `tests/vectors/`, one file a provider, against the built-in schemes.

use std::collections::BTreeSet;
use std::io;

use towline_shared::verdict::{Cause, Verdict};
use towline_shared::verify::{Body, Provider, StreamedBody, Surroundings};

use crate::case::{Case, cases};

#[test]
fn every_vector_gets_its_verdict_and_reason() {
    let mut count = 0;
    let mut failures = Vec::new();
    for case in cases() {
        count += 1;
        if let Err(problem) = case.run(Body::Bytes(&case.body())) {
            failures.push(format!("{}/{}: {problem}", case.provider, case.name));
        }
    }

    assert!(count > 0);
    assert!(
        failures.is_empty(),
        "{} of {count}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_failed_vector_is_explained() {
    let brief = Surroundings {
        is_brief: true,
        ..Surroundings::default()
    };
    let mut count = 0;
    for case in cases() {
        let verdicts = case.apply(Body::Bytes(&case.body()), |provider, request, settings| {
            [
                provider.check(request, settings),
                provider.judge_in(request, settings, &brief).verdict,
            ]
        });
        for verdict in verdicts {
            let Verdict::Failed(failure) = verdict else {
                continue;
            };
            count += 1;
            assert!(!failure.findings.is_empty(), "{}: {failure:?}", case.name);
            for finding in &failure.findings {
                let texts = [&finding.code, &finding.sentence, &finding.hint];
                let are_told = texts.iter().all(|text| !text.is_empty());
                assert!(are_told, "{}: {finding:?}", case.name);
            }
        }
    }

    assert!(count > 0);
}

#[test]
fn a_streamed_body_gets_the_same_verdict() {
    let mut failures = Vec::new();
    for case in cases().filter(|case| case.expect.is_some()) {
        let pieces = Pieces(case.body());
        if let Err(problem) = case.run(Body::Streamed(&pieces)) {
            failures.push(format!("{}/{}: {problem}", case.provider, case.name));
        }
    }

    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_request_names_the_published_key_that_it_needs() {
    let mut count = 0;
    for case in cases().filter(|case| case.is_valid() && !case.fetched.is_empty()) {
        count += 1;
        let mut without_keys = case.clone();
        without_keys.fetched.clear();
        let wanted = |case: &Case| {
            case.apply(Body::Bytes(&case.body()), |provider, request, settings| {
                provider.wanted_key(request, settings)
            })
        };

        let Some(name) = wanted(&without_keys).map(|key| key.name().to_owned()) else {
            panic!("{}/{} wants no key", case.provider, case.name);
        };

        assert!(case.fetched.contains_key(&name), "{name}");
        assert_eq!(wanted(&case), None);
    }

    assert!(count > 0);
}

#[test]
fn a_message_signature_stands_in_one_field_even_beside_an_empty_one() {
    let mut count = 0;
    for mut case in cases().filter(|case| case.is_valid() && case.provider == "mailchannels") {
        count += 1;
        case.request
            .headers
            .push(("Signature".to_owned(), String::new()));

        let verdict = case.apply(Body::Bytes(&case.body()), |provider, request, settings| {
            provider.check(request, settings)
        });

        let is_refused =
            matches!(verdict, Verdict::Failed(failure) if failure.cause == Cause::AmbiguousHeader);
        assert!(is_refused, "{}", case.name);
    }

    assert!(count > 0);
}

#[test]
fn every_provider_has_vectors_and_every_vector_a_provider() {
    let with_vectors: BTreeSet<String> = cases().map(|case| case.provider).collect();
    let providers: BTreeSet<String> = Provider::builtin_slugs().map(str::to_owned).collect();

    assert_eq!(with_vectors, providers);
}

/// A body that comes in pieces of seven bytes.
pub(crate) struct Pieces(pub(crate) Vec<u8>);

impl StreamedBody for Pieces {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.0.chunks(7).for_each(sink);
        Ok(())
    }
}
