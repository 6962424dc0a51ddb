//! Trying again where several write to one object.

use std::time::Duration;

use super::error::ClusterError;
use crate::backoff;

/// How often a write is tried in all.
const MAX_ATTEMPTS: u32 = 20;

/// The longest first pause, which doubles with each further one, and the longest of all.
const MIN_BACKOFF: Duration = Duration::from_millis(40);
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// What is left of the tries of one write.
#[derive(Default)]
pub(super) struct ConflictRetry {
    failed: u32,
}

impl ConflictRetry {
    /// Pauses before the next try, for a random time so that two who got into each other's way do not again.
    ///
    /// # Errors
    /// `error`, which the last try ended with, once there is none left.
    pub(super) async fn again(&mut self, error: ClusterError) -> Result<(), ClusterError> {
        self.failed += 1;
        if self.failed == MAX_ATTEMPTS {
            return Err(error);
        }
        backoff::sleep(backoff::after(self.failed, MIN_BACKOFF, MAX_BACKOFF)).await;
        Ok(())
    }
}
