//! A request with the settings of its endpoint, and everything that the engine can be asked about it.

use std::collections::BTreeMap;

use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings, Unsigned};

/// A request with the settings of its endpoint.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub secrets: Vec<Vec<u8>>,
    pub parameters: BTreeMap<String, String>,
    pub fetched: BTreeMap<String, String>,
    pub variant: Option<String>,
    /// Milliseconds.
    pub now: u64,
}

impl Asked {
    /// A POST with one header, checked with one secret.
    pub fn with_header(name: &str, value: &[u8], secret: &[u8], body: &[u8]) -> Self {
        Self {
            method: "POST".to_owned(),
            url: "https://relay.example/in/key?a=1".to_owned(),
            headers: vec![(name.to_owned(), value.to_vec())],
            body: body.to_vec(),
            secrets: vec![secret.to_vec()],
            now: 1_760_000_000_000,
            ..Self::default()
        }
    }

    /// Asks the engine everything; gives its verdict, or `None` when there is no such head.
    pub fn of(&self, provider: &Provider) -> Option<Verdict> {
        let fields = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_slice()));
        let head = Head::build(&self.method, b"/in/key", Version::Http11, fields).ok()?;
        let secrets: Vec<_> = self
            .secrets
            .iter()
            .enumerate()
            .map(|(index, secret)| {
                let name = format!("secret{index}")
                    .parse()
                    .expect("a name of a secret");
                (name, Secret::new(secret.as_slice()))
            })
            .collect();
        let settings = Settings {
            secrets: &secrets,
            parameters: &self.parameters,
            variant: self.variant.as_deref(),
            now: Timestamp::from_millis(self.now),
            fetched: &self.fetched,
        };
        let request = Request {
            head: &head,
            url: &self.url,
            body: Body::Bytes(&self.body),
        };
        let verdict = provider.check(&request, &settings);
        let _ = provider.handshake(&request, &settings);
        let _ = provider.wanted_key(&request, &settings);
        let _ = provider.facts(&request);
        self.sign(provider, &settings);
        Some(verdict)
    }

    fn sign(&self, provider: &Provider, settings: &Settings<'_>) {
        let fields: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        let unsigned = Unsigned {
            method: &self.method,
            url: &self.url,
            fields: &fields,
            body: &self.body,
        };
        let _ = provider.sign(&unsigned, settings);
    }
}
