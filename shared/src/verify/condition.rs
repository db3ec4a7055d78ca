//! The conditions of `when`: `source`, `source=value`, `!source`, and a few about the body's form.

use std::collections::BTreeMap;

use super::digest::is_equal;
use super::evaluate::{Evaluation, Value};
use super::json;
use super::template::Source;

/// One condition.
#[derive(Debug)]
pub(super) struct Condition {
    /// The condition as written.
    pub(super) text: String,
    pub(super) is_negated: bool,
    pub(super) test: Test,
}

/// What a condition asks.
#[derive(Debug)]
pub(super) enum Test {
    /// `source`: it is there and not empty.
    Present(Source),
    /// `source=value`
    Equals(Source, String),
    /// `is_form`
    IsForm,
    /// `form_or_empty`
    IsFormOrEmpty,
    /// `json_only:KEY`: the body is an object of this one key with a text.
    JsonOnly(String),
}

impl Condition {
    /// Compiles a condition.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (bare, is_negated) = match text.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let test = match bare {
            "is_form" => Test::IsForm,
            "form_or_empty" => Test::IsFormOrEmpty,
            _ => match (bare.strip_prefix("json_only:"), bare.split_once('=')) {
                (Some(key), _) => Test::JsonOnly(key.to_owned()),
                (None, Some((name, value))) => Test::Equals(Source::parse(name)?, value.to_owned()),
                (None, None) => Test::Present(Source::parse(bare)?),
            },
        };
        Ok(Self {
            text: text.to_owned(),
            is_negated,
            test,
        })
    }

    /// The source that it looks at.
    pub(super) const fn source(&self) -> Option<&Source> {
        match &self.test {
            Test::Present(source) | Test::Equals(source, _) => Some(source),
            Test::IsForm | Test::IsFormOrEmpty | Test::JsonOnly(_) => None,
        }
    }

    /// Whether it may hold for an endpoint with these parameters.
    pub(super) fn may_hold_with(&self, parameters: &BTreeMap<String, String>) -> bool {
        let value = |source: &Source| match source {
            Source::Parameter(name) => Some(parameters.get(name).map_or("", String::as_str)),
            _ => None,
        };
        let bare = match &self.test {
            Test::Present(source) => value(source).map(|value| !value.is_empty()),
            Test::Equals(source, wanted) => value(source).map(|value| value == wanted),
            Test::IsForm | Test::IsFormOrEmpty | Test::JsonOnly(_) => None,
        };
        bare.is_none_or(|bare| bare != self.is_negated)
    }

    /// Whether the condition holds; what is absent, ambiguous or unreadable fails the bare test.
    pub(super) fn holds(&self, evaluation: &Evaluation<'_>) -> bool {
        let delivery = evaluation.delivery;
        let bare = match &self.test {
            Test::IsForm => delivery.is_form(),
            Test::IsFormOrEmpty => delivery.is_form() || delivery.has_empty_body(),
            Test::JsonOnly(key) => delivery
                .json()
                .is_ok_and(|document| json::is_object_of_one_text(document, key)),
            Test::Present(source) => match evaluation.source(source) {
                Ok(Value::Bytes(bytes)) => !bytes.is_empty(),
                Ok(Value::Container) => true,
                Err(_) => false,
            },
            Test::Equals(source, value) => match evaluation.source(source) {
                Ok(Value::Bytes(bytes)) => is_equal(&bytes, value.as_bytes()),
                Ok(Value::Container) | Err(_) => false,
            },
        };
        bare != self.is_negated
    }
}
