//! How long to wait before something is tried again, for a part of the time drawn by lot, so that those who failed together
//! do not come back together.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

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
    fn pauses_grow_up_to_the_longest() {
        let second = Duration::from_secs(1);
        for (failures, most) in [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (u32::MAX, 300)] {
            let pause = after(failures, second, 300 * second);
            assert!(pause <= most * second && pause >= most * second / 2, "{failures}: {pause:?}");
        }
        assert!(part_of(Duration::MAX) < Duration::MAX);
        let drawn: std::collections::BTreeSet<_> = (0..20).map(|_| part_of(second)).collect();
        assert!(drawn.len() > 1);
    }
}
