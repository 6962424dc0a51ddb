//! What the set-up and its teardown do, as values.

use serde_json::Value;

use crate::bridge::change::Verb;
use crate::bridge::finding::ObjectRef;
use crate::bridge::integration::SecretKey;
use crate::bridge::names::{FINALIZER, OPERATOR_FINALIZER};
use crate::bridge::snapshot::Namespace;
use crate::cluster::ObjectKind;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
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
        holder: Holder,
    },
    /// Writes nothing: somebody else is at work, and the step is done when they are.
    Wait(String),
    /// Writes nothing, and lasts until something has come or gone that the next changes need.
    Await(Awaited),
}

/// Who may hold a namespace with a finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The operator.
    Operator,
    /// Our own bridge.
    Bridge,
}

impl Holder {
    /// All of them.
    pub const ALL: [Holder; 2] = [Holder::Operator, Holder::Bridge];

    /// Its finalizer.
    pub fn finalizer(self) -> &'static str {
        match self {
            Holder::Operator => OPERATOR_FINALIZER,
            Holder::Bridge => FINALIZER,
        }
    }

    /// The namespaces that it holds.
    pub fn held(self, namespaces: &[(String, Namespace)]) -> impl Iterator<Item = Change> {
        let holds = move |namespace: &Namespace| namespace.finalizers.iter().any(|found| found == self.finalizer());
        let held = namespaces.iter().filter(move |(_, namespace)| holds(namespace));
        held.map(move |(name, _)| Change::ReleaseNamespace { name: name.clone(), holder: self })
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
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
    pub write: Write,
    /// One sentence, without a full stop.
    pub summary: String,
}

/// What happens to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// It is created.
    Create(Value),
    /// A merge patch, guarded by the object's version or uid.
    Merge(Value),
    /// It is deleted; if a version is given, only that one.
    Delete(Option<String>),
}

impl Change {
    /// The object that is changed.
    pub fn object(&self) -> ObjectRef {
        match self {
            Change::IssueToken(_) => ObjectRef::cluster("OAuthToken", ""),
            Change::Object(change) => {
                ObjectRef { kind: change.kind.as_str(), namespace: change.namespace.clone(), name: change.name.clone() }
            }
            Change::WriteSecret { key, .. } => ObjectRef::namespaced("Secret", &key.namespace, &key.name),
            Change::ReleaseNamespace { name, .. } => ObjectRef::cluster("Namespace", name),
            Change::Wait(_) | Change::Await(Awaited::OperatorGone) => ObjectRef::cluster("Operator", ""),
            Change::Await(Awaited::Bridge) => ObjectRef::cluster("Bridge", ""),
        }
    }

    /// What happens to [`Change::object`].
    pub fn verb(&self) -> Verb {
        match self {
            Change::IssueToken(_) | Change::WriteSecret { version: None, .. } => Verb::Create,
            Change::WriteSecret { .. } | Change::ReleaseNamespace { .. } | Change::Wait(_) | Change::Await(_) => Verb::Update,
            Change::Object(change) => match change.write {
                Write::Create(_) => Verb::Create,
                Write::Merge(_) => Verb::Update,
                Write::Delete(_) => Verb::Delete,
            },
        }
    }

    /// One sentence for a person, without a full stop.
    pub fn summary(&self) -> String {
        match self {
            Change::IssueToken(what) | Change::Wait(what) => what.clone(),
            Change::Object(change) => change.summary.clone(),
            Change::WriteSecret { key, version: None, what } => {
                format!("create secret {} in namespace {} with {what}", key.name, key.namespace)
            }
            Change::WriteSecret { key, what, .. } => {
                format!("put {what} into secret {} in namespace {}", key.name, key.namespace)
            }
            Change::Await(Awaited::Bridge) => "wait until the bridge runs".into(),
            Change::Await(Awaited::OperatorGone) => "wait until the operator is gone".into(),
            Change::ReleaseNamespace { name, holder: Holder::Operator } => {
                format!("remove the operator's finalizer from namespace {name}")
            }
            Change::ReleaseNamespace { name, holder: Holder::Bridge } => {
                format!("remove the bridge's finalizer from namespace {name}; its organization stays")
            }
        }
    }
}
