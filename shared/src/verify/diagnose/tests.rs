//! Each explanation on a request that it explains.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::bodies::MAX_PARSED_BYTES;
use super::*;
use crate::head::{Head, Version};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use crate::verify::digest::Hash;
use crate::verify::{Body, Request, Settings, Surroundings};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const URL: &str = "https://relay.example/in/key?a=1";
const BODY: &[u8] = b"{\"a\": 1}";

/// A request to `github`, with everything right unless a test changes it.
struct Example {
    provider: &'static str,
    variant: Option<&'static str>,
    secret: &'static str,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            provider: "github",
            variant: None,
            secret: SECRET,
            fields: vec![(
                "X-Hub-Signature-256",
                format!("sha256={}", hex(SECRET, BODY)),
            )],
            body: BODY.to_vec(),
        }
    }
}

impl Example {
    fn verdict(&self) -> Verdict {
        let secrets = [("main".parse().unwrap(), Secret::new(self.secret))];
        let settings = Settings {
            secrets: &secrets,
            parameters: &BTreeMap::new(),
            variant: self.variant,
            now: Timestamp::from_millis(1_760_000_000_000),
            fetched: &BTreeMap::new(),
        };
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let head = Head::build("POST", b"/in/key?a=1", Version::Http11, fields).unwrap();
        let request = Request {
            head: &head,
            url: URL,
            body: Body::Bytes(&self.body),
        };
        Provider::builtin(self.provider)
            .unwrap()
            .check(&request, &settings)
    }

    /// The codes of the findings; no text may tell the secret or the expected signature.
    fn codes(&self) -> Vec<String> {
        let Verdict::Failed(failure) = self.verdict() else {
            panic!("the example must fail");
        };
        let shown = format!("{failure:?}");
        assert!(!shown.contains(self.secret.trim()), "{shown}");
        assert!(!shown.contains(&hex(self.secret, &self.body)), "{shown}");
        failure
            .findings
            .into_iter()
            .map(|finding| finding.code)
            .collect()
    }
}

