//! One clock for senders and sink, both in this process: nanoseconds since its first use.

use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds since the first call.
pub(crate) fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}
