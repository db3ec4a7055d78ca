//! The relay's settings, from flags, environment and `relay.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What a relay runs with; the fields grow with the features, and each has a key in `deploy/relay.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The data folder.
    pub data: PathBuf,
    /// Where providers reach this relay; by default the address that it listens on.
    pub public_url: Option<String>,
    /// Certificate chain and private key (PEM); both or none.
    pub tls: Option<TlsFiles>,
}

/// Where the certificate is.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}
