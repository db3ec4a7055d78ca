//! Every time and size at which the edge says no, with the value it has when nobody sets it.
//! The head's own limits are `MAX_HEAD_BYTES` and `MAX_FIELDS` of `towline_shared::head`: both ends rely on them.

mod bucket;
mod session;

use std::time::Duration;

pub(crate) use bucket::Bucket;
pub use session::SessionLimits;

/// The limits of one relay; each is a key of `relay.toml`, where its unit stands in the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a new connection may be silent.
    pub first_byte_timeout: Duration,
    /// How long the TLS handshake may take.
    pub tls_handshake_timeout: Duration,
    /// How long a head may take from its first byte to its last.
    pub head_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub keep_alive_timeout: Duration,
    /// How long the other side may leave an answer unread.
    pub write_stall_timeout: Duration,
    /// The time over which the speed of a body is measured.
    pub body_window: Duration,
    /// The slowest that a body may arrive, over each window.
    pub body_floor_bytes_per_second: u64,
    /// The longest body, whatever an endpoint says.
    pub max_body_bytes: u64,
    /// Connections in all; one more is closed at once.
    pub max_connections: usize,
    /// Connections of one IPv4 address or one IPv6 network of 64 bits; one more is closed at once.
    pub max_connections_per_address: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub max_http2_streams: u32,
    /// How many writes may wait for the store; one more is answered with 503.
    pub store_queue: usize,
    /// How long the relay may take to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte_timeout: Duration::from_secs(5),
            tls_handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            // Longer than the 60 s for which common senders and proxies keep a connection.
            keep_alive_timeout: Duration::from_secs(75),
            write_stall_timeout: Duration::from_secs(60),
            body_window: Duration::from_secs(10),
            // A slow mobile link sends ten times as much.
            body_floor_bytes_per_second: 1024,
            max_body_bytes: 25 * 1024 * 1024,
            max_connections: 20_000,
            max_connections_per_address: 2_000,
            max_http2_streams: 100,
            // A quarter of a second of work for the writer.
            store_queue: 8_192,
            drain: Duration::from_secs(10),
        }
    }
}
