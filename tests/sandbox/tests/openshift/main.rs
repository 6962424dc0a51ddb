//! The stand-in for the OpenShift API, asked over HTTP: what is OpenShift's, the Operator Lifecycle Manager's or the
//! stand-in's own. What it has in common with Kubernetes is held to the real API server in `tests/envtest`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod builds;
mod discovery;
mod imports;
mod namespaces;
mod olm;
mod serving;

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response};
use sandbox::openshift::Cluster;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// The request timeout, except for fault tests.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A sandbox and a plain HTTP client that trusts its CA.
struct Api {
    sandbox: Sandbox,
    http: Client,
    runtime: Runtime,
}

/// An answer: status, headers, and the body as JSON (or as a JSON string when it is not).
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Api {
    fn start() -> Self {
        // Tests that wait for the controllers should not wait long, and the others should not be disturbed.
        Self::with(Cluster { settle: Duration::from_millis(20), ..Cluster::default() })
    }

    /// A cluster whose controllers do nothing within a test.
    fn asleep() -> Self {
        Self::with(Cluster { settle: Duration::from_secs(3600), ..Cluster::default() })
    }

    fn with(cluster: Cluster) -> Self {
        let sandbox = Sandbox::start(Options { cluster, ..Options::default() }).unwrap();
        let ca = Certificate::from_pem(&std::fs::read(sandbox.ca_file()).unwrap()).unwrap();
        let http = Client::builder()
            .tls_certs_only([ca])
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .build()
            .unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let api = Self { sandbox, http, runtime };
        api.sandbox.openshift.create(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "myproj"}}),
        );
        api
    }

    fn request(&self, user: &str, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.sandbox.openshift.url());
        self.http
            .request(Method::from_bytes(method.as_bytes()).unwrap(), url)
            .bearer_auth(self.sandbox.openshift.token(user))
    }

    /// Sends a request as far as to the headers of its answer.
    fn open(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        self.runtime.block_on(async { request.send().await })
    }

    fn send(&self, request: RequestBuilder) -> Answer {
        let response = self.open(request).unwrap();
        self.runtime.block_on(async {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await.unwrap();
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Answer { status, headers, body }
        })
    }

    /// GET or DELETE without a body.
    fn call(&self, user: &str, method: &str, path: &str) -> Answer {
        self.send(self.request(user, method, path))
    }

    /// Sends JSON as the cluster admin.
    fn send_json(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(self.request("admin", method, path).json(body))
    }

    /// Patches as the cluster admin; the type is `json`, `merge`, `strategic` or `apply`.
    fn patch(&self, patch_type: &str, path: &str, body: &Value) -> Answer {
        let content_type = match patch_type {
            "json" => "application/json-patch+json",
            "merge" => "application/merge-patch+json",
            "strategic" => "application/strategic-merge-patch+json",
            "apply" => "application/apply-patch+yaml",
            other => other,
        };
        let request = self.request("admin", "PATCH", path).header("Content-Type", content_type);
        self.send(request.body(body.to_string()))
    }

    fn get(&self, path: &str) -> Value {
        self.call("admin", "GET", path).expect(200, &json!({}))
    }

    /// Asks until the answer is as expected.
    fn eventually(&self, path: &str, status: u16, expected: &Value) -> Value {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            let answer = self.call("admin", "GET", path);
            if answer.status == status && differences("", &answer.body, expected).is_empty() {
                return answer.body;
            }
            if Instant::now() > deadline {
                return answer.expect(status, expected); // Fails, and says how.
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Answer {
    /// The status is this, and the body has these fields with these values; `null` means that a field is absent.
    #[track_caller]
    fn expect(self, status: u16, expected: &Value) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        let differences = differences("", &self.body, expected);
        assert!(differences.is_empty(), "{differences:#?}\nin {:#}", self.body);
        self.body
    }

    /// The answer is a `Status` of failure with this code, reason and message.
    #[track_caller]
    fn rejected(self, code: u16, reason: &str, message: &str) -> Value {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": code, "reason": reason, "message": message,
        });
        self.expect(code, &status)
    }
}

fn differences(path: &str, actual: &Value, expected: &Value) -> Vec<String> {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => expected
            .iter()
            .flat_map(|(key, expected)| {
                differences(
                    &format!("{path}/{key}"),
                    actual.get(key).unwrap_or(&Value::Null),
                    expected,
                )
            })
            .collect(),
        _ if actual == expected => Vec::new(),
        _ => vec![format!("{path}: {actual} instead of {expected}")],
    }
}

/// A Secret to create.
fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"token": "t"}})
}

const SECRETS: &str = "/api/v1/namespaces/myproj/secrets";
const ACCOUNTS: &str = "/api/v1/namespaces/myproj/serviceaccounts";
const INTEGRATIONS: &str = "/apis/quay.redhat.com/v1/quayintegrations";
const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/myproj/imagestreams";
