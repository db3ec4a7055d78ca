//! The times and sizes of a session, in one place so that tests can shorten them.

use std::time::Duration;

/// The limits of every session of a relay.
#[derive(Clone, Debug)]
pub struct SessionLimits {
    /// How long a client may take to send `hello`.
    pub hello: Duration,
    /// How often the relay pings.
    pub ping_every: Duration,
    /// After how much silence a client is taken for gone; two pings and some.
    pub silence: Duration,
    /// How long a client may leave what was written to it unread.
    pub write_stall: Duration,
    /// How long outcomes may take to become durable when a session ends; what is not is reported again.
    pub last_outcomes: Duration,
    /// How long `goodbye` may take to be sent, and the client to close after it.
    pub farewell: Duration,
    /// Sessions in all; one more is answered with 503.
    pub most_sessions: usize,
    /// Bytes of outcomes on their way into the store; at the bound nothing more is read from the client.
    pub outcome_bytes: usize,
    /// Outcomes on their way into the store; at the bound nothing more is read from the client.
    pub outcomes: usize,
    /// Bytes written ahead of the socket; at the bound nothing more is written until they are sent.
    pub unsent_bytes: usize,
    /// Bytes of events that one read of the store aims at.
    pub page_bytes: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            ping_every: Duration::from_secs(20),
            silence: Duration::from_secs(45),
            write_stall: Duration::from_secs(30),
            last_outcomes: Duration::from_secs(3),
            farewell: Duration::from_secs(2),
            most_sessions: 20_000,
            outcome_bytes: 4 * 1024 * 1024,
            outcomes: 2048,
            unsent_bytes: 64 * 1024,
            page_bytes: 1024 * 1024,
        }
    }
}
