//! JSON as schemes and filters read it: JSON Pointer (RFC 6901) into the text itself, so that numbers stay as written.

mod edit;

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub use edit::with_json_value;

/// A JSON Pointer, such as `/a/0/b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    text: String,
    steps: Vec<String>,
}

/// A JSON value as far as a template can use it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    /// A string, or the text of a number or boolean.
    Text(String),
    /// An object or an array.
    Container,
    /// `null`
    Null,
}

impl Pointer {
    /// Reads a pointer; it begins with `/`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!(
                "`{text}` is no JSON Pointer: it must begin with `/`"
            ));
        };
        let steps = path
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }

    /// How many steps it goes down.
    pub(crate) const fn length(&self) -> usize {
        self.steps.len()
    }

    /// The pointer to what holds the value, and the value's key in it.
    fn parent(&self) -> Option<(Self, &str)> {
        let (last, steps) = self.steps.split_last()?;
        let parent = Self {
            text: self.text.clone(),
            steps: steps.to_vec(),
        };
        Some((parent, last))
    }

    /// The value that it points at.
    pub(crate) fn find<'j>(&self, document: &'j RawValue) -> Option<&'j RawValue> {
        self.steps
            .iter()
            .try_fold(document, |value, step| child(value, step))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a whole document; `None` when the bytes are not JSON.
pub(crate) fn document(bytes: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(bytes).ok()
}

/// What a value is; `None` when a string in it has an unpaired surrogate.
pub(super) fn scalar(value: &RawValue) -> Option<Scalar> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).ok().map(Scalar::Text),
        Some(b'{' | b'[') => Some(Scalar::Container),
        Some(b'n') => Some(Scalar::Null),
        _ => Some(Scalar::Text(text.to_owned())),
    }
}

/// The elements of an array.
pub(crate) fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The only key of an object whose only value is a string.
pub(super) fn is_object_of_one_text(value: &RawValue, key: &str) -> bool {
    let fields: Option<std::collections::BTreeMap<String, &RawValue>> =
        serde_json::from_str(value.get()).ok();
    fields.is_some_and(|fields| {
        fields.len() == 1
            && fields
                .get(key)
                .is_some_and(|field| field.get().starts_with('"'))
    })
}

/// The text as a JSON string, quotes included, escaped as `JSON.stringify` does.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a string is always JSON")
}

fn child<'j>(value: &'j RawValue, step: &str) -> Option<&'j RawValue> {
    let mut deserializer = serde_json::Deserializer::from_str(value.get());
    match value.get().as_bytes().first()? {
        b'{' => deserializer.deserialize_map(FindKey(step)).ok()?,
        b'[' => {
            let is_index = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
            let index = is_index.then(|| step.parse().ok())??;
            deserializer.deserialize_seq(FindIndex(index)).ok()?
        }
        _ => None,
    }
}

/// Finds a member by its key; of several the last counts, as in most parsers.
struct FindKey<'k>(&'k str);

impl<'de> Visitor<'de> for FindKey<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_match) = map.next_key_seed(IsKey(self.0))? {
            if is_match {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key without keeping it.
struct IsKey<'k>(&'k str);

impl<'de> serde::de::DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

struct FindIndex(usize);

impl<'de> Visitor<'de> for FindIndex {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut index = 0;
        let mut found = None;
        while let Some(value) = sequence.next_element::<&RawValue>()? {
            if index == self.0 {
                found = Some(value);
            }
            index += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_at(document_text: &str, pointer: &str) -> Option<Scalar> {
        let found = Pointer::parse(pointer)
            .unwrap()
            .find(document(document_text.as_bytes()).unwrap())?;
        scalar(found)
    }

    #[test]
    fn numbers_stay_as_written_and_strings_are_decoded() {
        let text = r#" {"a":{"b~/c":[1.50,"x\u00e9\n",true,null,{}]},"n":1e5} "#;

        for (pointer, expected) in [
            ("/a/b~0~1c/0", Some(Scalar::Text("1.50".to_owned()))),
            ("/a/b~0~1c/1", Some(Scalar::Text("xé\n".to_owned()))),
            ("/a/b~0~1c/2", Some(Scalar::Text("true".to_owned()))),
            ("/a/b~0~1c/3", Some(Scalar::Null)),
            ("/a/b~0~1c/4", Some(Scalar::Container)),
            ("/a/b~0~1c/5", None),
            ("/n", Some(Scalar::Text("1e5".to_owned()))),
            ("/n/x", None),
            ("/missing", None),
        ] {
            assert_eq!(text_at(text, pointer), expected, "{pointer}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(
            text_at(r#"{"a":1,"a":2}"#, "/a"),
            Some(Scalar::Text("2".to_owned()))
        );
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));

        assert_eq!(text_at(&deep, "/a"), Some(Scalar::Container));
    }

    #[test]
    fn what_is_not_json_is_no_document() {
        for bytes in [
            &b""[..],
            b"{",
            b"{} x",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"NaN",
        ] {
            assert!(document(bytes).is_none(), "{}", bytes.escape_ascii());
        }
    }
}
