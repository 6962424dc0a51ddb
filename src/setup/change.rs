//! Changes of setup and teardown, as values.

use serde_json::Value;

use crate::cluster::ObjectKind;
use crate::domain::change::Verb;
use crate::domain::finding::ObjectRef;
use crate::domain::integration::SecretKey;
use crate::domain::names::{FINALIZER, OPERATOR_FINALIZER};
use crate::domain::snapshot::Namespace;

#[derive(Clone, Debug, PartialEq)]
pub enum SetupChange {
    IssueToken(String),
    /// Writes an object that contains no credentials.
    Object(ObjectChange),
    /// Writes the token and Quay's certificate authority to the Secret. Its content is determined
    /// when it is written.
    WriteSecret {
        key: SecretKey,
        /// `resourceVersion` of the existing Secret.
        version: Option<String>,
        /// For the summary: the token, the certificate authority, or both.
        what: &'static str,
    },
    /// Removes one finalizer from a namespace.
    ReleaseNamespace {
        name: String,
        owner: FinalizerOwner,
    },
    /// Writes nothing: the step is done when another controller has finished.
    Wait(String),
    /// Writes nothing: blocks the changes after it until a condition holds.
    Await(WaitCondition),
}

/// The controllers that add finalizers to namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalizerOwner {
    Operator,
    /// Ours, in the cluster.
    Controller,
}

impl FinalizerOwner {
    pub const ALL: [FinalizerOwner; 2] = [FinalizerOwner::Operator, FinalizerOwner::Controller];

    pub fn finalizer(self) -> &'static str {
        match self {
            FinalizerOwner::Operator => OPERATOR_FINALIZER,
            FinalizerOwner::Controller => FINALIZER,
        }
    }

    /// Changes that remove this finalizer from all namespaces that have it.
    pub fn releases(self, namespaces: &[(String, Namespace)]) -> impl Iterator<Item = SetupChange> {
        let holds = move |namespace: &Namespace| {
            namespace.finalizers.iter().any(|found| found == self.finalizer())
        };
        let held = namespaces.iter().filter(move |(_, namespace)| holds(namespace));
        held.map(move |(name, _)| SetupChange::ReleaseNamespace { name: name.clone(), owner: self })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCondition {
    /// All pods of the in-cluster controller are ready.
    Controller,
    /// The operator has stopped.
    OperatorGone,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ObjectChange {
    pub kind: ObjectKind,
    pub namespace: Option<String>,
    pub name: String,
    pub write: ObjectWrite,
    /// A sentence without a full stop.
    pub summary: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ObjectWrite {
    Create(Value),
    /// A merge patch with the expected `resourceVersion` or `uid`.
    Merge(Value),
    /// Deletes only the given `resourceVersion`, if there is one.
    Delete(Option<String>),
}

impl SetupChange {
    pub fn object(&self) -> ObjectRef {
        match self {
            SetupChange::IssueToken(_) => ObjectRef::cluster("OAuthToken", ""),
            SetupChange::Object(change) => ObjectRef {
                kind: change.kind.as_str(),
                namespace: change.namespace.clone(),
                name: change.name.clone(),
            },
            SetupChange::WriteSecret { key, .. } => {
                ObjectRef::namespaced("Secret", &key.namespace, &key.name)
            }
            SetupChange::ReleaseNamespace { name, .. } => ObjectRef::cluster("Namespace", name),
            SetupChange::Wait(_) | SetupChange::Await(WaitCondition::OperatorGone) => {
                ObjectRef::cluster("Operator", "")
            }
            SetupChange::Await(WaitCondition::Controller) => ObjectRef::cluster("Controller", ""),
        }
    }

    pub fn verb(&self) -> Verb {
        match self {
            SetupChange::IssueToken(_) | SetupChange::WriteSecret { version: None, .. } => {
                Verb::Create
            }
            SetupChange::WriteSecret { .. }
            | SetupChange::ReleaseNamespace { .. }
            | SetupChange::Wait(_)
            | SetupChange::Await(_) => Verb::Update,
            SetupChange::Object(change) => match change.write {
                ObjectWrite::Create(_) => Verb::Create,
                ObjectWrite::Merge(_) => Verb::Update,
                ObjectWrite::Delete(_) => Verb::Delete,
            },
        }
    }

    /// A sentence without a full stop.
    pub fn summary(&self) -> String {
        match self {
            SetupChange::IssueToken(what) | SetupChange::Wait(what) => what.clone(),
            SetupChange::Object(change) => change.summary.clone(),
            SetupChange::WriteSecret { key, version: None, what } => {
                format!("create secret {} in namespace {} with {what}", key.name, key.namespace)
            }
            SetupChange::WriteSecret { key, what, .. } => {
                format!("write {what} to secret {} in namespace {}", key.name, key.namespace)
            }
            SetupChange::Await(WaitCondition::Controller) => {
                "wait until the controller is running".into()
            }
            SetupChange::Await(WaitCondition::OperatorGone) => {
                "wait until the operator has stopped".into()
            }
            SetupChange::ReleaseNamespace { name, owner: FinalizerOwner::Operator } => {
                format!("remove the operator's finalizer from namespace {name}")
            }
            SetupChange::ReleaseNamespace { name, owner: FinalizerOwner::Controller } => {
                format!(
                    "remove the controller's finalizer from namespace {name}; its organization is kept"
                )
            }
        }
    }
}
