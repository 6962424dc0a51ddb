//! Which cluster, as whom, with what rights, and what is there already.

use crate::cluster::{
    Credentials, INSTALLER, OPERATOR_NAMESPACE, QUAY_INTEGRATION_CRD_NAME, ResourceAttributes,
    TRUST_NAMESPACE,
};
use crate::domain::finding::Severity;
use crate::domain::names::CONTROLLER_NAME;
use crate::setup::{Approval, ControllerKind, NodeTrust, SetupSession, StepPlan, grant};

/// The API groups without which something of the integration is missing, and what. Builds are a capability of its own
/// (OpenShift, "Cluster capabilities").
const GROUPS: [(&str, &str); 2] = [
    (
        "image.openshift.io",
        "the cluster has no image streams, so no repositories are made for them",
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
    plan.fact(
        Severity::Ok,
        format!("{}{on}, context {context} ({server}), as {user}", platform.version),
    );
    for (_, consequence) in
        GROUPS.into_iter().filter(|(group, _)| !platform.groups.contains(*group))
    {
        plan.fact(Severity::Warning, consequence);
    }
    if let Some(disabled) = platform.disabled.as_ref().filter(|disabled| !disabled.is_empty()) {
        let names: Vec<_> = disabled.iter().map(String::as_str).collect();
        plan.fact(Severity::Info, format!("capabilities that are off: {}", names.join(", ")));
    }
    match setup.found.integrations.as_deref() {
        Ok([]) => {}
        Ok([one]) => {
            plan.fact(
                Severity::Info,
                format!("QuayIntegration {} is there already; the set-up starts from it", one.name),
            );
        }
        Ok(several) => {
            let names: Vec<_> = several.iter().map(|one| one.name.as_str()).collect();
            return plan
                .blocked(format!("the cluster has {} QuayIntegrations ({}), and nobody can say which one is meant", several.len(), names.join(", ")))
                .hint("with more than one, the operator does nothing; delete those that are not meant: oc delete quayintegration NAME");
        }
        // Who may not even look is told first what it takes.
        Err(unread) => return rights_plan(setup, user, plan).blocked(unread.to_string()),
    }
    rights_plan(setup, user, plan)
}

fn rights_plan(setup: &SetupSession, user: &str, mut plan: StepPlan) -> StepPlan {
    match setup.found.lacking.as_deref() {
        Ok([]) => plan.fact(Severity::Ok, format!("{user} has the rights that are needed")),
        Ok(lacking) => {
            for right in lacking {
                plan.fact(Severity::Warning, format!("{user} may not {right}"));
            }
            plan.fact(Severity::Info, ask_for(setup, lacking, user));
        }
        Err(unread) => plan.fact(Severity::Unknown, unread.to_string()),
    }
    plan
}

/// What to ask an administrator for: the missing permissions, as a command. Where the set-up grants more than the user has, no
/// role would do, since Kubernetes lets nobody grant permissions that they do not have.
pub fn ask_for(setup: &SetupSession, lacking: &[ResourceAttributes], user: &str) -> String {
    let ask = "ask a cluster administrator to run this command";
    let installs_by_extension =
        lacking.iter().any(|right| right.resource == "clusterextensions" && right.verb == "create");
    if setup.wants_in_cluster() || installs_by_extension {
        return format!("{ask}: it grants permissions that only cluster administrators have");
    }
    format!("{ask}, or to grant you what it needs:\n{}", grant::command(lacking, user))
}

/// The rights that the set-up needs as far as it is known by now what it will do.
pub(in crate::setup) fn rights(setup: &SetupSession) -> Vec<ResourceAttributes> {
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
    // Roles may be held to names, but for creating.
    let named = |right: ResourceAttributes, name: &str| ResourceAttributes {
        name: (right.verb != "create").then(|| name.to_owned()),
        ..right
    };
    let secret = setup.secret();
    let write = |exists: bool| if exists { "patch" } else { "create" };
    let has_secret = setup.found.credentials.as_ref().is_ok_and(Credentials::exists);
    let mut rights = vec![
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
        rights.push(named(anywhere("get", "config.openshift.io", "images"), "cluster"));
        rights.push(named(
            within("get", "", "configmaps", TRUST_NAMESPACE),
            super::node_trust::CONFIG_MAP,
        ));
    }
    if setup.serves("operators.coreos.com") {
        rights.extend([
            anywhere("list", "operators.coreos.com", "subscriptions"),
            within("get", "operators.coreos.com", "clusterserviceversions", OPERATOR_NAMESPACE),
            within("get", "operators.coreos.com", "installplans", OPERATOR_NAMESPACE),
        ]);
    }
    if setup.serves("olm.operatorframework.io") {
        rights.push(anywhere("list", "olm.operatorframework.io", "clusterextensions"));
        rights.push(named(
            anywhere("get", "rbac.authorization.k8s.io", "clusterrolebindings"),
            INSTALLER,
        ));
    }
    if setup.answers.node_trust == Some(NodeTrust::Apply) {
        let trust = setup.found.trust.as_ref().ok();
        let map = trust.and_then(|trust| trust.config_map.as_ref());
        let name = map.map_or("", |map| &map.name);
        rights.push(named(within(write(map.is_some()), "", "configmaps", TRUST_NAMESPACE), name));
        if trust.is_some_and(|trust| {
            trust.image_config.as_ref().is_some_and(|config| config.config_map.is_none())
        }) {
            rights.push(named(anywhere("patch", "config.openshift.io", "images"), "cluster"));
        }
    }
    rights.extend(super::user_role::rights(setup));
    for namespace in setup.answers.link.iter().flatten() {
        rights.push(within("create", "", "secrets", namespace));
        rights.push(within("patch", "", "serviceaccounts", namespace));
    }
    let Ok(operator) = &setup.found.operator else { return rights };
    let does_without = setup.bridge() == Some(ControllerKind::None) || setup.wants_in_cluster();
    if setup.wants_in_cluster() {
        rights.extend(super::controller::rights(setup));
    }
    if does_without {
        if operator.crd.is_none() {
            rights.push(anywhere("create", "apiextensions.k8s.io", "customresourcedefinitions"));
        }
    } else if !operator.is_installed() {
        if setup.serves("operators.coreos.com") {
            rights.push(anywhere("list", "packages.operators.coreos.com", "packagemanifests"));
            rights.push(within(
                "create",
                "operators.coreos.com",
                "subscriptions",
                OPERATOR_NAMESPACE,
            ));
            if setup.answers.approval == Some(Approval::Manual) {
                rights.push(within(
                    "patch",
                    "operators.coreos.com",
                    "installplans",
                    OPERATOR_NAMESPACE,
                ));
            }
        } else if setup.serves("olm.operatorframework.io") {
            rights.push(within("create", "", "serviceaccounts", OPERATOR_NAMESPACE));
            rights.push(anywhere("create", "rbac.authorization.k8s.io", "clusterrolebindings"));
            rights.push(anywhere("create", "olm.operatorframework.io", "clusterextensions"));
        }
    }
    rights
}
