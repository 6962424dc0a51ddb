//! What the set-up and its teardown do, as values.

use serde_json::Value;

use crate::cluster::ObjectKind;
use crate::domain::change::Verb;
use crate::domain::finding::ObjectRef;
use crate::domain::integration::SecretKey;
use crate::domain::names::{FINALIZER, OPERATOR_FINALIZER};
use crate::domain::snapshot::Namespace;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum SetupChange {
    /// Has Quay issue a token.
    IssueToken(String),
    /// Writes an object of the cluster that holds no secret.
    Object(ObjectChange),
    /// Puts the token into its Secret, with Quay's certificate authority beside it. What it holds is known only when it is
    /// written.
    WriteSecret {
        /// Where.
        key: SecretKey,
        /// The version of the Secret that is there; none if there is none.
        version: Option<String>,
        /// What is put there: the token, the certificate authority, or both.
        what: &'static str,
    },
    /// Takes a finalizer off a namespace, and no other.
    ReleaseNamespace {
        /// The namespace.
        name: String,
        /// Whose finalizer it is.
        holder: FinalizerOwner,
    },
    /// Writes nothing: somebody else is at work, and the step is done when they are.
    Wait(String),
    /// Writes nothing, and lasts until something has come or gone that the next changes need.
    Await(WaitCondition),
}

/// Who may hold a namespace with a finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalizerOwner {
    /// The operator.
    Operator,
    /// Our own bridge.
    Bridge,
}

impl FinalizerOwner {
    /// All of them.
    pub const ALL: [FinalizerOwner; 2] = [FinalizerOwner::Operator, FinalizerOwner::Bridge];

    /// Its finalizer.
    pub fn finalizer(self) -> &'static str {
        match self {
            FinalizerOwner::Operator => OPERATOR_FINALIZER,
            FinalizerOwner::Bridge => FINALIZER,
        }
    }

    /// The namespaces that it holds.
    pub fn held(self, namespaces: &[(String, Namespace)]) -> impl Iterator<Item = SetupChange> {
        let holds = move |namespace: &Namespace| {
            namespace.finalizers.iter().any(|found| found == self.finalizer())
        };
        let held = namespaces.iter().filter(move |(_, namespace)| holds(namespace));
        held.map(move |(name, _)| SetupChange::ReleaseNamespace {
            name: name.clone(),
            holder: self,
        })
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCondition {
    /// The built-in bridge runs.
    Bridge,
    /// The operator does not run any more.
    OperatorGone,
}

/// A write to an object of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectChange {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace, for an object in one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// What happens to it.
    pub write: ObjectWrite,
    /// One sentence, without a full stop.
    pub summary: String,
}

/// What happens to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum ObjectWrite {
    /// It is created.
    Create(Value),
    /// A merge patch, guarded by the object's version or uid.
    Merge(Value),
    /// It is deleted; if a version is given, only that one.
    Delete(Option<String>),
}

impl SetupChange {
    /// The object that is changed.
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
            SetupChange::Await(WaitCondition::Bridge) => ObjectRef::cluster("Bridge", ""),
        }
    }

    /// What happens to [`SetupChange::object`].
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

    /// One sentence for a person, without a full stop.
    pub fn summary(&self) -> String {
        match self {
            SetupChange::IssueToken(what) | SetupChange::Wait(what) => what.clone(),
            SetupChange::Object(change) => change.summary.clone(),
            SetupChange::WriteSecret { key, version: None, what } => {
                format!("create secret {} in namespace {} with {what}", key.name, key.namespace)
            }
            SetupChange::WriteSecret { key, what, .. } => {
                format!("put {what} into secret {} in namespace {}", key.name, key.namespace)
            }
            SetupChange::Await(WaitCondition::Bridge) => "wait until the bridge runs".into(),
            SetupChange::Await(WaitCondition::OperatorGone) => {
                "wait until the operator is gone".into()
            }
            SetupChange::ReleaseNamespace { name, holder: FinalizerOwner::Operator } => {
                format!("remove the operator's finalizer from namespace {name}")
            }
            SetupChange::ReleaseNamespace { name, holder: FinalizerOwner::Bridge } => {
                format!(
                    "remove the bridge's finalizer from namespace {name}; its organization stays"
                )
            }
        }
    }
}
