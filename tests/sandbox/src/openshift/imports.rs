//! The result and the effect of an ImageStreamImport: the rules of openshift-apiserver
//! (`pkg/image/apiserver/registry/imagestreamimport/rest.go`) with the texts measured on OpenShift
//! 4.21. Pure except for the registry, so that any store of objects can use them.

use serde_json::{Value, json};

use super::{credentials, meta};
use crate::quay::{NotPulled, Pulled, Quay};

/// The configuration of a namespace and its cluster for an import.
pub struct Surroundings<'a> {
    /// The secrets of the namespace, whatever their types.
    pub secrets: Vec<&'a Value>,
    /// Certificate authorities by registry, as the ConfigMap has them that the image configuration names.
    pub authorities: Value,
}

/// The result of each image of a request, in its order. Images of other registries than `quay` are as good as absent.
pub fn results(
    quay: Option<&Quay>,
    surroundings: &Surroundings<'_>,
    request: &Value,
) -> Vec<Value> {
    let images = request["spec"]["images"].as_array().into_iter().flatten();
    images.map(|image| result(quay, surroundings, image)).collect()
}

fn result(quay: Option<&Quay>, surroundings: &Surroundings<'_>, image: &Value) -> Value {
    let name = image["from"]["name"].as_str().unwrap_or_default();
    let tag = tag_of(image);
    let Some((quay, path)) =
        quay.and_then(|quay| Some((quay, name.strip_prefix(&quay.host())?.strip_prefix('/')?)))
    else {
        return failure(404, "NotFound", &missing(name), tag);
    };
    let host = quay.host();
    if image["importPolicy"]["insecure"] != true && !is_trusted(&surroundings.authorities, &host) {
        let why =
            "tls: failed to verify certificate: x509: certificate signed by unknown authority";
        let message = format!("Internal error occurred: {host}: Get \"https://{host}/v2/\": {why}");
        return failure(500, "InternalError", &message, tag);
    }
    let (path, reference) = split_reference(path);
    let credential = credentials::first_credential(&surroundings.secrets, name);
    let credential = credential
        .as_ref()
        .map(|credential| (credential.user.as_str(), credential.password.as_str()));
    match quay.pull(path, reference, credential) {
        Ok(pulled) => success(&host, path, &pulled, tag),
        Err(NotPulled::Unknown) => failure(404, "NotFound", &missing(name), tag),
        Err(NotPulled::Unauthorized) => {
            let message = format!("you may not have access to the container image \"{name}\"");
            failure(401, "Unauthorized", &message, tag)
        }
    }
}

fn tag_of(image: &Value) -> &str {
    image["to"]["name"].as_str().unwrap_or("latest")
}

fn missing(name: &str) -> String {
    format!("dockerimage.image.openshift.io \"{name}\" not found")
}

