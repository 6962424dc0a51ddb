//! Retries of a write after a conflict.

use std::time::Duration;

use crate::backoff;
use crate::cluster::access::error::ClusterError;

const MAX_ATTEMPTS: u32 = 20;

/// Bounds of the exponential backoff.
const MIN_BACKOFF: Duration = Duration::from_millis(40);
const MAX_BACKOFF: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(in crate::cluster) struct ConflictRetry {
    failed: u32,
}

impl ConflictRetry {
    /// Waits before the next attempt, with jitter so that two writers do not collide again.
    ///
    /// # Errors
    /// `error`, after the last attempt.
    pub(in crate::cluster) async fn backoff(
        &mut self,
        error: ClusterError,
    ) -> Result<(), ClusterError> {
        self.failed += 1;
        if self.failed == MAX_ATTEMPTS {
            return Err(error);
        }
        backoff::sleep(backoff::delay(self.failed, MIN_BACKOFF, MAX_BACKOFF)).await;
        Ok(())
    }
}
