//! The form of a sample file: one provider, its common header fields, and its events.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One file of `relay-client/samples`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The document whose shape the bodies follow.
    pub(super) source: String,
    /// Parameters that the provider's scheme needs.
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, String>,
    /// The form in which the provider shows its public key.
    pub(super) public_key: Option<String>,
    /// Fields of every event, each `Name: value`.
    #[serde(default)]
    pub(super) headers: Vec<String>,
    /// Fields with further signatures, such as the older one by SHA-1.
    #[serde(default)]
    pub(super) also_signed: Vec<String>,
    #[serde(default = "json")]
    pub(super) content_type: String,
    /// What an id of a delivery looks like.
    pub(super) delivery_id: Option<String>,
    #[serde(rename = "event")]
    pub(super) events: Vec<EventText>,
}

/// One event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventText {
    pub(super) name: String,
    pub(super) about: String,
    /// The provider's own name of it, where that is another; empty when the scheme file reads none.
    #[serde(rename = "type")]
    pub(super) event_type: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) delivery_id: Option<String>,
    #[serde(default)]
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

fn json() -> String {
    "application/json".to_owned()
}

impl Manifest {
    /// Reads a file; the error names the place.
    pub(super) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}
