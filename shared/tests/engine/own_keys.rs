//! With a private key of one's own the asymmetric schemes sign as well, for whoever trusts its public half.

use std::collections::BTreeMap;

use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{
    Body, KeyKind, PrivateKey, Provider, Request, Settings, SignError, Unsigned,
};

const RSA: &str = include_str!("../keys/rsa.pem");
const URL: &str = "https://relay.example/in/key?a=1";
const BODY: &[u8] = b"{\"a\":1}";

/// Schemes that sign with SHA-1, which our cryptography only checks, and those whose signature is in the body.
const WITHOUT: &[&str] = &["aws_sns", "ebay", "kinde", "paddle_classic", "travis"];

#[test]
fn every_asymmetric_scheme_signs_for_who_trusts_the_public_half() {
    let mut without = Vec::new();
    for slug in Provider::builtin_slugs() {
        let provider = Provider::builtin(slug).unwrap();
        for kind in provider.key_kinds(None) {
            let key = key(kind);
            let Ok(fields) = sign(&provider, &key) else {
                without.push(slug);
                continue;
            };
            let own = provider.public_key_text(None, &key).unwrap();
            let other = provider.public_key_text(None, &another(&key)).unwrap();

            let good = verdict(&provider, &fields, BODY, &own, &key);
            let forged = verdict(&provider, &fields, BODY, &other, &key);
            let altered = verdict(&provider, &fields, b"{\"a\":2}", &own, &key);

            match good {
                Verdict::Verified(_) => {
                    assert!(matches!(altered, Verdict::Failed(_)), "{slug}: {altered:?}");
                }
                Verdict::Authenticated(_) => {}
                verdict => panic!("{slug} {key:?}: {verdict:?}"),
            }
            assert!(matches!(forged, Verdict::Failed(_)), "{slug}: {forged:?}");
        }
    }

    assert_eq!(without, WITHOUT);
}

#[test]
fn a_key_of_another_kind_is_refused_with_the_right_kind() {
    for (slug, kind, expected) in [
        ("discord", KeyKind::P256, "ed25519"),
        ("sendgrid", KeyKind::Ed25519, "p256"),
        ("wise", KeyKind::Ed25519, "rsa"),
        ("github", KeyKind::Ed25519, "with a secret"),
    ] {
        let provider = Provider::builtin(slug).unwrap();

        let error = sign(&provider, &key(kind)).unwrap_err();

        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_public_half_has_the_form_of_the_provider() {
    let text = |slug: &str, kind| {
        let provider = Provider::builtin(slug).unwrap();
        provider.public_key_text(None, &key(kind)).unwrap()
    };

    assert_eq!(text("discord", KeyKind::Ed25519).len(), 64);
    assert_eq!(text("telnyx", KeyKind::Ed25519).len(), 44);
    assert!(text("svix", KeyKind::Ed25519).starts_with("whpk_"));
    assert!(text("sendgrid", KeyKind::P256).starts_with("-----BEGIN PUBLIC KEY-----"));
    assert!(text("plaid", KeyKind::P256).contains("\"kid\""));
}

fn key(kind: KeyKind) -> PrivateKey {
    match PrivateKey::generate(kind) {
        Some(text) => PrivateKey::from_pem(text.as_bytes()).unwrap(),
        None => PrivateKey::from_pem(RSA.as_bytes()).unwrap(),
    }
}

/// A key of the same kind.
fn another(key: &PrivateKey) -> PrivateKey {
    match key.kind() {
        KeyKind::Rsa => PrivateKey::from_pem(include_bytes!("../keys/other_rsa.pem")).unwrap(),
        kind => self::key(kind),
    }
}

fn fields() -> Vec<(String, String)> {
    let pairs = [
        ("Host", "relay.example"),
        (
            "PayPal-Cert-Url",
            "https://api.paypal.com/v1/notifications/certs/CERT-local",
        ),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn sign(provider: &Provider, key: &PrivateKey) -> Result<Vec<(String, String)>, SignError> {
    let fields = fields();
    let unsigned = Unsigned {
        method: "POST",
        url: URL,
        fields: &fields,
        body: BODY,
    };
    with_settings("", &BTreeMap::new(), |settings| {
        provider.sign_with_key(&unsigned, settings, key)
    })
}

fn verdict(
    provider: &Provider,
    signature: &[(String, String)],
    body: &[u8],
    public: &str,
    key: &PrivateKey,
) -> Verdict {
    let fields = fields();
    let pairs = fields.iter().chain(signature);
    let pairs = pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let head = Head::build("POST", b"/in/key?a=1", Version::Http11, pairs).unwrap();
    let request = Request {
        head: &head,
        url: URL,
        body: Body::Bytes(body),
    };
    let places = [key.key_id(), fields[1].1.clone()];
    let fetched = places.map(|place| (place, public.to_owned())).into();
    with_settings(public, &fetched, |settings| {
        provider.check(&request, settings)
    })
}

fn with_settings<T>(
    secret: &str,
    fetched: &BTreeMap<String, String>,
    apply: impl FnOnce(&Settings<'_>) -> T,
) -> T {
    let parameters = [("webhook_id", "1"), ("audience", "a"), ("email", "e")];
    apply(&Settings {
        secrets: &[("main".parse().unwrap(), Secret::new(secret))],
        parameters: &parameters
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        variant: None,
        now: Timestamp::from_millis(1_760_000_000_000),
        fetched,
    })
}
