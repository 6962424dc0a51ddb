//! First step: the cluster, the user and the user's permissions.

use crate::cluster::{
    Credentials, INSTALLER, OPERATOR_NAMESPACE, QUAY_INTEGRATION_CRD_NAME, ResourceAttributes,
    TRUST_NAMESPACE,
};
use crate::domain::finding::Severity;
use crate::domain::names::CONTROLLER_NAME;
use crate::setup::{Approval, ControllerKind, NodeTrust, SetupSession, StepPlan, grant};

/// API groups that can be missing, with the consequence. Builds are optional (OpenShift, "Cluster
/// capabilities").
const GROUPS: [(&str, &str); 2] = [
    (
        "image.openshift.io",
        "the cluster has no image streams, so no repositories are created for them",
    ),
    ("build.openshift.io", "the cluster has no builds, so there is no service account builder"),
];

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    let platform = match &setup.found.platform {
        Ok(platform) => platform,
        Err(unread) => return plan.blocked(unread.to_string()),
    };
    let on = platform
        .kind
        .as_deref()
        .filter(|kind| *kind != "None")
        .map(|kind| format!(" on {kind}"))
        .unwrap_or_default();
    let user = platform.user.as_str();
    let (context, server) = (setup.cluster.context(), setup.cluster.server());
    plan.note(
        Severity::Ok,
        format!("{}{on}, context {context} ({server}), as {user}", platform.version),
    );
    for (_, consequence) in
        GROUPS.into_iter().filter(|(group, _)| !platform.groups.contains(*group))
    {
        plan.note(Severity::Warning, consequence);
    }
    if let Some(disabled) = platform.disabled.as_ref().filter(|disabled| !disabled.is_empty()) {
        let names: Vec<_> = disabled.iter().map(String::as_str).collect();
        plan.note(Severity::Info, format!("disabled capabilities: {}", names.join(", ")));
    }
    match setup.found.integrations.as_deref() {
        Ok([]) => {}
        Ok([integration]) => {
            plan.note(
                Severity::Info,
                format!(
                    "QuayIntegration {} already exists; setup starts from it",
                    integration.name
                ),
            );
        }
        Ok(several) => {
            let names: Vec<_> =
                several.iter().map(|integration| integration.name.as_str()).collect();
            return plan
                .blocked(format!("multiple QuayIntegrations found ({}); exactly one is required", names.join(", ")))
                .hint("the operator ignores all of them; delete the others: oc delete quayintegration NAME");
        }
        // Missing permissions are the likely cause, so they are reported too.
        Err(unread) => return add_permissions(setup, user, plan).blocked(unread.to_string()),
    }
    add_permissions(setup, user, plan)
}

fn add_permissions(setup: &SetupSession, user: &str, mut plan: StepPlan) -> StepPlan {
    match setup.found.lacking.as_deref() {
        Ok([]) => plan.note(Severity::Ok, format!("{user} has the required permissions")),
        Ok(lacking) => {
            for permission in lacking {
                plan.note(Severity::Warning, format!("{user} is not allowed to {permission}"));
            }
            plan.note(Severity::Info, permission_request(setup, lacking, user));
        }
        Err(unread) => plan.note(Severity::Unknown, unread.to_string()),
    }
    plan
}

/// The request to an administrator for the missing permissions. No role helps if setup grants
/// permissions that the user lacks (RBAC privilege escalation prevention).
pub fn permission_request(
    setup: &SetupSession,
    lacking: &[ResourceAttributes],
    user: &str,
) -> String {
    let ask = "ask a cluster administrator to run this command";
    let installs_by_extension = lacking.iter().any(|permission| {
        permission.resource == "clusterextensions" && permission.verb == "create"
    });
    if setup.wants_in_cluster() || installs_by_extension {
        return format!("{ask}: it grants permissions that only cluster administrators have");
    }
    format!("{ask}, or to grant you these permissions:\n{}", grant::command(lacking, user))
}

