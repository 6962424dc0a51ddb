//! The operator as its bundle has it (quay/quay-bridge-operator 78a6944a,
//! `bundle/downstream/manifests/quay-bridge-operator.clusterserviceversion.yaml`): versions, and the objects it consists of.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::{definitions, meta};
use super::view::{View, owned_by};
use super::{Trouble, Write};
use crate::tls::Authority;

/// The package's name in the catalogs.
pub const PACKAGE: &str = "quay-bridge-operator";

/// The controller's Deployment.
const OUR_DEPLOYMENT: &str = "oc-quay";

/// The operator's Deployment, and its service account. (`make deploy` of the operator's sources names it
/// `quay-bridge-operator-controller-manager`; both bundles call it so.)
pub const DEPLOYMENT: &str = "quay-bridge-operator";

/// The default channel.
pub const DEFAULT_CHANNEL: &str = "stable-3.18";

/// The channels, each with the newest version in it.
pub(super) const CHANNELS: [(&str, &str); 4] = [
    ("stable-3.15", "3.15.3"),
    ("stable-3.16", "3.16.2"),
    ("stable-3.17", "3.17.1"),
    (DEFAULT_CHANNEL, "3.18.0"),
];

/// The name of the ClusterServiceVersion, and of the bundle, that a channel offers.
pub fn csv_name(channel: &str) -> Option<String> {
    let (_, version) = CHANNELS.into_iter().find(|(name, _)| *name == channel)?;
    Some(format!("{PACKAGE}.v{version}"))
}

/// `3.18.0` of `quay-bridge-operator.v3.18.0`.
pub(super) fn version(csv_name: &str) -> &str {
    csv_name.rsplit_once(".v").map_or("", |(_, version)| version)
}

/// The install modes of the operator: all namespaces, and no other.
pub(super) fn install_modes() -> Value {
    let mode = |kind: &str| json!({ "type": kind, "supported": kind == "AllNamespaces" });
    json!(["OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"].map(mode))
}

/// The ClusterServiceVersion as an InstallPlan creates it.
pub(super) fn cluster_service_version(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": { "capabilities": "Full Lifecycle", "operatorframework.io/suggested-namespace": "openshift-operators" },
            "labels": { format!("operators.coreos.com/{PACKAGE}.{namespace}"): "" },
        },
        "spec": {
            "displayName": "Quay Bridge Operator",
            "version": version(name),
            "provider": { "name": "Red Hat" },
            "installModes": install_modes(),
            "install": { "strategy": "deployment", "spec": { "deployments": [{ "name": DEPLOYMENT, "spec": deployment_spec() }] } },
            "customresourcedefinitions": {
                "owned": [{ "kind": "QuayIntegration", "name": definitions::QUAY_INTEGRATIONS, "version": "v1" }],
            },
            "webhookdefinitions": [{
                "type": "MutatingAdmissionWebhook",
                "generateName": WEBHOOK,
                "deploymentName": DEPLOYMENT,
                "webhookPath": WEBHOOK_PATH,
                "admissionReviewVersions": ["v1"],
                "containerPort": 443,
                "targetPort": 9443,
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "rules": webhook_rules(),
            }],
        },
    })
}

const WEBHOOK: &str = "quayintegration.quay.redhat.com";
const WEBHOOK_PATH: &str = "/admissionwebhook";

fn webhook_rules() -> Value {
    json!([{
        "apiGroups": ["build.openshift.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["builds"],
    }])
}

fn deployment_spec() -> Value {
    json!({
        "replicas": 1,
        "selector": { "matchLabels": { "name": DEPLOYMENT } },
        "template": {
            "metadata": { "labels": { "name": DEPLOYMENT } },
            "spec": {
                "serviceAccountName": DEPLOYMENT,
                "containers": [{
                    "name": "manager",
                    "image": "registry.redhat.io/quay/quay-bridge-operator-rhel8",
                    "command": ["/manager"],
                }],
            },
        },
    })
}

/// The labels by which OLM knows again what a ClusterServiceVersion brought.
fn labels(owner: &Value) -> Value {
    match owner["kind"] == "ClusterExtension" {
        true => json!({
            "olm.operatorframework.io/owner-kind": "ClusterExtension",
            "olm.operatorframework.io/owner-name": owner["metadata"]["name"],
        }),
        false => json!({
            "olm.owner": owner["metadata"]["name"],
            "olm.owner.kind": owner["kind"],
            "olm.owner.namespace": owner["metadata"]["namespace"],
        }),
    }
}

/// The Deployment that runs the operator.
pub(super) fn deployment(owner: &Value, namespace: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": DEPLOYMENT,
            "namespace": namespace,
            "labels": labels(owner),
            "generation": 1,
            "ownerReferences": [owned_by(owner)],
        },
        "spec": deployment_spec(),
    })
}

