//! Functions of OpenShift's API server beyond CustomResourceDefinitions: instantiation of
//! BuildConfigs, and imports, with the sandbox's rules.

use std::sync::Arc;

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use sandbox::openshift::builds::{self, Client as _};
use sandbox::openshift::imports::{self, Surroundings};
use serde_json::{Value, json};

use crate::api::Api;
use crate::proxy::{Answer, Upstream, forward, json_response};

/// For `oc start-build`. kube-apiserver does not serve this subresource, but it checks the
/// permission.
pub(crate) async fn instantiate(
    State(upstream): State<Arc<Upstream>>,
    Path((namespace, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let answer =
        forward(State(Arc::clone(&upstream)), Method::POST, uri, headers, body.clone()).await?;
    if answer.status() != StatusCode::NOT_FOUND {
        return Ok(answer);
    }
    let path = format!("/apis/build.openshift.io/v1/namespaces/{namespace}");
    let config_path = format!("{path}/buildconfigs/{name}");
    let Some(config) = upstream.api.get(&config_path).await? else {
        let message = format!("buildconfigs.build.openshift.io \"{name}\" not found");
        return Ok(rejection(404, "NotFound", &message));
    };
    let request = serde_json::from_slice(&body)?;
    let (counted, build) = match builds::instantiate(&config, &request) {
        Ok(made) => made,
        Err(message) => return Ok(rejection(400, "BadRequest", &message)),
    };
    upstream.api.replace(&config_path, &counted).await?;
    let (status, build) =
        upstream.api.call("POST", &format!("{path}/builds"), Some(&build)).await?;
    Ok(json_response(status, &build))
}

/// An ImageStreamImport. A dry run on kube-apiserver checks permissions and validity first.
pub(crate) async fn import(
    State(upstream): State<Arc<Upstream>>,
    Path(namespace): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let tried = format!("{}?dryRun=All", uri.path());
    let answer = upstream.send(Method::POST, &tried, &headers, body.clone()).await?;
    if !answer.status().is_success() {
        let status = answer.status().as_u16();
        return Ok(json_response(status, &answer.json().await?));
    }
    let mut request: Value = serde_json::from_slice(&body)?;
    let name = request["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let api = &upstream.api;
    let path = format!("/apis/image.openshift.io/v1/namespaces/{namespace}/imagestreams");
    let stream = api.get(&format!("{path}/{name}")).await?;
    let version = request["metadata"]["resourceVersion"].clone();
    match &stream {
        None if version.is_string() => {
            return Ok(rejection(
                404,
                "NotFound",
                &format!("imagestreams.image.openshift.io \"{name}\" not found"),
            ));
        }
        Some(stream) if version.is_string() && version != stream["metadata"]["resourceVersion"] => {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            let message = format!(
                "Operation cannot be fulfilled on imagestreams.image.openshift.io \"{name}\": {why}"
            );
            return Ok(rejection(409, "Conflict", &message));
        }
        _ => {}
    }
    let secrets = api.list(&format!("/api/v1/namespaces/{namespace}/secrets")).await?;
    let surroundings =
        Surroundings { secrets: secrets.iter().collect(), authorities: authorities(api).await? };
    let results = imports::results(upstream.quay.as_ref(), &surroundings, &request);
    if request["spec"]["import"] == true {
        let stream = match stream {
            Some(stream) => stream,
            None => {
                let new = json!({ "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": { "name": name } });
                api.create(&path, &new).await?
            }
        };
        let mut updated = stream.clone();
        imports::record(&mut updated, &request, &results);
        request["status"]["import"] =
            write(api, &format!("{path}/{name}"), &stream, updated).await?;
    }
    request["status"]["images"] = json!(results);
    Ok(json_response(201, &request))
}

/// By registry.
async fn authorities(api: &Api) -> Result<Value> {
    let configuration =
        api.get("/apis/config.openshift.io/v1/images/cluster").await?.unwrap_or_default();
    let Some(name) = configuration["spec"]["additionalTrustedCA"]["name"]
        .as_str()
        .filter(|name| !name.is_empty())
    else {
        return Ok(Value::Null);
    };
    let map = api.get(&format!("/api/v1/namespaces/openshift-config/configmaps/{name}")).await?;
    Ok(map.map_or(Value::Null, |mut map| map["data"].take()))
}

/// Updates spec and status, each if changed.
async fn write(api: &Api, path: &str, stream: &Value, updated: Value) -> Result<Value> {
    let mut stored = stream.clone();
    if updated["spec"] != stream["spec"] {
        stored = api.replace(path, &updated).await?;
    }
    if updated["status"] != stream["status"] {
        stored["status"] = updated["status"].clone();
        stored = api.replace(&format!("{path}/status"), &stored).await?;
    }
    Ok(stored)
}

fn rejection(code: u16, reason: &str, message: &str) -> axum::http::Response<axum::body::Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code,
    });
    json_response(code, &status)
}
