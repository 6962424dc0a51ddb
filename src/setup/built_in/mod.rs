//! Our own bridge in the cluster: `oc quay run` as a Deployment, and everything it needs, as values.

mod rights;
mod workload;

use serde_json::{Value, json};

use crate::bridge::names::{BRIDGE, MANAGED_BY, MANAGED_BY_LABEL};

/// Where releases publish the image.
const REPOSITORY: &str = "quay.io/oc-quay/oc-quay";

/// The bridge as it is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its namespace.
    pub namespace: String,
    /// Its image.
    pub image: String,
}

impl BuiltIn {
    /// A bridge in the namespace and of the image that were named; else in the usual one, of this version's.
    pub fn new(namespace: Option<&str>, image: Option<&str>) -> Self {
        let image = image.map_or_else(|| format!("{REPOSITORY}:v{}", env!("CARGO_PKG_VERSION")), str::to_owned);
        Self { namespace: namespace.unwrap_or(BRIDGE).to_owned(), image }
    }

    /// All objects, in an order in which each finds what it refers to. The webhook is the last: until then nobody asks
    /// a bridge that is not there yet.
    pub fn manifests(&self) -> Vec<Value> {
        let mut objects = vec![self.own_namespace(), self.object("v1", "ServiceAccount", json!({}))];
        objects.extend(rights::manifests(self));
        objects.extend(workload::manifests(self));
        objects
    }

    fn own_namespace(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.namespace,
                "labels": { MANAGED_BY_LABEL: MANAGED_BY, "pod-security.kubernetes.io/enforce": "restricted" },
            },
        })
    }

    /// An object in the bridge's namespace; `content` is all but what names it.
    fn object(&self, api_version: &str, kind: &str, content: Value) -> Value {
        let mut object = cluster_object(api_version, kind, content);
        object["metadata"]["namespace"] = json!(self.namespace);
        object
    }
}

/// An object in no namespace.
fn cluster_object(api_version: &str, kind: &str, content: Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": BRIDGE, "labels": labels() },
    });
    if let (Value::Object(object), Value::Object(content)) = (&mut object, content) {
        object.extend(content);
    }
    object
}

fn labels() -> Value {
    json!({ MANAGED_BY_LABEL: MANAGED_BY, "app.kubernetes.io/name": BRIDGE })
}

#[cfg(test)]
mod tests;
