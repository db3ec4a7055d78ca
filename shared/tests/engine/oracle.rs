//! A signature that anybody can have as the answer to a challenge is none of a delivery.

use std::collections::BTreeMap;

use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings};

#[test]
fn the_answer_to_a_challenge_signs_no_delivery() {
    for (slug, challenge, token, field, body) in [
        (
            "x_twitter",
            Asked::Query("crc_token"),
            "evil",
            "x-twitter-webhooks-signature",
            "evil",
        ),
        (
            "smartcar",
            Asked::Body("{\"eventName\":\"verify\",\"payload\":{\"challenge\":\"TOKEN\"}}"),
            "evil",
            "sc-signature",
            "evil",
        ),
        (
            "linkedin",
            Asked::Query("challengeCode"),
            "hmacsha256=evil",
            "x-li-signature",
            "evil",
        ),
        (
            "linkedin",
            Asked::Query("challengeCode"),
            "hmacsha256=",
            "x-li-signature",
            "",
        ),
    ] {
        let signature = signature_of(slug, &challenge, token);

        let verdict = verdict(slug, field, &signature, body);

        let is_refused = matches!(&verdict, Verdict::Failed(_));
        assert!(is_refused, "{slug}, `{token}`: {verdict:?}");
    }
}

/// Where a provider puts the text of its challenge.
enum Asked {
    Query(&'static str),
    Body(&'static str),
}

/// What the answer to the challenge signs it with.
fn signature_of(slug: &str, asked: &Asked, token: &str) -> String {
    let (method, target, body) = match asked {
        Asked::Query(name) => (
            "GET",
            format!("/in/key?{name}={}", token.replace('=', "%3D")),
            String::new(),
        ),
        Asked::Body(body) => ("POST", "/in/key".to_owned(), body.replace("TOKEN", token)),
    };
    let head = Head::build(method, target.as_bytes(), Version::Http11, []).unwrap();
    let url = format!("https://relay.example{target}");
    let request = Request {
        head: &head,
        url: &url,
        body: Body::Bytes(body.as_bytes()),
    };
    let provider = Provider::builtin(slug).unwrap();
    let reply = with_settings(|settings| provider.handshake(&request, settings)).unwrap();
    assert!(reply.is_accepted(), "{slug}: {}", reply.status);
    let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let values = answer.as_object().unwrap().values();
    let signature = values.filter_map(|value| value.as_str()).next_back();
    signature.unwrap().to_owned()
}

fn verdict(slug: &str, field: &str, signature: &str, body: &str) -> Verdict {
    let fields = [(field.as_bytes(), signature.as_bytes())];
    let head = Head::build("POST", b"/in/key", Version::Http11, fields).unwrap();
    let request = Request {
        head: &head,
        url: "https://relay.example/in/key",
        body: Body::Bytes(body.as_bytes()),
    };
    let provider = Provider::builtin(slug).unwrap();
    with_settings(|settings| provider.check(&request, settings))
}

fn with_settings<T>(apply: impl FnOnce(&Settings<'_>) -> T) -> T {
    let secrets = [("live".parse().unwrap(), Secret::new("secret"))];
    apply(&Settings {
        secrets: &secrets,
        parameters: &BTreeMap::new(),
        variant: None,
        now: Timestamp::from_millis(1_760_000_000_000),
        fetched: &BTreeMap::new(),
    })
}
