//! Waits for something to become true, for a bounded time, and says what did not.

use std::time::{Duration, Instant};

/// How long a condition may take. Long enough for a slow machine under load; a passing test never needs it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often the condition is asked.
const STEP: Duration = Duration::from_millis(5);

/// Asks until there is an answer.
///
/// # Panics
/// When [`PATIENCE`] is over; the message names `what`.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = condition().await {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain: {what}"
        );
        tokio::time::sleep(STEP).await;
    }
}

/// Waits for a future that should end by itself.
///
/// # Panics
/// When [`PATIENCE`] is over; the message names `what`.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}
