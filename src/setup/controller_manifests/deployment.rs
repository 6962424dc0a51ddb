//! Manifests of the Deployment and of the objects around it.

use serde_json::{Value, json};

use super::{ControllerManifests, Object, cluster_object, labels};
use crate::cluster::ObjectKind;
use crate::domain::names::{
    CONTROLLER_NAME, CONTROLLER_WEBHOOK, CONTROLLER_WEBHOOK_PATH, POD_NAME,
};

/// The port of `/healthz`, `/readyz` and `/metrics`.
const LISTEN_PORT: u16 = 8080;

const WEBHOOK_PORT: u16 = 8443;

/// Mount path of the serving certificate.
const CERTIFICATES: &str = "/etc/oc-quay/tls";

/// Created by OpenShift, with the serving certificate.
const CERTIFICATE_SECRET: &str = "oc-quay-tls";

pub(super) fn objects(manifests: &ControllerManifests) -> [Object; 6] {
    let (budget, policy) = (disruption_budget(manifests), network_policy(manifests));
    [
        policy,
        service(manifests),
        deployment(manifests),
        budget,
        service_monitor(manifests),
        webhook(manifests),
    ]
}

fn selector() -> Value {
    json!({ "app.kubernetes.io/name": CONTROLLER_NAME })
}

/// OpenShift issues and renews the certificate ("Securing service traffic using service serving
/// certificate secrets").
fn service(manifests: &ControllerManifests) -> Object {
    let mut service = manifests.object(
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

fn deployment(manifests: &ControllerManifests) -> Object {
    manifests.object(
        ObjectKind::Deployment,
        json!({
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": selector() },
                "template": { "metadata": { "labels": labels() }, "spec": pod(manifests) },
            },
        }),
    )
}

fn pod(manifests: &ControllerManifests) -> Value {
    json!({
        "serviceAccountName": CONTROLLER_NAME,
        // After SIGTERM it serves the webhook for ten more seconds.
        "terminationGracePeriodSeconds": 30,
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": { "labelSelector": { "matchLabels": selector() }, "topologyKey": "kubernetes.io/hostname" },
        }] } },
        "containers": [container(manifests)],
        "volumes": [{ "name": "tls", "secret": { "secretName": CERTIFICATE_SECRET } }],
    })
}

fn container(manifests: &ControllerManifests) -> Value {
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "metrics" } });
    json!({
        "name": CONTROLLER_NAME,
        "image": manifests.image,
        "args": [
            "run",
            "--log-format=json",
            "--leader-elect",
            format!("--metrics-bind-address=0.0.0.0:{LISTEN_PORT}"),
            format!("--webhook-bind-address=0.0.0.0:{WEBHOOK_PORT}"),
            format!("--webhook-cert-dir={CERTIFICATES}"),
        ],
        // Identity for the leader election.
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

fn disruption_budget(manifests: &ControllerManifests) -> Object {
    let spec = json!({ "minAvailable": 1, "selector": { "matchLabels": selector() } });
    manifests.object(ObjectKind::PodDisruptionBudget, json!({ "spec": spec }))
}

/// Metrics are open to the cluster's monitoring only; the kubelet on the pod's node is always
/// allowed. API servers connect from the nodes' network, which no policy can select, so the
/// webhook's port is open to all.
fn network_policy(manifests: &ControllerManifests) -> Object {
    let port = |port: u16| json!([{ "protocol": "TCP", "port": port }]);
    // OpenShift sets this label on its monitoring namespaces ("About network policy").
    let monitoring = json!({ "namespaceSelector": { "matchLabels": { "network.openshift.io/policy-group": "monitoring" } } });
    let spec = json!({
        "podSelector": { "matchLabels": selector() },
        "policyTypes": ["Ingress"],
        "ingress": [
            { "ports": port(WEBHOOK_PORT) },
            { "ports": port(LISTEN_PORT), "from": [monitoring] },
        ],
    });
    manifests.object(ObjectKind::NetworkPolicy, json!({ "spec": spec }))
}

fn service_monitor(manifests: &ControllerManifests) -> Object {
    let spec =
        json!({ "selector": { "matchLabels": selector() }, "endpoints": [{ "port": "metrics" }] });
    manifests.object(ObjectKind::ServiceMonitor, json!({ "spec": spec }))
}

/// Builds are rewritten on creation, since their spec is immutable afterwards. An unavailable
/// controller does not block builds. Namespaces of the control plane (`openshift.io/run-level`) are
/// excluded.
fn webhook(manifests: &ControllerManifests) -> Object {
    let mut configuration = cluster_object(
        ObjectKind::MutatingWebhookConfiguration,
        json!({
            "webhooks": [{
                "name": CONTROLLER_WEBHOOK,
                "clientConfig": { "service": {
                    "name": CONTROLLER_NAME,
                    "namespace": manifests.namespace,
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
