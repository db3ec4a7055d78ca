//! Requests that a provider would send, signed by the engine itself.

use std::collections::BTreeMap;

use towline_shared::head::{Head, Version};
use towline_shared::secret::Secret;
use towline_shared::time::Timestamp;
use towline_shared::verdict::Verdict;
use towline_shared::verify::{Body, Provider, Request, Settings, Unsigned};

const URL: &str = "https://relay.example/in/key";

/// Secrets in the forms that providers use: text, hex, and base64 behind a prefix.
const SECRETS: [&str; 3] = [
    "8f1c2b7d4e6a90538f1c2b7d4e6a90538f1c2b7d4e6a90538f1c2b7d4e6a9053",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
];

/// A signed request to an endpoint.
pub(crate) struct Signed {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) secret: Secret,
}

impl Signed {
    /// A request of the provider that its scheme verifies; `None` when it cannot be signed here.
    pub(crate) fn by(provider: &Provider, body: &[u8]) -> Option<Self> {
        SECRETS.iter().find_map(|secret| {
            let mut signed = Self {
                fields: vec![("Content-Type".to_owned(), "application/json".to_owned())],
                body: body.to_vec(),
                secret: Secret::new(*secret),
            };
            let unsigned = Unsigned {
                method: "POST",
                url: URL,
                fields: &signed.fields,
                body,
            };
            let made = signed.with_settings(|settings| provider.sign(&unsigned, settings));
            signed.fields.extend(made.ok()?);
            let verdict = signed.check(provider, &signed.head());
            matches!(verdict, Verdict::Verified(_) | Verdict::Authenticated(_)).then_some(signed)
        })
    }

    /// Its head.
    pub(crate) fn head(&self) -> Head {
        let fields = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Head::build("POST", b"/in/key", Version::Http11, fields).expect("a right head")
    }

    /// The verdict on its body under a head.
    pub(crate) fn check(&self, provider: &Provider, head: &Head) -> Verdict {
        let request = Request {
            head,
            url: URL,
            body: Body::Bytes(&self.body),
        };
        self.with_settings(|settings| provider.check(&request, settings))
    }

    fn with_settings<T>(&self, apply: impl FnOnce(&Settings<'_>) -> T) -> T {
        let name = "main".parse().expect("a name of a secret");
        apply(&Settings {
            secrets: &[(name, self.secret.clone())],
            parameters: &BTreeMap::new(),
            variant: None,
            now: Timestamp::from_millis(1_760_000_000_000),
            fetched: &BTreeMap::new(),
        })
    }
}
