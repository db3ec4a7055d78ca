//! A row that is written and synced to find out whether the disk takes anything.

use rusqlite::named_params;

use super::{Store, StoreError, now};

const PROBE: &str = "INSERT INTO probe (only, probed_at) VALUES (1, :now)
    ON CONFLICT (only) DO UPDATE SET probed_at = excluded.probed_at";

impl Store {
    /// Writes and syncs a probe row, so that `/readyz` tells the truth about the disk.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] when the disk takes nothing.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let now = now();
        self.write(move |writing| {
            writing
                .connection
                .prepare_cached(PROBE)?
                .execute(named_params! { ":now": now.as_millis().cast_signed() })?;
            Ok(())
        })
        .await
    }
}
