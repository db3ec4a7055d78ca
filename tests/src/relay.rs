//! A relay in the process of the test, on a port and a folder of its own.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use towline_server::{Config, Drained, RunningRelay};

use crate::api::Api;

/// A relay and its data folder, which goes when this is dropped.
pub struct Relay {
    running: Option<RunningRelay>,
    config: Config,
    address: SocketAddr,
    folder: TempDir,
}

impl Relay {
    /// Starts a relay with the default settings on a free port.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// Starts a relay with changed settings.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut config = Config::with_data(folder.path().join("data"));
        config.listen = "127.0.0.1:0".parse().expect("the address is valid");
        change(&mut config);
        let running = towline_server::start(config.clone())
            .await
            .unwrap_or_else(|error| panic!("the relay does not start: {error}"));
        Self {
            address: running.address(),
            running: Some(running),
            config,
            folder,
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.config.data
    }

    /// A folder beside the data, for anything else.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its interface, with the admin's token.
    pub fn api(&self) -> Api {
        Api::with_token_file(self.address, &self.data().join("admin.token"))
    }

    /// Stops it; the address is refused from here on.
    ///
    /// # Panics
    /// When it is stopped already.
    pub async fn stop(&mut self) -> Drained {
        let running = self.running.take().expect("the relay is running");
        running.stop().await
    }

    /// Starts it again on the same folder and address.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        self.config.listen = self.address;
        let running = towline_server::start(self.config.clone())
            .await
            .unwrap_or_else(|error| panic!("the relay does not start again: {error}"));
        self.running = Some(running);
    }
}
