//! The log: a line for each thing that the bridge tells.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::event::{ControllerEvent, ReconcileOutcome};
use super::webhook::WebhookEvent;
use crate::ui::printable;

/// Logs an event, with what it is about beside the sentence. A namespace in which nothing was to be done is no news.
pub(crate) fn log(event: &ControllerEvent) {
    let message = printable(&event.to_string());
    match event {
        // One line tells of Quay, not one for each namespace.
        ControllerEvent::Reconciled {
            namespace,
            outcome: ReconcileOutcome::Unavailable(_) | ReconcileOutcome::Stopped(_),
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
        ControllerEvent::LeftBehind { namespace, organization, why, .. } => {
            tracing::warn!(namespace, organization, reason = why, "{message}");
        }
        ControllerEvent::Unread(_)
        | ControllerEvent::Warning(_)
        | ControllerEvent::ConditionsUnwritten { .. }
        | ControllerEvent::Integration { quay: Err(_) }
        | ControllerEvent::Quay { trouble: Some(_) } => {
            tracing::warn!("{message}");
        }
        ControllerEvent::Synced { .. }
        | ControllerEvent::Integration { quay: Ok(_) }
        | ControllerEvent::Quay { trouble: None }
        | ControllerEvent::Leading(_) => {
            tracing::info!("{message}");
        }
    }
}

/// So many reviews are logged in each such time; the rest are counted. Every pod of the cluster can send some.
const MAX_LOGGED_REVIEWS: u32 = 60;
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// What is logged of the webhook.
#[derive(Default)]
pub(crate) struct ReviewLog(Mutex<Period>);

#[derive(Default)]
struct Period {
    began: Option<Instant>,
    logged: u32,
    left_out: u64,
}

/// Whether to log something.
#[derive(Debug, PartialEq, Eq)]
enum LogShare {
    /// Yes, after so many that were left out.
    Log {
        left_out: u64,
    },
    LeaveOut,
}

impl Period {
    fn share(&mut self, now: Instant) -> LogShare {
        let mut left_out = 0;
        if self.began.is_none_or(|began| now.duration_since(began) >= LOG_PERIOD) {
            left_out = std::mem::take(self).left_out;
            self.began = Some(now);
        }
        if self.logged < MAX_LOGGED_REVIEWS {
            self.logged += 1;
            return LogShare::Log { left_out };
        }
        self.left_out += 1;
        LogShare::LeaveOut
    }
}

impl ReviewLog {
    /// Logs what the webhook tells, or a sample of it where that is much.
    pub(crate) fn log(&self, told: &WebhookEvent) {
        let share = self.0.lock().unwrap_or_else(PoisonError::into_inner).share(Instant::now());
        let LogShare::Log { left_out } = share else { return };
        if left_out > 0 {
            tracing::info!(left_out, "more reviews than are logged one by one");
        }
        match told {
            WebhookEvent::Reviewed { namespace, name, outcome, warning, .. } => {
                let (outcome, warning) = (outcome.as_str(), warning.as_deref().unwrap_or_default());
                tracing::info!(namespace, build = name, outcome, warning, "a build was reviewed");
            }
            WebhookEvent::CertificateUnusable { reason } => {
                tracing::error!(reason, "the webhook's certificate cannot be used")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_a_sample_of_many_reviews_and_counts_the_rest() {
        let (mut period, start) = (Period::default(), Instant::now());
        for _ in 0..MAX_LOGGED_REVIEWS {
            assert_eq!(period.share(start), LogShare::Log { left_out: 0 });
        }
        for _ in 0..5 {
            assert_eq!(period.share(start), LogShare::LeaveOut);
        }
        assert_eq!(period.share(start + LOG_PERIOD), LogShare::Log { left_out: 5 });
        assert_eq!(period.share(start + LOG_PERIOD), LogShare::Log { left_out: 0 });
    }
}
