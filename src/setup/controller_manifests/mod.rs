//! Manifests of the in-cluster controller: `oc quay run` as a Deployment, and the objects it needs.

mod deployment;
mod discover;
mod rbac;

pub use discover::InstalledController;

use serde_json::{Value, json};

use crate::cluster::ObjectKind;
use crate::domain::names::{CONTROLLER_NAME, MANAGED_BY, MANAGED_BY_LABEL};

/// Image repository of the releases.
const REPOSITORY: &str = "quay.io/oc-quay/oc-quay";

/// Parameters of the manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerManifests {
    pub namespace: String,
    pub image: String,
}

impl ControllerManifests {
    /// Defaults are its own namespace and the image of this version.
    pub fn new(namespace: Option<&str>, image: Option<&str>) -> Self {
        let image = image
            .map_or_else(|| format!("{REPOSITORY}:v{}", env!("CARGO_PKG_VERSION")), str::to_owned);
        Self { namespace: namespace.unwrap_or(CONTROLLER_NAME).to_owned(), image }
    }

    /// All objects, dependencies first. The ClusterRoleBinding comes before the objects of the
    /// namespace, because an interrupted run is found through it. The webhook is last, when its
    /// server exists.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = Vec::from(rbac::in_cluster(self));
        objects.extend(self.has_own_namespace().then(own_namespace));
        objects.push(self.object(ObjectKind::ServiceAccount, json!({})));
        objects.extend(rbac::in_namespace(self));
        objects.extend(deployment::objects(self));
        objects
    }

    pub fn manifests(&self) -> impl Iterator<Item = Value> {
        self.objects().into_iter().map(|object| object.value)
    }

    /// Whether the namespace is created. A given one may hold other workloads and is not changed.
    pub fn has_own_namespace(&self) -> bool {
        self.namespace == CONTROLLER_NAME
    }

    /// An object in the controller's namespace; `content` is everything but its metadata.
    fn object(&self, kind: ObjectKind, content: Value) -> Object {
        let mut object = cluster_object(kind, content);
        object.value["metadata"]["namespace"] = json!(self.namespace);
        object
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub kind: ObjectKind,
    pub value: Value,
}

impl Object {
    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Empty for the core group.
    pub fn group(&self) -> &str {
        self.value["apiVersion"]
            .as_str()
            .and_then(|version| version.split_once('/'))
            .map_or("", |(group, _)| group)
    }

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

/// A cluster-scoped object.
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
