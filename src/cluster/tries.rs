//! Trying again where several write to one object.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::error::ClusterError;

/// How often a write is tried in all.
const TRIES: u32 = 20;

/// The longest first pause, which doubles with each further one, and the longest of all; in milliseconds.
const FIRST_PAUSE: u64 = 20;
const LONGEST_PAUSE: u64 = 1000;

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
        let longest = FIRST_PAUSE.saturating_mul(1 << self.failed).min(LONGEST_PAUSE);
        let random = RandomState::new().hash_one(self.failed);
        tokio::time::sleep(Duration::from_millis(random % longest)).await;
        Ok(())
    }
}
