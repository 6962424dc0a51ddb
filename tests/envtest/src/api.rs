//! A small client with the administrator's rights. It talks to the server itself, so nothing of it shows in a
//! proxy's log.

use anyhow::{Context, Result, bail};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, StatusCode};
use sandbox::openshift::builds;
use serde_json::{Value, json};

/// The API server at `url` as one user sees it.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    url: String,
    token: String,
}

impl Api {
    /// # Errors
    /// When `ca_pem` holds no usable certificate.
    pub(crate) fn new(url: &str, ca_pem: &str, token: &str) -> Result<Api> {
        Ok(Api { http: http_client(ca_pem)?, url: url.to_owned(), token: token.to_owned() })
    }

    /// Whether the server calls itself ready; false also when it cannot be reached.
    pub(crate) async fn is_ready(&self) -> bool {
        matches!(self.send(Method::GET, "/readyz", None).await, Ok((StatusCode::OK, _)))
    }

    /// The object at `path`; `None` when there is none.
    pub(crate) async fn get(&self, path: &str) -> Result<Option<Value>> {
        let (status, body) = self.send(Method::GET, path, None).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => accept(Method::GET, path, status, body).map(Some),
        }
    }

    /// The items of the collection at `path`.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let (status, body) = self.send(Method::GET, path, None).await?;
        match accept(Method::GET, path, status, body)?["items"].take() {
            Value::Array(items) => Ok(items),
            _ => bail!("GET {path}: the answer is not a list"),
        }
    }

    /// Creates `object` in the collection at `path` and returns it as stored. One that exists already is left as it is.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        let (status, body) = self.send(Method::POST, path, Some(object)).await?;
        match status {
            StatusCode::CONFLICT if body["reason"] == "AlreadyExists" => Ok(body),
            _ => accept(Method::POST, path, status, body),
        }
    }

    /// Puts `object`, which carries the resourceVersion it was read with, in place of the one at `path`.
    pub(crate) async fn replace(&self, path: &str, object: &Value) -> Result<Value> {
        let (status, body) = self.send(Method::PUT, path, Some(object)).await?;
        accept(Method::PUT, path, status, body)
    }

    /// Merges `change` into the object at `path` (RFC 7386). One that is gone meanwhile needs no change.
    pub(crate) async fn merge(&self, path: &str, change: &Value) -> Result<()> {
        let (status, body) = self.send(Method::PATCH, path, Some(change)).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(()),
            _ => accept(Method::PATCH, path, status, body).map(drop),
        }
    }

    /// Deletes the object, or every object of the collection, at `path`. What is not there needs no deleting.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        let options =
            json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0 });
        let (status, body) = self.send(Method::DELETE, path, Some(&options)).await?;
        match status {
            StatusCode::NOT_FOUND => Ok(()),
            _ => accept(Method::DELETE, path, status, body).map(drop),
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
        // /readyz answers with plain text.
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

impl builds::Client for Api {
    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let (status, body) = self.send(method.parse()?, path, body).await?;
        Ok((status.as_u16(), body))
    }
}

/// An HTTP client that trusts the certificates in `ca_pem` and no others, and hands every answer on as it is.
///
/// # Errors
/// When `ca_pem` holds no usable certificate.
pub(crate) fn http_client(ca_pem: &str) -> Result<Client> {
    let roots =
        Certificate::from_pem_bundle(ca_pem.as_bytes()).context("the server's certificate")?;
    Ok(Client::builder().tls_certs_only(roots).no_proxy().redirect(Policy::none()).build()?)
}

fn accept(method: Method, path: &str, status: StatusCode, body: Value) -> Result<Value> {
    if status.is_success() {
        return Ok(body);
    }
    bail!("{method} {path}: {status}: {}", body["message"].as_str().unwrap_or_default())
}
