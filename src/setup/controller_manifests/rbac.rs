//! The controller's RBAC: only what it uses.

use serde_json::{Value, json};

use super::{ControllerManifests, Object, cluster_object};
use crate::cluster::{OPERATOR_DEPLOYMENTS, ObjectKind};
use crate::domain::names::{CONTROLLER_NAME, LEASE};

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

struct Rule {
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    /// `resourceNames`; empty for any.
    names: &'static [&'static str],
}

impl Rule {
    const fn new(
        group: &'static str,
        resources: &'static [&'static str],
        verbs: &'static [&'static str],
    ) -> Self {
        Self { group, resources, verbs, names: &[] }
    }

    fn to_value(&self) -> Value {
        let mut rule =
            json!({ "apiGroups": [self.group], "resources": self.resources, "verbs": self.verbs });
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }
}

/// Cluster-wide rules.
///
/// RBAC cannot select secrets by label or type, so the controller can read all of them; it requests
/// registry credentials, its own secrets, and the one with Quay's token.
const IN_CLUSTER: [Rule; 12] = [
    Rule::new("", &["namespaces", "serviceaccounts"], &["get", "list", "watch", "patch"]),
    Rule::new("", &["secrets"], &["get", "list", "watch", "create", "patch", "delete"]),
    Rule::new("", &["events"], &["create", "patch"]),
    Rule::new("image.openshift.io", &["imagestreams"], &["get", "list", "watch"]),
    Rule::new("image.openshift.io", &["imagestreamimports"], &["create"]),
    Rule::new("build.openshift.io", &["buildconfigs"], &["list", "watch"]),
    Rule::new("build.openshift.io", &["builds"], &["get", "list", "watch", "patch"]),
    // Any change of a Build, even of an annotation, requires permission for its strategy
    // (openshift-apiserver `pkg/build/apiserver/admission/strategyrestrictions/admission.go`).
    // These are the strategies that the webhook rewrites. Creating a Build would also require
    // `create` on `builds`.
    Rule::new(
        "build.openshift.io",
        &["builds/custom", "builds/docker", "builds/optimizeddocker", "builds/source"],
        &["create"],
    ),
    Rule::new("quay.redhat.com", &["quayintegrations"], &["get", "list", "watch"]),
    Rule::new("quay.redhat.com", &["quayintegrations/status"], &["patch"]),
    Rule {
        names: &["cluster"],
        ..Rule::new("config.openshift.io", &["infrastructures"], &["get"])
    },
    // To verify that the operator's webhook is registered: another Deployment might have its name.
    Rule::new("admissionregistration.k8s.io", &["mutatingwebhookconfigurations"], &["list"]),
];

/// To detect the operator by its Deployment, in any namespace: RBAC applies a rule with a name to a
/// list of that name.
const OPERATOR_DEPLOYMENT: Rule = Rule {
    names: &OPERATOR_DEPLOYMENTS,
    ..Rule::new("apps", &["deployments"], &["list", "watch"])
};

/// For the Lease of the leader election; `create` cannot be restricted to names.
const IN_NAMESPACE: [Rule; 2] = [
    Rule::new("coordination.k8s.io", &["leases"], &["create"]),
    Rule { names: &[LEASE], ..Rule::new("coordination.k8s.io", &["leases"], &["get", "patch"]) },
];

pub(super) fn in_cluster(manifests: &ControllerManifests) -> [Object; 2] {
    let rules: Vec<_> =
        IN_CLUSTER.iter().chain([&OPERATOR_DEPLOYMENT]).map(Rule::to_value).collect();
    [
        cluster_object(ObjectKind::ClusterRole, json!({ "rules": rules })),
        cluster_object(ObjectKind::ClusterRoleBinding, binding(manifests, ObjectKind::ClusterRole)),
    ]
}

pub(super) fn in_namespace(manifests: &ControllerManifests) -> [Object; 2] {
    let rules: Vec<_> = IN_NAMESPACE.iter().map(Rule::to_value).collect();
    [
        manifests.object(ObjectKind::Role, json!({ "rules": rules })),
        manifests.object(ObjectKind::RoleBinding, binding(manifests, ObjectKind::Role)),
    ]
}

fn binding(manifests: &ControllerManifests, role: ObjectKind) -> Value {
    json!({
        "roleRef": { "apiGroup": RBAC_GROUP, "kind": role.as_str(), "name": CONTROLLER_NAME },
        "subjects": [{ "kind": "ServiceAccount", "name": CONTROLLER_NAME, "namespace": manifests.namespace }],
    })
}
