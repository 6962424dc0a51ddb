//! Trying again where several write to one object.

use std::time::Duration;

use super::error::ClusterError;
use crate::pause;

/// How often a write is tried in all.
const TRIES: u32 = 20;

/// The longest first pause, which doubles with each further one, and the longest of all.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is left of the tries of one write.
#[derive(Default)]
pub(super) struct Tries {
    failed: u32,
}

impl Tries {
    /// Pauses before the next try, for a random time so that two who got into each other's way do not again.
    ///
    /// # Errors
    /// `error`, which the last try ended with, once there is none left.
    pub(super) async fn again(&mut self, error: ClusterError) -> Result<(), ClusterError> {
        self.failed += 1;
        if self.failed == TRIES {
            return Err(error);
        }
        pause::sleep(pause::after(self.failed, FIRST_PAUSE, LONGEST_PAUSE)).await;
        Ok(())
    }
}
