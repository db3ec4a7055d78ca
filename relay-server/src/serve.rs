//! Starts a relay from its settings and stops it in an orderly way.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Config;
use crate::store::StoreError;

/// A relay that is running.
pub struct RunningRelay {}

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("could not listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificate or key cannot be used.
    #[error("cannot use `{path}`: {detail}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The admin token could not be written or read.
    #[error("cannot use `{path}`: {detail}")]
    AdminToken {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

/// What was left when a relay stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were cut off.
    pub requests: usize,
    /// Sessions that did not end in time.
    pub sessions: usize,
}

/// Starts a relay; returns when it takes connections. Neither reads flags nor installs signal handlers.
pub async fn start(_config: Config) -> Result<RunningRelay, StartError> {
    todo!()
}

impl RunningRelay {
    /// The address that it listens on, with the real port.
    pub fn address(&self) -> SocketAddr {
        todo!()
    }

    /// Where providers reach it, without a final `/`.
    pub fn public_url(&self) -> &str {
        todo!()
    }

    /// The file with the admin token.
    pub fn admin_token_file(&self) -> PathBuf {
        todo!()
    }

    /// Stops taking, finishes what is in hand, says goodbye to sessions, commits; 10 s at most.
    pub async fn stop(self) -> Drained {
        todo!()
    }
}
