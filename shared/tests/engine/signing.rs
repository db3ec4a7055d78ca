//! What we sign, our own check accepts, for every scheme that can be signed; and only for that request.

use std::collections::BTreeMap;

use proptest::prelude::*;
use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings, SignError, Unsigned};

/// Hex, base64 and text at once, so that it serves every scheme.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn all_signable_schemes_sign_and_the_others_say_why_not() {
    let mut asymmetric = Vec::new();
    let mut elsewhere = Vec::new();
    for (slug, variant) in all_schemes() {
        let samples = [
            Sample::json(false),
            Sample::json(true),
            Sample::form(),
            Sample::hashed(),
        ];
        let name = variant
            .as_deref()
            .map_or(slug.to_owned(), |id| format!("{slug}/{id}"));
        let results = samples.map(|sample| (sample.sign(slug, variant.as_deref()), sample));
        let mut signed = results
            .iter()
            .filter_map(|(result, sample)| Some((result.as_ref().ok()?, sample)));
        let asymmetric_one = results
            .iter()
            .find(|(result, _)| matches!(result, Err(SignError::Asymmetric { .. })));
        match (signed.next(), &asymmetric_one.unwrap_or(&results[0]).0) {
            (Some((fields, sample)), _) => {
                let verdict = sample.verdict(slug, variant.as_deref(), fields);
                assert!(is_good(&verdict), "{name}: {verdict:?}");
            }
            (None, Err(SignError::Asymmetric { .. })) => asymmetric.push(name),
            (None, Err(SignError::Unusable(why))) => {
                let is_known = why.contains("not in a header") || why.contains("/oauth/token");
                assert!(is_known, "{name}: {why}");
                elsewhere.push(name);
            }
            (None, Ok(_)) => unreachable!("it would have been found"),
        }
    }

    assert_eq!(asymmetric, ASYMMETRIC);
    assert_eq!(elsewhere, ELSEWHERE);
}

const ASYMMETRIC: &[&str] = &[
    "anthropic/v1a",
    "aws_sns/v2",
    "aws_sns/v1",
    "brex/v1a",
    "clerk/v1a",
    "discord",
    "ebay",
    "etsy/v1a",
    "extole/jwks",
    "gemini/v1a",
    "google_pubsub",
    "highlevel",
    "incident_io/v1a",
    "keygen",
    "kick",
    "loops/v1a",
    "mailchannels",
    "openai/v1a",
    "paddle_classic",
    "paypal",
    "plaid",
    "render/v1a",
    "replicate/v1a",
    "resend/v1a",
    "sendgrid",
    "standard_webhooks/v1a",
    "stytch/v1a",
    "supabase/v1a",
    "svix/v1a",
    "telnyx",
    "travis",
    "vanta/v1a",
    "wise",
];

const ELSEWHERE: &[&str] = &[
    "adyen",
    "aircall",
    "azure_event_grid",
    "braintree",
    "cloudevents/query",
    "extole/oauth",
    "figma",
    "kinde",
    "mailchimp",
    "mailgun/json",
    "mailgun/form",
    "microsoft_graph",
    "strava",
];

proptest! {
    #[test]
    fn a_signed_request_verifies_and_an_altered_body_does_not(
        body in proptest::collection::vec(any::<u8>(), 1..200),
        seed in any::<usize>(),
        flip in any::<usize>(),
    ) {
        let schemes: Vec<_> = all_schemes().collect();
        let (slug, variant) = &schemes[seed % schemes.len()];
        let variant = variant.as_deref();
        let mut sample = Sample { body, ..Sample::json(seed % 2 == 0) };
        let Ok(fields) = sample.sign(slug, variant) else {
            return Ok(());
        };
        let verdict = sample.verdict(slug, variant, &fields);
        prop_assert!(is_good(&verdict), "{} {:?}", slug, verdict);
        let covers_body = matches!(verdict, Verdict::Verified(_));

        let index = flip % sample.body.len();
        sample.body[index] ^= 1;

        let verdict = sample.verdict(slug, variant, &fields);
        prop_assert_eq!(matches!(verdict, Verdict::Failed(_)), covers_body, "{} {:?}", slug, verdict);
    }
}

