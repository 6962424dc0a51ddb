//! Captured output, for runs within the process of a test.

use anstream::adapter::strip_str;
use parking_lot::{Mutex, MutexGuard};

/// Stdout and stderr, without colors.
#[derive(Debug, Default)]
pub(super) struct Transcript(Mutex<[String; 2]>);

impl Transcript {
    pub(super) fn print_out(&self, text: &str) {
        self.streams()[0].push_str(&strip_str(text).to_string());
    }

    pub(super) fn print_err(&self, text: &str) {
        self.streams()[1].push_str(&strip_str(text).to_string());
    }

    pub(super) fn streams(&self) -> MutexGuard<'_, [String; 2]> {
        self.0.lock()
    }
}
