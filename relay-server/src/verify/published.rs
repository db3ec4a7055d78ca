//! Gathers the published keys that a request asks for, before it is checked: from the endpoint's own secrets, or fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use towline_shared::id::SecretName;
use towline_shared::secret::Secret;
use towline_shared::verify::WantedKey;

use super::Question;
use crate::keys::{KeyTrouble, Keys};
use crate::store::Body;

/// Keys of one request: a scheme needs one, and a provider has at most a few schemes.
const MOST_KEYS: usize = 4;

/// Keys that are at hand, and why one is not.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) keys: BTreeMap<String, String>,
    pub(super) trouble: Option<KeyTrouble>,
}

/// The keys for a request. What cannot be had is left out: the check then fails.
pub(super) async fn gather(keys: &Keys, question: &Arc<Question>, body: &Body) -> Gathered {
    let mut gathered = Gathered::default();
    for _ in 0..MOST_KEYS {
        let known = gathered.keys.clone();
        let asking = question.ask(body, move |question, body| {
            question.wanted_key(body, &known)
        });
        let Some(wanted) = asking.await.flatten() else {
            break;
        };
        let endpoint = &question.live.endpoint;
        let found = match own_key(&question.live.secrets, &wanted) {
            Some(key) => Ok(key),
            None => keys.find(&wanted, endpoint.id, question.now).await,
        };
        match found {
            Ok(key) => {
                gathered.keys.insert(wanted.name().to_owned(), key);
            }
            Err(trouble) => {
                gathered.trouble = Some(trouble);
                break;
            }
        }
    }
    gathered
}

/// A key that the endpoint's owner has given as a secret: one named by the key's id, or a JWK (set) that says its id.
/// This is how keys come in that only the provider's customers may fetch.
fn own_key(secrets: &[(SecretName, Secret)], wanted: &WantedKey) -> Option<String> {
    let (WantedKey::Id(id) | WantedKey::InSet { id, .. }) = wanted else {
        return None;
    };
    secrets.iter().find_map(|(name, secret)| {
        let secret = secret.expose();
        if let Ok(document) = serde_json::from_slice::<Value>(secret) {
            return jwk(&document, id);
        }
        let is_named = name.as_str() == id && is_public_key(secret);
        is_named.then(|| String::from_utf8(secret.to_vec()).ok())?
    })
}

fn jwk(document: &Value, id: &str) -> Option<String> {
    let alone = std::slice::from_ref(document);
    let set = document.get("keys").and_then(Value::as_array);
    let mut keys = set.map_or(alone, Vec::as_slice).iter();
    keys.find(|key| key.get("kid").and_then(Value::as_str) == Some(id))
        .map(Value::to_string)
}

/// A sender chooses the id, and with it the secret: one that is no public key must not become one.
fn is_public_key(secret: &[u8]) -> bool {
    secret
        .trim_ascii_start()
        .starts_with(b"-----BEGIN PUBLIC KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";

    fn secrets(all: &[(&str, &str)]) -> Vec<(SecretName, Secret)> {
        let named =
            |(name, secret): &(&str, &str)| (name.parse().unwrap(), Secret::new(secret.as_bytes()));
        all.iter().map(named).collect()
    }

    fn found(all: &[(&str, &str)], id: &str) -> Option<String> {
        own_key(&secrets(all), &WantedKey::Id(id.to_owned()))
    }

    #[test]
    fn a_key_that_the_owner_gave_is_found_by_its_name_or_its_own_id() {
        let set = r#"{"keys":[{"kid":"b"},{"kid":"c"}]}"#;
        let all = [("a", PEM), ("first", r#"{"kid":"d"}"#), ("set", set)];

        assert_eq!(found(&all, "a").as_deref(), Some(PEM));
        assert_eq!(found(&all, "c").as_deref(), Some(r#"{"kid":"c"}"#));
        assert_eq!(found(&all, "d").as_deref(), Some(r#"{"kid":"d"}"#));
        assert_eq!(found(&all, "set"), None);
        assert_eq!(found(&all, "e"), None);
    }

    #[test]
    fn a_sender_cannot_make_a_key_of_another_secret() {
        for secret in ["salt", "AAAA", "-----BEGIN PRIVATE KEY-----\nAAAA"] {
            assert_eq!(found(&[("live", secret)], "live"), None, "{secret}");
        }
    }

    #[test]
    fn a_key_at_a_url_is_never_one_of_the_owners() {
        let wanted = WantedKey::Url("https://a.example/a".to_owned());

        assert_eq!(own_key(&secrets(&[("a", PEM)]), &wanted), None);
    }
}
