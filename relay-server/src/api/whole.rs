//! Runs a change to its end. A handler is dropped when its client goes away, and must not be dropped
//! between the store and the memory that follows it.

use crate::relay::Relay;
use crate::store::StoreError;

use super::refusal::Refusal;

/// Waits for the change, which goes on in a task of the relay's tracker when nobody waits any more.
pub(super) async fn whole<T: Send + 'static>(
    relay: &Relay,
    change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    let changed = relay.tasks.spawn(change).await;
    changed.unwrap_or_else(|failure| {
        let failure = StoreError::Failed(failure.to_string());
        Err(Refusal::Store(failure))
    })
}
