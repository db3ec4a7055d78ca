//! Every scheme that signs signs again, and nothing but what it writes changes.

use std::collections::BTreeMap;

use super::*;
use crate::head::Version;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Hex, base64 and text at once, so that it serves every scheme.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const THEN: Timestamp = Timestamp::from_millis(1_760_000_000_000);
const NOW: Timestamp = Timestamp::from_millis(1_760_086_400_000);
const URL: &str = "https://relay.example/in/key/path?a=1&b=%20";

#[test]
fn every_scheme_that_signs_signs_again_with_another_body_a_day_later() {
    let mut count = 0;
    for slug in Provider::builtin_slugs() {
        let provider = Provider::builtin(slug).unwrap();
        let mut variants: Vec<_> = provider.variants().into_iter().map(Some).collect();
        variants.push(None);
        for variant in variants {
            let Some(head) = captured(&provider, variant, b"{\"n\":1}") else {
                continue;
            };

            let resigned = with_settings(NOW, None, |settings| {
                provider.resign(&again(&head, b"{\"n\":2}", variant), settings)
            });

            let resigned = match resigned {
                Ok(resigned) => resigned,
                Err(SignError::Asymmetric { .. }) => continue,
                Err(error) => panic!("{slug} {variant:?}: {error}"),
            };
            count += 1;
            let names = |head: &Head| -> Vec<Vec<u8>> {
                head.fields().map(|field| field.name.to_vec()).collect()
            };
            assert_eq!(names(&resigned.head), names(&head), "{slug} {variant:?}");
            assert!(
                matches!(
                    resigned.verdict,
                    Verdict::Verified(_) | Verdict::Authenticated(_)
                ),
                "{slug} {variant:?}"
            );
        }
    }
    assert!(count > 150, "only {count} schemes were signed again");
}

#[test]
fn order_case_and_other_lines_stay_and_each_change_is_named() {
    let head = Head::parse(
        &b"POST /in/key HTTP/1.1\r\nhost:x\r\nX-HUB-Signature-256: sha256=00\r\nX-a:  1 \r\nx-hub-signature: sha1=00\r\nBin: \xff\r\n\r\n"[..],
    )
    .unwrap();

    let resigned = resign("github", &head, b"{}").unwrap();

    let lines: Vec<_> = resigned.head.fields().map(|field| field.line).collect();
    assert_eq!(
        (lines[0], lines[2], lines[4]),
        (&b"host:x"[..], &b"X-a:  1 "[..], &b"Bin: \xff"[..])
    );
    assert!(lines[1].starts_with(b"X-HUB-Signature-256: sha256=") && lines[1].len() > 80);
    assert!(lines[3].starts_with(b"x-hub-signature: sha1=") && lines[3].len() > 50);
    let changed: Vec<_> = resigned
        .changes
        .iter()
        .map(|change| change.part.as_str())
        .collect();
    assert_eq!(changed, ["X-HUB-Signature-256", "x-hub-signature"]);
    assert_eq!(resigned.changes[0].reason, "test");
}

#[test]
fn what_was_repeated_is_written_once_and_what_was_missing_is_added() {
    let head = Head::parse(
        &b"POST / HTTP/1.1\r\nStripe-Signature: t=1,v1=00\r\nStripe-Signature: t=2,v1=00\r\n\r\n"[..],
    )
    .unwrap();
    let bare = Head::parse(&b"POST / HTTP/1.1\r\nA: 1\r\n\r\n"[..]).unwrap();

    let repeated = resign("stripe", &head, b"{}").unwrap();
    let added = resign("stripe", &bare, b"{}").unwrap();

    assert_eq!(repeated.head.fields().len(), 1);
    let kinds: Vec<_> = repeated.changes.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Replaced, ChangeKind::Removed]);
    assert_eq!(added.head.fields().len(), 2);
    assert_eq!(added.changes[0].kind, ChangeKind::Added);
}

