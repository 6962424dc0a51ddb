//! Stops calls to a server that has failed too often, so that thousands of calls do not each wait for it.

use std::sync::OnceLock;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::domain::integration::{ConnectionStage, QuayProblem};

/// Consecutive failures that open the breaker.
const FAILURE_THRESHOLD: usize = 3;

/// Opens once and is never closed: [`crate::quay::Quay::with_reset_breaker`] makes a client with a new one.
#[derive(Debug)]
pub(in crate::quay) struct CircuitBreaker {
    failures: Mutex<Failures>,
    problem: OnceLock<QuayProblem>,
}

#[derive(Debug)]
struct Failures {
    has_succeeded: bool,
    /// Consecutive calls without an answer. Calls that were in flight together count once.
    count: usize,
    counted_at: Option<Instant>,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        // The first failure opens the breaker of a server that has never answered.
        let failures =
            Failures { has_succeeded: false, count: FAILURE_THRESHOLD - 1, counted_at: None };
        Self { failures: Mutex::new(failures), problem: OnceLock::new() }
    }
}

impl CircuitBreaker {
    /// The problem that opened the breaker; `None` while it is closed.
    pub(in crate::quay) fn problem(&self) -> Option<&QuayProblem> {
        self.problem.get()
    }

    /// Rejects all further calls. The first problem is kept.
    pub(in crate::quay) fn open(&self, problem: QuayProblem) {
        self.problem.get_or_init(|| problem);
    }

    pub(in crate::quay) fn record_success(&self) {
        *self.failures() = Failures { has_succeeded: true, count: 0, counted_at: None };
    }

    pub(in crate::quay) fn has_succeeded(&self) -> bool {
        self.failures().has_succeeded
    }

    /// Records a call that was connected but not answered; `started` is when its last attempt began. Returns whether the
    /// breaker is open.
    pub(in crate::quay) fn record_failure(&self, reason: &str, started: Instant) -> bool {
        let is_open = {
            let mut failures = self.failures();
            if failures.counted_at.is_none_or(|counted| started >= counted) {
                (failures.count, failures.counted_at) = (failures.count + 1, Some(Instant::now()));
            }
            failures.count >= FAILURE_THRESHOLD
        };
        if is_open {
            self.open(QuayProblem::Unreachable {
                step: ConnectionStage::Http,
                reason: reason.into(),
            });
        }
        is_open
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_at_the_first_failure_of_a_server_that_never_answered() {
        let breaker = CircuitBreaker::default();
        assert!(breaker.record_failure("closed", Instant::now()));
        assert_eq!(
            breaker.problem(),
            Some(&QuayProblem::Unreachable {
                step: ConnectionStage::Http,
                reason: "closed".into()
            })
        );
        assert!(!breaker.has_succeeded());
    }

    #[test]
    fn opens_after_three_consecutive_failures() {
        let breaker = CircuitBreaker::default();
        breaker.record_success();
        assert!(breaker.has_succeeded());
        assert_eq!(
            [(); 3].map(|()| breaker.record_failure("closed", Instant::now())),
            [false, false, true]
        );

        let breaker = CircuitBreaker::default();
        for _ in 0..10 {
            breaker.record_success();
            assert!(!breaker.record_failure("closed", Instant::now()));
        }
        assert_eq!(breaker.problem(), None);
        breaker.record_success();
        let started = Instant::now();
        for _ in 0..20 {
            assert!(
                !breaker.record_failure("closed", started),
                "calls that were in flight together count once"
            );
        }
        assert_eq!(
            [(); 2].map(|()| breaker.record_failure("closed", Instant::now())),
            [false, true]
        );
    }
}
