//! Starts a relay from its settings and stops it in an orderly way.

mod admin_token;
mod advice;
mod run;
mod whereabouts;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::config::{self, Config, ConfigError};
use crate::endpoints::Endpoints;
use crate::fanout::Fanout;
use crate::keys::Keys;
use crate::listener::{self, InHand, TlsError, server_config};
use crate::relay::Relay;
use crate::retention;
use crate::session::Sessions;
use crate::store::{Store, StoreError, StoreOptions};
pub use run::run;
pub use whereabouts::whereabouts;

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
    /// The relay had started, and a mistake in it has ended its store.
    #[error("the relay's store has failed for good; the log says where")]
    Broken,
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
    let has_tls = tls.is_some();
    let refuse = |source| StartError::Listen {
        address: config.listen,
        source,
    };
    let socket = listener::bind(config.listen).map_err(refuse)?;
    let address = socket.local_addr().map_err(refuse)?;
    let public_url = match &config.public_url {
        Some(url) => config::checked_public_url(url)?,
        None => reachable_url(address, has_tls),
    };
    let fanout = Arc::new(Fanout::default());
    let store = open_store(&config, Arc::clone(&fanout)).await?;
    let auth = Auth::new(store.clone());
    admin_token::ensure(&config.data, &store, &auth).await?;
    let relay = Arc::new(Relay {
        public_url,
        endpoints: Endpoints::load(store.clone(), config.endpoint_limits).await?,
        keys: Keys::new(&config.outbound),
        auth,
        sessions: Sessions::new(config.sessions.clone()),
        retention: Notify::new(),
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
        fanout,
        store,
        config,
    });
    let in_hand = Arc::new(InHand::default());
    let accepting = listener::run(socket, Arc::clone(&relay), tls, Arc::clone(&in_hand));
    relay.tasks.spawn(accepting);
    relay.tasks.spawn(retention::run(Arc::clone(&relay)));
    whereabouts::note(&relay.config.data, &reachable_url(address, has_tls));
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
    #[cfg(test)]
    pub(crate) const fn relay(&self) -> &Arc<Relay> {
        &self.relay
    }

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

    /// Waits until the relay cannot keep anything any more and must be started anew; cancel-safe.
    pub async fn broken(&self) {
        self.relay.store.broken().await;
    }

    /// Stops taking, finishes what is in hand, says goodbye to sessions, commits; 10 s at most.
    pub async fn stop(self) -> Drained {
        let relay = &self.relay;
        let limit = relay.config.limits.drain;
        relay.stopping.cancel();
        relay.tasks.close();
        whereabouts::forget(&relay.config.data);
        let enough = limit.saturating_sub(COMMIT_TIME.min(limit / 10));
        let is_drained = timeout(enough, relay.tasks.wait()).await.is_ok();
        let drained = if is_drained {
            Drained::default()
        } else {
            Drained {
                requests: self.in_hand.count(),
                sessions: relay.sessions.count(),
            }
        };
        // Whatever is in the writer's queue is committed, also when its sender was cut off.
        let _ = timeout(COMMIT_TIME, relay.store.close()).await;
        drained
    }
}

/// A relay that nobody holds takes nothing more; its tasks end by themselves.
impl Drop for RunningRelay {
    fn drop(&mut self) {
        self.relay.stopping.cancel();
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
    use std::time::SystemTime;

    use towline_shared::time::Timestamp;

    use super::*;
    use crate::config::TlsFiles;
    use crate::store::Scope;

    fn config(folder: &tempfile::TempDir) -> Config {
        let mut config = Config::with_data(folder.path().join("data"));
        config.listen.set_port(0);
        config
    }

    async fn failure(config: Config) -> StartError {
        let Err(error) = start(config).await else {
            panic!("the relay must not start");
        };
        error
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_a_hint() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.listen = taken.local_addr().unwrap();

        let error = failure(config).await;

        let port = taken.local_addr().unwrap().port();
        assert_eq!(
            error.to_string(),
            format!("could not listen on `127.0.0.1:{port}`")
        );
        assert!(error.hint().unwrap().contains("--listen"));
        assert_eq!(error.exit_code(), 1);
    }

    #[tokio::test]
    async fn a_certificate_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("cert.pem");
        std::fs::write(&certificate, "no PEM").unwrap();
        let mut config = config(&folder);
        config.tls = Some(TlsFiles {
            key: certificate.clone(),
            certificate: certificate.clone(),
        });

        let error = failure(config).await;

        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot use `{}`", certificate.display())),
            "{error}"
        );
        assert_eq!(error.exit_code(), 13);
    }

    #[tokio::test]
    async fn a_data_folder_that_cannot_be_made_is_named_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        std::fs::write(&config.data, "a file").unwrap();
        config.data.push("below");

        let error = failure(config).await;

        assert!(error.to_string().contains("below"), "{error}");
        assert!(error.hint().unwrap().contains("--data"));
    }

    #[tokio::test]
    async fn the_admin_token_is_made_once_and_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();

        let first = start(config(&folder)).await.unwrap();
        let file = first.admin_token_file();
        let token = std::fs::read_to_string(&file).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(first.stop().await, Drained::default());
        let second = start(config(&folder)).await.unwrap();

        assert!(token.starts_with("twl_"));
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), token);
        let authorization = format!("Bearer {}", token.trim_end());
        let allowed = second
            .relay()
            .auth
            .allow(
                Some(authorization.as_bytes()),
                Scope::Admin,
                Timestamp::from(SystemTime::now()),
            )
            .await
            .unwrap();
        assert_eq!(allowed.name, "admin");
    }

    #[tokio::test]
    async fn a_relay_whose_admin_token_was_revoked_starts_with_a_new_one() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from(SystemTime::now());
        let running = start(config(&folder)).await.unwrap();
        let file = running.admin_token_file();
        let revoked = std::fs::read_to_string(&file).unwrap();
        let store = &running.relay().store;
        let id = store.tokens().await.unwrap()[0].id;
        store.revoke_token(id, now).await.unwrap();
        running.stop().await;

        let running = start(config(&folder)).await.unwrap();

        let fresh = std::fs::read_to_string(&file).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for (token, is_let_in) in [(revoked, false), (fresh, true)] {
            let authorization = format!("Bearer {}", token.trim_end());
            let auth = &running.relay().auth;
            let allowed = auth.allow(Some(authorization.as_bytes()), Scope::Admin, now);
            assert_eq!(allowed.await.is_ok(), is_let_in);
        }
    }

    #[tokio::test]
    async fn an_admin_token_of_another_relay_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let running = start(config(&folder)).await.unwrap();
        let file = running.admin_token_file();
        running.stop().await;
        let other = crate::auth::FreshToken::make();
        std::fs::write(&file, other.token.expose()).unwrap();

        let error = failure(config(&folder)).await;

        assert!(error.to_string().contains("admin.token"), "{error}");
        assert!(!error.to_string().contains("twl_"), "{error}");
        assert!(error.hint().is_some());
    }

    #[tokio::test]
    async fn a_start_that_ended_between_file_and_store_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder);
        std::fs::create_dir_all(&config.data).unwrap();
        let fresh = crate::auth::FreshToken::make();
        std::fs::write(admin_token::file(&config.data), fresh.token.expose()).unwrap();

        let running = start(config).await.unwrap();

        let tokens = running.relay().store.tokens().await.unwrap();
        assert_eq!(tokens.len(), 1);
    }

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
