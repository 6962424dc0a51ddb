//! How long to wait before something is tried again, for a part of the time drawn by lot, so that those who failed together
//! do not come back together.

use std::env;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::time::Duration;

/// Shortens every pause between two attempts to this many percent. For tests: a release build does not read it.
/// Time-outs, leases and what a user waits for with a flag are not pauses and stay as they are.
const PAUSE_PERCENT_VARIABLE: &str = "OC_QUAY_TEST_PAUSE_PERCENT";

static PERCENT: OnceLock<u32> = OnceLock::new();

/// Shortens every pause of this process, unless one was made already.
pub(crate) fn shorten(percent: u32) {
    let _ = PERCENT.set(percent.min(100));
}

/// Sleeps between two attempts.
pub(crate) async fn sleep(pause: Duration) {
    tokio::time::sleep(shortened(pause)).await;
}

/// A pause as long as it is in this process: see CONTRIBUTING.md, `OC_QUAY_TEST_PAUSE_PERCENT`.
pub(crate) fn shortened(pause: Duration) -> Duration {
    let percent =
        *PERCENT.get_or_init(|| percent(env::var(PAUSE_PERCENT_VARIABLE).ok().as_deref()));
    pause.checked_mul(percent).map_or(pause, |product| product / 100)
}

/// From 0 to 100; anything else shortens nothing.
fn percent(variable: Option<&str>) -> u32 {
    let given = variable.filter(|_| cfg!(debug_assertions)).and_then(|text| text.parse().ok());
    given.filter(|percent| *percent <= 100).unwrap_or(100)
}

/// The pause after so many failures in a row: `first` at the most, then twice as long each time up to `longest`, and no
/// less than half of that.
pub(crate) fn after(failures: u32, first: Duration, longest: Duration) -> Duration {
    let most = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    most / 2 + part_of(most / 2)
}

/// A part of a time.
pub(crate) fn part_of(time: Duration) -> Duration {
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
    fn pauses_grow_up_to_the_longest() {
        let second = Duration::from_secs(1);
        for (failures, most) in
            [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (u32::MAX, 300)]
        {
            let pause = after(failures, second, 300 * second);
            assert!(pause <= most * second && pause >= most * second / 2, "{failures}: {pause:?}");
        }
        assert!(part_of(Duration::MAX) < Duration::MAX);
        let drawn: std::collections::BTreeSet<_> = (0..20).map(|_| part_of(second)).collect();
        assert!(drawn.len() > 1);
    }
}
