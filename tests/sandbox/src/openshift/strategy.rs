//! Defaults, kept and dropped fields of created and updated objects, by kind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Cluster;
use super::builds::strategy as builds;
use super::kinds::{BUILD, Kind};
use super::meta;
use super::{schemas, webhooks};

/// The fields of ObjectMeta.
const METADATA: [&str; 14] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// Fills in a new object.
pub(crate) fn prepare_create(cluster: &Cluster, kind: &Kind, object: &mut Value) {
    let metadata = &mut object["metadata"];
    metadata["uid"] = json!(meta::uid());
    metadata["creationTimestamp"] = json!(meta::now());
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        metadata[field] = Value::Null;
    }
    if counts_generations(kind) {
        metadata["generation"] = json!(1);
    }
    if kind.status {
        object["status"] = Value::Null;
    }
    match kind.kind {
        "Namespace" => {
            let name = meta::name(object).to_owned();
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        "ImageStream" => {
            object["spec"]["lookupPolicy"]["local"] =
                json!(object["spec"]["lookupPolicy"]["local"].as_bool().unwrap_or_default());
            object["status"]["dockerImageRepository"] = json!(repository(cluster, object));
        }
        "Build" if *kind == *BUILD => builds::prepare_build(object),
        "BuildConfig" => builds::prepare_config(object),
        _ => {}
    }
    normalize(kind, object);
}

/// Completes an update: keeps the server's fields, and through `/status` changes only the status.
pub(crate) fn prepare_update(kind: &Kind, old: &Value, object: &mut Value, is_status: bool) {
    if is_status {
        let status = object["status"].take();
        *object = old.clone();
        object["status"] = status;
    } else if kind.status {
        object["status"] = old["status"].clone();
    }
    if kind.kind == "Namespace" {
        object["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
        let name = old["metadata"]["name"].clone();
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    }
    let kept = &old["metadata"];
    let metadata = &mut object["metadata"];
    for field in
        ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        metadata[field] = kept[field].clone();
    }
    for field in ["uid", "namespace"] {
        if metadata[field].is_null() {
            metadata[field] = kept[field].clone();
        }
    }
    match kind.kind {
        "Build" if *kind == *BUILD => builds::prepare_build_update(old, object),
        "BuildConfig" => builds::prepare_config_update(old, object),
        _ => {}
    }
    normalize(kind, object);
    if counts_generations(kind) && object["spec"] != old["spec"] {
        object["metadata"]["generation"] =
            json!(kept["generation"].as_u64().unwrap_or_default() + 1);
    }
}

/// `metadata.generation` counts the changes of the spec, where a status reports the observed one.
fn counts_generations(kind: &Kind) -> bool {
    kind.status && kind.kind != "Namespace"
}

/// Where the internal registry serves a stream; empty when there is no internal registry.
fn repository(cluster: &Cluster, stream: &Value) -> String {
    match cluster.internal_registry {
        true => format!(
            "{}/{}/{}",
            super::INTERNAL_REGISTRY,
            meta::namespace(stream),
            meta::name(stream)
        ),
        false => String::new(),
    }
}

/// Brings an object into the form in which the server's types write it: no nulls, no empty lists and maps where Go's
/// `omitempty` leaves them out. So the last pull secret takes the list `imagePullSecrets` with it.
fn normalize(kind: &Kind, object: &mut Value) {
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    match kind.kind {
        "Secret" => normalize_secret(object),
        "MutatingWebhookConfiguration" => webhooks::complete(object),
        _ => {}
    }
    drop_nulls(object);
    drop_unknown(kind, object);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        drop_empty(metadata, &[]);
    }
    if !kind.custom
        && let Some(fields) = object.as_object_mut()
    {
        drop_empty(fields, &["spec", "status"]);
    }
}

fn normalize_secret(secret: &mut Value) {
    if secret["type"].as_str().unwrap_or_default().is_empty() {
        secret["type"] = json!("Opaque");
    }
    if let Value::Object(texts) = secret["stringData"].take() {
        for (key, text) in texts {
            secret["data"][key] = json!(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
}

/// Drops the fields that the server's types and schemas do not have. A real one does so silently, too; kinds that
/// are not named here keep everything.
fn drop_unknown(kind: &Kind, object: &mut Value) {
    retain(object.get_mut("metadata"), &METADATA);
    if kind.custom {
        let mut schema = schemas::openapi_schema(kind.group, kind.kind);
        for field in ["apiVersion", "kind", "metadata"] {
            schema["properties"][field] = json!({});
        }
        schemas::prune(&schema, object);
        return;
    }
    let known: &[&str] = match kind.kind {
        "ServiceAccount" => &["automountServiceAccountToken", "imagePullSecrets", "secrets"],
        "Secret" => &["data", "immutable", "type"],
        "ConfigMap" => &["binaryData", "data", "immutable"],
        "Namespace" | "ImageStream" | "Build" | "BuildConfig" => &["spec", "status"],
        _ => return,
    };
    retain(Some(object), &[known, &["apiVersion", "kind", "metadata"]].concat());
    if kind.kind == "ServiceAccount" {
        let references =
            object.get_mut("imagePullSecrets").and_then(Value::as_array_mut).into_iter().flatten();
        references.for_each(|reference| retain(Some(reference), &["name"]));
    }
}

fn retain(map: Option<&mut Value>, known: &[&str]) {
    if let Some(map) = map.and_then(Value::as_object_mut) {
        map.retain(|key, _| known.contains(&key.as_str()));
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn drop_empty(map: &mut Map<String, Value>, keep: &[&str]) {
    map.retain(|key, value| match value {
        Value::Object(map) => !map.is_empty() || keep.contains(&key.as_str()),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    });
}
