//! What makes two requests the same to a signature, and which requests are never called repeats.

use std::collections::BTreeMap;
use std::io;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{
    Body, Fingerprint, Judgement, Provider, Request, Settings, StreamedBody, Unsigned,
};

use crate::case::cases;

const NOW: u64 = 1_760_000_000;
const BODY: &[u8] = br#"{"event":"user.created"}"#;

#[test]
fn every_way_to_write_a_signature_has_the_same_fingerprint() {
    let mac = hmac(b"salt", BODY);
    let benji = |signature: &str| remembered("benji", &["salt"], &dated(signature, 0), BODY);

    let expected = benji(&HEXLOWER.encode(&mac));

    let unpadded = BASE64.encode(&mac).trim_end_matches('=').to_owned();
    for signature in [HEXUPPER.encode(&mac), BASE64.encode(&mac), unpadded] {
        assert_eq!(benji(&signature), expected, "{signature}");
    }
}

#[test]
fn a_fresh_date_beside_the_signed_text_makes_no_other_event() {
    let signature = HEXLOWER.encode(&hmac(b"salt", BODY));
    let benji = |age| remembered("benji", &["salt"], &dated(&signature, age), BODY);

    assert_eq!(benji(0), benji(120));
}

#[test]
fn a_delivery_id_that_is_not_signed_makes_no_other_event() {
    let signature = format!("sha256={}", HEXLOWER.encode(&hmac(b"key", BODY)));
    let github = |id: &str| {
        let fields = [
            ("X-Hub-Signature-256", &*signature),
            ("X-GitHub-Delivery", id),
        ];
        remembered("github", &["key"], &owned(&fields), BODY)
    };

    assert_eq!(github("1"), github("2"));
}

#[test]
fn another_scheme_over_the_same_text_makes_no_other_event() {
    let strong = signed("github", Some("sha256"), "key", BODY);
    let weak = signed("github", Some("sha1"), "key", BODY);

    assert_ne!(strong, weak, "two signatures");
    assert_eq!(
        remembered("github", &["key"], &strong, BODY),
        remembered("github", &["key"], &weak, BODY)
    );
}

#[test]
fn either_of_two_secrets_signatures_is_the_same_event() {
    let old = signed("github", Some("sha256"), "old", BODY);
    let new = signed("github", Some("sha256"), "new", BODY);
    let secrets = ["new", "old"];
    let both: Vec<_> = [&old[..], &new[..]].concat();

    let expected = remembered("github", &secrets, &both, BODY);

    for one in [old, new] {
        assert_eq!(remembered("github", &secrets, &one, BODY), expected);
    }
}

#[test]
fn signed_times_and_ids_tell_events_apart() {
    let at = |seconds: u64| {
        let mac = hmac(b"whsec", &[format!("{seconds}.").as_bytes(), BODY].concat());
        let value = format!("t={seconds},v1={}", HEXLOWER.encode(&mac));
        remembered(
            "stripe",
            &["whsec"],
            &owned(&[("Stripe-Signature", &*value)]),
            BODY,
        )
    };

    assert_eq!(at(NOW), at(NOW));
    assert_ne!(at(NOW), at(NOW - 1));
}

#[test]
fn other_bodies_are_other_events_and_a_streamed_one_is_the_same() {
    let other = br#"{"event":"user.removed"}"#;
    let of = |body: &[u8]| {
        let fields = signed("github", Some("sha256"), "key", body);
        remembered("github", &["key"], &fields, body)
    };
    let fields = signed("github", Some("sha256"), "key", BODY);

    let streamed = judge("github", &["key"], &fields, Body::Streamed(&Pieces(BODY)));

    assert_ne!(of(BODY), of(other));
    assert_eq!(streamed.fingerprint, Some(of(BODY)));
}

