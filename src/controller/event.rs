//! What the bridge has to tell, as plain values: logs, metrics and Events are made of them elsewhere.

use std::fmt;
use std::time::Duration;

use crate::domain::change::Change;
use crate::domain::finding::Finding;
use crate::domain::snapshot::ReadError;

/// Takes every event, at once and without waiting for anything.
pub type EventSink<'a> = &'a (dyn Fn(&ControllerEvent) + Send + Sync);

/// Something that is worth telling.
#[derive(Clone, Debug)]
pub enum ControllerEvent {
    /// Everything there is in the cluster was read for the first time.
    Synced {
        /// Namespaces there are.
        namespaces: usize,
        /// Image streams there are.
        image_streams: usize,
    },
    /// Objects of the cluster could not be read, which is tried again.
    Unread(ReadError),
    /// The conditions of the QuayIntegration could not be written, which is tried again.
    ConditionsUnwritten {
        /// Why.
        why: String,
    },
    /// Something that somebody should know about the integration.
    Warning(String),
    /// Which Quay is meant was found out anew.
    Integration {
        /// The address of the Quay, or why there is nothing to do.
        quay: Result<String, String>,
    },
    /// Quay stopped answering, or accepting the token; or does again.
    Quay {
        /// Why nothing can be done in it.
        trouble: Option<String>,
    },
    /// The work on a namespace began to be this bridge's, or ceased to be.
    Leading(bool),
    /// An organization was to go with its namespace and stays, since the namespace does not wait.
    LeftBehind {
        /// The namespace.
        namespace: String,
        /// Its uid.
        uid: String,
        /// The organization; empty if nobody can say what it is called.
        organization: String,
        /// Why it stays.
        why: String,
    },
    /// A build began whose image will not be in Quay, although somebody may expect it there.
    BuildNotPushed {
        /// The build's namespace.
        namespace: String,
        /// Its uid.
        uid: String,
        /// The build.
        build: String,
        /// Why not.
        why: String,
    },
    /// What builds pushed to Quay was imported, or could not be.
    Imported {
        /// The builds' namespace.
        namespace: String,
        /// Its uid.
        uid: String,
        /// The builds.
        builds: Vec<String>,
        /// The image stream tag, `namespace/stream:tag`.
        destination: String,
        /// The image's digest, or why it is not there.
        outcome: Result<String, String>,
    },
    /// A namespace was looked at and, where there was something to do, worked on.
    Reconciled {
        /// The namespace.
        namespace: String,
        /// Its uid; empty if it is gone.
        uid: String,
        /// How it went.
        outcome: ReconcileOutcome,
        /// The changes that were tried, each with the reason why it was not made.
        changes: Vec<(Change, Option<String>)>,
        /// What was found, before the changes.
        findings: Vec<Finding>,
        /// How long it took.
        took: Duration,
    },
}

/// How the work on a namespace went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileOutcome {
    /// It is as it should be, or as far as it can be brought for now.
    Settled,
    /// It is not to be linked, or is gone.
    NotOurs,
    /// Something is still to come, such as its service accounts: it is looked at again after a while, or when it comes.
    Waiting(&'static str),
    /// It failed, for the first of possibly several reasons, and is tried again.
    Failed(String),
    /// It failed since Quay cannot be worked with, which is told by itself. It is tried again once it can.
    Unavailable(String),
    /// Its organization is not created while something about Quay or the token stands in the way, which is told by itself. It
    /// is looked at again like one that is blocked.
    Stopped(String),
    /// Only a person can do what is left, for the first of possibly several reasons. It is looked at again when something
    /// changes, and when everything is.
    Blocked(String),
}

impl ReconcileOutcome {
    /// Why the namespace is not as it should be, though it could be.
    pub(crate) fn problem(&self) -> Option<&str> {
        match self {
            ReconcileOutcome::Failed(reason)
            | ReconcileOutcome::Stopped(reason)
            | ReconcileOutcome::Blocked(reason) => Some(reason),
            ReconcileOutcome::Settled
            | ReconcileOutcome::NotOurs
            | ReconcileOutcome::Waiting(_)
            | ReconcileOutcome::Unavailable(_) => None,
        }
    }
}

impl fmt::Display for ControllerEvent {
    /// One line for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControllerEvent::Synced { namespaces, image_streams } => {
                write!(f, "following {namespaces} namespaces and {image_streams} image streams")
            }
            ControllerEvent::Warning(text) => f.write_str(text),
            ControllerEvent::Unread(unread) => write!(f, "{unread}"),
            ControllerEvent::ConditionsUnwritten { why } => {
                write!(f, "the QuayIntegration's conditions are not up to date: {why}")
            }
            ControllerEvent::Integration { quay: Ok(quay) } => write!(f, "working with {quay}"),
            ControllerEvent::Integration { quay: Err(why) } => {
                write!(f, "nothing is changed: {why}")
            }
            ControllerEvent::Quay { trouble: Some(trouble) } => {
                write!(f, "Quay cannot be worked with: {trouble}")
            }
            ControllerEvent::Quay { trouble: None } => f.write_str("Quay can be worked with again"),
            ControllerEvent::Leading(true) => f.write_str("at work"),
            ControllerEvent::Leading(false) => f.write_str("stopped working on namespaces"),
            ControllerEvent::LeftBehind { namespace, organization, why, .. } => {
                write!(f, "namespace {namespace} goes, organization {organization} stays: {why}")
            }
            ControllerEvent::BuildNotPushed { namespace, build, why, .. } => {
                write!(f, "build {build} in namespace {namespace}: {why}")
            }
            ControllerEvent::Imported { builds, destination, outcome: Ok(digest), .. } => {
                write!(f, "build {} is imported into {destination}: {digest}", builds.join(", "))
            }
            ControllerEvent::Imported { builds, destination, outcome: Err(reason), .. } => {
                write!(
                    f,
                    "could not import build {} into {destination}: {reason}",
                    builds.join(", ")
                )
            }
            ControllerEvent::Reconciled { namespace, outcome, changes, .. } => {
                write!(f, "namespace {namespace}: {outcome}")?;
                for (change, failed) in changes {
                    match failed {
                        None => write!(f, "\n  {}", change.summary())?,
                        Some(reason) => write!(f, "\n  could not {}: {reason}", change.summary())?,
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
            ReconcileOutcome::Settled => f.write_str("as it should be"),
            ReconcileOutcome::NotOurs => f.write_str("not to be linked"),
            ReconcileOutcome::Waiting(what) => write!(f, "waiting for {what}"),
            ReconcileOutcome::Failed(reason) | ReconcileOutcome::Unavailable(reason) => {
                write!(f, "failed: {reason}")
            }
            ReconcileOutcome::Stopped(reason) => write!(f, "not begun: {reason}"),
            ReconcileOutcome::Blocked(reason) => write!(f, "needs a person: {reason}"),
        }
    }
}
