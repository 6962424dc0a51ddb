//! CustomResourceDefinitions. The cluster serves the kind QuayIntegration while its definition exists; the other
//! kinds of that sort are simply there.

use serde_json::{Value, json};

use super::kinds::{self, DEFINITION, Kind, QUAY_INTEGRATION};
use super::store::Store;
use super::{meta, schemas};

/// Keeps a definition until its objects are gone (apiextensions-apiserver `pkg/apis/apiextensions/v1/types.go`).
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The name of the QuayIntegration's definition.
pub const QUAY_INTEGRATIONS: &str = "quayintegrations.quay.redhat.com";

/// The definition of the QuayIntegration as the operator brings it.
pub fn quay_integrations() -> Value {
    let kind = QUAY_INTEGRATION;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": QUAY_INTEGRATIONS },
        "spec": {
            "group": kind.group,
            "scope": "Cluster",
            "names": {
                "kind": kind.kind,
                "listKind": format!("{}List", kind.kind),
                "plural": kind.plural,
                "singular": kind.kind.to_lowercase(),
            },
            "versions": [{
                "name": kind.version,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": schemas::openapi_schema(kind.group, kind.kind) },
                "subresources": { "status": {} },
            }],
        },
    })
}

/// True if a definition has taken effect.
pub fn is_established(definition: &Value) -> bool {
    has_condition(definition, "Established")
}

/// True if the objects of a definition are being removed: no new ones are accepted.
pub(crate) fn is_terminating(definition: &Value) -> bool {
    has_condition(definition, "Terminating")
}

fn has_condition(definition: &Value, kind: &str) -> bool {
    let mut conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// The definition of a kind that is served only while it exists.
pub(crate) fn find<'a>(store: &'a Store, group: &str) -> Option<&'a Value> {
    let definition =
        (group == QUAY_INTEGRATION.group).then(|| store.get(DEFINITION, "", QUAY_INTEGRATIONS));
    definition.flatten().map(|definition| &**definition)
}

/// The first effect of a delete on a definition (apiextensions-apiserver
/// `pkg/registry/customresourcedefinition/etcd.go`).
pub(crate) fn mark_for_deletion(definition: &mut Value) {
    let mut finalizers: Vec<Value> = meta::finalizers(definition).map(|each| json!(each)).collect();
    if !finalizers.contains(&json!(CLEANUP)) {
        finalizers.push(json!(CLEANUP));
    }
    definition["metadata"]["finalizers"] = Value::Array(finalizers);
    let message =
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    let terminating = condition("Terminating", "InstanceDeletionPending", message);
    match definition["status"]["conditions"].as_array_mut() {
        Some(conditions) => conditions.push(terminating),
        None => definition["status"]["conditions"] = json!([terminating]),
    }
}

/// Advances the definitions: new ones take effect, deleted ones are removed with their objects.
pub(crate) fn reconcile(store: &mut Store) {
    let definitions: Vec<_> = store.list(DEFINITION, None).cloned().collect();
    for definition in &definitions {
        if meta::is_deleting(definition) {
            finish(store, definition);
        } else if !is_established(definition) {
            let mut established = Value::clone(definition);
            establish(&mut established);
            store.write(DEFINITION, established);
        }
    }
}

pub(crate) fn establish(definition: &mut Value) {
    let spec = &definition["spec"];
    let stored = spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["storage"] == true);
    definition["status"] = json!({
        "acceptedNames": spec["names"],
        "storedVersions": stored.map(|version| &version["name"]).collect::<Vec<_>>(),
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
    });
}

fn condition(kind: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": meta::now(),
    })
}

/// Removes the objects of a definition, and the definition when none is left.
fn finish(store: &mut Store, definition: &Value) {
    if let Some(kind) = defined(definition) {
        let objects: Vec<_> = store.list(kind, None).cloned().collect();
        for object in objects {
            let (namespace, name) = (meta::namespace(&object), meta::name(&object));
            if meta::is_finalized(&object) {
                store.remove(kind, namespace, name);
            } else if !meta::is_deleting(&object) {
                let mut marked = Value::clone(&object);
                marked["metadata"]["deletionTimestamp"] = json!(meta::now());
                marked["metadata"]["deletionGracePeriodSeconds"] = json!(0);
                store.write(kind, marked);
            }
        }
        if store.list(kind, None).next().is_some() {
            return;
        }
    }
    let mut cleaned = definition.clone();
    let others: Vec<&str> = meta::finalizers(definition).filter(|each| *each != CLEANUP).collect();
    cleaned["metadata"]["finalizers"] = json!(others);
    match meta::is_finalized(&cleaned) {
        true => drop(store.remove(DEFINITION, "", meta::name(definition))),
        false if cleaned != *definition => drop(store.write(DEFINITION, cleaned)),
        false => {}
    }
}

fn defined(definition: &Value) -> Option<&'static Kind> {
    let kind = kinds::named(definition["spec"]["names"]["kind"].as_str()?)?;
    (definition["spec"]["group"] == kind.group && kind.custom).then_some(kind)
}
