//! `--fetched FILE`: the keys that a provider publishes, as somebody fetched them, so that no network is needed here.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::super::Failure;
use super::super::input;

/// Longer than any set of keys and certificates that one request needs.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Reads a JSON object of URLs or key ids with their keys: PEM text, or a JWK as text or as an object.
///
/// # Errors
/// When the file cannot be read or is something else.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let place = path.display().to_string();
    let bytes = input::read(&place, "keys", MOST_BYTES)?;
    let expected = "expected a JSON object such as `{\"https://…/cert.pem\": \"-----BEGIN …\"}`";
    let values: BTreeMap<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::invalid(format!("the keys in `{place}` cannot be read"))
            .because(error)
            .hint(expected)
    })?;
    Ok(texts(&values))
}

/// Keys and parameters as the engine takes them: lists as words, objects as JSON text.
pub(super) fn texts(values: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let words = items.iter().map(|item| match item {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            words.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    values
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_text_or_a_jwk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        std::fs::write(&path, r#"{"https://a/b": "PEM\n", "kid": {"kty": "EC"}}"#).unwrap();

        let keys = read(&path).unwrap();

        assert_eq!(keys["https://a/b"], "PEM\n");
        assert_eq!(keys["kid"], r#"{"kty":"EC"}"#);
    }

    #[test]
    fn what_is_no_map_of_keys_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        for bad in ["", "[]", "\"x\"", "{"] {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&path).is_err(), "{bad}");
        }
        assert!(read(&folder.path().join("none")).is_err());
    }
}
