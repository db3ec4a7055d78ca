//! Changes one value of a JSON text in its place: every other byte stays as it is, order and spaces included.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use super::{Pointer, document, elements};

/// The text with another value at `pointer`; `value` is JSON. A member that is not there yet is added at the end of
/// its object, and `-` adds to an array (RFC 6902 §4.1).
///
/// # Errors
/// Names what is not JSON, or the part that is not there.
pub fn with_json_value(body: &[u8], pointer: &str, value: &str) -> Result<Vec<u8>, String> {
    let root = document(body).ok_or("the body is not JSON")?;
    if document(value.as_bytes()).is_none() {
        return Err(format!("`{value}` is not JSON"));
    }
    if pointer.is_empty() {
        return Ok(value.as_bytes().to_vec());
    }
    let pointer = Pointer::parse(pointer)?;
    if let Some(found) = pointer.find(root) {
        return Ok(replaced(body, place(body, found), value));
    }
    let (parent, last) = pointer
        .parent()
        .and_then(|(parent, last)| Some((parent.find(root)?, last)))
        .ok_or_else(|| format!("there is nothing that `{pointer}` could be added to"))?;
    let key = String::from_utf8(super::quoted(last)).unwrap_or_default();
    let (is_empty, addition) = match parent.get().as_bytes().first() {
        Some(b'{') => (has_no_members(parent), format!("{key}:{value}")),
        Some(b'[') if last == "-" => {
            let is_empty = elements(parent).is_none_or(|elements| elements.is_empty());
            (is_empty, value.to_owned())
        }
        _ => return Err(format!("there is nothing at `{pointer}`")),
    };
    let comma = if is_empty { "" } else { "," };
    let end = place(body, parent).end - 1;
    Ok(replaced(body, end..end, &format!("{comma}{addition}")))
}

fn has_no_members(object: &RawValue) -> bool {
    let members: Option<BTreeMap<String, &RawValue>> = serde_json::from_str(object.get()).ok();
    members.is_none_or(|members| members.is_empty())
}

/// Where a value that was found in `body` stands in it.
pub(in crate::verify) fn place(body: &[u8], value: &RawValue) -> Range<usize> {
    let text = value.get();
    let start = text.as_ptr().addr() - body.as_ptr().addr();
    start..start + text.len()
}

/// The bytes with others in one place.
pub(in crate::verify) fn replaced(body: &[u8], place: Range<usize>, value: &str) -> Vec<u8> {
    [&body[..place.start], value.as_bytes(), &body[place.end..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(body: &str, pointer: &str, value: &str) -> Result<String, String> {
        let changed = with_json_value(body.as_bytes(), pointer, value)?;
        Ok(String::from_utf8(changed).unwrap())
    }

    #[test]
    fn only_the_value_is_changed() {
        let body = "{ \"b\" : 1.50,\n \"a\":{\"x~/\":[1, \"Zoë\", null ]} }";

        for (pointer, value, expected) in [
            (
                "/b",
                "2",
                "{ \"b\" : 2,\n \"a\":{\"x~/\":[1, \"Zoë\", null ]} }",
            ),
            (
                "/a/x~0~1/1",
                "\"é\"",
                "{ \"b\" : 1.50,\n \"a\":{\"x~/\":[1, \"é\", null ]} }",
            ),
            ("/a", "{}", "{ \"b\" : 1.50,\n \"a\":{} }"),
            ("", "[]", "[]"),
        ] {
            assert_eq!(changed(body, pointer, value).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_there_is_added_to_what_is() {
        assert_eq!(changed("{}", "/a", "1").unwrap(), "{\"a\":1}");
        assert_eq!(
            changed("{\"b\":2 }", "/a\"", "1").unwrap(),
            "{\"b\":2 ,\"a\\\"\":1}"
        );
        assert_eq!(changed("{\"b\":[ ]}", "/b/-", "1").unwrap(), "{\"b\":[ 1]}");
        assert_eq!(changed("[1]", "/-", "2").unwrap(), "[1,2]");
    }

    #[test]
    fn what_cannot_be_changed_is_named() {
        for (body, pointer, value, problem) in [
            ("{", "/a", "1", "the body is not JSON"),
            ("{}", "/a", "x", "`x` is not JSON"),
            ("{}", "a", "1", "must begin with `/`"),
            ("{}", "/a/b", "1", "`/a/b`"),
            ("[1]", "/5", "1", "`/5`"),
            ("{\"a\":1}", "/a/b", "1", "`/a/b`"),
        ] {
            let error = changed(body, pointer, value).unwrap_err();

            assert!(error.contains(problem), "{error}");
        }
    }
}
