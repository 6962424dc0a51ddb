//! Missing permissions as roles that an administrator can apply.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::{ObjectKind, ResourceAttributes};

/// Name of the roles and their bindings, as in `docs/security.md`; `oc auth reconcile` extends
/// existing ones.
const NAME: &str = "oc-quay-setup";

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// The command that grants the missing permissions: a ClusterRole for cluster-wide ones, a Role for
/// each namespace, and a binding for each.
pub(super) fn command(lacking: &[ResourceAttributes], user: &str) -> String {
    let objects = objects(lacking, user).into_iter();
    let documents: Vec<_> = objects
        .map(|object| object.iter().map(|(key, value)| line(key, value)).collect::<String>())
        .collect();
    format!("oc auth reconcile -f - <<'EOF'\n{}EOF", documents.join("---\n"))
}

/// A YAML field with its values as JSON, and one line for each item of a list.
fn line(key: &str, value: &Value) -> String {
    match value.as_array() {
        Some(items) => format!(
            "{key}:\n{}",
            items.iter().map(|item| format!("- {item}\n")).collect::<String>()
        ),
        None => format!("{key}: {value}\n"),
    }
}

fn objects(lacking: &[ResourceAttributes], user: &str) -> Vec<Vec<(&'static str, Value)>> {
    let mut by_namespace: BTreeMap<Option<&str>, Vec<&ResourceAttributes>> = BTreeMap::new();
    for permission in lacking {
        by_namespace.entry(permission.namespace.as_deref()).or_default().push(permission);
    }
    let granted = by_namespace.into_iter().flat_map(|(namespace, permissions)| {
        let (role, binding) = match namespace {
            None => (ObjectKind::ClusterRole, ObjectKind::ClusterRoleBinding),
            Some(_) => (ObjectKind::Role, ObjectKind::RoleBinding),
        };
        let mut metadata = json!({ "name": NAME });
        if let Some(namespace) = namespace {
            metadata["namespace"] = json!(namespace);
        }
        let object = |kind: ObjectKind, rest: Vec<(&'static str, Value)>| {
            let head = [
                ("apiVersion", json!(kind.api_version())),
                ("kind", json!(kind.as_str())),
                ("metadata", metadata.clone()),
            ];
            [Vec::from(head), rest].concat()
        };
        let role_ref = json!({ "apiGroup": RBAC_GROUP, "kind": role.as_str(), "name": NAME });
        let subject = json!({ "apiGroup": RBAC_GROUP, "kind": "User", "name": user });
        [
            object(role, vec![("rules", json!(rules(&permissions)))]),
            object(binding, vec![("roleRef", role_ref), ("subjects", json!([subject]))]),
        ]
    });
    granted.collect()
}

/// Groups the permissions by resource and object name.
fn rules(permissions: &[&ResourceAttributes]) -> Vec<Value> {
    let mut verbs: BTreeMap<(&str, &str, Option<&str>), Vec<&str>> = BTreeMap::new();
    for permission in permissions {
        let of_object = verbs
            .entry((permission.group, permission.resource, permission.name.as_deref()))
            .or_default();
        if !of_object.contains(&permission.verb) {
            of_object.push(permission.verb);
        }
    }
    let rule = |((group, resource, name), verbs): ((&str, &str, Option<&str>), Vec<&str>)| {
        let mut rule = json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
        if let Some(name) = name {
            rule["resourceNames"] = json!([name]);
        }
        rule
    };
    verbs.into_iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_only_missing_permissions() {
        let permission = |verb, group, resource, namespace: Option<&str>, name: Option<&str>| {
            ResourceAttributes {
                verb,
                group,
                resource,
                namespace: namespace.map(str::to_owned),
                name: name.map(str::to_owned),
            }
        };
        let secrets = Some("openshift-operators");
        let lacking = [
            permission("list", "quay.redhat.com", "quayintegrations", None, None),
            permission("get", "", "secrets", secrets, Some("quay-integration")),
            permission("create", "quay.redhat.com", "quayintegrations", None, None),
            permission("create", "", "secrets", secrets, None),
        ];
        let expected = r#"oc auth reconcile -f - <<'EOF'
apiVersion: "rbac.authorization.k8s.io/v1"
kind: "ClusterRole"
metadata: {"name":"oc-quay-setup"}
rules:
- {"apiGroups":["quay.redhat.com"],"resources":["quayintegrations"],"verbs":["list","create"]}
---
apiVersion: "rbac.authorization.k8s.io/v1"
kind: "ClusterRoleBinding"
metadata: {"name":"oc-quay-setup"}
roleRef: {"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"oc-quay-setup"}
subjects:
- {"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"o'neil"}
---
apiVersion: "rbac.authorization.k8s.io/v1"
kind: "Role"
metadata: {"name":"oc-quay-setup","namespace":"openshift-operators"}
rules:
- {"apiGroups":[""],"resources":["secrets"],"verbs":["create"]}
- {"apiGroups":[""],"resourceNames":["quay-integration"],"resources":["secrets"],"verbs":["get"]}
---
apiVersion: "rbac.authorization.k8s.io/v1"
kind: "RoleBinding"
metadata: {"name":"oc-quay-setup","namespace":"openshift-operators"}
roleRef: {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"oc-quay-setup"}
subjects:
- {"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"o'neil"}
EOF"#;
        assert_eq!(command(&lacking, "o'neil"), expected);
    }
}
