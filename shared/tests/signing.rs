//! What we sign, our own check accepts, for every scheme that can be signed; and only for that request.

use std::collections::BTreeMap;

use proptest::prelude::*;
use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings, SignError, Unsigned};

const URL: &str = "https://relay.example/in/key/path?a=1&b=%20";

/// Hex, base64 and text at once, so that it serves every scheme.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn all_signable_providers_sign_and_the_others_say_why_not() {
    let mut asymmetric = Vec::new();
    let mut elsewhere = Vec::new();
    for slug in Provider::builtin_slugs() {
        for variant in variants(slug) {
            let name = variant
                .as_deref()
                .map_or(slug.to_owned(), |id| format!("{slug}/{id}"));
            match signed(slug, variant.as_deref(), b"{\"a\":1}", &[]) {
                Ok(_) => {}
                Err(SignError::Asymmetric { .. }) => asymmetric.push(name),
                Err(SignError::Unusable(why)) => elsewhere.push(format!("{name}: {why}")),
            }
        }
    }

    assert_eq!(asymmetric, ASYMMETRIC);
    assert_eq!(elsewhere, ELSEWHERE);
}

const ASYMMETRIC: &[&str] = &["standard_webhooks/v1a"];

const ELSEWHERE: &[&str] = &[];

proptest! {
    #[test]
    fn a_signed_request_verifies_and_an_altered_body_does_not(
        body in proptest::collection::vec(any::<u8>(), 1..200),
        seed in any::<usize>(),
    ) {
        let slugs: Vec<_> = Provider::builtin_slugs().collect();
        let slug = slugs[seed % slugs.len()];
        for variant in variants(slug) {
            let Ok(fields) = signed(slug, variant.as_deref(), &body, &[]) else {
                continue;
            };
            let verdict = verdict(slug, variant.as_deref(), &fields, &body);
            prop_assert!(matches!(verdict, Verdict::Verified(_) | Verdict::Authenticated(_)));
            let covers_body = matches!(verdict, Verdict::Verified(_));
            let mut altered = body.clone();
            altered[0] ^= 1;
            let verdict = self::verdict(slug, variant.as_deref(), &fields, &altered);
            prop_assert_eq!(matches!(verdict, Verdict::Failed(_)), covers_body, "{} {:?}", slug, verdict);
        }
    }
}

#[test]
fn the_time_is_made_afresh_and_an_id_of_the_request_stays() {
    let old = [
        ("webhook-id".to_owned(), "msg_kept".to_owned()),
        ("webhook-timestamp".to_owned(), "1".to_owned()),
        ("webhook-signature".to_owned(), "v1,AAAA".to_owned()),
    ];

    let fields = signed("standard_webhooks", None, b"{}", &old).unwrap();

    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["webhook-timestamp", "webhook-signature"]);
    assert_eq!(fields[0].1, "1760000000");
}

#[test]
fn both_signatures_of_a_request_that_had_both_are_made_again() {
    let old = [
        ("X-Hub-Signature".to_owned(), "sha1=00".to_owned()),
        ("X-Hub-Signature-256".to_owned(), "sha256=00".to_owned()),
    ];

    let fields = signed("github", None, b"{}", &old).unwrap();

    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-hub-signature-256", "x-hub-signature"]);
}

#[test]
fn without_a_secret_nothing_is_signed() {
    let provider = Provider::builtin("github").unwrap();
    let (parameters, fetched) = (BTreeMap::new(), BTreeMap::new());
    let settings = Settings {
        secrets: &[],
        parameters: &parameters,
        variant: None,
        now: Timestamp::from_millis(0),
        fetched: &fetched,
    };
    let unsigned = Unsigned {
        method: "POST",
        url: URL,
        fields: &[],
        body: b"{}",
    };

    let error = provider.sign(&unsigned, &settings).unwrap_err();

    assert!(matches!(error, SignError::Unusable(why) if why.contains("no secret")));
}

fn variants(slug: &str) -> Vec<Option<String>> {
    let provider = Provider::builtin(slug).unwrap();
    let named: Vec<_> = provider
        .variants()
        .into_iter()
        .map(|id| Some(id.to_owned()))
        .collect();
    if named.is_empty() { vec![None] } else { named }
}

fn with_settings<T>(variant: Option<&str>, use_settings: impl FnOnce(&Settings<'_>) -> T) -> T {
    let secrets = [("main".parse().unwrap(), Secret::new(SECRET))];
    let parameters = [
        ("header", "X-Custom"),
        ("timestamp_header", "X-Time"),
        ("public_key", "key"),
        ("key_id", "key"),
        ("app_key", "key"),
    ];
    let parameters = parameters
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let settings = Settings {
        secrets: &secrets,
        parameters: &parameters,
        variant,
        now: Timestamp::from_millis(1_760_000_000_000),
        fetched: &BTreeMap::new(),
    };
    use_settings(&settings)
}

fn signed(
    slug: &str,
    variant: Option<&str>,
    body: &[u8],
    fields: &[(String, String)],
) -> Result<Vec<(String, String)>, SignError> {
    let mut all = vec![("Host".to_owned(), "relay.example".to_owned())];
    all.extend_from_slice(fields);
    let unsigned = Unsigned {
        method: "POST",
        url: URL,
        fields: &all,
        body,
    };
    with_settings(variant, |settings| {
        Provider::builtin(slug).unwrap().sign(&unsigned, settings)
    })
}

fn verdict(slug: &str, variant: Option<&str>, fields: &[(String, String)], body: &[u8]) -> Verdict {
    let host = [("Host".to_owned(), "relay.example".to_owned())];
    let pairs = host
        .iter()
        .chain(fields)
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let head = Head::build("POST", b"/in/key/path?a=1&b=%20", Version::Http11, pairs).unwrap();
    let request = Request {
        head: &head,
        url: URL,
        body: Body::Bytes(body),
    };
    with_settings(variant, |settings| {
        Provider::builtin(slug).unwrap().check(&request, settings)
    })
}