/// The webhook that rewrites builds. What is in no namespace cannot be owned by what is in one, so a
/// ClusterServiceVersion's is known by its labels.
pub(super) fn webhook(owner: &Value, namespace: &str) -> Value {
    let is_extension = owner["kind"] == "ClusterExtension";
    let references = if is_extension { json!([owned_by(owner)]) } else { json!([]) };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": format!("{WEBHOOK}-{}", meta::suffix(5)),
            "labels": labels(owner),
            "ownerReferences": references,
        },
        "webhooks": [{
            "name": WEBHOOK,
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "service": {
                    "name": format!("{DEPLOYMENT}-service"), "namespace": namespace, "path": WEBHOOK_PATH, "port": 443,
                },
                "caBundle": authority(),
            },
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "rules": webhook_rules(),
        }],
    })
}

/// The authority that OLM makes for webhooks, in base64. Nothing that it signed is ever presented.
fn authority() -> &'static str {
    static AUTHORITY: OnceLock<String> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        Authority::new().map(|made| STANDARD.encode(made.pem())).unwrap_or_default()
    })
}

/// The webhook that `owner` brought, if it is there.
pub(super) fn webhook_of<'a>(view: &View<'a>, owner: &Value) -> Option<&'a Value> {
    let labels = labels(owner);
    view.list("MutatingWebhookConfiguration").find(|webhook| {
        labels
            .as_object()
            .into_iter()
            .flatten()
            .all(|(key, value)| webhook["metadata"]["labels"][key] == *value)
    })
}

/// The problem of the operator's Deployment, in the words of OLM.
pub(super) fn unavailable(view: &View<'_>, namespace: &str) -> Option<String> {
    let Some(deployment) = view.get("Deployment", namespace, DEPLOYMENT) else {
        return Some(format!(
            "waiting for deployment {DEPLOYMENT} to become ready: deployment \"{DEPLOYMENT}\" not found"
        ));
    };
    (deployment["status"]["availableReplicas"].as_u64().unwrap_or_default() == 0).then(|| {
        format!(
            "waiting for deployment {DEPLOYMENT} to become ready: deployment \"{DEPLOYMENT}\" not available: Deployment does not \
             have minimum availability."
        )
    })
}

/// The Deployment controller, for the operator and our own controller: as many pods as there are to be, at once or never.
pub(super) fn step(view: &View<'_>, writes: &mut Vec<Write>) {
    let troubles = ["CatalogSource", "ClusterCatalog"].map(|catalogs| view.trouble(catalogs));
    let is_simulated = |name: &str| name == DEPLOYMENT || name == OUR_DEPLOYMENT;
    for deployment in
        view.list("Deployment").filter(|deployment| is_simulated(meta::name(deployment)))
    {
        let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let was_available = deployment["status"]["availableReplicas"].as_u64().unwrap_or_default();
        let never = was_available == 0 && troubles.contains(&Some(Trouble::NeverFinishes));
        let available = if never { 0 } else { wanted };
        let generation = &deployment["metadata"]["generation"];
        if available == was_available && deployment["status"]["observedGeneration"] == *generation {
            continue;
        }
        let (status, reason, message) = match available == wanted {
            true => ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
            false => (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            ),
        };
        let mut changed = deployment.clone();
        changed["status"] = json!({
            "observedGeneration": generation,
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": available,
            "availableReplicas": available,
            "unavailableReplicas": wanted - available,
            "conditions": [{
                "type": "Available", "status": status, "reason": reason, "message": message,
                "lastTransitionTime": meta::now(), "lastUpdateTime": meta::now(),
            }],
        });
        writes.push(Write::Status(changed));
    }
}
