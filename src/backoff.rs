//! Exponential backoff with jitter.
//!
//! Not backon's, which is an iterator: callers keep a count of failures, and each delay would build
//! an iterator and skip to its position, in more lines than the formula. Its jitter is not separate.

use std::env;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::time::Duration;

/// For tests: scales all delays to this percentage. Ignored by release builds. Does not affect
/// timeouts, leases and durations that a user sets.
const PAUSE_PERCENT_VARIABLE: &str = "OC_QUAY_TEST_PAUSE_PERCENT";

static PERCENT: OnceLock<u32> = OnceLock::new();

/// Has no effect after the first delay.
pub(crate) fn set_percent(percent: u32) {
    let _ = PERCENT.set(percent.min(100));
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(shortened(duration)).await;
}

/// See `OC_QUAY_TEST_PAUSE_PERCENT` in CONTRIBUTING.md.
pub(crate) fn shortened(duration: Duration) -> Duration {
    let percent =
        *PERCENT.get_or_init(|| percent(env::var(PAUSE_PERCENT_VARIABLE).ok().as_deref()));
    duration.checked_mul(percent).map_or(duration, |product| product / 100)
}

/// 0 to 100; invalid values do not shorten delays.
fn percent(variable: Option<&str>) -> u32 {
    let given = variable.filter(|_| cfg!(debug_assertions)).and_then(|text| text.parse().ok());
    given.filter(|percent| *percent <= 100).unwrap_or(100)
}

/// The delay after `failures` in a row: doubles from `first` to `longest`, with a jitter of up to
/// half.
pub(crate) fn delay(failures: u32, first: Duration, longest: Duration) -> Duration {
    let most = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    most / 2 + jitter(most / 2)
}

/// A random fraction of `time`.
pub(crate) fn jitter(time: Duration) -> Duration {
    time / 1000 * u32::try_from(RandomState::new().hash_one(()) % 1000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_shortens_only_within_its_range() {
        for (variable, expected) in
            [(None, 100), (Some(""), 100), (Some("101"), 100), (Some("-1"), 100), (Some("x"), 100)]
        {
            assert_eq!(percent(variable), expected, "{variable:?}");
        }
        assert_eq!([percent(Some("0")), percent(Some("5"))], [0, 5]);
        assert_eq!(shortened(Duration::MAX), Duration::MAX);
    }

    #[test]
    fn delays_grow_up_to_maximum() {
        let second = Duration::from_secs(1);
        for (failures, most) in
            [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (u32::MAX, 300)]
        {
            let duration = delay(failures, second, 300 * second);
            assert!(
                duration <= most * second && duration >= most * second / 2,
                "{failures}: {duration:?}"
            );
        }
        assert!(jitter(Duration::MAX) < Duration::MAX);
        let drawn: std::collections::BTreeSet<_> = (0..20).map(|_| jitter(second)).collect();
        assert!(drawn.len() > 1);
    }
}
