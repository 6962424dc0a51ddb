//! The objects of a new cluster.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::kinds::{self, Kind};
use super::store::Store;
use super::{
    INTERNAL_REGISTRY, accepted, controllers, definitions, known, meta, namespaces, olm, verbs,
};

/// The namespaces that exist from the start.
const NAMESPACES: [&str; 6] = [
    "default",
    "kube-system",
    "openshift",
    "openshift-config",
    "openshift-marketplace",
    "openshift-operators",
];

/// Fills an empty store.
pub(crate) fn furnish(store: &mut Store, cluster: &Cluster) {
    for name in NAMESPACES {
        let object = json!({"metadata": {"name": name}});
        let target = verbs::Target {
            kind: kinds::NAMESPACE,
            namespace: "",
            name: "",
            is_status: false,
            dry_run: false,
        };
        accepted(verbs::create(store, cluster, &target, object));
        namespaces::reconcile(store, cluster, name);
    }
    let mut objects =
        vec![cluster_version(cluster), image_configuration(cluster), infrastructure()];
    objects.push(cluster_admin());
    if cluster.serves(kinds::QUAY_INTEGRATION.group) && !cluster.operator {
        objects.push(definitions::quay_integrations());
    }
    if cluster.olm.has_v0() {
        objects.extend(olm::v0_fixtures());
    }
    if cluster.olm.has_v1() {
        objects.extend(olm::v1_fixtures());
    }
    if cluster.operator {
        objects.extend(if cluster.olm.has_v0() {
            vec![olm::subscription()]
        } else {
            olm::extension()
        });
    }
    for object in objects {
        put(store, object);
    }
    controllers::settle(store, cluster);
}

/// Stores an object just as it is, with the metadata that only a server hands out.
pub(crate) fn put(store: &mut Store, mut object: Value) {
    let kind: &'static Kind = known(Kind::find(&object), &object["kind"]);
    let metadata = &mut object["metadata"];
    for (field, value) in [("uid", meta::uid()), ("creationTimestamp", meta::now())] {
        if metadata[field].is_null() {
            metadata[field] = json!(value);
        }
    }
    store.write(kind, object);
}

fn cluster_version(cluster: &Cluster) -> Value {
    let capabilities = cluster.capabilities();
    let known: Vec<&str> = capabilities.iter().map(|(name, _)| *name).collect();
    let enabled: Vec<&str> =
        capabilities.iter().filter(|(_, enabled)| *enabled).map(|(name, _)| *name).collect();
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "ClusterVersion",
        "metadata": {"name": "version"},
        "spec": {"channel": "stable-4.21", "clusterID": meta::uid()},
        "status": {
            "desired": {"version": "4.21.0"},
            "history": [{"state": "Completed", "version": "4.21.0"}],
            "capabilities": {"enabledCapabilities": enabled, "knownCapabilities": known},
        },
    })
}

fn image_configuration(cluster: &Cluster) -> Value {
    let status = match cluster.internal_registry {
        true => json!({"internalRegistryHostname": INTERNAL_REGISTRY}),
        false => json!({}),
    };
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "Image",
        "metadata": {"name": "cluster"},
        "spec": {},
        "status": status,
    })
}

/// The `Infrastructure` of a cluster on no cloud.
pub fn infrastructure() -> Value {
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "Infrastructure",
        "metadata": {"name": "cluster"},
        "spec": {"platformSpec": {"type": "None"}},
        "status": {
            "apiServerURL": "https://api.sandbox.example.com:6443",
            "controlPlaneTopology": "HighlyAvailable",
            "infrastructureName": "sandbox-x7k2p",
            "infrastructureTopology": "HighlyAvailable",
            "platform": "None",
            "platformStatus": {"type": "None"},
        },
    })
}

fn cluster_admin() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "cluster-admin"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    })
}
