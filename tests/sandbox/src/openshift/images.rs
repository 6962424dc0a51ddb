//! ImageStreamImport: a request that is never stored, and what it leaves in the image stream.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api_errors::Rejection;
use super::imports::{self, Surroundings};
use super::kinds::{self, IMAGE_CONFIG, IMAGE_STREAM, SECRET};
use super::store::Store;
use super::{Cluster, meta, strategy, validate, verbs};
use crate::quay::Quay;

/// Answers an import.
///
/// # Errors
/// 500 without `images.config.openshift.io/cluster`, 409 for a stale `metadata.resourceVersion`, 404 for one while
/// the stream is absent.
pub(crate) fn import(
    store: &mut Store,
    cluster: &Cluster,
    quay: Option<&Quay>,
    target: &verbs::Target<'_>,
    mut request: Value,
) -> Result<Value, Rejection> {
    let (namespace, name) = (target.namespace, meta::name(&request).to_owned());
    let Some(configuration) = store.get(IMAGE_CONFIG, "", "cluster").cloned() else {
        return Err(Rejection::internal("images.config.openshift.io \"cluster\" not found"));
    };
    verbs::check_namespace(store, target.kind, namespace, &name)?;
    validate::validate(target.kind, None, &request)?;
    let stream = store.get(IMAGE_STREAM, namespace, &name).cloned();
    let version = meta::resource_version(&request);
    match &stream {
        None if !version.is_empty() => return Err(Rejection::not_found(IMAGE_STREAM, &name)),
        Some(stream) if !version.is_empty() && version != meta::resource_version(stream) => {
            return Err(Rejection::modified(IMAGE_STREAM, &name));
        }
        _ => {}
    }

    let secrets: Vec<Arc<Value>> = store.list(SECRET, Some(namespace)).cloned().collect();
    let surroundings = Surroundings {
        secrets: secrets.iter().map(|secret| &**secret).collect(),
        authorities: authorities(store, &configuration),
    };
    let results = imports::results(quay, &surroundings, &request);
    if request["spec"]["import"] == true && !target.dry_run {
        let mut updated =
            stream.as_deref().cloned().unwrap_or_else(|| new_stream(cluster, namespace, &name));
        imports::record(&mut updated, &request, &results);
        let stored = match stream {
            Some(stream) if *stream == updated => stream,
            _ => store.write(IMAGE_STREAM, updated),
        };
        request["status"]["import"] = Value::clone(&stored);
    }
    request["status"]["images"] = json!(results);
    request["metadata"]["namespace"] = json!(namespace);
    request["metadata"]["creationTimestamp"] = json!(meta::now());
    Ok(request)
}

/// The ConfigMap with the certificate authorities that the image configuration names, by registry.
fn authorities(store: &Store, configuration: &Value) -> Value {
    let name = configuration["spec"]["additionalTrustedCA"]["name"].as_str().unwrap_or_default();
    let found =
        kinds::named("ConfigMap").and_then(|kind| store.get(kind, "openshift-config", name));
    found.map_or(Value::Null, |found| found["data"].clone())
}

/// A stream that the import creates: what it records makes it the first generation.
fn new_stream(cluster: &Cluster, namespace: &str, name: &str) -> Value {
    let mut stream = json!({"metadata": {"name": name, "namespace": namespace}});
    strategy::prepare_create(cluster, IMAGE_STREAM, &mut stream);
    stream["metadata"]["generation"] = json!(0);
    stream
}

/// The layers of the images of a stream (`ImageStreamLayers`): here one layer for each. As on a
/// real OpenShift 4.21, the size of manifests and configurations is null.
pub(crate) fn layers(stream: &Value) -> Value {
    const LAYER_BYTES: u64 = 10 << 20;
    let mut layers = json!({"kind": "ImageStreamLayers", "apiVersion": "image.openshift.io/v1", "metadata": stream["metadata"]});
    let tags = stream["status"]["tags"].as_array().into_iter().flatten();
    for image in tags
        .flat_map(|tag| tag["items"].as_array().into_iter().flatten())
        .filter_map(|item| item["image"].as_str())
    {
        let layer = format!("{image}-layer");
        layers["blobs"][&layer] = json!({"size": LAYER_BYTES, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"});
        let config = format!("{image}-config");
        layers["blobs"][&config] =
            json!({"size": null, "mediaType": "application/vnd.oci.image.config.v1+json"});
        layers["blobs"][image] =
            json!({"size": null, "mediaType": "application/vnd.oci.image.manifest.v1+json"});
        layers["images"][image] = json!({"layers": [layer], "config": config});
    }
    layers
}
