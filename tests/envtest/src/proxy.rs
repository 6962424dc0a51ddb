//! A proxy with the sandbox's log and fault rules in front of the real API server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as PathOf, RawQuery, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use base64::Engine;
use futures::future::join_all;
use reqwest::Client;
use sandbox::openshift;
use sandbox::quay::Quay;
use sandbox::tls::Authority;
use sandbox::traffic::{Server, Traffic, serve};
use serde_json::{Value, json};

use crate::aggregated::{import, instantiate};
use crate::api::{Api, http_client};
use crate::{USERS, token};

/// A TLS server that forwards and logs requests. Stops on drop, and with its [`crate::Envtest`].
pub struct Proxy {
    /// `https://127.0.0.1:<port>`
    pub url: String,
    /// Log, fault rules and latency.
    pub traffic: Traffic,
    /// The kubeconfig with the contexts `admin` (current), `dev` and `guest`, as the sandbox's.
    pub kubeconfig: PathBuf,
    _server: Server,
}

impl Proxy {
    pub(crate) async fn start(
        url: &str,
        ca_pem: &str,
        api: &Api,
        quay: Option<&Quay>,
        dir: &Path,
    ) -> Result<Proxy> {
        let upstream = Upstream {
            http: http_client(ca_pem)?,
            url: url.to_owned(),
            api: api.clone(),
            quay: quay.cloned(),
        };
        let router = Router::new()
            .route("/apis/project.openshift.io/v1/projects", get(projects))
            .route("/apis/project.openshift.io/v1/projects/{name}", get(project))
            .route("/apis/build.openshift.io/v1/namespaces/{namespace}/buildconfigs/{name}/instantiate", post(instantiate))
            .route("/apis/image.openshift.io/v1/namespaces/{namespace}/imagestreamimports", post(import))
            .fallback(forward)
            .with_state(Arc::new(upstream));
        let authority = Authority::new()?;
        let traffic = Traffic::default();
        let server = serve(
            router,
            openshift::classify,
            authority.server_config(false, false)?,
            traffic.clone(),
        )
        .await?;
        let kubeconfig = dir.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_for(&server.url, authority.pem()).to_string())
            .with_context(|| format!("cannot write {}", kubeconfig.display()))?;
        Ok(Proxy { url: server.url.clone(), traffic, kubeconfig, _server: server })
    }
}

/// JSON is valid YAML.
fn kubeconfig_for(url: &str, ca_pem: &str) -> Value {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    let users = USERS.map(|(user, _)| json!({ "name": user, "user": { "token": token(user) } }));
    let contexts = USERS.map(|(user, _)| {
        let namespace = if user == "admin" { "default" } else { "myproj" };
        json!({ "name": user, "context": { "cluster": "envtest", "user": user, "namespace": namespace } })
    });
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "envtest", "cluster": { "server": url, "certificate-authority-data": ca } }],
        "users": users,
        "contexts": contexts,
        "current-context": "admin",
    })
}

/// Connections of the handlers.
pub(crate) struct Upstream {
    http: Client,
    url: String,
    /// Administrator's client.
    pub(crate) api: Api,
    /// Source of imports.
    pub(crate) quay: Option<Quay>,
}

impl Upstream {
    /// Sends a request with the caller's headers and identity.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> reqwest::Result<reqwest::Response> {
        let mut headers = headers.clone();
        for name in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            headers.remove(name);
        }
        self.http
            .request(method, format!("{}{path}", self.url))
            .headers(headers)
            .body(body)
            .send()
            .await
    }

    /// OpenShift shows a project to users who can read its namespace.
    async fn can_see(&self, namespace: &Value, headers: &HeaderMap) -> bool {
        let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
        let answer = self
            .send(Method::GET, &format!("/api/v1/namespaces/{name}"), headers, Bytes::new())
            .await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

pub(crate) type Answer = std::result::Result<Response<Body>, BadGateway>;

/// Forwards a request and streams the response, which a watch requires.
pub(crate) async fn forward(
    State(upstream): State<Arc<Upstream>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let answer = upstream.send(method, path, &headers, body).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    for name in [CONNECTION, TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
    *response.body_mut() = Body::new(reqwest::Body::from(answer));
    Ok(response)
}

/// Lists the projects that are visible to the caller, which a CRD cannot do.
async fn projects(
    upstream: State<Arc<Upstream>>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    // kube-apiserver checks authentication and permission.
    let answer = forward(upstream.clone(), Method::GET, uri, headers.clone(), Bytes::new()).await?;
    if answer.status() != StatusCode::OK {
        return Ok(answer);
    }
    let path = format!("/api/v1/namespaces?{}", query.unwrap_or_default());
    let mut list = upstream.api.get(&path).await?.unwrap_or_default();
    let namespaces = list["items"].take();
    let namespaces = namespaces.as_array().map(Vec::as_slice).unwrap_or_default();
    let visible =
        join_all(namespaces.iter().map(|namespace| upstream.can_see(namespace, &headers))).await;
    let items = namespaces
        .iter()
        .zip(visible)
        .filter(|(_, visible)| *visible)
        .map(|(namespace, _)| as_project(namespace));
    list["kind"] = json!("ProjectList");
    list["apiVersion"] = json!("project.openshift.io/v1");
    list["items"] = items.collect();
    Ok(json_response(200, &list))
}

/// Returns kube-apiserver's rejection if the project is not visible.
async fn project(
    upstream: State<Arc<Upstream>>,
    PathOf(name): PathOf<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    match upstream.api.get(&format!("/api/v1/namespaces/{name}")).await? {
        Some(namespace) if upstream.can_see(&namespace, &headers).await => {
            Ok(json_response(200, &as_project(&namespace)))
        }
        _ => forward(upstream, Method::GET, uri, headers, Bytes::new()).await,
    }
}

fn as_project(namespace: &Value) -> Value {
    let mut project = namespace.clone();
    project["kind"] = json!("Project");
    project["apiVersion"] = json!("project.openshift.io/v1");
    project
}

pub(crate) fn json_response(status: u16, body: &Value) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The API server was unreachable, or rejected the administrator.
pub(crate) struct BadGateway(String);

impl<E: Into<anyhow::Error>> From<E> for BadGateway {
    fn from(error: E) -> Self {
        BadGateway(format!("{:#}", error.into()))
    }
}

impl IntoResponse for BadGateway {
    fn into_response(self) -> Response<Body> {
        (StatusCode::BAD_GATEWAY, self.0).into_response()
    }
}