/// The permissions for the changes that are known by now.
pub(in crate::setup) fn required_permissions(setup: &SetupSession) -> Vec<ResourceAttributes> {
    let anywhere = |verb, group, resource| ResourceAttributes {
        verb,
        group,
        resource,
        namespace: None,
        name: None,
    };
    let within = |verb, group, resource, namespace: &str| ResourceAttributes {
        verb,
        group,
        resource,
        namespace: Some(namespace.to_owned()),
        name: None,
    };
    // `create` cannot be restricted to names.
    let named = |permission: ResourceAttributes, name: &str| ResourceAttributes {
        name: (permission.verb != "create").then(|| name.to_owned()),
        ..permission
    };
    let secret = setup.secret();
    let write = |exists: bool| if exists { "patch" } else { "create" };
    let has_secret = setup.found.credentials.as_ref().is_ok_and(Credentials::exists);
    let mut permissions = vec![
        named(
            anywhere("get", "apiextensions.k8s.io", "customresourcedefinitions"),
            QUAY_INTEGRATION_CRD_NAME,
        ),
        named(anywhere("get", "rbac.authorization.k8s.io", "clusterrolebindings"), CONTROLLER_NAME),
        anywhere("list", "", "namespaces"),
        named(within("get", "", "secrets", &secret.namespace), &secret.name),
        named(within(write(has_secret), "", "secrets", &secret.namespace), &secret.name),
        anywhere("list", "quay.redhat.com", "quayintegrations"),
        anywhere(write(setup.existing().is_some()), "quay.redhat.com", "quayintegrations"),
    ];
    if setup.serves("config.openshift.io") {
        permissions.push(named(anywhere("get", "config.openshift.io", "images"), "cluster"));
        permissions.push(named(
            within("get", "", "configmaps", TRUST_NAMESPACE),
            super::node_trust::CONFIG_MAP,
        ));
    }
    if setup.serves("operators.coreos.com") {
        permissions.extend([
            anywhere("list", "operators.coreos.com", "subscriptions"),
            within("get", "operators.coreos.com", "clusterserviceversions", OPERATOR_NAMESPACE),
            within("get", "operators.coreos.com", "installplans", OPERATOR_NAMESPACE),
        ]);
    }
    if setup.serves("olm.operatorframework.io") {
        permissions.push(anywhere("list", "olm.operatorframework.io", "clusterextensions"));
        permissions.push(named(
            anywhere("get", "rbac.authorization.k8s.io", "clusterrolebindings"),
            INSTALLER,
        ));
    }
    if setup.options.node_trust == Some(NodeTrust::Apply) {
        let trust = setup.found.trust.as_ref().ok();
        let map = trust.and_then(|trust| trust.config_map.as_ref());
        let name = map.map_or("", |map| &map.name);
        permissions
            .push(named(within(write(map.is_some()), "", "configmaps", TRUST_NAMESPACE), name));
        if trust.is_some_and(|trust| {
            trust.image_config.as_ref().is_some_and(|config| config.config_map.is_none())
        }) {
            permissions.push(named(anywhere("patch", "config.openshift.io", "images"), "cluster"));
        }
    }
    permissions.extend(super::user_role::required_permissions(setup));
    for namespace in setup.options.link.iter().flatten() {
        permissions.push(within("create", "", "secrets", namespace));
        permissions.push(within("patch", "", "serviceaccounts", namespace));
    }
    let Ok(operator) = &setup.found.operator else { return permissions };
    let does_without =
        setup.controller_kind() == Some(ControllerKind::None) || setup.wants_in_cluster();
    if setup.wants_in_cluster() {
        permissions.extend(super::controller::required_permissions(setup));
    }
    if does_without {
        if operator.crd.is_none() {
            permissions.push(anywhere(
                "create",
                "apiextensions.k8s.io",
                "customresourcedefinitions",
            ));
        }
    } else if !operator.is_installed() {
        if setup.serves("operators.coreos.com") {
            permissions.push(anywhere("list", "packages.operators.coreos.com", "packagemanifests"));
            permissions.push(within(
                "create",
                "operators.coreos.com",
                "subscriptions",
                OPERATOR_NAMESPACE,
            ));
            if setup.options.approval == Some(Approval::Manual) {
                permissions.push(within(
                    "patch",
                    "operators.coreos.com",
                    "installplans",
                    OPERATOR_NAMESPACE,
                ));
            }
        } else if setup.serves("olm.operatorframework.io") {
            permissions.push(within("create", "", "serviceaccounts", OPERATOR_NAMESPACE));
            permissions.push(anywhere(
                "create",
                "rbac.authorization.k8s.io",
                "clusterrolebindings",
            ));
            permissions.push(anywhere("create", "olm.operatorframework.io", "clusterextensions"));
        }
    }
    permissions
}