fn failure(code: u16, reason: &str, message: &str, tag: &str) -> Value {
    let status = json!({"metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code});
    json!({"status": status, "tag": tag})
}

fn success(host: &str, path: &str, pulled: &Pulled, tag: &str) -> Value {
    json!({
        "status": {"metadata": {}, "status": "Success"},
        "tag": tag,
        "image": {
            "metadata": {"name": pulled.digest, "annotations": {"image.openshift.io/dockerLayersOrder": "ascending"}},
            "dockerImageReference": format!("{host}/{path}@{}", pulled.digest),
            "dockerImageMetadata": {"Size": pulled.size},
            "dockerImageManifestMediaType": pulled.media_type,
        },
    })
}

/// A name with its tag or digest; without either it is `latest`.
fn split_reference(path: &str) -> (&str, &str) {
    path.split_once('@').or_else(|| path.rsplit_once(':')).unwrap_or((path, "latest"))
}

/// True if there is an authority for a registry; a port follows two dots, as keys cannot contain a
/// colon.
fn is_trusted(authorities: &Value, host: &str) -> bool {
    authorities[host.replace(':', "..")].is_string()
}

/// Records the results of a request with `import: true` in its image stream, as they were imported or failed.
pub fn record(stream: &mut Value, request: &Value, results: &[Value]) {
    let generation = stream["metadata"]["generation"].as_u64().unwrap_or_default() + 1;
    let spec_before = stream["spec"].clone();
    let images = request["spec"]["images"].as_array().into_iter().flatten();
    for (image, result) in images.zip(results) {
        match result["status"]["status"] == "Success" {
            true => succeeded(stream, image, result, generation),
            false => failed(stream, image, &result["status"], generation),
        }
    }
    if stream["spec"] != spec_before {
        stream["metadata"]["generation"] = json!(generation);
    }
}

/// Where the image is another one, or the tag was changed since, the tag follows what was imported and has it as its
/// newest item. An existing reference policy of a tag is kept; its import policy never is.
fn succeeded(stream: &mut Value, image: &Value, result: &Value, generation: u64) {
    let tag = tag_of(image);
    let item = json!({
        "created": meta::now(),
        "dockerImageReference": result["image"]["dockerImageReference"],
        "image": result["image"]["metadata"]["name"],
        "generation": generation,
    });
    let mut status =
        find(&stream["status"]["tags"], "tag", tag).cloned().unwrap_or_else(|| json!({"tag": tag}));
    let before = find(&stream["spec"]["tags"], "name", tag);
    let newest = &status["items"][0];
    let is_same = ["dockerImageReference", "image"]
        .iter()
        .all(|field| newest[field] == item[field])
        && before.is_some_and(|spec| spec["generation"].as_u64() <= newest["generation"].as_u64());
    let mut spec = before.cloned().unwrap_or_else(|| json!({"name": tag}));
    if !is_same {
        spec["from"] = image["from"].clone();
        spec["generation"] = json!(generation);
        if spec["referencePolicy"]["type"].is_null() {
            spec["referencePolicy"] = reference_policy(image);
        }
        let mut items = status["items"].as_array().cloned().unwrap_or_default();
        items.insert(0, item);
        status["items"] = Value::Array(items);
    }
    spec["importPolicy"] = image["importPolicy"].clone();
    if let Some(status) = status.as_object_mut() {
        status.remove("conditions");
    }
    set(&mut stream["spec"]["tags"], "name", tag, spec);
    set(&mut stream["status"]["tags"], "tag", tag, status);
}

/// An existing tag changes only its condition; a new one follows the image from now on.
fn failed(stream: &mut Value, image: &Value, failure: &Value, generation: u64) {
    let tag = tag_of(image);
    let status = find(&stream["status"]["tags"], "tag", tag).cloned();
    let is_reported = |condition: &Value| {
        condition["status"] == "False"
            && ["reason", "message"].iter().all(|field| condition[field] == failure[field])
    };
    let conditions = status.as_ref().and_then(|status| status["conditions"].as_array());
    if !conditions.into_iter().flatten().any(is_reported) {
        let condition = json!({
            "type": "ImportSuccess", "status": "False", "reason": failure["reason"], "message": failure["message"],
            "lastTransitionTime": meta::now(), "generation": generation,
        });
        let items = status.map_or(Value::Null, |mut status| status["items"].take());
        set(
            &mut stream["status"]["tags"],
            "tag",
            tag,
            json!({"tag": tag, "items": items, "conditions": [condition]}),
        );
    }
    if find(&stream["spec"]["tags"], "name", tag).is_none() {
        let spec = json!({
            "name": tag,
            "from": image["from"],
            "importPolicy": image["importPolicy"],
            "referencePolicy": reference_policy(image),
            "generation": generation,
        });
        set(&mut stream["spec"]["tags"], "name", tag, spec);
    }
}

fn reference_policy(image: &Value) -> Value {
    match image["referencePolicy"]["type"].as_str() {
        Some(kind) if !kind.is_empty() => json!({"type": kind}),
        _ => json!({"type": "Source"}),
    }
}

fn find<'a>(list: &'a Value, key: &str, value: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| item[key] == value)
}

/// Replaces the item of a list whose `key` is `value`, or appends it.
fn set(list: &mut Value, key: &str, value: &str, item: Value) {
    let mut items = list.as_array().cloned().unwrap_or_default();
    match items.iter_mut().find(|old| old[key] == value) {
        Some(old) => *old = item,
        None => items.push(item),
    }
    *list = Value::Array(items);
}
