//! Objects that a set-up cluster has, as the API takes them.

use serde_json::{Value, json};

use crate::openshift::olm::DEPLOYMENT;

/// The Secret with the token that [`quay_integration`] names.
pub fn credentials(token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "quay-integration", "namespace": "openshift-operators" },
        "type": "Opaque",
        "stringData": { "token": token },
    })
}

/// A Deployment of the operator's name, created by hand.
pub fn operator_deployment(namespace: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": DEPLOYMENT, "namespace": namespace },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "operator" } },
            "template": {
                "metadata": { "labels": { "app": "operator" } },
                "spec": { "containers": [{ "name": "manager", "image": "operator" }] },
            },
        },
    })
}

/// A QuayIntegration as the documentation has it: cluster ID `openshift`, credentials as in [`credentials`].
pub fn quay_integration(url: &str) -> Value {
    json!({
        "apiVersion": "quay.redhat.com/v1",
        "kind": "QuayIntegration",
        "metadata": { "name": "quay" },
        "spec": {
            "clusterID": "openshift",
            "quayHostname": url,
            "credentialsSecret": { "namespace": "openshift-operators", "name": "quay-integration", "key": "token" },
        },
    })
}

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// An image stream without tags, as one that builds push to.
pub fn image_stream(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "image.openshift.io/v1",
        "kind": "ImageStream",
        "metadata": { "name": name, "namespace": namespace },
    })
}
