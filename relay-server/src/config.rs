//! The relay's settings: a flag wins over `TOWLINE_*`, that over `relay.toml`, that over the default.

mod file;
mod outbound;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use towline_shared::api::{EndpointLimits, Retention};
use url::Url;

use crate::limits::{Limits, SessionLimits};
use file::ConfigFile;
pub use outbound::Outbound;

/// What a relay runs with; each field has a key in `deploy/relay.toml`.
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
    /// The times and sizes at which it says no.
    pub limits: Limits,
    /// What endpoints keep at most, whatever they say.
    pub retention: Retention,
    /// What endpoints take in at most, whatever they say.
    pub endpoint_limits: EndpointLimits,
    /// The times and sizes of sessions; not in `relay.toml`, but for tests and programs that embed a relay.
    pub sessions: SessionLimits,
    /// Where the relay's own requests may go; not in `relay.toml`, but for tests and programs that embed a relay.
    pub outbound: Outbound,
}

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// The flags of `towline serve` and `towline-server`; clap reads `TOWLINE_*` where a flag is absent.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// Address and port to listen on [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDR", env = "TOWLINE_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Folder in which everything is kept [default: $XDG_DATA_HOME/towline/relay]
    #[arg(long, value_name = "DIR", env = "TOWLINE_DATA")]
    pub data: Option<PathBuf>,
    /// URL under which providers reach this relay [default: the address it listens on]
    #[arg(long, value_name = "URL", env = "TOWLINE_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// File with settings (relay.toml)
    #[arg(long, value_name = "FILE", env = "TOWLINE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Certificate chain (PEM); with --tls-key the relay speaks TLS itself
    #[arg(long, value_name = "FILE", env = "TOWLINE_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "TOWLINE_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
}

/// The settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("could not read `{path}`: {detail}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        detail: String,
    },
    /// The file has a mistake.
    #[error("`{path}` has a mistake: {detail}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, key, and what was expected.
        detail: String,
    },
    /// The public URL is not one.
    #[error("`{url}` is not a public URL: {expected}")]
    PublicUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        expected: &'static str,
    },
    /// One of certificate and key is missing.
    #[error("a TLS {given} needs a TLS {missing} too")]
    HalfTls {
        /// What was given.
        given: &'static str,
        /// What is missing.
        missing: &'static str,
    },
    /// Nothing says where the data should be.
    #[error("no data folder is given, and neither `XDG_DATA_HOME` nor `HOME` is set")]
    NoDataFolder,
}

impl Config {
    /// The defaults for a relay with this data folder.
    pub fn with_data(data: impl Into<PathBuf>) -> Self {
        Self {
            listen: default_listen(),
            data: data.into(),
            public_url: None,
            tls: None,
            limits: Limits::default(),
            retention: default_retention(),
            endpoint_limits: EndpointLimits::default(),
            sessions: SessionLimits::default(),
            outbound: Outbound::default(),
        }
    }

    /// Puts flags, environment (both in `args`), the file that they name, and defaults together.
    ///
    /// # Errors
    /// Names the file with line and key, or the setting that cannot be used.
    pub fn load(args: &ServeArgs) -> Result<Self, ConfigError> {
        let file = match &args.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        let data = match args.data.clone().or(file.data) {
            Some(data) => data,
            None => default_data_folder()?,
        };
        let tls = tls_files(
            args.tls_cert.clone().or(file.tls.certificate),
            args.tls_key.clone().or(file.tls.key),
        )?;
        let public_url = args.public_url.clone().or(file.public_url);
        Ok(Self {
            listen: args.listen.or(file.listen).unwrap_or_else(default_listen),
            data,
            public_url: public_url.as_deref().map(checked_public_url).transpose()?,
            tls,
            limits: file.limits.over_defaults(),
            retention: file.retention.over_defaults(),
            endpoint_limits: file.endpoint_limits.limits(),
            sessions: SessionLimits::default(),
            outbound: Outbound::default(),
        })
    }
}

/// Enough for ten million usual events, and no disk is filled by an endpoint that somebody forgot.
const fn default_retention() -> Retention {
    Retention {
        max_age_seconds: None,
        max_events: None,
        max_bytes: Some(10 * 1024 * 1024 * 1024),
    }
}

fn default_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 8787).into()
}

/// Where a relay keeps its data when nobody says where.
///
/// # Errors
/// When the environment names no home.
pub fn default_data_folder() -> Result<PathBuf, ConfigError> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .map(|share| share.join("towline/relay"))
        .ok_or(ConfigError::NoDataFolder)
}

fn tls_files(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsFiles>, ConfigError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::HalfTls {
            given: "certificate",
            missing: "key",
        }),
        (None, Some(_)) => Err(ConfigError::HalfTls {
            given: "key",
            missing: "certificate",
        }),
    }
}

/// The URL without its final `/`, when it can stand before `/in/{key}`.
pub(crate) fn checked_public_url(text: &str) -> Result<String, ConfigError> {
    let refuse = |expected| ConfigError::PublicUrl {
        url: text.to_owned(),
        expected,
    };
    let url =
        Url::parse(text).map_err(|_| refuse("expected one such as https://hooks.example.com"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refuse("expected http:// or https:// and a host"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("expected no query and no fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("expected no user name and no password"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.toml");
        let text =
            "listen = \"127.0.0.1:1\"\ndata = \"/from-file\"\n[limits]\nmax_body_bytes = 7\n";
        std::fs::write(&path, text).unwrap();
        let args = ServeArgs {
            listen: Some("127.0.0.1:2".parse().unwrap()),
            config: Some(path),
            ..ServeArgs::default()
        };

        let config = Config::load(&args).unwrap();

        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.data, PathBuf::from("/from-file"));
        assert_eq!(config.limits.max_body_bytes, 7);
        assert_eq!(config.limits.drain, Limits::default().drain);
    }

    #[test]
    fn a_missing_file_is_named() {
        let args = ServeArgs {
            config: Some("/nowhere/relay.toml".into()),
            ..ServeArgs::default()
        };

        let error = Config::load(&args).unwrap_err();

        assert!(
            error
                .to_string()
                .starts_with("could not read `/nowhere/relay.toml`")
        );
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let args = ServeArgs {
            data: Some("/d".into()),
            tls_cert: Some("/c".into()),
            ..ServeArgs::default()
        };

        let error = Config::load(&args).unwrap_err();

        assert_eq!(error.to_string(), "a TLS certificate needs a TLS key too");
    }

    #[test]
    fn a_public_url_has_a_host_and_nothing_behind_its_path() {
        for good in [
            "https://hooks.example.com",
            "http://[::1]:8787/",
            "https://h/relay",
        ] {
            let url = checked_public_url(good).unwrap();
            assert_eq!(url, good.trim_end_matches('/'));
        }
        for bad in [
            "hooks.example.com",
            "ftp://h",
            "https://h?a",
            "https://h/#a",
            "https://u:p@h",
            "",
        ] {
            assert!(checked_public_url(bad).is_err(), "{bad}");
        }
    }
}
