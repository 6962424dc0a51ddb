//! What the bridge may do in the cluster: what it does, and no more.

use serde_json::{Value, json};

use super::{ControllerManifests, Object, cluster_object};
use crate::cluster::{OPERATOR_DEPLOYMENTS, ObjectKind};
use crate::domain::names::{CONTROLLER_NAME, LEASE};

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// A rule: what may be done with some kinds of one API group.
struct Rule {
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    /// Only objects of these names; any if there are none.
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

/// In the whole cluster.
///
/// Kubernetes cannot grant secrets by their label or type, so the bridge may read all of them; it asks for those that hold
/// registry logins, for its own, and for the one with Quay's token.
const IN_CLUSTER: [Rule; 12] = [
    Rule::new("", &["namespaces", "serviceaccounts"], &["get", "list", "watch", "patch"]),
    Rule::new("", &["secrets"], &["get", "list", "watch", "create", "patch", "delete"]),
    Rule::new("", &["events"], &["create", "patch"]),
    Rule::new("image.openshift.io", &["imagestreams"], &["get", "list", "watch"]),
    Rule::new("image.openshift.io", &["imagestreamimports"], &["create"]),
    Rule::new("build.openshift.io", &["buildconfigs"], &["list", "watch"]),
    Rule::new("build.openshift.io", &["builds"], &["get", "list", "watch", "patch"]),
    // Nobody may change a Build, be it an annotation, who may not build by its strategy
    // (openshift-apiserver `pkg/build/apiserver/admission/strategyrestrictions/admission.go`). These are the strategies that
    // the webhook rewrites. It creates no Build itself: that would take the right to create `builds` as well.
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
    // Where the operator's webhook is answered: a Deployment of its name may be anybody's.
    Rule::new("admissionregistration.k8s.io", &["mutatingwebhookconfigurations"], &["list"]),
];

/// Whether the operator runs, which is seen by its Deployment, wherever that is: a list of one name falls under a rule
/// for that name.
const OF_OPERATOR: Rule = Rule {
    names: &OPERATOR_DEPLOYMENTS,
    ..Rule::new("apps", &["deployments"], &["list", "watch"])
};

/// In the bridge's own namespace: the Lease by which one replica leads. Who may create knows no names.
const IN_NAMESPACE: [Rule; 2] = [
    Rule::new("coordination.k8s.io", &["leases"], &["create"]),
    Rule { names: &[LEASE], ..Rule::new("coordination.k8s.io", &["leases"], &["get", "patch"]) },
];

pub(super) fn in_cluster(bridge: &ControllerManifests) -> [Object; 2] {
    let rules: Vec<_> = IN_CLUSTER.iter().chain([&OF_OPERATOR]).map(Rule::to_value).collect();
    [
        cluster_object(ObjectKind::ClusterRole, json!({ "rules": rules })),
        cluster_object(ObjectKind::ClusterRoleBinding, binding(bridge, ObjectKind::ClusterRole)),
    ]
}

pub(super) fn in_namespace(bridge: &ControllerManifests) -> [Object; 2] {
    let rules: Vec<_> = IN_NAMESPACE.iter().map(Rule::to_value).collect();
    [
        bridge.object(ObjectKind::Role, json!({ "rules": rules })),
        bridge.object(ObjectKind::RoleBinding, binding(bridge, ObjectKind::Role)),
    ]
}

fn binding(bridge: &ControllerManifests, role: ObjectKind) -> Value {
    json!({
        "roleRef": { "apiGroup": RBAC_GROUP, "kind": role.as_str(), "name": CONTROLLER_NAME },
        "subjects": [{ "kind": "ServiceAccount", "name": CONTROLLER_NAME, "namespace": bridge.namespace }],
    })
}
