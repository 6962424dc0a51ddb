//! Our own bridge in the cluster: `oc quay run` as a Deployment, and everything it needs, as values.

mod deployment;
mod discover;
mod rbac;

pub use discover::InstalledController;

use serde_json::{Value, json};

use crate::cluster::ObjectKind;
use crate::domain::names::{CONTROLLER_NAME, MANAGED_BY, MANAGED_BY_LABEL};

/// Where releases publish the image.
const REPOSITORY: &str = "quay.io/oc-quay/oc-quay";

/// The bridge as it is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerManifests {
    /// Its namespace.
    pub namespace: String,
    /// Its image.
    pub image: String,
}

impl ControllerManifests {
    /// A bridge in the namespace and of the image that were named; else in one of its own, of this version's.
    pub fn new(namespace: Option<&str>, image: Option<&str>) -> Self {
        let image = image
            .map_or_else(|| format!("{REPOSITORY}:v{}", env!("CARGO_PKG_VERSION")), str::to_owned);
        Self { namespace: namespace.unwrap_or(CONTROLLER_NAME).to_owned(), image }
    }

    /// All objects, in an order in which each finds what it refers to. The binding comes before all that is in the
    /// namespace it names: by it the rest is found again, also where somebody was interrupted. The webhook is the last: until
    /// then nobody asks a bridge that is not there yet.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = Vec::from(rbac::in_cluster(self));
        objects.extend(self.has_own_namespace().then(own_namespace));
        objects.push(self.object(ObjectKind::ServiceAccount, json!({})));
        objects.extend(rbac::in_namespace(self));
        objects.extend(deployment::objects(self));
        objects
    }

    /// The same as they are applied.
    pub fn manifests(&self) -> impl Iterator<Item = Value> {
        self.objects().into_iter().map(|object| object.value)
    }

    /// Whether its namespace is nobody else's. One that was named is not touched itself: others may live there.
    pub fn has_own_namespace(&self) -> bool {
        self.namespace == CONTROLLER_NAME
    }

    /// An object in the bridge's namespace; `content` is all but what names it.
    fn object(&self, kind: ObjectKind, content: Value) -> Object {
        let mut object = cluster_object(kind, content);
        object.value["metadata"]["namespace"] = json!(self.namespace);
        object
    }
}

/// An object of the bridge.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// All of it.
    pub value: Value,
}

impl Object {
    /// Its name.
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Its API group; empty for the core.
    pub fn group(&self) -> &str {
        self.value["apiVersion"]
            .as_str()
            .and_then(|version| version.split_once('/'))
            .map_or("", |(group, _)| group)
    }

    /// Its namespace, for an object in one.
    pub fn namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str()
    }
}

fn own_namespace() -> Object {
    let mut namespace = cluster_object(ObjectKind::Namespace, json!({}));
    namespace.value["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] =
        json!("restricted");
    namespace
}

/// An object in no namespace.
fn cluster_object(kind: ObjectKind, content: Value) -> Object {
    let mut value = json!({
        "apiVersion": kind.api_version(),
        "kind": kind.as_str(),
        "metadata": { "name": CONTROLLER_NAME, "labels": labels() },
    });
    if let (Value::Object(value), Value::Object(content)) = (&mut value, content) {
        value.extend(content);
    }
    Object { kind, value }
}

fn labels() -> Value {
    json!({ MANAGED_BY_LABEL: MANAGED_BY, "app.kubernetes.io/name": CONTROLLER_NAME })
}

#[cfg(test)]
mod tests;
