//! What a check costs at most, whatever a stranger sends; and that the costliest genuine request stays below that.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;

use ring::signature::{Ed25519KeyPair, KeyPair};
use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::{Cause, Verdict};
use towline_shared::verify::{Body, Provider, Request, Settings, StreamedBody, Unsigned};

/// The most secrets of an endpoint.
const SECRETS: usize = 16;

const GROUPED: &str = r#"[own]
[[own.scheme]]
alg = "hmac-sha256"
sig = "{header.x-signature}"
group = " "
split = ","
kv = "="
sig_key = "v1"
message = "{sig.t}.{body}"
"#;

const ED25519: &str = r#"[own]
[[own.scheme]]
alg = "ed25519"
key = "{secret|unhex}"
sig = "{header.x-signature}"
split = ","
encoding = "hex"
message = "{body}"
"#;

#[test]
fn one_signature_over_the_longest_body_may_be_by_any_of_all_secrets() {
    for scheme in [GROUPED.to_owned(), without_parts()] {
        let own = Provider::parse("own", &scheme).unwrap();
        let signature = signed(&own, "secret-15");
        let body = Counted::of_25_mib();

        let verdict = verdict(&own, &signature, &body, &hmac_secrets());

        assert!(matches!(verdict, Verdict::Verified(_)), "{verdict:?}");
        assert!(body.reads.get() <= SECRETS as u64 + 1);
    }
}

#[test]
fn groups_that_would_cost_too_many_macs_are_refused_before_they_are_computed() {
    let own = Provider::parse("own", GROUPED).unwrap();
    let body = Counted::of_25_mib();

    let verdict = verdict(&own, &wrong_groups(8), &body, &hmac_secrets());

    assert_eq!(cause(&verdict), Cause::OverLimit);
    assert_eq!(body.reads.get(), 40);
}

#[test]
fn groups_whose_parts_are_not_signed_cost_one_mac_for_each_secret() {
    let own = Provider::parse("own", &without_parts()).unwrap();
    let body = Counted::of_25_mib();

    let verdict = verdict(&own, &wrong_groups(8), &body, &hmac_secrets());

    assert_eq!(cause(&verdict), Cause::SignatureMismatch);
    assert_eq!(body.reads.get(), SECRETS as u64);
}

#[test]
fn public_keys_are_tried_64_times_and_not_once_more() {
    let own = Provider::parse("own", ED25519).unwrap();
    let keys: Vec<_> = (0..16).map(|seed| [seed; 32]).map(key_pair).collect();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let secrets: Vec<_> = keys
        .iter()
        .map(|pair| Secret::new(hex(pair.public_key().as_ref())))
        .collect();
    let wrong = |count: usize| vec![hex(&[0; 64]); count];
    let right = hex(keys[15].sign(PIECE).as_ref());
    let list = |wrongs: usize| [wrong(wrongs), vec![right.clone()]].concat().join(",");
    let check = |text: &str| verdict(&own, text, &Counted::of(PIECE.len() as u64), &secrets);

    assert!(matches!(check(&list(3)), Verdict::Verified(_)));
    assert_eq!(cause(&check(&list(4))), Cause::OverLimit);
}

/// As [`GROUPED`], with a message that reads no part of the signature's value.
fn without_parts() -> String {
    GROUPED.replace("{sig.t}.{body}", "{body}")
}

fn key_pair(seed: [u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()
}

fn hmac_secrets() -> Vec<Secret> {
    let texts = (0..SECRETS).map(|number| format!("secret-{number:02}"));
    texts.map(Secret::new).collect()
}

fn wrong_groups(count: usize) -> String {
    let groups = (0..count).map(|time| format!("t={time},v1={}", "0".repeat(64)));
    groups.collect::<Vec<_>>().join(" ")
}

/// The signature's header for a body that is [`PIECE`].
fn signed(provider: &Provider, secret: &str) -> String {
    let unsigned = Unsigned {
        method: "POST",
        url: "https://relay.example/in/key",
        fields: &[],
        body: PIECE,
    };
    let secrets = [("main".parse().unwrap(), Secret::new(secret))];
    let fields = provider.sign(&unsigned, &settings(&secrets)).unwrap();
    fields[0].1.clone()
}

fn verdict(provider: &Provider, signature: &str, body: &Counted, secrets: &[Secret]) -> Verdict {
    let field = [(&b"X-Signature"[..], signature.as_bytes())];
    let head = Head::build("POST", b"/in/key", Version::Http11, field).unwrap();
    let request = Request {
        head: &head,
        url: "https://relay.example/in/key",
        body: Body::Streamed(body),
    };
    let named = secrets.iter().enumerate();
    let named =
        named.map(|(number, secret)| (format!("s{number}").parse().unwrap(), secret.clone()));
    let named: Vec<_> = named.collect();
    provider.check(&request, &settings(&named))
}

fn settings(secrets: &[(towline_shared::id::SecretName, Secret)]) -> Settings<'_> {
    static NOTHING: BTreeMap<String, String> = BTreeMap::new();
    Settings {
        secrets,
        parameters: &NOTHING,
        variant: None,
        now: Timestamp::from_millis(1_760_000_000_000),
        fetched: &NOTHING,
    }
}

fn cause(verdict: &Verdict) -> Cause {
    match verdict {
        Verdict::Failed(failure) => failure.cause,
        other => panic!("{other:?}"),
    }
}

const PIECE: &[u8] = b"{}";

/// A body that counts how often it is read. To keep the test short it is not as long as it says.
struct Counted {
    length: u64,
    reads: Cell<u64>,
}

impl Counted {
    fn of(length: u64) -> Self {
        let reads = Cell::new(0);
        Self { length, reads }
    }

    fn of_25_mib() -> Self {
        Self::of(25 << 20)
    }
}

impl StreamedBody for Counted {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&self, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        sink(PIECE);
        Ok(())
    }
}
