//! Tries one change at a time until a signature matches: secret, encoding, body, URL, another provider.

use std::collections::BTreeSet;

use super::form::{decodable, last_word};
use super::suspect::{Suspect, suspects};
use super::variants::{bodies, keys, urls};
use super::{MAX_MAC_BYTES, MAX_MACS, finding};
use crate::id::SecretName;
use crate::verdict::Finding;
use crate::verify::delivery::Delivery;
use crate::verify::digest::{Hash, is_equal};
use crate::verify::evaluate::{Evaluation, NamedPart};
use crate::verify::scheme::{Algorithm, Method, Scheme};
use crate::verify::signed::digest_of;
use crate::verify::{Body, Provider, Request, registry};

/// How many of the endpoint's secrets are tried.
const MAX_SECRETS: usize = 4;

/// How many providers a finding names.
const MAX_NAMES: usize = 3;

/// A search with what is left of its budget.
pub(super) struct Search<'s> {
    provider: &'s Provider,
    delivery: &'s Delivery<'s>,
    macs_left: u32,
    bytes_left: u64,
}

impl<'s> Search<'s> {
    pub(super) const fn new(provider: &'s Provider, delivery: &'s Delivery<'s>) -> Self {
        Self {
            provider,
            delivery,
            macs_left: MAX_MACS,
            bytes_left: MAX_MAC_BYTES,
        }
    }

    /// The first explanation that makes a signature match: that is proof, so nothing after it is tried.
    pub(super) fn run(mut self) -> Option<Finding> {
        let schemes: Vec<&Scheme> = self.provider.schemes_of(self.delivery.settings).collect();
        let credential = schemes
            .iter()
            .find_map(|scheme| self.other_credential(scheme));
        if credential.is_some() {
            return credential;
        }
        let suspects: Vec<Suspect<'_>> = schemes
            .iter()
            .flat_map(|scheme| suspects(scheme, self.delivery))
            .collect();
        let stages = [
            Self::other_secret,
            Self::other_encoding,
            Self::other_body,
            Self::other_url,
        ];
        for stage in stages {
            for suspect in &suspects {
                let found = stage(&mut self, suspect);
                if found.is_some() {
                    return found;
                }
            }
        }
        self.other_provider(&suspects)
    }

    /// A secret that the scheme does not take, or one in another form.
    fn other_secret(&mut self, suspect: &Suspect<'_>) -> Option<Finding> {
        for (name, secret) in self.secrets() {
            for variant in keys(secret) {
                if self.matches(
                    suspect,
                    self.delivery,
                    suspect.hash()?,
                    &variant.value,
                    secret,
                ) {
                    return Some(finding(
                        variant.code,
                        format!(
                            "the signature matches the secret `{name}` {}",
                            variant.words
                        ),
                        variant.hint,
                    ));
                }
            }
        }
        None
    }

