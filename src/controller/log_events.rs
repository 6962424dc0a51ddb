//! Logs the events of the controller and the webhook.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::event::{ControllerEvent, ReconcileOutcome};
use super::webhook::WebhookEvent;
use crate::printable::printable;

/// A reconcile without changes is logged at debug level.
pub(crate) fn log(event: &ControllerEvent) {
    let message = printable(&event.to_string());
    match event {
        // The outage is logged once, not for each namespace.
        ControllerEvent::Reconciled {
            namespace,
            outcome: ReconcileOutcome::Unavailable(_) | ReconcileOutcome::NotStarted(_),
            ..
        } => {
            tracing::debug!(namespace, "{message}")
        }
        ControllerEvent::Reconciled {
            namespace,
            outcome: ReconcileOutcome::Failed(reason) | ReconcileOutcome::Blocked(reason),
            changes,
            ..
        } => {
            tracing::warn!(namespace, reason, changes = changes.len(), "{message}");
        }
        ControllerEvent::Reconciled { namespace, changes, took, .. } if !changes.is_empty() => {
            tracing::info!(
                namespace,
                changes = changes.len(),
                milliseconds = took.as_millis() as u64,
                "{message}"
            );
        }
        ControllerEvent::Reconciled { namespace, .. } => tracing::debug!(namespace, "{message}"),
        ControllerEvent::BuildNotPushed { namespace, build, .. } => {
            tracing::warn!(namespace, build, "{message}")
        }
        ControllerEvent::Imported { namespace, destination, outcome: Ok(digest), .. } => {
            tracing::info!(namespace, destination, digest, "{message}");
        }
        ControllerEvent::Imported { namespace, destination, outcome: Err(reason), .. } => {
            tracing::warn!(namespace, destination, reason, "{message}");
        }
        ControllerEvent::OrganizationOrphaned { namespace, organization, why, .. } => {
            tracing::warn!(namespace, organization, reason = why, "{message}");
        }
        ControllerEvent::Unread(_)
        | ControllerEvent::Warning(_)
        | ControllerEvent::ConditionsUnwritten { .. }
        | ControllerEvent::Integration { quay: Err(_) }
        | ControllerEvent::Quay { problem: Some(_) } => {
            tracing::warn!("{message}");
        }
        ControllerEvent::Synced { .. }
        | ControllerEvent::Integration { quay: Ok(_) }
        | ControllerEvent::Quay { problem: None }
        | ControllerEvent::Leading(_) => {
            tracing::info!("{message}");
        }
    }
}

/// Limits the log, since every pod of the cluster can send reviews; the others are counted.
const MAX_LOGGED_REVIEWS: u32 = 60;
const LOG_PERIOD: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct ReviewLog(Mutex<Period>);

#[derive(Default)]
struct Period {
    started: Option<Instant>,
    logged: u32,
    suppressed: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum LogDecision {
    /// Log it, with the number of reviews that were suppressed before.
    Log {
        suppressed: u64,
    },
    Suppress,
}

impl Period {
    fn decide(&mut self, now: Instant) -> LogDecision {
        let mut suppressed = 0;
        if self.started.is_none_or(|started| now.duration_since(started) >= LOG_PERIOD) {
            suppressed = std::mem::take(self).suppressed;
            self.started = Some(now);
        }
        if self.logged < MAX_LOGGED_REVIEWS {
            self.logged += 1;
            return LogDecision::Log { suppressed };
        }
        self.suppressed += 1;
        LogDecision::Suppress
    }
}

impl ReviewLog {
    /// Logs at most [`MAX_LOGGED_REVIEWS`] in each [`LOG_PERIOD`].
    pub(crate) fn log(&self, event: &WebhookEvent) {
        let decision = self.0.lock().decide(Instant::now());
        let LogDecision::Log { suppressed } = decision else { return };
        if suppressed > 0 {
            tracing::info!(suppressed, "suppressed reviews");
        }
        match event {
            WebhookEvent::Reviewed { namespace, name, outcome, warning, .. } => {
                let (outcome, warning) = (outcome.as_str(), warning.as_deref().unwrap_or_default());
                tracing::info!(namespace, build = name, outcome, warning, "reviewed build");
            }
            WebhookEvent::CertificateUnusable { reason } => {
                tracing::error!(reason, "invalid webhook certificate")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_limited_reviews_and_counts_the_others() {
        let (mut period, start) = (Period::default(), Instant::now());
        for _ in 0..MAX_LOGGED_REVIEWS {
            assert_eq!(period.decide(start), LogDecision::Log { suppressed: 0 });
        }
        for _ in 0..5 {
            assert_eq!(period.decide(start), LogDecision::Suppress);
        }
        assert_eq!(period.decide(start + LOG_PERIOD), LogDecision::Log { suppressed: 5 });
        assert_eq!(period.decide(start + LOG_PERIOD), LogDecision::Log { suppressed: 0 });
    }
}
