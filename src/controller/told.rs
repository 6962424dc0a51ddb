//! The log: a line for each thing that the bridge tells.

use super::telemetry::{Event, Verdict};
use super::webhook::Told;

/// Logs an event, with what it is about beside the sentence. A namespace in which nothing was to be done is no news.
pub(crate) fn log(event: &Event) {
    let message = event.to_string();
    match event {
        // One line tells of Quay, not one for each namespace.
        Event::Reconciled { namespace, verdict: Verdict::Hindered(_), .. } => tracing::debug!(namespace, "{message}"),
        Event::Reconciled { namespace, verdict: Verdict::Failed(reason) | Verdict::Blocked(reason), changes, .. } => {
            tracing::warn!(namespace, reason, changes = changes.len(), "{message}");
        }
        Event::Reconciled { namespace, changes, took, .. } if !changes.is_empty() => {
            tracing::info!(namespace, changes = changes.len(), milliseconds = took.as_millis() as u64, "{message}");
        }
        Event::Reconciled { namespace, .. } => tracing::debug!(namespace, "{message}"),
        Event::BuildNotPushed { namespace, build, .. } => tracing::warn!(namespace, build, "{message}"),
        Event::Imported { namespace, destination, outcome: Ok(digest), .. } => {
            tracing::info!(namespace, destination, digest, "{message}");
        }
        Event::Imported { namespace, destination, outcome: Err(reason), .. } => {
            tracing::warn!(namespace, destination, reason, "{message}");
        }
        Event::LeftBehind { namespace, organization, why, .. } => {
            tracing::warn!(namespace, organization, reason = why, "{message}");
        }
        Event::Unread(_)
        | Event::Warning(_)
        | Event::ConditionsUnwritten { .. }
        | Event::Integration { quay: Err(_) }
        | Event::Quay { trouble: Some(_) } => {
            tracing::warn!("{message}");
        }
        Event::Synced { .. } | Event::Integration { quay: Ok(_) } | Event::Quay { trouble: None } | Event::Leading(_) => {
            tracing::info!("{message}");
        }
    }
}

/// The same of the webhook.
pub(crate) fn log_review(told: &Told) {
    match told {
        Told::Reviewed { namespace, name, outcome, warning, .. } => {
            let (outcome, warning) = (outcome.as_str(), warning.as_deref().unwrap_or_default());
            tracing::info!(namespace, build = name, outcome, warning, "a build was reviewed");
        }
        Told::CertificateUnusable { reason } => tracing::error!(reason, "the webhook's certificate cannot be used"),
    }
}
