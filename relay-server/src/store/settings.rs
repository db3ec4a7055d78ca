//! What the owner of an endpoint decides about it. It stands in the endpoint's row as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use towline_shared::api::{Ack, ChangeEndpoint, EndpointLimits, OnFailure, Retention};

/// The settings of an endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(Default))]
pub struct EndpointSettings {
    /// The provider's slug; `None` leaves requests unchecked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// A scheme file of the user's own (TOML), which `provider` then names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_scheme: Option<String>,
    /// The only scheme of the provider that may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Parameters of the scheme, such as `header` or `key_id`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What the sender gets after the commit.
    pub ack: Ack,
    /// What happens to requests whose check fails.
    pub on_failure: OnFailure,
    /// Whether consumers get repeats of events.
    #[serde(default)]
    pub deliver_duplicates: bool,
    /// The longest body in bytes.
    pub max_body: u64,
    /// Whether one more secret is taken from a challenge of the provider.
    #[serde(default)]
    pub await_secret: bool,
    /// What it keeps, as far as the relay lets it.
    #[serde(default)]
    pub retention: Retention,
    /// What it takes in, as far as the relay lets it.
    #[serde(default)]
    pub limits: EndpointLimits,
}

impl EndpointSettings {
    /// The settings after a change.
    pub(crate) fn changed_by(self, change: ChangeEndpoint) -> Self {
        Self {
            provider: change.provider.unwrap_or(self.provider),
            own_scheme: change.own_scheme.unwrap_or(self.own_scheme),
            variant: change.variant.unwrap_or(self.variant),
            parameters: change.parameters.unwrap_or(self.parameters),
            ack: change.ack.unwrap_or(self.ack),
            on_failure: change.on_failure.unwrap_or(self.on_failure),
            deliver_duplicates: change.deliver_duplicates.unwrap_or(self.deliver_duplicates),
            max_body: change.max_body.unwrap_or(self.max_body),
            await_secret: change.await_secret.unwrap_or(self.await_secret),
            retention: change.retention.unwrap_or(self.retention),
            limits: change.limits.unwrap_or(self.limits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_as_it_was_written_and_an_old_one_with_less_as_well() {
        let written = r#"{"provider":"github","parameters":{"a":"b"},"ack":{"status":202,"headers":[]},"on_failure":"deliver","deliver_duplicates":true,"max_body":7,"await_secret":true,"retention":{"max_events":3},"limits":{}}"#;
        let old = r#"{"ack":{"status":200},"on_failure":"reject","max_body":7}"#;

        let read: EndpointSettings = serde_json::from_str(written).unwrap();
        let old: EndpointSettings = serde_json::from_str(old).unwrap();

        assert_eq!(serde_json::to_string(&read).unwrap(), written);
        assert_eq!((old.max_body, old.await_secret), (7, false));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name_and_clears_what_is_null() {
        let before = EndpointSettings {
            provider: Some("github".to_owned()),
            variant: Some("old".to_owned()),
            max_body: 7,
            ..EndpointSettings::default()
        };
        let change = serde_json::from_str(r#"{"variant":null,"deliver_duplicates":true}"#).unwrap();

        let after = before.changed_by(change);

        assert_eq!(after.provider.as_deref(), Some("github"));
        assert_eq!((after.variant, after.max_body), (None, 7));
        assert!(after.deliver_duplicates);
    }
}
