//! The role that lets users of projects list the QuayIntegration, bound to all users of OpenShift's
//! OAuth server. Without it, commands find Quay only through a project's pull secrets.

use serde_json::{Value, json};

use super::controller::change;
use crate::cluster::{Cluster, ObjectKind, ResourceAttributes, is_superset};
use crate::domain::finding::Severity;
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::domain::snapshot::Observed;
use crate::error::Error;
use crate::setup::controller_manifests::Object;
use crate::setup::{SetupSession, StepPlan};
use crate::ui::Ui;

/// Name of both objects; see `docs/security.md`.
const NAME: &str = "oc-quay-user";

/// All users of OpenShift's OAuth server, without service accounts.
const GROUP: &str = "system:authenticated:oauth";

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Each manifest with the existing object.
pub(in crate::setup) type FoundUserRole = Vec<(Object, Option<Value>)>;

fn objects() -> [Object; 2] {
    let rule = json!({ "apiGroups": ["quay.redhat.com"], "resources": ["quayintegrations"], "verbs": ["list"] });
    let role_ref = json!({ "apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": NAME });
    let subject = json!({ "apiGroup": RBAC_GROUP, "kind": "Group", "name": GROUP });
    [
        object(ObjectKind::ClusterRole, json!({ "rules": [rule] })),
        object(
            ObjectKind::ClusterRoleBinding,
            json!({ "roleRef": role_ref, "subjects": [subject] }),
        ),
    ]
}

fn object(kind: ObjectKind, mut value: Value) -> Object {
    value["apiVersion"] = json!(kind.api_version());
    value["kind"] = json!(kind.as_str());
    value["metadata"] = json!({ "name": NAME, "labels": { MANAGED_BY_LABEL: MANAGED_BY } });
    Object { kind, value }
}

pub(in crate::setup) async fn discover(cluster: &Cluster) -> Observed<FoundUserRole> {
    let [role, binding] = objects();
    let (found_role, found_binding) = tokio::try_join!(
        cluster.object(role.kind, None, NAME),
        cluster.object(binding.kind, None, NAME)
    )?;
    Ok(vec![(role, found_role), (binding, found_binding)])
}

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    let is_wanted = setup.options.user_role == Some(true);
    let found = match &setup.found.user_role {
        Ok(found) => found,
        Err(unread) if is_wanted => return plan.blocked(unread.to_string()),
        Err(unread) => return plan.skipped(unread.to_string()),
    };
    if found
        .iter()
        .all(|(wanted, found)| found.as_ref().is_some_and(|found| grants_equivalent(found, wanted)))
    {
        plan.note(
            Severity::Ok,
            format!("users of projects can see which Quay the cluster uses (ClusterRole {NAME})"),
        );
        return plan;
    }
    if let Some(other) = found
        .iter()
        .find_map(|(wanted, found)| found.as_ref().filter(|found| !is_ours(found)).map(|_| wanted))
    {
        return plan.skipped(format!(
            "{} {NAME} was not created by oc quay and is not changed",
            other.kind.as_str()
        ));
    }
    plan.changes.extend(found.iter().filter_map(|(wanted, found)| change(wanted, found.as_ref())));
    match setup.options.user_role {
        Some(true) => {
            plan.note(Severity::Info, format!("members of group {GROUP} are allowed to list QuayIntegrations, and nothing else"));
            plan
        }
        Some(false) => plan.skipped("not requested (--user-role=false)"),
        None => plan.skipped("not requested (use --user-role)"),
    }
}

/// Whether an object, perhaps of others, grants the same.
fn grants_equivalent(found: &Value, wanted: &Object) -> bool {
    ["rules", "roleRef", "subjects"].iter().all(|field| match wanted.value.get(field) {
        Some(wanted) => is_superset(&found[field], wanted),
        None => true,
    })
}

pub(in crate::setup) fn is_ours(found: &Value) -> bool {
    found["metadata"]["labels"][MANAGED_BY_LABEL] == MANAGED_BY
}

pub(super) fn required_permissions(setup: &SetupSession) -> Vec<ResourceAttributes> {
    if setup.options.user_role != Some(true) {
        return vec![];
    }
    let found = setup.found.user_role.as_deref().unwrap_or_default();
    let is_there =
        |kind| found.iter().any(|(wanted, found)| wanted.kind == kind && found.is_some());
    let kinds = [
        (ObjectKind::ClusterRole, "clusterroles"),
        (ObjectKind::ClusterRoleBinding, "clusterrolebindings"),
    ];
    let permissions = kinds.into_iter().flat_map(|(kind, resource)| {
        let permission = |verb| ResourceAttributes {
            verb,
            group: RBAC_GROUP,
            resource,
            namespace: None,
            name: None,
        };
        let get = ResourceAttributes { name: Some(NAME.to_owned()), ..permission("get") };
        [Some(get), (!is_there(kind)).then(|| permission("create"))]
    });
    permissions.flatten().collect()
}

pub(in crate::setup) fn manifests(setup: &SetupSession) -> Vec<Value> {
    let wanted = objects().into_iter().filter(|_| setup.options.user_role == Some(true));
    wanted.map(|object| object.value).collect()
}

pub(in crate::setup) fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let is_open = setup.options.user_role.is_none() && !plan(setup).changes.is_empty();
    if is_open {
        let question = "Let users of projects see which Quay the cluster uses?";
        setup.options.user_role = Some(ui.confirm(question, true)?);
    }
    Ok(())
}