#[test]
fn a_hash_of_the_old_body_gives_way_too() {
    let toml = r#"
[own]
name = "Own"
[[own.scheme]]
alg = "hmac-sha256"
sig = "{header.x-signature}"
encoding = "hex"
message = "{header.digest}"
require = [["{header.digest}", "{body|sha256|hex}"]]
"#;
    let provider = Provider::parse("own", toml).unwrap();
    let head =
        Head::parse(&b"POST / HTTP/1.1\r\nDigest: 00\r\nX-Signature: 00\r\n\r\n"[..]).unwrap();

    let resigned = with_settings(NOW, None, |settings| {
        provider.resign(&again(&head, b"{}", None), settings)
    });

    let names: Vec<_> = resigned
        .unwrap()
        .changes
        .into_iter()
        .map(|change| change.part)
        .collect();
    assert_eq!(names, ["Digest", "X-Signature"]);
}

#[test]
fn only_the_provider_can_sign_what_is_asymmetric() {
    let head = Head::parse(&b"POST / HTTP/1.1\r\nX-Signature-Ed25519: 00\r\n\r\n"[..]).unwrap();

    let error = resign("discord", &head, b"{}").unwrap_err();

    assert!(matches!(error, SignError::Asymmetric { .. }));
}

#[test]
fn the_place_of_the_delivery_id_is_known() {
    let place = |slug: &str, head: &str, body: &str| {
        let head = Head::parse(format!("POST / HTTP/1.1\r\n{head}\r\n")).unwrap();
        let request = Request {
            head: &head,
            url: URL,
            body: Body::Bytes(body.as_bytes()),
        };
        let provider = Provider::builtin(slug).unwrap();
        with_settings(NOW, None, |settings| {
            provider.delivery_id_place(&request, settings)
        })
    };

    assert_eq!(
        place("github", "X-GitHub-Delivery: 1\r\n", "{}"),
        DeliveryIdPlace::Header("x-github-delivery".to_owned())
    );
    assert_eq!(
        place("stripe", "", "{\"id\":\"evt_1\"}"),
        DeliveryIdPlace::Body("the JSON field `/id`".to_owned())
    );
    assert_eq!(place("github", "", "{}"), DeliveryIdPlace::Nowhere);
}

fn resign(slug: &str, head: &Head, body: &[u8]) -> Result<Resigned, SignError> {
    let provider = Provider::builtin(slug).unwrap();
    with_settings(NOW, None, |settings| {
        provider.resign(&again(head, body, None), settings)
    })
}

fn again<'a>(head: &'a Head, body: &'a [u8], matched: Option<&'a str>) -> Captured<'a> {
    Captured {
        head,
        url: URL,
        body,
        matched,
        reason: "test",
    }
}

/// What a provider would have sent, its names in upper case; nothing where the scheme does not sign.
fn captured(provider: &Provider, variant: Option<&str>, body: &[u8]) -> Option<Head> {
    let own = vec![
        ("HOST".to_owned(), "relay.example".to_owned()),
        ("CONTENT-TYPE".to_owned(), "application/json".to_owned()),
    ];
    let unsigned = Unsigned {
        method: "POST",
        url: URL,
        fields: &own,
        body,
    };
    let signed = with_settings(THEN, variant, |settings| provider.sign(&unsigned, settings));
    let signed = signed.ok()?.into_iter();
    let signed = signed.map(|(name, value)| (name.to_ascii_uppercase(), value));
    let all: Vec<_> = own.into_iter().chain(signed).collect();
    let pairs = all
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    Head::build("POST", b"/in/key/path?a=1&b=%20", Version::Http11, pairs).ok()
}

fn with_settings<T>(
    now: Timestamp,
    variant: Option<&str>,
    apply: impl FnOnce(&Settings<'_>) -> T,
) -> T {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let parameters = [
        ("header", "X-Custom"),
        ("key_id", "key"),
        ("app_key", "key"),
    ];
    apply(&Settings {
        secrets: &[("main".parse().unwrap(), Secret::new(SECRET))],
        parameters: &parameters.map(owned).into_iter().collect(),
        variant,
        now,
        fetched: &BTreeMap::new(),
    })
}