#[test]
fn the_time_is_made_afresh_and_an_id_of_the_request_stays() {
    let mut sample = Sample::json(false);
    sample.add("webhook-id", "msg_kept");
    sample.add("webhook-timestamp", "1");
    sample.add("webhook-signature", "v1,AAAA");

    let fields = sample.sign("standard_webhooks", None).unwrap();

    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["webhook-timestamp", "webhook-signature"]);
    assert_eq!(fields[0].1, "1760000000");
}

#[test]
fn both_signatures_of_a_request_that_had_both_are_made_again() {
    let mut sample = Sample::json(false);
    sample.add("X-Hub-Signature", "sha1=00");
    sample.add("X-Hub-Signature-256", "sha256=00");

    let fields = sample.sign("github", None).unwrap();

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

    let error = provider
        .sign(&Sample::json(false).unsigned(), &settings)
        .unwrap_err();

    assert!(matches!(error, SignError::Unusable(why) if why.contains("no secret")));
}

/// A request to sign, with the parameters of its endpoint.
struct Sample {
    url: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    parameters: BTreeMap<String, String>,
}

impl Sample {
    fn json(has_options: bool) -> Self {
        let mut sample = Self {
            url: "https://relay.example/in/key/path?a=1&b=%20".to_owned(),
            fields: Vec::new(),
            body: b"{\"webhookTimestamp\":1760000000000}".to_vec(),
            parameters: BTreeMap::from([("header".to_owned(), "X-Custom".to_owned())]),
        };
        sample.add("Host", "relay.example");
        if has_options {
            let parameters = [
                ("timestamp_header", "X-Time"),
                ("signature_algorithm", "sha256"),
                ("public_key", "key"),
                ("key_id", "key"),
                ("app_key", "key"),
                ("jwks_url", "https://keys.example/jwks.json"),
            ];
            let owned = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
            sample.parameters.extend(owned);
        }
        sample
    }

    fn form() -> Self {
        let mut sample = Self::json(false);
        sample.add("Content-Type", "application/x-www-form-urlencoded");
        sample.body = b"a=1&b=2".to_vec();
        sample
    }

    /// A JSON body whose SHA-256 is in the query.
    fn hashed() -> Self {
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        Self {
            url: format!("https://relay.example/in/key?bodySHA256={hash}"),
            body: b"{}".to_vec(),
            ..Self::json(false)
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    fn unsigned(&self) -> Unsigned<'_> {
        Unsigned {
            method: "POST",
            url: &self.url,
            fields: &self.fields,
            body: &self.body,
        }
    }

    fn sign(&self, slug: &str, variant: Option<&str>) -> Result<Vec<(String, String)>, SignError> {
        let provider = Provider::builtin(slug).unwrap();
        self.with_settings(variant, |settings| {
            provider.sign(&self.unsigned(), settings)
        })
    }

    fn verdict(&self, slug: &str, variant: Option<&str>, signed: &[(String, String)]) -> Verdict {
        let fields = self.fields.iter().chain(signed);
        let pairs = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let target = self.url.strip_prefix("https://relay.example").unwrap();
        let head = Head::build("POST", target.as_bytes(), Version::Http11, pairs).unwrap();
        let request = Request {
            head: &head,
            url: &self.url,
            body: Body::Bytes(&self.body),
        };
        let provider = Provider::builtin(slug).unwrap();
        self.with_settings(variant, |settings| provider.check(&request, settings))
    }

    fn with_settings<T>(&self, variant: Option<&str>, apply: impl FnOnce(&Settings<'_>) -> T) -> T {
        apply(&Settings {
            secrets: &[("main".parse().unwrap(), Secret::new(SECRET))],
            parameters: &self.parameters,
            variant,
            now: Timestamp::from_millis(1_760_000_000_000),
            fetched: &BTreeMap::new(),
        })
    }
}

fn is_good(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Verified(_) | Verdict::Authenticated(_))
}

/// Every scheme that has a name of its own, and the provider as a whole where none has.
fn all_schemes() -> impl Iterator<Item = (&'static str, Option<String>)> {
    Provider::builtin_slugs().flat_map(|slug| {
        let provider = Provider::builtin(slug).unwrap();
        let ids = provider.variants().into_iter();
        let mut named: Vec<_> = ids.map(|id| (slug, Some(id.to_owned()))).collect();
        if named.is_empty() {
            named.push((slug, None));
        }
        named
    })
}
