//! The way to the relay: TCP, through a proxy when the environment names one, and TLS with the system's,
//! the web's or a given certificate authority. Serves the relay connection only, never the target.

use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

/// Where the relay is and how to trust it.
#[derive(Clone, Debug)]
pub struct RelayAddress {
    /// `http://…` or `https://…`, without a final `/`.
    pub url: Url,
    /// A certificate authority of the user's own, PEM, beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// A connection to the relay, plain or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The relay cannot be reached; the message says at which step and what to check.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {detail}")]
pub struct DialError {
    /// Looking up the name, connecting, the proxy, or TLS.
    pub step: String,
    /// What was said there.
    pub detail: String,
}

/// Connects to the relay.
///
/// # Errors
/// Names the step that failed. Every step has a time limit.
pub async fn dial(_relay: &RelayAddress) -> Result<Box<dyn Stream>, DialError> {
    todo!()
}
