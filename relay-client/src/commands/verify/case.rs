//! One case of a file of test vectors: a request with the settings of its endpoint, and what must come of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use towline_shared::head::{Head, HeadError, Version};
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verify::{Body, HandshakeReply, Provider, Request, Settings};

use super::answer::{Answer, Validity};
use super::fetched::texts;

/// One case; fields of the format that only explain it are not read.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) provider: String,
    variant: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    #[serde(default)]
    fetched: BTreeMap<String, Value>,
    /// Unix seconds.
    now: Number,
    request: CaseRequest,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Debug, Deserialize)]
struct CaseRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body_base64: String,
}

/// What a case expects: the verdict of a delivery, or the answer to a challenge.
#[derive(Debug, Deserialize)]
enum Expected {
    #[serde(rename = "expect")]
    Verdict {
        verdict: Validity,
        #[serde(default)]
        reason: String,
    },
    #[serde(rename = "expect_response")]
    Response(ExpectedResponse),
}

#[derive(Debug, Deserialize)]
struct ExpectedResponse {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    body_compare: Option<String>,
    captured_secret: Option<String>,
    action_get: Option<String>,
}

/// How what came of a case compares with what it expects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// As expected.
    Same,
    /// The verdict is as expected, the reason for it is another one; reasons are advisory.
    OtherReason(Difference),
    /// Something else came of it.
    Differs(Difference),
}

/// What was expected and what came instead, in words.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) expected: String,
    pub(super) found: String,
}

/// The case cannot be run as it is written.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaseError {
    /// The body is no base64.
    #[error("`body_base64` is not base64")]
    Body,
    /// The time is before 1970 or absurd.
    #[error("`now` is not a time in unix seconds")]
    Now,
}

impl Case {
    /// Runs the case with its provider.
    ///
    /// # Errors
    /// When it cannot be run as it is written.
    pub(super) fn run(&self, provider: &Provider) -> Result<Comparison, CaseError> {
        let body = data_encoding::BASE64
            .decode(self.request.body_base64.as_bytes())
            .map_err(|_| CaseError::Body)?;
        let secrets = self.secrets.iter().enumerate().map(|(index, secret)| {
            let name = format!("secret-{}", index + 1).parse::<SecretName>();
            (
                name.expect("a word and a number name a secret"),
                Secret::new(secret.as_bytes()),
            )
        });
        let secrets: Vec<_> = secrets.collect();
        let (parameters, fetched) = (texts(&self.params), texts(&self.fetched));
        let settings = Settings {
            secrets: &secrets,
            parameters: &parameters,
            variant: self.variant.as_deref(),
            now: self.now()?,
            fetched: &fetched,
        };
        let Ok(head) = self.head() else {
            return Ok(self.expected.compare_unreadable());
        };
        let request = Request {
            head: &head,
            url: &self.request.url,
            body: Body::Bytes(&body),
        };
        let check = || provider.check(&request, &settings);
        Ok(match &self.expected {
            Expected::Verdict { verdict, reason } => {
                let found = check();
                let answer = Answer::of(&found);
                compare_verdict(*verdict, reason, answer.validity, &answer.reason)
            }
            Expected::Response(expected) => {
                let reply = provider.handshake(&request, &settings);
                expected
                    .compare(&reply.unwrap_or_else(|| plain_reply(Answer::of(&check()).validity)))
            }
        })
    }

    fn now(&self) -> Result<Timestamp, CaseError> {
        // Far beyond any time that a certificate or token names, and small enough to be counted in milliseconds.
        const LATEST: f64 = 1e11;
        let seconds = self
            .now
            .as_f64()
            .filter(|seconds| (0.0..LATEST).contains(seconds));
        let millis = seconds.ok_or(CaseError::Now)? * 1000.0;
        Ok(Timestamp::from_millis(millis as u64))
    }

    fn head(&self) -> Result<Head, HeadError> {
        let fields = self.request.headers.iter();
        let fields = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Head::build(&self.request.method, b"/", Version::Http11, fields)
    }
}