    /// A signature in another encoding, with another prefix, or by another hash.
    fn other_encoding(&mut self, suspect: &Suspect<'_>) -> Option<Finding> {
        let text = String::from_utf8_lossy(&suspect.value);
        let word = last_word(&text);
        let encoding = decodable(word)?;
        let signature = encoding.decode(word.as_bytes())?;
        let hash = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512]
            .into_iter()
            .find(|hash| hash.length() == signature.len())?;
        if suspect.signatures.contains(&signature) {
            return None;
        }
        let loose = Suspect {
            signatures: vec![signature],
            value: Vec::new(),
            parts: suspect.parts.clone(),
            ..*suspect
        };
        for (name, secret) in self.secrets() {
            let key = suspect.key(self.delivery, secret);
            if key.is_some_and(|key| self.matches(&loose, self.delivery, hash, &key, secret)) {
                return Some(finding(
                    "other_encoding",
                    format!(
                        "the signature in {} matches the secret `{name}` as {} of {}, which is not how the scheme writes it",
                        suspect.scheme.described_places(),
                        encoding.name(),
                        hash.name(),
                    ),
                    "look whether the provider has another signature version, or whether the request was made by hand",
                ));
            }
        }
        None
    }

    /// A body that was changed on its way.
    fn other_body(&mut self, suspect: &Suspect<'_>) -> Option<Finding> {
        for variant in bodies(self.delivery.body().ok()?) {
            let request = Request {
                body: Body::Bytes(&variant.value),
                ..*self.delivery.request
            };
            if let Some(name) = self.match_of_request(suspect, &request) {
                return Some(finding(
                    variant.code,
                    format!(
                        "the signature matches the secret `{name}` for {}",
                        variant.words
                    ),
                    variant.hint,
                ));
            }
        }
        None
    }

    /// Another public URL.
    fn other_url(&mut self, suspect: &Suspect<'_>) -> Option<Finding> {
        if !suspect.reads_url() {
            return None;
        }
        let host = self.delivery.header("host").ok();
        let host = host.and_then(|host| std::str::from_utf8(host).ok());
        for variant in urls(self.delivery.request.url, host) {
            let request = Request {
                url: &variant.value,
                ..*self.delivery.request
            };
            if let Some(name) = self.match_of_request(suspect, &request) {
                return Some(finding(
                    variant.code,
                    format!(
                        "the signature matches the secret `{name}` for {}",
                        variant.words
                    ),
                    variant.hint,
                ));
            }
        }
        None
    }

    /// Another provider's scheme; schemes that work alike are tried once and named together.
    fn other_provider(&mut self, own: &[Suspect<'_>]) -> Option<Finding> {
        let mut tried: BTreeSet<String> = own.iter().map(|suspect| suspect.shape()).collect();
        let mut matched: Option<(String, Vec<String>)> = None;
        for slug in registry::slugs().filter(|slug| *slug != self.provider.slug) {
            let provider = registry::provider(slug)?;
            for scheme in &provider.schemes {
                for suspect in suspects(scheme, self.delivery) {
                    let shape = suspect.shape();
                    if let Some((matched_shape, names)) = &mut matched {
                        if *matched_shape == shape && names.len() < MAX_NAMES {
                            names.push(slug.to_owned());
                        }
                    } else if tried.insert(shape.clone())
                        && self
                            .match_of_request(&suspect, self.delivery.request)
                            .is_some()
                    {
                        matched = Some((shape, vec![slug.to_owned()]));
                    }
                }
            }
        }
        let (_, names) = matched?;
        Some(finding(
            "other_provider",
            format!(
                "the signature matches by the scheme of `{}`",
                names.join("`, `")
            ),
            format!("set the endpoint's provider to `{}`", names.first()?),
        ))
    }

    /// A credential that differs from a secret only in its form.
    fn other_credential(&self, scheme: &Scheme) -> Option<Finding> {
        let Method::Equals(_) = scheme.method else {
            return None;
        };
        let values = scheme
            .signature_values(&Evaluation::new(self.delivery))
            .ok()?;
        for (name, secret) in self.secrets() {
            for variant in keys(secret) {
                if values
                    .iter()
                    .any(|value| is_equal(value.trim_ascii(), &variant.value))
                {
                    return Some(finding(
                        variant.code,
                        format!(
                            "the credential matches the secret `{name}` {}",
                            variant.words
                        ),
                        variant.hint,
                    ));
                }
            }
        }
        None
    }

    /// Takes one MAC of so many bytes out of the budget; false when there is none left.
    fn spend(&mut self, bytes: u64) -> bool {
        let left = self
            .macs_left
            .checked_sub(1)
            .zip(self.bytes_left.checked_sub(bytes));
        match left {
            Some((macs, bytes)) => {
                (self.macs_left, self.bytes_left) = (macs, bytes);
                true
            }
            None => false,
        }
    }

    fn secrets(&self) -> impl Iterator<Item = (&'s SecretName, &'s [u8])> + use<'s> {
        let secrets = self.delivery.settings.secrets.iter().take(MAX_SECRETS);
        secrets.map(|(name, secret)| (name, secret.expose()))
    }

    /// The secret that a signature matches for a changed request.
    fn match_of_request(
        &mut self,
        suspect: &Suspect<'_>,
        request: &Request<'_>,
    ) -> Option<&'s SecretName> {
        let hash = suspect.hash()?;
        let delivery = Delivery::new(request, self.delivery.settings);
        let mut secrets = self.secrets();
        let found = secrets.find(|(_, secret)| {
            let key = suspect.key(&delivery, secret);
            key.is_some_and(|key| self.matches(suspect, &delivery, hash, &key, secret))
        });
        found.map(|(name, _)| name)
    }

    /// Whether a signature is right for this request, hash and key. Nothing matches beyond the budget.
    fn matches(
        &mut self,
        suspect: &Suspect<'_>,
        delivery: &Delivery<'_>,
        hash: Hash,
        key: &[u8],
        secret: &[u8],
    ) -> bool {
        let parts: Vec<NamedPart<'_>> = suspect
            .parts
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
            .collect();
        let evaluation = Evaluation {
            secret: Some(secret),
            signature_parts: &parts,
            ..Evaluation::new(delivery)
        };
        for message in &suspect.signed.messages {
            if !self.spend(delivery.body_length()) {
                return false;
            }
            let digester = match suspect.signed.algorithm {
                Algorithm::Hash(_) => hash.begin(),
                _ => hash.begin_hmac(key),
            };
            let Ok(expected) = digest_of(digester, message, &evaluation) else {
                continue;
            };
            if suspect
                .signatures
                .iter()
                .any(|signature| is_equal(&expected, signature))
            {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::head::Head;
    use crate::secret::Secret;
    use crate::time::Timestamp;
    use crate::verify::Settings;

    #[test]
    fn the_budget_ends_with_the_last_mac_or_byte() {
        with_search(|mut search| {
            assert_eq!((0..100).filter(|_| search.spend(1)).count(), 64);
        });
        with_search(|mut search| {
            let quarter = MAX_MAC_BYTES / 4;
            assert_eq!((0..100).filter(|_| search.spend(quarter)).count(), 4);
        });
    }

    #[test]
    fn nothing_is_found_beyond_the_budget() {
        with_search(|search| {
            let code = search.run().map(|finding| finding.code);
            assert_eq!(code.as_deref(), Some("trailing_newline"));
        });
        with_search(|search| {
            let spent = Search {
                macs_left: 0,
                ..search
            };
            assert_eq!(spent.run(), None);
        });
    }

    /// Searches a request whose body got a line end on its way.
    fn with_search(look: impl FnOnce(Search<'_>)) {
        let (parameters, fetched) = (BTreeMap::new(), BTreeMap::new());
        let settings = Settings {
            secrets: &[("main".parse().unwrap(), Secret::new("secret"))],
            parameters: &parameters,
            variant: None,
            now: Timestamp::default(),
            fetched: &fetched,
        };
        let signature = data_encoding::HEXLOWER.encode(&Hash::Sha256.hmac(b"secret", b"body"));
        let head = format!("POST / HTTP/1.1\r\nX-Hub-Signature-256: sha256={signature}\r\n\r\n");
        let head = Head::parse(head).unwrap();
        let request = Request {
            head: &head,
            url: "https://relay.example/",
            body: Body::Bytes(b"body\n"),
        };
        let provider = registry::provider("github").unwrap();
        look(Search::new(&provider, &Delivery::new(&request, &settings)));
    }
}
