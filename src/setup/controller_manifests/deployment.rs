//! What runs, how it is reached, and what keeps it running.

use serde_json::{Value, json};

use super::{ControllerManifests, Object, cluster_object, labels};
use crate::cluster::ObjectKind;
use crate::domain::names::{
    CONTROLLER_NAME, CONTROLLER_WEBHOOK, CONTROLLER_WEBHOOK_PATH, POD_NAME,
};

/// The port of `/healthz`, `/readyz` and `/metrics`.
const LISTEN_PORT: u16 = 8080;

/// The port of the webhook.
const WEBHOOK_PORT: u16 = 8443;

/// Where the serving certificate is mounted.
const CERTIFICATES: &str = "/etc/oc-quay/tls";

/// The Secret that OpenShift puts the serving certificate into.
const CERTIFICATE_SECRET: &str = "oc-quay-tls";

pub(super) fn objects(bridge: &ControllerManifests) -> [Object; 6] {
    let (budget, policy) = (disruption_budget(bridge), network_policy(bridge));
    [policy, service(bridge), deployment(bridge), budget, service_monitor(bridge), webhook(bridge)]
}

fn selector() -> Value {
    json!({ "app.kubernetes.io/name": CONTROLLER_NAME })
}

/// OpenShift issues the certificate and renews it ("Securing service traffic using service serving certificate secrets").
fn service(bridge: &ControllerManifests) -> Object {
    let mut service = bridge.object(
        ObjectKind::Service,
        json!({
            "spec": {
                "selector": selector(),
                "ports": [
                    { "name": "webhook", "port": 443, "targetPort": "webhook" },
                    { "name": "metrics", "port": LISTEN_PORT, "targetPort": "metrics" },
                ],
            },
        }),
    );
    service.value["metadata"]["annotations"] =
        json!({ "service.beta.openshift.io/serving-cert-secret-name": CERTIFICATE_SECRET });
    service
}

fn deployment(bridge: &ControllerManifests) -> Object {
    bridge.object(
        ObjectKind::Deployment,
        json!({
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": selector() },
                "template": { "metadata": { "labels": labels() }, "spec": pod(bridge) },
            },
        }),
    )
}

fn pod(bridge: &ControllerManifests) -> Value {
    json!({
        "serviceAccountName": CONTROLLER_NAME,
        // It goes on answering the webhook for ten seconds after it was told to end.
        "terminationGracePeriodSeconds": 30,
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        // Both on one node would go with it.
        "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": { "labelSelector": { "matchLabels": selector() }, "topologyKey": "kubernetes.io/hostname" },
        }] } },
        "containers": [container(bridge)],
        "volumes": [{ "name": "tls", "secret": { "secretName": CERTIFICATE_SECRET } }],
    })
}

fn container(bridge: &ControllerManifests) -> Value {
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "metrics" } });
    json!({
        "name": CONTROLLER_NAME,
        "image": bridge.image,
        "args": [
            "run",
            "--log-format=json",
            "--leader-elect",
            format!("--metrics-bind-address=0.0.0.0:{LISTEN_PORT}"),
            format!("--webhook-bind-address=0.0.0.0:{WEBHOOK_PORT}"),
            format!("--webhook-cert-dir={CERTIFICATES}"),
        ],
        // What tells replicas apart.
        "env": [{ "name": POD_NAME, "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "ports": [
            { "name": "webhook", "containerPort": WEBHOOK_PORT },
            { "name": "metrics", "containerPort": LISTEN_PORT },
        ],
        "livenessProbe": probe("/healthz"),
        "readinessProbe": probe("/readyz"),
        "resources": {
            "requests": { "cpu": "20m", "memory": "64Mi" },
            "limits": { "memory": "256Mi" },
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [{ "name": "tls", "mountPath": CERTIFICATES, "readOnly": true }],
    })
}

/// One replica is left while nodes are drained.
fn disruption_budget(bridge: &ControllerManifests) -> Object {
    let spec = json!({ "minAvailable": 1, "selector": { "matchLabels": selector() } });
    bridge.object(ObjectKind::PodDisruptionBudget, json!({ "spec": spec }))
}

/// What the bridge tells without asking who wants to know is for the monitoring alone; the kubelet, on the pod's own node, is
/// let in always. API servers come from the nodes' network, which no policy can name, so the webhook's port is open.
fn network_policy(bridge: &ControllerManifests) -> Object {
    let port = |port: u16| json!([{ "protocol": "TCP", "port": port }]);
    // OpenShift puts this label on its monitoring's namespaces ("About network policy").
    let monitoring = json!({ "namespaceSelector": { "matchLabels": { "network.openshift.io/policy-group": "monitoring" } } });
    let spec = json!({
        "podSelector": { "matchLabels": selector() },
        "policyTypes": ["Ingress"],
        "ingress": [
            { "ports": port(WEBHOOK_PORT) },
            { "ports": port(LISTEN_PORT), "from": [monitoring] },
        ],
    });
    bridge.object(ObjectKind::NetworkPolicy, json!({ "spec": spec }))
}

fn service_monitor(bridge: &ControllerManifests) -> Object {
    let spec =
        json!({ "selector": { "matchLabels": selector() }, "endpoints": [{ "port": "metrics" }] });
    bridge.object(ObjectKind::ServiceMonitor, json!({ "spec": spec }))
}

/// Builds are rewritten when they are created: afterwards their spec cannot be changed. A bridge that does not answer
/// keeps no build from running. The control plane's own namespaces (`openshift.io/run-level`) are not asked about.
fn webhook(bridge: &ControllerManifests) -> Object {
    let mut configuration = cluster_object(
        ObjectKind::MutatingWebhookConfiguration,
        json!({
            "webhooks": [{
                "name": CONTROLLER_WEBHOOK,
                "clientConfig": { "service": {
                    "name": CONTROLLER_NAME,
                    "namespace": bridge.namespace,
                    "path": CONTROLLER_WEBHOOK_PATH,
                    "port": 443,
                } },
                "rules": [{
                    "apiGroups": ["build.openshift.io"],
                    "apiVersions": ["v1"],
                    "resources": ["builds"],
                    "operations": ["CREATE"],
                    "scope": "Namespaced",
                }],
                "namespaceSelector": { "matchExpressions": [
                    { "key": "openshift.io/run-level", "operator": "NotIn", "values": ["0", "1"] },
                ] },
                "failurePolicy": "Ignore",
                "timeoutSeconds": 3,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }],
        }),
    );
    configuration.value["metadata"]["annotations"] =
        json!({ "service.beta.openshift.io/inject-cabundle": "true" });
    configuration
}