impl Expected {
    /// A head that no HTTP server takes is never valid.
    fn compare_unreadable(&self) -> Comparison {
        let reason = "malformed_request";
        match self {
            Self::Verdict {
                verdict,
                reason: expected,
            } => compare_verdict(*verdict, expected, Validity::Invalid, reason),
            Self::Response(expected) => expected.compare(&plain_reply(Validity::Invalid)),
        }
    }
}

fn compare_verdict(
    expected: Validity,
    expected_reason: &str,
    found: Validity,
    reason: &str,
) -> Comparison {
    // Cases know two verdicts: where nothing could be checked, nothing is valid.
    let found = match found {
        Validity::Unchecked => Validity::Invalid,
        other => other,
    };
    // What a scheme without the body's bytes accepts may be expected as `ok` or as `body_not_covered`:
    // nobody can tell whether the body was changed.
    let is_same_reason = expected_reason.is_empty()
        || expected_reason == reason
        || (found == Validity::Valid && matches!(expected_reason, "ok" | "body_not_covered"));
    if expected == found && is_same_reason {
        return Comparison::Same;
    }
    let difference = Difference {
        expected: format!("{expected} ({expected_reason})"),
        found: format!("{found} ({reason})"),
    };
    if expected == found {
        Comparison::OtherReason(difference)
    } else {
        Comparison::Differs(difference)
    }
}

/// The answer to what is no challenge: a delivery is taken or refused.
fn plain_reply(validity: Validity) -> HandshakeReply {
    let is_accepted = validity == Validity::Valid;
    HandshakeReply {
        status: if is_accepted { 200 } else { 401 },
        headers: Vec::new(),
        body: Vec::new(),
        refusal: None,
        captured_secret: None,
        confirm_url: None,
    }
}

impl ExpectedResponse {
    fn compare(&self, reply: &HandshakeReply) -> Comparison {
        let difference = self
            .other_status(reply)
            .or_else(|| self.other_header(reply))
            .or_else(|| self.other_body(reply))
            .or_else(|| self.other_effect(reply));
        difference.map_or(Comparison::Same, Comparison::Differs)
    }

    fn other_status(&self, reply: &HandshakeReply) -> Option<Difference> {
        other(
            "status",
            &self.status.to_string(),
            &reply.status.to_string(),
        )
    }

    /// The headers that the case lists must be there; others may be there besides.
    fn other_header(&self, reply: &HandshakeReply) -> Option<Difference> {
        self.headers.iter().find_map(|(name, value)| {
            let mut fields = reply.headers.iter();
            let found = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
            let found = found.map_or("nothing", |(_, value)| value.as_str());
            other(&format!("header {name}"), value, found)
        })
    }

    fn other_body(&self, reply: &HandshakeReply) -> Option<Difference> {
        // An answer to a plain delivery has the endpoint's own body, which a case leaves empty.
        let json = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
        let is_same_json = self.body_compare.as_deref() == Some("json")
            && json(self.body.as_bytes()).is_some_and(|body| json(&reply.body) == Some(body));
        if is_same_json {
            return None;
        }
        other("body", &self.body, &String::from_utf8_lossy(&reply.body))
    }

    fn other_effect(&self, reply: &HandshakeReply) -> Option<Difference> {
        let captured = reply.captured_secret.as_ref().map(Secret::expose);
        if captured != self.captured_secret.as_ref().map(String::as_bytes) {
            let word = |is_there: bool| {
                if is_there {
                    "a secret taken"
                } else {
                    "no secret taken"
                }
            };
            return Some(Difference {
                expected: word(self.captured_secret.is_some()).to_owned(),
                found: format!("{}, which is another", word(captured.is_some())),
            });
        }
        let url = |url: &Option<String>| url.clone().unwrap_or_else(|| "nothing".to_owned());
        other(
            "URL to get",
            &url(&self.action_get),
            &url(&reply.confirm_url),
        )
    }
}

fn other(what: &str, expected: &str, found: &str) -> Option<Difference> {
    (expected != found).then(|| Difference {
        expected: format!("{what} {expected}"),
        found: format!("{what} {found}"),
    })
}
