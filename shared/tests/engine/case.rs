//! A test vector: a request with the settings of its endpoint, and what must come of it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use towline_shared::head::{Head, HeadError, Version};
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings};

#[derive(Clone, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) variant: Option<String>,
    pub(crate) secrets: Vec<String>,
    #[serde(default)]
    pub(crate) params: BTreeMap<String, Value>,
    #[serde(default)]
    pub(crate) fetched: BTreeMap<String, Value>,
    pub(crate) now: u64,
    pub(crate) request: CaseRequest,
    pub(crate) expect: Option<Expected>,
    expect_response: Option<ExpectedResponse>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct CaseRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    body_base64: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Expected {
    verdict: String,
    reason: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct ExpectedResponse {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    body_compare: Option<String>,
    captured_secret: Option<String>,
    action_get: Option<String>,
}

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let folder = std::env::var("TOWLINE_VECTORS").unwrap_or_else(|_| own.to_owned());
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.into_iter().flat_map(|path| {
        let text = std::fs::read(&path).unwrap();
        serde_json::from_slice::<Vec<Case>>(&text).unwrap()
    })
}

impl Case {
    /// Whether the request must be accepted.
    pub(crate) fn is_valid(&self) -> bool {
        let expected = self.expect.as_ref();
        expected.is_some_and(|expected| expected.verdict == "valid")
    }

    /// Compares what comes of the case with what must.
    pub(crate) fn run(&self, body: Body<'_>) -> Result<(), String> {
        self.apply(body, |provider, request, settings| {
            match (&self.expect, &self.expect_response) {
                (Some(expected), _) => expected.compare(&provider.check(request, settings)),
                (None, Some(expected)) => expected.compare(provider, request, settings),
                (None, None) => Err("expects nothing".to_owned()),
            }
        })
    }

    /// Hands the case to `engine` as a request with its settings.
    pub(crate) fn apply<T>(
        &self,
        body: Body<'_>,
        engine: impl FnOnce(&Provider, &Request<'_>, &Settings<'_>) -> T,
    ) -> T {
        let head = self.head();
        let secrets: Vec<_> = self
            .secrets
            .iter()
            .enumerate()
            .map(|(index, secret)| {
                let name: SecretName = format!("secret{index}").parse().unwrap();
                (name, Secret::new(secret.as_bytes()))
            })
            .collect();
        let parameters = texts(&self.params);
        let fetched = texts(&self.fetched);
        let settings = Settings {
            secrets: &secrets,
            parameters: &parameters,
            variant: self.variant.as_deref(),
            now: Timestamp::from_millis(self.now.saturating_mul(1000)),
            fetched: &fetched,
        };
        let request = Request {
            head: &head,
            url: &self.request.url,
            body,
        };
        let provider = Provider::builtin(&self.provider).unwrap();
        engine(&provider, &request, &settings)
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        data_encoding::BASE64
            .decode(self.request.body_base64.as_bytes())
            .unwrap()
    }

    fn head(&self) -> Head {
        self.try_head().unwrap()
    }

    /// Whether the request has a head that can stand before the engine.
    pub(crate) fn has_head(&self) -> bool {
        self.try_head().is_ok()
    }

    fn try_head(&self) -> Result<Head, HeadError> {
        let fields = self
            .request
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Head::build(&self.request.method, b"/in/key", Version::Http11, fields)
    }
}

impl Expected {
    fn compare(&self, verdict: &Verdict) -> Result<(), String> {
        let (found, reason) = match verdict {
            Verdict::Verified(_) => ("valid", "ok".to_owned()),
            // A case about an altered body expects `body_not_covered`; other valid ones of such schemes `ok`.
            Verdict::Authenticated(_) => ("valid", self.reason.clone()),
            Verdict::Unchecked => ("unchecked", String::new()),
            Verdict::Failed(failure) => {
                if failure.detail.is_empty() {
                    return Err("the failure has no detail".to_owned());
                }
                let cause = serde_json::to_value(failure.cause).unwrap();
                ("invalid", cause.as_str().unwrap().to_owned())
            }
        };
        if found == self.verdict && reason == self.reason {
            return Ok(());
        }
        Err(format!(
            "{verdict:?} instead of {} ({})",
            self.verdict, self.reason
        ))
    }
}

impl ExpectedResponse {
    fn compare(
        &self,
        provider: &Provider,
        request: &Request<'_>,
        settings: &Settings<'_>,
    ) -> Result<(), String> {
        let Some(reply) = provider.handshake(request, settings) else {
            let verdict = provider.check(request, settings);
            let is_valid = matches!(verdict, Verdict::Verified(_) | Verdict::Authenticated(_));
            let status = if is_valid { 200 } else { 401 };
            return same("status", &status, &self.status);
        };
        same("status", &reply.status, &self.status)?;
        for (name, value) in &self.headers {
            let found = reply
                .headers
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name));
            same(name, &found.map(|(_, value)| value), &Some(value))?;
        }
        if self.body_compare.as_deref() == Some("json") {
            let json = |bytes| serde_json::from_slice::<Value>(bytes).unwrap();
            same("body", &json(&reply.body), &json(self.body.as_bytes()))?;
        } else {
            same("body", &reply.body.as_slice(), &self.body.as_bytes())?;
        }
        let captured = reply.captured_secret.as_ref().map(Secret::expose);
        same(
            "secret",
            &captured,
            &self.captured_secret.as_ref().map(String::as_bytes),
        )?;
        same("confirm", &reply.confirm_url, &self.action_get)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: {found:?} instead of {expected:?}"))
}

/// Parameters and keys as the settings hold them: lists as words, objects as JSON text.
fn texts(values: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let words = items.iter().filter_map(Value::as_str);
            words.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    values
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}
