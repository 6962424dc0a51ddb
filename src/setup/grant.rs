//! The permissions that somebody lacks, as roles that an administrator applies: no more than these, by name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cluster::{ObjectKind, ResourceAttributes};

/// The roles and their bindings. The documentation names the roles for a set-up so, and `oc auth reconcile` adds to those that
/// are there.
const NAME: &str = "oc-quay-setup";

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// The command that grants a user what is lacking, with the objects that it reads: a ClusterRole for what is in no namespace or
/// in all of them, a Role for each other namespace, and a binding for each.
pub(super) fn command(lacking: &[ResourceAttributes], user: &str) -> String {
    let objects = objects(lacking, user).into_iter();
    let documents: Vec<_> = objects
        .map(|object| object.iter().map(|(key, value)| line(key, value)).collect::<String>())
        .collect();
    format!("oc auth reconcile -f - <<'EOF'\n{}EOF", documents.join("---\n"))
}

/// A field in YAML, whose values are written as JSON; a list has a line for each item.
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
    for right in lacking {
        by_namespace.entry(right.namespace.as_deref()).or_default().push(right);
    }
    let granted = by_namespace.into_iter().flat_map(|(namespace, rights)| {
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
            object(role, vec![("rules", json!(rules(&rights)))]),
            object(binding, vec![("roleRef", role_ref), ("subjects", json!([subject]))]),
        ]
    });
    granted.collect()
}

/// A rule for each kind of objects, or for each object.
fn rules(rights: &[&ResourceAttributes]) -> Vec<Value> {
    let mut verbs: BTreeMap<(&str, &str, Option<&str>), Vec<&str>> = BTreeMap::new();
    for right in rights {
        let of_object =
            verbs.entry((right.group, right.resource, right.name.as_deref())).or_default();
        if !of_object.contains(&right.verb) {
            of_object.push(right.verb);
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
    fn grants_what_is_lacking_and_no_more() {
        let right = |verb, group, resource, namespace: Option<&str>, name: Option<&str>| {
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
            right("list", "quay.redhat.com", "quayintegrations", None, None),
            right("get", "", "secrets", secrets, Some("quay-integration")),
            right("create", "quay.redhat.com", "quayintegrations", None, None),
            right("create", "", "secrets", secrets, None),
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
