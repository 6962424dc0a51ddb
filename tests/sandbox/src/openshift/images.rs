//! ImageStreamImport: a request that is never stored, and what it leaves in the image stream.

use serde_json::{Value, json};

use super::kinds::{IMAGE_CONFIG, IMAGE_STREAM};
use super::refusal::Refusal;
use super::store::Store;
use super::{Cluster, meta, strategy, validate, verbs};

/// Answers an import. No registry is behind this cluster, so every image in it fails as one that does not exist; the
/// request itself succeeds all the same (measured on OpenShift 4.21).
///
/// # Errors
/// 500 without `images.config.openshift.io/cluster`, 409 for a stale `metadata.resourceVersion`, 404 for one while
/// the stream is absent.
pub(crate) fn import(
    store: &mut Store,
    cluster: &Cluster,
    target: &verbs::Target<'_>,
    mut request: Value,
) -> Result<Value, Refusal> {
    let (namespace, name) = (target.namespace, meta::name(&request).to_owned());
    if store.get(IMAGE_CONFIG, "", "cluster").is_none() {
        return Err(Refusal::internal("images.config.openshift.io \"cluster\" not found"));
    }
    verbs::check_namespace(store, target.kind, namespace, &name)?;
    validate::validate(target.kind, None, &request)?;
    let stream = store.get(IMAGE_STREAM, namespace, &name).cloned();
    let version = meta::resource_version(&request);
    match &stream {
        None if !version.is_empty() => return Err(Refusal::not_found(IMAGE_STREAM, &name)),
        Some(stream) if !version.is_empty() && version != meta::resource_version(stream) => {
            return Err(Refusal::modified(IMAGE_STREAM, &name));
        }
        _ => {}
    }

    let images = request["spec"]["images"].as_array().cloned().unwrap_or_default();
    let results: Vec<Value> = images.iter().map(failure).collect();
    if request["spec"]["import"] == true && !target.dry_run {
        let mut updated = stream.as_deref().cloned().unwrap_or_else(|| new_stream(cluster, namespace, &name));
        for (image, result) in images.iter().zip(&results) {
            record(&mut updated, image, &result["status"]);
        }
        store.write(IMAGE_STREAM, updated.clone());
        request["status"]["import"] = updated;
    }
    request["status"]["images"] = json!(results);
    request["metadata"]["namespace"] = json!(namespace);
    request["metadata"]["creationTimestamp"] = json!(meta::now());
    Ok(request)
}

fn failure(image: &Value) -> Value {
    let name = image["from"]["name"].as_str().unwrap_or_default();
    let message = format!("dockerimage.image.openshift.io \"{name}\" not found");
    let status = json!({"metadata": {}, "status": "Failure", "message": message, "reason": "NotFound", "code": 404});
    json!({"status": status, "tag": image["to"]["name"].as_str().unwrap_or("latest")})
}

fn new_stream(cluster: &Cluster, namespace: &str, name: &str) -> Value {
    let mut stream = json!({"metadata": {"name": name, "namespace": namespace}});
    strategy::prepare_create(cluster, IMAGE_STREAM, &mut stream);
    stream
}

/// Adds the tag to the spec, and the failure to the tag's conditions.
fn record(stream: &mut Value, image: &Value, failure: &Value) {
    let tag = image["to"]["name"].as_str().unwrap_or("latest");
    let now = meta::now();
    let spec = json!({
        "name": tag,
        "from": image["from"],
        "importPolicy": image["importPolicy"],
        "referencePolicy": image["referencePolicy"],
        "generation": 1,
    });
    set(&mut stream["spec"]["tags"], "name", tag, spec);
    let condition = json!({
        "type": "ImportSuccess", "status": "False", "reason": failure["reason"], "message": failure["message"],
        "lastTransitionTime": now, "generation": 1,
    });
    let old = stream["status"]["tags"].as_array().into_iter().flatten().find(|old| old["tag"] == tag);
    let items = old.map_or(Value::Null, |old| old["items"].clone());
    let status = json!({"tag": tag, "items": items, "conditions": [condition]});
    set(&mut stream["status"]["tags"], "tag", tag, status);
}

/// Replaces the item of a list whose `key` is `value`, or appends it.
fn set(list: &mut Value, key: &str, value: &str, item: Value) {
    let mut items = list.as_array().cloned().unwrap_or_default();
    items.retain(|old| old[key] != value);
    items.push(item);
    *list = Value::Array(items);
}
