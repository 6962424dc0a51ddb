//! Events of the controller, as plain values for logs, metrics and Kubernetes Events.

use std::fmt;
use std::time::Duration;

use crate::domain::change::Change;
use crate::domain::finding::Finding;
use crate::domain::snapshot::ReadError;

/// Receives every event; must not block.
pub type EventSink<'a> = &'a (dyn Fn(&ControllerEvent) + Send + Sync);

/// A result, problem or change of state.
#[derive(Clone, Debug)]
pub enum ControllerEvent {
    /// All resources were listed for the first time.
    Synced {
        /// Number of namespaces.
        namespaces: usize,
        /// Number of image streams.
        image_streams: usize,
    },
    /// A read of the cluster failed and is retried.
    Unread(ReadError),
    /// Writing the conditions failed and is retried.
    ConditionsUnwritten {
        /// The error.
        why: String,
    },
    /// A warning about the integration.
    Warning(String),
    /// The integration was read.
    Integration {
        /// The URL of Quay, or the reason why none is usable.
        quay: Result<String, String>,
    },
    /// An outage of Quay began or ended.
    Quay {
        /// The cause of the outage; `None` at its end.
        problem: Option<String>,
    },
    /// The replica became active or passive.
    Leading(bool),
    /// An organization was to be deleted with its namespace, and was kept: the namespace does not
    /// wait.
    OrganizationOrphaned {
        /// The namespace.
        namespace: String,
        /// Its UID.
        uid: String,
        /// The organization; empty if unknown.
        organization: String,
        /// The reason.
        why: String,
    },
    /// A new build does not push to Quay, although its image might be expected there.
    BuildNotPushed {
        /// The build's namespace.
        namespace: String,
        /// Its UID.
        uid: String,
        /// The build.
        build: String,
        /// The reason.
        why: String,
    },
    /// The import of pushed images was tried.
    Imported {
        /// The builds' namespace.
        namespace: String,
        /// Its UID.
        uid: String,
        /// The builds.
        builds: Vec<String>,
        /// The image stream tag, `namespace/stream:tag`.
        destination: String,
        /// The image's digest, or the error.
        outcome: Result<String, String>,
    },
    /// A namespace was reconciled.
    Reconciled {
        /// The namespace.
        namespace: String,
        /// Its UID; empty if it does not exist.
        uid: String,
        /// The outcome.
        outcome: ReconcileOutcome,
        /// The attempted changes, each with its error.
        changes: Vec<(Change, Option<String>)>,
        /// The findings before the changes.
        findings: Vec<Finding>,
        /// Duration.
        took: Duration,
    },
}

/// Outcome of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileOutcome {
    /// In its desired state, as far as reachable for now.
    UpToDate,
    /// Out of scope, or missing.
    Skipped,
    /// A prerequisite, such as its service accounts, does not exist yet.
    Waiting(&'static str),
    /// The first failure; retried.
    Failed(String),
    /// Quay is unavailable, which [`ControllerEvent::Quay`] reports. Retried after the outage.
    Unavailable(String),
    /// A problem of Quay or the token, reported separately, prevents creating organizations.
    NotStarted(String),
    /// The first problem that requires manual action.
    Blocked(String),
}

impl ReconcileOutcome {
    /// Why the namespace is not in its desired state, unless Quay is unavailable.
    pub(crate) fn problem(&self) -> Option<&str> {
        match self {
            ReconcileOutcome::Failed(reason)
            | ReconcileOutcome::NotStarted(reason)
            | ReconcileOutcome::Blocked(reason) => Some(reason),
            ReconcileOutcome::UpToDate
            | ReconcileOutcome::Skipped
            | ReconcileOutcome::Waiting(_)
            | ReconcileOutcome::Unavailable(_) => None,
        }
    }
}

impl fmt::Display for ControllerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControllerEvent::Synced { namespaces, image_streams } => {
                write!(f, "following {namespaces} namespaces and {image_streams} image streams")
            }
            ControllerEvent::Warning(text) => f.write_str(text),
            ControllerEvent::Unread(unread) => write!(f, "{unread}"),
            ControllerEvent::ConditionsUnwritten { why } => {
                write!(f, "failed to write conditions of the QuayIntegration: {why}")
            }
            ControllerEvent::Integration { quay: Ok(quay) } => write!(f, "connected to {quay}"),
            ControllerEvent::Integration { quay: Err(why) } => {
                write!(f, "reconciliation paused: {why}")
            }
            ControllerEvent::Quay { problem: Some(problem) } => {
                write!(f, "Quay unavailable: {problem}")
            }
            ControllerEvent::Quay { problem: None } => f.write_str("Quay available again"),
            ControllerEvent::Leading(true) => f.write_str("became leader"),
            ControllerEvent::Leading(false) => f.write_str("lost leadership"),
            ControllerEvent::OrganizationOrphaned { namespace, organization, why, .. } => {
                write!(
                    f,
                    "organization {organization} kept after deletion of namespace {namespace}: {why}"
                )
            }
            ControllerEvent::BuildNotPushed { namespace, build, why, .. } => {
                write!(f, "build {build} in namespace {namespace}: {why}")
            }
            ControllerEvent::Imported { builds, destination, outcome: Ok(digest), .. } => {
                write!(f, "imported build {} into {destination}: {digest}", builds.join(", "))
            }
            ControllerEvent::Imported { builds, destination, outcome: Err(reason), .. } => {
                write!(
                    f,
                    "failed to import build {} into {destination}: {reason}",
                    builds.join(", ")
                )
            }
            ControllerEvent::Reconciled { namespace, outcome, changes, .. } => {
                write!(f, "namespace {namespace}: {outcome}")?;
                for (change, failed) in changes {
                    match failed {
                        None => write!(f, "\n  {}", change.summary())?,
                        Some(reason) => write!(f, "\n  not done: {}: {reason}", change.summary())?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for ReconcileOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReconcileOutcome::UpToDate => f.write_str("up to date"),
            ReconcileOutcome::Skipped => f.write_str("skipped"),
            ReconcileOutcome::Waiting(what) => write!(f, "waiting for {what}"),
            ReconcileOutcome::Failed(reason) | ReconcileOutcome::Unavailable(reason) => {
                write!(f, "failed: {reason}")
            }
            ReconcileOutcome::NotStarted(reason) => write!(f, "not started: {reason}"),
            ReconcileOutcome::Blocked(reason) => write!(f, "requires manual action: {reason}"),
        }
    }
}
