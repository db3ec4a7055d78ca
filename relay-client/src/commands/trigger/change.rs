//! One value that a person changes in a sample's body: `--set /POINTER=VALUE`.

use std::str::FromStr;

use towline_shared::verify::with_json_value;
use url::form_urlencoded;

/// A place and what stands there from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Change {
    pointer: String,
    value: String,
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((pointer, value)) if pointer.starts_with('/') => Ok(Self {
                pointer: pointer.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected `/POINTER=VALUE`, such as `/data/object/amount=500`".to_owned()),
        }
    }
}

impl Change {
    /// The body with the change: of JSON in its place, of a form by its field.
    ///
    /// # Errors
    /// When the body is neither, or has no such place.
    pub(in super::super) fn apply(&self, body: &[u8], is_form: bool) -> Result<Vec<u8>, String> {
        if is_form {
            return self.apply_to_form(body);
        }
        with_json_value(body, &self.pointer, &self.as_json())
    }

    /// What is JSON stays as typed, all else is a string.
    fn as_json(&self) -> String {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&self.value).is_ok();
        if is_json {
            self.value.clone()
        } else {
            serde_json::Value::from(self.value.as_str()).to_string()
        }
    }

    fn apply_to_form(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        let name = &self.pointer[1..];
        let text = std::str::from_utf8(body).map_err(|_| "the form in the body is not UTF-8")?;
        let value: String = form_urlencoded::byte_serialize(self.value.as_bytes()).collect();
        let is_named = |pair: &str| {
            let mut pairs = form_urlencoded::parse(pair.as_bytes());
            pairs.next().is_some_and(|(other, _)| other == name)
        };
        let mut is_there = false;
        let mut pairs: Vec<String> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if is_named(pair) {
                is_there = true;
                let key = pair.split('=').next().unwrap_or_default();
                pairs.push(format!("{key}={value}"));
            } else {
                pairs.push(pair.to_owned());
            }
        }
        if !is_there {
            let key: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
            pairs.push(format!("{key}={value}"));
        }
        Ok(pairs.join("&").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(change: &str, body: &str, is_form: bool) -> String {
        let change: Change = change.parse().unwrap();
        String::from_utf8(change.apply(body.as_bytes(), is_form).unwrap()).unwrap()
    }

    #[test]
    fn a_value_that_is_json_stays_and_another_is_text() {
        let body = "{\"a\": 1}";

        assert_eq!(changed("/a=2.50", body, false), "{\"a\": 2.50}");
        assert_eq!(
            changed("/a=two \"2\"", body, false),
            "{\"a\": \"two \\\"2\\\"\"}"
        );
        assert_eq!(changed("/a=\"2\"", body, false), "{\"a\": \"2\"}");
        assert_eq!(changed("/b=x=y", body, false), "{\"a\": 1,\"b\":\"x=y\"}");
    }

    #[test]
    fn a_field_of_a_form_is_changed_or_added_in_its_encoding() {
        let body = "From=%2B15550100&Body=hello";

        assert_eq!(
            changed("/Body=a b&c", body, true),
            "From=%2B15550100&Body=a+b%26c"
        );
        assert_eq!(
            changed("/New=1", body, true),
            "From=%2B15550100&Body=hello&New=1"
        );
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["a=1", "/a", "", "=1"] {
            assert!(text.parse::<Change>().is_err(), "{text}");
        }
    }
}
