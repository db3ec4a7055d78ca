//! How to call the app, as the person asked for it, and what cannot be met.

use std::time::Duration;

use towline_shared::head::{is_token, is_value_byte};

use crate::target::Target;
use crate::tls::TlsError;

/// How to call the app.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The local URL.
    pub target: Target,
    /// The time limit of one attempt.
    pub timeout: Duration,
    /// How often an answer of 5xx, 408, 425 or 429 is tried again.
    pub retries: u32,
    /// After how many calls without an answer a delivery is parked, 1 or more; `None` keeps calling. Calls
    /// that nobody took, such as a refused connection, do not count.
    pub park_after: Option<u32>,
    /// What becomes of the `Host` field.
    pub host: HostHeader,
    /// Fields to add.
    pub add_headers: Vec<(String, String)>,
    /// Whether to add `Towline-Event-Id`, `Towline-Attempt` and `Towline-Replay`.
    pub mark: bool,
    /// Whether certificates of the target go unchecked.
    pub insecure: bool,
}

/// What becomes of the sender's `Host` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// It stays the sender's.
    Preserve,
    /// It names the target.
    Rewrite,
    /// It has this value.
    Value(String),
}

/// The app cannot be called as asked.
#[derive(Debug, thiserror::Error)]
pub enum ForwarderError {
    /// A field to add has a name that is not a token (RFC 9110 §5.6.2).
    #[error("`{}` is not the name of a header field", .0.escape_default())]
    FieldName(String),
    /// A field to add is one that the client writes itself.
    #[error("the header field `{0}` cannot be added: the client writes it itself")]
    FieldOwned(String),
    /// A value has a control character.
    #[error("the value of the header field `{0}` has a control character")]
    FieldValue(String),
    /// The TLS settings for the target.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The target's name does not fit TLS.
    #[error("`{host}` cannot be the name in a certificate: {detail}")]
    TlsName {
        /// The host.
        host: String,
        /// Why.
        detail: String,
    },
}

/// Whether the fields to add and the value of `Host` can stand in a head.
pub(super) fn check_fields(delivery: &Delivery) -> Result<(), ForwarderError> {
    const OWNED: [&str; 5] = [
        "Host",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
        "Expect",
    ];
    for (name, value) in &delivery.add_headers {
        if !is_token(name.as_bytes()) {
            return Err(ForwarderError::FieldName(name.clone()));
        }
        if OWNED.iter().any(|owned| owned.eq_ignore_ascii_case(name)) {
            return Err(ForwarderError::FieldOwned(name.clone()));
        }
        check_value(name, value)?;
    }
    match &delivery.host {
        HostHeader::Value(value) => check_value("Host", value),
        HostHeader::Preserve | HostHeader::Rewrite => Ok(()),
    }
}

fn check_value(name: &str, value: &str) -> Result<(), ForwarderError> {
    if value.bytes().all(is_value_byte) {
        Ok(())
    } else {
        Err(ForwarderError::FieldValue(name.to_owned()))
    }
}
