//! A search finds what is within its budget, and tells what it left out.

use std::collections::BTreeMap;

use super::*;
use crate::head::{Head, Version};
use crate::time::Timestamp;
use crate::verdict::Verdict;
use crate::verify::{OtherSecrets, Settings, Surroundings, registry};

#[test]
fn nothing_is_found_beyond_the_budget_and_that_is_told() {
    with_search(|search| {
        let outcome = search.run();
        assert_eq!(outcome.found.unwrap().code, "trailing_newline");
    });
    with_search(|mut search| {
        search.budget.macs = 0;
        let outcome = search.run();
        assert_eq!(outcome.found, None);
        assert!(outcome.left_something_out);
    });
}

/// One secret of another endpoint.
struct Other(&'static str);

impl OtherSecrets for Other {
    fn secrets(&self) -> Vec<OtherSecret> {
        vec![OtherSecret {
            endpoint: "billing".parse().unwrap(),
            name: "live".parse().unwrap(),
            secret: Secret::new(self.0),
        }]
    }
}

#[test]
fn a_secret_of_another_endpoint_is_named_and_not_told() {
    for (slug, name, value) in [
        (
            "github",
            "X-Hub-Signature-256",
            format!("sha256={}", hex(b"theirs", b"body")),
        ),
        ("gitlab", "X-Gitlab-Token", "theirs".to_owned()),
    ] {
        let fields = [(name.as_bytes(), value.as_bytes())];
        let head = Head::build("POST", b"/", Version::Http11, fields).unwrap();
        let request = Request {
            head: &head,
            url: "https://relay.example/",
            body: Body::Bytes(b"body"),
        };
        let codes = |others: &dyn OtherSecrets| {
            let surroundings = Surroundings {
                others: Some(others),
                ..Surroundings::default()
            };
            let provider = registry::provider(slug).unwrap();
            let verdict = with_settings(|settings| {
                let judgement = provider.judge_in(&request, settings, &surroundings);
                judgement.verdict
            });
            let Verdict::Failed(failure) = verdict else {
                panic!("{verdict:?}");
            };
            let finding = failure.findings.first().unwrap().clone();
            assert!(!finding.sentence.contains("theirs"), "{finding:?}");
            (finding.code, finding.sentence)
        };

        let (code, sentence) = codes(&Other("theirs"));
        assert_eq!(code, "other_secret_matches");
        assert!(sentence.contains("`billing/live`"), "{sentence}");
        let (code, _) = codes(&Other("another"));
        assert_ne!(code, "other_secret_matches");
    }
}

#[test]
fn no_more_secrets_of_other_endpoints_are_tried_than_the_bound() {
    struct Many(usize);
    impl OtherSecrets for Many {
        fn secrets(&self) -> Vec<OtherSecret> {
            let mut values = vec!["another"; self.0 - 1];
            values.push("secret2");
            let all = values.into_iter();
            all.flat_map(|value| Other(value).secrets()).collect()
        }
    }
    for (count, is_found) in [(MAX_OTHER_SECRETS, true), (MAX_OTHER_SECRETS + 1, false)] {
        let many = Many(count);
        with_signature(&hex(b"secret2", b"body\n"), |search| {
            let surroundings = Surroundings {
                others: Some(&many),
                ..Surroundings::default()
            };
            let mut delivery = Delivery::new(search.delivery.request, search.delivery.settings);
            delivery.surroundings = surroundings;
            let outcome = Search::new(search.provider, &delivery).run();
            assert_eq!(outcome.found.is_some(), is_found);
            assert_eq!(outcome.left_something_out, !is_found);
        });
    }
}

/// Searches a request whose body got a line end on its way.
fn with_search(look: impl FnOnce(Search<'_>)) {
    with_signature(&hex(b"secret", b"body"), look);
}

fn with_signature(signature: &str, look: impl FnOnce(Search<'_>)) {
    let head = format!("POST / HTTP/1.1\r\nX-Hub-Signature-256: sha256={signature}\r\n\r\n");
    let head = Head::parse(head).unwrap();
    let request = Request {
        head: &head,
        url: "https://relay.example/",
        body: Body::Bytes(b"body\n"),
    };
    let provider = registry::provider("github").unwrap();
    with_settings(|settings| look(Search::new(&provider, &Delivery::new(&request, settings))));
}

fn with_settings<T>(look: impl FnOnce(&Settings<'_>) -> T) -> T {
    look(&Settings {
        secrets: &[("main".parse().unwrap(), Secret::new("secret"))],
        parameters: &BTreeMap::new(),
        variant: None,
        now: Timestamp::default(),
        fetched: &BTreeMap::new(),
    })
}

fn hex(key: &[u8], message: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Hash::Sha256.hmac(key, message))
}
