//! Makes up a request that a scheme can sign, signs it and checks it again: so a scheme file shows that it holds together.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::condition::Test;
use super::delivery::Delivery;
use super::evaluate::Evaluation;
use super::scheme::{Method, Scheme};
use super::template::{Source, Template};
use super::{Body, Provider, Request, Settings, SignError, Unsigned, sign};
use crate::head::{Head, Version};
use crate::id::SecretName;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Hex, base64 and text at once, so that it serves every scheme.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The time of the made-up request: 2025-10-09T08:53:20Z.
const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_000);

/// Signs a made-up request by the scheme; our own check has accepted what comes of it.
///
/// # Errors
/// Why it cannot be signed.
pub(super) fn signed(
    provider: &Provider,
    scheme: &Scheme,
) -> Result<Vec<(String, String)>, SignError> {
    let mut first_error = None;
    for is_form in [false, true] {
        let sample = Sample::of(scheme, is_form);
        match sample.sign(provider, scheme) {
            Ok(fields) => return Ok(fields),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| SignError::Unusable("there is nothing to sign".to_owned())))
}

struct Sample {
    url: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    secret: String,
    parameters: BTreeMap<String, String>,
}

impl Sample {
    fn of(scheme: &Scheme, is_form: bool) -> Self {
        let mut sources = Vec::new();
        for template in scheme.templates() {
            let expressions = template.expressions().into_iter();
            sources.extend(expressions.map(|expression| expression.source.clone()));
        }
        let (media_type, body) = if is_form {
            ("application/x-www-form-urlencoded", b"a=1&b=2".to_vec())
        } else {
            ("application/json", json_body(scheme, &sources))
        };
        let host = ("Host".to_owned(), "relay.example".to_owned());
        let content = ("Content-Type".to_owned(), media_type.to_owned());
        let prefix = scheme.secret_prefix.as_deref().unwrap_or_default();
        let mut sample = Self {
            url: String::new(),
            fields: vec![host, content],
            body,
            secret: format!("{prefix}{SECRET}"),
            parameters: parameters(scheme, &sources),
        };
        sample.url = sample.url_for(scheme);
        sample
    }

    /// A URL with the query that the scheme asks for.
    fn url_for(&self, scheme: &Scheme) -> String {
        let mut query: Vec<(String, String)> = Vec::new();
        for condition in scheme.when.iter().filter(|condition| !condition.is_negated) {
            match &condition.test {
                Test::Equals(Source::Query(name), value) => {
                    query.push((name.clone(), value.clone()));
                }
                Test::Present(Source::Query(name)) => query.push((name.clone(), "1".to_owned())),
                _ => {}
            }
        }
        for (have, want) in &scheme.require {
            let Some(Source::Query(name)) = have.bare().map(|expression| &expression.source) else {
                continue;
            };
            if let Some(value) = self.rendered(want) {
                query.retain(|(other, _)| other != name);
                query.push((name.clone(), value));
            }
        }
        let pairs = query.iter().map(|(name, value)| format!("&{name}={value}"));
        format!(
            "https://relay.example/in/key?a=1{}",
            pairs.collect::<String>()
        )
    }

    fn rendered(&self, template: &Template) -> Option<String> {
        self.with_settings(|settings| {
            let unsigned = self.unsigned("https://relay.example/");
            rendered(&unsigned, settings, template)
        })
    }

    fn sign(
        &self,
        provider: &Provider,
        scheme: &Scheme,
    ) -> Result<Vec<(String, String)>, SignError> {
        self.with_settings(|settings| {
            sign::by_scheme(provider, scheme, &self.unsigned(&self.url), settings)
        })
    }

    fn unsigned<'a>(&'a self, url: &'a str) -> Unsigned<'a> {
        Unsigned {
            method: "POST",
            url,
            fields: &self.fields,
            body: &self.body,
        }
    }

    fn with_settings<T>(&self, apply: impl FnOnce(&Settings<'_>) -> T) -> T {
        let name: SecretName = "sample".parse().expect("a plain word names a secret");
        apply(&Settings {
            secrets: &[(name, Secret::new(self.secret.as_str()))],
            parameters: &self.parameters,
            variant: None,
            now: NOW,
            fetched: &BTreeMap::new(),
        })
    }
}

/// The text of a template about a request that is not signed yet.
fn rendered(
    request: &Unsigned<'_>,
    settings: &Settings<'_>,
    template: &Template,
) -> Option<String> {
    let head = Head::build(request.method, b"/", Version::Http11, []).ok()?;
    let request = Request {
        head: &head,
        url: request.url,
        body: Body::Bytes(request.body),
    };
    let delivery = Delivery::new(&request, settings);
    Evaluation::new(&delivery).render_text(template).ok()
}

/// Values for the parameters that the scheme reads; those that it wants to be absent stay so.
fn parameters(scheme: &Scheme, sources: &[Source]) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for source in sources {
        match source {
            Source::Parameter(name) => {
                parameters.insert(name.clone(), "sample".to_owned());
            }
            Source::HeaderNamedBy(name) => {
                let field = format!("X-Sample-{}", name.replace('_', "-"));
                parameters.insert(name.clone(), field);
            }
            _ => {}
        }
    }
    for condition in &scheme.when {
        match (&condition.test, condition.is_negated) {
            (Test::Equals(Source::Parameter(name), value), false) => {
                parameters.insert(name.clone(), value.clone());
            }
            (Test::Present(Source::Parameter(name)), true) => {
                parameters.remove(name);
            }
            _ => {}
        }
    }
    parameters
}

/// A JSON object with a value wherever the scheme reads one.
fn json_body(scheme: &Scheme, sources: &[Source]) -> Vec<u8> {
    let mut body = Value::Object(Map::from_iter([(
        "event".to_owned(),
        Value::from("sample"),
    )]));
    let timed = match &scheme.method {
        Method::Signed(signed) => signed.timestamp.as_ref(),
        _ => None,
    };
    for source in sources {
        let Source::Json(pointer) = source else {
            continue;
        };
        let is_time = timed.is_some_and(|rule| {
            let from = rule.from.bare();
            from.is_some_and(|expression| expression.source == *source)
        });
        let value = match timed {
            Some(rule) if is_time => rule.format.write(NOW),
            _ => "sample".to_owned(),
        };
        put(&mut body, &pointer.to_string(), value);
    }
    body.to_string().into_bytes()
}

/// Puts a value at a pointer, with the objects above it.
fn put(body: &mut Value, pointer: &str, value: String) {
    let mut place = body;
    for step in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(object) = place.as_object_mut() else {
            return;
        };
        place = object.entry(step).or_insert(Value::Null);
    }
    *place = Value::String(value);
}
