//! Starts a relay from its settings and stops it in an orderly way.

mod admin_token;
mod advice;
mod run;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::config::{self, Config, ConfigError};
use crate::endpoints::Endpoints;
use crate::fanout::Fanout;
use crate::listener::{self, InHand, TlsError, server_config};
use crate::relay::Relay;
use crate::session::Sessions;
use crate::store::{Store, StoreError, StoreOptions};
pub use run::run;

/// The part of the drain that is kept for the store's last commit.
const COMMIT_TIME: Duration = Duration::from_secs(1);

/// A relay that is running.
pub struct RunningRelay {
    relay: Arc<Relay>,
    address: SocketAddr,
    in_hand: Arc<InHand>,
}

/// Why a relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
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
    /// The process cannot be told to stop.
    #[error("could not listen to signals")]
    Signals(#[source] std::io::Error),
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
///
/// # Errors
/// Names what is wrong with an address, a file or the store.
pub async fn start(config: Config) -> Result<RunningRelay, StartError> {
    let tls = config.tls.as_ref().map(server_config).transpose()?;
    let refuse = |source| StartError::Listen {
        address: config.listen,
        source,
    };
    let socket = listener::bind(config.listen).map_err(refuse)?;
    let address = socket.local_addr().map_err(refuse)?;
    let public_url = match &config.public_url {
        Some(url) => config::checked_public_url(url)?,
        None => reachable_url(address, tls.is_some()),
    };
    let fanout = Arc::new(Fanout::default());
    let store = open_store(&config, Arc::clone(&fanout)).await?;
    let auth = Auth::new(store.clone());
    admin_token::ensure(&config.data, &store, &auth).await?;
    let relay = Arc::new(Relay {
        public_url,
        endpoints: Endpoints::load(store.clone()).await?,
        auth,
        sessions: Sessions::new(),
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
        fanout,
        store,
        config,
    });
    let in_hand = Arc::new(InHand::default());
    let accepting = listener::run(socket, Arc::clone(&relay), tls, Arc::clone(&in_hand));
    relay.tasks.spawn(accepting);
    Ok(RunningRelay {
        relay,
        address,
        in_hand,
    })
}

async fn open_store(config: &Config, fanout: Arc<Fanout>) -> Result<Store, StoreError> {
    let options = StoreOptions {
        folder: config.data.clone(),
        queue: config.limits.store_queue,
    };
    let opening = tokio::task::spawn_blocking(move || {
        Store::open(&options, Box::new(move |events| fanout.committed(events)))
    });
    opening
        .await
        .unwrap_or_else(|failure| Err(StoreError::Failed(failure.to_string())))
}

/// The URL of the address itself; an address that stands for all is reached on this machine.
fn reachable_url(address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("{scheme}://{address}")
}

impl RunningRelay {
    /// The address that it listens on, with the real port.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where providers reach it, without a final `/`.
    pub fn public_url(&self) -> &str {
        &self.relay.public_url
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.relay.config.data
    }

    /// The file with the admin token.
    pub fn admin_token_file(&self) -> PathBuf {
        admin_token::file(&self.relay.config.data)
    }

    /// Stops taking, finishes what is in hand, says goodbye to sessions, commits; 10 s at most.
    pub async fn stop(self) -> Drained {
        let Self { relay, in_hand, .. } = self;
        let limit = relay.config.limits.drain;
        relay.stopping.cancel();
        relay.tasks.close();
        let enough = limit.saturating_sub(COMMIT_TIME.min(limit / 10));
        let is_drained = timeout(enough, relay.tasks.wait()).await.is_ok();
        let drained = if is_drained {
            Drained::default()
        } else {
            Drained {
                requests: in_hand.count(),
                sessions: relay.sessions.count(),
            }
        };
        // Whatever is in the writer's queue is committed, also when its sender was cut off.
        let _ = timeout(COMMIT_TIME, relay.store.close()).await;
        drained
    }
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        Self::Tls {
            path: error.path,
            detail: error.detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_an_address_can_be_opened_on_this_machine() {
        for (address, url) in [
            ("127.0.0.1:1", "http://127.0.0.1:1"),
            ("0.0.0.0:1", "http://127.0.0.1:1"),
            ("[::]:1", "http://127.0.0.1:1"),
            ("[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(reachable_url(address.parse().unwrap(), false), url);
        }
    }
}
