//! `relay.toml`: its keys, and errors that name line and key.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use towline_shared::api::{EndpointLimits, Retention};

use super::{ConfigError, default_retention};
use crate::limits::Limits;

/// The whole file; every key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) listen: Option<SocketAddr>,
    pub(super) data: Option<PathBuf>,
    pub(super) public_url: Option<String>,
    pub(super) tls: TlsTable,
    pub(super) limits: LimitsTable,
    pub(super) retention: RetentionTable,
    pub(super) endpoint_limits: EndpointLimitsTable,
}

/// The table `[endpoint_limits]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EndpointLimitsTable {
    events_per_second: Option<NonZeroU32>,
    bytes_per_second: Option<NonZeroU64>,
    rejected_per_minute: Option<NonZeroU32>,
}

/// The table `[retention]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetentionTable {
    max_age_days: Option<NonZeroU32>,
    max_events_per_endpoint: Option<NonZeroU64>,
    max_bytes_per_endpoint: Option<NonZeroU64>,
}

/// The table `[tls]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TlsTable {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// The table `[limits]`; a limit of zero is a mistake.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsTable {
    first_byte_timeout_seconds: Option<NonZeroU32>,
    tls_handshake_timeout_seconds: Option<NonZeroU32>,
    head_timeout_seconds: Option<NonZeroU32>,
    keep_alive_timeout_seconds: Option<NonZeroU32>,
    write_stall_timeout_seconds: Option<NonZeroU32>,
    body_window_seconds: Option<NonZeroU32>,
    body_floor_bytes_per_second: Option<NonZeroU64>,
    max_body_bytes: Option<NonZeroU64>,
    max_connections: Option<NonZeroUsize>,
    max_connections_per_address: Option<NonZeroUsize>,
    max_http2_streams: Option<NonZeroU32>,
    store_queue_writes: Option<NonZeroUsize>,
    drain_seconds: Option<NonZeroU32>,
}

impl ConfigFile {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            detail: error.to_string(),
        })?;
        Self::parse(&text).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            detail: error.to_string().trim_end().to_owned(),
        })
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

impl EndpointLimitsTable {
    /// The limits of the table; there are no others.
    pub(super) fn limits(&self) -> EndpointLimits {
        EndpointLimits {
            events_per_second: self.events_per_second.map(NonZeroU32::get),
            bytes_per_second: self.bytes_per_second.map(NonZeroU64::get),
            rejected_per_minute: self.rejected_per_minute.map(NonZeroU32::get),
        }
    }
}

impl RetentionTable {
    /// The bounds of the table, and the default where it has none.
    pub(super) fn over_defaults(&self) -> Retention {
        let default = default_retention();
        let seconds = |days: NonZeroU32| u64::from(days.get()) * 24 * 60 * 60;
        Retention {
            max_age_seconds: self.max_age_days.map(seconds).or(default.max_age_seconds),
            max_events: self
                .max_events_per_endpoint
                .map(NonZeroU64::get)
                .or(default.max_events),
            max_bytes: self
                .max_bytes_per_endpoint
                .map(NonZeroU64::get)
                .or(default.max_bytes),
        }
    }
}

impl LimitsTable {
    /// The limits of the table, and the default where it has none.
    pub(super) fn over_defaults(&self) -> Limits {
        let default = Limits::default();
        Limits {
            first_byte_timeout: seconds(
                self.first_byte_timeout_seconds,
                default.first_byte_timeout,
            ),
            tls_handshake_timeout: seconds(
                self.tls_handshake_timeout_seconds,
                default.tls_handshake_timeout,
            ),
            head_timeout: seconds(self.head_timeout_seconds, default.head_timeout),
            keep_alive_timeout: seconds(
                self.keep_alive_timeout_seconds,
                default.keep_alive_timeout,
            ),
            write_stall_timeout: seconds(
                self.write_stall_timeout_seconds,
                default.write_stall_timeout,
            ),
            body_window: seconds(self.body_window_seconds, default.body_window),
            body_floor_bytes_per_second: self
                .body_floor_bytes_per_second
                .map_or(default.body_floor_bytes_per_second, NonZeroU64::get),
            max_body_bytes: self
                .max_body_bytes
                .map_or(default.max_body_bytes, NonZeroU64::get),
            max_connections: self
                .max_connections
                .map_or(default.max_connections, NonZeroUsize::get),
            max_connections_per_address: self
                .max_connections_per_address
                .map_or(default.max_connections_per_address, NonZeroUsize::get),
            max_http2_streams: self
                .max_http2_streams
                .map_or(default.max_http2_streams, NonZeroU32::get),
            store_queue: self
                .store_queue_writes
                .map_or(default.store_queue, NonZeroUsize::get),
            drain: seconds(self.drain_seconds, default.drain),
        }
    }
}

