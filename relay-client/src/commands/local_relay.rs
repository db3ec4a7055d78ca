//! A relay in this very process, for `serve`, `demo`, and `listen` when no relay is configured. The only file of
//! the client that knows the server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

pub(super) use towline_server::config::ServeArgs;
use towline_server::{Config, Drained, RunningRelay, StartError};
use towline_shared::secret::Secret;
use url::Url;

use super::{Exit, Failure};
use crate::dial::RelayAddress;
use crate::settings::read_secret_file;

/// A relay on this machine and the token for everything.
pub(super) struct Found {
    pub(super) address: RelayAddress,
    pub(super) token: Secret,
}

/// A relay in this process.
pub(super) struct LocalRelay {
    running: RunningRelay,
    pub(super) found: Found,
}

/// Runs a relay until a signal ends it.
pub(super) async fn serve(arguments: &ServeArgs) -> Result<(), Failure> {
    towline_server::serve::run(arguments).await.map_err(failure)
}

impl LocalRelay {
    /// Starts a relay on the data folder: on the usual port, or on a free one when that is taken.
    pub(super) async fn start(data: &Path) -> Result<Self, Failure> {
        let usual = Config::with_data(data);
        let any_port = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ..usual.clone()
        };
        let running = match towline_server::start(usual).await {
            Err(StartError::Listen { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
                towline_server::start(any_port).await
            }
            other => other,
        };
        Self::of(running.map_err(failure)?)
    }

    /// Starts a relay on a free port.
    pub(super) async fn start_on_free_port(data: &Path) -> Result<Self, Failure> {
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ..Config::with_data(data)
        };
        let running = towline_server::start(config).await.map_err(failure)?;
        Self::of(running)
    }

    fn of(running: RunningRelay) -> Result<Self, Failure> {
        let token = read_secret_file(&running.admin_token_file()).map_err(|error| {
            Failure::new(Exit::Unexpected, "could not read the local relay's token").because(error)
        })?;
        let address = address(&format!("http://{}", running.address()))?;
        Ok(Self {
            found: Found { address, token },
            running,
        })
    }

    /// Where providers on this machine reach it.
    pub(super) fn public_url(&self) -> &str {
        self.running.public_url()
    }

    /// Stops in an orderly way.
    pub(super) async fn stop(self) -> Drained {
        self.running.stop().await
    }
}

/// The relay that another process runs on this data folder, as far as its note says. A note may be left over from
/// a crash.
pub(super) fn running(data: &Path) -> Option<Found> {
    let url = towline_server::serve::whereabouts(data)?;
    let token = read_secret_file(&data.join("admin.token")).ok()?;
    Some(Found {
        address: address(&url).ok()?,
        token,
    })
}

fn address(url: &str) -> Result<RelayAddress, Failure> {
    let url = Url::parse(url).map_err(|error| {
        Failure::new(Exit::Unexpected, "the local relay has no address").because(error)
    })?;
    Ok(RelayAddress { url, ca_file: None })
}

fn failure(error: StartError) -> Failure {
    let exit = match error.exit_code() {
        13 => Exit::InvalidInput,
        _ => Exit::Unexpected,
    };
    let hint = error.hint();
    let failure = Failure::new(exit, "could not start the relay").because(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
