//! A client for the administrator. It bypasses the proxy and its log.

use anyhow::{Context, Result, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, StatusCode};
use sandbox::openshift::builds;
use serde_json::{Value, json};

/// The API server as one user.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    url: String,
    token: String,
}

impl Api {
    /// # Errors
    /// If `ca_pem` contains no valid certificate.
    pub(crate) fn new(url: &str, ca_pem: &str, token: &str) -> Result<Api> {
        Ok(Api { http: http_client(ca_pem)?, url: url.to_owned(), token: token.to_owned() })
    }

    /// False also if it is unreachable.
    pub(crate) async fn is_ready(&self) -> bool {
        matches!(self.send(Method::GET, "/readyz", None).await, Ok((StatusCode::OK, _)))
    }

    /// `None` if missing.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>> {
        let (status, body) = self.send(Method::GET, path, None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => check_status(Method::GET, path, status, body).map(Some),
        }
    }

    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let (status, body) = self.send(Method::GET, path, None).await?;
        match check_status(Method::GET, path, status, body)?["items"].take() {
            Value::Array(items) => Ok(items),
            _ => bail!("GET {path}: the answer is not a list"),
        }
    }

    /// Returns the stored object. An existing object is accepted unchanged.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        let (status, body) = self.send(Method::POST, path, Some(object)).await?;
        match status {
            StatusCode::CONFLICT if body["reason"] == "AlreadyExists" => Ok(body),
            _ => check_status(Method::POST, path, status, body),
        }
    }

    /// `object` contains the `resourceVersion` that it was read with.
    pub(crate) async fn replace(&self, path: &str, object: &Value) -> Result<Value> {
        let (status, body) = self.send(Method::PUT, path, Some(object)).await?;
        check_status(Method::PUT, path, status, body)
    }

    /// RFC 7386. A missing object is accepted.
    pub(crate) async fn merge(&self, path: &str, change: &Value) -> Result<()> {
        let (status, body) = self.send(Method::PATCH, path, Some(change)).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(()),
            _ => check_status(Method::PATCH, path, status, body).map(drop),
        }
    }

    /// Deletes an object or a collection; missing objects are accepted.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        let options =
            json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0 });
        let (status, body) = self.send(Method::DELETE, path, Some(&options)).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(()),
            _ => check_status(Method::DELETE, path, status, body).map(drop),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let mut request =
            self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, content_type).body(body.to_string());
        }
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        // /readyz returns plain text.
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

impl builds::Client for Api {
    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let (status, body) = self.send(method.parse()?, path, body).await?;
        Ok((status.as_u16(), body))
    }
}

/// Trusts only the certificates in `ca_pem`, and does not follow redirects.
///
/// # Errors
/// If `ca_pem` contains no valid certificate.
pub(crate) fn http_client(ca_pem: &str) -> Result<Client> {
    let roots =
        Certificate::from_pem_bundle(ca_pem.as_bytes()).context("the server's certificate")?;
    Ok(Client::builder().tls_certs_only(roots).no_proxy().redirect(Policy::none()).build()?)
}

fn check_status(method: Method, path: &str, status: StatusCode, body: Value) -> Result<Value> {
    if status.is_success() {
        return Ok(body);
    }
    bail!("{method} {path}: {status}: {}", body["message"].as_str().unwrap_or_default())
}
