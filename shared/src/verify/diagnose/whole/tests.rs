//! Signatures by public keys and tokens are explained by the check itself, within its bound.

use std::collections::BTreeMap;

use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::head::{Head, Version};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::verdict::{Failure, Verdict};
use crate::verify::diagnose::budget::MAX_PUBLIC_KEY_OPERATIONS;
use crate::verify::diagnose::search::Search;
use crate::verify::{Body, Delivery, Provider, Request, Settings};

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn public_half() -> String {
    data_encoding::HEXLOWER.encode(pair().public_key().as_ref())
}

#[test]
fn a_body_that_was_changed_on_its_way_is_recognised_by_a_public_key() {
    let codes = |came: &[u8]| {
        let failure = discord(&public_half(), came, b"1{\"a\":1}");
        let code = |finding: &crate::verdict::Finding| finding.code.clone();
        failure.findings.iter().map(code).collect::<Vec<_>>()
    };

    assert_eq!(codes(b"{\"a\":1}\n"), ["trailing_newline"]);
    assert_eq!(codes(b"{\"a\": 1}"), ["json_reformatted"]);
    assert_eq!(codes(b"{\"a\": 2}"), ["nothing_matches"]);
}

#[test]
fn only_what_was_tried_is_denied() {
    let failure = discord(&public_half(), b"{\"a\": 2}", b"1{\"a\":1}");

    let sentence = &failure.findings[0].sentence;
    assert!(sentence.contains("a changed body"), "{sentence}");
    assert!(!sentence.contains("URL"), "{sentence}");
}

#[test]
fn a_search_ends_with_its_last_public_key_operation() {
    with_discord(
        &public_half(),
        b"{\"a\":1}\n",
        b"1{\"a\":1}",
        |request, settings| {
            let delivery = Delivery::new(request, settings);
            let provider = Provider::builtin("discord").unwrap();
            for (left, is_found) in [(0, false), (MAX_PUBLIC_KEY_OPERATIONS, true)] {
                let mut search = Search::new(&provider, &delivery);
                search.budget.public_key_operations = left;

                let outcome = search.run();

                assert_eq!(outcome.found.is_some(), is_found);
                assert_eq!(outcome.left_something_out, !is_found);
            }
        },
    );
}

#[test]
fn a_token_by_a_secret_in_another_form_is_recognised() {
    let part = |json: &str| data_encoding::BASE64URL_NOPAD.encode(json.as_bytes());
    let signed = format!(
        "{}.{}",
        part("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
        part("{\"exp\":99999999999}")
    );
    let mac = crate::verify::digest::Hash::Sha256.hmac(b"pa55phrase", signed.as_bytes());
    let token = format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(&mac));
    let fields = [(&b"Authorization"[..], format!("Bearer {token}"))];
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let head = Head::build("POST", b"/in/key", Version::Http11, fields).unwrap();

    let failure = failure("monday", "pa55phrase\n", &head, b"{}");

    assert_eq!(failure.findings[0].code, "other_secret_form", "{failure:?}");
}

/// The failure of a request to `discord` with a signature over `signed`.
fn discord(secret: &str, body: &[u8], signed: &[u8]) -> Failure {
    with_discord(secret, body, signed, |request, _| {
        failure("discord", secret, request.head, body)
    })
}

fn with_discord<T>(
    secret: &str,
    body: &[u8],
    signed: &[u8],
    look: impl FnOnce(&Request<'_>, &Settings<'_>) -> T,
) -> T {
    let signature = data_encoding::HEXLOWER.encode(pair().sign(signed).as_ref());
    let fields = [
        (&b"X-Signature-Timestamp"[..], &b"1"[..]),
        (b"X-Signature-Ed25519", signature.as_bytes()),
    ];
    let head = Head::build("POST", b"/in/key", Version::Http11, fields).unwrap();
    with_request(secret, &head, body, look)
}

fn failure(slug: &str, secret: &str, head: &Head, body: &[u8]) -> Failure {
    let provider = Provider::builtin(slug).unwrap();
    let check = |request: &Request<'_>, settings: &Settings<'_>| provider.check(request, settings);
    match with_request(secret, head, body, check) {
        Verdict::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn with_request<T>(
    secret: &str,
    head: &Head,
    body: &[u8],
    look: impl FnOnce(&Request<'_>, &Settings<'_>) -> T,
) -> T {
    let settings = Settings {
        secrets: &[("main".parse().unwrap(), Secret::new(secret))],
        parameters: &BTreeMap::new(),
        variant: None,
        now: Timestamp::from_millis(1_760_000_000_000),
        fetched: &BTreeMap::new(),
    };
    let request = Request {
        head,
        url: "https://relay.example/in/key",
        body: Body::Bytes(body),
    };
    look(&request, &settings)
}