fn seconds(set: Option<NonZeroU32>, default: Duration) -> Duration {
    set.map_or(default, |seconds| Duration::from_secs(seconds.get().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPLOYED: &str = include_str!("../../../deploy/relay.toml");

    #[test]
    fn the_deployed_file_has_every_key() {
        let file = ConfigFile::parse(&with_optional_keys(DEPLOYED)).unwrap();

        // Taken apart without `..`, so that a new key does not compile before it stands here.
        let ConfigFile {
            listen,
            data,
            public_url,
            tls: TlsTable { certificate, key },
            limits,
            retention,
            endpoint_limits,
        } = file;
        assert!(listen.is_some() && data.is_some() && public_url.is_some());
        assert!(certificate.is_some() && key.is_some());
        let EndpointLimitsTable {
            events_per_second,
            bytes_per_second,
            rejected_per_minute,
        } = endpoint_limits;
        assert!(events_per_second.is_some() && bytes_per_second.is_some());
        assert!(rejected_per_minute.is_some());
        let RetentionTable {
            max_age_days,
            max_events_per_endpoint,
            max_bytes_per_endpoint,
        } = retention;
        assert!(max_age_days.is_some() && max_events_per_endpoint.is_some());
        assert!(max_bytes_per_endpoint.is_some());
        let LimitsTable {
            first_byte_timeout_seconds,
            tls_handshake_timeout_seconds,
            head_timeout_seconds,
            keep_alive_timeout_seconds,
            write_stall_timeout_seconds,
            body_window_seconds,
            body_floor_bytes_per_second,
            max_body_bytes,
            max_connections,
            max_connections_per_address,
            max_http2_streams,
            store_queue_writes,
            drain_seconds,
        } = limits;
        let is_set = [
            first_byte_timeout_seconds.is_some(),
            tls_handshake_timeout_seconds.is_some(),
            head_timeout_seconds.is_some(),
            keep_alive_timeout_seconds.is_some(),
            write_stall_timeout_seconds.is_some(),
            body_window_seconds.is_some(),
            body_floor_bytes_per_second.is_some(),
            max_body_bytes.is_some(),
            max_connections.is_some(),
            max_connections_per_address.is_some(),
            max_http2_streams.is_some(),
            store_queue_writes.is_some(),
            drain_seconds.is_some(),
        ];
        assert!(is_set.iter().all(|is_set| *is_set), "{is_set:?}");
    }

    #[test]
    fn the_deployed_file_changes_no_default() {
        let file = ConfigFile::parse(DEPLOYED).unwrap();

        assert_eq!(file.limits.over_defaults(), Limits::default());
        assert_eq!(file.retention.over_defaults(), default_retention());
        assert_eq!(file.endpoint_limits.limits(), EndpointLimits::default());
        assert_eq!(file.listen, Some("127.0.0.1:8787".parse().unwrap()));
        assert!(file.data.is_none() && file.public_url.is_none());
        assert!(file.tls.certificate.is_none() && file.tls.key.is_none());
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = ConfigFile::parse("[limits]\nmax_connections = 1\nmax_conections = 2\n")
            .unwrap_err()
            .to_string();

        assert!(error.contains("line 3"), "{error}");
        assert!(error.contains("max_conections"), "{error}");
    }

    #[test]
    fn a_limit_of_zero_is_refused_and_one_is_taken() {
        let parse = |text: &str| ConfigFile::parse(text).map(|file| file.limits.over_defaults());

        let error = parse("[limits]\nmax_body_bytes = 0\n").unwrap_err();
        let limits = parse("[limits]\nmax_body_bytes = 1\n").unwrap();

        assert!(error.to_string().contains("line 2"), "{error}");
        assert_eq!(limits.max_body_bytes, 1);
    }

    /// Keys without a default stand in the file as `#key = value`.
    fn with_optional_keys(text: &str) -> String {
        let is_key = |rest: &&str| rest.starts_with(|first: char| first.is_ascii_lowercase());
        text.lines()
            .map(|line| line.strip_prefix('#').filter(is_key).unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n")
    }
}
