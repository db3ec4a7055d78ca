//! The local URL that receives, as a person types it: `3000`, `:3000`, `localhost:3000/path`, `https://app.test`.

use std::fmt;
use std::str::FromStr;

/// A target that cannot be wrong: scheme, host, port, base path and base query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is spoken to by TLS.
    pub is_https: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The base path without a final `/`; empty for the root.
    pub base_path: String,
    /// A query that is put before the sender's.
    pub base_query: Option<String>,
}

/// The text is not a target.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is not a target such as 3000, localhost:3000/hooks or https://app.test: {problem}"
)]
pub struct InvalidTarget {
    text: String,
    problem: String,
}

impl Target {
    /// `HOST[:PORT]` for a `Host` field; the port is left out when it is the scheme's own.
    pub fn authority(&self) -> String {
        todo!()
    }

    /// `HOST:PORT`, the default name of a consumer.
    pub fn host_and_port(&self) -> String {
        todo!()
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(_text: &str) -> Result<Self, InvalidTarget> {
        todo!()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
