//! A key by its id out of a JWK set (RFC 7517 §5).

use serde_json::Value;

use super::KeyTrouble;

/// Keys that a set may have; providers publish a handful.
const MOST_KEYS: usize = 100;

/// The JWK with this id; `None` when the set has none.
pub(super) fn key(set: &[u8], id: &str) -> Result<Option<String>, KeyTrouble> {
    let unreadable = || KeyTrouble::Absent("what is there is no JWK set".to_owned());
    let set: Value = serde_json::from_slice(set).map_err(|_| unreadable())?;
    let keys = set.get("keys").and_then(Value::as_array);
    let keys = keys
        .filter(|keys| keys.len() <= MOST_KEYS)
        .ok_or_else(unreadable)?;
    let is_wanted = |jwk: &&Value| jwk.get("kid").and_then(Value::as_str) == Some(id);
    let is_for_signatures = |jwk: &&Value| {
        let purpose = jwk.get("use").and_then(Value::as_str);
        purpose.is_none_or(|purpose| purpose == "sig")
    };
    let mut wanted = keys.iter().filter(is_wanted).filter(is_for_signatures);
    Ok(wanted.next().map(Value::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_id_when_it_is_for_signatures() {
        let set =
            br#"{"keys":[{"kid":"a","use":"enc"},{"kid":"a","use":"sig","n":"1"},{"kid":"b"},{}]}"#;

        let found = key(set, "a").unwrap().unwrap();

        assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["n"], "1");
        assert!(key(set, "b").unwrap().is_some());
        assert_eq!(key(set, "c").unwrap(), None);
    }

    #[test]
    fn what_is_no_set_is_said_so() {
        let long = format!(r#"{{"keys":[{}{{}}]}}"#, "{},".repeat(MOST_KEYS));
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>", &long] {
            assert!(key(text.as_bytes(), "a").is_err(), "{text}");
        }
        let longest = format!(r#"{{"keys":[{}{{}}]}}"#, "{},".repeat(MOST_KEYS - 1));
        assert_eq!(key(longest.as_bytes(), "a").unwrap(), None);
    }
}