#[test]
fn a_request_with_an_empty_body_is_never_a_repeat() {
    // All of Extole's GET webhooks carry the signature of nothing: what they say stands in the query.
    let signature = HEXLOWER.encode(&hmac(b"key", b""));
    let fields = owned(&[("X-Extole-Signature", &*signature)]);

    let judgement = judge("extole", &["key"], &fields, Body::Bytes(b""));

    assert!(
        matches!(judgement.verdict, Verdict::Verified(_)),
        "{judgement:?}"
    );
    assert_eq!(judgement.fingerprint, None);
}

#[test]
fn a_credential_is_alike_in_all_events_and_makes_none_a_repeat() {
    let fields = owned(&[("X-Telegram-Bot-Api-Secret-Token", "token")]);

    let judgement = judge("telegram", &["token"], &fields, Body::Bytes(BODY));

    assert!(
        matches!(judgement.verdict, Verdict::Authenticated(_)),
        "{judgement:?}"
    );
    assert_eq!(judgement.fingerprint, None);
}

#[test]
fn a_failed_check_leaves_nothing_to_remember() {
    let fields = signed("github", Some("sha256"), "key", b"other");

    let judgement = judge("github", &["key"], &fields, Body::Bytes(BODY));

    assert!(
        matches!(judgement.verdict, Verdict::Failed(_)),
        "{judgement:?}"
    );
    assert_eq!(judgement.fingerprint, None);
}

#[test]
fn every_vector_has_a_fingerprint_just_when_it_is_verified_and_has_a_body() {
    let mut remembered = 0;
    for case in cases() {
        let body = case.body();
        let judgement = case.apply(Body::Bytes(&body), Provider::judge);
        let is_verified = matches!(judgement.verdict, Verdict::Verified(_));

        let expects_one = is_verified && !body.is_empty();
        assert_eq!(
            judgement.fingerprint.is_some(),
            expects_one,
            "{}: {}",
            case.provider,
            case.name
        );
        remembered += usize::from(expects_one);
    }
    assert!(remembered > 500, "{remembered}");
}

/// A body that comes in pieces of three bytes.
struct Pieces(&'static [u8]);

impl StreamedBody for Pieces {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.0.chunks(3).for_each(sink);
        Ok(())
    }
}

type Fields = Vec<(String, String)>;

fn owned(fields: &[(&str, &str)]) -> Fields {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    fields.iter().map(owned).collect()
}

fn dated(signature: &str, age: u64) -> Fields {
    let date = (NOW - age).to_string();
    owned(&[
        ("x-benji-signature", signature),
        ("x-webhook-datetime", &date),
    ])
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn with_settings<T>(
    secrets: &[&str],
    variant: Option<&str>,
    work: impl FnOnce(&Settings<'_>) -> T,
) -> T {
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| (secret.parse().unwrap(), Secret::new(*secret)))
        .collect();
    work(&Settings {
        secrets: &secrets,
        parameters: &BTreeMap::new(),
        variant,
        now: Timestamp::from_millis(NOW * 1000),
        fetched: &BTreeMap::new(),
    })
}

fn signed(slug: &str, variant: Option<&str>, secret: &str, body: &[u8]) -> Fields {
    let unsigned = Unsigned {
        method: "POST",
        url: "https://hooks.example.com/in/k",
        fields: &[],
        body,
    };
    let provider = Provider::builtin(slug).unwrap();
    with_settings(&[secret], variant, |settings| {
        provider.sign(&unsigned, settings).unwrap()
    })
}

fn judge(slug: &str, secrets: &[&str], fields: &Fields, body: Body<'_>) -> Judgement {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request {
        head: &Head::build("POST", b"/in/k", Version::Http11, fields).unwrap(),
        url: "https://hooks.example.com/in/k",
        body,
    };
    let provider = Provider::builtin(slug).unwrap();
    with_settings(secrets, None, |settings| provider.judge(&request, settings))
}

/// The fingerprint of a request that must be verified.
fn remembered(slug: &str, secrets: &[&str], fields: &Fields, body: &[u8]) -> Fingerprint {
    let judgement = judge(slug, secrets, fields, Body::Bytes(body));
    assert!(
        matches!(judgement.verdict, Verdict::Verified(_)),
        "{judgement:?}"
    );
    judgement.fingerprint.expect("a fingerprint")
}