#[test]
fn a_brief_check_fails_alike_and_looks_for_no_reason() {
    let example = Example {
        body: [BODY, b"\n"].concat(),
        ..Example::default()
    };
    let head = Head::build(
        "POST",
        b"/in/key?a=1",
        Version::Http11,
        example
            .fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    let request = Request {
        head: &head.unwrap(),
        url: URL,
        body: Body::Bytes(&example.body),
    };
    let settings = Settings {
        secrets: &[("main".parse().unwrap(), Secret::new(SECRET))],
        parameters: &BTreeMap::new(),
        variant: None,
        now: Timestamp::default(),
        fetched: &BTreeMap::new(),
    };
    let brief = Surroundings {
        is_brief: true,
        ..Surroundings::default()
    };
    let github = Provider::builtin("github").unwrap();

    let judgement = github.judge_in(&request, &settings, &brief);
    let Verdict::Failed(brief) = judgement.verdict else {
        panic!("the body was changed");
    };

    assert_eq!(example.codes(), ["trailing_newline"]);
    assert_eq!(brief.cause, Cause::SignatureMismatch);
    assert_eq!(brief.findings[0].code, "not_looked_for");
}

#[test]
fn a_right_request_needs_no_diagnosis() {
    assert!(matches!(Example::default().verdict(), Verdict::Verified(_)));
}

#[test]
fn a_body_that_was_changed_on_its_way_is_recognised() {
    for (came, code) in [
        (&b"{\"a\": 1}\n"[..], "trailing_newline"),
        (b"{\"a\": 1}\r\n", "trailing_newline"),
        (b"\xef\xbb\xbf{\"a\": 1}", "byte_order_mark"),
        (b"{\"a\":1}", "json_reformatted"),
        (b"{\n  \"a\": 1\n}", "json_reformatted"),
    ] {
        let example = Example {
            body: came.to_vec(),
            ..Example::default()
        };
        assert_eq!(example.codes(), [code], "{}", came.escape_ascii());
    }
}

#[test]
fn a_body_that_was_compressed_or_unpacked_on_its_way_is_recognised() {
    let mut packing = GzEncoder::new(Vec::new(), Compression::fast());
    packing.write_all(BODY).unwrap();
    let compressed = Example {
        body: packing.finish().unwrap(),
        ..Example::default()
    };
    let mut unpacked = Example {
        body: b"{\"a\": 2}".to_vec(),
        ..Example::default()
    };
    unpacked
        .fields
        .push(("Content-Encoding", "gzip".to_owned()));

    assert_eq!(compressed.codes(), ["compressed"]);
    assert_eq!(unpacked.codes(), ["unpacked"]);
}

#[test]
fn a_long_body_is_not_parsed_and_that_is_said() {
    for (length, code) in [
        (MAX_PARSED_BYTES, "json_reformatted"),
        (MAX_PARSED_BYTES + 1, "not_all_tried"),
    ] {
        let mut came = b"{\"a\": \"".to_vec();
        came.resize(length - 2, b'x');
        came.extend_from_slice(b"\"}");
        let signed: Vec<u8> = came.iter().copied().filter(|byte| *byte != b' ').collect();
        let example = Example {
            fields: vec![(
                "X-Hub-Signature-256",
                format!("sha256={}", hex(SECRET, &signed)),
            )],
            body: came,
            ..Example::default()
        };
        assert_eq!(example.codes(), [code]);
    }
}

#[test]
fn a_secret_in_another_form_is_recognised() {
    for (configured, used) in [
        ("pa55phrase\n", &b"pa55phrase"[..]),
        ("cGE1NXBocmFzZQ==", b"pa55phrase"),
        ("whsec_cGE1NXBocmFzZQ", b"pa55phrase"),
        ("70613535706872617365", b"pa55phrase"),
    ] {
        let example = Example {
            secret: configured,
            fields: vec![("X-Hub-Signature-256", format!("sha256={}", hex(used, BODY)))],
            ..Example::default()
        };
        assert_eq!(example.codes(), ["other_secret_form"], "{configured:?}");
    }
}

#[test]
fn a_signature_in_another_form_is_described_and_recognised() {
    let digest = Hash::Sha256.hmac(SECRET.as_bytes(), BODY);
    let sha512 = Hash::Sha512.hmac(SECRET.as_bytes(), BODY);
    for value in [
        format!("sha256={}", data_encoding::BASE64.encode(&digest)),
        hex(SECRET, BODY),
        format!("sha256={}", data_encoding::HEXLOWER.encode(&sha512)),
        format!("v1={}", hex(SECRET, BODY)),
    ] {
        let example = Example {
            fields: vec![("X-Hub-Signature-256", value.clone())],
            ..Example::default()
        };
        assert_eq!(
            example.codes(),
            ["signature_form", "other_encoding"],
            "{value}"
        );
    }
}

#[test]
fn another_providers_signature_is_recognised() {
    let example = Example {
        fields: vec![("X-Extole-Signature", hex(SECRET, BODY))],
        ..Example::default()
    };

    assert_eq!(example.codes(), ["other_provider"]);
}

#[test]
fn a_scheme_that_the_endpoint_excludes_is_named() {
    let example = Example {
        variant: Some("sha1"),
        ..Example::default()
    };

    assert_eq!(example.codes().first().unwrap(), "variant_excluded");
}

#[test]
fn an_old_time_says_that_the_signature_itself_is_right() {
    let signed = [b"1759999000.", BODY].concat();
    let example = Example {
        provider: "stripe",
        fields: vec![(
            "Stripe-Signature",
            format!("t=1759999000,v1={}", hex(SECRET, &signed)),
        )],
        ..Example::default()
    };

    let Verdict::Failed(failure) = example.verdict() else {
        panic!("it is too old");
    };

    assert_eq!(failure.findings[0].code, "clock_skew");
    assert!(
        failure.findings[0].sentence.contains("1000 s old"),
        "{failure:?}"
    );
}

#[test]
fn a_long_body_is_not_searched_and_that_is_said() {
    for (length, code) in [
        (MAX_BODY_BYTES, "trailing_newline"),
        (MAX_BODY_BYTES + 1, "body_too_long"),
    ] {
        let mut body = vec![b' '; usize::try_from(length).unwrap()];
        *body.last_mut().unwrap() = b'\n';
        let signed = &body[..body.len() - 1];
        let example = Example {
            fields: vec![(
                "X-Hub-Signature-256",
                format!("sha256={}", hex(SECRET, signed)),
            )],
            body: body.clone(),
            ..Example::default()
        };
        assert_eq!(example.codes(), [code]);
    }
}

#[test]
fn what_nothing_explains_says_so_and_what_to_do() {
    let example = Example {
        fields: vec![(
            "X-Hub-Signature-256",
            format!("sha256={}", hex("other", BODY)),
        )],
        ..Example::default()
    };

    assert_eq!(example.codes(), ["nothing_matches"]);
}

fn hex(key: impl AsRef<[u8]>, message: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Hash::Sha256.hmac(key.as_ref(), message))
}
