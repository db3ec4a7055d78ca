//! Every sample, signed with a made-up secret, is what its name says to the engine that checks it.

use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings, SignError, Unsigned};

use super::*;

/// Hex, base64 and text at once, so that it serves every scheme.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_000);
const URL: &str = "https://relay.example/in/key";

#[test]
fn the_list_names_exactly_the_files_of_the_folder() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();

    let listed: Vec<String> = providers().map(|slug| format!("{slug}.toml")).collect();

    assert_eq!(listed, names);
}

#[test]
fn every_provider_has_two_samples_a_scheme_and_a_source() {
    for slug in providers() {
        assert!(Provider::builtin(slug).is_some(), "{slug}");
        assert!(of(slug).count() >= 2, "{slug}");
        for sample in of(slug) {
            assert!(
                !sample.source().is_empty() && !sample.about().is_empty(),
                "{slug}"
            );
            let found = find(slug, sample.name()).unwrap();
            assert_eq!(found.name(), sample.name());
        }
    }
}

#[test]
fn every_placeholder_is_filled_and_every_json_body_is_json() {
    for sample in all() {
        let webhook = webhook(&sample, 1);
        let name = format!("{}.{}", sample.provider(), sample.name());
        let text = String::from_utf8(webhook.body.clone()).unwrap();

        assert!(!text.contains("${"), "{name}: {text}");
        assert!(!text.contains("\n\n"), "{name}: a body with empty lines");
        let content_type = value(&webhook, "content-type");
        if content_type.contains("json") {
            serde_json::from_str::<serde_json::Value>(&text)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        } else {
            assert_eq!(content_type, "application/x-www-form-urlencoded", "{name}");
            assert!(!text.contains([' ', '\n']), "{name}");
        }
        for (name_of_field, text) in &webhook.fields {
            assert!(!text.contains("${"), "{name}: {name_of_field}: {text}");
        }
        let lines = sample.manifest.headers.iter().chain(&sample.event.headers);
        assert!(lines.into_iter().all(|line| line.contains(": ")), "{name}");
    }
}

#[test]
fn every_sample_says_the_name_and_the_id_of_its_delivery() {
    for sample in all() {
        let name = format!("{}.{}", sample.provider(), sample.name());
        let webhook = webhook(&sample, 1);
        let provider = Provider::builtin(sample.provider()).unwrap();
        let head = head(&webhook.fields);

        let facts = provider.facts(&Request {
            head: &head,
            url: URL,
            body: Body::Bytes(&webhook.body),
        });

        assert_eq!(facts.event_type.as_deref(), sample.event_type(), "{name}");
        assert_eq!(facts.delivery_id, webhook.delivery_id, "{name}");
    }
}

#[test]
fn every_sample_of_a_scheme_with_a_secret_is_signed_and_verified() {
    for sample in all() {
        let name = format!("{}.{}", sample.provider(), sample.name());
        let mut webhook = webhook(&sample, 1);
        let fields = match signed(&sample, &webhook) {
            Ok(fields) => fields,
            Err(SignError::Asymmetric { .. }) => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        webhook.add_signature(fields);

        let found = verdict(&sample, &webhook);
        webhook.body.push(b' ');
        let other = verdict(&sample, &webhook);

        match found {
            Verdict::Verified(_) => assert!(matches!(other, Verdict::Failed(_)), "{name}"),
            Verdict::Authenticated(_) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn two_webhooks_of_a_sample_differ() {
    for sample in all() {
        let (one, other) = (webhook(&sample, 1), webhook(&sample, 2));

        assert_ne!(one, other, "{}.{}", sample.provider(), sample.name());
        assert_eq!(one, webhook(&sample, 1));
    }
}

#[test]
fn a_delivery_id_of_ones_own_takes_the_place_of_the_fresh_one() {
    let sample = find("stripe", "invoice.paid").unwrap();
    let filling = Filling::new(NOW, [0; 32]);

    let webhook = sample.webhook(&filling, Some("evt_mine"));

    assert!(
        String::from_utf8(webhook.body)
            .unwrap()
            .contains("\"evt_mine\"")
    );
    assert_eq!(webhook.delivery_id.as_deref(), Some("evt_mine"));
}

#[test]
fn the_first_words_of_a_name_are_enough_where_they_are_one_sample_only() {
    assert_eq!(
        find("github", "pull_request").unwrap().name(),
        "pull_request.opened"
    );
    assert_eq!(find("github", "pull").unwrap_err(), NoSample::Event);
    assert_eq!(find("nobody", "x").unwrap_err(), NoSample::Provider);
    assert!(matches!(
        find("stripe", "customer"),
        Ok(_) | Err(NoSample::Several(_))
    ));
}

fn all() -> impl Iterator<Item = Sample> {
    providers().flat_map(of)
}

fn webhook(sample: &Sample, seed: u8) -> Webhook {
    sample.webhook(&Filling::new(NOW, [seed; 32]), None)
}

fn value<'w>(webhook: &'w Webhook, name: &str) -> &'w str {
    let mut fields = webhook.fields.iter();
    let found = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value)
}

fn head(fields: &[(String, String)]) -> Head {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    Head::build("POST", b"/in/key", Version::Http11, fields).unwrap()
}

fn with_settings<T>(sample: &Sample, apply: impl FnOnce(&Settings<'_>) -> T) -> T {
    apply(&Settings {
        secrets: &[("main".parse().unwrap(), Secret::new(SECRET))],
        parameters: sample.parameters(),
        variant: None,
        now: NOW,
        fetched: &BTreeMap::new(),
    })
}

fn signed(sample: &Sample, webhook: &Webhook) -> Result<Vec<(String, String)>, SignError> {
    let unsigned = Unsigned {
        method: "POST",
        url: URL,
        fields: &webhook.fields_to_sign(),
        body: &webhook.body,
    };
    let provider = Provider::builtin(sample.provider()).unwrap();
    with_settings(sample, |settings| provider.sign(&unsigned, settings))
}

fn verdict(sample: &Sample, webhook: &Webhook) -> Verdict {
    let head = head(&webhook.fields);
    let request = Request {
        head: &head,
        url: URL,
        body: Body::Bytes(&webhook.body),
    };
    let provider = Provider::builtin(sample.provider()).unwrap();
    with_settings(sample, |settings| provider.check(&request, settings))
}
