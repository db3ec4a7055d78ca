//! The test vectors, and small edits to them: what is nearly right gets further than what is random.

use std::collections::BTreeMap;
use std::path::Path;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use serde::Deserialize;
use serde_json::Value;

use crate::request::Asked;

/// A test vector, reduced to what is asked.
pub struct Case {
    /// The slug of its provider.
    pub provider: String,
    /// The request with its settings.
    pub asked: Asked,
}

/// One edit of a request or its settings.
#[derive(Arbitrary, Debug)]
pub enum Edit<'d> {
    Header {
        index: u8,
        at: u16,
        cut: u8,
        put: &'d [u8],
    },
    DropHeader(u8),
    CopyHeader(u8),
    Body {
        at: u16,
        cut: u16,
        put: &'d [u8],
    },
    Url {
        at: u8,
        cut: u8,
        put: &'d str,
    },
    Secret {
        index: u8,
        at: u8,
        cut: u8,
        put: &'d [u8],
    },
    Parameter {
        index: u8,
        value: &'d str,
    },
    Fetched {
        index: u8,
        at: u16,
        cut: u8,
        put: &'d str,
    },
    Method(u8),
    Now(u64),
}

impl Edit<'_> {
    /// Makes the edit, as far as the request has what it edits.
    pub fn apply(self, asked: &mut Asked) {
        match self {
            Self::Header {
                index,
                at,
                cut,
                put,
            } => {
                if let Some((_, value)) = pick(&mut asked.headers, index) {
                    splice(value, at.into(), cut.into(), put);
                }
            }
            Self::DropHeader(index) => {
                if !asked.headers.is_empty() {
                    asked
                        .headers
                        .remove(usize::from(index) % asked.headers.len());
                }
            }
            Self::CopyHeader(index) => {
                let copy = pick(&mut asked.headers, index).cloned();
                asked.headers.extend(copy);
            }
            Self::Body { at, cut, put } => splice(&mut asked.body, at.into(), cut.into(), put),
            Self::Url { at, cut, put } => splice_text(&mut asked.url, at.into(), cut.into(), put),
            Self::Secret {
                index,
                at,
                cut,
                put,
            } => {
                if let Some(secret) = pick(&mut asked.secrets, index) {
                    splice(secret, at.into(), cut.into(), put);
                }
            }
            Self::Parameter { index, value } => {
                if let Some(old) = pick_value(&mut asked.parameters, index) {
                    value.clone_into(old);
                }
            }
            Self::Fetched {
                index,
                at,
                cut,
                put,
            } => {
                if let Some(material) = pick_value(&mut asked.fetched, index) {
                    splice_text(material, at.into(), cut.into(), put);
                }
            }
            Self::Method(index) => {
                let methods = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "x"];
                methods[usize::from(index) % methods.len()].clone_into(&mut asked.method);
            }
            Self::Now(now) => asked.now = now,
        }
    }
}

fn pick<T>(values: &mut [T], index: u8) -> Option<&mut T> {
    let count = values.len().max(1);
    values.get_mut(usize::from(index) % count)
}

fn pick_value(values: &mut BTreeMap<String, String>, index: u8) -> Option<&mut String> {
    let count = values.len().max(1);
    values.values_mut().nth(usize::from(index) % count)
}

fn splice(bytes: &mut Vec<u8>, at: usize, cut: usize, put: &[u8]) {
    let start = at % (bytes.len() + 1);
    let end = (start + cut).min(bytes.len());
    bytes.splice(start..end, put.iter().copied());
}

fn splice_text(text: &mut String, at: usize, cut: usize, put: &str) {
    let mut bytes = std::mem::take(text).into_bytes();
    splice(&mut bytes, at, cut, put.as_bytes());
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

/// All test vectors of `shared/tests/vectors`.
pub fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/tests/vectors");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of the test vectors")
        .map(|entry| entry.expect("a file of test vectors").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .flat_map(|path| {
            let text = std::fs::read(path).expect("a file of test vectors");
            serde_json::from_slice::<Vec<Written>>(&text).expect("test vectors")
        })
        .map(Written::into_case)
        .collect()
}

#[derive(Deserialize)]
struct Written {
    provider: String,
    variant: Option<String>,
    secrets: Vec<String>,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    #[serde(default)]
    fetched: BTreeMap<String, Value>,
    now: u64,
    request: WrittenRequest,
}

#[derive(Deserialize)]
struct WrittenRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body_base64: String,
}

impl Written {
    fn into_case(self) -> Case {
        let body = data_encoding::BASE64.decode(self.request.body_base64.as_bytes());
        let headers = self.request.headers.into_iter();
        Case {
            provider: self.provider,
            asked: Asked {
                method: self.request.method,
                url: self.request.url,
                headers: headers
                    .map(|(name, value)| (name, value.into_bytes()))
                    .collect(),
                body: body.expect("a body in base64"),
                secrets: self.secrets.into_iter().map(String::into_bytes).collect(),
                parameters: texts(self.params),
                fetched: texts(self.fetched),
                variant: self.variant,
                now: self.now * 1000,
            },
        }
    }
}

fn texts(values: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    values
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect()
}
