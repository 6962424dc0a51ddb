//! The cluster objects of a plan as YAML, for GitOps. A secret's value is never in it.

use serde_json::{Value, json};

use crate::domain::change::Change;
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL, ROLE_ANNOTATION, secret_annotations};
use crate::domain::snapshot::NamespaceSnapshot;

use super::serialize;

/// Placeholder of the secret's value. The API server rejects it, so that it cannot be applied by mistake.
const PLACEHOLDER: &str = "the docker configuration with the robot account's token";

/// The created and changed secrets and service accounts of the plans as a YAML stream.
///
/// # Errors
/// If serialization fails, which is a bug.
pub fn manifests<'a>(
    plans: impl Iterator<Item = (&'a NamespaceSnapshot, &'a [Change])>,
) -> anyhow::Result<String> {
    let objects = plans.flat_map(|(snapshot, changes)| {
        changes.iter().filter_map(|change| object(snapshot, change))
    });
    stream(objects)
}

/// Objects as one YAML stream.
///
/// # Errors
/// If serialization fails, which is a bug.
pub fn stream(objects: impl Iterator<Item = Value>) -> anyhow::Result<String> {
    let documents: Vec<_> =
        objects.map(|object| serialize::yaml(&object)).collect::<anyhow::Result<_>>()?;
    Ok(documents.iter().map(|document| format!("---\n{document}")).collect())
}

/// Objects as one JSON List.
///
/// # Errors
/// If serialization fails, which is a bug.
pub fn list(objects: impl Iterator<Item = Value>) -> anyhow::Result<String> {
    serialize::json(
        &json!({ "apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>() }),
    )
}

fn object(snapshot: &NamespaceSnapshot, change: &Change) -> Option<Value> {
    match change {
        Change::CreateSecret { namespace, secret, .. }
        | Change::UpdateSecret { namespace, secret, .. }
        | Change::ReplaceSecret { namespace, secret, .. } => {
            let mut metadata = json!({ "name": secret, "namespace": namespace, "labels": { MANAGED_BY_LABEL: MANAGED_BY } });
            let annotations = secret_annotations(secret);
            if !annotations.is_empty() {
                metadata["annotations"] = json!(annotations);
            }
            Some(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata,
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": { ".dockerconfigjson": PLACEHOLDER },
            }))
        }
        Change::EditServiceAccount { namespace, service_account, edit } => {
            let account = snapshot.service_account(service_account)?;
            let list = |present: &[String], add: Option<bool>| -> Vec<Value> {
                let added = (add == Some(true)).then_some(&edit.secret);
                present.iter().chain(added).map(|name| json!({ "name": name })).collect()
            };
            let mut metadata = json!({ "name": service_account, "namespace": namespace });
            if let Some(Some(role)) = edit.role {
                metadata["annotations"] = json!({ ROLE_ANNOTATION: role });
            }
            Some(json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": metadata,
                "secrets": list(&account.mountable, edit.mountable),
                "imagePullSecrets": list(&account.pull, edit.pull),
            }))
        }
        _ => None,
    }
}
